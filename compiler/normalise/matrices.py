"""Real linear operators as sparse matrices, and scaling of weights along their axes."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from snnc.ir.arrays import AnyArray, IntArray, RealArray, Shape, size_of
from snnc.ir.expand import weight_matrix
from snnc.ir.nodes import Index, Pool, Reduce
from snnc.ir.weights import Conv, Dense, Sparse, Weights, with_values


def per_channel(array: AnyArray, shape: Shape) -> AnyArray | None:
    """One value per channel if the array is constant over space, else None."""
    rows = np.broadcast_to(array, shape).reshape(shape[0], -1)
    return rows[:, 0].copy() if bool((rows == rows[:, :1]).all()) else None


def as_sparse(weights: Weights, shape: Shape, out_shape: Shape) -> Sparse:
    """The same operator on an input of ``shape`` with one stored row per output element."""
    return to_sparse(sparse.csr_array(weight_matrix(weights, shape)), out_shape)


def to_sparse(matrix: sparse.csr_array, out_shape: Shape) -> Sparse:
    """A SciPy matrix as weights."""
    matrix.sum_duplicates()
    matrix.sort_indices()
    return Sparse(matrix.indptr, matrix.indices, matrix.data, matrix.shape[1], out_shape)


def scale_rows(weights: Weights, factor: RealArray, shape: Shape, out_shape: Shape) -> Weights:
    """``diag(factor) W``; a convolution is unrolled when the factor varies over space."""
    if isinstance(weights, Dense):
        column = np.broadcast_to(factor, out_shape).reshape(-1, 1)
        return with_values(weights, weights.values * column)
    if isinstance(weights, Conv):
        channel = per_channel(factor, out_shape)
        if channel is not None:
            column = channel.reshape(-1, *(1,) * (weights.values.ndim - 1))
            return with_values(weights, weights.values * column)
        weights = as_sparse(weights, shape, out_shape)
    rows = np.broadcast_to(factor, out_shape).reshape(-1)
    return with_values(weights, weights.values * np.repeat(rows, np.diff(weights.row_ptr)))


def scale_columns(weights: Weights, factor: RealArray, shape: Shape, out_shape: Shape) -> Weights:
    """``W diag(factor)`` for an input of ``shape``."""
    full = np.broadcast_to(factor, shape)
    if isinstance(weights, Dense):
        return with_values(weights, weights.values * full.reshape(1, -1))
    if isinstance(weights, Conv):
        channel = per_channel(full, shape)
        if channel is not None:
            return with_values(weights, weights.values * _by_group(weights, channel))
        weights = as_sparse(weights, shape, out_shape)
    return with_values(weights, weights.values * full.reshape(-1)[weights.column])


def _by_group(conv: Conv, channel: RealArray) -> RealArray:
    """Factors of the input channels as an array that broadcasts to the kernel."""
    groups = channel.reshape(conv.groups, -1)
    rows = np.repeat(groups, conv.values.shape[0] // conv.groups, axis=0)
    result: RealArray = rows.reshape(*rows.shape, *(1,) * len(conv.kernel))
    return result


def diagonal(factor: RealArray, shape: Shape) -> Weights:
    """Weights of an elementwise product: depthwise 1x1 where possible, else one entry per row."""
    channel = per_channel(factor, shape)
    axes = len(shape) - 1
    if channel is not None and 1 <= axes <= 3:
        values = np.asarray(channel, np.float64).reshape(-1, *(1,) * (axes + 1))
        return Conv(values, (1,) * axes, ((0, 0),) * axes, (1,) * axes, shape[0])
    size = size_of(shape)
    values = np.broadcast_to(factor, shape).reshape(-1).astype(np.float64)
    return Sparse(np.arange(size + 1), np.arange(size), values, size, shape)


def operator_matrix(
    node: Pool | Index | Reduce, position: int, shapes: list[Shape]
) -> sparse.csr_array:
    """Which elements of operand ``position`` each output element reads, as a 0/1 matrix."""
    size = size_of(shapes[position])
    if isinstance(node, Reduce):
        kept = tuple(1 if axis in node.axes else n for axis, n in enumerate(shapes[0]))
        row = np.broadcast_to(np.arange(size_of(kept)).reshape(kept), shapes[0]).reshape(-1)
        return sparse.csr_array((np.ones(size), (row, np.arange(size))),
                                shape=(size_of(kept), size))  # fmt: skip
    if isinstance(node, Pool):
        ones = np.ones((shapes[0][0], 1, *node.kernel))
        once = (1,) * len(node.kernel)
        return weight_matrix(Conv(ones, node.stride, node.padding, once, shapes[0][0]), shapes[0])
    first = sum(size_of(shape) for shape in shapes[:position])
    index = np.arange(size_of(node.shape)) if node.index is None else node.index
    mine: IntArray = np.flatnonzero((index >= first) & (index < first + size))
    entries = (np.ones(mine.size), (mine, index[mine] - first))
    return sparse.csr_array(entries, shape=(index.size, size))
