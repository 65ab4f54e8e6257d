"""Chains of layers that a core each can hold, and machines without time steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.backends import targets
from snnc.ir.arrays import IntArray
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset, StateRange
from snnc.ir.nodes import Index, Input, Linear, Output, Pool
from snnc.ir.target import Target
from snnc.ir.types import events
from snnc.ir.weights import Conv, Dense

SIXTEEN = StateRange(-32768, 32767)


def population(
    name: str, source: str, shape: tuple[int, ...], threshold: int, levels: int
) -> Neuron:
    """Integrate and fire with reset by subtraction, up to so many spikes per step."""
    ladder = np.arange(1, levels + 1) * threshold
    reset = Reset("subtract", np.array(threshold))
    return Neuron(name, (source,), shape, ladder, reset, state_range=SIXTEEN)


def chain(
    rng: np.random.Generator, low: int = -20, high: int = 60, levels: int = 4, size: int = 8
) -> IntegerNetwork:
    """Convolution, sum pool, convolution with stride, dense; weights in [low, high)."""
    quarter = size // 4
    return IntegerNetwork(
        "chain",
        (
            Input("x", (2, size, size), events(0, 2)),
            Linear(
                "c1", ("x",),
                Conv(rng.integers(low, high, (3, 2, 3, 3)), (1, 1), ((1, 1), (1, 1)), (1, 1)),
            ),
            population("a", "c1", (3, size, size), 100, levels),
            Pool("pool", ("a",), "sum", (2, 2), (2, 2), ((0, 0), (0, 0))),
            Linear(
                "c2", ("pool",),
                Conv(rng.integers(low, high, (5, 3, 3, 3)), (2, 2), ((1, 1), (1, 1)), (1, 1)),
            ),
            population("b", "c2", (5, quarter, quarter), 150, levels),
            Index("flat", ("b",), (5 * quarter * quarter,)),
            Linear("d", ("flat",), Dense(rng.integers(low, high, (4, 5 * quarter * quarter)))),
            population("o", "d", (4,), 200, levels),
            Output("out", ("o",)),
        ),
    )  # fmt: skip


def chain_inputs(
    rng: np.random.Generator, samples: int, steps: int, rate: float = 0.1, size: int = 8
) -> dict[str, IntArray]:
    """Events for ``chain``."""
    shape = (samples, steps, 2, size, size)
    return {"x": (rng.random(shape) < rate) * rng.integers(1, 3, shape)}


def changed(target: Target, **parts: dict[str, Any]) -> Target:
    """A target with fields of some parts replaced, e.g. ``noc={"receive_packets": ...}``."""
    data = target.model_dump(by_alias=True)
    for part, fields in parts.items():
        data[part] = {**data[part], **fields}
    return Target.model_validate(data)


def speck(overflow: str = "stall", queue: int = 16, step_s: float = 1e-3, **costs: float) -> Target:
    """Speck2f with another queue, and with times for what nobody publishes."""
    target = targets.load("speck2f")
    priced = {kind: {"latency": seconds, "ev": "assumed"} for kind, seconds in costs.items()}
    table = target.cost_sets["timing"].model_dump()
    table["events"] = {**table["events"], **priced}
    return changed(
        target,
        execution={"overflow": overflow, "tick_s": {"v": step_s, "u": "s", "ev": "assumed"}},
        noc={"receive_packets": {"v": queue, "u": "packet", "ev": "assumed"}},
        cost_sets={"timing": table},
    )
