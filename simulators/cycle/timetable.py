"""Time of many ticks in one call: planning what is sent, then the network, tick after tick."""

from __future__ import annotations

from typing import NamedTuple

from snnc.ir.jit import inlined, inner_kernel, lean_kernel
from snnc.simulators.cycle import flit, noc
from snnc.simulators.cycle.ends import Releases
from snnc.simulators.cycle.flit import FlitState
from snnc.simulators.cycle.instant import pass_all
from snnc.simulators.cycle.noc import NocState
from snnc.simulators.cycle.noc_tables import Float64, Int32, Int64, NocTables
from snnc.simulators.cycle.planning import (
    Pulses,
    Senders,
    SomaCost,
    packets_needed,
    plan_host,
    plan_sweeps,
)


class Host(NamedTuple):
    """What the host sends: tick ``first + k`` has slice k of the lists, later ticks nothing."""

    ptr: Int64
    source: Int32
    value: Int64
    first: int


class Stretch(NamedTuple):
    """What leaves cores and host in a stretch of ticks.

    Attributes:
        pulses: of all cores.
        pulse_ptr: [ticks + 1] slice of them per tick of the stretch.
        core_updates: [ticks, cores] neurons that needed an update.
        host: what travels beside the spikes of tick t is the slice t + 1.
        first: number of the first tick.
    """

    pulses: Pulses
    pulse_ptr: Int64
    core_updates: Int32
    host: Host
    first: int


class Record(NamedTuple):
    """What single ticks leave behind, where somebody wants to know; else of no ticks.

    Attributes:
        reach_send, reach_core: as in ``program.Layout``.
        sent: [sends] room for the packets of one tick.
        load: [ticks, ports] packets sent until the end of the tick, since the run began.
        cores: [ticks, 4, cores] units: until the sweep is done, had it never waited; what it
            waited; until the last packet is accumulated; looking up and accumulating.
    """

    reach_send: Int32
    reach_core: Int32
    sent: Int64
    load: Int64
    cores: Float64


class Task(NamedTuple):
    """A stretch to be timed.

    Attributes:
        senders, cost: tables and units.
        work: the stretch.
        releases: room for the packets of any of its ticks.
        end: [cores] units of the last sweep.
        times: [ticks, 6] receives the fields of ``TickTime``, then what sweeps waited; in units.
        record: of at least as many ticks, or of none.
    """

    senders: Senders
    cost: SomaCost
    work: Stretch
    releases: Releases
    end: Float64
    times: Float64
    record: Record


@lean_kernel
def most_packets(senders: Senders, work: Stretch) -> int:
    """The most packets of one tick."""
    most = 0
    for k in range(work.pulse_ptr.size - 1):
        sent = packets_needed(
            senders, work.pulses.source, work.pulses.value, work.pulse_ptr[k], work.pulse_ptr[k + 1]
        )
        first, last = _host_slice(work, k)
        sent += packets_needed(senders, work.host.source, work.host.value, first, last)
        most = max(most, sent)
    return most


@inlined
def _host_slice(work: Stretch, k: int) -> tuple[int, int]:
    """What the host sends beside tick k of the stretch."""
    following = work.first + k + 1 - work.host.first
    tick = min(following, work.host.ptr.size - 2)
    first = work.host.ptr[tick]
    return first, work.host.ptr[tick + 1] if tick == following else first


@lean_kernel
def time_packets(tables: NocTables, state: NocState, task: Task, instant: int) -> int:
    """Time a stretch with the event-driven network or none; the first tick that deadlocks."""
    for k in range(len(task.times)):
        _plan(task, k)
        if instant:
            network = pass_all(tables, state, task.releases)
        else:
            network = noc.drain(tables, state, task.releases)
        if network < 0:
            return k
        _note(task, k, network, state.shift, state.receive_end, state.work)
        if len(task.record.load) > 0:
            _write_down(tables, task, k, state.shift, state.receive_end, state.load)
    return len(task.times)


@lean_kernel
def time_flits(tables: NocTables, state: FlitState, task: Task) -> int:
    """Time a stretch cycle by cycle; the first tick that deadlocks."""
    for k in range(len(task.times)):
        _plan(task, k)
        network = flit.drain(tables, state, task.releases)
        if network < 0:
            return k
        _note(task, k, network, state.shift, state.receive_end, state.work)
        if len(task.record.load) > 0:
            _write_down(tables, task, k, state.shift, state.receive_end, state.load)
    return len(task.times)


@inlined
def _plan(task: Task, k: int) -> None:
    """Write the packets of tick k of the stretch."""
    work, releases = task.work, task.releases
    first, last = _host_slice(work, k)
    packets = plan_sweeps(
        task.senders, task.cost, work.pulses, work.pulse_ptr[k], work.pulse_ptr[k + 1],
        work.core_updates[k], releases, task.end,
    )  # fmt: skip
    host = work.host
    plan_host(task.senders, task.cost, host.source, host.value, first, last, releases, packets)


@inlined
def _note(
    task: Task, k: int, network: int, shift: Float64, receive_end: Float64, work: Float64
) -> None:
    """Write the times of tick k of the stretch."""
    times = task.times[k]
    times[2] = network
    for core in range(task.end.size):
        times[0] = max(times[0], task.end[core] + shift[core])
        times[1] = max(times[1], receive_end[core])
        times[3] = max(times[3], task.end[core] - task.cost.started * task.senders.start[core])
        times[4] = max(times[4], work[core])
        times[5] += shift[core]


@inner_kernel
def _write_down(
    tables: NocTables, task: Task, k: int, shift: Float64, receive_end: Float64, load: Int64
) -> None:
    """Fill row k of the record."""
    record, releases = task.record, task.releases
    for port in range(load.size):
        record.load[k, port] = load[port]
    cores = record.cores[k]
    for core in range(task.end.size):
        cores[0, core] = task.end[core]
        cores[1, core] = shift[core]
        cores[2, core] = receive_end[core]
        cores[3, core] = 0.0
    for send in range(record.sent.size):
        record.sent[send] = 0
    for i in range(releases.ptr[releases.ptr.size - 1]):
        record.sent[releases.send[i]] += 1
    # In the order of reaches, so that sums do not depend on how the network delivers.
    for reach in range(record.reach_send.size):
        sent = record.sent[record.reach_send[reach]]
        if sent > 0:
            cores[3, record.reach_core[reach]] += sent * tables.service[reach]
