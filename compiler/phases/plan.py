"""The search for phases: choose by estimated sizes, measure by the partitioner, learn, repeat.

Estimates begin at what a population takes at least, so the first plans are too optimistic.  A phase
that needs more cores than the machine has tells how much its units really take together; their
sizes grow by that, up to what each takes alone, and that set is forbidden.  The number of phases
starts at its lower bound and rises only when no plan is left.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snnc.compiler.chip_count import PLENTY
from snnc.compiler.phases.choose import Choice, Task, choose, first_fit
from snnc.compiler.phases.loops import Parts, cut_loop
from snnc.compiler.phases.sizes import Machine, Need, Sizer, needs
from snnc.compiler.phases.streams import Stream, streams
from snnc.compiler.phases.units import Block, Unit, blocks, members_of, units
from snnc.ir.arrays import RealArray
from snnc.ir.errors import CapacityError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.phased import Loop, Member, Phases, readers

ROUNDS = 60
PATIENCE = 12
"""Plans after which sizes may grow beyond what populations need alone."""
TRIES = 4
"""Plans of one phase less that are measured before a plan is taken."""
SPARE = (1.0, 1.2, 1.5, 2.0, 3.0)
SLICES = 4
"""A population is cut so that about so many slices fill the machine."""
MOST_SLICES = 64


@dataclass(frozen=True, eq=False)
class Plan:
    """Phases that fit by the partitioner's measure.

    Attributes:
        phases: members in the order of execution.
        report: bounds, objective and how it was found; JSON values only.
        loops: phases that take turns.
    """

    phases: Phases
    report: Mapping[str, Any]
    loops: tuple[Loop, ...] = ()


class Planner:
    """Finds plans for one network on one machine; ``refuse`` teaches it what did not fit.

    Args:
        rates: packets per sample by input and population; without them any spikes are possible.
        most: largest number of phases; None: as many as it takes.
    """

    def __init__(
        self,
        network: IntegerNetwork,
        machine: Machine,
        rates: Mapping[str, RealArray] | None,
        most: int | None,
    ) -> None:
        self.network, self.machine, self.most = network, machine, most
        self.sizer = Sizer(network, machine)
        self.streams: dict[str, Stream] = streams(network, machine.steps, rates)
        self.blocks: tuple[Block, ...] = blocks(network)
        self.need, self.least_cores, self.binding = needs(network, machine)
        self.least = max(1, math.ceil(self.least_cores / machine.cores))
        self.scale = {block.name: 1.0 for block in self.blocks}
        self.room = machine.cores
        self.turns: dict[str, Parts] = {}
        self._cut_loops()
        self.rounds = 0
        self.cut({block.name: self._slices(block) for block in self.blocks})
        self.count = max(1, self.least - self.further)

    @property
    def further(self) -> int:
        """Phases of loops in turns, but for one of each, which a ``Choice`` counts."""
        return sum(len(parts.members) - 1 for parts in self.turns.values())

    def find(self) -> Plan:
        """The best plan known to fit.

        Raises:
            CapacityError: a single neuron that fits no phase; or more phases than allowed.
        """
        self._check_most(self.least, f"at least {self.least} phases, by {self.binding}")
        plan = None
        while plan is None and self.rounds < ROUNDS:
            choice = self._choose()
            phases = self._measured(choice)
            if phases is not None:
                plan = self._fewer(self._plan(choice, phases))
        plan = plan or self._roomy()
        count = len(plan.phases)
        self._check_most(count, f"{count} phases found, at least {self.least} needed")
        return plan

    def _roomy(self) -> Plan:
        """First fit with sizes that leave more and more room; for when learning did not end."""
        for spare in SPARE:
            sizes = [
                self._size(unit) if unit.turns
                else spare * self.alone(self.blocks[unit.block]) * unit.share
                for unit in self.units
            ]  # fmt: skip
            choice = first_fit(self.task(sizes))
            phases = self._measured(choice)
            if phases is not None:
                return self._plan(choice, phases)
        raise CapacityError(
            "no phases were found in which every group fits the machine",
            where=self.network.name,
            found=f"{self.rounds} plans, the last with {len(self.phases_of(choice))} phases",
            allowed=f"{self.machine.cores} cores on {self.machine.target.id}",
            remedy="give more chips (--chips) or a larger target",
        )

    def _measured(self, choice: Choice) -> Phases | None:
        """The members of a choice if every phase fits; else None, and something is learnt."""
        self.rounds += 1
        before, slices = len(self.never), self.slices
        phases = self.phases_of(choice)
        for held in choice.phases:
            if self.units[held[0]].turns:
                continue  # measured when the loop was cut
            cores = self._cores(self._members(held), alone=len(held) == 1)
            if cores > self.machine.cores:
                self._learn(held, cores)
            if self.slices is not slices:  # units have new numbers
                return None
        return phases if len(self.never) == before else None

    def phases_of(self, choice: Choice) -> Phases:
        """The members of all phases of a choice."""
        result: list[tuple[Member, ...]] = []
        for held in choice.phases:
            result += self.units[held[0]].turns or (self._members(held),)
        return tuple(result)

    def _members(self, held: Sequence[int]) -> tuple[Member, ...]:
        return members_of(self.network, [self.units[u] for u in held])

    def _plan(self, choice: Choice, phases: Phases) -> Plan:
        """A plan of phases that fit."""
        loops = []
        for parts in self.turns.values():
            first = phases.index(parts.members[0])
            loops.append(Loop(first, first + len(parts.members), parts.block))
        ordered = tuple(sorted(loops, key=lambda loop: loop.first))
        return Plan(phases, self._report(choice, phases), ordered)

    def _cut_loops(self) -> None:
        """Loops that do not fit one phase take several, in turns."""
        for block in self.blocks:
            looped = block.loop or len(block.populations) > 1
            if looped and self.alone(block, self.machine.cores) > self.machine.cores:
                self.turns[block.name] = cut_loop(self.network, block, self.sizer, self.room)

    def _cores(self, members: tuple[Member, ...], *, alone: bool) -> int:
        """Cores of a group; one that no number of cores would hold is only too large."""
        try:
            return self.sizer.cores(members)
        except CapacityError:
            if alone:
                raise
            return self.machine.cores + 1

    def _fewer(self, plan: Plan) -> Plan:
        """A plan of fewer phases if a few tries find one: sizes learnt in bad company shrink."""
        scale, count = self.scale, self.count
        while len(plan.phases) > max(self.least, 1 + self.further):
            self.count = len(plan.phases) - 1 - self.further
            self.scale = {name: (1 + value) / 2 for name, value in scale.items()}
            better = self._try(TRIES)
            if better is None:
                break
            plan = better
        self.scale, self.count = scale, count
        return plan

    def _try(self, tries: int) -> Plan | None:
        slices = self.slices
        for _ in range(tries):
            choice = choose(self.task(), self.count)
            phases = None if choice is None else self._measured(choice)
            if choice is None or self.slices is not slices:
                return None
            if phases is not None:
                return self._plan(choice, phases)
        return None

    def refuse(self, plan: Plan, phase: int, error: CapacityError) -> None:
        """Tell that a phase of a plan could not be mapped after all; raises if it cannot shrink."""
        held = [u for u, unit in enumerate(self.units) if _inside(unit, plan.phases[phase])]
        if any(self.units[u].turns for u in held) and self.room > 1:
            self.room -= 1 + self.room // 10  # a loop's phases leave more room
            self._cut_loops()
            self.cut(self.slices)
            return
        if len(held) <= 1:
            raise error
        self._learn(held, self.machine.cores + 1)

    def _slices(self, block: Block) -> int:
        if block.loop or len(block.populations) > 1:
            return 1
        node = self.network.node[block.name]
        size = math.prod(self.network.shapes[node.name])
        wanted = math.ceil(SLICES * self.alone(block) / self.machine.cores)
        return max(1, min(wanted, MOST_SLICES, size))

    def alone(self, block: Block, enough: int = PLENTY) -> int:
        """Cores that a block takes in a phase of its own; see ``Sizer.cores``."""
        return self.sizer.cores(tuple(Member(name) for name in block.populations), enough)

    def cut(self, slices: Mapping[str, int]) -> None:
        """Cut blocks into so many slices; units get new numbers, what did not fit is forgotten."""
        self.slices = dict(slices)
        turns = {name: parts.members for name, parts in self.turns.items()}
        self.units: list[Unit] = units(self.network, self.blocks, self.slices, turns)
        self.never: list[frozenset[int]] = []

    def _choose(self) -> Choice:
        """A plan of the fewest phases that the sizes allow."""
        task = self.task()
        while True:  # every unit in a phase of its own is a plan
            choice = choose(task, self.count)
            if choice is not None:
                return choice
            self.count += 1

    def _check_most(self, count: int, told: str) -> None:
        if self.most is not None and count > self.most:
            raise CapacityError(
                "the network needs more phases than allowed",
                where=self.network.name,
                found=told,
                allowed=f"{self.most} (--phases {self.most})",
                remedy="--phases auto takes as many as needed; more chips (--chips) need fewer",
            )

    def task(self, sizes: Sequence[float] | None = None) -> Task:
        """What is to be chosen, with the sizes learnt so far or those given."""
        home: dict[str, list[int]] = {}
        for number, unit in enumerate(self.units):
            home.setdefault(self.blocks[unit.block].name, []).append(number)
        of = {name: block.name for block in self.blocks for name in block.populations}
        before = [pair for row in home.values() for pair in itertools.pairwise(row)]
        for block in self.blocks:
            for source in block.inputs:
                if source in home:
                    before += [(home[source][-1], user) for user in home[block.name]]
        users: dict[str, list[int]] = {name: [] for name in self.streams}
        for name, sources in readers(self.network).items():
            if name in of:
                for source in sources:
                    if of.get(source) != of[name]:
                        users[source] += home[of[name]]
        need: Mapping[str, Need] = self.need
        return Task(
            units=self.units,
            sizes=sizes or [self._size(unit) for unit in self.units],
            images=[
                math.ceil(unit.share * sum(need[m.population].image for m in unit.members))
                for unit in self.units
            ],
            before=before,
            makers={n: home[of[n]] if n in of else [] for n in self.streams},
            users={name: sorted(set(found)) for name, found in users.items()},
            bytes={name: stream.bytes for name, stream in self.streams.items()},
            capacity=self.machine.cores,
            never=self.never,
        )

    def _size(self, unit: Unit) -> float:
        """Cores that a unit is thought to take, at most the machine: alone it may still fit."""
        if unit.turns:
            return float(self.machine.cores)
        block = self.blocks[unit.block]
        size = self.scale[block.name] * sum(self.need[name].cores for name in block.populations)
        return min(size * unit.share, float(self.machine.cores))

    def _learn(self, held: Sequence[int], cores: int) -> None:
        """A set of units needs more cores than the machine has."""
        if len(held) == 1:
            self._refine(self.units[held[0]], cores)
            return
        guess = sum(self._size(self.units[u]) for u in held)
        beyond = 1 + 0.1 * max(0, self.rounds - PATIENCE)
        for block in {self.blocks[self.units[u].block] for u in held}:
            least = sum(self.need[name].cores for name in block.populations)
            grown = self.scale[block.name] * cores / max(guess, 1e-9)
            most = max(self.scale[block.name], beyond * self.alone(block) / max(least, 1e-9))
            self.scale[block.name] = min(max(self.scale[block.name], grown), most)
        self.never.append(frozenset(held))

    def _refine(self, unit: Unit, cores: int) -> None:
        """A unit alone is too large: cut it finer, or give up."""
        block = self.blocks[unit.block]
        size = self.network.shapes[block.name]
        if block.loop or len(block.populations) > 1 or self.slices[block.name] >= math.prod(size):
            raise _too_large(block, cores, self.machine)
        finer = math.ceil(SLICES * cores / self.machine.cores * self.slices[block.name])
        self.cut({**self.slices, block.name: min(finer, math.prod(size))})

    def _report(self, choice: Choice, phases: Phases) -> dict[str, Any]:
        return {
            "phases": len(phases),
            "phases_lower_bound": self.least,
            "cores_lower_bound": self.least_cores,
            "bound_by": self.binding,
            "machine_cores": self.machine.cores,
            "fewest": "proven" if len(phases) == self.least else "not proven",
            "moved_bytes": choice.moved,
            "solver": choice.status,
            "plans_measured": self.rounds,
            "basis": "rates"
            if any(s.event_bytes is not None for s in self.streams.values())
            else "no rates: room for any spikes",
        }


def _inside(unit: Unit, members: Sequence[Member]) -> bool:
    """Whether a phase with these members holds a unit, or is one of its turns."""
    if unit.turns:
        return tuple(members) in unit.turns
    for mine in unit.members:
        held = next((m for m in members if m.population == mine.population), None)
        if held is None:
            return False
        if held.part is not None and mine.part is not None:
            low, high = held.part
            if not low <= mine.part[0] < mine.part[1] <= high:
                return False
    return True


def _too_large(block: Block, cores: int, machine: Machine) -> CapacityError:
    enough = math.ceil(cores / max(1, machine.cores) * machine.chips)
    return CapacityError(
        "a single neuron does not fit one phase",
        where=block.name,
        found=f"{cores} cores",
        allowed=f"{machine.cores} cores on {machine.chips} chip(s) of {machine.target.id}",
        remedy=f"--chips {enough}, or a target with more cores",
    )
