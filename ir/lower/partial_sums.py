"""Neurons with more inputs than a core takes: slices of their inputs are summed elsewhere.

A slice's sum u is sent as the digits of ``max(u, 0)`` and ``max(-u, 0)`` (``staircase``) by
populations that forget, and the neuron adds them up: ``u = max(u, 0) - max(-u, 0)``, so its input
is the same integer in every step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.expand import Projection
from snnc.ir.graph import topological_order
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.lower.builder import Builder, RewriteError, selection
from snnc.ir.lower.limits import Limits
from snnc.ir.lower.staircase import digits
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Delay, Input, Output


@dataclass(frozen=True, eq=False)
class Slicing:
    """How one population is split.

    Attributes:
        neurons: [neurons to split] flat indices, rising.
        slices: partial sums per neuron.
    """

    neurons: IntArray
    slices: int


def with_partial_sums(
    network: IntegerNetwork,
    projections: Sequence[Projection],
    slicing: Mapping[str, Slicing],
    limits: Limits,
) -> tuple[IntegerNetwork, dict[str, tuple[str, ...]]]:
    """Split the fan-in of some populations.

    Args:
        network: populations and linear operators only.
        projections: of its expansion.
        slicing: by population.
        limits: of the machine.

    Returns:
        The network, in which all populations keep their names and spikes, and the helper
        populations by split population.

    Raises:
        RewriteError: the machine's neurons cannot send partial sums exactly.
    """
    builder = Builder(network, limits)
    neurons = frozenset(node.name for node in network.nodes if isinstance(node, Neuron))
    for node in topological_order(network.nodes, neurons):
        builder.keep(node)
    for name, how in slicing.items():
        mine = [p for p in projections if p.population == name]
        builder.owner = name
        node = network.node[name]
        assert isinstance(node, Neuron)
        builder.nodes[name] = replace(node, inputs=(_summed(builder, node, mine, how),))
    nodes = without_unread(builder.nodes)
    result = IntegerNetwork(network.name, nodes, network.assumptions)
    return result, {name: tuple(names) for name, names in builder.made.items()}


def _summed(b: Builder, node: Neuron, mine: list[Projection], how: Slicing) -> str:
    """The tensor the neurons read instead: direct synapses of the rest, and partial sums."""
    check_steps([p.delay for p in mine])
    matrices = [_matrix(p) for p in mine]
    split = np.zeros(node.size, bool)
    split[how.neurons] = True
    whole = bool(split.all())
    shape: Shape = node.shape if whole else (how.neurons.size,)
    terms: list[str] = []
    if not whole:
        keep = sparse.diags_array((~split).astype(np.int64), dtype=np.int64)
        terms += _parts(b, mine, [keep @ m for m in matrices], node.shape)
    sliced = _slices([m[how.neurons] for m in matrices], how.slices)
    for matrices_of_slice in sliced:
        x = _added(b, _parts(b, mine, matrices_of_slice, shape))
        if x is None:
            continue
        low, high = b.extent(x)
        for sign, top in ((1, high), (-1, -low)):
            for digit in digits(b, "partial", b.scale(x, sign), 0, top):
                tensor = b.scale(digit.tensor, sign)
                terms.append(tensor if whole else _scattered(b, tensor, how.neurons, node))
    return _added(b, terms) or b.zero(mine[0].source, node.shape)


def check_steps(delays: Sequence[int]) -> None:
    """Raise ``RewriteError`` where a population reads later steps."""
    if any(delay < 0 for delay in delays):
        raise RewriteError(
            "it reads sums over the whole sample, which cannot be sliced",
            "make the layer it reads narrower",
        )


def _matrix(p: Projection) -> sparse.csr_array:
    """[targets, sources]."""
    size = (p.row_ptr.size - 1, p.targets)
    return sparse.csr_array(sparse.csr_array((p.weight, p.target, p.row_ptr), shape=size).T)


def _slices(matrices: list[sparse.csr_array], count: int) -> list[list[sparse.csr_array]]:
    """The synapses of every neuron, in order of their sources, in ``count`` near-equal parts."""
    rows = matrices[0].shape[0]
    owner = [np.repeat(np.arange(rows), np.diff(m.indptr)) for m in matrices]
    fan_in = sum(np.diff(m.indptr).astype(np.int64) for m in matrices)
    done = np.zeros(rows, np.int64)
    part = []
    for m, row in zip(matrices, owner, strict=True):
        rank = np.arange(row.size) - m.indptr[row] + done[row]
        part.append(rank * count // np.maximum(fan_in[row], 1))
        done += np.diff(m.indptr)
    return [
        [
            sparse.csr_array((m.data[p == k], (row[p == k], m.indices[p == k])), shape=m.shape)
            for m, row, p in zip(matrices, owner, part, strict=True)
        ]
        for k in range(count)
    ]


def _parts(
    b: Builder, mine: list[Projection], matrices: list[sparse.csr_array], shape: Shape
) -> list[str]:
    """One tensor per projection that has synapses here."""
    tensors = []
    for projection, matrix in zip(mine, matrices, strict=True):
        if matrix.nnz:
            tensors.append(b.matrix(late(b, projection.source, projection.delay), matrix, shape))
    return tensors


def late(b: Builder, source: str, delay: int) -> str:
    """The sender, so many steps late."""
    if delay == 0:
        return source
    return b.keep(Delay(b.name("late"), (source,), delay))


def _added(b: Builder, terms: list[str]) -> str | None:
    return b.add(terms) if terms else None


def _scattered(b: Builder, tensor: str, neurons: IntArray, node: Neuron) -> str:
    size = (node.size, neurons.size)
    matrix = selection(np.arange(neurons.size), neurons, size)
    return b.matrix(tensor, matrix, node.shape)


def without_unread(nodes: Mapping[str, IntegerNode]) -> tuple[IntegerNode, ...]:
    """The nodes without those that nobody reads any more."""
    wanted = [n.name for n in nodes.values() if isinstance(n, Neuron | Input | Output)]
    seen = set(wanted)
    while wanted:
        for source in nodes[wanted.pop()].inputs:
            if source not in seen:
                seen.add(source)
                wanted.append(source)
    return tuple(node for name, node in nodes.items() if name in seen)


def neurons_of(network: IntegerNetwork, names: Sequence[str]) -> int:
    """Neurons of these populations."""
    return sum(size_of(network.shapes[name]) for name in names)
