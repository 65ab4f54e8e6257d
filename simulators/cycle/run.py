"""Run a deployment on the emulated chip."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.deployment import Deployment
from snnc.ir.errors import InputError, OptionError
from snnc.simulators.cycle import counting, energy, noc_tables, plain
from snnc.simulators.cycle.asynchronous import run as asynchronous
from snnc.simulators.cycle.carry import Carry
from snnc.simulators.cycle.check import check_deployment
from snnc.simulators.cycle.chip import Chip, Loaded
from snnc.simulators.cycle.logbook import Logbook, Watch, host_of, input_pulses
from snnc.simulators.cycle.program import build
from snnc.simulators.cycle.report import Timeline, collect
from snnc.simulators.cycle.result import CycleResult
from snnc.simulators.cycle.timing import FIDELITIES, Fidelity
from snnc.simulators.decoding import EarlyStop
from snnc.simulators.inputs import check_inputs

Progress = Callable[[int, int], None]


def load(deployment: Deployment) -> Loaded | asynchronous.Star:
    """Check a deployment and flatten it; raises as ``run``."""
    if deployment.target.execution.sync == "async":
        return asynchronous.load(deployment)
    check_deployment(deployment)
    program, layout = build(deployment)
    machine = noc_tables.describe(deployment)
    counter = counting.counter(deployment, machine, program, layout)
    return Loaded(program, layout, machine, counter, plain.build(program.sweeps))


def run(
    deployment: Deployment,
    inputs: Mapping[str, IntArray],
    record: Collection[str] | None = None,
    *,
    timing: bool = True,
    noc: Fidelity = "transaction",
    trace: bool = False,
    by_tick: bool = False,
    stop: EarlyStop | None = None,
    progress: Progress | None = None,
    loaded: Loaded | asynchronous.Star | None = None,
    carry: Carry | None = None,
) -> CycleResult:
    """Run all samples, each from its reset state.

    Args:
        deployment: the program on its machine.
        inputs: by input name, integers [samples, steps, *shape] within the input's type; at most
            as many steps as the deployment was compiled for.
        record: populations whose spikes are returned; None records all.
        timing: False executes and counts, but moves no packets and takes no time.
        noc: how packets move: "transaction" is event-driven, "flit" goes cycle by cycle, "none"
            takes no time.  Spikes and counts are the same.
        trace: also return time series per tick.
        by_tick: also return the events of every tick.
        stop: when an output is decided enough, the sample ends with that tick: what cores have done
            ahead of it counts, what is under way is dropped.  The spikes returned are those of
            all steps; what the steps after the stop would have cost is noted as saved.
        progress: called with (samples done, samples) after every sample.
        loaded: from ``load``, for whoever runs a deployment again and again.
        carry: instead of the reset state, where an earlier call stopped; it is moved on.

    On an asynchronous machine there is no result without time, no network-on-chip to choose and no
    tick after which to stop; ``timing``, ``trace`` and ``by_tick`` change nothing.

    Raises:
        InputError: an input is missing, misshapen, out of its type's range, or too long.
        OptionError: ``record`` names something that is not a population; ``noc`` is unknown.
        ArtifactError: the deployment's tables contradict each other.
        UnsupportedError: an output does not read a population, or negative counts without sign.
        TargetError: the target lacks a number without which there is no timing.
        SimulationError: the routing deadlocks.
    """
    check_fidelity(noc)
    if loaded is None:
        loaded = load(deployment)
    if isinstance(loaded, asynchronous.Star):
        _check_asynchronous(deployment, noc, stop)
        recorded = _recorded(deployment, record)
        return asynchronous.run(deployment, inputs, recorded, progress=progress, star=loaded)
    data, samples, steps = check_inputs(deployment.network, inputs)
    _check_steps(deployment, steps)
    recorded = _recorded(deployment, record)
    if carry is not None:
        loaded = carry.late(loaded)
    chip = Chip.of(deployment, loaded, steps, noc if timing else None, traced=trace)
    timeline = Timeline.empty(chip.layout, chip.machine, samples, chip.ticks, timing, trace)
    if by_tick:
        timeline.by_tick = np.zeros((samples, chip.ticks, len(energy.KINDS)), np.int64)
    logbook = Logbook(deployment, chip.layout, samples, steps)
    for sample in range(samples):
        pulses = input_pulses(deployment, data, sample)
        events = host_of(pulses, 0, deployment.schedule.ticks)
        watch = None if stop is None else Watch.of(deployment, stop, steps)
        begin = None if carry is None else carry.states.get(sample)
        chip.run_sample(sample, events, timeline, logbook, watch, begin)
        if carry is not None:
            carry.save(sample, chip.state)
        if progress is not None:
            progress(sample + 1, samples)
    if carry is not None:
        carry.step += steps
    return collect(deployment, chip.counter, chip.clock, timeline, logbook.result(recorded))


def check_fidelity(noc: str) -> None:
    """Raise ``OptionError`` unless there is such a network-on-chip model."""
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
