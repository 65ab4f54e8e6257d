"""Random networks of lava-dl's adaptive LIF and of sigma-delta neurons, written directly.

``plain_alif`` and ``plain_sigma_delta`` are second formulations of the two neurons, as lava-dl and
Lava write them, over the summed input of every step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.ir.arrays import size_of
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import (
    MEMORYLESS,
    NO_LEAK,
    Adaptation,
    DeltaCode,
    GatedBias,
    Leak,
    Neuron,
    Recovery,
    Reset,
    StateRange,
)
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, Output
from snnc.ir.types import BIN, ValueType
from snnc.ir.weights import Conv, Dense

CLIPS = StateRange(-(2**31), 2**31 - 1)
WRAPS = StateRange(-(2**31), 2**31 - 1, "wrap")


def alif(
    rng: np.random.Generator, name: str, source: str, shape: tuple[int, ...], scale: int = 60
) -> Neuron:
    """lava-dl's adaptive LIF with decays per channel or for all."""

    def decay() -> Leak:
        extent = (shape[0], *(1,) * (len(shape) - 1)) if rng.random() < 0.5 else ()
        return Leak(4096 - rng.choice([0, 4096, *rng.integers(0, 4097, 4)], extent), 12,
                    "toward_zero")  # fmt: skip

    return Neuron(
        name, (source,), shape, np.array([int(rng.integers(0, 3 * scale)) << 6]), Reset("none"),
        decay(), decay(), int(rng.integers(6, 8)),
        adaptation=Adaptation("raise_decay", rng.integers(0, 2 * scale, ()) << 6, decay()),
        recovery=Recovery(decay()), state_range=CLIPS, current_range=CLIPS,
    )  # fmt: skip


def sigma_delta(
    rng: np.random.Generator,
    name: str,
    source: str,
    shape: tuple[int, ...],
    message_bits: int | None = 16,
    ranges: StateRange = WRAPS,
) -> Neuron:
    """Lava's SigmaDelta with a bias per neuron, or one that makes up for its rounding."""
    unit = int(rng.integers(0, 7))
    bias = rng.integers(-40, 60, shape) << unit
    feedback: Any = "change" if rng.random() < 0.7 else "message"
    return Neuron(
        name, (source,), shape, np.array([int(rng.integers(0, 30)) << unit]), Reset("none"),
        MEMORYLESS, NO_LEAK, int(rng.integers(0, 2)),
        (GatedBias(bias),) if rng.random() < 0.7 else (), state_range=ranges,
        current_range=ranges, emit="delta",
        delta=DeltaCode("relu", int(rng.integers(0, 5)), feedback, message_bits),
    )  # fmt: skip


def encoder(rng: np.random.Generator, name: str, source: str, shape: tuple[int, ...]) -> Neuron:
    """Lava's Delta."""
    shift, spike = int(rng.integers(0, 4)), int(rng.integers(0, 3))
    threshold = int(rng.integers(0, 12)) << (shift + spike)
    return Neuron(
        name, (source,), shape, np.array([threshold]), Reset("none"), MEMORYLESS, None,
        shift + spike, state_range=StateRange(-(2**20), 2**20), emit="delta",
        delta=DeltaCode("unit", shift),
    )  # fmt: skip


def sigma(name: str, source: str, shape: tuple[int, ...], ranges: StateRange = WRAPS) -> Neuron:
    """Lava's Sigma: the sum of all input is read."""
    none = np.zeros((0, *(1,) * len(shape)), np.int64)
    return Neuron(
        name, (source,), shape, none, Reset("none"), MEMORYLESS, NO_LEAK, state_range=ranges,
        current_range=ranges, emit="state",
    )  # fmt: skip


def alif_network(seed: int) -> IntegerNetwork:
    """Convolution or dense layers of adaptive neurons, with loops and delays."""
    rng = np.random.default_rng([seed, 1])
    return _network(f"alif-{seed}", rng, Input("x", _shape(rng), BIN), lambda *a: alif(rng, *a))


def sigma_delta_network(
    seed: int, message_bits: int | None = 16, ranges: StateRange = WRAPS
) -> IntegerNetwork:
    """A delta encoder, sigma-delta layers, and at times a sigma at the end."""
    rng = np.random.default_rng([seed, 2])
    first = Input("x", _shape(rng), ValueType("scnt", 100))

    def layer(name: str, source: str, shape: tuple[int, ...]) -> Neuron:
        if source == "x":
            return encoder(rng, name, source, shape)
        if name == "n9" and rng.random() < 0.5:
            return sigma(name, source, shape, ranges)
        return sigma_delta(rng, name, source, shape, message_bits, ranges)

    return _network(f"sigma-delta-{seed}", rng, first, layer, encoded=True)


def _shape(rng: np.random.Generator) -> tuple[int, ...]:
    return (2, 4, 5) if rng.random() < 0.5 else (int(rng.integers(3, 9)),)


