"""Loops over rows of synapses; a file of its own, so that ``rows`` is imported without Numba."""

from __future__ import annotations

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.jit import lean_kernel


@lean_kernel
def hash_rows(
    row_ptr: IntArray, target: IntArray, weight: IntArray, shift: IntArray, code: IntArray
) -> None:
    """Numbers [rows] that rows which are equal but for a shift have in common."""
    for row in range(shift.size):
        value = np.uint64(row_ptr[row + 1] - row_ptr[row])
        for k in range(row_ptr[row], row_ptr[row + 1]):
            for part in (np.uint64(target[k] - shift[row]), np.uint64(weight[k])):
                value = (value ^ part) * np.uint64(0x9E3779B97F4A7C15)
                value ^= value >> np.uint64(29)
        code[row] = value


@lean_kernel
def compare(
    row_ptr: IntArray, target: IntArray, weight: IntArray, shift: IntArray, model: IntArray,
    differs: AnyArray,
) -> None:  # fmt: skip
    """Which rows are not the row ``model`` [rows] but for the shift."""
    for row in range(shift.size):
        first, other = row_ptr[row], row_ptr[model[row]]
        length = row_ptr[row + 1] - first
        differs[row] = length != row_ptr[model[row] + 1] - other
        for k in range(length):
            if differs[row]:
                break
            apart = target[first + k] - shift[row] != target[other + k] - shift[model[row]]
            differs[row] = apart or weight[first + k] != weight[other + k]


@lean_kernel
def copy(
    row_ptr: IntArray, target: IntArray, weight: IntArray, shift: IntArray, model: IntArray,
    shape_ptr: IntArray, offset: IntArray, value: IntArray,
) -> None:  # fmt: skip
    """Fill the shapes from the rows ``model`` [shapes]."""
    for shape in range(model.size):
        first = row_ptr[model[shape]]
        for k in range(shape_ptr[shape + 1] - shape_ptr[shape]):
            offset[shape_ptr[shape] + k] = target[first + k] - shift[model[shape]]
            value[shape_ptr[shape] + k] = weight[first + k]


@lean_kernel
def count_targets(
    shape: IntArray, shift: IntArray, shape_ptr: IntArray, offset: IntArray, part_ptr: IntArray,
    first: IntArray, total: IntArray,
) -> None:  # fmt: skip
    """Add to ``total`` how many synapses reach each target.

    Args:
        shape, shift, shape_ptr, offset: as in ``Rows``.
        part_ptr: [parts + 1] slice of the rows per part.
        first: [parts] number of a part's target 0 in ``total``.
        total: [targets of all parts].
    """
    for part in range(part_ptr.size - 1):
        for row in range(part_ptr[part], part_ptr[part + 1]):
            base = first[part] + shift[row]
            for k in range(shape_ptr[shape[row]], shape_ptr[shape[row] + 1]):
                total[base + offset[k]] += 1


@lean_kernel
def add_values(
    shape: IntArray, shift: IntArray, shape_ptr: IntArray, offset: IntArray, value: AnyArray,
    total: AnyArray,
) -> None:  # fmt: skip
    """Add to ``total`` [targets] the ``value`` [entries] of every synapse that reaches each.

    The others are as in ``Rows``.
    """
    for row in range(shape.size):
        for k in range(shape_ptr[shape[row]], shape_ptr[shape[row] + 1]):
            total[np.uint32(shift[row] + offset[k])] += value[k]


@lean_kernel
def write_out(
    shape: IntArray, shift: IntArray, shape_ptr: IntArray, offset: IntArray, value: IntArray,
    row_ptr: IntArray, target: IntArray, weight: IntArray,
) -> None:  # fmt: skip
    """Fill ``target`` and ``weight`` row by row; the others are as in ``Rows``."""
    for row in range(shape.size):
        k = shape_ptr[shape[row]]
        for p in range(row_ptr[row], row_ptr[row + 1]):
            target[p] = shift[row] + offset[k]
            weight[p] = value[k]
            k += 1
