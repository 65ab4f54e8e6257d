"""How long a tick takes: soma sweeps, packets on the network, receive pipelines, barrier."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import numpy as np

from snnc.ir.arrays import AnyArray
from snnc.ir.deployment import Deployment
from snnc.ir.errors import SimulationError, TargetError
from snnc.ir.jit import inlined, lean_kernel
from snnc.ir.target import Execution
from snnc.ir.topology import Mesh
from snnc.simulators.cycle import flit, noc
from snnc.simulators.cycle.axons import packets_of
from snnc.simulators.cycle.ends import Releases
from snnc.simulators.cycle.energy import ROW_KINDS, latency_of, row_kinds
from snnc.simulators.cycle.flit_tables import new_state
from snnc.simulators.cycle.noc_tables import (
    Float64,
    Int32,
    Int64,
    Machine,
    build,
    known,
)
from snnc.simulators.cycle.program import Program
from snnc.simulators.neuron_kernel import EMIT_STATE

Fidelity = Literal["transaction", "flit"]
FIDELITIES: tuple[Fidelity, ...] = get_args(Fidelity)


class Spikes(NamedTuple):
    """What some sources emit in one tick, in the order in which they send."""

    source: Int32
    value: Int64


class SomaCost(NamedTuple):
    """Units per event of a core's sweep, and per packet of the host."""

    access: float
    update: float
    spike: float
    message: float
    host: float


class TickTime(NamedTuple):
    """Cycles of one tick.

    Attributes:
        sweep, receive, network: until each part was done; the tick takes the longest.
        compute: of the longest sweep, had it never waited.
        memory: of the core that looked up and accumulated longest, without its waiting.
    """

    sweep: float
    receive: float
    network: float
    compute: float
    memory: float

    @property
    def cycles(self) -> float:
        """Cycles of the tick without the barrier."""
        return max(self[:3])


class CoreTimes(NamedTuple):
    """[cores] cycles of one tick each.

    Attributes:
        sweep: until the sweep is done.
        stall: of those, waiting for room in the injection queue.
        receive_end: until the last packet is accumulated.
        receive: looking up and accumulating, without waiting for packets.
    """

    sweep: Float64
    stall: Float64
    receive_end: Float64
    receive: Float64


class Senders(NamedTuple):
    """What the planning of sweeps needs to know of a program; few arrays compile faster.

    Attributes:
        core_ptr: [cores + 1] slice of neurons.
        send_ptr: [sources + 1] slice of sends.
        neuron_source: [neurons] source id.
        spikes: uint8 [neurons], whether what the neuron emits are spikes, not states.
        sends: [sources] nets per source.
        packet_limit: [sources] largest value one packet can carry.
    """

    core_ptr: Int64
    send_ptr: Int64
    neuron_source: Int32
    spikes: AnyArray
    sends: Int64
    packet_limit: Int64


def senders_of(deployment: Deployment, program: Program) -> Senders:
    """Tables of all cores."""
    parameters = program.neurons
    spikes = parameters.table[parameters.kind, EMIT_STATE] == 0
    return Senders(
        deployment.cores.neuron_ptr.astype(np.int64),
        deployment.routes.send_ptr.astype(np.int64),
        program.neuron_source,
        spikes.astype(np.uint8),
        program.sends,
        program.packet_limit,
    )


@lean_kernel
def packets_needed(sends: Int64, limit: Int64, source: Int32, value: Int64) -> int:
    """Packets that these values take on all nets of their sources."""
    total = 0
    for i in range(source.size):
        total += sends[source[i]] * packets_of(value[i], limit[source[i]])
    return total


@lean_kernel
def plan_sweeps(
    senders: Senders,
    cost: SomaCost,
    spikes: Spikes,
    touched: Int32,
    releases: Releases,
    end: Float64,
) -> int:
    """Time at which every packet leaves its core when nothing makes the sweep wait.

    A core looks at its neurons in order: access, update where needed, spike, packets.

    Args:
        senders, cost: tables and units.
        spikes: emitted in this tick, in sweep order.
        touched: [neurons] needed an update.
        releases: filled for all cores.
        end: [cores] receives the units of the whole sweep.

    Returns:
        Number of packets written.
    """
    cursor, packets = 0, 0
    core_ptr = senders.core_ptr
    for core in range(core_ptr.size - 1):
        now = 0.0
        releases.ptr[core] = packets
        for i in range(core_ptr[core], core_ptr[core + 1]):
            now += cost.access
            if touched[i]:
                now += cost.update
            if cursor == spikes.source.size or spikes.source[cursor] != senders.neuron_source[i]:
                continue
            if senders.spikes[i]:
                now += cost.spike
            now, packets = _emit(senders, spikes, cursor, now, cost.message, releases, packets)
            cursor += 1
        end[core] = now
    return packets


