"""What happened, how often, and what it costs.

Every event of a run follows from three integer vectors, because trees and rows are static:
packets per source, neurons updated and neurons fired per segment.  Counting is therefore exact
and costs the kernels nothing.

Prices come from one cost table of the target.  A ``per_term`` table prices single events; an
``all_in`` table prices a synaptic event with everything in it, so its single events must not be
added.  An event without a price keeps its count and is listed as unpriced.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from scipy import sparse

from snnc.ir.arrays import AnyArray
from snnc.ir.deployment import Deployment
from snnc.ir.jit import lean_kernel
from snnc.ir.row_shapes import index_type, pointers
from snnc.ir.target import CostTable, EventKind, Target
from snnc.simulators.cycle.noc_tables import HOP_KINDS, Machine
from snnc.simulators.cycle.program import Layout, Program
from snnc.simulators.cycle.result import Unpriced
from snnc.simulators.neuron_kernel import EMIT_STATE

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

KINDS: tuple[EventKind, ...] = get_args(EventKind)
ROW_KINDS: tuple[EventKind, ...] = ("synapse_op_dense", "synapse_op_sparse", "synapse_op_bitmask")
ALL_IN: EventKind = "all_in_synaptic_event"
_AT: dict[str, int] = {kind: number for number, kind in enumerate(KINDS)}


class Activity(NamedTuple):
    """What the function kernels counted, for one sample or summed over many.

    Attributes:
        packets: [sources] packets per net of each source.
        updated, fired: [segments].
        ticks: ticks simulated.
    """

    packets: Int64
    updated: Int64
    fired: Int64
    ticks: int


class Counts(NamedTuple):
    """Events by kind and place.

    Attributes:
        total: [kinds].
        by_layer: [kinds, inputs and populations]; synapses belong to the population they feed,
            packets and hops to the one that sends them.
        by_core: [kinds, cores + 1]; hops belong to the sending core, the last column is the host.
    """

    total: Int64
    by_layer: Int64
    by_core: Int64


@dataclass(frozen=True, eq=False)
class Counter:
    """Static tables that turn activity into counts.

    Attributes:
        program, layout: from ``program.build``.
        cores: number of cores.
        segment_size: [segments] neurons.
        source_core: [sources] sending core, ``cores`` for inputs.
        hops: [hop kinds, sources] hops of one packet on every net of the source.
        copies: [sources] deliveries of one packet on every net of the source.
        rows: for each of ``ROW_KINDS``, [axons, populations] entries.
        axon_core: [axons].
        reach_source: [reaches].
    """

    program: Program
    layout: Layout
    cores: int
    segment_size: Int64
    source_core: Int32
    hops: Int32
    copies: Int64
    rows: tuple[sparse.csr_array, ...]
    axon_core: Int32
    reach_source: Int32

    def count(self, activity: Activity) -> Counts:
        """Exact number of every event."""
        by_layer = np.zeros((len(KINDS), len(self.layout.names)), np.int64)
        by_core = np.zeros((len(KINDS), self.cores + 1), np.int64)
        self._soma(activity, by_layer, by_core)
        self._traffic(activity.packets, by_layer, by_core)
        self._synapses(activity.packets, by_layer, by_core)
        return Counts(by_layer.sum(axis=1), by_layer, by_core)

    def count_ticks(self, ptr: Int64, source: Int32, value: Int64, from_core: bool) -> Int64:
        """[ticks, kinds] events of what was sent in single ticks, without accesses and updates.

        Args:
            ptr: [ticks + 1] slice of what was sent in each tick.
            source, value: who sent what.
            from_core: whether cores sent it; else the host did.
        """
        limit = self.program.packet_limit[source]
        packets = (np.abs(value) - 1) // limit + 1
        shape = (ptr.size - 1, self.source_core.size)
        result: Int64 = sparse.csr_array((packets, source, ptr), shape=shape) @ self.per_packet
        if from_core:
            until = np.concatenate([[0], np.cumsum(self.fires[source])])
            result[:, _AT["spike_generate"]] = np.diff(until[ptr])
        return result

    @cached_property
    def fires(self) -> Int64:
        """[sources] 1 where what is sent are spikes, not states."""
        result = np.zeros(self.source_core.size, np.int64)
        neurons = self.program.neurons
        result[self.program.neuron_source] = neurons.table[neurons.kind, EMIT_STATE] == 0
        return result

    @cached_property
    def per_packet(self) -> Int64:
        """[sources, kinds] events of one packet on every net of the source."""
        result = np.zeros((self.source_core.size, len(KINDS)), np.int64)
        host = self.source_core == self.cores
        result[:, _AT["message_out"]] = np.where(host, 0, self.program.sends)
        result[:, _AT["host_in"]] = np.where(host, self.program.sends, 0)
        result[:, _AT["message_in"]] = self.copies
        for number, kind in enumerate(HOP_KINDS):
            result[:, _AT[kind]] = self.hops[number]
        for kind, rows in zip(ROW_KINDS, self.rows, strict=True):
            until = np.concatenate([[0], np.cumsum(rows.sum(axis=1))])
            read = until[self.program.reach_last] - until[self.program.reach_first]
            np.add.at(result[:, _AT[kind]], self.reach_source, read)
            result[:, _AT[ALL_IN]] += result[:, _AT[kind]]
        return result

    def _soma(self, activity: Activity, by_layer: Int64, by_core: Int64) -> None:
        counts_spikes = self.program.neurons.table[:, EMIT_STATE] == 0
        population = self.layout.segment_owner - self.layout.inputs
        for kind, values in (
            ("neuron_access", self.segment_size * activity.ticks),
            ("neuron_update", activity.updated),
            ("spike_generate", activity.fired * counts_spikes[population]),
        ):
            np.add.at(by_layer[_AT[kind]], self.layout.segment_owner, values)
            np.add.at(by_core[_AT[kind]], self.layout.segment_core, values)

    def _traffic(self, packets: Int64, by_layer: Int64, by_core: Int64) -> None:
        from_host = self.source_core == self.cores
        sent = packets * self.program.sends
        quantities: list[tuple[EventKind, Int64]] = [
            ("message_out", np.where(from_host, 0, sent)),
            ("host_in", np.where(from_host, sent, 0)),
            *((kind, packets * self.hops[number]) for number, kind in enumerate(HOP_KINDS)),
        ]
        for kind, values in quantities:
            np.add.at(by_layer[_AT[kind]], self.layout.owner, values)
            np.add.at(by_core[_AT[kind]], self.source_core, values)
        np.add.at(by_core[_AT["message_in"]], self.layout.reach_core, packets[self.reach_source])
        np.add.at(by_layer[_AT["message_in"]], self.layout.owner, packets * self.copies)

    def _synapses(self, packets: Int64, by_layer: Int64, by_core: Int64) -> None:
        change = np.zeros(self.program.axon_sign.size + 1, np.int64)
        np.add.at(change, self.program.reach_first, packets[self.reach_source])
        np.subtract.at(change, self.program.reach_last, packets[self.reach_source])
        reads = np.cumsum(change[:-1])
        for kind, rows in zip(ROW_KINDS, self.rows, strict=True):
            by_layer[_AT[kind], self.layout.inputs :] = rows.T @ reads
            np.add.at(by_core[_AT[kind]], self.axon_core, reads * rows.sum(axis=1))
        for table in (by_layer, by_core):
            table[_AT[ALL_IN]] = sum(table[_AT[kind]] for kind in ROW_KINDS)


def synaptic_events(counts: Counts) -> int:
    """Row entries read, whatever their encoding."""
    return int(counts.total[_AT[ALL_IN]])


def counter(deployment: Deployment, machine: Machine, program: Program, layout: Layout) -> Counter:
    """Prepare counting for a deployment."""
    cores, routes = deployment.cores, deployment.routes
    total = deployment.sources.total
    source_core = np.full(total, cores.count, np.int32)
    core_of_neuron = np.repeat(np.arange(cores.count), np.diff(cores.neuron_ptr))
    source_core[cores.neuron_source] = core_of_neuron
    reach_source = layout.send_source[layout.reach_send]
    net_hops = np.zeros((len(HOP_KINDS), routes.nets), np.int64)
    node_net = np.repeat(np.arange(routes.nets), np.diff(routes.branch_ptr))
    on_channel = machine.branch_channel >= 0
    kind = machine.kind[machine.branch_channel[on_channel]]
    np.add.at(net_hops, (kind, node_net[on_channel]), 1)
    hops = np.zeros((len(HOP_KINDS), total), np.int32)
    for number in range(len(HOP_KINDS)):
        np.add.at(hops[number], layout.send_source, net_hops[number][routes.send_net])
    return Counter(
        program,
        layout,
        cores.count,
        np.diff(program.segment_ptr),
        source_core,
        hops,
        np.bincount(reach_source, minlength=total),
        _rows(deployment, program, layout),
        cores.axon_core.astype(np.int32, copy=False),
        reach_source,
    )


def row_kinds(deployment: Deployment) -> npt.NDArray[np.int8]:
    """[axons] index into ``ROW_KINDS``, by the row's encoding; crossbar rows count as dense."""
    number = {"sparse": 1, "bitmask": 2}
    kinds = np.array([number.get(name, 0) for name in deployment.target.core.encodings], np.int8)
    return kinds[deployment.cores.axon_encoding]


