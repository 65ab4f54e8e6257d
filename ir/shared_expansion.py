"""The expansion of a network whose convolutions are not written out.

As ``snnc.ir.expand``, but a chain that is one convolution (of convolutions, sum pools, picks, sums
and delays) is held as rows that share shapes, built from the kernel.  A dense layer of a population
is one of a single pixel.  What is none is written out first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from scipy import sparse

from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.expand import (
    Expansion,
    Projection,
    TermWalk,
    conv_of_pool,
    expand,
    expand_outline,
    operator_matrix,
    weight_matrix,
)
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Add, Barrier, Delay, Index, Input, Linear, Pool
from snnc.ir.picks import copying, pick_of, picked
from snnc.ir.row_shapes import conv_rows, narrow
from snnc.ir.rows import Rows, shared_rows
from snnc.ir.weights import Conv, Dense

SHARED_FROM = 50_000_000
"""Synapses from which on a network is not written out."""


@dataclass(frozen=True, eq=False)
class SharedProjection:
    """As ``Projection``, with rows that share shapes: row i is what source element i reaches."""

    source: str
    population: str
    delay: int
    rows: Rows
    targets: int

    @property
    def synapses(self) -> int:
        """Number of synapses, however they are stored."""
        return self.rows.synapses

    def plain(self) -> Projection:
        """All synapses written out."""
        row_ptr, target, weight = self.rows.plain()
        return Projection(
            self.source, self.population, self.delay, row_ptr, target, weight.astype(np.int64),
            self.targets,
        )  # fmt: skip


@dataclass(frozen=True)
class SharedExpansion:
    """As ``Expansion``, with shared rows."""

    inputs: tuple[Input, ...]
    populations: tuple[Neuron, ...]
    projections: tuple[SharedProjection, ...]
    readout: dict[str, str]


AnyExpansion = Expansion | SharedExpansion


def expand_large(network: IntegerNetwork) -> AnyExpansion:
    """Shared rows for a large network, else ``expand``; raises as that.

    Large are ``SHARED_FROM`` synapses, if sharing shapes halves what is stored.
    """
    if _most_synapses(network) < SHARED_FROM:
        return expand(network)
    shared = expand_shared(network)
    synapses = sum(p.synapses for p in shared.projections)
    stored = sum(p.rows.offset.size for p in shared.projections)
    return shared if synapses >= SHARED_FROM and 2 * stored < synapses else expand(network)


def _most_synapses(network: IntegerNetwork) -> float:
    """About how many synapses there are, from the shapes alone: borders count as the middle."""
    fan_in: dict[str, float] = {}
    for node in network.order:
        mine = 1.0
        if isinstance(node, Linear):
            rows = node.weights.values.shape[0]
            if not isinstance(node.weights, Conv | Dense):
                rows = node.weights.row_ptr.size - 1
            mine = node.weights.values.size / rows
        elif isinstance(node, Pool):
            mine = float(size_of(node.kernel))
        fan_in[node.name] = mine
        if not isinstance(node, Input | Neuron | Delay):
            fan_in[node.name] *= sum(fan_in.get(source, 1.0) for source in node.inputs)
        if isinstance(node, Neuron):
            fan_in[node.name] = 1.0
    reach = {n.name: fan_in.get(n.inputs[0], 1.0) for n in network.populations}
    return sum(reach[n.name] * n.size for n in network.populations)


def expand_shared(network: IntegerNetwork) -> SharedExpansion:
    """Expand a network with shared rows; raises as ``expand``."""
    outline = expand_outline(network)
    terms_of = _walk(network)
    made: list[SharedProjection] = []
    for neuron in network.populations:
        terms = terms_of(neuron.inputs[0])
        for source, delay in sorted(terms):
            rows = _rows(terms.pop((source, delay)), size_of(network.shapes[source]))
            made.append(SharedProjection(source, neuron.name, delay, rows, neuron.size))
    return SharedExpansion(outline.inputs, outline.populations, tuple(made), outline.readout)


@dataclass(frozen=True, eq=False)
class _Chain:
    """A convolution, as a term: what it convolves has ``shape``."""

    conv: Conv
    shape: Shape

    @property
    def output(self) -> Shape:
        return self.conv.output_shape("chain", self.shape)

    def matrix(self) -> sparse.csr_array:
        return weight_matrix(self.conv, self.shape)


Term: TypeAlias = _Chain | sparse.csr_array | None
"""A matrix [elements of a node, elements of the source]; None: the identity."""


def _rows(term: Term, size: int) -> Rows:
    if isinstance(term, _Chain):
        return conv_rows(term.conv, term.shape)
    if term is None:
        row_ptr = np.arange(size + 1, dtype=np.int64)
        return shared_rows(row_ptr, row_ptr[:-1], np.ones(size, np.int8))
    by_source = sparse.csr_array(term.T)
    by_source.sum_duplicates()
    by_source.eliminate_zeros()
    by_source.sort_indices()
    ptr: IntArray = by_source.indptr.astype(np.int64)
    return shared_rows(ptr, by_source.indices, narrow(by_source.data))


def _walk(network: IntegerNetwork) -> TermWalk[_Chain | sparse.csr_array]:
    """The walk whose terms stay convolutions where they can."""

    def operator(node: IntegerNode, position: int, shapes: list[Shape]) -> Callable[[Term], Term]:
        return partial(_applied, node, position, shapes)

    def added(left: Term, right: Term, source: str) -> Term:
        size = size_of(network.shapes[source])
        return _matrix(left, size) + _matrix(right, size)

    return TermWalk(network, operator, added)


def _matrix(term: Term, size: int) -> sparse.csr_array:
    if isinstance(term, _Chain):
        return term.matrix()
    return sparse.eye_array(size, dtype=np.int64, format="csr") if term is None else term


def _applied(node: IntegerNode, position: int, shapes: list[Shape], inner: Term) -> Term:
    """The operator after a term; a chain stays one where it can."""
    shape = shapes[position]
    if isinstance(node, Add | Delay | Barrier):
        return inner
    if isinstance(node, Index) and node.index is None and len(shapes) == 1:
        return inner
    if isinstance(node, Index) and len(shapes) == 1:
        chain = _picked(node, inner, shape)
        if chain is not None:
            return chain
    if inner is None and isinstance(node, Linear) and isinstance(node.weights, Dense):
        values = node.weights.values
        return _Chain(Conv(values[..., None], (1,), ((0, 0),), (1,)), (values.shape[1], 1))
    conv = _convolution(node, shape)
    if conv is not None:
        if inner is None:
            return _Chain(conv, shape)
        if isinstance(inner, _Chain) and inner.output == shape:
            both = composed(inner.conv, inner.shape, conv)
            if both is not None:
                return _Chain(both, inner.shape)
    operator = operator_matrix(node, position, shapes)
    if operator is None or inner is None:
        return operator if inner is None else inner
    return operator @ (inner.matrix() if isinstance(inner, _Chain) else inner)


def _picked(node: Index, inner: Term, shape: Shape) -> _Chain | None:
    """An index that picks from a convolution, or from a source of ``shape``; None: another."""
    assert node.index is not None
    if inner is not None and not (isinstance(inner, _Chain) and inner.output == shape):
        return None
    pick = pick_of(node.index, node.shape, shape)
    if pick is None or len(shape) > 4:
        return None
    conv = copying(shape[0], len(shape) - 1, pick) if inner is None else inner.conv
    source = shape if inner is None else inner.shape
    result = picked(conv, source, pick)
    return None if result is None else _Chain(result, source)


def _convolution(node: IntegerNode, shape: Shape) -> Conv | None:
    if isinstance(node, Linear) and isinstance(node.weights, Conv):
        return node.weights
    if isinstance(node, Pool) and node.op == "sum":
        return conv_of_pool(node, shape[0])
    return None


def composed(first: Conv, shape: Shape, then: Conv) -> Conv | None:
    """``then`` after ``first`` as one convolution, or None.

    One of the two must treat channels alone, as a pool does; and what ``then`` pads with zeros
    must be what ``first`` would have computed there, beyond its own padding.

    Args:
        first, then: the operators.
        shape: of the input of ``first``.
    """
    alone = [c.groups == c.values.shape[0] == c.values.shape[1] * c.groups for c in (first, then)]
    if not any(alone) or any(d != 1 for d in then.dilation):
        return None
    out = first.output_shape("chain", shape)
    padding = []
    for axis, extent in enumerate(out[1:]):
        before, after = then.padding[axis]
        step, mine = first.stride[axis], first.padding[axis]
        beyond = np.concatenate([np.arange(-before, 0), np.arange(extent, extent + after)])
        read = np.add.outer(
            beyond * step - mine[0], np.arange(first.kernel[axis]) * first.dilation[axis]
        )
        if ((read >= 0) & (read < shape[1 + axis])).any():
            return None
        reach = (first.kernel[axis] - 1) * first.dilation[axis]
        last = (extent + after - 1) * step - mine[0] + reach
        # So much padding that ``then`` ends where it ended; ``read`` shows that it holds zeros.
        padding.append((mine[0] + before * step, max(0, last + 1 - shape[1 + axis])))
    values = _composed_kernel(first, then, by_first=alone[1])
    stride = tuple(a * b for a, b in zip(first.stride, then.stride, strict=True))
    groups = first.groups if alone[1] else then.groups
    result = Conv(values, stride, tuple(padding), (1,) * len(stride), groups)
    wanted = then.output_shape("chain", out)
    return result if result.output_shape("chain", shape) == wanted else None


def _composed_kernel(first: Conv, then: Conv, *, by_first: bool) -> IntArray:
    """[out, in / groups, *taps]: every tap of ``then`` adds a copy of ``first``'s kernel.

    Args:
        by_first: ``then`` treats channels alone, so that ``first`` tells who reads whom.
    """
    extent = tuple(
        (b - 1) * s + (a - 1) * d + 1
        for a, b, s, d in zip(first.kernel, then.kernel, first.stride, first.dilation, strict=True)
    )
    reader = first if by_first else then
    values = np.zeros((*reader.values.shape[:2], *extent), np.int64)
    into = reader.values.shape[1]
    group = np.arange(reader.values.shape[0]) // (reader.values.shape[0] // reader.groups)
    channel = group[:, None] * into + np.arange(into)  # [out, in / groups] input channels
    for tap in np.ndindex(then.kernel):
        place = tuple(
            slice(t * s, t * s + (k - 1) * d + 1, d)
            for t, s, k, d in zip(tap, first.stride, first.kernel, first.dilation, strict=True)
        )
        if by_first:
            weight = then.values[(slice(None), 0, *tap)]
            values[(slice(None), slice(None), *place)] += first.values * weight.reshape(
                -1, *(1,) * (first.values.ndim - 1)
            )
        else:
            weight = then.values[(slice(None), slice(None), *tap)]
            mine = first.values[:, 0][channel]
            values[(slice(None), slice(None), *place)] += mine * weight.reshape(
                *weight.shape, *(1,) * (first.values.ndim - 2)
            )
    return values
