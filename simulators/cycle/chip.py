"""One chip with its program loaded, which runs sample after sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.ir.deployment import Deployment
from snnc.simulators.cycle import energy
from snnc.simulators.cycle.advance import Log, advance, new_cores, new_log
from snnc.simulators.cycle.axons import send_all
from snnc.simulators.cycle.energy import KINDS
from snnc.simulators.cycle.function import Wires, sweep
from snnc.simulators.cycle.logbook import InputEvents, Logbook, Watch
from snnc.simulators.cycle.noc_tables import Int32, Int64, Machine
from snnc.simulators.cycle.plain import Plain
from snnc.simulators.cycle.planning import Pulses, Spikes
from snnc.simulators.cycle.program import Layout, Program
from snnc.simulators.cycle.report import Timeline
from snnc.simulators.cycle.timetable import Host, Stretch
from snnc.simulators.cycle.timing import Clock, Fidelity
from snnc.simulators.neuron_kernel import State, new_state, reset

TICKS_AT_ONCE = 1024
SPIKES_AT_ONCE = 1 << 17
NOTHING = Spikes(np.zeros(0, np.int32), np.zeros(0, np.int64))


@dataclass(frozen=True, eq=False)
class Loaded:
    """What does not change from run to run of one deployment; threads may share it."""

    program: Program
    layout: Layout
    machine: Machine
    counter: energy.Counter
    plain: Plain


@dataclass(frozen=True, eq=False)
class Chip:
    """One machine with its program loaded; buffers are reused from sample to sample."""

    program: Program
    layout: Layout
    machine: Machine
    counter: energy.Counter
    clock: Clock | None
    ticks: int
    steps: int
    state: State
    ring: Int64
    touched: Int32
    wires: Wires
    log: Log
    plain: Plain

    @staticmethod
    def of(deployment: Deployment, loaded: Loaded, steps: int, fidelity: Fidelity | None) -> Chip:
        """An empty machine; without a fidelity it takes no time."""
        program, layout, machine = loaded.program, loaded.layout, loaded.machine
        neurons = program.neurons.size
        unused = steps - deployment.schedule.timesteps
        ticks = deployment.schedule.period * unused + deployment.schedule.ticks
        return Chip(
            program,
            layout,
            machine,
            loaded.counter,
            None if fidelity is None else Clock(deployment, machine, program, fidelity),
            ticks,
            steps,
            new_state(program.neurons),
            np.zeros((layout.depth, neurons), np.int64),
            np.zeros(neurons, np.int32),
            Wires(*(np.zeros(neurons, np.int64) for _ in Wires._fields)),
            new_log(
                min(TICKS_AT_ONCE, ticks),
                deployment.cores.count,
                max(min(SPIKES_AT_ONCE, ticks * neurons), 2 * neurons),
            ),
            loaded.plain,
        )

    def run_sample(
        self,
        sample: int,
        events: InputEvents,
        timeline: Timeline,
        logbook: Logbook,
        watch: Watch | None,
        begin: State | None = None,
    ) -> None:
        """Run one sample: the load phase brings the inputs of tick 0, then all ticks.

        ``begin`` is the state to go on from instead of the reset state.
        """
        reset(self.program.neurons, self.state)
        if begin is not None:
            for mine, given in zip(self.state, begin, strict=True):
                mine[:] = given
        for kept in (self.ring, *self.wires):
            kept[:] = 0
        activity, saved = self._activity(), self._activity()
        stray, ran = 0, self.ticks
        self._time(sample, -1, NOTHING, None, events, timeline)
        if watch is None and timeline.recorder is None:
            stray = self._run_ahead(sample, events, timeline, logbook, activity)
            counts = self.counter.count(activity._replace(ticks=ran))
            timeline.note_sample(sample, counts, activity.packets, stray, ran)
            return
        for tick in range(self.ticks):
            running = tick < ran
            spikes, pulses, lost = self._tick(tick, events.at(tick), activity if running else saved)
            stray += lost
            logbook.write(sample, tick, *spikes)
            if not running:
                continue
            timeline.note_spikes(sample, tick, *spikes)
            if timeline.by_tick is not None:
                ptr = np.array([0, pulses.source.size])
                counts = timeline.by_tick[sample]
                self._note_counts(counts, tick, pulses, ptr, self.touched[None], events)
            self._time(sample, tick, pulses, self.touched, events, timeline)
            if watch is not None and watch.decided(tick, spikes):
                ran = tick + 1
        counts = self.counter.count(activity._replace(ticks=ran))
        timeline.note_sample(sample, counts, activity.packets, stray, ran)
        if watch is not None:
            rest = self.counter.count(saved._replace(ticks=self.ticks - ran))
            timeline.stopped.append((watch.steps, energy.synaptic_events(rest)))

    def _run_ahead(
        self,
        sample: int,
        events: InputEvents,
        timeline: Timeline,
        logbook: Logbook,
        activity: energy.Activity,
    ) -> int:
        """All ticks of a sample, many at a time; returns the inputs lost."""
        program = self.program
        cores = new_cores(
            program.sweeps, self.state, self.wires, self.ring, self.touched, *activity[:3]
        )
        log = self.log
        log.done[:] = 0
        host = Host(events.ptr, events.source, events.value)
        tick = 0
        while tick < self.ticks:
            first = tick
            tick = advance(
                program.axons,
                program.sweeps,
                self.plain,
                cores,
                self.layout.segment_core,
                host,
                log,
                first,
                self.ticks,
                self.steps,
                program.min_delay,
            )
            done, room = tick - first, log.emission
            logbook.write_ticks(sample, first, log.emit_ptr[: done + 1], room.source, room.value)
            ptr, updates = log.pulse_ptr[: done + 1], log.core_updates[:done]
            pulses = Pulses(room.pulse_source, room.pulse_value, log.neuron, log.updates)
            if self.clock is not None:
                work = Stretch(pulses, ptr, updates, host, first)
                timeline.note_ticks(sample, first, self.clock, self.clock.ticks(work, sample))
            if timeline.by_tick is not None:
                self._note_counts(timeline.by_tick[sample], first, pulses, ptr, updates, events)
        return int(log.done[1])

    def _note_counts(
        self,
        counts: Int64,
        first: int,
        pulses: Spikes | Pulses,
        ptr: Int64,
        updates: Int32,
        events: InputEvents,
    ) -> None:
        """Write [ticks, kinds] of the ticks from ``first`` on.

        Args:
            counts: of all ticks.
            first: tick of the first slice.
            pulses: what left the cores, with the slices ``ptr``.
            updates: [ticks, cores], or what sums to the updates of each tick.
            events: of the host.
        """
        ticks = ptr.size - 1
        host = events.ptr[first : first + ticks + 1]
        sent = self.counter.count_ticks(
            ptr, pulses.source[: ptr[-1]], pulses.value[: ptr[-1]], from_core=True
        )
        part = slice(host[0], host[-1])
        sent += self.counter.count_ticks(
            host - host[0], events.source[part], events.value[part], from_core=False
        )
        sent[:, KINDS.index("neuron_access")] = self.program.neurons.size
        sent[:, KINDS.index("neuron_update")] = updates.sum(axis=1)
        counts[first : first + ticks] = sent

    def _activity(self) -> energy.Activity:
        segments = self.program.segment_offset.size
        return energy.Activity(
            np.zeros(self.program.sends.size, np.int64),
            np.zeros(segments, np.int64),
            np.zeros(segments, np.int64),
            0,
        )

    def _tick(
        self, tick: int, host: Spikes, activity: energy.Activity
    ) -> tuple[Spikes, Spikes, int]:
        """Function of one tick: inputs, sweep of all cores, what leaves them.

        Returns:
            What neurons emit, the pulses sent, and the number of inputs lost.
        """
        program, ring = self.program, self.ring
        send_all(program.axons, ring, *host, tick, activity.packets)
        emitted, sent, stray = sweep(
            program.sweeps,
            self.state,
            self.wires,
            ring[tick % len(ring)],
            tick,
            self.steps,
            activity.updated,
            activity.fired,
            self.touched,
            self.log.emission,
        )
        room = self.log.emission
        pulses = Spikes(room.pulse_source[:sent], room.pulse_value[:sent])
        send_all(program.axons, ring, *pulses, tick + program.min_delay, activity.packets)
        return Spikes(room.source[:emitted], room.value[:emitted]), pulses, stray

    def _time(
        self,
        sample: int,
        tick: int,
        spikes: Spikes,
        touched: Int32 | None,
        events: InputEvents,
        timeline: Timeline,
    ) -> None:
        """Time of one tick; the host's packets for the next tick travel beside its spikes."""
        if self.clock is None:
            return
        host = events.at(tick + 1) if tick + 1 < self.ticks else NOTHING
        where = f"sample {sample}, tick {tick}"
        timeline.note_time(sample, tick, self.clock, self.clock.tick(spikes, touched, host, where))
