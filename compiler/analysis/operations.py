"""Additions and multiplications of a network, where they happen, and their 45 nm energy.

Counted are the operators that weigh: Linear, MatMul, Mul and Rescale.  With an event operand each
unit of each event costs one addition per tap that reads it (AC); a count of c costs c.  Without
one every tap costs a multiplication in every step (MAC), silent or not: a *MAC site*.  Taps that
fall on padding, sums, pools and the updates of neurons are not counted, as in the papers that use
these constants (45 nm CMOS, Horowitz, ISSCC 2014: 0.9 pJ per addition, 4.6 pJ per multiply-add,
32-bit floating point).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np

from snnc.compiler.analysis.values import Value
from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.network import Network, RealNode
from snnc.ir.nodes import Linear, MatMul, Mul, Rescale
from snnc.ir.weights import Conv, Dense, Weights
from snnc.simulators.reference.operators import matmul

AC_JOULE = 0.9e-12
MAC_JOULE = 4.6e-12


@dataclass(frozen=True, eq=False)
class Site:
    """One operator that weighs.

    Attributes:
        kind: "ac" adds where events come, "mac" multiplies in every step.
        operands: what its inputs are, in words.
        events: positions of the operands that are events.
        taps: per element of the (first) event operand, how many additions one event causes; for
            ``kind`` "mac" its sum is the multiplications of one step.
    """

    node: RealNode | IntegerNode
    kind: Literal["ac", "mac"]
    operands: tuple[Value, ...]
    events: tuple[int, ...]
    taps: IntArray

    def bound(self) -> int | None:
        """Most operations of one step, None where a count has no bound."""
        if self.kind == "mac":
            return int(self.taps.sum())
        levels = [self.operands[k].magnitude for k in self.events]
        if None in levels:
            return None
        return int(self.taps.sum()) * prod(v for v in levels if v is not None)

    def count(self, operands: Sequence[Any]) -> float:
        """Operations of one step for the operands' values, arrays [samples, *shape], summed."""
        samples = operands[0].shape[0]
        if self.kind == "mac":
            return float(int(self.taps.sum()) * int(samples))
        sizes = [np.abs(operands[k]) for k in self.events]
        if len(sizes) == 2:  # an addition where both have an event
            node = self.node
            both = matmul(node, *sizes) if isinstance(node, MatMul) else sizes[0] * sizes[1]
            return float(both.sum())
        total = sizes[0].sum(axis=0, dtype=np.float64)
        return float(np.dot(total.reshape(-1), self.taps))


def sites(network: Network | IntegerNetwork, values: Mapping[str, Value]) -> tuple[Site, ...]:
    """All operators that weigh, in execution order."""
    return tuple(_sites(network, values))


def _sites(network: Network | IntegerNetwork, values: Mapping[str, Value]) -> Iterator[Site]:
    for node in network.order:
        operands = tuple(values[source] for source in node.inputs)
        events = tuple(k for k, value in enumerate(operands) if value.event)
        kind: Literal["ac", "mac"] = "ac" if events else "mac"
        shapes = [network.shapes[source] for source in node.inputs]
        if isinstance(node, Linear):
            yield Site(node, kind, operands, events, fan_out(node.weights, shapes[0]))
        elif isinstance(node, MatMul):
            first = events[0] if events else 0
            taps = np.full(size_of(shapes[first]), _other_extent(node, shapes, first))
            if len(events) == 2:
                taps = np.array([size_of(shapes[0]) * _other_extent(node, shapes, 0)])
            yield Site(node, kind, operands, events, taps)
        elif isinstance(node, Mul):
            yield Site(node, kind, operands, events, np.ones(size_of(shapes[0]), np.int64))
        elif isinstance(node, Rescale) and (node.multiplier != 1).any():
            ones = np.ones(size_of(shapes[0]), np.int64)
            yield Site(node, "mac", operands, (), ones)


def _other_extent(node: MatMul, shapes: Sequence[Shape], operand: int) -> int:
    """How many results one element of an operand takes part in."""
    if operand == 0:
        return shapes[1][-2 if node.transpose_b else -1]
    return shapes[0][-1 if node.transpose_a else -2]


def fan_out(weights: Weights, shape: Shape) -> IntArray:
    """Taps that read each element of an input of ``shape``, flat; zero weights count as taps."""
    if isinstance(weights, Dense):
        return np.full(weights.values.shape[1], weights.values.shape[0], np.int64)
    if isinstance(weights, Conv):
        return _convolution(weights, shape)
    return np.bincount(weights.column, minlength=weights.inputs).astype(np.int64)


def _convolution(conv: Conv, shape: Shape) -> IntArray:
    """The windows over an element are a product over the axes."""
    out = conv.output_shape("conv", shape)
    reads = np.full((shape[0],), conv.values.shape[0] // conv.groups, np.int64)
    for axis, extent in enumerate(shape[1:]):
        position = (
            np.arange(out[axis + 1])[:, None] * conv.stride[axis]
            + np.arange(conv.kernel[axis])[None, :] * conv.dilation[axis]
            - conv.padding[axis][0]
        ).reshape(-1)
        inside = position[(position >= 0) & (position < extent)]
        reads = np.multiply.outer(reads, np.bincount(inside, minlength=extent))
    return reads.reshape(-1)


def energy(additions: float, multiplications: float) -> float:
    """Joule of so many operations by the papers' constants."""
    return AC_JOULE * additions + MAC_JOULE * multiplications
