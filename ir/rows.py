"""Rows of synapses of which many are the same but for a shift, as in a convolution.

Row i of ``Rows`` adds ``weight[k]`` to target ``shift[i] + offset[k]`` for every k from
``shape_ptr[shape[i]]`` to ``shape_ptr[shape[i] + 1]``.  A million pixels share a few shapes.

The loops are imported where they run: reading a report needs no Numba.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray, frozen
from snnc.ir.errors import ModelError

LARGEST = 1 << 30
"""Beyond any target, so that shift + offset fits 32 bits."""
AT_ONCE = 1 << 22
"""Rows that are looked at at a time, where something wider is made of each."""


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
            if array.dtype.kind not in "iu" or array.ndim != 1:
                raise ModelError("rows hold lists of integers", where=name, found=array.dtype)
            object.__setattr__(self, name, array)
        ptr, shapes = self.shape_ptr, self.shape_ptr.size - 1
        rises = shapes >= 0 and ptr[0] == 0 and ptr[-1] == self.offset.size
        if not rises or not (ptr[1:] >= ptr[:-1]).all() or self.weight.size != self.offset.size:
            raise ModelError(
                "the shapes of rows are not slices of one list",
                where="shape_ptr",
                found=f"{ptr.size} pointers into {self.offset.size} and {self.weight.size} entries",
            )
        if self.shift.size != self.shape.size:
            found = f"{self.shift.size} shifts of {self.shape.size} rows"
            raise ModelError("every row has a shape and a shift", where="shift", found=found)
        for name, low, high in (
            ("shape", 0, shapes),
            ("shift", -LARGEST, LARGEST),
            ("offset", -LARGEST, LARGEST),
        ):
            values = getattr(self, name)
            if values.size and not low <= int(values.min()) <= int(values.max()) < high:
                found = f"{int(values.min())} to {int(values.max())}"
                raise ModelError(
                    "rows point outside", where=name, found=found, allowed=f"{low} to {high - 1}"
                )

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
        length, total = np.diff(self.shape_ptr), 0
        for first in range(0, self.shape.size, AT_ONCE):
            total += int(length[self.shape[first : first + AT_ONCE]].sum())
        return total

    def add(self, value: AnyArray, total: AnyArray) -> None:
        """Add to ``total`` [targets] what every synapse brings: ``value`` [entries]."""
        from snnc.ir.row_kernels import add_values

        offset = self.offset.astype(np.int32, copy=False)
        add_values(self.shape, self.shift, self.shape_ptr, offset, value, total)

    def plain(self, chosen: slice = slice(None)) -> tuple[IntArray, IntArray, IntArray]:
        """(row_ptr, target, weight) with every row, or the chosen ones, written out."""
        from snnc.ir.row_kernels import write_out

        shape, shift = self.shape[chosen], self.shift[chosen]
        length = self.shape_ptr[1:][shape] - self.shape_ptr[:-1][shape]
        row_ptr = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
        target = np.empty(row_ptr[-1], np.int32)
        weight = np.empty(row_ptr[-1], self.weight.dtype)
        write_out(shape, shift, self.shape_ptr, self.offset, self.weight, row_ptr, target, weight)
        return row_ptr, target, weight


def shared_rows(row_ptr: IntArray, target: IntArray, weight: IntArray) -> Rows:
    """The same rows, those that are equal but for a shift with one shape between them.

    Args:
        row_ptr: [rows + 1] slice of the other two per row, rising.
        target, weight: [synapses].
    """
    from snnc.ir.row_kernels import compare, copy, hash_rows

    length = np.diff(row_ptr.astype(np.int64))
    filled = length > 0
    shift = np.zeros(length.size, np.int32)
    shift[filled] = target[row_ptr[:-1][filled]]
    code = np.empty(length.size, np.uint64)
    hash_rows(row_ptr, target, weight, shift, code)
    _, first, shape = np.unique(code, return_index=True, return_inverse=True)
    shape = shape.reshape(-1)
    differs = np.zeros(length.size, np.bool_)
    compare(row_ptr, target, weight, shift, first[shape], differs)
    # Rows that only share a code stand alone.
    alone = np.flatnonzero(differs)
    shape[alone] = first.size + np.arange(alone.size)
    model = np.concatenate([first, alone])
    shape_ptr = np.concatenate([[0], np.cumsum(length[model])]).astype(np.int64)
    offset = np.empty(shape_ptr[-1], np.int32)
    value = np.empty(shape_ptr[-1], weight.dtype)
    copy(row_ptr, target, weight, shift, model, shape_ptr, offset, value)
    return Rows(shape.astype(np.int32), shift, shape_ptr, offset, value)
