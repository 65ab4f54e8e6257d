"""Assembly of a network whose rows share shapes, without writing any row out.

Rows of cores are numbered by ``axon_cuts``.  The axons of all populations are walked through in the
order of their sources; each goes to every core that its group reaches, behind those already there.
So the tables are filled in place, in order, and nothing of their size is held beside them.
Where a core hears a source for two populations, their rows become one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnc.compiler.axon_cuts import Cut, cut
from snnc.compiler.partition import Partition
from snnc.compiler.partition.shared_fanin import SharedFanin
from snnc.compiler.partition.wiring import Wiring
from snnc.compiler.reach import by_key
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import SharedCoreTables
from snnc.ir.jit import lean_kernel
from snnc.ir.row_shapes import index_type, narrow, pointers
from snnc.ir.rows import AT_ONCE, Rows, shared_rows


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
    for fanin, node in zip(wiring.fanin, wiring.populations, strict=True):
        assert isinstance(fanin, SharedFanin)
        part = slice(first, first + node.size)
        cuts.append(cut(fanin, core[part], slot[part], cores))
        first += node.size
    del slot
    axons = _Axons.of(wiring, cuts)
    table = axons.key, axons.group, axons.ptr, axons.core
    axon_ptr = np.zeros(cores + 1, np.int64)
    again = _count(*table, np.full(cores, -1, np.int64), axon_ptr)
    np.cumsum(axon_ptr, out=axon_ptr)
    size = int(axon_ptr[-1])
    source, delay = np.empty(size, index_type(wiring.sources.total)), np.empty(size, np.int32)
    sign, shift = np.empty(size, np.int8), np.empty(size, np.int32)
    number: IntArray = np.empty(size, np.int32)
    others = np.empty((again, 3), np.int64)
    _fill(
        *table, axons.place, axons.number, axons.first, axons.source, axons.delay, axons.sign,
        np.full(cores, -1, np.int64), axon_ptr[:-1].copy(), source, delay, sign, number, shift,
        others,
    )  # fmt: skip
    del axons, table
    rows = _finished(cuts, number, shift, others)
    return SharedCoreTables(
        location=np.zeros((cores, 3), np.int32),
        neuron_ptr=neuron_ptr,
        neuron_source=order + wiring.first_neuron,
        axon_ptr=axon_ptr,
        axon_source=source,
        axon_delay=delay,
        axon_encoding=np.zeros(size, np.int8),
        axon_sign=sign,
        rows=rows,
    )


@dataclass(frozen=True, eq=False)
class _Axons:
    """The axons of all populations by rising key, and what their groups reach.

    Attributes:
        key: [axons] of source, sign and delay: equal for rows that are one row on a core.
        group: [axons] group, over all populations.
        place: [axons] number within the group.
        source, delay, sign: [axons] as in the tables.
        ptr: [groups + 1] slice of the others per group.
        core, number, first: [pieces] as of ``Cut``, rows numbered over all populations.
    """

    key: IntArray
    group: IntArray
    place: IntArray
    source: IntArray
    delay: IntArray
    sign: IntArray
    ptr: IntArray
    core: IntArray
    number: IntArray
    first: IntArray

    @staticmethod
    def of(wiring: Wiring, cuts: list[Cut]) -> _Axons:
        places = []
        for groups in (c.fanin.groups for c in cuts):
            places.append(np.empty(groups.axon.size, np.int32))
            places[-1][groups.axon] = np.arange(groups.axon.size) - np.repeat(
                groups.ptr[:-1], groups.size
            )
        key, order, group = by_key(wiring)
        source, negative, delay = wiring.axon_of(key)
        rows = np.cumsum([0, *(c.rows.count for c in cuts)])
        return _Axons(
            key,
            group,
            np.concatenate(places)[order],
            source.astype(index_type(wiring.sources.total)),
            delay.astype(np.int32),
            np.where(wiring.axons[source] > 1, 1 - 2 * negative, 0).astype(np.int8),
            pointers(np.concatenate([np.diff(c.ptr) for c in cuts])),
            np.concatenate([c.core for c in cuts]),
            np.concatenate([c.number + b for c, b in zip(cuts, rows, strict=False)]),
            np.concatenate([c.first for c in cuts]),
        )


@lean_kernel
def _count(
    key: IntArray, group: IntArray, ptr: IntArray, core: IntArray, latest: IntArray,
    axon_ptr: IntArray,
) -> int:  # fmt: skip
    """Count the axons of core c in ``axon_ptr[c + 1]``; returns the rows that join another.

    ``latest`` [cores] begins at -1, ``axon_ptr`` at 0.
    """
    again = 0
    for a in range(key.size):
        for p in range(ptr[group[a]], ptr[group[a] + 1]):
            c = core[p]
            if latest[c] == key[a]:
                again += 1
            else:
                latest[c] = key[a]
                axon_ptr[c + 1] += 1
    return again


@lean_kernel
def _fill(
    key: IntArray, group: IntArray, ptr: IntArray, core: IntArray, place: IntArray,
    row: IntArray, low: IntArray, source_of: IntArray, delay_of: IntArray, sign_of: IntArray,
    latest: IntArray, at: IntArray, source: IntArray, delay: IntArray, sign: IntArray,
    number: IntArray, shift: IntArray, others: IntArray,
) -> None:  # fmt: skip
    """Fill the tables core by core; ``at`` is where a core's next axon goes.

    ``others`` [joining rows, 3]: the axon joined, the row's number and first slot.
    """
    again = 0
    for a in range(key.size):
        for p in range(ptr[group[a]], ptr[group[a] + 1]):
            c = core[p]
            if latest[c] == key[a]:
                others[again, 0] = at[c] - 1
                others[again, 1] = row[p] + place[a]
                others[again, 2] = low[p]
                again += 1
                continue
            latest[c] = key[a]
            here = at[c]
            at[c] += 1
            source[here] = source_of[a]
            delay[here] = delay_of[a]
            sign[here] = sign_of[a]
            number[here] = row[p] + place[a]
            shift[here] = low[p]


def _finished(cuts: list[Cut], number: IntArray, shift: IntArray, others: IntArray) -> Rows:
    """The rows of all axons, equal ones with one shape; takes ``number`` and ``cuts`` over."""
    base = np.cumsum([0, *(c.rows.shape_ptr.size - 1 for c in cuts)])
    shape = np.concatenate([c.rows.shape + b for c, b in zip(cuts, base, strict=False)])
    length = np.concatenate([np.diff(c.rows.shape_ptr) for c in cuts])
    offset = np.concatenate([c.rows.offset for c in cuts])
    weight = np.concatenate([c.rows.weight for c in cuts])
    cuts.clear()
    if len(others):
        kinds = _joined(number, shift, others, shape.size)
        shape, length, offset, weight = _with_joined(shape, length, offset, weight, kinds)
    portions = [slice(k, k + AT_ONCE) for k in range(0, number.size, AT_ONCE)]
    used = np.zeros(length.size, np.bool_)
    for part in portions:
        used[shape[number[part]]] = True
    rows = _of_shapes(shared_rows(pointers(length), offset, weight), used)
    shape = rows.shape[shape]
    for part in portions:
        number[part] = shape[number[part]]
    return Rows(number, shift, rows.shape_ptr, narrow(rows.offset), narrow(rows.weight))


def _of_shapes(rows: Rows, used: npt.NDArray[np.bool_]) -> Rows:
    """Without the shapes that only unused rows have."""
    kept = np.zeros(rows.shape_ptr.size - 1, np.bool_)
    kept[rows.shape[used]] = True
    if kept.all():
        return rows
    length = np.diff(rows.shape_ptr)
    entries = np.repeat(kept, length)
    shape = (np.cumsum(kept) - 1)[rows.shape].astype(np.int32)
    shape[~used] = 0
    return Rows(
        shape, rows.shift, pointers(length[kept]), rows.offset[entries], rows.weight[entries]
    )


def _joined(number: IntArray, shift: IntArray, others: IntArray, count: int) -> list[IntArray]:
    """Give axons that several rows make up one row, numbered from ``count`` on.

    Returns:
        For each number of parts, [rows, parts, 2]: number and slots beyond the first.
    """
    others = others[np.argsort(others[:, 0], kind="stable")]
    axon, begin, extra = np.unique(others[:, 0], return_index=True, return_counts=True)
    kinds = []
    for more in np.flatnonzero(np.bincount(extra)):
        mine = extra == more
        which = axon[mine]
        every = others[begin[mine][:, None] + np.arange(more), 1:]
        every = np.concatenate([np.stack([number[which], shift[which]], 1)[:, None], every], axis=1)
        low = every[:, :, 1].min(axis=1)
        every[:, :, 1] -= low[:, None]
        model, of = _distinct(every.reshape(which.size, -1))
        kinds.append(every[model])
        number[which], shift[which] = count + of, low
        count += model.size
    return kinds


def _distinct(rows: IntArray) -> tuple[IntArray, IntArray]:
    """(a row of every kind of equal rows, [rows] kind)."""
    code: IntArray = np.zeros(len(rows), np.int64)
    model = np.zeros(1, np.int64)
    for column in rows.T:
        pair = code * (int(column.max()) + 1) + column
        _, model, code = np.unique(pair, return_index=True, return_inverse=True)
        code = code.reshape(-1)
    return model, code


def _with_joined(
    shape: IntArray, length: IntArray, offset: IntArray, weight: IntArray, kinds: list[IntArray]
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """The rows of several parts behind the others, each with a shape of its own."""
    part, first = np.concatenate([kind.reshape(-1, 2) for kind in kinds]).T
    parts = np.concatenate([np.full(len(kind), kind.shape[1]) for kind in kinds])
    part, row = shape[part], np.repeat(np.arange(parts.size), parts)
    size = length[part]
    begin = pointers(size)
    k = np.repeat(pointers(length)[part] - begin[:-1], size) + np.arange(begin[-1])
    slot, owner = offset[k] + np.repeat(first, size), np.repeat(row, size)
    order = np.lexsort((slot, owner))
    return (
        np.concatenate([shape, length.size + np.arange(parts.size)]),
        np.concatenate([length, np.bincount(owner)]),
        np.concatenate([offset, narrow(slot[order])]),
        np.concatenate([weight, weight[k[order]]]),
    )
