"""What the network asks for: the synapses of a few senders at a time, from its operators.

Between two populations lies any graph of linear operators; what it makes of one element of the
sender is a row of integers per logical delay.  Rows are worked out block by block, so that memory
stays bounded however many synapses there are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from snnc.compiler.verify.operators import Operator, csr, operator_of
from snnc.ir.arrays import size_of
from snnc.ir.errors import UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Barrier, Delay, Input

SYNAPSES_AT_ONCE = 1 << 21
"""Most synapses worked out at a time, unless a single element has more."""

Rows = dict[int, sparse.csr_array | None]
"""By logical delay: matrix [elements of the block, elements of a node]; None: the identity."""


@dataclass(frozen=True, order=True)
class Link:
    """Some synapses lead from ``source`` to ``population`` with this logical delay."""

    source: str
    population: str
    delay: int


@dataclass(frozen=True, eq=False)
class Block:
    """What successive elements of one sender reach.

    Attributes:
        sender: input or population.
        first, count: its elements.
        rows: by (population, logical delay): [count, neurons of the population].
    """

    sender: str
    first: int
    count: int
    rows: Mapping[tuple[str, int], sparse.csr_array]


class Fanout:
    """The linear part of a network, by sender.

    Raises:
        UnsupportedError: an operator that feeds a population is not linear, or delays feed only
            each other.
    """

    def __init__(self, network: IntegerNetwork) -> None:
        self._network = network
        self._reach: dict[str, dict[str, frozenset[int]]] = {}
        self._operator: dict[tuple[str, int], Operator | None] = {}
        for neuron in network.populations:
            self._find(neuron.inputs[0], ())

    def _find(self, name: str, below: tuple[str, ...]) -> dict[str, frozenset[int]]:
        """By sender, the delays after which it reaches a node; its operators are kept."""
        if name in self._reach:
            return self._reach[name]
        node = self._network.node[name]
        if isinstance(node, Input | Neuron):
            return {name: frozenset([0])}
        if name in below:
            raise UnsupportedError("a loop without a neuron", where=name, found=", ".join(below))
        shapes = [self._network.shapes[operand] for operand in node.inputs]
        late = _late(node)
        found: dict[str, frozenset[int]] = {}
        for position, operand in enumerate(node.inputs):
            above = self._find(operand, (*below, name))
            self._operator[name, position] = operator_of(node, position, shapes)
            for sender, delays in above.items():
                later = frozenset(delay + late for delay in delays)
                found[sender] = found.get(sender, frozenset()) | later
        self._reach[name] = found
        return found

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """All of them, population by population."""
        return tuple(
            Link(source, neuron.name, delay)
            for neuron in self._network.populations
            for source, delays in sorted(self._reached(neuron.inputs[0]).items())
            for delay in sorted(delays)
        )

    def _reached(self, name: str) -> dict[str, frozenset[int]]:
        return self._reach.get(name) or {name: frozenset([0])}

    def blocks(self, synapses: int = SYNAPSES_AT_ONCE) -> Iterator[Block]:
        """Every element of every sender once, in the order of source ids."""
        network = self._network
        senders: tuple[Input | Neuron, ...] = (*network.of_type(Input), *network.populations)
        for sender in senders:
            reached = self.reached(sender.name)
            for part in self.steps(sender.name, reached, synapses):
                rows = self.rows(sender.name, part, reached)
                yield Block(sender.name, part.start, part.stop - part.start, rows)

    def reached(self, sender: str) -> tuple[str, ...]:
        """Populations that a sender reaches."""
        return tuple(dict.fromkeys(k.population for k in self.links if k.source == sender))

    def steps(
        self, sender: str, populations: Collection[str], synapses: int = SYNAPSES_AT_ONCE
    ) -> Iterator[slice]:
        """The elements of a sender, as many at a time as have so many synapses at most."""
        size = size_of(self._network.shapes[sender])
        step = max(1, synapses // self._most(sender, populations))
        for first in range(0, size, step):
            yield slice(first, min(first + step, size))

    def _most(self, sender: str, populations: Collection[str]) -> int:
        """Bound of what one element adds to all nodes between it and the populations."""
        known: dict[str, int] = {}
        total = sum(self._bound(sender, self._input(name), known) for name in populations)
        return max([1, total, *known.values()])

    def _bound(self, sender: str, name: str, known: dict[str, int]) -> int:
        if name in known or sender not in self._reached(name):
            return known.get(name, 0)
        if name == sender:
            return 1
        node, total = self._network.node[name], 0
        for position, operand in enumerate(node.inputs):
            operator = self._operator[name, position]
            each = 1 if operator is None else operator.most
            total += self._bound(sender, operand, known) * each
        known[name] = min(total, size_of(self._network.shapes[name]))
        return known[name]

    def _input(self, population: str) -> str:
        return self._network.node[population].inputs[0]

    def rows(
        self, sender: str, part: slice, populations: Collection[str]
    ) -> dict[tuple[str, int], sparse.csr_array]:
        """What some elements add to these populations, by (population, logical delay).

        Each is [elements of the part, neurons of the population].
        """
        known: dict[str, Rows] = {}
        first, count, result = part.start, part.stop - part.start, {}
        for name in populations:
            node = self._input(name)
            for delay, rows in self._compute(sender, node, first, count, known).items():
                whole = self._written(rows, first, count, node)
                whole.eliminate_zeros()
                result[name, delay] = whole
        return result

    def _compute(
        self, sender: str, name: str, first: int, count: int, known: dict[str, Rows]
    ) -> Rows:
        if name == sender:
            return {0: None}
        if name in known:
            return known[name]
        if sender not in self._reached(name):
            return {}
        node, result = self._network.node[name], Rows()
        late = _late(node)
        for position, operand in enumerate(node.inputs):
            operator = self._operator[name, position]
            for delay, inner in self._compute(sender, operand, first, count, known).items():
                product = _applied(operator, inner, first, count)
                if delay + late in result:
                    left = self._written(result[delay + late], first, count, name)
                    product = left + self._written(product, first, count, name)
                result[delay + late] = product
        known[name] = result
        return result

    def _written(
        self, rows: sparse.csr_array | None, first: int, count: int, name: str
    ) -> sparse.csr_array:
        """The rows, the identity written out."""
        if rows is not None:
            return rows
        column = np.arange(first, first + count)
        width = size_of(self._network.shapes[name])
        return csr(np.ones(count, np.int64), column, np.arange(count + 1), width)


def _applied(
    operator: Operator | None, inner: sparse.csr_array | None, first: int, count: int
) -> sparse.csr_array | None:
    if operator is None:
        return inner
    if inner is None:
        return operator.rows(np.arange(first, first + count))
    touched, column = np.unique(inner.indices, return_inverse=True)
    inner = csr(inner.data, column.reshape(-1), inner.indptr, touched.size)
    return inner @ operator.rows(touched)


def _late(node: object) -> int:
    """Logical steps from what a node reads to what it makes; negative: it reads a later step."""
    if isinstance(node, Delay):
        return node.steps
    return 1 - node.steps if isinstance(node, Barrier) else 0
