"""What goes into a run and what comes out: input pulses, emitted spikes, the watched output."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray, size_of
from snnc.ir.deployment import Deployment
from snnc.ir.errors import UnsupportedError
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Output
from snnc.ir.row_shapes import index_type, narrow
from snnc.ir.wire import WireCode
from snnc.simulators.cycle.noc_tables import Int32, Int64
from snnc.simulators.cycle.program import Layout
from snnc.simulators.cycle.timetable import Host
from snnc.simulators.decoding import EarlyStop
from snnc.simulators.result import Events, RunResult

ONE_TICK = WireCode("burst")


class InputPulses(NamedTuple):
    """What the host sends: [pulses] tick, source id, value."""

    tick: Int64
    source: Int64
    value: Int64


def input_pulses(
    deployment: Deployment, data: Mapping[str, IntArray], sample: int, first_step: int = 0
) -> InputPulses:
    """The pulses of one sample under the inputs' wire codes; it begins at this logical step."""
    schedule, first = deployment.schedule, deployment.sources.first
    ticks, sources, values = [], [], []
    for name, array in data.items():
        flat = array[sample].reshape(array.shape[1], -1)
        step, element = np.nonzero(flat)
        code = schedule.codes.get(name, ONE_TICK)
        for slot, pulse in enumerate(code.pulses(flat[step, element].astype(np.int64))):
            sent = np.flatnonzero(pulse)
            at = first_step + step[sent].astype(np.int64)
            ticks.append(schedule.period * at + schedule.offset.get(name, 0) + slot)
            sources.append(first[name] + element[sent])
            values.append(pulse[sent])
    each = (np.concatenate(column).astype(np.int64) for column in (ticks, sources, values))
    return InputPulses(*each)


def host_of(pulses: InputPulses, first: int, ticks: int) -> Host:
    """Pulses of so many ticks from ``first`` on, sorted by tick, then source id."""
    order = np.lexsort((pulses.source, pulses.tick))
    ptr = np.searchsorted(pulses.tick[order], first + np.arange(ticks + 1))
    source, value = pulses.source[order].astype(np.int32), pulses.value[order]
    return Host(ptr.astype(np.int64), source, value, first)


class Logbook:
    """Collects what neurons emit and turns it into a ``RunResult`` in logical time."""

    def __init__(self, deployment: Deployment, layout: Layout, samples: int, steps: int) -> None:
        network = deployment.network
        self._schedule = deployment.schedule
        self._first = deployment.sources.first
        self._layout = layout
        self._samples, self._steps = samples, steps
        self._populations = {p.name: p for p in network.populations}
        self._outputs = {o.name: read_population(o, network.node) for o in network.of_type(Output)}
        # Sample, tick, source and value of every emission, in parts and in narrow types.
        self._columns: tuple[list[AnyArray], ...] = ([], [], [], [])

    def write_ticks(self, sample: int, first: int, ptr: Int64, source: Int32, value: Int64) -> None:
        """Note ticks from ``first`` on, whose emissions are the slices of ``ptr``; copied."""
        kind = index_type(first + ptr.size)
        tick = np.repeat(np.arange(first, first + ptr.size - 1, dtype=kind), np.diff(ptr))
        self.take(sample, tick, source[: tick.size], value[: tick.size])

    def take(self, sample: int, tick: AnyArray, source: Int32, value: Int64) -> None:
        """Note emissions of several ticks, in order of time; sources and values are copied."""
        if tick.size:
            columns = np.full(tick.size, sample, np.int32), tick, source.copy(), narrow(value)
            for parts, column in zip(self._columns, columns, strict=True):
                parts.append(column)

    def result(self, recorded: frozenset[str]) -> RunResult:
        """Everything noted so far."""
        nothing = np.zeros(0, np.int64)
        for parts in self._columns:  # one after the other: nothing is held twice
            parts[:] = [np.concatenate(parts or [nothing])]
        events, counts, outputs = {}, {}, {}
        for name, population in self._populations.items():
            each = self._logical(name, population.size)
            if self._counts_by_refiring(name):
                each = _added(*each)
            counts[name] = np.zeros(self._samples, np.int64)
            np.add.at(counts[name], each[0], np.abs(each[3]))
            for output, read in self._outputs.items():
                if read == name:
                    outputs[output] = self._dense(population, *each)
            if name in recorded:
                events[name] = Events.join([Events.of(*each)])
        return RunResult(outputs, events, counts)

    def _logical(self, name: str, size: int) -> tuple[AnyArray, AnyArray, AnyArray, Int64]:
        """Sample, logical step, neuron and value of all a population emitted."""
        samples, ticks, sources, values = (parts[0] for parts in self._columns)
        first = self._first[name]
        mine = np.flatnonzero((sources >= first) & (sources < first + size))
        tick = ticks[mine].astype(np.int64)
        step = (tick - self._schedule.offset.get(name, 0)) // self._schedule.period
        return samples[mine], step, sources[mine] - first, values[mine].astype(np.int64)

    def _counts_by_refiring(self, name: str) -> bool:
        code = self._schedule.codes.get(name)
        return code is not None and code.refire

    def _dense(
        self, population: Neuron, sample: AnyArray, step: AnyArray, index: AnyArray, value: Int64
    ) -> Int64:
        dense = np.zeros((self._samples, self._steps, size_of(population.shape)), np.int64)
        dense[sample, step, index] = value
        return dense.reshape(self._samples, self._steps, *population.shape)


