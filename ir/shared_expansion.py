"""The expansion of a network whose convolutions are not written out.

As ``snnc.ir.expand``, but a chain that is one convolution (of convolutions, sum pools, picks, sums
and delays) is held as rows that share shapes, built from the kernel.  A dense layer of a population
is one of a single pixel.  What is none is written out first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from scipy import sparse

from snnc.ir.arrays import Shape, size_of
from snnc.ir.compositions import composed, identity, summed
from snnc.ir.expand import (
    Expansion,
    Projection,
    TermWalk,
    as_projection,
    by_source,
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
        path: the convolutions and pools that it is made of, by name, "" between those that are
            added up.  Senders whose spikes are added up before them share their kernels.
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
AnyProjection = Projection | SharedProjection


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
class ConvTerm:
    """A convolution of one source that a population adds up; what it convolves has ``shape``."""

    source: str
    delay: int
    conv: Conv
    shape: Shape


def convolutions_of(network: IntegerNetwork, population: str) -> tuple[ConvTerm, ...] | None:
    """All that a population adds up, if it is nothing but convolutions; raises as ``expand``."""
    terms, result = _walk(network)(network.node[population].inputs[0]), []
    for source, delay in sorted(terms):
        term, shape = terms.pop((source, delay)), network.shapes[source]
        if term is None and 2 <= len(shape) <= 4:
            term = _Chain(identity(shape), shape, ())
        if not isinstance(term, _Chain):
            return None
        result.append(ConvTerm(source, delay, term.conv, term.shape))
    return tuple(result)


def each_projection(network: IntegerNetwork, least: int) -> Iterator[AnyProjection]:
    """The projections one at a time, population by population; raises as ``expand``.

    Convolutions of at least so many synapses have shared rows, if that halves what is stored; all
    others are written out.
    """
    terms_of = _walk(network)
    for neuron in network.populations:
        terms = terms_of(neuron.inputs[0])
        for source, delay in sorted(terms):
            term = terms.pop((source, delay))
            if not isinstance(term, _Chain):
                matrix = _matrix(term, size_of(network.shapes[source]))
                yield as_projection(source, neuron, delay, by_source(matrix))
                continue
            rows = conv_rows(term.conv, term.shape)
            shared = SharedProjection(source, neuron.name, delay, rows, neuron.size)
            few = shared.synapses < max(least, 2 * rows.offset.size)
            yield shared.plain() if few else shared


def fan_in(network: IntegerNetwork, populations: Iterable[str]) -> dict[str, int]:
    """Synapses of every one of these populations, by name; raises as ``expand``."""
    terms_of, result = _walk(network), {}
    for name in populations:
        result[name] = 0
        for (source, _), term in terms_of(network.node[name].inputs[0]).items():
            if isinstance(term, _Chain):
                result[name] += conv_rows(term.conv, term.shape).synapses
            else:
                rows = by_source(_matrix(term, size_of(network.shapes[source])))
                result[name] += int(np.count_nonzero(rows.data))
    return result


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
    """What a term from a source of this shape is made of; None: no convolution over pixels."""
    if term is None:
        return Kernels(size_of(shape[1:]), size_of(shape[1:]), 1)
    if isinstance(term, _Chain) and size_of(term.shape[1:]) > 1:
        taps = size_of(term.conv.kernel)
        return Kernels(size_of(term.shape[1:]), size_of(term.output[1:]), taps, term.path)
    return None


def _rows(term: Term, size: int) -> Rows:
    if isinstance(term, _Chain):
        return conv_rows(term.conv, term.shape)
    if term is None:
        row_ptr = np.arange(size + 1, dtype=np.int64)
        return shared_rows(row_ptr, row_ptr[:-1], np.ones(size, np.int8))
    rows = by_source(term)
    rows.eliminate_zeros()
    return shared_rows(rows.indptr.astype(np.int64), rows.indices, narrow(rows.data))


def _walk(network: IntegerNetwork) -> TermWalk[_Chain | sparse.csr_array]:
    """The walk whose terms stay convolutions where they can."""

    def operator(node: IntegerNode, position: int, shapes: list[Shape]) -> Callable[[Term], Term]:
        return partial(_applied, node, position, shapes)

    def added(left: Term, right: Term, source: str) -> Term:
        both = _summed(left, right)
        if both is not None:
            return both
        size = size_of(network.shapes[source])
        return _matrix(left, size) + _matrix(right, size)

    return TermWalk(network, operator, added)


def _summed(left: Term, right: Term) -> _Chain | None:
    """Two terms of one source as one chain, if they are chains, or one is and the other nothing."""
    if left is None:
        left, right = right, left
    if not isinstance(left, _Chain):
        return None
    if right is None and left.output == left.shape:
        right = _Chain(identity(left.shape), left.shape, ())
    if not isinstance(right, _Chain) or (left.shape, left.output) != (right.shape, right.output):
        return None
    both = summed(left.conv, right.conv, left.shape)
    return None if both is None else _Chain(both, left.shape, (*left.path, "", *right.path))


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
    if inner is None and isinstance(node, Linear) and isinstance(node.weights, Dense):
        values = node.weights.values
        pixel = Conv(values[..., None], (1,), ((0, 0),), (1,))
        return _Chain(pixel, (values.shape[1], 1), (node.name,))
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
