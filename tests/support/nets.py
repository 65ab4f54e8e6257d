"""Small integer networks of every topology the mapper must handle, with random weights."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from snnc.ir.deployment import Schedule
from snnc.ir.expand import Expansion
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, Output, Pool
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense

ZERO = Reset("value")


@dataclass(frozen=True)
class HandRetiming:
    """A schedule made by hand, of the shape of ``compiler.retime.Retiming``."""

    schedule: Schedule
    extra_delay: dict[tuple[str, str, int], int]


def longest_path_retiming(expansion: Expansion, timesteps: int = 8) -> HandRetiming:
    """Offsets along the longest path of zero-delay projections; loops need period 1 and delay."""
    inputs = {node.name for node in expansion.inputs}
    offset = dict.fromkeys((p.name for p in expansion.populations), 0)
    for _ in range(len(offset) + 1):
        for p in expansion.projections:
            if p.source not in inputs:
                least = offset[p.source] + 1 - p.delay
                offset[p.population] = max(offset[p.population], least)
    extra = {}
    for p in expansion.projections:
        neuron = p.source not in inputs
        start = offset[p.source] + 1 if neuron else 0
        extra[p.source, p.population, p.delay] = p.delay + offset[p.population] - start
    assert min(extra.values()) >= 0, "this network needs a period above 1"
    return HandRetiming(Schedule(timesteps, 1, offset), extra)


def fire(name: str, source: str, shape: tuple[int, ...], threshold: object = 65) -> Neuron:
    """Integrate-and-fire with reset to zero."""
    levels = np.atleast_1d(np.asarray(threshold))
    ladder = levels.reshape(1, -1, *(1,) * (len(shape) - 1)) if levels.size > 1 else levels
    return Neuron(name, (source,), shape, ladder, ZERO)


def with_input_shift(network: IntegerNetwork, shift: int) -> IntegerNetwork:
    """The same network with another weight exponent in every neuron."""
    nodes = [
        replace(node, input_shift=shift) if isinstance(node, Neuron) else node
        for node in network.nodes
    ]
    return IntegerNetwork(network.name, tuple(nodes))


def conv(rng: np.random.Generator, out: int, into: int, k: int, s: int = 1, p: int = 1) -> Conv:
    """Random int8 convolution."""
    values = rng.integers(-127, 128, (out, into, k, k))
    return Conv(values, (s, s), ((p, p), (p, p)), (1, 1))


def dense(rng: np.random.Generator, out: int, into: int, density: float = 1.0) -> Dense:
    """Random int8 matrix without zeros, thinned to a density."""
    values = rng.integers(1, 128, (out, into)) * rng.choice([-1, 1], (out, into))
    return Dense(values * (rng.random((out, into)) < density))


def cnn_sinabs(seed: int = 0, thresholds: int = 16) -> IntegerNetwork:
    """The N-MNIST network's shape: 2x34x34, three convolutions, two dense layers."""
    rng = np.random.default_rng(seed)

    def levels(channels: int) -> object:
        return 641 + 64 * (np.arange(channels) % thresholds)

    def pool(name: str, source: str) -> Pool:
        return Pool(name, (source,), "sum", (2, 2), (2, 2), ((0, 0), (0, 0)))

    return IntegerNetwork(
        "cnn_sinabs-like",
        (
            Input("in", (2, 34, 34), BIN),
            Linear("c1", ("in",), conv(rng, 16, 2, 5, 2)),
            fire("n1", "c1", (16, 16, 16), levels(16)),
            Linear("c2", ("n1",), conv(rng, 16, 16, 3)),
            fire("n2", "c2", (16, 16, 16), levels(16)),
            pool("p2", "n2"),
            Linear("c3", ("p2",), conv(rng, 8, 16, 3)),
            fire("n3", "c3", (8, 8, 8), levels(8)),
            pool("p3", "n3"),
            Index("flat", ("p3",), (128,)),
            Linear("d1", ("flat",), dense(rng, 256, 128)),
            fire("n4", "d1", (256,), 641),
            Linear("d2", ("n4",), dense(rng, 10, 256)),
            fire("n5", "d2", (10,), 641),
            Output("out", ("n5",)),
        ),
    )


