"""Linear operators row by row: what some elements of a tensor add to the operator's result.

Written apart from ``snnc.ir.expand``, from the definitions of the operators alone, and for a few
elements at a time: a convolution of a large image has more synapses than fit in memory.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from scipy import sparse

from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.errors import UnsupportedError
from snnc.ir.integer_network import IntegerNode
from snnc.ir.jit import inner_kernel, lean_kernel
from snnc.ir.nodes import Add, Barrier, Delay, Index, Linear, Pool
from snnc.ir.weights import Conv, Dense, Sparse

AXES = 3


class Operator(Protocol):
    """A matrix [elements of the operand, elements of the result] nobody writes out."""

    @property
    def most(self) -> int:
        """No row has more entries."""

    def rows(self, element: IntArray) -> sparse.csr_array:
        """The rows of these elements, rising."""


def operator_of(node: IntegerNode, position: int, shapes: list[Shape]) -> Operator | None:
    """What a node does to its operand ``position``; None leaves every element where it is.

    Args:
        node: a node between populations.
        position: which of its operands.
        shapes: of its operands.

    Raises:
        UnsupportedError: it is not linear.
    """
    shape = shapes[position]
    if isinstance(node, Linear) and isinstance(node.weights, Conv):
        return _Window(node.weights, shape, node.weights.output_shape(node.name, shape))
    if isinstance(node, Linear) and not isinstance(node.weights, Conv):
        return _Matrix(node.weights, size_of(shape))
    if isinstance(node, Pool) and node.op == "sum":
        ones = np.ones((shape[0], 1, *node.kernel), np.int64)
        conv = Conv(ones, node.stride, node.padding, (1,) * len(node.kernel), shape[0])
        return _Window(conv, shape, conv.output_shape(node.name, shape))
    if isinstance(node, Index):
        if node.index is None and len(shapes) == 1:
            return None
        first = sum(size_of(before) for before in shapes[:position])
        index = np.arange(size_of(node.shape)) if node.index is None else node.index
        return _Picked(index, first, size_of(shape))
    if isinstance(node, Add | Delay | Barrier):
        return None
    raise UnsupportedError(
        f"{type(node).__name__} is not a synapse: no chip core here computes it",
        where=node.name,
        remedy="the reference simulator runs it; see docs/ir.md for what maps to cores",
    )


def csr(value: IntArray, column: IntArray, row_ptr: IntArray, width: int) -> sparse.csr_array:
    """A matrix of rows given one after the other."""
    kind = np.int32 if max(width, column.size) < 2**31 else np.int64
    parts = (value, column.astype(kind, copy=False), row_ptr.astype(kind, copy=False))
    return sparse.csr_array(parts, shape=(row_ptr.size - 1, width))


class _Matrix:
    """Weights that are stored one by one."""

    def __init__(self, weights: Dense | Sparse, inputs: int) -> None:
        if isinstance(weights, Dense):
            self._dense, self._by_input = weights.values.T, None
            self.most = weights.values.shape[0]
            return
        outputs = weights.row_ptr.size - 1
        stored = csr(weights.values, weights.column, weights.row_ptr, inputs)
        self._by_input = sparse.csr_array(stored.T)
        self._by_input.sum_duplicates()
        self.most = min(outputs, int(np.diff(self._by_input.indptr).max(initial=0)))

    def rows(self, element: IntArray) -> sparse.csr_array:
        """The columns of the weights, one after the other."""
        if self._by_input is not None:
            return self._by_input[element]
        chosen = np.ascontiguousarray(self._dense[element])
        column = np.tile(np.arange(self.most, dtype=np.int32), element.size)
        row_ptr = np.arange(element.size + 1) * self.most
        return csr(chosen.reshape(-1), column, row_ptr, self.most)


class _Picked:
    """Elements that go to some places of the result, or to none."""

    def __init__(self, index: IntArray, first: int, size: int) -> None:
        mine = np.flatnonzero((index >= first) & (index < first + size))
        picked = index[mine] - first
        self._place = mine[np.argsort(picked, kind="stable")]
        count = np.bincount(picked, minlength=size)
        self._ptr = np.concatenate([[0], np.cumsum(count)])
        self._width = index.size
        self.most = int(count.max(initial=0))

    def rows(self, element: IntArray) -> sparse.csr_array:
        """Ones at every place of each element."""
        count = self._ptr[element + 1] - self._ptr[element]
        row_ptr = np.concatenate([[0], np.cumsum(count)])
        within = np.arange(row_ptr[-1]) - np.repeat(row_ptr[:-1], count)
        column = self._place[np.repeat(self._ptr[element], count) + within]
        return csr(np.ones(column.size, np.int64), column, row_ptr, self._width)


class _Window:
    """A convolution: input x meets output o at tap t where x = o * stride + t * dilation - pad."""

    def __init__(self, conv: Conv, shape: Shape, out: Shape) -> None:
        missing = AXES - len(shape[1:])
        channels, in_group = conv.values.shape[:2]
        per_group = channels // conv.groups
        self._kernel = np.ascontiguousarray(
            conv.values.reshape(conv.groups, per_group, in_group, -1).transpose(0, 2, 1, 3)
        ).reshape(shape[0], per_group, -1)  # [input channels, outputs of its group, taps]
        self._extent = np.array([*(1,) * missing, *shape[1:]])
        self._result = np.array([*(1,) * missing, *out[1:]])
        self._taps = np.array([*(1,) * missing, *conv.kernel])
        self._step = np.array([
            [*(1,) * missing, *conv.stride],
            [*(1,) * missing, *conv.dilation],
            [*(0,) * missing, *(before for before, _ in conv.padding)],
        ])  # fmt: skip
        self._in_group, self._width = in_group, size_of(out)
        meeting = [
            min(taps, math.ceil(taps * dilation / stride))
            for taps, stride, dilation in zip(conv.kernel, conv.stride, conv.dilation, strict=True)
        ]
        self.most = per_group * size_of(tuple(meeting))

    def rows(self, element: IntArray) -> sparse.csr_array:
        """The taps that meet each element, by output."""
        room = element.size * self.most
        column, value = np.empty(room, np.int32), np.empty(room, np.int64)
        row_ptr = np.zeros(element.size + 1, np.int64)
        met = np.zeros((AXES, 2, int(self._taps.max())), np.int64)
        _meet(
            element.astype(np.int64, copy=False), self._kernel, self._extent, self._result,
            self._taps, self._step, self._in_group, met, row_ptr, column, value,
        )  # fmt: skip
        used = int(row_ptr[-1])
        return csr(value[:used], column[:used], row_ptr, self._width)


@lean_kernel
def _meet(
    element: IntArray, kernel: IntArray, extent: IntArray, result: IntArray, taps: IntArray,
    step: IntArray, in_group: int, met: IntArray, row_ptr: IntArray, column: IntArray,
    value: IntArray,
) -> None:  # fmt: skip
    """Write the rows of a convolution.

    Args:
        element: flat inputs (channel, three axes).
        kernel: [input channels, output channels of the group, taps].
        extent, result, taps: [3] of input, output and kernel.
        step: [3, 3] stride, dilation and padding before.
        in_group: input channels of a group.
        met: [3, 2, taps] scratch: outputs and taps met along each axis.
        row_ptr, column, value: to be filled.
    """
    space, out_space = extent[0] * extent[1] * extent[2], result[0] * result[1] * result[2]
    written = 0
    for row in range(element.size):
        channel, place = element[row] // space, element[row] % space
        x0, rest = place // (extent[1] * extent[2]), place % (extent[1] * extent[2])
        x1, x2 = rest // extent[2], rest % extent[2]
        n0 = _along(x0, step[:, 0], taps[0], result[0], met[0])
        n1 = _along(x1, step[:, 1], taps[1], result[1], met[1])
        n2 = _along(x2, step[:, 2], taps[2], result[2], met[2])
        first = channel // in_group * kernel.shape[1]
        for o in range(kernel.shape[1]):
            base = (first + o) * out_space
            for i in range(n0):
                for j in range(n1):
                    at = base + (met[0, 0, i] * result[1] + met[1, 0, j]) * result[2]
                    tap = (met[0, 1, i] * taps[1] + met[1, 1, j]) * taps[2]
                    for k in range(n2):
                        weight = kernel[channel, o, tap + met[2, 1, k]]
                        if weight != 0:
                            column[written] = at + met[2, 0, k]
                            value[written] = weight
                            written += 1
        row_ptr[row + 1] = written


@inner_kernel
def _along(x: int, step: IntArray, taps: int, result: int, met: IntArray) -> int:
    """Outputs, rising, and taps that meet position ``x`` of one axis; how many."""
    found = 0
    for tap in range(taps - 1, -1, -1):
        ahead = x + step[2] - tap * step[1]
        if ahead >= 0 and ahead % step[0] == 0 and ahead // step[0] < result:
            met[0, found] = ahead // step[0]
            met[1, found] = tap
            found += 1
    return found