@dataclass
class Watch:
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
    def of(deployment: Deployment, stop: EarlyStop, steps: int) -> Watch:
        """Before the first tick of a sample of this many steps."""
        output = deployment.network.node[stop.output]
        name = read_population(cast("Output", output), deployment.network.node)
        size, schedule = deployment.sources.size[name], deployment.schedule
        return Watch(
            stop,
            deployment.sources.first[name],
            schedule.offset.get(name, 0),
            schedule.period,
            schedule.slots(name),
            steps,
            np.zeros(size, np.int64),
            np.zeros((1, size), np.int64),
        )

    def follow(self, first: int, ptr: Int64, source: Int32, value: Int64) -> int | None:
        """Take over ticks from ``first`` on, whose emissions are the slices of ``ptr``.

        Returns:
            The tick that ends a step after which the run may stop; None when there is none yet.
        """
        index = source[: ptr[-1]] - self.first
        mine = np.flatnonzero((index >= 0) & (index < self.values.size))
        cuts = np.searchsorted(mine, ptr).tolist()
        for k, (begin, end) in enumerate(itertools.pairwise(cuts)):
            if begin < end:
                part = mine[begin:end]
                self.values[index[part]] += value[part]
            step, slot = divmod(first + k - self.offset, self.period)
            if slot != self.slots - 1 or not 0 <= step < self.limit:
                continue
            self.score = self.stop.decoder.update(self.score, self.values[None], step, self.limit)
            self.values = np.zeros_like(self.values)
            self.steps = step + 1
            if self.stop.reached(self.score)[0]:
                return first + k
        return None


def _added(
    sample: AnyArray, step: AnyArray, index: AnyArray, value: Int64
) -> tuple[AnyArray, AnyArray, AnyArray, Int64]:
    """The spikes of one neuron and step as one count."""
    rows, where = np.unique(np.stack([sample, step, index]), axis=1, return_inverse=True)
    total = np.zeros(rows.shape[1], np.int64)
    np.add.at(total, where.reshape(-1), value)
    return rows[0], rows[1], rows[2], total


def read_population(output: Output, nodes: Mapping[str, Any]) -> str:
    """The population an output reads; raises ``UnsupportedError`` at an operator."""
    source = output.inputs[0]
    if not isinstance(nodes[source], Neuron):
        raise UnsupportedError(
            "an output must read a population on a chip",
            where=output.name,
            found=f"{type(nodes[source]).__name__} {source}",
            remedy="the legalize stage inserts readout populations",
        )
    return source