def small_conv(seed: int = 0) -> IntegerNetwork:
    """One convolution and a readout layer."""
    rng = np.random.default_rng(seed)
    return IntegerNetwork(
        "small-conv",
        (
            Input("in", (1, 8, 8), BIN),
            Linear("c1", ("in",), conv(rng, 4, 1, 3)),
            fire("n1", "c1", (4, 8, 8), 129),
            Index("flat", ("n1",), (256,)),
            Linear("d1", ("flat",), dense(rng, 10, 256, 0.5)),
            fire("n2", "d1", (10,), 193),
            Output("out", ("n2",)),
        ),
    )


def mlp(sizes: tuple[int, ...] = (20, 100, 60, 10), seed: int = 0) -> IntegerNetwork:
    """Dense layers."""
    rng = np.random.default_rng(seed)
    nodes: list[object] = [Input("in", (sizes[0],), BIN)]
    last = "in"
    for k, (into, out) in enumerate(itertools.pairwise(sizes)):
        nodes += [Linear(f"d{k}", (last,), dense(rng, out, into)), fire(f"n{k}", f"d{k}", (out,))]
        last = f"n{k}"
    return IntegerNetwork("mlp", (*nodes, Output("out", (last,))))  # type: ignore[arg-type]


def residual(seed: int = 0) -> IntegerNetwork:
    """A skip connection over one layer."""
    rng = np.random.default_rng(seed)
    return IntegerNetwork(
        "residual",
        (
            Input("in", (16,), BIN),
            Linear("d0", ("in",), dense(rng, 80, 16)),
            fire("a", "d0", (80,)),
            Linear("d1", ("a",), dense(rng, 80, 80, 0.5)),
            fire("b", "d1", (80,)),
            Linear("d2", ("b",), dense(rng, 80, 80, 0.5)),
            Linear("skip", ("a",), dense(rng, 80, 80, 0.1)),
            Add("sum", ("d2", "skip")),
            fire("c", "sum", (80,)),
            Output("out", ("c",)),
        ),
    )


def recurrent(seed: int = 0) -> IntegerNetwork:
    """A sparse recurrent layer with logical delay 1, and a second delayed loop."""
    rng = np.random.default_rng(seed)
    return IntegerNetwork(
        "recurrent",
        (
            Input("in", (12,), BIN),
            Linear("d0", ("in",), dense(rng, 90, 12)),
            Delay("z", ("a",), 1),
            Linear("w", ("z",), dense(rng, 90, 90, 0.2)),
            Delay("z3", ("a",), 3),
            Linear("w3", ("z3",), dense(rng, 90, 90, 0.05)),
            Add("sum", ("d0", "w", "w3")),
            fire("a", "sum", (90,)),
            Linear("d1", ("a",), dense(rng, 5, 90)),
            fire("b", "d1", (5,)),
            Output("out", ("b",)),
        ),
    )


def two_population_loop(seed: int = 0) -> IntegerNetwork:
    """a feeds b in the same step, b feeds a one step later: two ticks per step."""
    rng = np.random.default_rng(seed)
    return IntegerNetwork(
        "loop",
        (
            Input("in", (12,), BIN),
            Linear("d0", ("in",), dense(rng, 50, 12)),
            Delay("z", ("b",), 1),
            Linear("back", ("z",), dense(rng, 50, 40, 0.2)),
            Add("sum", ("d0", "back")),
            fire("a", "sum", (50,)),
            Linear("d1", ("a",), dense(rng, 40, 50, 0.5)),
            fire("b", "d1", (40,)),
            Output("out", ("b",)),
        ),
    )


def multi_input(seed: int = 0) -> IntegerNetwork:
    """Two inputs that meet, and two outputs."""
    rng = np.random.default_rng(seed)
    return IntegerNetwork(
        "multi-input",
        (
            Input("left", (10,), BIN),
            Input("right", (2, 3), BIN),
            Linear("dl", ("left",), dense(rng, 70, 10)),
            Index("flat", ("right",), (6,)),
            Linear("dr", ("flat",), dense(rng, 70, 6)),
            Add("sum", ("dl", "dr")),
            fire("a", "sum", (70,)),
            Linear("d1", ("a",), dense(rng, 7, 70)),
            fire("b", "d1", (7,)),
            Output("out", ("b",)),
            Output("hidden", ("a",)),
        ),
    )
