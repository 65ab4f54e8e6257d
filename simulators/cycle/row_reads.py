"""How many entries of which encoding a packet reads, at which core and for which population.

A core whose neurons are all of one population says it with one number, however many axons it has;
for others the populations of every row are listed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from snnc.ir.arrays import AnyArray
from snnc.ir.deployment import Deployment
from snnc.ir.jit import inlined, lean_kernel
from snnc.ir.row_shapes import pointers
from snnc.simulators.cycle.energy import ROW_KINDS, row_kinds
from snnc.simulators.cycle.program import Layout
from snnc.simulators.cycle.reaches import Reaches, Trees

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


class RowReads(NamedTuple):
    """Static tables.

    Attributes:
        kind: [axons] index into ``ROW_KINDS``; -1: of the negative axon of a pair.  A packet reads
            one row of a pair; both are equally long, and the positive one counts.
        shape: [axons] shape of the row.
        length: [shapes] entries.
        only: [cores] the input or population all of whose neurons are of, by its place in
            ``Layout.names``; -1: of several.
        base: [cores] where the core's axons begin in ``ptr``, less their own numbers.
        ptr: [axons of cores of several populations + 1] slice of the other two.
        population, entries: [parts] that a row feeds, and entries it has for it.
    """

    kind: npt.NDArray[np.int8]
    shape: AnyArray
    length: Int32
    only: Int32
    base: Int64
    ptr: Int64
    population: Int32
    entries: Int32


def row_reads(deployment: Deployment, layout: Layout) -> RowReads:
    """The tables of a deployment."""
    cores, rows = deployment.cores, deployment.cores.rows
    low, high = np.full(cores.count, len(layout.names), np.int32), np.zeros(cores.count, np.int32)
    np.minimum.at(low, layout.segment_core, layout.segment_owner)
    np.maximum.at(high, layout.segment_core, layout.segment_owner)
    only = np.where(low < high, -1, high).astype(np.int32)
    axons = np.where(only < 0, np.diff(cores.axon_ptr), 0)
    base = np.cumsum(axons) - axons - cores.axon_ptr[:-1]
    kind = row_kinds(deployment)
    kind[np.asarray(cores.axon_sign) < 0] = -1
    return RowReads(
        kind, rows.shape, np.diff(rows.shape_ptr).astype(np.int32), only, base.astype(np.int64),
        *_parts(deployment, layout, only < 0),
    )  # fmt: skip


def _parts(deployment: Deployment, layout: Layout, mixed: AnyArray) -> tuple[Int64, Int32, Int32]:
    """(ptr, population, entries) of the axons of cores of several populations."""
    nothing = np.zeros(0, np.int32)
    if not mixed.any():
        return np.zeros(1, np.int64), nothing, nothing
    cores, rows = deployment.cores, deployment.cores.rows
    chosen = np.flatnonzero(mixed[cores.axon_core])
    given = (
        rows.shape[chosen], rows.shift[chosen], rows.shape_ptr,
        rows.offset.astype(np.int32, copy=False),
        np.asarray(cores.neuron_ptr, np.int64)[cores.axon_core[chosen]],
        layout.owner[cores.neuron_source],
    )  # fmt: skip
    size, times = np.zeros(chosen.size, np.int32), np.zeros(len(layout.names), np.int32)
    _count_parts(*given, times, size)
    ptr = pointers(size).astype(np.int64, copy=False)
    population, count = np.empty(ptr[-1], np.int32), np.empty(ptr[-1], np.int32)
    _fill_parts(*given, times, ptr, population, count)
    return ptr, population, count


@lean_kernel
def _count_parts(
    shape: AnyArray, shift: AnyArray, shape_ptr: AnyArray, offset: AnyArray, base: AnyArray,
    population: AnyArray, times: AnyArray, size: AnyArray,
) -> None:  # fmt: skip
    """Write to ``size`` [axons] how many populations a row feeds; ``times`` is scratch, zero."""
    for axon in range(shape.size):
        first = base[axon] + shift[axon]
        for k in range(shape_ptr[shape[axon]], shape_ptr[shape[axon] + 1]):
            fed = population[first + offset[k]]
            size[axon] += times[fed] == 0
            times[fed] = 1
        for k in range(shape_ptr[shape[axon]], shape_ptr[shape[axon] + 1]):
            times[population[first + offset[k]]] = 0


@lean_kernel
def _fill_parts(
    shape: AnyArray, shift: AnyArray, shape_ptr: AnyArray, offset: AnyArray, base: AnyArray,
    population: AnyArray, times: AnyArray, ptr: AnyArray, column: AnyArray, count: AnyArray,
) -> None:  # fmt: skip
    """Populations and synapses of every row; ``times`` [populations], zero, is scratch."""
    for axon in range(shape.size):
        first, written = base[axon] + shift[axon], ptr[axon]
        for k in range(shape_ptr[shape[axon]], shape_ptr[shape[axon] + 1]):
            fed = population[first + offset[k]]
            if times[fed] == 0:
                column[written] = fed
                written += 1
            times[fed] += 1
        for k in range(ptr[axon], written):
            count[k] = times[column[k]]
            times[column[k]] = 0


@inlined
def _read(
    rows: RowReads, core: int, axon: int, times: int, by_layer: Int64, by_core: Int64
) -> None:
    """Add what it is to read a row so many times."""
    kind = rows.kind[axon]
    if kind >= 0:
        length = times * rows.length[rows.shape[axon]]
        by_core[kind, core] += length
        if rows.only[core] >= 0:
            by_layer[kind, rows.only[core]] += length
        else:
            place = rows.base[core] + axon
            for k in range(rows.ptr[place], rows.ptr[place + 1]):
                by_layer[kind, rows.population[k]] += times * rows.entries[k]


@lean_kernel
def count_packets(
    trees: Trees, reaches: Reaches, rows: RowReads, owner: Int32, net_events: Int64,
    packets: Int64, net_packets: Int64, carried: Int64, by_layer: Int64, by_core: Int64,
) -> None:  # fmt: skip
    """What packets pass and read.

    Args:
        trees, reaches, rows: static tables.
        owner: [sources] input or population.
        net_events: [nets, kinds] events of one packet on its way.
        packets: [sources] packets sent on every net of the source.
        net_packets: [nets] is added to.
        carried: [inputs and populations, kinds] is added to.
        by_layer, by_core: [``ROW_KINDS``, inputs and populations], [.., cores] are added to.
    """
    for source in range(packets.size):
        times = packets[source]
        if times == 0:
            continue
        reach = np.int64(reaches.ptr[source])
        for send in range(trees.send_ptr[source], trees.send_ptr[source + 1]):
            net = trees.send_net[send]
            net_packets[net] += times
            for kind in range(net_events.shape[1]):
                carried[owner[source], kind] += times * net_events[net, kind]
            for delivery in range(trees.delivery_ptr[net], trees.delivery_ptr[net + 1]):
                core = trees.delivery_core[delivery]
                for axon in range(reaches.first[reach], reaches.last[reach]):
                    _read(rows, core, axon, times, by_layer, by_core)
                reach += 1


@lean_kernel
def read_some(
    reaches: Reaches, rows: RowReads, core: Int32, taken: Int64, by_layer: Int64, by_core: Int64
) -> None:
    """What copies read of which ``taken`` [reaches] came to their ``core`` [reaches]."""
    for reach in range(taken.size):
        if taken[reach] != 0:
            for axon in range(reaches.first[reach], reaches.last[reach]):
                _read(rows, int(core[reach]), axon, taken[reach], by_layer, by_core)


@lean_kernel
def entries_per_packet(reaches: Reaches, rows: RowReads, result: Int64) -> None:
    """Write [sources, ``ROW_KINDS``] entries that one packet on every net of the source reads."""
    for source in range(reaches.ptr.size - 1):
        for reach in range(reaches.ptr[source], reaches.ptr[source + 1]):
            for axon in range(reaches.first[reach], reaches.last[reach]):
                if rows.kind[axon] >= 0:
                    result[source, rows.kind[axon]] += rows.length[rows.shape[axon]]


def service_times(
    deployment: Deployment, reaches: Reaches, look_up: float, units: tuple[float, ...]
) -> npt.NDArray[np.float64]:
    """[reaches] units a core needs for one packet.

    Args:
        deployment: the rows.
        reaches: which of them a packet reads.
        look_up: units for finding them.
        units: by ``ROW_KINDS``, for every entry.
    """
    kind = row_kinds(deployment)
    kind[np.asarray(deployment.cores.axon_sign) < 0] = -1
    rows, result = deployment.cores.rows, np.empty(reaches.first.size)
    length = np.diff(rows.shape_ptr).astype(np.int32)
    _serve(
        reaches, kind, rows.shape, length, look_up, np.array(units),
        np.zeros(len(ROW_KINDS), np.int64), result,
    )  # fmt: skip
    return result


@lean_kernel
def _serve(
    reaches: Reaches, kind: AnyArray, shape: AnyArray, length: Int32, look_up: float,
    units: AnyArray, entries: Int64, result: AnyArray,
) -> None:  # fmt: skip
    for reach in range(result.size):
        for number in range(entries.size):
            entries[number] = 0
        for axon in range(reaches.first[reach], reaches.last[reach]):
            if kind[axon] >= 0:
                entries[kind[axon]] += length[shape[axon]]
        time = look_up
        for number in range(entries.size):
            time += units[number] * entries[number]
        result[reach] = time