@inlined
def _emit(
    senders: Senders,
    spikes: Spikes,
    i: int,
    now: float,
    cost: float,
    releases: Releases,
    packets: int,
) -> tuple[float, int]:
    """Append the packets of one spike; returns (time, packets) afterwards."""
    source = spikes.source[i]
    if senders.sends[source] == 0:  # a potential that only the host reads may be a huge number
        return now, packets
    for _ in range(packets_of(spikes.value[i], senders.packet_limit[source])):
        for send in range(senders.send_ptr[source], senders.send_ptr[source + 1]):
            now += cost
            releases.send[packets] = send
            releases.time[packets] = now
            packets += 1
    return now, packets


@lean_kernel
def plan_host(
    limit: Int64,
    cost: float,
    cores: int,
    send_ptr: Int64,
    send_sender: Int32,
    spikes: Spikes,
    releases: Releases,
    packets: int,
) -> None:
    """Append the packets of every host port behind those of the cores."""
    for sender in range(cores, releases.ptr.size - 1):
        releases.ptr[sender] = packets
        now = 0.0
        for i in range(spikes.source.size):
            source = spikes.source[i]
            for _ in range(packets_of(spikes.value[i], limit[source])):
                for send in range(send_ptr[source], send_ptr[source + 1]):
                    if send_sender[send] == sender:
                        now += cost
                        releases.send[packets] = send
                        releases.time[packets] = now
                        packets += 1
    releases.ptr[releases.ptr.size - 1] = packets


class Clock:
    """Times ticks one after the other; owns the state of the network.

    Attributes:
        fidelity: event-driven ("transaction") or cycle by cycle ("flit").
        machine, tables, state: channels, tables and state of the network-on-chip.
        cycle_s: seconds per cycle.
        barrier_s: seconds of the barrier, 0 for fixed ticks.
        tick_s: seconds of a fixed tick, or None.
        stall_cycles: cycles that sweeps waited so far.
    """

    def __init__(
        self,
        deployment: Deployment,
        machine: Machine,
        program: Program,
        fidelity: Fidelity = "transaction",
    ) -> None:
        execution = deployment.target.execution
        self.machine = machine
        self.cycle_s = known(execution.cycle_s, "execution.cycle_s")
        self.fidelity = fidelity
        self.tables, buffers = build(deployment, machine, self._service(deployment, program))
        self.state: noc.NocState | flit.FlitState = noc.new_state(self.tables, buffers)
        if fidelity == "flit":
            self.tables, self.state = new_state(deployment, machine, self.tables, buffers)
        self.barrier_s = barrier_seconds(execution, _tiles(deployment))
        self.tick_s = (
            known(execution.tick_s, "execution.tick_s") if execution.sync == "fixed_tick" else None
        )
        self.stall_cycles = 0.0
        self._mesh = deployment.mesh
        self._senders = senders_of(deployment, program)
        self._cost = self._soma_cost(deployment)
        self._end = np.zeros(deployment.cores.count)
        self._ptr = np.zeros(machine.senders + 1, np.int64)
        self._buffer = (np.zeros(0, np.int32), np.zeros(0))

    def tick(self, spikes: Spikes, touched: Int32 | None, host: Spikes, where: str) -> TickTime:
        """Time one tick.

        Args:
            spikes: what the cores emit.
            touched: [neurons] who needed an update; None for the load phase, without sweeps.
            host: what the host sends for the next tick.
            where: named in errors.

        Raises:
            SimulationError: packets are in flight and none can move: the routing deadlocks.
        """
        releases = self._plan(spikes, touched, host)
        network = self._drain(releases, where)
        unit = 1.0 / self.machine.resolution
        cores = self._end.size
        self.stall_cycles += float(self.state.shift[:cores].sum()) * unit
        return TickTime(
            float((self._end + self.state.shift[:cores]).max(initial=0.0)) * unit,
            float(self.state.receive_end.max(initial=0.0)) * unit,
            network * unit,
            float(self._end.max(initial=0.0)) * unit,
            float(self.state.work.max(initial=0.0)) * unit,
        )

    def _drain(self, releases: Releases, where: str) -> int:
        """Units until the network is empty; raises ``SimulationError`` when it never will be."""
        tables, state = self.tables, self.state
        if isinstance(state, flit.FlitState):
            network = flit.drain(tables, state, releases)
            waits = flit.waits(tables, state) if network < 0 else {}
        else:
            network = noc.drain(tables, state, releases)
            waits = noc.waits(tables, state) if network < 0 else {}
        if network < 0:
            in_flight = int(state.queue[:, noc.FILL].sum())
            raise deadlock(self.machine, waits, in_flight, self._mesh, where)
        return network

    def core_times(self, reach_send: Int64, reach_core: Int64) -> CoreTimes:
        """Times of the cores in the last tick; arguments as in ``program.Layout``."""
        unit, cores = 1.0 / self.machine.resolution, self._end.size
        sent = np.bincount(self._buffer[0][: self._ptr[-1]], minlength=len(self.tables.send))
        work = np.zeros(cores)
        np.add.at(work, reach_core, sent[reach_send] * self.tables.service)
        stall = self.state.shift[:cores]
        return CoreTimes(
            (self._end + stall) * unit,
            stall * unit,
            self.state.receive_end * unit,
            work * unit,
        )

    def seconds(self, time: TickTime) -> float:
        """Length of a tick."""
        if self.tick_s is not None:
            return self.tick_s
        return time.cycles * self.cycle_s + self.barrier_s

    def _plan(self, spikes: Spikes, touched: Int32 | None, host: Spikes) -> Releases:
        senders = self._senders
        limit = senders.packet_limit
        packets = sum(packets_needed(senders.sends, limit, *each) for each in (spikes, host))
        if packets > self._buffer[0].size:
            self._buffer = (np.zeros(2 * packets, np.int32), np.zeros(2 * packets))
        releases = Releases(self._ptr, *self._buffer)
        written, cores = 0, self._end.size
        if touched is None:
            self._ptr[: cores + 1] = 0
            self._end[:] = 0.0
        else:
            written = plan_sweeps(senders, self._cost, spikes, touched, releases, self._end)
        plan_host(
            limit,
            self._cost.host,
            cores,
            senders.send_ptr,
            self.machine.send_sender,
            host,
            releases,
            written,
        )
        return releases

    def _units(self, seconds: float) -> float:
        # Rounded so that 26e-9 s at 1e-9 s per cycle is 26 and not a little less.
        return round(seconds / self.cycle_s * self.machine.resolution, 9)

    def _soma_cost(self, deployment: Deployment) -> SomaCost:
        kinds = ("neuron_access", "neuron_update", "spike_generate", "message_out", "host_in")
        return SomaCost(*(self._units(latency_of(deployment.target, kind)) for kind in kinds))

    def _service(self, deployment: Deployment, program: Program) -> Float64:
        """[reaches] units for one packet: look up its axons, then accumulate their rows."""
        look_up, *each = (
            self._units(latency_of(deployment.target, kind)) for kind in ("message_in", *ROW_KINDS)
        )
        per_entry = np.array(each)[row_kinds(deployment)]
        # A packet reads one row of a pair of axons; both are equally long.
        entries = np.where(program.axon_sign < 0, 0, np.diff(program.synapse_ptr))
        row = np.concatenate([[0.0], np.cumsum(entries * per_entry)])
        # Reaches are numbered by source, then by send, as the network numbers them.
        service: Float64 = look_up + row[program.reach_last] - row[program.reach_first]
        return service


