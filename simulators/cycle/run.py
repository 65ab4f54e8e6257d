"""Run a deployment on the emulated chip, tick by tick."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.deployment import Deployment
from snnc.ir.errors import InputError, OptionError
from snnc.simulators.cycle import energy, noc_tables
from snnc.simulators.cycle.asynchronous import run as asynchronous
from snnc.simulators.cycle.check import check_deployment
from snnc.simulators.cycle.function import Emission, Wires, send_all, sweep
from snnc.simulators.cycle.logbook import InputEvents, Logbook, Watch, input_events
from snnc.simulators.cycle.noc_tables import Int32, Int64, Machine
from snnc.simulators.cycle.program import Layout, Program, build
from snnc.simulators.cycle.report import Timeline, collect
from snnc.simulators.cycle.result import CycleResult
from snnc.simulators.cycle.timing import FIDELITIES, Clock, Fidelity, Spikes
from snnc.simulators.decoding import EarlyStop
from snnc.simulators.inputs import check_inputs
from snnc.simulators.neuron_kernel import State, new_state, reset

Progress = Callable[[int, int], None]
NOTHING = Spikes(np.zeros(0, np.int32), np.zeros(0, np.int64))


@dataclass(frozen=True, eq=False)
class Loaded:
    """What does not change from run to run of one deployment; threads may share it."""

    program: Program
    layout: Layout
    machine: Machine
    counter: energy.Counter


def load(deployment: Deployment) -> Loaded | asynchronous.Star:
    """Check a deployment and flatten it; raises as ``run``."""
    if deployment.target.execution.sync == "async":
        return asynchronous.load(deployment)
    check_deployment(deployment)
    program, layout = build(deployment)
    machine = noc_tables.describe(deployment)
    counter = energy.counter(deployment, machine, program, layout)
    return Loaded(program, layout, machine, counter)


def run(
    deployment: Deployment,
    inputs: Mapping[str, IntArray],
    record: Collection[str] | None = None,
    *,
    timing: bool = True,
    noc: Fidelity = "transaction",
    trace: bool = False,
    stop: EarlyStop | None = None,
    progress: Progress | None = None,
    loaded: Loaded | asynchronous.Star | None = None,
) -> CycleResult:
    """Run all samples, each from its reset state.

    Args:
        deployment: the program on its machine.
        inputs: by input name, integers [samples, steps, *shape] within the input's type; at most
            as many steps as the deployment was compiled for.
        record: populations whose spikes are returned; None records all.
        timing: False executes and counts, but moves no packets and takes no time.
        noc: how packets move: "transaction" is event-driven, "flit" goes cycle by cycle.  Spikes
            and counts are the same.
        trace: also return time series per tick.
        stop: when an output is decided enough, the sample ends with that tick: what cores have done
            ahead of it counts, what is under way is dropped.  The spikes returned are those of
            all steps; what the steps after the stop would have cost is noted as saved.
        progress: called with (samples done, samples) after every sample.
        loaded: from ``load``, for whoever runs a deployment again and again.

    On an asynchronous machine there is no result without time, no network-on-chip to choose and no
    tick after which to stop; ``timing`` and ``trace`` change nothing.

    Raises:
        InputError: an input is missing, misshapen, out of its type's range, or too long.
        OptionError: ``record`` names something that is not a population; ``noc`` is unknown.
        ArtifactError: the deployment's tables contradict each other.
        UnsupportedError: an output does not read a population, or negative counts without sign.
        TargetError: the target lacks a number without which there is no timing.
        SimulationError: the routing deadlocks.
    """
    _check_fidelity(noc)
    if loaded is None:
        loaded = load(deployment)
    if isinstance(loaded, asynchronous.Star):
        _check_asynchronous(deployment, noc, stop)
        recorded = _recorded(deployment, record)
        return asynchronous.run(deployment, inputs, recorded, progress=progress, star=loaded)
    data, samples, steps = check_inputs(deployment.network, inputs)
    _check_steps(deployment, steps)
    recorded = _recorded(deployment, record)
    chip = _Chip.of(deployment, loaded, steps, noc if timing else None)
    timeline = Timeline.empty(chip.layout, chip.machine, samples, chip.ticks, timing, trace)
    logbook = Logbook(deployment, chip.layout, samples, steps)
    for sample in range(samples):
        events = input_events(deployment, data, sample)
        watch = None if stop is None else Watch.of(deployment, stop, steps)
        chip.run_sample(sample, events, timeline, logbook, watch)
        if progress is not None:
            progress(sample + 1, samples)
    return collect(deployment, chip.counter, chip.clock, timeline, logbook.result(recorded))


def _check_fidelity(noc: str) -> None:
    if noc not in FIDELITIES:
        raise OptionError(
            "no such network-on-chip model", where="--noc", found=noc, allowed=", ".join(FIDELITIES)
        )


def _check_asynchronous(deployment: Deployment, noc: Fidelity, stop: EarlyStop | None) -> None:
    for flag, given, why in (
        ("--noc", noc != "transaction", "it has one router; transaction is what there is"),
        ("--early-stop", stop is not None, "it has no time steps after which to stop"),
    ):
        if given:
            raise OptionError(
                "not for an asynchronous machine", where=flag, found=deployment.target.id,
                remedy=f"leave it out: {why}",
            )  # fmt: skip


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
    def of(deployment: Deployment, loaded: Loaded, steps: int, fidelity: Fidelity | None) -> _Chip:
        """An empty machine; without a fidelity it takes no time."""
        program, layout, machine = loaded.program, loaded.layout, loaded.machine
        neurons = program.neurons.size
        return _Chip(
            program,
            layout,
            machine,
            loaded.counter,
            None if fidelity is None else Clock(deployment, machine, program, fidelity),
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
        events: InputEvents,
        timeline: Timeline,
        logbook: Logbook,
        watch: Watch | None,
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
        events: InputEvents,
        timeline: Timeline,
    ) -> None:
        """Time of one tick; the host's packets for the next tick travel beside its spikes."""
        if self.clock is None:
            return
        host = events.at(tick + 1) if tick + 1 < self.ticks else NOTHING
        where = f"sample {sample}, tick {tick}"
        timeline.note_time(sample, tick, self.clock, self.clock.tick(spikes, touched, host, where))
