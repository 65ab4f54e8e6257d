"""Run a deployment on the emulated chip, tick by tick."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray, size_of
from snnc.ir.deployment import Deployment
from snnc.ir.errors import InputError, OptionError, UnsupportedError
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Output
from snnc.ir.wire import WireCode
from snnc.simulators.cycle import energy, noc_tables
from snnc.simulators.cycle.check import check_deployment
from snnc.simulators.cycle.function import Emission, Wires, send_all, sweep
from snnc.simulators.cycle.noc_tables import Int32, Int64, Machine
from snnc.simulators.cycle.program import Layout, Program, build
from snnc.simulators.cycle.report import Timeline, collect
from snnc.simulators.cycle.result import CycleResult
from snnc.simulators.cycle.timing import Clock, Spikes
from snnc.simulators.decoding import EarlyStop
from snnc.simulators.inputs import check_inputs
from snnc.simulators.neuron_kernel import State, new_state, reset
from snnc.simulators.result import Events, RunResult

Progress = Callable[[int, int], None]
ONE_TICK = WireCode("burst")
NOTHING = Spikes(np.zeros(0, np.int32), np.zeros(0, np.int64))


def run(
    deployment: Deployment,
    inputs: Mapping[str, IntArray],
    record: Collection[str] | None = None,
    *,
    timing: bool = True,
    trace: bool = False,
    stop: EarlyStop | None = None,
    progress: Progress | None = None,
) -> CycleResult:
    """Run all samples, each from its reset state.

    Args:
        deployment: the program on its machine.
        inputs: by input name, integers [samples, steps, *shape] within the input's type; at most
            as many steps as the deployment was compiled for.
        record: populations whose spikes are returned; None records all.
        timing: False executes and counts, but moves no packets and takes no time.
        trace: also return time series per tick.
        stop: when an output is decided enough, the sample ends with that tick: what cores have done
            ahead of it counts, what is under way is dropped.  The spikes returned are those of
            all steps; what the steps after the stop would have cost is noted as saved.
        progress: called with (samples done, samples) after every sample.

    Raises:
        InputError: an input is missing, misshapen, out of its type's range, or too long.
        OptionError: ``record`` names something that is not a population.
        ArtifactError: the deployment's tables contradict each other.
        UnsupportedError: an output does not read a population, or negative counts without sign.
        TargetError: the target lacks a number without which there is no timing.
        SimulationError: the routing deadlocks.
    """
    check_deployment(deployment)
    data, samples, steps = check_inputs(deployment.network, inputs)
    _check_steps(deployment, steps)
    recorded = _recorded(deployment, record)
    chip = _Chip.of(deployment, steps, timing)
    timeline = Timeline.empty(chip.layout, chip.machine, samples, chip.ticks, timing, trace)
    logbook = _Logbook(deployment, chip.layout, samples, steps)
    for sample in range(samples):
        events = _input_events(deployment, data, sample)
        watch = None if stop is None else _Watch.of(deployment, stop, steps)
        chip.run_sample(sample, events, timeline, logbook, watch)
        if progress is not None:
            progress(sample + 1, samples)
    return collect(deployment, chip.counter, chip.clock, timeline, logbook.result(recorded))


def _check_steps(deployment: Deployment, steps: int) -> None:
    if steps > deployment.schedule.timesteps:
        raise InputError(
            "the input is longer than the deployment was compiled for",
            found=f"{steps} steps",
            allowed=f"up to {deployment.schedule.timesteps}",
            remedy=f"compile with --timesteps {steps}",
        )


def _recorded(deployment: Deployment, record: Collection[str] | None) -> frozenset[str]:
    names = frozenset(population.name for population in deployment.network.populations)
    chosen = names if record is None else frozenset(record)
    if not chosen <= names:
        raise OptionError(
            "only populations can be recorded",
            where="record",
            found=", ".join(sorted(chosen - names)),
            allowed=", ".join(sorted(names)),
        )
    return chosen


@dataclass(frozen=True, eq=False)
class _InputEvents:
    """Pulses of the inputs of one sample, sorted by tick, then source id."""

    ptr: Int64
    source: Int32
    value: Int64

    def at(self, tick: int) -> Spikes:
        part = slice(self.ptr[tick], self.ptr[tick + 1])
        return Spikes(self.source[part], self.value[part])


def _input_events(
    deployment: Deployment, data: Mapping[str, IntArray], sample: int
) -> _InputEvents:
    schedule, first = deployment.schedule, deployment.sources.first
    ticks, sources, values = [], [], []
    for name, array in data.items():
        flat = array[sample].reshape(array.shape[1], -1)
        step, element = np.nonzero(flat)
        code = schedule.codes.get(name, ONE_TICK)
        for slot, pulse in enumerate(code.pulses(flat[step, element].astype(np.int64))):
            sent = np.flatnonzero(pulse)
            at = schedule.period * step[sent] + schedule.offset.get(name, 0) + slot
            ticks.append(at)
            sources.append(first[name] + element[sent])
            values.append(pulse[sent])
    tick, source = np.concatenate(ticks), np.concatenate(sources)
    order = np.lexsort((source, tick))
    ptr = np.searchsorted(tick[order], np.arange(schedule.ticks + 1))
    value = np.concatenate(values)[order].astype(np.int64)
    return _InputEvents(ptr.astype(np.int64), source[order].astype(np.int32), value)


class _Logbook:
    """Collects what neurons emit and turns it into a ``RunResult`` in logical time."""

    def __init__(self, deployment: Deployment, layout: Layout, samples: int, steps: int) -> None:
        network = deployment.network
        self._schedule = deployment.schedule
        self._first = deployment.sources.first
        self._layout = layout
        self._samples, self._steps = samples, steps
        self._populations = {p.name: p for p in network.populations}
        self._outputs = {o.name: _read_population(o, network.node) for o in network.of_type(Output)}
        self._parts: list[tuple[Int64, Int64, Int32, Int64]] = []

    def write(self, sample: int, tick: int, source: Int32, value: Int64) -> None:
        """Note what was emitted in one tick; the arrays are copied."""
        if source.size:
            where = np.full(source.size, sample), np.full(source.size, tick)
            self._parts.append((*where, source.copy(), value.copy()))

    def result(self, recorded: frozenset[str]) -> RunResult:
        """Everything noted so far."""
        columns = [np.concatenate(c) for c in zip(*self._parts, strict=True)] or [
            np.zeros(0, np.int64)
        ] * 4
        owner = self._layout.owner[columns[2]]
        events, counts, outputs = {}, {}, {}
        for name, population in self._populations.items():
            mine = owner == self._layout.names.index(name)
            each = self._logical(name, *(column[mine] for column in columns))
            if self._counts_by_refiring(name):
                each = _added(*each)
            counts[name] = np.zeros(self._samples, np.int64)
            np.add.at(counts[name], each[0], np.abs(each[3]))
            for output, read in self._outputs.items():
                if read == name:
                    outputs[output] = self._dense(population, *each)
            if name in recorded:
                events[name] = Events.join([Events(*(c.astype(np.int32) for c in each))])
        return RunResult(outputs, events, counts)

    def _logical(
        self, name: str, sample: Int64, tick: Int64, source: Int32, value: Int64
    ) -> tuple[Int64, Int64, Int64, Int64]:
        """Sample, logical step, neuron and value."""
        step = (tick - self._schedule.offset.get(name, 0)) // self._schedule.period
        return sample, step, source.astype(np.int64) - self._first[name], value

    def _counts_by_refiring(self, name: str) -> bool:
        code = self._schedule.codes.get(name)
        return code is not None and code.refire

    def _dense(
        self, population: Neuron, sample: Int64, step: Int64, index: Int64, value: Int64
    ) -> Int64:
        dense = np.zeros((self._samples, self._steps, size_of(population.shape)), np.int64)
        dense[sample, step, index] = value
        return dense.reshape(self._samples, self._steps, *population.shape)


@dataclass
class _Watch:
    """Follows one output during a sample; ``steps`` it took so far."""

    stop: EarlyStop
    first: int
    offset: int
    period: int
    slots: int
    limit: int
    values: Int64
    score: AnyArray
    steps: int = 0

    @staticmethod
    def of(deployment: Deployment, stop: EarlyStop, steps: int) -> _Watch:
        output = deployment.network.node[stop.output]
        name = _read_population(cast("Output", output), deployment.network.node)
        size, schedule = deployment.sources.size[name], deployment.schedule
        return _Watch(
            stop,
            deployment.sources.first[name],
            schedule.offset.get(name, 0),
            schedule.period,
            schedule.slots(name),
            steps,
            np.zeros(size, np.int64),
            np.zeros((1, size), np.int64),
        )

    def decided(self, tick: int, spikes: Spikes) -> bool:
        """Take over one tick; True when it ends a step after which the run may stop."""
        mine = (spikes.source >= self.first) & (spikes.source < self.first + self.values.size)
        self.values[spikes.source[mine] - self.first] += spikes.value[mine]
        step, slot = divmod(tick - self.offset, self.period)
        if slot != self.slots - 1 or not 0 <= step < self.limit:
            return False
        self.score = self.stop.decoder.update(self.score, self.values[None], step, self.limit)
        self.values = np.zeros_like(self.values)
        self.steps = step + 1
        return bool(self.stop.reached(self.score)[0])


def _added(
    sample: Int64, step: Int64, index: Int64, value: Int64
) -> tuple[Int64, Int64, Int64, Int64]:
    """The spikes of one neuron and step as one count."""
    rows, where = np.unique(np.stack([sample, step, index]), axis=1, return_inverse=True)
    total = np.zeros(rows.shape[1], np.int64)
    np.add.at(total, where.reshape(-1), value)
    return rows[0], rows[1], rows[2], total


def _read_population(output: Output, nodes: Mapping[str, Any]) -> str:
    source = output.inputs[0]
    if not isinstance(nodes[source], Neuron):
        raise UnsupportedError(
            "an output must read a population on a chip",
            where=output.name,
            found=f"{type(nodes[source]).__name__} {source}",
            remedy="the legalize stage inserts readout populations",
        )
    return source


@dataclass(frozen=True, eq=False)
class _Chip:
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
    emission: Emission

    @staticmethod
    def of(deployment: Deployment, steps: int, timing: bool) -> _Chip:
        program, layout = build(deployment)
        machine = noc_tables.describe(deployment)
        neurons = program.neurons.size
        return _Chip(
            program,
            layout,
            machine,
            energy.counter(deployment, machine, program, layout),
            Clock(deployment, machine, program) if timing else None,
            deployment.schedule.period * (steps - deployment.schedule.timesteps)
            + deployment.schedule.ticks,
            steps,
            new_state(program.neurons),
            np.zeros((layout.depth, neurons), np.int64),
            np.zeros(neurons, np.int32),
            Wires(np.zeros(neurons, np.int64), np.zeros(neurons, np.int64)),
            Emission(
                np.zeros(neurons, np.int32),
                np.zeros(neurons, np.int64),
                np.zeros(neurons, np.int32),
                np.zeros(neurons, np.int64),
            ),
        )

    def run_sample(
        self,
        sample: int,
        events: _InputEvents,
        timeline: Timeline,
        logbook: _Logbook,
        watch: _Watch | None,
    ) -> None:
        """Run one sample: the load phase brings the inputs of tick 0, then all ticks."""
        reset(self.program.neurons, self.state)
        for kept in (self.ring, *self.wires):
            kept[:] = 0
        activity, saved = self._activity(), self._activity()
        stray, ran = 0, self.ticks
        self._time(sample, -1, NOTHING, None, events, timeline)
        for tick in range(self.ticks):
            running = tick < ran
            spikes, pulses, lost = self._tick(tick, events.at(tick), activity if running else saved)
            stray += lost
            logbook.write(sample, tick, *spikes)
            if not running:
                continue
            timeline.note_spikes(sample, tick, *spikes)
            self._time(sample, tick, pulses, self.touched, events, timeline)
            if watch is not None and watch.decided(tick, spikes):
                ran = tick + 1
        counts = self.counter.count(activity._replace(ticks=ran))
        timeline.note_sample(sample, counts, activity.packets, stray, ran)
        if watch is not None:
            rest = self.counter.count(saved._replace(ticks=self.ticks - ran))
            timeline.stopped.append((watch.steps, energy.synaptic_events(rest)))

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
            self.emission,
        )
        room = self.emission
        pulses = Spikes(room.pulse_source[:sent], room.pulse_value[:sent])
        send_all(program.axons, ring, *pulses, tick + program.min_delay, activity.packets)
        return Spikes(room.source[:emitted], room.value[:emitted]), pulses, stray

    def _time(
        self,
        sample: int,
        tick: int,
        spikes: Spikes,
        touched: Int32 | None,
        events: _InputEvents,
        timeline: Timeline,
    ) -> None:
        """Time of one tick; the host's packets for the next tick travel beside its spikes."""
        if self.clock is None:
            return
        host = events.at(tick + 1) if tick + 1 < self.ticks else NOTHING
        where = f"sample {sample}, tick {tick}"
        timeline.note_time(sample, tick, self.clock, self.clock.tick(spikes, touched, host, where))
