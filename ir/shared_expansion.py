"""The expansion of a network whose convolutions are not written out.

As ``snnc.ir.expand``, but a chain that is one convolution (of convolutions, sum pools, sums and
delays) is held as rows that share shapes, built from the kernel.  What is none, such as a dense
layer, is written out first.
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
from snnc.ir.picked_channels import conv_of_index
from snnc.ir.row_shapes import conv_rows, narrow
from snnc.ir.rows import Rows, shared_rows
from snnc.ir.weights import Conv, Dense

SHARED_FROM = 50_000_000
"""Synapses from which on a network is not written out."""


@dataclass(frozen=True)
class Kernels:
    """What a projection has to be for a core to store kernels instead of its rows.

    There is one kernel per input channel and output channel with a weight between them.

    Attributes:
        pixels, outputs: elements of an input channel and of an output channel.
        taps: weights of a kernel, zeros included.
        path: the convolutions and pools that it is made of, by name.  Senders whose spikes are
            added up before them share their kernels.
    """

    pixels: int
    outputs: int
    taps: int
    path: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SharedProjection:
    """As ``Projection``, with rows that share shapes: row i is what source element i reaches.

    ``kernels`` tells what they are made of where the projection is one convolution, or the
    identity, which is a convolution of one tap channel by channel.
    """

    source: str
    population: str
    delay: int
    rows: Rows
    targets: int
    kernels: Kernels | None = None

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


def expand_large(network: IntegerNetwork, *, kernels: bool = False) -> AnyExpansion:
    """Shared rows for a large network, else ``expand``; raises as that.

    Large are ``SHARED_FROM`` synapses, if sharing shapes halves what is stored.

    Args:
        kernels: the target's cores may store kernels; then rows are shared at any size, because
            a row written out does not tell the kernel it is from.
    """
    if kernels:
        return expand_shared(network)
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
            term, shape = terms.pop((source, delay)), network.shapes[source]
            rows, kernels = _rows(term, size_of(shape)), _kernels(term, shape)
            made.append(SharedProjection(source, neuron.name, delay, rows, neuron.size, kernels))
    return SharedExpansion(outline.inputs, outline.populations, tuple(made), outline.readout)


@dataclass(frozen=True, eq=False)
class _Chain:
    """A convolution, as a term: what it convolves has ``shape``."""

    conv: Conv
    shape: Shape
    path: tuple[str, ...]

    @property
    def output(self) -> Shape:
        return self.conv.output_shape("chain", self.shape)

    def matrix(self) -> sparse.csr_array:
        return weight_matrix(self.conv, self.shape)


Term: TypeAlias = _Chain | sparse.csr_array | None
"""A matrix [elements of a node, elements of the source]; None: the identity."""


def _kernels(term: Term, shape: Shape) -> Kernels | None:
    """What a term from a source of this shape is made of; None: no convolution."""
    if term is None:
        return Kernels(size_of(shape[1:]), size_of(shape[1:]), 1)
    if isinstance(term, _Chain):
        taps = size_of(term.conv.kernel)
        return Kernels(size_of(term.shape[1:]), size_of(term.output[1:]), taps, term.path)
    return None


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
    conv = _convolution(node, position, shapes)
    if conv is not None:
        if inner is None:
            return _Chain(conv, shape, (node.name,))
        if isinstance(inner, _Chain) and inner.output == shape:
            both = composed(inner.conv, inner.shape, conv)
            if both is not None:
                return _Chain(both, inner.shape, (*inner.path, node.name))
    operator = operator_matrix(node, position, shapes)
    if operator is None or inner is None:
        return operator if inner is None else inner
    return operator @ (inner.matrix() if isinstance(inner, _Chain) else inner)


def _convolution(node: IntegerNode, position: int, shapes: list[Shape]) -> Conv | None:
    if isinstance(node, Index):
        return conv_of_index(node, position, shapes)
    if isinstance(node, Linear) and isinstance(node.weights, Conv):
        return node.weights
    if isinstance(node, Pool) and node.op == "sum":
        return conv_of_pool(node, shapes[position][0])
    return None


def composed(first: Conv, shape: Shape, then: Conv) -> Conv | None:
    """``then`` after ``first`` as one convolution, or None.

    One of the two must treat channels alone, as a pool does, or have a single tap; and what
    ``then`` pads with zeros must be what ``first`` would have computed there, beyond its own
    padding.

    Args:
        first, then: the operators.
        shape: of the input of ``first``.
    """
    alone = [c.groups == c.values.shape[0] == c.values.shape[1] * c.groups for c in (first, then)]
    mixed = not any(alone)
    if (mixed and not _mixable(first, then)) or any(d != 1 for d in then.dilation):
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
    if mixed:
        values = _mixed_kernel(first, then)
    else:
        values = _composed_kernel(first, then, by_first=alone[1])
    stride = tuple(a * b for a, b in zip(first.stride, then.stride, strict=True))
    groups = first.groups if alone[1] and not mixed else then.groups
    result = Conv(values, stride, tuple(padding), (1,) * len(stride), groups)
    wanted = then.output_shape("chain", out)
    return result if result.output_shape("chain", shape) == wanted else None


def _mixable(first: Conv, then: Conv) -> bool:
    """Whether channels of both may be multiplied out, exactly and without many sums of taps."""
    if first.groups != 1 or then.groups != 1:
        return False
    if size_of(first.kernel) > 1 and size_of(then.kernel) > 1:
        return False
    largest = float(np.abs(first.values).max()) * float(np.abs(then.values).max())
    return largest * first.values.shape[0] < 2**53


def _mixed_kernel(first: Conv, then: Conv) -> IntArray:
    """[out, in, *taps] of two convolutions of which one has a single tap.

    In floating point, where products are fast; ``_mixable`` knows that they are exact.
    """
    out, into = then.values.shape[0], first.values.shape[1]
    if size_of(then.kernel) == 1:
        extent = tuple((k - 1) * d + 1 for k, d in zip(first.kernel, first.dilation, strict=True))
        place = tuple(slice(None, None, d) for d in first.dilation)
        left = then.values.reshape(out, -1).astype(np.float64)
        product = left @ first.values.reshape(first.values.shape[0], -1).astype(np.float64)
        taps = product.reshape(out, into, *first.kernel)
    else:
        extent = tuple((k - 1) * s + 1 for k, s in zip(then.kernel, first.stride, strict=True))
        place = tuple(slice(None, None, s) for s in first.stride)
        by_tap = np.moveaxis(then.values.reshape(out, then.values.shape[1], -1), 1, 2)
        product = by_tap.astype(np.float64) @ first.values.reshape(-1, into).astype(np.float64)
        taps = np.moveaxis(product, 2, 1).reshape(out, into, *then.kernel)
    values = np.zeros((out, into, *extent), np.int64)
    values[(slice(None), slice(None), *place)] = np.rint(taps).astype(np.int64)
    return values


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
