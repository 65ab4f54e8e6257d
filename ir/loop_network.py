"""The network of a phase in a loop, put together from the synapses themselves.

What comes within the same step comes from a member, or from an input that plays what a phase before
has sent; what is late comes from inputs that play what was sent so many steps ago.  So the network
has no delay, and nothing is under way when a block of steps ends.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from snnc.ir.arrays import Shape, size_of
from snnc.ir.errors import ModelError
from snnc.ir.expand import Projection, each_projection
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Add, Input, Linear, Output
from snnc.ir.phased import AGO, EARLIER, Member
from snnc.ir.slices import sliced
from snnc.ir.weights import Sparse


@dataclasses.dataclass(frozen=True, eq=False)
class Columns:
    """All synapses from one source to one population with one delay, target by target.

    Attributes:
        delay: in steps; negative: the population reads later steps.
        matrix: [source elements, target neurons]; those of a few targets are taken out quickly.
    """

    source: str
    delay: int
    matrix: sparse.csc_array


Synapses = Mapping[str, Sequence[Columns]]


def synapses_of(network: IntegerNetwork, members: Iterable[Member]) -> Synapses:
    """By population of some members: what leads to it; raises as ``expand``."""
    result: dict[str, list[Columns]] = {member.population: [] for member in members}
    for projection in each_projection(network, result):
        columns = Columns(projection.source, projection.delay, _matrix(projection))
        result[projection.population].append(columns)
    return result


def loop_network(
    network: IntegerNetwork, members: tuple[Member, ...], synapses: Synapses, name: str
) -> IntegerNetwork:
    """The network of a phase in a loop.

    Args:
        network: the whole network.
        members: of the phase.
        synapses: as from ``synapses_of``, of at least the members.
        name: of the result.

    Raises:
        ModelError: a population reads later steps (a sum over all steps), or a name is taken.
    """
    builder = _Builder(network, {member.population: member for member in members})
    for member in members:
        builder.add_member(member, synapses[member.population])
    for member in members:
        builder.add(Output(member.sent, (member.name,)))
    if not any(isinstance(node, Input) for node in builder.nodes.values()):
        builder.play(network.of_type(Input)[0].name, 0, False)
    return IntegerNetwork(name, tuple(builder.nodes.values()), network.assumptions)


@dataclasses.dataclass(eq=False)
class _Builder:
    network: IntegerNetwork
    here: dict[str, Member]
    nodes: dict[str, IntegerNode] = dataclasses.field(default_factory=dict)

    def add(self, node: IntegerNode) -> str:
        if node.name in self.nodes:
            raise ModelError(
                "a name that phases need is taken",
                where=node.name,
                remedy="rename the layer of that name in the model",
            )
        self.nodes[node.name] = node
        return node.name

    def play(self, source: str, late: int, partly: bool) -> str:
        """The input that plays what a node sends, or sent ``late`` steps ago."""
        label = f"{source}{AGO}{late}" if late else source + EARLIER * partly
        if label not in self.nodes:
            kind = self.network.types[source]
            self.add(Input(label, self.network.shapes[source], kind))
        return label

    def add_member(self, member: Member, synapses: Sequence[Columns]) -> None:
        neuron: Any = self.network.node[member.population]
        part, shape = member.neurons(neuron.shape), member.shape(neuron.shape)
        terms = []
        for columns in synapses:
            if columns.delay < 0:
                raise ModelError(
                    "a loop in several phases reads the end of a sample",
                    where=f"{columns.source} -> {member.population}",
                )
            rows = columns.matrix[:, part]
            maker = None if columns.delay else self.here.get(columns.source)
            if maker is not None:
                own = maker.neurons(self.network.shapes[columns.source])
                terms += self._term(member, shape, maker.name, rows[own])
                rows = _without(rows, own)
            if maker is None or rows.nnz:
                source = self.play(columns.source, columns.delay, maker is not None)
                terms += self._term(member, shape, source, rows)
        if not terms:
            first = self.play(self.network.of_type(Input)[0].name, 0, False)
            size = size_of(self.network.shapes[first])
            nothing = sparse.csc_array((size, size_of(shape)), dtype=np.int64)
            terms += self._term(member, shape, first, nothing, always=True)
        total = terms[0]
        if len(terms) > 1:
            total = self.add(Add(f"{member.name} inputs", tuple(terms)))
        assert isinstance(neuron, Neuron)
        if member.part is None:
            self.add(dataclasses.replace(neuron, inputs=(total,)))
        else:
            self.add(sliced(neuron, member, (total,)))

    def _term(
        self, member: Member, shape: Shape, source: str, rows: sparse.csc_array,
        always: bool = False,
    ) -> list[str]:  # fmt: skip
        """The synapses [source elements, targets] as a node; none for no synapses."""
        if not rows.nnz and not always:
            return []
        columns = sparse.csr_array(rows.T)
        columns.sort_indices()
        weights = Sparse(
            columns.indptr.astype(np.int64), columns.indices.astype(np.int64),
            columns.data.astype(np.int64), rows.shape[0], shape,
        )  # fmt: skip
        return [self.add(Linear(f"{member.name} from {source}", (source,), weights))]


def _matrix(projection: Projection) -> sparse.csc_array:
    """[source elements, target neurons]."""
    size = projection.row_ptr.size - 1
    rows = (projection.weight, projection.target, projection.row_ptr)
    return sparse.csc_array(sparse.csr_array(rows, shape=(size, projection.targets)))


def _without(rows: sparse.csc_array, own: slice) -> sparse.csc_array:
    """The matrix with these rows empty."""
    entries = sparse.coo_array(rows)
    kept = (entries.row < own.start) | (entries.row >= own.stop)
    places = entries.row[kept], entries.col[kept]
    return sparse.csc_array((entries.data[kept], places), shape=rows.shape)
