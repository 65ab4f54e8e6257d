"""Running the phases of a program: what the host keeps, and what it plays in again.

Works with any simulator: the caller runs a single phase.  All samples of a batch go through a phase
before the next is loaded.  The phases of a loop are run in turns, block by block of steps; the
caller keeps their states in between.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from snnc.ir.arrays import IntArray, size_of
from snnc.ir.nodes import Input, Output
from snnc.ir.phased import Member, PhasedDeployment, origin
from snnc.ir.subnetwork import replayed
from snnc.simulators.inputs import check_inputs
from snnc.simulators.result import Events, RunResult

RunPhase = Callable[[int, dict[str, IntArray], tuple[str, ...]], RunResult]
"""Runs one phase on its inputs and returns outputs, counts, and the spikes of the populations; of a
phase in a loop the next block, from the state in which the last one ended."""
Span = tuple[int, int]
"""First and last-but-one step."""


def run_phases(
    program: PhasedDeployment,
    inputs: Mapping[str, IntArray],
    run: RunPhase,
    record: Collection[str] | None = None,
) -> RunResult:
    """Run all samples through all phases.

    Args:
        program: the phases.
        inputs: by input name of the whole network, integers [samples, steps, *shape].
        run: called once per phase, in order; in a loop once per phase and block.
        record: populations of the whole network whose spikes are returned; None records all.

    Returns:
        The result in the names of the whole network; a population that is computed again in a later
        phase counts once.

    Raises:
        InputError: an input is missing, misshapen or out of its type's range.
    """
    data, samples, steps = check_inputs(program.network, inputs)
    host = _Host(program, data, samples, steps)
    populations = [node.name for node in program.network.populations]
    wanted = set(populations if record is None else record)
    for number, span in turns(program, steps):
        shown = [m for m in program.owned(number) if m.population in wanted]
        inputs_here = program.phases[number].network.of_type(Input)
        fed = {node.name: host.input(node.name, span) for node in inputs_here}
        result = run(number, fed, tuple(member.name for member in shown))
        host.take(number, result, shown, span)
    outputs = {}
    for output in program.network.of_type(Output):
        outputs[output.name] = host.whole(output.inputs[0])
    spikes = {name: Events.join(host.events[name]) for name in populations if name in wanted}
    return RunResult(outputs, spikes, {name: host.counts[name] for name in populations})


def turns(program: PhasedDeployment, steps: int) -> Iterator[tuple[int, Span]]:
    """Phases and the steps they run, in the order in which they are loaded."""
    number = 0
    while number < len(program.phases):
        loop = program.loop_of(number)
        if loop is None:
            yield number, (0, steps)
            number += 1
            continue
        for first in range(0, steps, loop.block):
            for inner in range(loop.first, loop.last):
                yield inner, (first, min(first + loop.block, steps))
        number = loop.last


@dataclass(eq=False)
class _Host:
    """Rasters, spikes and counts of what has run.

    Attributes:
        raster: by population that is still needed, [samples, steps, neurons].
    """

    program: PhasedDeployment
    data: Mapping[str, IntArray]
    samples: int
    steps: int
    raster: dict[str, IntArray] = field(default_factory=dict)
    events: dict[str, list[Events]] = field(default_factory=dict)
    counts: dict[str, IntArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        network = self.program.network
        outputs = {output.inputs[0] for output in network.of_type(Output)}
        self._until = dict.fromkeys(outputs, len(self.program.phases))
        for number, phase in enumerate(self.program.phases):
            loop = self.program.loop_of(number)
            until = number if loop is None else loop.last - 1
            for name in replayed(network, phase.network).values():
                self._until[name] = max(self._until.get(name, 0), until)

    def input(self, name: str, span: Span) -> IntArray:
        """What an input of a phase plays in, in these steps; nothing before the first."""
        source, late = origin(self.program.network, name)
        values = self.data[source] if source in self.data else self.whole(source)
        first, last = span[0] - late, span[1] - late
        if first >= 0:
            return values[:, first:last]
        nothing = np.zeros((self.samples, min(-first, last - first), *values.shape[2:]), np.int64)
        return np.concatenate([nothing, values[:, : max(last, 0)]], axis=1)

    def whole(self, population: str) -> IntArray:
        """[samples, steps, *shape] of a population as far as it has run."""
        if population not in self.raster:  # of a loop that has just begun
            self._begin(population)
        raster = self.raster[population]
        return raster.reshape(self.samples, self.steps, *self.program.network.shapes[population])

    def take(self, phase: int, result: RunResult, shown: list[Member], span: Span) -> None:
        """Keep what a phase sent in these steps."""
        loop = self.program.loop_of(phase)
        for member in self.program.owned(phase):
            name = member.population
            if self._until.get(name, -1) > phase or (loop is not None and name in self._until):
                self._keep(member, self._sent(phase, member, result), span)
            count = result.spike_counts[member.name]
            self.counts[name] = self.counts.get(name, 0) + count
        for member in shown:
            self.events.setdefault(member.population, []).append(
                self._renamed(member, result.spikes[member.name], span[0])
            )
        if span[1] == self.steps:
            for name in [n for n in self.raster if self._until[n] <= phase]:
                del self.raster[name]

    def _sent(self, phase: int, member: Member, result: RunResult) -> IntArray:
        if member.sent in result.outputs:
            return result.outputs[member.sent]
        readers = self.program.phases[phase].network.of_type(Output)
        return next(result.outputs[o.name] for o in readers if o.inputs[0] == member.name)

    def _begin(self, name: str) -> None:
        size = size_of(self.program.network.shapes[name])
        self.raster[name] = np.zeros((self.samples, self.steps, size), np.int64)

    def _keep(self, member: Member, values: IntArray, span: Span) -> None:
        name, shape = member.population, self.program.network.shapes[member.population]
        flat = values.reshape(self.samples, span[1] - span[0], -1)
        if member.part is None and span == (0, self.steps):
            self.raster[name] = flat
            return
        if name not in self.raster:
            self._begin(name)
        self.raster[name][:, span[0] : span[1], member.neurons(shape)] = flat

    def _renamed(self, member: Member, events: Events, before: int) -> Events:
        if member.part is None and not before:
            return events
        first = member.part[0] if member.part is not None else 0
        place = (events.index + first).astype(np.int32)
        step = (events.step + before).astype(events.step.dtype)
        return Events(events.sample, step, place, events.value)
