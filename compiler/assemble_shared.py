"""Assembly of a network whose rows share shapes, without writing any row out.

What a core holds of a row depends on the row's shape and on a *pattern*: which of its entries lie
on the core, and in which slots, counted from the first.  Patterns are found once per group of axons
that reach the same neurons; equal ones are found by 64-bit codes and compared.  Rows of equal
shape and pattern are one shape of the finished tables, and so are different ones that turn out
equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnc.compiler.partition import Partition
from snnc.compiler.partition.shared_fanin import Groups, SharedFanin, cut_groups
from snnc.compiler.partition.wiring import Wiring
from snnc.ir.arrays import IntArray, sorted_unique
from snnc.ir.deployment import SharedCoreTables
from snnc.ir.errors import CompilerBugError
from snnc.ir.jit import lean_kernel
from snnc.ir.row_shapes import index_type, narrow, pointers
from snnc.ir.rows import Rows, shared_rows

PORTION = 2_000_000
"""Rows that are sorted at a time."""
Codes = npt.NDArray[np.uint64]


def assemble_shared(wiring: Wiring, division: Partition) -> SharedCoreTables:
    """Core tables without locations and encodings (both zero).

    Args:
        wiring: the expanded network; all of its fan-ins are shared.
        division: core and slot order of every neuron.
    """
    core, cores = division.core, division.cores
    order = np.lexsort((division.rank, core))
    neuron_ptr = pointers(np.bincount(core, minlength=cores))
    slot = np.empty(core.size, np.int32)
    slot[order] = np.arange(core.size) - np.repeat(neuron_ptr[:-1], np.diff(neuron_ptr))
    cuts, first = [], 0
    book = _Book()
    for fanin, node in zip(wiring.fanin, wiring.populations, strict=True):
        assert isinstance(fanin, SharedFanin)
        part = slice(first, first + node.size)
        cuts.append(_cut(fanin, core[part], slot[part], cores, book))
        first += node.size
    del slot
    parts = [_rows(wiring, cuts, book, a, b) for a, b in _portions(cuts, cores)]
    del cuts
    columns = [list(column) for column in zip(*parts, strict=True)]
    del parts
    axons, source, delay, sign, shape, shift = (_joined(column) for column in columns)
    number, shape_ptr, offset, weight = book.shapes()
    return SharedCoreTables(
        location=np.zeros((cores, 3), np.int32),
        neuron_ptr=neuron_ptr,
        neuron_source=order + wiring.first_neuron,
        axon_ptr=pointers(axons),
        axon_source=source,
        axon_delay=delay,
        axon_encoding=np.zeros(source.size, np.int8),
        axon_sign=sign,
        rows=Rows(number[shape], shift, shape_ptr, offset, weight),
    )


def _joined(column: list[IntArray]) -> IntArray:
    """The parts one after the other; the list is empty afterwards, which frees their memory."""
    whole = np.concatenate(column)
    column.clear()
    return whole


@dataclass(frozen=True, eq=False)
class _Cut:
    """The rows of one population cut at the borders of cores: pieces of groups, by core.

    Attributes:
        ptr: [cores + 1] slice of the pieces per core.
        group: [pieces] group of axons.
        pattern: [pieces] in the book.
        first: [pieces] first slot.
        shape_base: what a shape of the fan-in's rows is numbered from, in the book.
    """

    fanin: SharedFanin
    ptr: IntArray
    group: IntArray
    pattern: IntArray
    first: IntArray
    shape_base: int


def _cut(fanin: SharedFanin, core: IntArray, slot: IntArray, cores: int, book: _Book) -> _Cut:
    groups = fanin.groups
    ptr, group, count, low, _ = cut_groups(groups, core, slot[None], cores)
    first = low[0]
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
    base, shape_base = book.add(fanin.rows, groups, pattern_ptr, entry, place_of)
    return _Cut(fanin, ptr, group, number + base, first, shape_base)


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


class _Book:
    """Shapes, patterns, and the different combinations of them that rows of cores are made of."""

    def __init__(self) -> None:
        self._rows: list[tuple[Rows, Groups]] = []
        self._patterns: list[tuple[IntArray, IntArray, IntArray]] = []
        self.shape_count = 0
        self.pattern_count = 0
        self._known: IntArray = np.zeros(0, np.int64)
        self._number: IntArray = np.zeros(0, np.int64)
        self._merged: dict[bytes, int] = {}
        self._count = 0

    def add(
        self, rows: Rows, groups: Groups, ptr: IntArray, entry: IntArray, place: IntArray
    ) -> tuple[int, int]:
        """Take over shapes and patterns of a population; returns their first numbers."""
        base = self.pattern_count, self.shape_count
        self._rows.append((rows, groups))
        self._patterns.append((ptr, entry, place))
        self.pattern_count += ptr.size - 1
        self.shape_count += rows.shape_ptr.size - 1
        return base

    def numbers(self, shape: IntArray, pattern: IntArray) -> IntArray:
        """One number per combination, the same for equal ones."""
        pair = shape.astype(np.int64) << 32 | pattern
        some = sorted_unique(pair)
        new = some[~np.isin(some, self._known, assume_unique=True)]
        known = np.concatenate([self._known, new])
        number = np.concatenate([self._number, self._count + np.arange(new.size)])
        order = np.argsort(known)
        self._known, self._number = known[order], number[order]
        self._count += new.size
        return self._number[np.searchsorted(self._known, pair)]

    def merged(self, parts: IntArray) -> int:
        """The number of a row of several parts, [parts, 2] numbers and first slots from 0."""
        key = parts.astype(np.int64).tobytes()
        if key not in self._merged:
            self._merged[key] = self._count
            self._count += 1
        return self._merged[key]

    def shapes(self) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """([numbers] shape of each number, pointers, offsets, weights of the different shapes)."""
        shape, pattern = self._known >> 32, self._known & 0xFFFFFFFF
        offset, weight, length = self._gather(shape, pattern)
        at = pointers(length)
        position = np.empty(self._count, np.int64)  # a row's place among those written now
        position[self._number] = np.arange(self._number.size)
        position[list(self._merged.values())] = self._number.size + np.arange(len(self._merged))
        if self._merged:
            offset, weight, at = self._with_merged(position, at, offset, weight)
        rows = shared_rows(at, offset, weight)
        return rows.shape[position], rows.shape_ptr, narrow(rows.offset), narrow(rows.weight)

    def _gather(self, shape: IntArray, pattern: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """(offsets, weights) of combinations one after another, slots rising; and their lengths."""
        offsets, weights, lengths = [], [], []
        shape_base = pattern_base = 0
        for (rows, _), (ptr, entry, place) in zip(self._rows, self._patterns, strict=True):
            end = shape_base + rows.shape_ptr.size - 1
            mine = slice(*np.searchsorted(shape, [shape_base, end]))
            which = pattern[mine] - pattern_base
            row = np.repeat(np.arange(ptr.size - 1), np.diff(ptr))
            order = np.lexsort((place, row))
            entry, place = entry[order], place[order]
            length = np.diff(ptr)[which]
            begin = pointers(length)
            k = np.repeat(ptr[which] - begin[:-1], length) + np.arange(begin[-1])
            start = np.repeat(rows.shape_ptr[shape[mine] - shape_base], length)
            offsets.append(place[k])
            weights.append(rows.weight[start + entry[k]])
            lengths.append(length)
            shape_base, pattern_base = end, pattern_base + ptr.size - 1
        return np.concatenate(offsets), np.concatenate(weights), np.concatenate(lengths)

    def _with_merged(
        self, position: IntArray, at: IntArray, offset: IntArray, weight: IntArray
    ) -> tuple[IntArray, IntArray, IntArray]:
        """The rows of several parts written behind the others."""
        parts = [np.frombuffer(key, np.int64).reshape(-1, 2) for key in self._merged]
        row = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
        part, first = np.concatenate(parts).T
        length = np.diff(at)[position[part]]
        begin = pointers(length)
        k = np.repeat(at[position[part]] - begin[:-1], length) + np.arange(begin[-1])
        slot, owner = offset[k] + np.repeat(first, length), np.repeat(row, length)
        order = np.lexsort((slot, owner))
        ends = at[-1] + np.cumsum(np.bincount(owner, minlength=len(parts)))
        return (
            np.concatenate([offset, slot[order]]),
            np.concatenate([weight, weight[k[order]]]),
            np.concatenate([at, ends]),
        )


def _portions(cuts: list[_Cut], cores: int) -> Iterator[tuple[int, int]]:
    """Ranges of cores with some ``PORTION`` rows each."""
    rows = np.zeros(cores + 1, np.int64)
    for cut in cuts:
        size = cut.fanin.groups.size[cut.group]
        rows[1:] += np.concatenate([[0], np.cumsum(size)])[cut.ptr[1:]]
    begin = 0
    while begin < cores:
        end = int(np.searchsorted(rows, rows[begin] + PORTION, side="right")) - 1
        end = max(begin + 1, min(end, cores))
        yield begin, end
        begin = end


def _rows(
    wiring: Wiring, cuts: list[_Cut], book: _Book, begin: int, end: int
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray, IntArray]:
    """(axons per core; source, delay, sign, number in the book, first slot of every axon)."""
    wheres, keys, shapes, patterns, firsts = [], [], [], [], []
    for cut in cuts:
        part = slice(cut.ptr[begin], cut.ptr[end])
        axon, piece = cut.fanin.members(cut.group[part])
        core = np.repeat(np.arange(end - begin), np.diff(cut.ptr[begin : end + 1]))
        wheres.append(core[piece])
        keys.append(wiring.axon_key(cut.fanin, axon))
        shapes.append(cut.fanin.rows.shape[axon] + cut.shape_base)
        patterns.append(cut.pattern[part][piece])
        firsts.append(cut.first[part][piece])
    first = np.concatenate(firsts)
    number = book.numbers(np.concatenate(shapes), np.concatenate(patterns))
    span = wiring.sources.total * wiring.signs * wiring.delays
    key = np.concatenate(wheres) * span + np.concatenate(keys)
    order = np.argsort(key)
    key, first, number = key[order], first[order], number[order]
    again = key[1:] == key[:-1]
    if again.any():
        kept = np.concatenate([[True], ~again])
        _merge(kept, number, first, book)
        key, first, number = key[kept], first[kept], number[kept]
    axons = np.diff(np.searchsorted(key, np.arange(end - begin + 1) * span))
    key %= span
    source, negative, delay = wiring.axon_of(key)
    return (
        axons,
        source.astype(index_type(wiring.sources.total)),
        delay.astype(np.int32),
        np.where(wiring.axons[source] > 1, 1 - 2 * negative, 0).astype(np.int8),
        number.astype(np.int32),
        first.astype(np.int32),
    )


def _merge(kept: npt.NDArray[np.bool_], number: IntArray, first: IntArray, book: _Book) -> None:
    """Rows of one source on a core become one row, at the place of the first of them."""
    begin = np.flatnonzero(kept)
    length = np.diff(np.append(begin, kept.size))
    for parts in np.unique(length[length > 1]):
        mine = begin[length == parts]
        every = mine[:, None] + np.arange(parts)
        low = first[every].min(axis=1)
        together = np.stack([number[every], first[every] - low[:, None]], axis=2)
        kinds, of = np.unique(together.reshape(mine.size, -1), axis=0, return_inverse=True)
        made = np.array([book.merged(kind.reshape(-1, 2)) for kind in kinds], np.int64)
        number[mine], first[mine] = made[of.reshape(-1)], low
