"""One chip with its program loaded, which runs sample after sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.ir.deployment import Deployment
from snnc.simulators.cycle.advance import Log, advance, new_cores, new_log
from snnc.simulators.cycle.counting import Activity, Counter, synaptic_events
from snnc.simulators.cycle.energy import KINDS
from snnc.simulators.cycle.function import Wires
from snnc.simulators.cycle.logbook import Logbook, Watch
from snnc.simulators.cycle.noc_tables import Int32, Int64, Machine
from snnc.simulators.cycle.plain import Plain
from snnc.simulators.cycle.planning import Pulses
from snnc.simulators.cycle.program import Layout, Program
from snnc.simulators.cycle.report import Timeline
from snnc.simulators.cycle.timetable import Host, Record, Stretch
from snnc.simulators.cycle.timing import Clock, Fidelity
from snnc.simulators.neuron_kernel import State, clear, new_state, reset

TICKS_AT_ONCE = 1024
SPIKES_AT_ONCE = 1 << 17
"""After so many, what a stretch of ticks left behind is noted."""
RECORD_BYTES = 16 << 20
"""Of what single ticks leave behind, held at a time for a trace."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """What does not change from run to run of one deployment; threads may share it."""

    program: Program
    layout: Layout
    machine: Machine
    counter: Counter
    plain: Plain


@dataclass(frozen=True, eq=False)
class Chip:
    """One machine with its program loaded; buffers are reused from sample to sample."""

    program: Program
    layout: Layout
    machine: Machine
    counter: Counter
    clock: Clock | None
    ticks: int
    steps: int
    state: State
    ring: Int64
    touched: Int32
    wires: Wires
    log: Log
    plain: Plain
    record: Record | None

    @staticmethod
    def of(
        deployment: Deployment,
        loaded: Loaded,
        steps: int,
        fidelity: Fidelity | None,
        *,
        traced: bool = False,
    ) -> Chip:
        """An empty machine; without a fidelity it takes no time."""
        program, layout, machine = loaded.program, loaded.layout, loaded.machine
        neurons, cores = program.neurons.size, deployment.cores.count
        unused = steps - deployment.schedule.timesteps
        ticks = deployment.schedule.period * unused + deployment.schedule.ticks
        clock = None if fidelity is None else Clock(deployment, machine, program, fidelity)
        at_once, record = min(TICKS_AT_ONCE, ticks), None
        if traced and clock is not None:
            at_once = min(
                at_once, max(1, RECORD_BYTES // (8 * (clock.state.load.size + 4 * cores)))
            )
            record = clock.record(layout, at_once)
        return Chip(
            program,
            layout,
            machine,
            loaded.counter,
            clock,
            ticks,
            steps,
            new_state(program.neurons),
            np.zeros((layout.depth, neurons), np.int64),
            np.zeros(neurons, np.int32),
            Wires(*(np.zeros(neurons, np.int64) for _ in Wires._fields)),
            new_log(
                at_once,
                cores,
                program.segment_offset.size,
                neurons + min(SPIKES_AT_ONCE, ticks * neurons),
            ),
            loaded.plain,
            record,
        )

    def run_sample(
        self,
        sample: int,
        host: Host,
        timeline: Timeline,
        logbook: Logbook,
        watch: Watch | None,
        begin: State | None = None,
    ) -> None:
        """Run one sample: the load phase brings the inputs of tick 0, then all ticks.

        When ``watch`` stops it, the function of the remaining ticks goes on, without time.
        ``begin`` is the state to go on from instead of the reset state.
        """
        self.reset()
        if begin is not None:
            for mine, given in zip(self.state, begin, strict=True):
                mine[:] = given
        activity, saved = self.activity(), self.activity()
        self.load(sample, host, timeline)
        tick, ran = 0, self.ticks
        while tick < self.ticks:
            first = tick
            counting = activity if first < ran else saved
            tick = self.advance(host, first, self.ticks, self.steps, counting)
            ptr, spikes = self.log.emit_ptr[: tick - first + 1], self.log.emission
            logbook.write_ticks(sample, first, ptr, spikes.source, spikes.value)
            if first >= ran:
                continue
            decided = None
            if watch is not None:
                decided = watch.follow(first, ptr, spikes.source, spikes.value)
            if decided is not None:
                ran = decided + 1
                self._move(host, first, ran, tick, activity, saved)
            self.time(sample, host, first, min(ran, tick), timeline)
        counts = self.counter.count(activity._replace(ticks=ran))
        timeline.note_sample(sample, counts, self.stray, ran)
        if watch is not None:
            rest = self.counter.count(saved._replace(ticks=self.ticks - ran))
            timeline.stopped.append((watch.steps, synaptic_events(rest)))

    def reset(self) -> None:
        """Forget the sample before."""
        reset(self.program.neurons, self.state)
        for kept in (self.ring, *self.wires, self.log.done):
            clear(kept)

    @property
    def stray(self) -> int:
        """Inputs lost since the reset."""
        return int(self.log.done[1])

    def activity(self) -> Activity:
        """Counters at zero."""
        segments = self.program.segment_offset.size
        return Activity(
            np.zeros(self.program.sources, np.int64),
            np.zeros(segments, np.int64),
            np.zeros(segments, np.int64),
            0,
        )

    def advance(self, host: Host, first: int, last: int, steps: int, activity: Activity) -> int:
        """Function of ticks from ``first`` on, until ``last`` or the log is full; the next tick.

        Args:
            host: what it sends in these ticks.
            first, last: ticks.
            steps: logical steps of the window.
            activity: counts what happens.
        """
        program = self.program
        cores = new_cores(
            program.sweeps, self.state, self.wires, self.ring, self.touched, *activity[:3]
        )
        return advance(
            program.axons, program.packets, program.sweeps, self.plain, cores,
            self.layout.segment_core, host, self.log, first, last, steps, program.min_delay,
        )  # fmt: skip

    def load(self, sample: int, host: Host, timeline: Timeline) -> None:
        """Time of the load phase: what the host sends for tick 0, no sweeps."""
        if self.clock is None:
            return
        nothing = np.zeros(0, np.int32)
        pulses = Pulses(nothing, np.zeros(0, np.int64), nothing, nothing)
        updates = np.zeros((1, self.log.core_updates.shape[1]), np.int32)
        work = Stretch(pulses, np.zeros(2, np.int64), updates, host, -1)
        times = self.clock.ticks(work, sample, self.record, sweeps=False)
        timeline.note_ticks(sample, -1, self.clock, times, self.record)

    def time(
        self, sample: int, host: Host, first: int, last: int, timeline: Timeline, begin: int = 0
    ) -> None:
        """Time of ticks that ``advance`` has run; the host's packets for the next tick travel
        beside the spikes of each.  The timeline begins at tick ``begin``.
        """
        log, ticks = self.log, last - first
        room, ptr, updates = log.emission, log.pulse_ptr[: ticks + 1], log.core_updates[:ticks]
        pulses = Pulses(room.pulse_source, room.pulse_value, log.neuron, log.updates)
        if self.clock is not None:
            work = Stretch(pulses, ptr, updates, host, first)
            times = self.clock.ticks(work, sample, self.record)
            timeline.note_ticks(sample, first - begin, self.clock, times, self.record)
        if timeline.recorder is not None:
            emitted = log.emit_ptr[: ticks + 1]
            timeline.recorder.note_spikes(sample, first, emitted, room.source, room.value)
        if timeline.by_tick is not None:
            self._note_counts(timeline.by_tick[sample], first, pulses, ptr, updates, host)

    def _move(
        self,
        host: Host,
        first: int,
        ran: int,
        last: int,
        activity: Activity,
        saved: Activity,
    ) -> None:
        """What the stretch from ``first`` did in ticks from ``ran`` until ``last`` was saved."""
        log = self.log
        part = slice(log.pulse_ptr[ran - first], log.pulse_ptr[last - first])
        before = slice(host.ptr[ran - host.first], host.ptr[last - host.first])
        source = np.concatenate([log.emission.pulse_source[part], host.source[before]])
        value = np.concatenate([log.emission.pulse_value[part], host.value[before]])
        sent, owner, limit = self.program.packets
        travels = sent[source + 1] > sent[source]
        source, value = source[travels], value[travels]
        packets = (np.abs(value) - 1) // limit[owner[source]] + 1
        segment = np.searchsorted(self.program.segment_ptr, log.neuron[part], side="right") - 1
        late = self.activity()
        np.add.at(late.packets, source, packets)
        late.updated[:] = log.segment_updates[ran - first : last - first].sum(axis=0)
        np.add.at(late.fired, segment, 1)
        for whole, rest, each in zip(activity[:3], saved[:3], late[:3], strict=True):
            whole -= each
            rest += each

    def _note_counts(
        self, counts: Int64, first: int, pulses: Pulses, ptr: Int64, updates: Int32, host: Host
    ) -> None:
        """Write [ticks, kinds] of the ticks from ``first`` on.

        Args:
            counts: of all ticks.
            first: tick of the first slice.
            pulses: what left the cores, with the slices ``ptr``.
            updates: [ticks, cores].
            host: what it sent.
        """
        ticks = ptr.size - 1
        sent = self.counter.count_ticks(
            ptr, pulses.source[: ptr[-1]], pulses.value[: ptr[-1]], from_core=True
        )
        cuts = host.ptr[first - host.first : first - host.first + ticks + 1]
        part = slice(cuts[0], cuts[-1])
        sent += self.counter.count_ticks(
            cuts - cuts[0], host.source[part], host.value[part], from_core=False
        )
        sent[:, KINDS.index("neuron_access")] = self.program.neurons.size
        sent[:, KINDS.index("neuron_update")] = updates.sum(axis=1)
        counts[first : first + ticks] = sent
