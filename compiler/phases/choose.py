"""Which phase every unit belongs to: CP-SAT over cut, order and recomputation.

Variables: the phase of every unit, and further phases in which a unit is computed again instead of
being read.  Constraints: no unit before what it reads; the sizes in a phase add up to no more than
the machine; sets known not to fit together.  Objective: bytes moved per sample between machine and
host because of the cut, that is spikes written once and read in every later phase that needs them,
network inputs read in every phase that needs them, and images loaded again for recomputation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ortools.sat.python import cp_model

from snnc.compiler.phases.units import Unit
from snnc.compiler.solver import new_solver

SOLVER_EFFORT = 4.0  # deterministic time, so equal inputs give equal plans
LARGEST_MODEL = 20_000
SCALE = 1000
"""Sizes are counted in thousandths of a core."""


@dataclass(frozen=True)
class Task:
    """A choice to be made.

    Attributes:
        sizes: cores of every unit.
        images: bytes loaded for every unit.
        before: pairs (a, b) of units such that a lies in the phase of b or earlier.
        makers: by stream, the units that send it; none for inputs of the network.
        users: by stream, the units that read it and do not send it; a loop in turns reads it in
            every one of its phases.
        bytes: by stream, per sample.
        capacity: cores of the machine.
        never: sets of units that do not fit together.
    """

    units: Sequence[Unit]
    sizes: Sequence[float]
    images: Sequence[int]
    before: Sequence[tuple[int, int]]
    makers: Mapping[str, Sequence[int]]
    users: Mapping[str, Sequence[int]]
    bytes: Mapping[str, int]
    capacity: int
    never: Sequence[frozenset[int]]


@dataclass(frozen=True)
class Choice:
    """A plan.

    Attributes:
        phases: units held, by phase; a loop in turns as one.
        moved: bytes per sample.
        status: "optimal" for the sizes given, "feasible", or "first fit".
    """

    phases: tuple[tuple[int, ...], ...]
    moved: int
    status: str


def choose(task: Task, phases: int) -> Choice | None:
    """The best plan of so many phases; None when there is none, or none was found."""
    first = first_fit(task)
    if phases * len(task.units) > LARGEST_MODEL:
        return first if len(first.phases) <= phases else None
    model = _Model(task, phases)
    if len(first.phases) <= phases:
        model.hint(first.phases)
    solver = new_solver()
    solver.parameters.max_deterministic_time = SOLVER_EFFORT
    status = solver.solve(model.cp)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        usable = status != cp_model.INFEASIBLE and len(first.phases) <= phases
        return first if usable else None
    held = tuple(
        tuple(u for u in range(len(task.units)) if any(solver.value(v) for v in model.here(u, k)))
        for k in range(phases)
    )
    held = tuple(units for units in held if units)
    word = "optimal" if status == cp_model.OPTIMAL else "feasible"
    return Choice(held, moved(task, held), word)


def first_fit(task: Task) -> Choice:
    """Unit after unit in order, a new phase when the next does not fit."""
    held: list[list[int]] = [[]]
    for unit, size in enumerate(task.sizes):
        trial = frozenset((*held[-1], unit))
        full = sum(task.sizes[u] for u in held[-1]) + size > task.capacity
        if held[-1] and (full or any(cut <= trial for cut in task.never)):
            held.append([])
        held[-1].append(unit)
    phases = tuple(tuple(units) for units in held)
    return Choice(phases, moved(task, phases), "first fit")


def moved(task: Task, phases: Sequence[Sequence[int]]) -> int:
    """Bytes per sample that a plan moves because of its cuts."""
    total, seen = 0, set()
    for held in phases:
        total += sum(task.images[unit] for unit in held if unit in seen)
        seen |= set(held)
    for name, users in task.users.items():
        makers, reading = set(task.makers[name]), set(users)
        reads = sum(
            max(len(task.units[u].turns) or 1 for u in reading.intersection(held))
            for held in phases
            if not reading.isdisjoint(held) and not (makers and makers <= set(held))
        )
        total += task.bytes[name] * (reads + bool(reads and makers))
    return total


class _Model:
    def __init__(self, task: Task, phases: int) -> None:
        self.task, self.phases = task, phases
        cp = self.cp = cp_model.CpModel()
        count = range(len(task.units))
        self.home = [[cp.new_bool_var("") for _ in range(phases)] for _ in count]
        self.again: dict[tuple[int, int], Any] = {}
        place = []
        for unit in count:
            cp.add_exactly_one(self.home[unit])
            place.append(sum(k * x for k, x in enumerate(self.home[unit])))
            if self._worth_again(unit):
                for k in range(1, phases):
                    again = self.again[unit, k] = cp.new_bool_var("")
                    cp.add_at_most_one([again, *self.home[unit][k:]])
        for a, b in task.before:
            cp.add(place[a] <= place[b])
        sizes = [max(1, round(size * SCALE)) for size in task.sizes]
        for k in range(phases):
            used = sum(sizes[u] * x for u in count for x in self.here(u, k))
            cp.add(used <= task.capacity * SCALE)
            for cut in task.never:
                cp.add(sum(x for u in sorted(cut) for x in self.here(u, k)) <= len(cut) - 1)
        cp.minimize(self._moved())

    def here(self, unit: int, phase: int) -> list[Any]:
        """Variables of which one is true when a phase holds a unit."""
        again = self.again.get((unit, phase))
        return [self.home[unit][phase]] + ([] if again is None else [again])

    def _worth_again(self, unit: int) -> bool:
        """Whether computing a unit again can ever cost less than reading it."""
        sent = [name for name, makers in self.task.makers.items() if unit in makers]
        saved = sum(2 * self.task.bytes[name] for name in sent if self.task.users[name])
        return not self.task.units[unit].sliced and self.task.images[unit] < saved

    def _moved(self) -> Any:
        terms = []
        for (unit, _), again in self.again.items():
            terms.append(self.task.images[unit] * again)
        for name, users in self.task.users.items():
            makers, each = self.task.makers[name], self.task.bytes[name]
            if not users:
                continue
            written = self.cp.new_bool_var("")
            for k in range(self.phases):
                read = self.cp.new_bool_var("")
                for user in users:
                    for maker in makers or (None,):
                        held = [] if maker is None else self.here(maker, k)
                        self.cp.add(read >= sum(self.here(user, k)) - sum(held))
                terms.append(each * read)
                if makers:
                    self.cp.add(written >= read)
            if makers:
                terms.append(each * written)
        return sum(terms)

    def hint(self, phases: Sequence[Sequence[int]]) -> None:
        """Start from a plan."""
        for unit, row in enumerate(self.home):
            for k, x in enumerate(row):
                self.cp.add_hint(x, k < len(phases) and unit in phases[k])
