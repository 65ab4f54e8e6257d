"""How the synapses of a projection are stored: three layouts, chosen by structure.

``RUNS``: contiguous targets with 8-bit weights, added by vector instructions; what convolutions
and dense layers become once the channels of a pixel lie side by side (``channels_last``).
``WORDS``: one 32-bit word per synapse, ``weight << 24 | target``: half the memory traffic of two
arrays.  ``WIDE``: 32-bit targets and weights of any size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.expand import Projection
from snnc.ir.jit import lean_kernel as kernel
from snnc.simulators.neuron_kernel import Int32, Int64

TARGET_BITS = 24
TARGET_MASK = (1 << TARGET_BITS) - 1
WIDE, WORDS, RUNS = range(3)

# Shorter runs are slower than words; a gap up to GAP is cheaper to fill with zeros than to jump.
SHORTEST_MEAN_RUN = 10
GAP = 6


@dataclass(frozen=True, eq=False)
class RunTable:
    """Rows of runs: run r adds ``weight[first[r]:first[r] + length[r]]`` from ``start[r]`` on.

    Attributes:
        row_ptr: int64 [sources + 1], runs of each source.
        start: int32 [runs]; first: int64 [runs]; length: int32 [runs].
        weight: int8, every distinct run once: the pixels of a convolution share theirs, and all
            of them together stay in the cache.
    """

    row_ptr: Int64
    start: Int32
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
    return WORDS if projection.targets <= TARGET_MASK + 1 else WIDE


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
    return RunTable(row_ptr, start, *_share(first, weight))


def _share(first: Int64, weight: Any) -> tuple[Int64, Int32, Any]:
    """(first, length, weight) with equal runs stored once; run r was from ``first[r]`` on."""
    length = np.diff(first).astype(np.int32)
    key = np.empty(length.size, np.uint64)
    _hash_runs(first, weight, key)
    _, example, group = np.unique(key, return_index=True, return_inverse=True)
    shown = example[group]
    _part_unequal(first, weight, shown)
    mine = shown == np.arange(length.size)
    place = np.zeros(length.size, np.int64)
    place[mine] = np.cumsum(length[mine]) - length[mine]
    kept = weight[np.repeat(mine, length)]
    return place[shown], length, kept


@kernel
def _hash_runs(first: Int64, weight: Any, key: Any) -> None:
    """A number per run that equal runs have in common (FNV-1a)."""
    for run in range(key.size):
        value = np.uint64(14695981039346656037)
        for j in range(first[run], first[run + 1]):
            value = (value ^ np.uint64(np.uint8(weight[j]))) * np.uint64(1099511628211)
        key[run] = value


@kernel
def _part_unequal(first: Int64, weight: Any, shown: Int64) -> None:
    """Let a run stand for itself where it only shares the number of ``shown[run]``."""
    for run in range(shown.size):
        other, length = first[shown[run]], first[run + 1] - first[run]
        equal = first[shown[run] + 1] - other == length
        for j in range(length if equal else 0):
            equal &= weight[first[run] + j] == weight[other + j]
        if not equal:
            shown[run] = run


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
