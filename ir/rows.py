"""Rows of synapses of which many are the same but for a shift, as in a convolution.

Row i of ``Rows`` adds ``weight[k]`` to target ``shift[i] + offset[k]`` for every k from
``shape_ptr[shape[i]]`` to ``shape_ptr[shape[i] + 1]``.  A million pixels share a few shapes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.ir.arrays import IntArray, frozen
from snnc.ir.errors import ModelError
from snnc.ir.jit import lean_kernel


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows that share their shapes; offsets of a shape rise from 0.

    Attributes:
        shape: [rows] which shape.
        shift: [rows] target of the shape's first entry; 0 where a row is empty.
        shape_ptr: [shapes + 1] slice of ``offset`` and ``weight`` per shape.
        offset: [entries] targets beyond the first one.
        weight: [entries].
    """

    shape: IntArray
    shift: IntArray
    shape_ptr: IntArray
    offset: IntArray
    weight: IntArray

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            array = frozen(getattr(self, name))
            if array.dtype.kind not in "iu":
                raise ModelError("rows hold integers", where=name, found=array.dtype)
            object.__setattr__(self, name, array)

    @property
    def count(self) -> int:
        """Number of rows."""
        return int(self.shape.size)

    @property
    def lengths(self) -> IntArray:
        """[rows] synapses of every row."""
        length: IntArray = np.diff(self.shape_ptr)[self.shape]
        return length

    @property
    def synapses(self) -> int:
        """Number of synapses of all rows, however they are stored."""
        return int(self.lengths.sum())

    def plain(self) -> tuple[IntArray, IntArray, IntArray]:
        """(row_ptr, target, weight) with every row written out."""
        row_ptr = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)
        target = np.empty(row_ptr[-1], np.int32)
        weight = np.empty(row_ptr[-1], self.weight.dtype)
        _write_out(
            self.shape, self.shift, self.shape_ptr, self.offset, self.weight, row_ptr, target,
            weight,
        )  # fmt: skip
        return row_ptr, target, weight


@lean_kernel
def _write_out(
    shape: IntArray, shift: IntArray, shape_ptr: IntArray, offset: IntArray, value: IntArray,
    row_ptr: IntArray, target: IntArray, weight: IntArray,
) -> None:  # fmt: skip
    for row in range(shape.size):
        k = shape_ptr[shape[row]]
        for p in range(row_ptr[row], row_ptr[row + 1]):
            target[p] = shift[row] + offset[k]
            weight[p] = value[k]
            k += 1
