"""How the synapses of a projection are stored: five layouts, chosen by structure.

``RUNS``: contiguous targets with 8-bit weights, added by vector instructions; what convolutions
and dense layers become once the channels of a pixel lie side by side (``channels_last``).
``WORDS``: one 32-bit word per synapse, ``weight << 24 | target``: half the memory traffic of two
arrays.  ``SINGLE``: words of sources with one synapse each, as of a pool: no rows to look up.
``WIDE``: 32-bit targets and weights of any size.  ``SHARED``: likewise, for rows that share shapes
and are never written out (``shared_layouts``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.expand import Projection
from snnc.ir.jit import lean_kernel as kernel
from snnc.simulators.functional.vector import LANES
from snnc.simulators.neuron_kernel import Int32, Int64

TARGET_BITS = 24
TARGET_MASK = (1 << TARGET_BITS) - 1
WIDE, WORDS, RUNS, SINGLE, SHARED = range(5)

# Shorter runs are slower than words; a gap up to GAP is cheaper to fill with zeros than to jump.
SHORTEST_MEAN_RUN = 10
GAP = 6


@dataclass(frozen=True, eq=False)
class RunTable:
    """Rows of runs.  Source i has the runs of shape ``s = shape[i]``, moved by ``base[i]``.

    These are the runs r from ``shape_ptr[s]`` to ``shape_ptr[s + 1]``; run r adds the weights
    ``weight[first[r]:first[r] + length[r]]`` from target ``base[i] + offset[r]`` on.  The pixels of
    a convolution have a few shapes, which stay in the cache.

    Attributes:
        base, shape: int32 [sources].
        shape_ptr: int32 [shapes + 1]; events: int32 [shapes], synapses of a row.
        offset, first, length: int32, int64, int32 [runs].
        weight: int8, every distinct run once, followed by zeros up to a multiple of ``LANES``.
    """

    base: Int32
    shape: Int32
    shape_ptr: Int32
    events: Int32
    offset: Int32
    first: Int64
    length: Int32
    weight: Any


def channels_last(shape: Shape) -> Int64 | None:
    """Order of a population's neurons with the channel as fastest axis; None changes nothing."""
    if len(shape) < 2 or shape[0] == 1:
        return None
    return np.moveaxis(np.arange(size_of(shape)).reshape(shape), 0, -1).reshape(-1)


def reorder(projection: Projection, rows: Int64 | None, columns: Int64 | None) -> Projection:
    """The projection between reordered sources and targets."""
    if rows is None and columns is None:
        return projection
    triple = (projection.weight, projection.target, projection.row_ptr)
    shape = (projection.row_ptr.size - 1, projection.targets)
    matrix = sparse.csr_array(triple, shape=shape)
    if rows is not None:
        matrix = matrix[rows]
    if columns is not None:
        matrix = matrix[:, columns]
    matrix.sort_indices()
    return replace(
        projection,
        row_ptr=matrix.indptr.astype(np.int64),
        target=matrix.indices.astype(np.int32),
        weight=matrix.data.astype(np.int64),
    )


def choose(projection: Projection) -> int:
    """The fastest layout that holds the projection."""
    weight = projection.weight
    if int(weight.min(initial=0)) < -128 or int(weight.max(initial=0)) > 127:
        return WIDE
    runs = count_runs(projection.row_ptr, projection.target)
    if runs and projection.synapses >= SHORTEST_MEAN_RUN * runs:
        return RUNS
    if projection.targets > TARGET_MASK + 1:
        return WIDE
    return SINGLE if (np.diff(projection.row_ptr) == 1).all() else WORDS


def words(projection: Projection) -> Int32:
    """One word per synapse: ``weight << 24 | target``."""
    result: Int32 = projection.weight.astype(np.int32)
    result <<= TARGET_BITS
    result |= projection.target.astype(np.int32, copy=False)
    return result