def _tiles(deployment: Deployment) -> int:
    """Routers with at least one used core."""
    return int(np.unique(deployment.cores.location[:, :2], axis=0).shape[0])


def barrier_seconds(execution: Execution, tiles: int) -> float:
    """Seconds of one barrier over this many tiles.

    Between the entries of the target's table linear in the logarithm of the number of tiles, or
    the entry before (``barrier_between``); outside the table its first or last entry; 0 for fixed
    ticks and without a table.
    """
    if execution.sync == "fixed_tick" or not execution.barrier_s:
        return 0.0
    if min(execution.barrier_s) < 1:
        raise TargetError(
            "a barrier table begins at 1 tile or more",
            where="execution.barrier_s",
            found=min(execution.barrier_s),
        )
    entries = sorted(execution.barrier_s.items())
    if execution.barrier_between == "step":
        return next((s for count, s in reversed(entries) if count <= tiles), entries[0][1])
    known_tiles = [math.log(count) for count, _ in entries]
    return float(np.interp(math.log(tiles), known_tiles, [seconds for _, seconds in entries]))


def deadlock(
    machine: Machine, waits: dict[int, list[int]], in_flight: int, mesh: Mesh, where: str
) -> SimulationError:
    """The error that names a cycle of channels which wait for each other.

    Args:
        machine, mesh: the channels and where they are.
        waits: for every channel whose head is blocked, the channels it waits for.
        in_flight: packets in the network.
        where: sample and tick.
    """
    cycle = _cycle(waits)
    hops = [tuple(map(mesh.xy, pair)) for pair in machine.channels.tolist()]
    names = [f"({a[0]},{a[1]})->({b[0]},{b[1]})" for a, b in (hops[c] for c in cycle)]
    return SimulationError(
        "the network-on-chip is deadlocked: packets wait for each other in a ring of channels",
        where=where,
        found=f"{in_flight} packets stuck; {' waits for '.join([*names, *names[:1]])}",
        allowed="routes whose channel-dependency graph has no cycle",
        remedy="compile again; `snnc verify` checks the certificate of the routes",
    )


def _cycle(waits: dict[int, list[int]]) -> list[int]:
    """Follow the first wait of each channel until one repeats."""
    for start in sorted(waits):
        path: list[int] = [start]
        while path[-1] in waits:
            following = waits[path[-1]][0]
            if following in path:
                return path[path.index(following) :]
            path.append(following)
    return []
