"""The work behind ``snnc.run`` and ``snnc.verify``, and the spike rates the mapper wants."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnc.backends.lava import LavaOptions
from snnc.choices import Backend
from snnc.deadline import Deadline
from snnc.deciding import Decisions, Rules
from snnc.equality import Comparison, compare, differences, head, random_inputs
from snnc.inputs import Dataset, integer_batch
from snnc.ir.arrays import IntArray, RealArray, size_of
from snnc.ir.deployment import Deployment
from snnc.ir.errors import OptionError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input, Output
from snnc.ir.phased import PhasedDeployment, Program
from snnc.ir.target import Target
from snnc.ir.wire import WireCode, packet_limit
from snnc.parallel import SharedProgress, in_order
from snnc.results import RunReport, Verification
from snnc.resuming import RunLog, SaveOptions, identity_of
from snnc.running import THREADS, Batch, Progress, Simulator, batches, follows_order
from snnc.simulators import functional, reference
from snnc.simulators.cycle.result import CycleResult
from snnc.simulators.cycle.timing import Fidelity
from snnc.simulators.reference import event_order
from snnc.simulators.result import Events, RunResult, predictions
from snnc.tallies import Tally, spikes_of
from snnc.traces import trace_file

ACCURACY_BATCH = 32
"""Samples of calibration data held at a time."""


@dataclass
class _Equality:
    """Counts differences from the reference on the first ``wanted`` samples of a run.

    Attributes:
        ordered: the reference is that of the order of events.
        moved: then, counts of single neurons that are not those of the network in time steps.
        counts: all counts of single neurons.
    """

    wanted: int
    ordered: bool
    samples: int = 0
    spikes: int = 0
    mismatches: int = 0
    moved: int = 0
    counts: int = 0

    @property
    def open(self) -> int:
        """Samples still to compare."""
        return max(0, self.wanted - self.samples)

    def add(self, deployment: Program, inputs: dict[str, IntArray], result: RunResult) -> None:
        """Compare the first open samples of a batch."""
        first = {name: values[: self.open] for name, values in inputs.items()}
        network = deployment.network
        truth = stepped = reference.run(network, first)
        count = len(next(iter(first.values())))
        if self.ordered and isinstance(deployment, Deployment):
            truth = event_order.run(deployment, first)
            for node in network.populations:
                pair = [_totals(r.spikes[node.name], node.size, count) for r in (stepped, truth)]
                self.moved += int(np.count_nonzero(pair[0] != pair[1]))
                self.counts += pair[0].size
        self.mismatches += differences(truth, head(result, count))
        self.spikes += sum(spikes_of(network, truth).values())
        self.samples += count

    def notes(self) -> tuple[str, ...]:
        """What the order of events changed."""
        if not self.counts:
            return ()
        return (
            f"{self.moved} of {self.counts} spike counts of single neurons in the first "
            f"{self.samples} samples are not those of the network in time steps: events come one "
            "after the other (docs/cycle-simulator.md)",
        )


def _totals(events: Events, size: int, samples: int) -> IntArray:
    """[samples, neurons] counts over all steps."""
    total = np.zeros((samples, size), np.int64)
    np.add.at(total, (events.sample, events.index), events.value)
    return total


@dataclass
class _Found:
    """All that the report of a run is made of, so far.

    Attributes:
        done: samples run.
        seconds: that the simulation took.
    """

    tally: Tally
    decisions: Decisions
    equality: _Equality
    done: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        equality = {name: getattr(self.equality, name) for name in _COUNTED}
        return {
            "done": self.done,
            "seconds": self.seconds,
            "spikes": self.tally.spikes,
            "cycle": self.tally.cycle,
            "predicted": self.decisions.predicted,
            "ties": self.decisions.ties,
            "stopped": self.decisions.stopped,
            "equality": equality,
        }

    def restore(self, saved: Mapping[str, Any] | None) -> int | None:
        """Take over what a checkpoint held; the sample at which the run goes on."""
        if saved is None:
            return None
        self.done, self.seconds = saved["done"], saved["seconds"]
        self.tally.spikes.update(saved["spikes"])
        self.tally.cycle.extend(saved["cycle"])
        self.decisions.predicted.update({n: list(p) for n, p in saved["predicted"].items()})
        self.decisions.ties.update(saved["ties"])
        self.decisions.stopped.extend(saved["stopped"])
        for name in _COUNTED:
            setattr(self.equality, name, saved["equality"][name])
        return self.done


_COUNTED = ("samples", "spikes", "mismatches", "moved", "counts")


def _log(
    deployment: Program,
    data: Dataset,
    saving: SaveOptions | None,
    backend: Backend,
    compared: int,
    rules: Rules,
    noc: Fidelity,
    threads: int,
    traced: bool,
) -> RunLog:
    """The checkpoint of a run; without a file there is nothing to recognise."""
    if saving is None or saving.checkpoint is None:
        return RunLog(SaveOptions(), {})
    options = {
        "backend": backend,
        "compare": compared,
        "decode": dict(rules.names),
        "early_stop": None if rules.stop is None else rules.stop.margin,
        "noc": noc,
        "threads": threads,
        "every": saving.every,
        "trace": traced,
    }
    return RunLog(saving, identity_of(deployment, data, options))


def execute(
    deployment: Program,
    data: Dataset,
    backend: Backend,
    compared: int,
    trace: Path | None,
    on_progress: Progress,
    rules: Rules,
    lava: LavaOptions | None = None,
    noc: Fidelity = "transaction",
    deadline: Deadline | None = None,
    threads: int = 1,
    saving: SaveOptions | None = None,
    device: str | None = None,
) -> RunReport:
    """Run all samples on one backend, comparing the first with the reference on the way.

    With ``saving`` it goes on where a run that was killed had been saved, if asked to.
    """
    found = _Found(
        Tally(),
        Decisions(rules),
        _Equality(0 if backend == "reference" else compared, follows_order(deployment, backend)),
    )
    tally, decisions, equality = found.tally, found.decisions, found.equality
    log = _log(deployment, data, saving, backend, compared, rules, noc, threads, trace is not None)
    resumed_at = found.restore(log.load())
    counting = rules.stop is not None and backend != "cycle"
    progress = SharedProgress(on_progress, data.samples)
    started = time.perf_counter()
    simulator = Simulator(deployment, backend, lava, noc, device)
    found.seconds += time.perf_counter() - started
    progress.of(-1)(found.done, found.done)
    phases = simulator.phases

    def work(batch: Batch) -> tuple[RunResult, CycleResult | None]:
        everything = trace is not None or batch.first < equality.wanted or counting
        report = progress.of(batch.first)
        outcome = simulator.run(
            batch.inputs,
            None if everything else (),
            trace=trace is not None,
            stop=rules.stop,
            progress=report,
        )
        report(batch.samples, batch.samples)
        return outcome

    with trace_file(trace, deployment, backend) as recording:
        log.replay(recording.add)
        parts = batches(
            deployment,
            data,
            threads=threads,
            traced=trace is not None,
            first=found.done,
            most=log.batch,
        )
        started = time.perf_counter()
        for batch, (result, cycle) in in_order(work, parts, threads):
            found.seconds += time.perf_counter() - started
            tally.add(deployment, result, cycle)
            decisions.add(
                deployment, batch.inputs, result, None if cycle is None else cycle.stopped
            )
            recording.add(result, cycle)
            if trace is not None:
                log.keep(batch.first, result, cycle)
            if equality.open:
                equality.add(deployment, batch.inputs, result)
            found.done += batch.samples
            log.save(found.as_dict())
            started = time.perf_counter()
        trace_notes = recording.close()
    return RunReport(
        backend=backend,
        target=deployment.target.id,
        samples=data.samples,
        steps=data.steps,
        ticks=deployment.ticks,
        predictions={n: tuple(np.concatenate(p).tolist()) for n, p in decisions.predicted.items()},
        ties=decisions.ties,
        decode=rules.names,
        early_stop=decisions.summary(),
        labels=None if data.labels is None else tuple(data.labels.tolist()),
        spikes=tally.spikes,
        compared=_comparison(equality, backend, data.steps),
        cycle=tally.cycle_summary(deployment, data.steps),
        notes=(*data.notes, *_label_notes(deployment, data), *equality.notes(), *trace_notes),
        seconds=found.seconds,
        phases=None if phases is None else phases.summary(data.samples, tally.cycle),
        deadline=None if deadline is None else deadline.verdict(tally.latencies(deployment)),
        resumed_at=resumed_at,
    )


def _label_notes(deployment: Program, data: Dataset) -> tuple[str, ...]:
    """Labels that no prediction can equal, e.g. classes counted from 1."""
    first = deployment.network.of_type(Output)[0]
    classes = size_of(deployment.network.shapes[first.name])
    if data.labels is None:
        return ()
    beyond = int(np.count_nonzero((data.labels < 0) | (data.labels >= classes)))
    if not beyond:
        return ()
    return (
        f"{beyond} labels are none of the {classes} classes 0 to {classes - 1} of {first.name}",
    )


def _comparison(equality: _Equality, backend: Backend, steps: int) -> Comparison | None:
    if not equality.samples:
        return None
    return Comparison(
        ("reference", backend),
        equality.samples,
        steps,
        equality.spikes,
        {backend: equality.mismatches},
        "the first samples of the data",
    )


def verification(
    deployment: Program, data: Dataset | None, samples: int, seed: int
) -> Verification:
    """Independent checker, then equality of all simulators; the latter only if the first holds."""
    from snnc.compiler.verify import examine, examine_phased

    if samples < 1:
        raise OptionError("must be at least 1", where="--samples", found=samples)
    if isinstance(deployment, PhasedDeployment):
        structure = examine_phased(deployment)
    else:
        structure = examine(deployment)
    if not structure.ok:
        return Verification(structure.as_dict(), None)
    if data is None:
        inputs = random_inputs(deployment, samples, seed)
        description = f"random legal input, seed {seed}"
    else:
        nodes = deployment.network.of_type(Input)
        inputs = integer_batch(data.batch(0, min(samples, data.samples)), nodes)
        description = "the first samples of the data"
    equality = compare(deployment, inputs, ("functional", "cycle"), description)
    return Verification(structure.as_dict(), equality)


def measure_rates(
    network: IntegerNetwork,
    target: Target,
    codes: Mapping[str, WireCode],
    data: Dataset,
    samples: int,
) -> dict[str, RealArray]:
    """Mean packets per sample of every input element and neuron, over the first samples.

    Without a wire code a count of c is c packets where a packet is a bare spike, one packet where
    it has a payload.
    """
    nodes = network.of_type(Input)
    count = min(samples, data.samples)
    inputs = integer_batch(data.batch(0, count), nodes)
    result = functional.run(network, inputs)
    spike = target.spike
    limit = packet_limit(spike.payload_bits, spike.signed)
    usual = WireCode("graded" if spike.payload_bits else "burst")
    rates = {
        name: _input_rate(codes.get(name, usual).packets(values, limit))
        for name, values in inputs.items()
    }
    for population in network.populations:
        if population.emit == "state":  # read by the host, never sent
            rates[population.name] = np.zeros(population.size)
            continue
        events = result.spikes[population.name]
        packets = codes.get(population.name, usual).packets(events.value, limit)
        rates[population.name] = _event_rate(events, packets, population.size, count)
    return rates


def measure_accuracy(network: IntegerNetwork, data: Dataset, samples: int) -> float | None:
    """Share of the first samples whose largest output is their label; None without labels."""
    if data.labels is None:
        return None
    nodes, output = network.of_type(Input), network.of_type(Output)[0]
    simulator = functional.Functional(network)
    count, correct = min(samples, data.samples), 0
    for start in range(0, count, ACCURACY_BATCH):
        stop = min(start + ACCURACY_BATCH, count)
        inputs = integer_batch(data.batch(start, stop), nodes)
        values = simulator.run(inputs, (), THREADS).outputs[output.name]
        found = predictions(values, output.readout)
        correct += int(np.count_nonzero(found == data.labels[start:stop]))
    return correct / count


def _input_rate(packets: IntArray) -> RealArray:
    rate: RealArray = packets.sum(axis=1, dtype=np.int64).mean(axis=0).reshape(-1)
    return rate


def _event_rate(events: Events, packets: IntArray, size: int, samples: int) -> RealArray:
    counts = np.bincount(events.index, weights=packets.astype(np.float64), minlength=size)
    rate: RealArray = counts / samples
    return rate
