"""Definitional expansion of an integer network into populations and synapse matrices.

Between two populations an integer network may have any chain of linear operators (pool, conv,
reshape, add, delay).  Their composition is one integer matrix per logical delay: exact by
linearity, and what both a chip and a fast simulator work with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from scipy import sparse

from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.errors import UnsupportedError
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.jit import lean_kernel
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Add, Barrier, Delay, Index, Input, Linear, Output, Pool
from snnc.ir.weights import Conv, Dense, Weights


@dataclass(frozen=True, eq=False)
class Projection:
    """All synapses from one source to one population with one logical delay, rows by source.

    ``target[row_ptr[i]:row_ptr[i+1]]`` are the flat neuron indices that source element i reaches,
    ``weight`` the integers it adds there ``delay`` steps later (before ``input_shift``).  A
    negative delay crosses a barrier: an early step of the population reads a later one.
    """

    source: str
    population: str
    delay: int
    row_ptr: IntArray
    target: IntArray
    weight: IntArray
    targets: int

    @property
    def synapses(self) -> int:
        """Number of stored synapses."""
        return int(self.target.size)


@dataclass(frozen=True)
class Expansion:
    """An integer network as populations and projections.

    ``readout`` maps each output to the population it reads.
    """

    inputs: tuple[Input, ...]
    populations: tuple[Neuron, ...]
    projections: tuple[Projection, ...]
    readout: dict[str, str]


T = TypeVar("T")
"""What stands for a matrix [elements of a node, elements of the source]."""


def expand(network: IntegerNetwork) -> Expansion:
    """Expand a network; raises ``UnsupportedError`` at an operator that is not linear."""
    outline = expand_outline(network)
    return replace(outline, projections=tuple(each_projection(network)))


def expand_outline(network: IntegerNetwork) -> Expansion:
    """The expansion without projections; raises as ``expand``."""
    readout = {}
    for output in network.of_type(Output):
        source = output.inputs[0]
        if not isinstance(network.node[source], Neuron):
            raise UnsupportedError(
                "an output must read a population on a chip",
                where=output.name,
                found=f"{type(network.node[source]).__name__} {source}",
                remedy="the legalize stage inserts readout populations",
            )
        readout[output.name] = source
    return Expansion(network.of_type(Input), network.populations, (), readout)


def each_projection(
    network: IntegerNetwork, only: Collection[str] | None = None
) -> Iterator[Projection]:
    """The projections one at a time, population by population; raises as ``expand``.

    ``only``: those into these populations; None: into all.
    """
    terms_of = _matrices(network)
    for neuron in network.populations:
        if only is not None and neuron.name not in only:
            continue
        for source, delay, rows in _rows(network, neuron, terms_of):
            yield as_projection(source, neuron, delay, rows)


def as_projection(source: str, neuron: Neuron, delay: int, rows: sparse.csr_array) -> Projection:
    """The projection of a matrix [sources, targets], which is used up."""
    rows.eliminate_zeros()
    return Projection(
        source,
        neuron.name,
        delay,
        rows.indptr.astype(np.int64, copy=False),
        rows.indices.astype(np.int32, copy=False),
        rows.data.astype(np.int64, copy=False),
        neuron.size,
    )


def _rows(
    network: IntegerNetwork, neuron: Neuron, terms_of: TermWalk[sparse.csr_array]
) -> Iterator[tuple[str, int, sparse.csr_array]]:
    """(source, delay, matrix [sources, targets]) of all that a population adds up."""
    node = network.node[neuron.inputs[0]]
    if isinstance(node, Linear) and isinstance(node.weights, Conv):
        source = node.inputs[0]
        if isinstance(network.node[source], Input | Neuron):  # the usual case, without detours
            yield source, 0, _conv_matrix(node.weights, network.shapes[source], by_source=True)
            return
    terms = terms_of(node.name)
    for source, delay in sorted(terms):
        yield source, delay, by_source(_matrix(terms.pop((source, delay)), network, source))


def by_source(matrix: sparse.csr_array) -> sparse.csr_array:
    """A matrix [targets, sources] as rows of targets, which rise and repeat nothing."""
    rows = sparse.csr_array(matrix.T)
    rows.sum_duplicates()
    rows.sort_indices()
    return rows


def _matrix(
    matrix: sparse.csr_array | None, network: IntegerNetwork, source: str
) -> sparse.csr_array:
    if matrix is None:
        return sparse.eye_array(size_of(network.shapes[source]), dtype=np.int64, format="csr")
    return matrix


class TermWalk(Generic[T]):
    """Call with a node's name for its terms by (source, delay), of which None is the identity.

    What several nodes read is kept for the next.

    Args:
        network: whose operators are walked up to inputs and populations.
        operator: of (node, operand, shapes of the operands), what the node does to a term.
        added: the sum of two terms from the source named.
    """

    def __init__(
        self,
        network: IntegerNetwork,
        operator: Callable[[IntegerNode, int, list[Shape]], Callable[[T | None], T | None]],
        added: Callable[[T | None, T | None, str], T | None],
    ) -> None:
        self._network, self._operator, self._added = network, operator, added
        self._readers = Counter(source for node in network.nodes for source in node.inputs)
        self._kept: dict[str, dict[tuple[str, int], T | None]] = {}

    def __call__(self, name: str) -> dict[tuple[str, int], T | None]:
        """The terms of a node; raises as ``expand``."""
        if name in self._kept:
            return dict(self._kept[name])
        node = self._network.node[name]
        if isinstance(node, Input | Neuron):
            return {(name, 0): None}
        operands, steps = [self(source) for source in node.inputs], late(node)
        shapes = [self._network.shapes[source] for source in node.inputs]
        result: dict[tuple[str, int], T | None] = {}
        for position, terms in enumerate(operands):
            apply = self._operator(node, position, shapes)
            for (source, delay), inner in terms.items():
                key, product = (source, delay + steps), apply(inner)
                if key in result:
                    product = self._added(result[key], product, source)
                result[key] = product
        if self._readers[name] > 1:
            self._kept[name] = dict(result)
        return result


def _matrices(network: IntegerNetwork) -> TermWalk[sparse.csr_array]:
    """The walk whose terms are written out."""

    def added(
        left: sparse.csr_array | None, right: sparse.csr_array | None, source: str
    ) -> sparse.csr_array:
        return _matrix(left, network, source) + _matrix(right, network, source)

    return TermWalk(network, _times, added)


def _times(
    node: IntegerNode, position: int, shapes: list[Shape]
) -> Callable[[sparse.csr_array | None], sparse.csr_array | None]:
    operator = operator_matrix(node, position, shapes)

    def product(inner: sparse.csr_array | None) -> sparse.csr_array | None:
        if operator is None or inner is None:
            return inner if operator is None else operator
        return operator @ inner

    return product


def late(node: IntegerNode) -> int:
    """Logical steps from what a node reads to what it makes; negative: it reads a later step."""
    if isinstance(node, Delay):
        return node.steps
    return 1 - node.steps if isinstance(node, Barrier) else 0


def operator_matrix(
    node: IntegerNode, position: int, shapes: list[Shape]
) -> sparse.csr_array | None:
    """The operator as a matrix on its operand ``position``; None is the identity.

    Raises:
        UnsupportedError: the operator is not linear.
    """
    shape = shapes[position]
    if isinstance(node, Linear):
        return weight_matrix(node.weights, shape)
    if isinstance(node, Pool) and node.op == "sum":
        return weight_matrix(conv_of_pool(node, shape[0]), shape)
    if isinstance(node, Index):
        return _index_matrix(node, position, shapes)
    if isinstance(node, Add | Delay | Barrier):
        return None
    raise UnsupportedError(
        f"{type(node).__name__} is not a synapse: no chip core here computes it",
        where=node.name,
        remedy="the reference simulator runs it; see docs/ir.md for what maps to cores",
    )


def conv_of_pool(pool: Pool, channels: int) -> Conv:
    """A sum pool as a convolution, channel by channel."""
    ones = np.ones((channels, 1, *pool.kernel), np.int64)
    return Conv(ones, pool.stride, pool.padding, (1,) * len(pool.kernel), channels)


def _index_matrix(node: Index, position: int, shapes: list[Shape]) -> sparse.csr_array | None:
    if node.index is None and len(shapes) == 1:
        return None
    first = sum(size_of(shape) for shape in shapes[:position])
    size = size_of(shapes[position])
    index = np.arange(size_of(node.shape)) if node.index is None else node.index
    mine = np.flatnonzero((index >= first) & (index < first + size))
    entries = (np.ones(mine.size, np.int64), (mine, index[mine] - first))
    return sparse.csr_array(entries, shape=(index.size, size))


def weight_matrix(weights: Weights, shape: Shape) -> sparse.csr_array:
    """Any linear operator on an input of ``shape`` as an integer matrix [outputs, inputs]."""
    if isinstance(weights, Dense):
        return sparse.csr_array(weights.values)
    if isinstance(weights, Conv):
        return _conv_matrix(weights, shape)
    triple = (weights.values, weights.column, weights.row_ptr)
    return sparse.csr_array(triple, shape=(weights.row_ptr.size - 1, weights.inputs))


def _conv_matrix(conv: Conv, shape: Shape, *, by_source: bool = False) -> sparse.csr_array:
    """Unroll a convolution: one entry per (output element, kernel tap inside the image).

    Args:
        conv: the operator.
        shape: of its input.
        by_source: return the transpose, [inputs, outputs], without the way over the matrix.
    """
    out_shape = conv.output_shape("conv", shape)
    out_channels, in_per_group = conv.values.shape[:2]
    spatial_in, spatial_out = size_of(shape[1:]), size_of(out_shape[1:])
    output, source, taps = _window_pairs(conv, shape[1:], out_shape[1:])
    kernel = conv.values.reshape(out_channels, in_per_group, -1)
    if not by_source:
        return _unrolled(kernel, spatial_in, shape[0], (output, spatial_out), source, taps)
    grouped = kernel.reshape(conv.groups, -1, in_per_group, kernel.shape[2])
    turned = grouped.transpose(0, 2, 1, 3).reshape(shape[0], -1, kernel.shape[2])
    order = np.lexsort((output, source))
    rows = source[order], spatial_in
    return _unrolled(turned, spatial_out, out_channels, rows, output[order], taps[order])


def _unrolled(
    kernel: IntArray, spatial: int, channels: int, rows: tuple[IntArray, int], column: IntArray,
    taps: IntArray,
) -> sparse.csr_array:  # fmt: skip
    """Entries (channel x row position, channel x column position) of all pairs of positions.

    Args:
        kernel: [row channels, column channels of a group, taps].
        spatial: positions of a column channel.
        channels: column channels.
        rows: [pairs] row position, rising; and the number of positions.
        column: [pairs] column position, rising within a row.
        taps: [pairs] kernel tap.
    """
    window = np.bincount(rows[0], minlength=rows[1])
    pointers = np.zeros(kernel.shape[0] * rows[1] + 1, np.int64)
    pointers[1:] = np.cumsum(np.tile(window * kernel.shape[1], kernel.shape[0]))
    size = (pointers.size - 1, channels * spatial)
    small = max(size[1], int(pointers[-1])) < 2**31
    index = np.empty(pointers[-1], np.int32 if small else np.int64)
    value = np.empty(pointers[-1], kernel.dtype)  # real numbers, too: normalise works on them
    group = kernel.shape[0] * kernel.shape[1] // channels
    _unroll(
        np.ascontiguousarray(kernel), group, spatial, np.concatenate([[0], np.cumsum(window)]),
        column, taps, index, value,
    )  # fmt: skip
    matrix = sparse.csr_array((value, index, pointers.astype(index.dtype)), shape=size)
    matrix.has_canonical_format = True  # rows rise and repeat nothing
    return matrix


@lean_kernel
def _unroll(
    kernel: IntArray, group: int, spatial: int, window_ptr: IntArray, position: IntArray,
    tap: IntArray, column: IntArray, value: IntArray,
) -> None:  # fmt: skip
    """Fill the rows, one after the other; ``group`` row channels meet the same columns."""
    written = 0
    for o in range(kernel.shape[0]):
        first = (o // group) * kernel.shape[1]
        for p in range(window_ptr.size - 1):
            for i in range(kernel.shape[1]):
                base = (first + i) * spatial
                for k in range(window_ptr[p], window_ptr[p + 1]):
                    column[written] = base + position[k]
                    value[written] = kernel[o, i, tap[k]]
                    written += 1


def _window_pairs(
    conv: Conv, extent: Shape, out_extent: Shape
) -> tuple[IntArray, IntArray, IntArray]:
    """(output position, input position, kernel tap) of every window tap inside the image."""
    out_index = np.indices(out_extent).reshape(len(extent), -1)
    tap_index = np.indices(conv.kernel).reshape(len(extent), -1)
    position = np.zeros((out_index.shape[1], tap_index.shape[1]), np.int64)
    inside = np.ones(position.shape, bool)
    for axis, n in enumerate(extent):
        x = (
            out_index[axis][:, None] * conv.stride[axis]
            + tap_index[axis][None, :] * conv.dilation[axis]
            - conv.padding[axis][0]
        )
        inside &= (x >= 0) & (x < n)
        position = position * n + x
    rows, taps = np.nonzero(inside)
    return rows, position[rows, taps], taps
