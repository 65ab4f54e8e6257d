"""Running the phases of a program: what the host keeps, and what it plays in again.

Works with any simulator: the caller runs a single phase.  All samples of a batch go through a phase
before the next is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from snnc.ir.arrays import IntArray, size_of
from snnc.ir.nodes import Input, Output
from snnc.ir.phased import Member, PhasedDeployment
from snnc.ir.subnetwork import replayed
from snnc.simulators.inputs import check_inputs
from snnc.simulators.result import Events, RunResult

RunPhase = Callable[[int, dict[str, IntArray], tuple[str, ...]], RunResult]
"""Runs one phase on its inputs and returns outputs, counts, and the spikes of the populations."""


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
        run: called once per phase, in order.
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
    for number, phase in enumerate(program.phases):
        shown = [m for m in program.owned(number) if m.population in wanted]
        fed = {node.name: host.input(number, node.name) for node in phase.network.of_type(Input)}
        result = run(number, fed, tuple(member.name for member in shown))
        host.take(number, result, shown)
    outputs = {}
    for output in program.network.of_type(Output):
        outputs[output.name] = host.whole(output.inputs[0])
    spikes = {name: Events.join(host.events[name]) for name in populations if name in wanted}
    return RunResult(outputs, spikes, {name: host.counts[name] for name in populations})


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
        self._plays = [replayed(network, phase.network) for phase in self.program.phases]
        for number, played in enumerate(self._plays):
            for name in played.values():
                self._until[name] = max(self._until.get(name, 0), number)

    def input(self, phase: int, name: str) -> IntArray:
        """What an input of a phase plays in."""
        population = self._plays[phase].get(name)
        return self.data[name] if population is None else self.whole(population)

    def whole(self, population: str) -> IntArray:
        """[samples, steps, *shape] of a population as far as it has run."""
        raster = self.raster[population]
        return raster.reshape(self.samples, self.steps, *self.program.network.shapes[population])

    def take(self, phase: int, result: RunResult, shown: list[Member]) -> None:
        """Keep what a phase sent."""
        for member in self.program.owned(phase):
            name = member.population
            if self._until.get(name, -1) > phase:
                self._keep(member, self._sent(phase, member, result))
            count = result.spike_counts[member.name]
            self.counts[name] = self.counts.get(name, 0) + count
        for member in shown:
            self.events.setdefault(member.population, []).append(
                self._renamed(member, result.spikes[member.name])
            )
        for name in [n for n in self.raster if self._until[n] <= phase]:
            del self.raster[name]

    def _sent(self, phase: int, member: Member, result: RunResult) -> IntArray:
        if member.sent in result.outputs:
            return result.outputs[member.sent]
        readers = self.program.phases[phase].network.of_type(Output)
        return next(result.outputs[o.name] for o in readers if o.inputs[0] == member.name)

    def _keep(self, member: Member, values: IntArray) -> None:
        name, shape = member.population, self.program.network.shapes[member.population]
        flat = values.reshape(self.samples, self.steps, -1)
        if member.part is None:
            self.raster[name] = flat
            return
        if name not in self.raster:
            empty = np.zeros((self.samples, self.steps, size_of(shape)), np.int64)
            self.raster[name] = empty
        self.raster[name][:, :, member.neurons(shape)] = flat

    def _renamed(self, member: Member, events: Events) -> Events:
        if member.part is None:
            return events
        place = (events.index + member.part[0]).astype(np.int32)
        return Events(events.sample, events.step, place, events.value)
