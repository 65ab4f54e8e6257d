"""The rows of a population cut at the borders of cores, without writing any row out.

What a core holds of a row depends on the row's shape and on a *pattern*: which of its entries lie
on the core, and in which slots, counted from the first.  Patterns are found once per group of axons
that reach the same neurons; equal ones are found by 64-bit codes and compared.

The axons of a group have a *list* of shapes, one each, and many groups have equal lists (all pixels
have the same channels).  So every pair of a pattern and a list numbers its rows one after another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnc.compiler.partition.shared_fanin import Groups, SharedFanin, cut_groups
from snnc.ir.arrays import IntArray
from snnc.ir.errors import CompilerBugError
from snnc.ir.jit import lean_kernel
from snnc.ir.row_shapes import narrow, pointers
from snnc.ir.rows import Rows, shared_rows

Codes = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Cut:
    """One population's axons on cores: pieces of groups, those of a group one after the other.

    Attributes:
        fanin: the axons.
        ptr: [groups + 1] slice of the pieces per group.
        core: [pieces] core.
        number: [pieces] row of the group's first axon, from 0; those of the others follow it.
        first: [pieces] slot of a row's first entry.
        rows: the row of every number, from slot 0; those of equal shape share it.
    """

    fanin: SharedFanin
    ptr: IntArray
    core: IntArray
    number: IntArray
    first: IntArray
    rows: Rows


def cut(fanin: SharedFanin, core: IntArray, slot: IntArray, cores: int) -> Cut:
    """Cut what reaches a population.

    Args:
        fanin: its axons.
        core, slot: [neurons] where its neurons are.
        cores: number of cores.
    """
    groups = fanin.groups
    ptr, group, count, low, _ = cut_groups(groups, core, slot[None], cores)
    first = low[0]
    pattern, model = _patterns(groups, core, slot, ptr, group, count, first)
    entry, place, pattern_ptr = model
    lists = shared_rows(
        groups.ptr, np.zeros(groups.axon.size, np.int8), fanin.rows.shape[groups.axon]
    )
    key = pattern.astype(np.int64) << 32 | lists.shape[group]
    pair, number = np.unique(key, return_inverse=True)
    of_pattern, of_list = pair >> 32, pair & 0xFFFFFFFF
    times, size = np.diff(lists.shape_ptr)[of_list], np.diff(pattern_ptr)[of_pattern]
    begin = pointers(times)
    offset = np.empty(int(times @ size), place.dtype)
    weight = np.empty(offset.size, fanin.rows.weight.dtype)
    _write_rows(
        of_pattern, of_list, pattern_ptr, entry, place, lists.shape_ptr, lists.weight,
        fanin.rows.shape_ptr, fanin.rows.weight, offset, weight,
    )  # fmt: skip
    order = np.argsort(group, kind="stable")
    where = np.repeat(np.arange(cores, dtype=np.int32), np.diff(ptr))
    return Cut(
        fanin, pointers(np.bincount(group, minlength=groups.support.size)), where[order],
        begin[number.reshape(-1)[order]], first[order],
        shared_rows(pointers(np.repeat(size, times)), offset, weight),
    )  # fmt: skip


def _patterns(
    groups: Groups, core: IntArray, slot: IntArray, ptr: IntArray, group: IntArray,
    count: IntArray, first: IntArray,
) -> tuple[IntArray, tuple[IntArray, IntArray, IntArray]]:  # fmt: skip
    """([pieces] pattern, (entries of the row, slots beyond the first, pointers) of patterns)."""
    cores = ptr.size - 1
    table = groups.support, groups.first, groups.offset_ptr, groups.offset, core, slot
    stamp, place = np.full(cores, -1, np.int64), np.zeros(cores, np.int64)
    code = np.zeros(group.size, np.uint64)
    _code_pieces(*table, stamp, ptr[:-1].copy(), place, first, code)
    _mix(code, groups.support[group], count)
    _, model, number = np.unique(code, return_index=True, return_inverse=True)
    number = number.reshape(-1).astype(np.int32)
    pattern_ptr = pointers(count[model])
    entry, place_of = np.empty(pattern_ptr[-1], np.int32), np.empty(pattern_ptr[-1], np.int32)
    owner = np.searchsorted(ptr, model, side="right") - 1
    _write_patterns(*table, group[model], owner, first[model], pattern_ptr, entry, place_of)
    stamp[:] = -1
    at = np.zeros(cores, np.int64)
    if not (
        np.array_equal(groups.support[group], groups.support[group[model]][number])
        and np.array_equal(count, count[model][number])
        and _same_patterns(
            *table, stamp, ptr[:-1].copy(), place, at, first, number, pattern_ptr, entry, place_of
        )
    ):
        raise CompilerBugError("two different parts of rows have the same code")
    row = np.repeat(np.arange(model.size), np.diff(pattern_ptr))
    order = np.lexsort((place_of, row))
    return number, (entry[order], narrow(place_of[order]), pattern_ptr)


@lean_kernel
def _code_pieces(
    support: IntArray, first: IntArray, offset_ptr: IntArray, offset: IntArray, core: IntArray,
    slot: IntArray, stamp: IntArray, ptr: IntArray, place: IntArray, low: IntArray, code: Codes,
) -> None:  # fmt: skip
    """Add up a code per entry of every piece; pieces come as ``cut_groups`` numbers them."""
    for group in range(support.size):
        begin = offset_ptr[support[group]]
        for k in range(begin, offset_ptr[support[group] + 1]):
            neuron = first[group] + offset[k]
            c = core[neuron]
            if stamp[c] != group:
                stamp[c] = group
                place[c] = ptr[c]
                ptr[c] += 1
            p = place[c]
            x = np.uint64(k - begin) * np.uint64(0x9E3779B97F4A7C15)
            x += np.uint64(slot[neuron] - low[p]) * np.uint64(0xC2B2AE3D27D4EB4F)
            x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            code[p] += x ^ (x >> np.uint64(31))


@lean_kernel
def _mix(code: Codes, kind: IntArray, count: IntArray) -> None:
    for p in range(code.size):
        x = code[p] + np.uint64(kind[p]) * np.uint64(0xD6E8FEB86659FD93)
        x = (x ^ (x >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9) + np.uint64(count[p])
        code[p] = (x ^ (x >> np.uint64(29))) * np.uint64(0x94D049BB133111EB)


@lean_kernel
def _write_patterns(
    support: IntArray, first: IntArray, offset_ptr: IntArray, offset: IntArray, core: IntArray,
    slot: IntArray, model: IntArray, owner: IntArray, low: IntArray, pattern_ptr: IntArray,
    entry: IntArray, place: IntArray,
) -> None:  # fmt: skip
    """(entry of the row, slot beyond the first) of every pattern, from its first piece."""
    for p in range(model.size):
        group, written = model[p], pattern_ptr[p]
        begin = offset_ptr[support[group]]
        for k in range(begin, offset_ptr[support[group] + 1]):
            neuron = first[group] + offset[k]
            if core[neuron] == owner[p]:
                entry[written] = k - begin
                place[written] = slot[neuron] - low[p]
                written += 1


@lean_kernel
def _same_patterns(
    support: IntArray, first: IntArray, offset_ptr: IntArray, offset: IntArray, core: IntArray,
    slot: IntArray, stamp: IntArray, ptr: IntArray, where: IntArray, at: IntArray, low: IntArray,
    number: IntArray, pattern_ptr: IntArray, entry: IntArray, place: IntArray,
) -> bool:  # fmt: skip
    """Every piece has the entries and slots of its pattern; lengths are known to be equal."""
    for group in range(support.size):
        begin = offset_ptr[support[group]]
        for k in range(begin, offset_ptr[support[group] + 1]):
            neuron = first[group] + offset[k]
            c = core[neuron]
            if stamp[c] != group:
                stamp[c] = group
                where[c] = ptr[c]
                ptr[c] += 1
                at[c] = pattern_ptr[number[where[c]]]
            if entry[at[c]] != k - begin or place[at[c]] != slot[neuron] - low[where[c]]:
                return False
            at[c] += 1
    return True


@lean_kernel
def _write_rows(
    pattern: IntArray, which: IntArray, pattern_ptr: IntArray, entry: IntArray, place: IntArray,
    list_ptr: IntArray, shape: IntArray, shape_ptr: IntArray, value: IntArray, offset: IntArray,
    weight: IntArray,
) -> None:  # fmt: skip
    """The rows of all pairs of a pattern and a list (``which``) of shapes."""
    written = 0
    for pair in range(pattern.size):
        begin, end = pattern_ptr[pattern[pair]], pattern_ptr[pattern[pair] + 1]
        for k in range(list_ptr[which[pair]], list_ptr[which[pair] + 1]):
            base = shape_ptr[shape[k]]
            for e in range(begin, end):
                offset[written] = place[e]
                weight[written] = value[base + entry[e]]
                written += 1
