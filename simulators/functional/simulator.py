"""Compile an integer network once, then run batches of samples fast and exactly."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import numpy as np

from snnc.ir.arrays import IntArray, size_of
from snnc.ir.errors import OptionError
from snnc.ir.expand import expand_outline
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.lower import executable
from snnc.ir.shared_expansion import each_projection
from snnc.simulators import neuron_kernel
from snnc.simulators.functional import shared_layouts
from snnc.simulators.functional.kernels import (
    EVENTS,
    STEP,
    STORED,
    General,
    Recording,
    Workspace,
    advance,
)
from snnc.simulators.functional.membranes import Fast
from snnc.simulators.functional.plan import CHUNK, CURRENT, PENDING, Plan, make_plan
from snnc.simulators.functional.program import DEPTH, SIZE, Program, build
from snnc.simulators.functional.sparsify import Feed
from snnc.simulators.functional.vector import LANES
from snnc.simulators.inputs import check_inputs
from snnc.simulators.neuron_kernel import Int32, Int64
from snnc.simulators.result import Events, RunResult


@dataclass(frozen=True, eq=False)
class FunctionalResult(RunResult):
    """A run's result with the work it took.

    Attributes:
        synaptic_events: int64 [samples]: one event per nonzero emitted value and synapse of
            the expanded network that it reaches within the sample; a count is one event.
    """

    synaptic_events: Int64


class Sample(NamedTuple):
    """What a sample leaves behind, see ``kernels.Recording``."""

    spike: Int32
    value: Int64
    kept: Int64
    total: Int64
    events: int


class Functional:
    """A compiled network; ``run`` may be called any number of times.

    Operators that are no synapses, and outputs that read operators, run as the populations of
    ``snnc.ir.lower``, which results do not show.

    Raises:
        UnsupportedError: an operator cannot be written as neurons and synapses.
    """

    def __init__(self, network: IntegerNetwork) -> None:
        whole = executable(network)
        self.network = network
        projections = each_projection(whole, shared_layouts.SHARED_FROM)
        self.program = build(expand_outline(whole), whole.lags, projections)
        self._plans: dict[int, Plan] = {}

    def run(
        self,
        inputs: Mapping[str, IntArray],
        record: Collection[str] | None = None,
        threads: int = 1,
    ) -> FunctionalResult:
        """Run all samples from their reset state.

        Args:
            inputs: by input name, integers [samples, steps, *shape] within the input's type.
            record: populations whose spikes are returned; None records all.
            threads: samples run at the same time; the result does not depend on it.

        Raises:
            InputError: an input is missing, misshapen or out of its type's range.
            OptionError: ``record`` names no population, or ``threads`` is not positive.
        """
        data, samples, steps = check_inputs(self.network, inputs)
        shown = self._recorded(record)
        if threads < 1:
            raise OptionError("at least one thread runs", where="threads", found=threads)
        rasters = [data[node.name].reshape(samples, steps, -1) for node in self.program.inputs]
        needed = shown | set(self.program.readout.values())
        plan = self._plan(steps)

        done: list[Any] = [None] * samples
        # Whoever is free takes the next sample: one thread may get less of the machine.
        todo: SimpleQueue[int] = SimpleQueue()
        for sample in range(samples):
            todo.put(sample)

        def work(_: int) -> None:
            worker = Worker(self.program, plan, needed)
            with suppress(Empty):
                while True:
                    sample = todo.get_nowait()
                    done[sample] = worker.run([raster[sample] for raster in rasters])

        if min(threads, samples) == 1:
            work(0)
        else:
            with ThreadPoolExecutor(min(threads, samples)) as pool:
                list(pool.map(work, range(min(threads, samples))))
        return self.result(done, shown, steps)

    def _plan(self, steps: int) -> Plan:
        if steps not in self._plans:
            self._plans = {steps: make_plan(self.program, steps)}
        return self._plans[steps]

    def _recorded(self, record: Collection[str] | None) -> set[str]:
        names = {n.name for n in self.network.populations}
        if record is None:
            return names
        if not set(record) <= names:
            raise OptionError(
                "only populations can be recorded",
                where="record",
                found=", ".join(sorted(set(record) - names)),
                allowed=", ".join(sorted(names)),
            )
        return set(record)

    def result(self, done: list[Sample], shown: set[str], steps: int) -> FunctionalResult:
        """What samples left behind, in the words of the network."""
        populations = self.program.populations
        spikes: dict[str, Events] = {}
        rasters: dict[str, IntArray] = {}
        for p, neuron in enumerate(populations):
            readers = [o for o, name in self.program.readout.items() if name == neuron.name]
            if not readers and neuron.name not in shown:
                continue
            columns = gather(done, p, self.program.order[p], self.program.lags[p])
            if neuron.name in shown:
                spikes[neuron.name] = Events.of(*columns)
            for output in readers:
                dense = np.zeros((len(done), steps, neuron.size), np.int64)
                dense[columns[0], columns[1], columns[2]] = columns[3]
                rasters[output] = dense.reshape(len(done), steps, *neuron.shape)
        counts = np.array([sample.total for sample in done])
        return FunctionalResult(
            {name: rasters[name] for name in self.program.readout},
            spikes,
            {
                n.name: counts[:, p].copy()
                for p, n in enumerate(populations)
                if n.name in self.network.node
            },
            np.array([sample.events for sample in done]),
        )


def gather(done: list[Sample], p: int, order: Int64 | None, lag: int) -> tuple[IntArray, ...]:
    """(sample, step, index, value) of population ``p`` over all samples, in natural order."""
    parts = [pick(sample, p, order) for sample in done]
    number = np.repeat(np.arange(len(done)), [part[0].size for part in parts])
    moment, *others = (np.concatenate(column) for column in zip(*parts, strict=True))
    return number, moment - lag, *others


def pick(sample: Sample, p: int, order: Int64 | None) -> tuple[Int64, Int64, Int64]:
    """(moment, index, value) of one population's spikes, sorted by natural index in each moment.

    ``order`` is the natural index of the neurons in internal order; None: the same.
    """
    steps, populations = sample.kept.shape
    end = np.cumsum(sample.kept).reshape(steps, populations)[:, p]
    count = sample.kept[:, p]
    step = np.repeat(np.arange(steps), count)
    place = np.arange(step.size) + np.repeat(end - np.cumsum(count), count)
    index = sample.spike[place].astype(np.int64)
    natural = index if order is None else order[index]
    sort = _rising(step, index, natural, order)
    return step, natural[sort], sample.value[place[sort]]


def _rising(
    step: Int64, index: Int64, natural: Int64, order: Int64 | None
) -> Int64 | slice[None, None, None]:
    """What sorts spikes by step and natural index.

    Spikes of a sweep come in internal order: then nothing is to do, or only channels to be told
    apart, which for 16 bits is no matter of comparing.
    """
    swept = bool(((index[1:] > index[:-1]) | (step[1:] > step[:-1])).all())
    if swept and order is None:
        return slice(None)
    if swept and order is not None and step.size:
        plane = int(order[1])  # the first pixel of the second channel
        channels = order.size // plane
        if channels * (int(step[-1]) + 1) <= 1 << 16:
            return np.argsort((step * channels + natural // plane).astype(np.uint16), kind="stable")
    return np.argsort((step << 32) | natural)


class Worker:
    """One thread's arrays, reused from sample to sample."""

    def __init__(self, program: Program, plan: Plan, recorded: set[str]) -> None:
        self.network, self.plan = program.network, plan.table
        self.recorded = np.array([n.name in recorded for n in program.populations], np.int64)
        kind, size = plan.dtype, plan.initial.size
        sources = program.network.sources
        room = int((sources[:, SIZE] * sources[:, DEPTH]).sum())
        fast = Fast(
            np.zeros(size, kind),
            np.zeros(size if plan.table[:, CURRENT].any() else 0, kind),
            plan.threshold,
            plan.added,
            plan.multiplier,
            plan.current_multiplier,
            np.zeros_like(plan.threshold),
        )
        self.initial, self.gates = plan.initial, plan.gates
        self.general = None
        if plan.general is not None:
            self.general = General(plan.general, neuron_kernel.new_state(plan.general))
        self.waiting = max(program.lags, default=0)
        fired = np.zeros(CHUNK + 8, np.uint8)
        self.workspace = Workspace(
            np.zeros(program.largest + LANES, kind),
            fired,
            fired.view(np.uint64),
            fast,
            np.zeros(len(program.populations), np.int64),
            np.zeros(room, np.int32),
            np.zeros(room, np.int64),
            np.zeros(int(sources[:, DEPTH].sum()), np.int64),
        )
        sizes = np.array([n.size for n in program.populations], np.int64)
        self.feed = Feed([size_of(node.shape) for node in program.inputs])
        self.room = int((sizes * self.recorded).sum())
        self.kept = _empty(2 * self.room)

    def run(self, rasters: list[IntArray]) -> Sample:
        """Run one sample from its reset state."""
        self.reset()
        steps = len(rasters[0]) + self.waiting
        return self.play(rasters, steps, {t for t in self.gates if t < steps})

    def play(self, rasters: list[IntArray], steps: int, stops: set[int], before: int = 0) -> Sample:
        """Go on for some steps, numbered from 0 after ``before`` others.

        Biases begin in the moments ``stops``; those of the first are open already.
        """
        kept = np.zeros((steps, self.recorded.size), np.int64)
        total, progress = np.zeros(self.recorded.size, np.int64), np.zeros(3, np.int64)
        self.feed.begin(rasters)
        for until in sorted(stops | {steps}):
            while progress[STEP] < until:
                self.ensure_room(progress[STORED])
                recording = Recording(self.recorded, kept, total, *self.kept, progress)
                tables = self.network, self.plan, self.workspace, self.general
                advance(*tables, self.feed.at(progress[STEP]), recording, until, self.room)
            self.open_gates(before + until)
        (spike, value), stored = self.kept, progress[STORED]
        return Sample(
            spike[:stored].copy(), value[:stored].copy(), kept, total, int(progress[EVENTS])
        )

    def open_gates(self, moment: int) -> None:
        """Let the biases act that begin in a moment."""
        for place, bias in self.gates.get(moment, ()):
            self.workspace.fast.bias[place] += bias

    def ensure_room(self, stored: int) -> None:
        """Make place for all spikes of one more step."""
        if stored + self.room > self.kept[0].size:
            old, self.kept = self.kept, _empty(2 * (stored + self.room))
            self.kept[0][:stored], self.kept[1][:stored] = old[0][:stored], old[1][:stored]

    def reset(self) -> None:
        """Forget everything."""
        work = self.workspace
        for zeroed in (work.ring_count, work.sums, work.fast.current, work.fast.bias):
            zeroed[:] = 0
        work.fast.v[:] = self.initial
        work.pending[:] = self.plan[:-1, PENDING]
        if self.general is not None:
            neuron_kernel.reset(*self.general)


def _empty(size: int) -> tuple[Int32, Int64]:
    """Room for spikes and their values."""
    return np.empty(size, np.int32), np.empty(size, np.int64)


def run(
    network: IntegerNetwork,
    inputs: Mapping[str, IntArray],
    record: Collection[str] | None = None,
    threads: int = 1,
) -> FunctionalResult:
    """Compile and run once; see ``Functional.run``."""
    return Functional(network).run(inputs, record, threads)
