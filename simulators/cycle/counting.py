"""What happened, and how often.

Every event of a run follows from three integer vectors, because trees and rows are static:
packets per source, neurons updated and neurons fired per segment.  Counting is therefore exact
and costs the kernels nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from snnc.ir.deployment import Deployment
from snnc.ir.target import EventKind
from snnc.simulators.cycle.energy import ALL_IN, KINDS, ROW_KINDS
from snnc.simulators.cycle.noc_tables import HOP_KINDS, Machine
from snnc.simulators.cycle.program import Layout, Program
from snnc.simulators.cycle.reaches import Trees
from snnc.simulators.cycle.row_reads import (
    RowReads,
    count_packets,
    entries_per_packet,
    read_some,
    row_reads,
)
from snnc.simulators.neuron_kernel import EMIT_STATE

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

_AT: dict[str, int] = {kind: number for number, kind in enumerate(KINDS)}
_ROWS = [_AT[kind] for kind in ROW_KINDS]
_CARRIED: tuple[EventKind, ...] = ("message_out", "host_in", "message_in", *HOP_KINDS)
"""Events of a packet on its way, in the order of ``Counter.net_events``."""


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
        packets: [nets].
    """

    total: Int64
    by_layer: Int64
    by_core: Int64
    packets: Int64


@dataclass(frozen=True, eq=False)
class Counter:
    """Static tables that turn activity into counts.

    Attributes:
        program, layout: from ``program.build``.
        cores: number of cores.
        segment_size: [segments] neurons.
        trees: where packets go.
        net_sender: [nets] sending core, ``cores`` for the host.
        net_events: [nets, ``_CARRIED``] events of one packet.
        rows: what packets read.
    """

    program: Program
    layout: Layout
    cores: int
    segment_size: Int64
    trees: Trees
    net_sender: Int64
    net_events: Int64
    rows: RowReads

    def count(self, activity: Activity) -> Counts:
        """Exact number of every event."""
        by_layer, by_core, rows = self._nothing()
        packets = np.zeros(self.net_sender.size, np.int64)
        carried = np.zeros((len(self.layout.names), len(_CARRIED)), np.int64)
        count_packets(
            self.trees, self.program.reaches, self.rows, self.layout.owner, self.net_events,
            activity.packets, packets, carried, *rows,
        )  # fmt: skip
        self._soma(activity, by_layer, by_core)
        for column, kind in enumerate(_CARRIED):
            by_layer[_AT[kind]] = carried[:, column]
            if kind != "message_in":
                events = packets * self.net_events[:, column]
                np.add.at(by_core[_AT[kind]], self.net_sender, events)
        received = np.repeat(packets, np.diff(self.trees.delivery_ptr))
        np.add.at(by_core[_AT["message_in"]], self.trees.delivery_core, received)
        _put_rows(by_layer, by_core, rows)
        return Counts(by_layer.sum(axis=1), by_layer, by_core, packets)

    def read(self, taken: Int64) -> tuple[Int64, Int64]:
        """(by layer, by core): entries read of all kinds, where ``taken`` [reaches] copies were."""
        by_layer, by_core, rows = self._nothing()
        read_some(self.program.reaches, self.rows, self.layout.reach_core, taken, *rows)
        _put_rows(by_layer, by_core, rows)
        return by_layer, by_core

    def _nothing(self) -> tuple[Int64, Int64, tuple[Int64, Int64]]:
        """No events of any kind by layer and core; those of ``ROW_KINDS`` once more."""
        extents = len(self.layout.names), self.cores + 1
        by_layer, by_core = (np.zeros((len(KINDS), extent), np.int64) for extent in extents)
        layers, cores = (np.zeros((len(ROW_KINDS), extent), np.int64) for extent in extents)
        return by_layer, by_core, (layers, cores)

    def count_ticks(self, ptr: Int64, source: Int32, value: Int64, from_core: bool) -> Int64:
        """[ticks, kinds] events of what was sent in single ticks, without accesses and updates.

        Args:
            ptr: [ticks + 1] slice of what was sent in each tick.
            source, value: who sent what.
            from_core: whether cores sent it; else the host did.
        """
        limit = self.program.packets.limit[self.layout.owner[source]]
        packets = (np.abs(value) - 1) // limit + 1
        shape = (ptr.size - 1, self.program.sources)
        result: Int64 = sparse.csr_array((packets, source, ptr), shape=shape) @ self.per_packet
        if from_core:
            until = np.concatenate([[0], np.cumsum(self.fires[self.layout.owner[source]])])
            result[:, _AT["spike_generate"]] = np.diff(until[ptr])
        return result

    @cached_property
    def fires(self) -> Int64:
        """[inputs and populations] 1 where what is sent are spikes, not states."""
        result = np.zeros(len(self.layout.names), np.int64)
        result[self.layout.inputs :] = self.program.neurons.table[:, EMIT_STATE] == 0
        return result

    @cached_property
    def per_packet(self) -> Int64:
        """[sources, kinds] events of one packet on every net of the source."""
        result = np.zeros((self.program.sources, len(KINDS)), np.int64)
        source = self.layout.send_source
        for column, kind in enumerate(_CARRIED):
            np.add.at(result[:, _AT[kind]], source, self.net_events[self.trees.send_net, column])
        read = np.zeros((self.program.sources, len(ROW_KINDS)), np.int64)
        entries_per_packet(self.program.reaches, self.rows, read)
        result[:, _ROWS], result[:, _AT[ALL_IN]] = read, read.sum(axis=1)
        return result

    def _soma(self, activity: Activity, by_layer: Int64, by_core: Int64) -> None:
        for kind, values in (
            ("neuron_access", self.segment_size * activity.ticks),
            ("neuron_update", activity.updated),
            ("spike_generate", activity.fired * self.fires[self.layout.segment_owner]),
        ):
            np.add.at(by_layer[_AT[kind]], self.layout.segment_owner, values)
            np.add.at(by_core[_AT[kind]], self.layout.segment_core, values)


def _put_rows(by_layer: Int64, by_core: Int64, rows: tuple[Int64, Int64]) -> None:
    """Write what was read, by ``ROW_KINDS``, and the sum over these."""
    for table, found in zip((by_layer, by_core), rows, strict=True):
        table[_ROWS], table[_AT[ALL_IN]] = found, found.sum(axis=0)


def synaptic_events(counts: Counts) -> int:
    """Row entries read, whatever their encoding."""
    return int(counts.total[_AT[ALL_IN]])


def counter(deployment: Deployment, machine: Machine, program: Program, layout: Layout) -> Counter:
    """Prepare counting for a deployment."""
    cores, routes = deployment.cores.count, deployment.routes
    host = np.asarray(routes.net_core) < 0
    events = np.zeros((routes.nets, len(_CARRIED)), np.int64)
    events[:, _CARRIED.index("message_out")] = ~host
    events[:, _CARRIED.index("host_in")] = host
    events[:, _CARRIED.index("message_in")] = np.diff(routes.delivery_ptr)
    node_net = np.repeat(np.arange(routes.nets), np.diff(routes.branch_ptr))
    on_channel = machine.branch_channel >= 0
    kind = machine.kind[machine.branch_channel[on_channel]]
    np.add.at(events, (node_net[on_channel], _CARRIED.index(HOP_KINDS[0]) + kind), 1)
    return Counter(
        program,
        layout,
        cores,
        np.diff(program.segment_ptr),
        Trees.of(routes),
        np.where(host, cores, routes.net_core).astype(np.int64),
        events,
        row_reads(deployment, layout),
    )
