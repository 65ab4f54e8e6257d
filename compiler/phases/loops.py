"""Loops larger than the machine: cut into phases that take turns block by block of steps.

Between the populations of a loop some synapses act within the same step and the others at least so
many steps later.  The shortest of those delays is the block: for as many steps every phase can run
when the others have run the block before.  Within the same step a phase may read what phases before
it have sent; so populations are taken in the order of these synapses, slice by slice, and a phase
is full when the partitioner says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import TopologicalSorter

from snnc.compiler.phases.sizes import Sizer
from snnc.compiler.phases.units import Block, slices_of
from snnc.ir.arrays import size_of
from snnc.ir.errors import CapacityError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.loop_network import Columns, Synapses, synapses_of
from snnc.ir.neuron import Neuron
from snnc.ir.phased import Member

SLICES = 6
"""A population is cut so that about so many slices fill the machine."""


@dataclass(frozen=True)
class Parts:
    """A loop in phases.

    Attributes:
        members: by phase.
        block: steps that each runs at a time.
    """

    members: tuple[tuple[Member, ...], ...]
    block: int


def cut_loop(network: IntegerNetwork, block: Block, sizer: Sizer, room: int) -> Parts:
    """Phases of at most ``room`` cores for a loop that needs more.

    Raises:
        CapacityError: a single neuron does not fit, or the end of a sample is read.
    """
    synapses = synapses_of(network, [Member(name) for name in block.populations])
    inside = [
        (name, columns) for name, rows in synapses.items() for columns in rows
        if columns.source in block.populations
    ]  # fmt: skip
    if any(columns.delay < 0 for rows in synapses.values() for columns in rows):
        raise CapacityError(
            "a loop does not fit one phase, and it reads a sum over all steps",
            where=", ".join(block.populations[:6]),
            found=f"{sizer.cores(tuple(Member(n) for n in block.populations), room)} cores",
            allowed=f"{room} cores",
            remedy="more chips (--chips), or a target with more cores",
        )
    steps = min(columns.delay for _, columns in inside if columns.delay > 0)
    found: list[tuple[Member, ...]] = []
    held: tuple[Member, ...] = ()
    guess = SLICES
    for name in _order(block, inside):
        slices = _fitting(network, name, sizer, synapses, room)
        while slices:
            count = _Filling(network, held, name, slices, sizer, synapses, room).most(guess)
            trial = held
            if count:
                trial = _joined(network, held, name, slices[0][0], slices[count - 1][1])
            slices = slices[count:]
            if slices:
                found.append(trial)
                guess = guess if held else count
            held = () if slices else trial
    return Parts((*found, held), steps)


def _order(block: Block, inside: Iterable[tuple[str, Columns]]) -> list[str]:
    """Populations, each after those that it reads within the same step."""
    reads: dict[str, set[str]] = {name: set() for name in block.populations}
    for name, columns in inside:
        if columns.delay == 0 and columns.matrix.nnz:
            reads[name].add(columns.source)
    return list(TopologicalSorter(reads).static_order())


@dataclass(frozen=True, eq=False)
class _Filling:
    """A phase that holds some members already, and slices of a population that may go with them."""

    network: IntegerNetwork
    held: tuple[Member, ...]
    name: str
    slices: list[tuple[int, int]]
    sizer: Sizer
    synapses: Synapses
    room: int

    def fits(self, count: int) -> bool:
        """Whether the first slices fit; none and, alone, one always do."""
        if count <= (0 if self.held else 1):
            return True
        low, high = self.slices[0][0], self.slices[count - 1][1]
        trial = _joined(self.network, self.held, self.name, low, high)
        return self.sizer.loop_cores(trial, self.synapses, self.room) <= self.room

    def most(self, guess: int) -> int:
        """How many fit, such that one more does not; few are measured where the guess is good."""
        first = count = min(guess, len(self.slices))
        while not self.fits(count):
            count -= 1
        if count < first:
            return count
        while count < len(self.slices) and self.fits(count + 1):
            count += 1
        return count


def _fitting(
    network: IntegerNetwork, name: str, sizer: Sizer, synapses: Synapses, room: int
) -> list[tuple[int, int]]:
    """Slices of a population, each of which fits a phase of its own."""
    node = network.node[name]
    assert isinstance(node, Neuron)
    size = size_of(node.shape)
    cores = sizer.loop_cores((Member(name),), synapses, room)
    count = min(size, max(1, math.ceil(SLICES * cores / room)))
    while True:
        slices = slices_of(node.shape, count)
        largest = max(slices, key=lambda ends: ends[1] - ends[0])
        member = Member(name) if len(slices) == 1 else Member(name, largest)
        needed = sizer.loop_cores((member,), synapses, room)
        if needed <= room:
            return slices
        if count >= size:
            raise CapacityError(
                "a single neuron does not fit one phase",
                where=name,
                found=f"{needed} cores",
                allowed=f"{room} cores",
                remedy="more chips (--chips), or a target with more cores",
            )
        count = min(size, 2 * count)


def _joined(
    network: IntegerNetwork, held: tuple[Member, ...], name: str, low: int, high: int
) -> tuple[Member, ...]:
    """The members with one more slice; successive slices of a population are one member."""
    before = held[-1].part if held and held[-1].population == name else None
    if before is not None:
        held, low = held[:-1], before[0]
    whole = (low, high) == (0, size_of(network.shapes[name]))
    return (*held, Member(name) if whole else Member(name, (low, high)))
