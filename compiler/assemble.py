"""Assembly: memory images of all cores from a partition."""

from __future__ import annotations

import numpy as np

from snnc.compiler.partition import Partition
from snnc.compiler.partition.tally import slots
from snnc.compiler.partition.wiring import Wiring, written_out
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import CoreTables
from snnc.ir.errors import CompilerBugError
from snnc.ir.jit import lean_kernel


def assemble(wiring: Wiring, division: Partition) -> CoreTables:
    """Core tables without locations and encodings (both zero).

    Args:
        wiring: the expanded network.
        division: core and slot order of every neuron.
    """
    core, cores = division.core, division.cores
    slot = slots(core, cores, division.rank)
    order = np.lexsort((division.rank, core))
    neuron_ptr = _pointers(np.bincount(core, minlength=cores))
    keys, lengths = _axon_keys(wiring, core, cores)
    unique, inverse = np.unique(keys, return_inverse=True)
    row_size = np.bincount(inverse, weights=lengths, minlength=unique.size).astype(np.int64)
    row_ptr = _pointers(row_size)
    target, weight = _fill(wiring, core, slot, inverse.reshape(-1), row_ptr)
    span = _key_span(wiring)
    source, negative, delay = wiring.axon_of(unique % span)
    return CoreTables(
        location=np.zeros((cores, 3), np.int32),
        neuron_ptr=neuron_ptr,
        neuron_source=order + wiring.first_neuron,
        axon_ptr=np.searchsorted(unique // span, np.arange(cores + 1)).astype(np.int64),
        axon_source=source,
        axon_delay=delay.astype(np.int32),
        axon_encoding=np.zeros(unique.size, np.int8),
        synapse_ptr=row_ptr,
        synapse_target=target,
        synapse_weight=weight,
        axon_sign=np.where(wiring.axons[source] > 1, 1 - 2 * negative, 0).astype(np.int8),
    )


def _pointers(counts: IntArray) -> IntArray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _key_span(wiring: Wiring) -> int:
    return wiring.sources.total * wiring.signs * wiring.delays


def _axon_keys(wiring: Wiring, core: IntArray, cores: int) -> tuple[IntArray, IntArray]:
    """(core, source, delay) of every piece of a row, as one number, and its synapses.

    Pieces come in the order in which ``_place`` meets them again.
    """
    keys, lengths = [], []
    span = _key_span(wiring)
    first = 0
    for fanin, node in zip(map(written_out, wiring.fanin), wiring.populations, strict=True):
        local = core[first : first + node.size]
        axon, where, count = _pieces(fanin.row_ptr, fanin.target, local, cores)
        keys.append(where * span + wiring.axon_key(fanin)[axon])
        lengths.append(count)
        first += node.size
    return np.concatenate(keys), np.concatenate(lengths)


def _pieces(
    row_ptr: IntArray, target: IntArray, core: IntArray, cores: int
) -> tuple[IntArray, IntArray, IntArray]:
    """(axon, core, synapses) of every piece, axon by axon in order of first touch."""
    most = min(target.size, (row_ptr.size - 1) * cores)
    owner, place, count = (np.empty(most, np.int64) for _ in range(3))
    stamp, where = np.full(cores, -1, np.int64), np.zeros(cores, np.int64)
    pieces = _list_pieces(row_ptr, target, core, stamp, where, owner, place, count)
    return owner[:pieces].copy(), place[:pieces].copy(), count[:pieces].copy()


@lean_kernel
def _list_pieces(
    row_ptr: IntArray,
    target: IntArray,
    core: IntArray,
    stamp: IntArray,
    where: IntArray,
    owner: IntArray,
    place: IntArray,
    count: IntArray,
) -> int:
    """Fill the three columns; ``stamp``, -1 at first, and ``where`` are scratch per core."""
    pieces = 0
    for axon in range(row_ptr.size - 1):
        for k in range(row_ptr[axon], row_ptr[axon + 1]):
            c = core[target[k]]
            if stamp[c] != axon:
                stamp[c] = axon
                where[c] = pieces
                owner[pieces] = axon
                place[pieces] = c
                count[pieces] = 0
                pieces += 1
            count[where[c]] += 1
    return pieces


@lean_kernel
def _place(
    row_ptr: IntArray,
    source_target: IntArray,
    source_weight: IntArray,
    core: IntArray,
    slot: IntArray,
    row: IntArray,
    cursor: IntArray,
    stamp: IntArray,
    where: IntArray,
    target: IntArray,
    weight: IntArray,
) -> int:
    """Copy one population's synapses into their rows; returns the pieces met."""
    pieces = 0
    for c in range(stamp.size):
        stamp[c] = -1
    for axon in range(row_ptr.size - 1):
        for k in range(row_ptr[axon], row_ptr[axon + 1]):
            neuron = source_target[k]
            c = core[neuron]
            if stamp[c] != axon:
                stamp[c] = axon
                where[c] = row[pieces]
                pieces += 1
            p = cursor[where[c]]
            cursor[where[c]] += 1
            target[p] = slot[neuron]
            weight[p] = source_weight[k]
    return pieces


def _fill(
    wiring: Wiring, core: IntArray, slot: IntArray, row: IntArray, row_ptr: IntArray
) -> tuple[IntArray, IntArray]:
    """Synapses row by row, slots rising within a row."""
    target = np.empty(row_ptr[-1], np.int32)
    weight = np.empty(row_ptr[-1], np.int32)
    cursor = row_ptr[:-1].copy()
    cores = int(core.max(initial=-1)) + 1
    stamp, where = np.empty(cores, np.int64), np.empty(cores, np.int64)
    first, met = 0, 0
    for fanin, node in zip(map(written_out, wiring.fanin), wiring.populations, strict=True):
        part = slice(first, first + node.size)
        met += _place(
            fanin.row_ptr, fanin.target, fanin.weight, core[part], slot[part], row[met:],
            cursor, stamp, where, target, weight,
        )  # fmt: skip
        first += node.size
    if met != row.size or not np.array_equal(cursor, row_ptr[1:]):
        raise CompilerBugError("assembly lost synapses", found=met, allowed=row.size)
    _sort_rows(row_ptr, target, weight)
    return target, weight


@lean_kernel
def _sort_rows(row_ptr: IntArray, target: IntArray, weight: IntArray) -> None:
    """Shell sort of every row (Ciura's gaps): mostly sorted rows, and it compiles quickly."""
    for row in range(row_ptr.size - 1):
        first, end = row_ptr[row], row_ptr[row + 1]
        for gap in (701, 301, 132, 57, 23, 10, 4, 1):
            for k in range(first + gap, end):
                slot, value = target[k], weight[k]
                hole = k
                while hole >= first + gap and target[hole - gap] > slot:
                    target[hole] = target[hole - gap]
                    weight[hole] = weight[hole - gap]
                    hole -= gap
                target[hole] = slot
                weight[hole] = value
