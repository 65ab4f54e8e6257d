"""What is put into phases: loops, populations, and slices of large populations.

A loop of populations (a strongly connected component) has no order among its own, so it stays
together, or takes phases of its own (``loops``) where it is larger than the machine; everything
else may be cut between any two neurons.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from snnc.ir.arrays import Shape, size_of
from snnc.ir.graph import topological_order
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron
from snnc.ir.phased import Member, readers


@dataclass(frozen=True)
class Block:
    """Populations that must be in one phase: a loop, or a single population.

    Attributes:
        name: of the first population; the name of the block.
        inputs: blocks and network inputs it reads.
        loop: whether it reads itself.
    """

    name: str
    populations: tuple[str, ...]
    inputs: tuple[str, ...]
    loop: bool


@dataclass(frozen=True)
class Unit:
    """A block, or a slice of one that is a single population without a loop.

    Attributes:
        block: number of its block.
        members: what a phase holds when it holds this unit.
        share: part of the block's neurons.
        turns: of a loop in turns, its phases, which nothing else shares and which follow each
            other: for the choice they are one phase.
    """

    block: int
    members: tuple[Member, ...]
    share: float
    turns: tuple[tuple[Member, ...], ...] = ()

    @property
    def sliced(self) -> bool:
        """Whether it is a part of a population or several phases."""
        return bool(self.turns) or self.members[0].part is not None


def blocks(network: IntegerNetwork) -> tuple[Block, ...]:
    """All blocks, each after those it reads."""
    reads = readers(network)
    names = [node.name for node in network.populations]
    group = _components({name: [s for s in reads[name] if s in reads] for name in names})
    first = {members[0]: members for members in group}
    home = {name: members[0] for members in group for name in members}
    found = []
    for name, members in first.items():
        sources = {s for member in members for s in reads[member]}
        inputs = {home.get(s, s) for s in sources} - {name}
        loop = bool(sources.intersection(members))
        found.append(Block(name, members, tuple(sorted(inputs)), loop))
    known = {block.name for block in found}
    bare = tuple(
        Block(b.name, b.populations, tuple(s for s in b.inputs if s in known), b.loop)
        for b in found
    )
    rank = {block.name: number for number, block in enumerate(topological_order(bare, frozenset()))}
    return tuple(sorted(found, key=lambda block: rank[block.name]))


def _components(edges: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """Strongly connected components, the names in each as they come."""
    number = {name: k for k, name in enumerate(edges)}
    ends = [(number[name], number[s]) for name, sources in edges.items() for s in sources]
    row, column = np.array(ends, np.int64).reshape(-1, 2).T
    matrix = sparse.coo_array((np.ones(row.size), (row, column)), shape=(len(edges),) * 2)
    _, label = connected_components(matrix.tocsr(), connection="strong")
    found: dict[int, list[str]] = {}
    for name, component in zip(edges, label.tolist(), strict=True):
        found.setdefault(component, []).append(name)
    return [tuple(names) for names in found.values()]


def units(
    network: IntegerNetwork,
    found: Sequence[Block],
    slices: Mapping[str, int],
    turns: Mapping[str, Sequence[tuple[Member, ...]]],
) -> list[Unit]:
    """The units of all blocks in order.

    Args:
        network: that has the blocks.
        found: the blocks.
        slices: into how many parts a block is cut.
        turns: the phases of blocks that are loops in turns.
    """
    result = []
    for number, block in enumerate(found):
        if block.name in turns:
            result.append(Unit(number, (), 1.0, tuple(turns[block.name])))
            continue
        parts = slices.get(block.name, 1)
        node = network.node[block.populations[0]]
        if parts == 1 or not isinstance(node, Neuron):
            members = tuple(Member(name) for name in block.populations)
            result.append(Unit(number, members, 1.0))
            continue
        for low, high in slices_of(node.shape, parts):
            share = (high - low) / node.size
            result.append(Unit(number, (Member(node.name, (low, high)),), share))
    return result


def slices_of(shape: Shape, parts: int) -> list[tuple[int, int]]:
    """About equal runs of neurons, of whole channels (rows, ...) where there are enough of them."""
    axis = next((k for k in range(len(shape)) if size_of(shape[: k + 1]) >= parts), len(shape) - 1)
    each, pieces = size_of(shape[axis + 1 :]), size_of(shape[: axis + 1])
    parts = min(parts, pieces)
    ends = [pieces * k // parts * each for k in range(parts + 1)]
    return list(itertools.pairwise(ends))


def members_of(network: IntegerNetwork, held: Iterable[Unit]) -> tuple[Member, ...]:
    """The members of units in one phase; successive slices of a population become one."""
    parts: dict[str, list[tuple[int, int]]] = {}
    result = []
    for member in (member for unit in held for member in unit.members):
        if member.part is None:
            result.append(member)
        else:
            parts.setdefault(member.population, []).append(member.part)
    for name, runs in parts.items():
        whole = (min(low for low, _ in runs), max(high for _, high in runs))
        everything = whole == (0, size_of(network.shapes[name]))
        result.append(Member(name) if everything else Member(name, whole))
    rank = {node.name: k for k, node in enumerate(network.populations)}
    return tuple(sorted(result, key=lambda member: rank[member.population]))
