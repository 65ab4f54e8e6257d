"""The part of a network that belongs to one population: from its writers to its input.

Between a population and the linear operators that write to it ("writers") lie only sums, pools,
gathers and delays, which act on integers without rounding.  Each population gets a private copy
of this tree, because its writers take this population's grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from snnc.compiler.normalise.matrices import diagonal, operator_matrix
from snnc.ir.arrays import IntArray, RealArray, Shape, size_of
from snnc.ir.errors import UnsupportedError
from snnc.ir.network import Network, RealNode
from snnc.ir.nodes import Add, Bias, Delay, Index, Input, Linear, Pool
from snnc.ir.real_neuron import RealNeuron
from snnc.simulators.reference.operators import index, linear, pool

Inner = Add | Pool | Index | Delay
UNREAD = -1


@dataclass(frozen=True, eq=False)
class Writer:
    """A linear operator that writes to a population; ``source_grid`` is that of its operand."""

    node: Linear
    source_grid: float
    shape: Shape
    out_shape: Shape


@dataclass(frozen=True, eq=False)
class Tree:
    """Writers and the integer operators between them and the population, consumers last."""

    root: str
    writers: Mapping[str, Writer]
    inner: Mapping[str, Inner]
    shapes: Mapping[str, Shape]


def shared_part(network: Network) -> set[str]:
    """Operators that work on spikes: everything below some linear operator, except neurons."""
    found: set[str] = set()
    waiting = [s for node in network.of_type(Linear) for s in node.inputs]
    while waiting:
        node = network.node[waiting.pop()]
        if node.name not in found and not isinstance(node, Input | RealNeuron):
            found.add(node.name)
            waiting.extend(node.inputs)
    return found


def source_grid(network: Network, name: str, grids: Mapping[str, float]) -> float:
    """Grid of a tensor of spikes: that of the inputs it is made of (neurons have 1)."""
    found = sorted(_leaf_grids(network, name, grids, set()))
    if len(found) > 1:
        raise UnsupportedError(
            "tensors on different input grids meet before a weight",
            where=name,
            found=", ".join(f"{grid:.6g}" for grid in found),
            remedy="scale the inputs to integers before compiling, or weight them separately",
        )
    return found[0]


def _leaf_grids(
    network: Network, name: str, grids: Mapping[str, float], seen: set[str]
) -> set[float]:
    node = network.node[name]
    if isinstance(node, RealNeuron):
        return {1.0}
    if isinstance(node, Input):
        return {grids[name]}
    if name in seen:
        return set()
    seen.add(name)
    return {g for source in node.inputs for g in _leaf_grids(network, source, grids, seen)}


class TreeBuilder:
    """Copies the tree of one population under fresh names."""

    def __init__(self, network: Network, grids: Mapping[str, float], taken: set[str]) -> None:
        self.network, self.grids, self.taken = network, grids, taken

    def build(self, neuron: RealNeuron) -> Tree:
        """The private tree of a population; a path without weights gets a weight of one."""
        self.population = neuron.name
        self.copies: dict[str, str] = {}
        self.writers: dict[str, Writer] = {}
        self.inner: dict[str, Inner] = {}
        self.shapes: dict[str, Shape] = {}
        root = self._copy(neuron.inputs[0])
        return Tree(root, self.writers, self.inner, self.shapes)

    def _copy(self, name: str) -> str:
        if name in self.copies:
            return self.copies[name]
        node = self.network.node[name]
        if isinstance(node, Bias):  # its value reaches the neuron as a gated bias
            return self._copy(node.inputs[0])
        fresh = self._fresh(name if not isinstance(node, Input | RealNeuron) else f"{name}.copy")
        self.copies[name] = fresh
        shape = self.network.shapes[name]
        self.shapes[fresh] = shape
        if isinstance(node, Linear):
            self._write(replace(node, name=fresh), self.network.shapes[node.inputs[0]], shape)
        elif isinstance(node, Input | RealNeuron):
            one = Linear(fresh, (name,), diagonal(np.ones(()), shape))
            self._write(one, shape, shape)
        else:
            inputs = tuple(self._copy(source) for source in node.inputs)
            self._place(replace(node, name=fresh, inputs=inputs))
        return fresh

    def _write(self, node: Linear, shape: Shape, out_shape: Shape) -> None:
        grid = source_grid(self.network, node.inputs[0], self.grids)
        self.writers[node.name] = Writer(node, grid, shape, out_shape)

    def _place(self, node: RealNode) -> None:
        assert isinstance(node, Add | Pool | Index | Delay)
        self.inner[node.name] = node

    def _fresh(self, name: str) -> str:
        fresh = name if name not in self.taken else f"{name}@{self.population}"
        while fresh in self.taken:
            fresh += "'"
        self.taken.add(fresh)
        return fresh


def pull(tree: Tree, groups: IntArray) -> dict[str, IntArray] | None:
    """Group of every writer's output element, given the group of every neuron.

    None when an element reaches neurons of two groups: then those must share a grid.
    """
    low = {name: np.full(size_of(shape), np.iinfo(np.int64).max)
           for name, shape in tree.shapes.items()}  # fmt: skip
    high = {name: np.full(size_of(shape), UNREAD) for name, shape in tree.shapes.items()}
    low[tree.root], high[tree.root] = groups.reshape(-1), groups.reshape(-1)
    for name in reversed(tuple(tree.inner)):  # operands were inserted before consumers
        node = tree.inner[name]
        shapes = [tree.shapes[source] for source in node.inputs]
        for position, source in enumerate(node.inputs):
            rows, columns = _reads(node, position, shapes)
            np.minimum.at(low[source], columns, low[name][rows])
            np.maximum.at(high[source], columns, high[name][rows])
    for name in tree.writers:
        read = high[name] != UNREAD
        if (low[name][read] != high[name][read]).any():
            return None
    return {name: high[name].reshape(tree.shapes[name]) for name in tree.writers}


def _reads(node: Inner, position: int, shapes: list[Shape]) -> tuple[IntArray, IntArray]:
    """Pairs (output element, element of one operand) in which the operator reads."""
    if isinstance(node, Add | Delay):
        every = np.arange(size_of(shapes[0]))
        return every, every
    matrix = sparse.coo_array(operator_matrix(node, position, shapes))
    return matrix.row, matrix.col


def constants(network: Network, name: str) -> dict[int, RealArray]:
    """What reaches a tensor from biases: by the step from which it is there, [*shape]."""
    node = network.node[name]
    if isinstance(node, Input | RealNeuron):
        return {}
    parts = [constants(network, source) for source in node.inputs]
    result: dict[int, RealArray] = {}
    for onset in sorted({onset for part in parts for onset in part}):
        operands = [
            part.get(onset, np.zeros(network.shapes[source]))[None]
            for part, source in zip(parts, node.inputs, strict=True)
        ]
        late = node.steps if isinstance(node, Delay) else 0
        result[onset + late] = _through(node, operands)
    if isinstance(node, Bias):
        here = np.broadcast_to(node.bias, network.shapes[name]).astype(np.float64)
        result[0] = result[0] + here if 0 in result else here
    return result


def _through(node: RealNode, operands: list[RealArray]) -> RealArray:
    if isinstance(node, Linear):
        value = linear(node.weights, operands[0])
    elif isinstance(node, Pool):
        if node.op == "max":
            raise UnsupportedError(
                "a delayed bias passes a maximum", where=node.name, remedy="move the bias behind it"
            )
        value = pool(node, operands[0])
    elif isinstance(node, Index):
        value = index(node, operands)
    else:
        value = sum(operands[1:], start=operands[0])
    result: RealArray = value[0]
    return result
