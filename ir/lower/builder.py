"""Nodes of a rewritten network, and what each of their tensors can be at most and at least."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.compositions import identity
from snnc.ir.expand import operator_matrix
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.lower.limits import Limits
from snnc.ir.neuron import GatedBias, Neuron
from snnc.ir.nodes import Add, Barrier, Delay, Index, Input, Linear
from snnc.ir.shapes import output_shape
from snnc.ir.weights import Sparse

Bounds = tuple[IntArray, IntArray]
"""Smallest and largest value of every element of a tensor, flat."""


class RewriteError(Exception):
    """The operator at hand asks more than the limits allow."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


class Builder:
    """Collects nodes; helpers are named after the operator they stand for.

    Attributes:
        limits: of the machine.
        nodes: by name, original ones included.
        owner: the operator being rewritten.
        made: helper populations by operator.
        convolutions: images are scaled by convolutions, so that shared weights stay shared.
    """

    def __init__(
        self, network: IntegerNetwork, limits: Limits, *, convolutions: bool = False
    ) -> None:
        self.limits, self.convolutions = limits, convolutions
        self.nodes: dict[str, IntegerNode] = {}
        self.owner = ""
        self.made: dict[str, list[str]] = {}
        self._taken = {node.name for node in network.nodes}
        self._shapes: dict[str, Shape] = {}
        self._bounds: dict[str, Bounds] = {}

    # --- nodes ---------------------------------------------------------------------------------

    def keep(self, node: IntegerNode) -> str:
        """Add a node as it is."""
        self.nodes[node.name] = node
        if isinstance(node, Neuron | Input):
            self._shapes[node.name] = tuple(node.shape)
        else:
            self._shapes[node.name] = output_shape(node, [self._shapes[s] for s in node.inputs])
        return node.name

    def shape(self, name: str) -> Shape:
        """Shape of a tensor."""
        return self._shapes[name]

    def name(self, label: str) -> str:
        """An unused name for a part of the operator at hand."""
        base = name = f"{self.owner}.{label}"
        number = 2
        while name in self._taken:
            name, number = f"{base}{number}", number + 1
        self._taken.add(name)
        return name

    def gather(self, x: str, index: IntArray, shape: Shape) -> str:
        """``y.flat[j] = x.flat[index[j]]``, or 0 where the index is -1."""
        flat = index.reshape(-1)
        if shape == self.shape(x) and np.array_equal(flat, np.arange(size_of(shape))):
            return x
        return self.keep(Index(self.name("take"), (x,), shape, flat))

    def matrix(self, x: str, matrix: sparse.csr_array, shape: Shape) -> str:
        """``y = M x`` with M [elements of y, elements of x]."""
        rows = sparse.csr_array(matrix)
        rows.sum_duplicates()
        weights = Sparse(
            rows.indptr.astype(np.int64), rows.indices.astype(np.int64),
            rows.data.astype(np.int64), size_of(self.shape(x)), shape,
        )  # fmt: skip
        return self.keep(Linear(self.name("sum"), (x,), weights))

    def scale(self, x: str, factor: int | IntArray) -> str:
        """``factor * x``, one factor or one per element."""
        if np.all(np.asarray(factor) == 1):
            return x
        shape = self.shape(x)
        if self.convolutions and np.ndim(factor) == 0 and 2 <= len(shape) <= 4:
            one = identity(shape)
            return self.keep(
                Linear(self.name("scale"), (x,), replace(one, values=factor * one.values))
            )
        diagonal = np.broadcast_to(np.asarray(factor, np.int64), shape).reshape(-1)
        size = diagonal.size
        weights = Sparse(np.arange(size + 1), np.arange(size), diagonal, size, shape)
        return self.keep(Linear(self.name("scale"), (x,), weights))

    def add(self, terms: Sequence[str]) -> str:
        """Elementwise sum; the single term itself when there is only one."""
        if len(terms) == 1:
            return terms[0]
        return self.keep(Add(self.name("add"), tuple(terms)))

    def zero(self, like: str, shape: Shape) -> str:
        """A tensor that is always 0."""
        return self.matrix(like, _empty(size_of(shape), size_of(self.shape(like))), shape)

    def finish(self, terms: Sequence[str], bounds: Bounds | None = None) -> None:
        """Give the sum of the terms the name of the operator at hand."""
        shape = self.shape(terms[0])
        if len(terms) == 1:
            self.keep(Index(self.owner, (terms[0],), shape))
        else:
            self.keep(Add(self.owner, tuple(terms)))
        if bounds is not None:
            self.claim(self.owner, bounds)

    def population(
        self,
        label: str,
        x: str,
        levels: IntArray,
        *,
        emission: IntArray | None = None,
        negative: IntArray | None = None,
    ) -> str:
        """Neurons that forget and count the ``levels`` [K, or K x broadcast] their input reaches.

        A level below 1 would be reached at rest; then a bias, active in the sample only, lifts
        the potential and all levels.
        """
        limits, lift = self.limits, max(0, 1 - int(levels.min(initial=1)))
        if limits.forget is None:
            raise RewriteError(
                "it needs neurons that forget from step to step, and the target has none",
                "choose a target with a multiplicative leak",
            )
        low, high = self.extent(x)
        kept = max(-low - lift, int(levels.max(initial=1)) + lift - 1, 0) << limits.shift
        if limits.reach is not None and kept > limits.reach:
            raise RewriteError(
                f"potentials up to {kept}, and the target's neurons forget {limits.reach} at most",
                "choose a target whose neurons forget at once",
            )
        self._fits(x, max(high, -low) + lift)
        bias = (GatedBias(np.array(lift << limits.shift)),) if lift else ()
        below = np.zeros(0, np.int64) if negative is None else negative
        return self._made(
            Neuron(
                self.name(label), (x,), self.shape(x), limits.threshold(levels + lift),
                limits.reset_once, leak=limits.forget, input_shift=limits.shift, bias=bias,
                negative_thresholds=limits.threshold(below), emission=emission,
                state_range=limits.state,
            )
        )  # fmt: skip

    def integrators(
        self, label: str, x: str, levels: IntArray, emission: IntArray | None, last: int, total: int
    ) -> str:
        """Neurons that add up to |``total``| over a sample and count ``levels``, in step ``last``.

        Until then nothing is sent: the levels are out of reach, and a bias switched on in step
        ``last`` brings them down.  ``last`` < 0: counted in every step.
        """
        limits = self.limits
        if limits.hold is None or limits.reset_never is None:
            raise RewriteError(
                "it needs neurons that add up over the sample, and the target has none",
                "choose a target whose neurons can keep their potential through a spike",
            )
        lift = total if last >= 0 else 0
        self._fits(x, 2 * total + lift)
        bias = (GatedBias(np.array(lift << limits.shift), last),) if lift else ()
        return self._made(
            Neuron(
                self.name(label), (x,), self.shape(x), limits.threshold(levels + lift),
                limits.reset_never, leak=limits.hold, input_shift=limits.shift, bias=bias,
                emission=emission, state_range=limits.state,
            )
        )  # fmt: skip

    def _fits(self, x: str, magnitude: int) -> None:
        high = self.limits.state.high >> self.limits.shift
        if magnitude > high:
            raise RewriteError(
                f"potentials up to {magnitude}, and the target's hold {high}",
                "quantize with fewer weight bits",
            )

    def _made(self, neuron: Neuron) -> str:
        self.made.setdefault(self.owner, []).append(neuron.name)
        return self.keep(neuron)

    # --- bounds --------------------------------------------------------------------------------

    def claim(self, name: str, bounds: Bounds) -> None:
        """State bounds that are narrower than those of the operators."""
        self._bounds[name] = bounds

    def extent(self, name: str) -> tuple[int, int]:
        """Smallest and largest value of any element, 0 (silence) included."""
        low, high = self.bounds(name)
        return min(0, int(low.min(initial=0))), max(0, int(high.max(initial=0)))

    def bounds(self, name: str) -> Bounds:
        """Bounds by interval arithmetic; the sources of a tensor count as independent."""
        if name not in self._bounds:
            self._bounds[name] = self._derived(self.nodes[name])
        return self._bounds[name]

    def _derived(self, node: IntegerNode) -> Bounds:
        size = size_of(self.shape(node.name))
        if isinstance(node, Input):
            return _constant(node.type.low, size), _constant(node.type.high, size)
        if isinstance(node, Neuron):
            state = node.state_range
            least, most = (state.low, state.high) if node.emit == "state" else node.emitted
            return _constant(min(least, 0), size), _constant(max(most, 0), size)
        low, high = _constant(0, size), _constant(0, size)
        shapes = [self.shape(source) for source in node.inputs]
        for position, source in enumerate(node.inputs):
            below, above = self.bounds(source)
            matrix = operator_matrix(node, position, shapes)
            if matrix is None:
                low, high = low + below, high + above
            else:
                positive, negative = matrix.maximum(0), matrix.minimum(0)
                low = low + (positive @ below + negative @ above)
                high = high + (positive @ above + negative @ below)
        if isinstance(node, Delay | Barrier):  # silent steps
            return np.minimum(low, 0), np.maximum(high, 0)
        return low, high


def product_bounds(a: Bounds, b: Bounds) -> Bounds:
    """Bounds of the elementwise product."""
    corners = np.stack([x * y for x in a for y in b])
    return corners.min(axis=0), corners.max(axis=0)


def selection(columns: IntArray, rows: IntArray, shape: tuple[int, int]) -> sparse.csr_array:
    """A matrix of ones at (row, column)."""
    return sparse.csr_array((np.ones(columns.size, np.int64), (rows, columns)), shape=shape)


def _empty(rows: int, columns: int) -> sparse.csr_array:
    return sparse.csr_array((rows, columns), dtype=np.int64)


def _constant(value: int, size: int) -> IntArray:
    return np.full(size, value, np.int64)


def joined(parts: Iterable[Any]) -> IntArray:
    """Arrays of integers one after the other."""
    return np.concatenate([np.zeros(0, np.int64), *parts])