def _rows(deployment: Deployment, program: Program, layout: Layout) -> tuple[sparse.csr_array, ...]:
    """Entries per (axon, population), apart for each of ``ROW_KINDS``.

    A packet reads one row of a pair of axons; both are equally long, and the positive one counts.
    """
    population = (layout.owner[program.neuron_source] - layout.inputs).astype(np.int32)
    cores, rows, kinds = deployment.cores, deployment.cores.rows, row_kinds(deployment)
    names, base = len(layout.names) - layout.inputs, cores.neuron_ptr[:-1].astype(np.int64)
    given = (
        rows.shape, rows.shift, rows.shape_ptr, rows.offset.astype(np.int32, copy=False),
        base[cores.axon_core], population,
    )  # fmt: skip
    size, times = np.zeros(rows.count, np.int32), np.zeros(names, np.int32)
    _count_parts(*given, times, size)
    ptr = pointers(size)
    column, count = np.empty(ptr[-1], np.int32), np.empty(ptr[-1], np.int32)
    _fill_parts(*given, times, ptr, column, count)
    result, none = [], sparse.csr_array((rows.count, names), dtype=np.int32)
    for number in range(len(ROW_KINDS)):
        chosen = (kinds == number) & (program.axon_sign >= 0)
        if not chosen.any():
            result.append(none)
            continue
        part_ptr = pointers(np.where(chosen, size, 0)).astype(index_type(int(ptr[-1])))
        parts = (count, column, part_ptr)
        if not chosen.all():
            some = np.repeat(chosen, size)
            parts = (count[some], column[some], part_ptr)
        result.append(sparse.csr_array(parts, shape=(rows.count, names)))
    return tuple(result)


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