def _network(
    name: str, rng: np.random.Generator, first: Input, layer: Any, encoded: bool = False
) -> IntegerNetwork:
    nodes: list[Any] = [first]
    shape, before = first.shape, "x"
    if encoded:
        nodes.append(layer("n0", "x", shape))
        before = "n0"
    middle = int(rng.integers(0, 3))
    for label in (*(f"n{k + 1}" for k in range(middle)), "n9"):
        source = before
        if rng.random() < 0.25:
            nodes.append(Delay(f"{label}.late", (source,), int(rng.integers(1, 4))))
            source = f"{label}.late"
        if len(shape) == 3 and label != "n9":
            conv = Conv(rng.integers(-9, 14, (3, shape[0], 3, 3)), (1, 1), ((1, 1),) * 2, (1, 1))
            nodes.append(Linear(f"{label}.w", (source,), conv))
            shape = conv.output_shape(label, shape)
        else:
            size, flat = int(rng.integers(2, 8)), size_of(shape)
            nodes.append(Index(f"{label}.flat", (source,), (flat,)))
            weights = Dense(rng.integers(-30, 46, (size, flat)))
            nodes.append(Linear(f"{label}.w", (f"{label}.flat",), weights))
            shape = (size,)
        summed = f"{label}.w"
        if rng.random() < 0.3 and label != "n9":  # what it sent in the step before comes back
            nodes.append(Delay(f"{label}.past", (label,), 1))
            flat = size_of(shape)
            nodes.append(Index(f"{label}.row", (f"{label}.past",), (flat,)))
            back = Dense(np.diag(rng.integers(-1, 2, flat)) * 3)
            nodes.append(Linear(f"{label}.back", (f"{label}.row",), back))
            nodes.append(Index(f"{label}.again", (f"{label}.back",), shape))
            nodes.append(Add(f"{label}.sum", (summed, f"{label}.again")))
            summed = f"{label}.sum"
        nodes.append(layer(label, summed, shape))
        before = label
    nodes.append(Output("out", (before,)))
    return IntegerNetwork(name, tuple(nodes))


def random_values(network: IntegerNetwork, seed: int, samples: int, steps: int) -> dict[str, Any]:
    """Spikes, or values that stay for a while, as a sigma-delta network likes them."""
    rng = np.random.default_rng(seed)
    node = network.of_type(Input)[0]
    if node.type.kind == "bin":
        return {"x": (rng.random((samples, steps, *node.shape)) < 0.4).astype(np.int64)}
    values = rng.integers(node.type.low, node.type.high + 1, (samples, steps, *node.shape))
    for t in range(1, steps):
        still = rng.random(values[:, t].shape) < 0.5
        values[:, t] = np.where(still, values[:, t - 1], values[:, t])
    return {"x": values}


def tz(x: Any, decay: Any) -> Any:
    """lava-dl's decay: ``x (4096 - decay) / 4096`` rounded toward zero."""
    product = x * (4096 - decay)
    sign = np.where(product > 0, 1, -1)
    return sign * ((sign * product) >> 12)


def plain_alif(parameters: dict[str, Any], x: Any) -> Any:
    """Spikes [steps, neurons] of ``adaptive_threshold.py``; ``x`` is the summed weights."""
    p = {name: np.asarray(value, np.int64) for name, value in parameters.items()}
    u = v = r = np.zeros(x.shape[1], np.int64)
    th0 = p["vThMant"] << 6
    th, spikes = th0 + u, []
    for drive in x:
        u = tz(u, p["iDecay"]) + ((drive + p["bias"]) << 6)
        v = tz(v, p["vDecay"]) + u
        r = tz(r, p["refDecay"])
        th = tz(th - th0, p["thDecay"]) + th0
        s = (v >= th + r).astype(np.int64)
        r, th = r + 2 * th * s, th + (p["vThStep"] << 6) * s
        spikes.append(s)
    return np.array(spikes)


def plain_sigma_delta(vth: int, bias: Any, unit: int, shift: int, x: Any, relu: bool = True) -> Any:
    """Messages [steps, neurons] of ``lava.proc.sdn`` with the summed input ``x``.

    Args:
        vth, bias: as stored, times 2^unit in the state.
        unit: spike_exp + state_exp.
        shift: state_exp.
        x: [steps, neurons]; with ``relu`` it is added up, else it is the activation itself.
        relu: a SigmaDelta; False: a Delta, whose input is the activation shifted by ``unit``.
    """
    sigma = act = residue = np.zeros(x.shape[1], np.int64)
    sent = []
    for a in x:
        sigma = sigma + a
        new = np.maximum(sigma + (np.asarray(bias) << unit), 0) if relu else a << unit
        delta = new - act + residue
        s = np.where(np.abs(delta) >= vth << unit, delta, 0)
        residue, act = delta - s, new
        sent.append(s >> shift)
    return np.array(sent)