def runs(projection: Projection) -> RunTable:
    """Merge neighbouring targets of each source, filling small gaps with zero weights."""
    count = count_runs(projection.row_ptr, projection.target)
    row_ptr = np.zeros(projection.row_ptr.size, np.int64)
    start, first = np.zeros(count, np.int32), np.zeros(count + 1, np.int64)
    _place_runs(projection.row_ptr, projection.target, row_ptr, start, first)
    weight = np.zeros(int(first[-1]), np.int8)
    _fill_runs(projection.row_ptr, projection.target, projection.weight, start, first, weight)
    length = np.diff(first)
    shown = equal_sequences(first, weight)
    mine = np.flatnonzero(shown == np.arange(count))
    place, kept = _gather(first, mine, weight, LANES)
    first = place[np.searchsorted(mine, shown)]
    # A row without runs has base 0; it equals every other such row.
    base = start[np.minimum(row_ptr[:-1], max(0, count - 1))] if count else 0 * row_ptr[:-1]
    base = np.where(np.diff(row_ptr) > 0, base, 0)
    offset = start - np.repeat(base, np.diff(row_ptr))
    numbers = np.stack([offset, first, length], axis=1).reshape(-1)
    shown = equal_sequences(3 * row_ptr, numbers)
    mine = np.flatnonzero(shown == np.arange(base.size))
    place, table = _gather(3 * row_ptr, mine, numbers, 1)
    offset, first, length = table.reshape(-1, 3).T
    return RunTable(
        base.astype(np.int32),
        np.searchsorted(mine, shown).astype(np.int32),
        np.append(place, table.size).astype(np.int32) // 3,
        np.diff(projection.row_ptr)[mine].astype(np.int32),
        offset.astype(np.int32),
        np.ascontiguousarray(first),
        length.astype(np.int32),
        kept,
    )


def equal_sequences(first: Int64, data: IntArray) -> Int64:
    """For each sequence ``data[first[k]:first[k + 1]]`` the number of one that equals it.

    Equal sequences get the same number, that of one of them.
    """
    key = np.empty(first.size - 1, np.uint64)
    _hash_sequences(first, data, key)
    _, example, group = np.unique(key, return_index=True, return_inverse=True)
    shown: Int64 = example[group]
    part_unequal(first, data, shown)
    return shown


def _gather(first: Int64, chosen: Int64, data: IntArray, unit: int) -> tuple[Int64, Any]:
    """(where each begins, data) of the chosen sequences, zeros to a multiple of ``unit`` behind."""
    room = -(-(first[chosen + 1] - first[chosen]) // unit) * unit
    place = np.cumsum(room) - room
    out = np.zeros(int(room.sum()), data.dtype)
    _copy_sequences(first, data, chosen, place, out)
    return place, out


@kernel
def _hash_sequences(first: Int64, data: IntArray, key: Any) -> None:
    """A number per sequence that equal ones have in common (FNV-1a)."""
    for k in range(key.size):
        value = np.uint64(14695981039346656037)
        for j in range(first[k], first[k + 1]):
            value = (value ^ np.uint64(np.int64(data[j]))) * np.uint64(1099511628211)
        key[k] = value


@kernel
def part_unequal(first: Int64, data: IntArray, shown: Int64) -> None:
    """Let a sequence stand for itself where it is not equal to number ``shown[k]``."""
    for k in range(shown.size):
        other, length = first[shown[k]], first[k + 1] - first[k]
        equal = first[shown[k] + 1] - other == length
        for j in range(length if equal else 0):
            equal &= data[first[k] + j] == data[other + j]
        if not equal:
            shown[k] = k


@kernel
def _copy_sequences(
    first: Int64, data: IntArray, chosen: Int64, place: Int64, out: IntArray
) -> None:
    for k in range(chosen.size):
        begin = first[chosen[k]]
        for j in range(first[chosen[k] + 1] - begin):
            out[place[k] + j] = data[begin + j]


@kernel
def count_runs(row_ptr: IntArray, target: IntArray) -> int:
    """Number of runs of all rows; targets of a row rise."""
    count = 0
    for row in range(row_ptr.size - 1):
        for j in range(row_ptr[row], row_ptr[row + 1]):
            if j == row_ptr[row] or target[j] - target[j - 1] > GAP + 1:
                count += 1
    return count


@kernel
def _place_runs(
    row_ptr: IntArray, target: IntArray, run_ptr: Int64, start: Int32, first: Int64
) -> None:
    run = 0
    for row in range(row_ptr.size - 1):
        for j in range(row_ptr[row], row_ptr[row + 1]):
            if j == row_ptr[row] or target[j] - target[j - 1] > GAP + 1:
                start[run] = target[j]
                run += 1
            first[run] = first[run - 1] + target[j] - start[run - 1] + 1
        run_ptr[row + 1] = run


@kernel
def _fill_runs(
    row_ptr: IntArray, target: IntArray, weight: IntArray, start: Int32, first: Int64, out: Any
) -> None:
    run = -1
    for row in range(row_ptr.size - 1):
        for j in range(row_ptr[row], row_ptr[row + 1]):
            if j == row_ptr[row] or target[j] - target[j - 1] > GAP + 1:
                run += 1
            out[first[run] + target[j] - start[run]] = weight[j]