def prices(costs: CostTable) -> Float64:
    """[kinds] joule per event; NaN is unknown, 0 is contained in another price."""
    single = np.full(len(KINDS), np.nan)
    for kind, cost in costs.events.items():
        single[_AT[kind]] = np.nan if cost.energy is None else cost.energy
    if costs.scope == "unpriced":
        single[:] = np.nan
    if costs.scope == "all_in":
        all_in = single[_AT[ALL_IN]]
        single[:] = 0.0
        single[_AT[ALL_IN]] = all_in
    else:
        single[_AT[ALL_IN]] = 0.0
    return single


def latencies(target: Target) -> Float64:
    """[kinds] seconds per event; NaN is unknown."""
    seconds = np.full(len(KINDS), np.nan)
    for kind, cost in target.costs.events.items():
        seconds[_AT[kind]] = np.nan if cost.latency is None else cost.latency
    return seconds


def latency_of(target: Target, kind: str) -> float:
    """Seconds of one event; 0 when unknown (it is then listed as unpriced)."""
    return float(np.nan_to_num(latencies(target)[_AT[kind]]))


def unpriced(target: Target, total: Int64, timing: bool) -> tuple[Unpriced, ...]:
    """Events that happened but whose energy or latency the target does not know."""
    missing = []
    energy, latency = prices(target.costs), latencies(target)
    for number, kind in enumerate(KINDS):
        count = int(total[number])
        if count and np.isnan(energy[number]):
            missing.append(Unpriced(kind, "energy", count))
        if count and timing and kind != ALL_IN and np.isnan(latency[number]):
            missing.append(Unpriced(kind, "latency", count))
    return tuple(missing)
