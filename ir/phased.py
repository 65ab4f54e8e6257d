"""``PhasedDeployment``: a network in groups that take turns on one machine.

A *phase* holds some populations, the *members*, on all cores of the machine.  A sample runs through
the first phase from its first step to its last; the host keeps the spikes that later phases read,
loads the next phase and plays them in as inputs.  So no neuron state is saved: every phase starts
from reset, as an ordinary deployment does.

A network that reads itself cannot be cut like that.  A ``Loop`` is a run of phases that takes turns
block by block of steps: each goes on from the state in which it stopped, for as many steps as any
spike takes from one of its phases back to an earlier one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from snnc.ir.arrays import Shape, size_of
from snnc.ir.deployment import Deployment
from snnc.ir.errors import ModelError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Output
from snnc.ir.target import Target

Box = tuple[tuple[int, int], ...]
"""First and last-but-one index of every axis."""
EARLIER = "~"
"""Appended to the name of a population: its neurons of earlier phases, where one holds others."""
AGO = "<<"
"""Between the name of an input or a population and the number of steps by which it is late."""


def origin(network: IntegerNetwork, name: str) -> tuple[str, int]:
    """Whose values an input of a phase plays: a node of the network, and by how many steps late."""
    if name in network.node:
        return name, 0
    source, _, late = name.rpartition(AGO)
    if source in network.node and late.isdecimal():
        return source, int(late)
    return name.removesuffix(EARLIER), 0


@dataclass(frozen=True)
class Member:
    """A population that a phase holds, or some successive neurons of one.

    Attributes:
        population: name in the whole network.
        part: first and last-but-one flat neuron; None for the whole population.
    """

    population: str
    part: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.part is None:
            return
        if not isinstance(self.part, tuple) or [type(at) for at in self.part] != [int, int]:
            raise ModelError(
                "a part lies between two flat neurons", where=self.population, found=self.part
            )

    @property
    def name(self) -> str:
        """Name of the population in the phase's own network."""
        if self.part is None:
            return self.population
        return f"{self.population}[{self.part[0]}:{self.part[1]}]"

    @property
    def sent(self) -> str:
        """Name of the output by which the host hears the member."""
        return f"{self.name} to host"

    def neurons(self, whole: Shape) -> slice:
        """The member's neurons in the population of this shape, flat."""
        return slice(0, size_of(whole)) if self.part is None else slice(*self.part)

    def box(self, whole: Shape) -> Box | None:
        """The neurons as a box of the population; None where they are none along a single axis."""
        if self.part is None:
            return tuple((0, extent) for extent in whole)
        low, high = self.part
        for axis, extent in enumerate(whole):
            inner = size_of(whole[axis + 1 :])
            if (
                low % inner == 0
                and high % inner == 0
                and low // (inner * extent) == (high - 1) // (inner * extent)
            ):
                fixed = np.unravel_index(low // (inner * extent), whole[:axis] or (1,))
                outer = tuple((int(at), int(at) + 1) for at in fixed[:axis])
                first = low // inner % extent
                cut = (first, first + (high - low) // inner)
                return (*outer, cut, *((0, n) for n in whole[axis + 1 :]))
        return None

    def shape(self, whole: Shape) -> Shape:
        """Shape of the member: of its box, or flat."""
        box = self.box(whole)
        if box is None:
            assert self.part is not None
            return (self.part[1] - self.part[0],)
        return tuple(high - low for low, high in box)


Phases = tuple[tuple[Member, ...], ...]


@dataclass(frozen=True)
class Loop:
    """Phases that run ``block`` steps each, one after the other, until all steps are done.

    Attributes:
        first, last: first and last-but-one phase.
        block: steps; no spike within the loop reaches a phase that comes before its own, or its
            own, in fewer, except within the same step.
    """

    first: int
    last: int
    block: int

    def __post_init__(self) -> None:
        numbers = (self.first, self.last, self.block)
        good = all(type(number) is int for number in numbers)
        if not (good and 0 <= self.first < self.last and self.block >= 1):
            raise ModelError("a loop holds phases, for a block of steps", found=numbers)


def readers(network: IntegerNetwork) -> dict[str, tuple[str, ...]]:
    """By population and output: the inputs and populations that reach it through operators."""
    result = {}
    for node in network.order:
        if isinstance(node, Neuron | Output):
            result[node.name] = tuple(sorted(_sources(network, node.inputs[0])))
    return result


def _sources(network: IntegerNetwork, name: str) -> set[str]:
    found, seen, open_ = set(), set(), [name]
    while open_:
        node = network.node[open_.pop()]
        if node.name in seen:
            continue
        seen.add(node.name)
        if isinstance(node, Neuron) or not node.inputs:
            found.add(node.name)
        else:
            open_ += node.inputs
    return found


def check_phases(network: IntegerNetwork, phases: Phases, loops: tuple[Loop, ...] = ()) -> None:
    """Raise unless the phases can run one after the other and compute the whole network.

    How late the spikes within a loop are is not looked at here but by the checker.

    Raises:
        ModelError: a member that is no population of the network or no part of one, neurons in no
            phase or in several, a phase that reads spikes of a later one of which it is not in a
            loop, or loops that do not hold whole populations.
    """
    _check_members(network, phases)
    reads = readers(network)
    inside = _inside_loops(phases, loops)
    populations = {node.name for node in network.populations}
    known = {name: np.zeros(size_of(network.shapes[name]), bool) for name in populations}
    for number, members in enumerate(phases):
        for member in members:
            known[member.population][member.neurons(network.shapes[member.population])] = True
        for member in members:
            for source in reads[member.population]:
                together = source in inside.get(number, ())
                if source in populations and not together and not known[source].all():
                    raise ModelError(
                        "a phase reads spikes that only a later phase makes",
                        where=f"{source} -> {member.population}",
                        found=f"{member.population} in phase {number + 1}",
                        allowed="everything that a population reads lies in its phase or before",
                    )
    missing = sorted(name for name, seen in known.items() if not seen.all())
    if missing:
        raise ModelError("neurons that are in no phase", where=", ".join(missing[:6]))


def _inside_loops(phases: Phases, loops: tuple[Loop, ...]) -> dict[int, frozenset[str]]:
    """By phase in a loop: the populations of the loop, which no other phase may hold."""
    result: dict[int, frozenset[str]] = {}
    for loop in loops:
        span = range(loop.first, loop.last)
        if loop.last > len(phases) or set(span) & set(result):
            raise ModelError("loops hold successive phases, each one", where="loops", found=loop)
        held = [member for members in phases[loop.first : loop.last] for member in members]
        names = frozenset(member.population for member in held)
        for number, members in enumerate(phases):
            if number not in span and names & {m.population for m in members}:
                raise ModelError(
                    "a loop holds populations that another phase holds, too",
                    where=f"phase {number + 1}",
                    found=loop,
                )
        result |= dict.fromkeys(span, names)
    return result


def _check_members(network: IntegerNetwork, phases: Phases) -> None:
    parts: dict[str, list[Member]] = {}
    for number, members in enumerate(phases):
        held = [member.population for member in members]
        if not held or len(set(held)) != len(held):
            raise ModelError(
                "a phase holds populations, each once",
                where=f"phase {number + 1}",
                found=", ".join(held) or "no population",
            )
        for member in members:
            node = network.node.get(member.population)
            if not isinstance(node, Neuron) or not _inside(member, node.shape):
                raise ModelError(
                    "not a population of the network, or not a part of it",
                    where=f"phase {number + 1}",
                    found=member.name,
                )
            parts.setdefault(member.population, []).append(member)
    for name, found in parts.items():
        whole = [member for member in found if member.part is None]
        times = np.zeros(size_of(network.shapes[name]), np.int64)
        for member in found:
            times[member.neurons(network.shapes[name])] += 1
        if len(whole) != len(found) and (whole or times.max() > 1):
            raise ModelError("a neuron is in two parts", where=name)


def _inside(member: Member, shape: Shape) -> bool:
    return member.part is None or 0 <= member.part[0] < member.part[1] <= size_of(shape)


@dataclass(frozen=True, eq=False)
class PhasedDeployment:
    """Everything needed to run, check and explain a network that takes several phases.

    Attributes:
        network: the whole network; its reference execution is what the phases must equal.
        members: by phase, in the order of execution.
        phases: one ordinary deployment per phase, of ``ir.subnetwork.subnetworks``.
        report: JSON values only; schema ``snnc-phased-report/1``, see ``docs/phases.md``.
        loops: phases that take turns block by block.
        steps: logical steps of a sample; 0: those that every phase runs.
    """

    network: IntegerNetwork
    target: Target
    chips: int
    members: Phases
    phases: tuple[Deployment, ...]
    provenance: Mapping[str, Any]
    report: Mapping[str, Any]
    loops: tuple[Loop, ...] = ()
    steps: int = 0

    def __post_init__(self) -> None:
        if len(self.members) != len(self.phases) or not self.phases:
            raise ModelError(
                "one list of members per phase",
                where=self.network.name,
                found=f"{len(self.members)} lists, {len(self.phases)} phases",
            )
        check_phases(self.network, self.members, self.loops)
        if self.steps < 1 and (self.loops or self.steps < 0):
            raise ModelError("loops need the number of steps", where=self.network.name)
        for number, phase in enumerate(self.phases):
            if phase.schedule.timesteps != self.steps_of(number):
                raise ModelError(
                    "phases of different steps",
                    where=f"phase {number + 1}",
                    found=phase.schedule.timesteps,
                    allowed=self.steps_of(number),
                )

    @property
    def timesteps(self) -> int:
        """Logical steps of a sample."""
        return self.steps or self.phases[0].schedule.timesteps

    def loop_of(self, phase: int) -> Loop | None:
        """The loop in which a phase is."""
        return next((loop for loop in self.loops if loop.first <= phase < loop.last), None)

    def steps_of(self, phase: int) -> int:
        """Steps that a phase runs at a time."""
        loop = self.loop_of(phase)
        return self.timesteps if loop is None else min(loop.block, self.timesteps)

    def loads_of(self, phase: int) -> int:
        """How often a phase is loaded for a batch of samples."""
        return -(-self.timesteps // self.steps_of(phase))

    def ticks_of(self, phase: int) -> int:
        """Ticks of a sample in a phase, all its blocks together."""
        schedule, loads = self.phases[phase].schedule, self.loads_of(phase)
        missing = loads * self.steps_of(phase) - self.timesteps
        return loads * schedule.ticks - missing * schedule.period

    @property
    def ticks(self) -> int:
        """Ticks of a sample over all phases."""
        return sum(self.ticks_of(phase) for phase in range(len(self.phases)))

    @cached_property
    def owner(self) -> dict[str, tuple[int, ...]]:
        """Phases that make a population: the first that holds it, or all that hold parts."""
        result: dict[str, list[int]] = {}
        for phase, member in self._held():
            if member.part is not None or member.population not in result:
                result.setdefault(member.population, []).append(phase)
        return {name: tuple(found) for name, found in result.items()}

    def owned(self, phase: int) -> tuple[Member, ...]:
        """Members that no earlier phase has computed already."""
        return tuple(m for m in self.members[phase] if phase in self.owner[m.population])

    def _held(self) -> Iterator[tuple[int, Member]]:
        for phase, members in enumerate(self.members):
            for member in members:
                yield phase, member


Program = Deployment | PhasedDeployment
"""What a ``.snnc`` file may hold."""
