"""From what was noted during a run to a ``CycleResult``."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from snnc.ir.arrays import AnyArray
from snnc.ir.deployment import Deployment
from snnc.simulators.cycle import ends, energy
from snnc.simulators.cycle.counting import Counter, Counts, synaptic_events
from snnc.simulators.cycle.energy import KINDS
from snnc.simulators.cycle.noc_tables import HOP_KINDS, Float64, Int64, Machine
from snnc.simulators.cycle.program import Layout
from snnc.simulators.cycle.result import (
    BusiestChannel,
    BusiestCore,
    CycleResult,
    EnergyReport,
    Stopped,
    TimingReport,
    Unpriced,
)
from snnc.simulators.cycle.timetable import Record
from snnc.simulators.cycle.timing import Clock, TickTime
from snnc.simulators.cycle.tracing import Recorder
from snnc.simulators.result import RunResult

PARTS = ("sweep", "receive", "network")
CLASSES = ("compute", "memory", "traffic", "barrier")


@dataclass(eq=False)
class Timeline:
    """What happened when; filled sample by sample."""

    layout: Layout
    machine: Machine
    parts: Float64
    demand: Float64
    seconds: Float64
    counts: list[Counts] = field(default_factory=list)
    stray: int = 0
    misses: int = 0
    stopped: list[tuple[int, int]] = field(default_factory=list)
    by_tick: Int64 | None = None
    recorder: Recorder | None = None

    @staticmethod
    def empty(
        layout: Layout, machine: Machine, samples: int, ticks: int, timing: bool, trace: bool
    ) -> Timeline:
        """Room for a run."""
        line = Timeline(
            layout,
            machine,
            np.zeros((samples, ticks + 1 if timing else 0, len(PARTS))),
            np.zeros((samples, ticks + 1 if timing else 0, 2)),
            np.zeros(samples),
        )
        if trace:
            cores = machine.senders - machine.host_routers.size
            timed = line.parts.shape[1]
            line.recorder = Recorder(layout, machine, cores, samples, ticks, timed)
        return line

    def note_ticks(
        self, sample: int, first: int, clock: Clock, times: Float64, record: Record | None
    ) -> None:
        """Lengths of the ticks from ``first`` on; tick -1 is the load phase.

        Args:
            sample, first: which ticks.
            clock: timed them.
            times: [ticks, fields of ``TickTime``].
            record: what they left behind, for the trace.
        """
        rows = slice(first + 1, first + 1 + len(times))
        self.parts[sample, rows] = times[:, : len(PARTS)]
        self.demand[sample, rows] = times[:, len(PARTS) :]
        length = []
        for row in times.tolist():
            time = TickTime(*row)
            length.append(clock.seconds(time))
            self.seconds[sample] += length[-1]
            self.misses += clock.tick_s is not None and time.cycles * clock.cycle_s > clock.tick_s
        if self.recorder is not None and record is not None:
            self.recorder.note_ticks(sample, first, clock, length, record)

    def note_sample(self, sample: int, counts: Counts, stray: int, ticks: int) -> None:
        """Counts of a finished sample, which took this many ticks; later ones have no time."""
        assert sample == len(self.counts)
        self.parts[sample, ticks + 1 :] = np.nan
        self.counts.append(counts)
        self.stray += stray

    @property
    def tick_cycles(self) -> Float64:
        """[samples, ticks + 1] the longest part of each tick; empty without timing."""
        longest: Float64 = self.parts.max(axis=2)
        return longest


def collect(
    deployment: Deployment,
    counter: Counter,
    clock: Clock | None,
    timeline: Timeline,
    result: RunResult,
) -> CycleResult:
    """Assemble the result of a run."""
    target, names = deployment.target, timeline.layout.names
    total = Counts(*(np.sum(column, axis=0) for column in zip(*timeline.counts, strict=True)))
    by_kind = dict(zip(KINDS, total.total.tolist(), strict=True))
    timing = None if clock is None else _timing(clock, timeline)
    report = _energy(deployment, timeline, total, timing)
    missing = list(energy.unpriced(target, total.total, timing is not None))
    if timing is not None and target.static_w_per_chip.v is None:
        missing.append(Unpriced("static_w_per_chip", "power", deployment.chips))
    return CycleResult(
        result,
        target.id,
        len(timeline.counts),
        deployment.schedule.ticks if timing is None else timeline.parts.shape[1] - 1,
        by_kind,
        {
            name: dict(zip(KINDS, total.by_layer[:, i].tolist(), strict=True))
            for i, name in enumerate(names)
        },
        total.by_core,
        by_kind["message_out"] + by_kind["host_in"],
        sum(by_kind[kind] for kind in HOP_KINDS),
        _busiest_channel(deployment, timeline.machine, total),
        _busiest_core(deployment, total),
        report,
        timing,
        timeline.stray,
        tuple(missing),
        (*timeline.machine.notes, *_notes(deployment, clock)),
        None if timeline.recorder is None else timeline.recorder.trace(timeline.tick_cycles),
        _stopped(timeline),
        timeline.by_tick,
    )


def _stopped(timeline: Timeline) -> Stopped | None:
    if not timeline.stopped:
        return None
    steps, saved = np.array(timeline.stopped, np.int64).T
    spent = np.array([synaptic_events(counts) for counts in timeline.counts], np.int64)
    return Stopped(steps, spent, saved)


def _energy(
    deployment: Deployment, timeline: Timeline, total: Counts, timing: TimingReport | None
) -> EnergyReport:
    target = deployment.target
    price = np.nan_to_num(energy.prices(target.costs))
    watts = target.static_w_per_chip.v
    static = None
    if timing is not None and watts is not None:
        static = timing.seconds * watts * deployment.chips
    layers = (price @ total.by_layer).tolist()
    return EnergyReport(
        target.costs.scope,
        np.array([price @ counts.total for counts in timeline.counts]),
        {kind: float(price[i] * total.total[i]) for i, kind in enumerate(KINDS) if price[i]},
        dict(zip(timeline.layout.names, layers, strict=True)),
        price @ total.by_core,
        static,
    )


def _timing(clock: Clock, timeline: Timeline) -> TimingReport:
    ran, longest = ~np.isnan(timeline.parts[:, :, 0]), timeline.parts.argmax(axis=2)
    peaks = clock.state.total
    return TimingReport(
        clock.fidelity,
        clock.cycle_s,
        timeline.seconds,
        timeline.tick_cycles,
        clock.barrier_s,
        {part: int(np.count_nonzero(ran & (longest == i))) for i, part in enumerate(PARTS)},
        _limits(clock, timeline, ran),
        timeline.misses,
        int(peaks[ends.PEAK_CHANNEL]),
        int(peaks[ends.PEAK_INJECTION]),
        int(peaks[ends.PEAK_RECEIVE]),
        clock.stall_cycles,
    )


def _limits(clock: Clock, timeline: Timeline, ran: AnyArray) -> dict[str, int]:
    """Ticks that ran, by the class of what takes most of them; see ``TimingReport.limits``."""
    cycles, demand = timeline.tick_cycles[ran], timeline.demand[ran]
    work = cycles * clock.cycle_s
    barrier = clock.barrier_s if clock.tick_s is None else np.maximum(clock.tick_s - work, 0.0)
    rest = cycles - demand.max(axis=1)
    largest = np.column_stack([demand, rest]).argmax(axis=1)
    largest[barrier > work] = CLASSES.index("barrier")
    return {name: int(np.count_nonzero(largest == i)) for i, name in enumerate(CLASSES)}


def channel_loads(deployment: Deployment, machine: Machine, total: Counts) -> Int64:
    """[channels] packets over all samples: exact, because trees are static."""
    node_packets = np.repeat(total.packets, np.diff(deployment.routes.branch_ptr))
    loads = np.zeros(len(machine.channels), np.int64)
    inner = machine.branch_channel >= 0
    np.add.at(loads, machine.branch_channel[inner], node_packets[inner])
    return loads


def _busiest_channel(
    deployment: Deployment, machine: Machine, total: Counts
) -> BusiestChannel | None:
    loads = channel_loads(deployment, machine, total)
    if not loads.any():
        return None
    first = int(loads.argmax())
    a, b = (deployment.mesh.xy(int(router)) for router in machine.channels[first])
    return BusiestChannel(a, b, int(loads[first]))


def _busiest_core(deployment: Deployment, total: Counts) -> BusiestCore:
    events = total.by_core[KINDS.index(energy.ALL_IN), :-1]
    seconds = np.nan_to_num(energy.latencies(deployment.target))
    for kind in (*HOP_KINDS, energy.ALL_IN):  # not time of the core that sends
        seconds[KINDS.index(kind)] = 0.0
    busy = seconds @ total.by_core[:, :-1]
    core = int(busy.argmax() if busy.any() else events.argmax())
    x, y, slot = (int(value) for value in deployment.cores.location[core])
    return BusiestCore(core, (x, y, slot), float(busy[core]), int(events[core]))


def _notes(deployment: Deployment, clock: Clock | None) -> tuple[str, ...]:
    execution = deployment.target.execution
    if clock is None or execution.sync == "fixed_tick":
        return ()
    table = execution.barrier_s
    if not table:
        return ("execution.barrier_s is empty: the barrier takes no time",)
    tiles = int(np.unique(deployment.cores.location[:, :2], axis=0).shape[0])
    if not min(table) <= tiles <= max(table):
        return (
            f"the barrier table ends at {max(table)} tiles; its nearest entry is used for {tiles}",
        )
    return ()
