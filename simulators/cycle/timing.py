"""How long a tick takes: soma sweeps, packets on the network, receive pipelines, barrier."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import numpy as np

from snnc.ir.arrays import AnyArray
from snnc.ir.deployment import Deployment
from snnc.ir.errors import SimulationError, TargetError, UnsupportedError
from snnc.ir.target import Execution
from snnc.ir.topology import Mesh
from snnc.simulators.cycle import flit, noc
from snnc.simulators.cycle.ends import Releases
from snnc.simulators.cycle.energy import ROW_KINDS, latency_of
from snnc.simulators.cycle.flit_tables import new_state
from snnc.simulators.cycle.noc_tables import Float64, Machine, build, known
from snnc.simulators.cycle.planning import SomaCost, senders_of
from snnc.simulators.cycle.program import Layout, Program
from snnc.simulators.cycle.row_reads import service_times
from snnc.simulators.cycle.timetable import (
    Record,
    Stretch,
    Task,
    most_packets,
    time_flits,
    time_packets,
)

Fidelity = Literal["transaction", "flit", "none"]
FIDELITIES: tuple[Fidelity, ...] = get_args(Fidelity)


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


class Clock:
    """Times ticks one after the other; owns the state of the network.

    Attributes:
        fidelity: event-driven ("transaction"), cycle by cycle ("flit"), or instant ("none").
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
        if fidelity == "transaction" and self.tables.refusing:
            raise UnsupportedError(
                "the event-driven network knows no cores that refuse packets",
                where=f"noc.consumption of {deployment.target.id}",
                found=deployment.target.noc.consumption,
                allowed="always",
                remedy="run with --noc flit",
            )
        if fidelity == "flit":
            self.tables, self.state = new_state(deployment, machine, self.tables, buffers)
        self.barrier_s = barrier_seconds(execution, _tiles(deployment))
        self.tick_s = (
            known(execution.tick_s, "execution.tick_s") if execution.sync == "fixed_tick" else None
        )
        self.stall_cycles = 0.0
        self._mesh = deployment.mesh
        self._senders = senders_of(deployment, program, machine.net_sender, machine.resolution)
        self._cost = self._soma_cost(deployment)
        self._end = np.zeros(deployment.cores.count)
        ptr = np.zeros(machine.senders + 1, np.int64)
        self._releases = Releases(ptr, np.zeros(0, np.int32), np.zeros(0))
        nobody, nothing = np.zeros(0, np.int32), np.zeros(0, np.int64)
        self._unrecorded = Record(
            nobody, nobody, nothing, np.zeros((0, 0), np.int64), np.zeros((0, 0, 0))
        )

    def ticks(
        self, work: Stretch, sample: int, record: Record | None = None, *, sweeps: bool = True
    ) -> Float64:
        """Time a stretch of ticks.

        Args:
            work: what leaves cores and host.
            sample: named in errors.
            record: receives what every tick leaves behind.
            sweeps: False in the load phase, in which no core sweeps.

        Returns:
            [ticks, fields of ``TickTime``] cycles.

        Raises:
            SimulationError: packets are in flight and none can move: the routing deadlocks.
        """
        packets = most_packets(self._senders, work)
        if packets > self._releases.send.size:
            room = np.zeros(2 * packets, np.int32), np.zeros(2 * packets)
            self._releases = Releases(self._releases.ptr, *room)
        times = np.zeros((len(work.pulse_ptr) - 1, len(TickTime._fields) + 1))
        cost = self._cost if sweeps else SomaCost(0.0, 0.0, 0.0, 0.0, self._cost.host, 0.0)
        written = self._unrecorded if record is None else record
        task = Task(self._senders, cost, work, self._releases, self._end, times, written)
        if isinstance(self.state, flit.FlitState):
            done = time_flits(self.tables, self.state, task)
        else:
            done = time_packets(self.tables, self.state, task, int(self.fidelity == "none"))
        if done < len(times):
            raise self._deadlock(f"sample {sample}, tick {work.first + done}")
        times /= self.machine.resolution
        # One by one, so that the sum does not depend on how ticks are grouped.
        for stall in times[:, -1].tolist():
            self.stall_cycles += stall
        return times[:, :-1]

    def kept(self) -> dict[str, AnyArray]:
        """What the network and its tallies keep from tick to tick; not copies, but for a sum."""
        found: dict[str, AnyArray] = {
            "total": self.state.total,
            "load": self.state.load,
            "stall_cycles": np.array([self.stall_cycles]),
        }
        if isinstance(self.state, flit.FlitState):
            found["turn"] = self.state.port[:, flit.POINTER]
        return found

    def take_up(self, kept: Mapping[str, AnyArray]) -> bool:
        """Go on from what was kept, of the same types and shapes; False when it is impossible."""
        state, stall = self.state, float(kept["stall_cycles"][0])
        counts = kept["total"].min(initial=0) >= 0 and kept["load"].min(initial=0) >= 0
        if not (counts and math.isfinite(stall) and stall >= 0):
            return False
        if isinstance(state, flit.FlitState):
            turn = kept["turn"]
            if (turn < 0).any() or (turn >= np.maximum(state.port[:, flit.CONTENDERS], 1)).any():
                return False
            state.port[:, flit.POINTER] = turn
        state.total[:], state.load[:] = kept["total"], kept["load"]
        self.stall_cycles = stall
        return True

    def record(self, layout: Layout, ticks: int) -> Record:
        """Room for what so many ticks leave behind."""
        return Record(
            layout.reach_send,
            layout.reach_core,
            np.zeros(len(self.tables.send), np.int64),
            np.zeros((ticks, self.state.load.size), np.int64),
            np.zeros((ticks, 4, self._end.size)),
        )

    def _deadlock(self, where: str) -> SimulationError:
        tables, state = self.tables, self.state
        if isinstance(state, flit.FlitState):
            waits = flit.waits(tables, state)
        else:
            waits = noc.waits(tables, state)
        in_flight = int(state.queue[:, noc.FILL].sum())
        return deadlock(self.machine, waits, in_flight, self._mesh, where)

    def seconds(self, time: TickTime) -> float:
        """Length of a tick."""
        if self.tick_s is not None:
            return self.tick_s
        return time.cycles * self.cycle_s + self.barrier_s

    def _units(self, seconds: float) -> float:
        # Rounded so that 26e-9 s at 1e-9 s per cycle is 26 and not a little less.
        return round(seconds / self.cycle_s * self.machine.resolution, 9)

    def _soma_cost(self, deployment: Deployment) -> SomaCost:
        kinds = ("neuron_access", "neuron_update", "spike_generate", "message_out", "host_in")
        costs = [self._units(latency_of(deployment.target, kind)) for kind in kinds]
        return SomaCost._make([*costs, 1.0])

    def _service(self, deployment: Deployment, program: Program) -> Float64:
        """[reaches] units for one packet: look up its axons, then accumulate their rows."""
        look_up, *each = (
            self._units(latency_of(deployment.target, kind)) for kind in ("message_in", *ROW_KINDS)
        )
        return service_times(deployment, program.reaches, look_up, tuple(each))


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
    ring = " waits for ".join([*names, *names[:1]])
    return SimulationError(
        "the network-on-chip is deadlocked: packets wait for each other in a ring of channels",
        where=where,
        found=f"{in_flight} packets stuck; {ring or 'cores refuse packets until theirs have left'}",
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
