"""What differs from step to step, by a clock: populations of which each counts in one step only.

A neuron that starts at its threshold fires in step 0 and never again; its delayed copies tell the
steps apart.  Networks have no other notion of the time since a sample began.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.compiler.frontends.torch.build import Builder
from snnc.compiler.frontends.torch.call import Call
from snnc.compiler.frontends.torch.layout import Value, elements
from snnc.ir.arrays import RealArray, Shape, size_of
from snnc.ir.nodes import Delay, Index, Input, Linear, Mul, Reduce
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.weights import Sparse


def threshold(bias: RealArray | float) -> dict[str, Any]:
    """Fields of a population that forgets and fires where ``x + bias >= 0``.

    A firing threshold is positive; a bias that is not negative moves both sides up.
    """
    bias = np.asarray(bias, np.float64)
    return {
        "decay": np.zeros(()), "gain": np.ones(()), "reset": "none", "comparator": ">=",
        "offset": np.where(bias < 0, 0.0, bias + 1.0),
        "threshold": np.where(bias < 0, -bias, 1.0),
    }  # fmt: skip


def repeated(builder: Builder, node: str, times: int) -> str:
    """[times, *shape]: the elements of a node over and over."""
    shape = builder.shapes[node]
    index = np.tile(np.arange(size_of(shape)), times)
    return _gather(builder, (node,), (times, *shape), index, "repeated")


def in_step(builder: Builder, node: str, step: int) -> str:
    """Spikes of a node in one step of the sample, silence in all others."""
    shape = builder.shapes[node]
    tick = _gather(builder, (_tick(builder, step),), shape, np.zeros(size_of(shape), int), step)
    return builder.add(Mul, (node, tick), shape, suffix=".in_step")


def by_step(builder: Builder, node: str) -> str:
    """Of spikes [steps, *shape], row t in step t: [*shape], as a sum of which one term counts."""
    steps, *rest = builder.shapes[node]
    shape = tuple(rest)
    ticks = tuple(_tick(builder, t) for t in range(steps))
    index = np.repeat(np.arange(steps), size_of(shape))
    clock = _gather(builder, ticks, (steps, *shape), index, "clock")
    chosen = builder.add(Mul, (node, clock), (steps, *shape), suffix=".now")
    total = builder.add(Reduce, (chosen,), (1, *shape), "rows", suffix=".row", op="sum", axes=(0,))
    return builder.add(Index, (total,), shape, "flat", suffix=".flat", shape=shape)


def ever(builder: Builder, node: str, steps: int) -> str:
    """Whether an element fires in any step of the sample, known in all of them."""
    shape = builder.shapes[node]
    return builder.add(
        Reduce, (node,), shape, ("ever", steps), suffix=".ever", op="max", axes=(), steps=steps
    )


def population(call: Call, node: str, suffix: str, **fields: Any) -> str:
    """A population of this module that reads a node of its own."""
    builder = call.builder
    value = Value(node, elements(builder.shapes[node]))
    return builder.neuron(value, call.name + suffix, call.number, **fields).node


def _gather(builder: Builder, nodes: tuple[str, ...], shape: Shape, index: Any, key: Any) -> str:
    return builder.add(
        Index, nodes, shape, ("gather", key), suffix=".gather", shape=shape, index=index
    )


def _tick(builder: Builder, step: int) -> str:
    """A spike in one step of the sample, shape [1]."""
    name = next(node.name for node in builder.nodes.values() if isinstance(node, Input))
    size = size_of(builder.shapes[name])
    nothing = Sparse(np.zeros(2, np.int64), np.zeros(0, np.int64), np.zeros(0), size, (1,))
    silence = builder.add(Linear, (name,), (1,), "silence", suffix=".silence", weights=nothing)
    one, zero = np.ones(()), np.zeros(())
    first = builder.add(
        RealNeuron, (silence,), (1,), "first", suffix=".clock", shape=(1,), decay=one, gain=one,
        offset=zero, threshold=one, comparator=">=", reset="zero", initial=one,
    )  # fmt: skip
    if step == 0:
        return first
    return builder.add(Delay, (first,), (1,), step, suffix=".tick", steps=step)
