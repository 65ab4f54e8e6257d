"""The part of a network that belongs to one population: from its writers to its input.

Between a population and the linear operators that write to it ("writers") lie only sums, pools,
gathers, delays, maxima, changes of sign and products with spikes, which act on integers without
rounding.  Each population gets a private copy of this tree, because its writers take this
population's grid.  What is made of spikes alone is shared by all: it has no grid to choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from snnc.compiler.normalise.matrices import diagonal, operator_matrix
from snnc.ir.arrays import AnyArray, IntArray, RealArray, Shape, size_of
from snnc.ir.errors import UnsupportedError
from snnc.ir.expand import weight_matrix
from snnc.ir.network import Network, RealNode
from snnc.ir.nodes import Add, Bias, Delay, Index, Input, Linear, MatMul, Mul, Pool, Reduce
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.weights import with_values
from snnc.simulators.reference.operators import index, linear, pool, reduce

Inner = Add | Pool | Index | Delay | Reduce | Mul | MatMul | Linear
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


def shared_part(network: Network, spikes: set[str]) -> set[str]:
    """Operators on spikes alone that some weight or product reads, with all that lies below."""
    products = [n for n in network.nodes if isinstance(n, Mul | MatMul)]
    waiting = [s for n in (*network.of_type(Linear), *products) for s in n.inputs if s in spikes]
    waiting += [n.name for n in network.nodes if n.name in spikes and _is_nonlinear(n)]
    found: set[str] = set()
    while waiting:
        node = network.node[waiting.pop()]
        if node.name not in found and not isinstance(node, Input | RealNeuron):
            found.add(node.name)
            waiting.extend(node.inputs)
    return found


def _is_nonlinear(node: RealNode) -> bool:
    """Products and maxima: no weight below them acts like one behind them."""
    biggest = isinstance(node, Pool | Reduce) and node.op == "max"
    return biggest or isinstance(node, Mul | MatMul)


def source_grid(network: Network, name: str, grids: Mapping[str, float]) -> float:
    """Grid of a tensor of spikes: that of the inputs it is made of (neurons have 1).

    The grid of a product is the product of the grids.
    """
    memo: dict[str, float | None] = {}
    grid = _grid(network, name, grids, memo)
    return 1.0 if grid is None else grid


def _grid(
    network: Network, name: str, grids: Mapping[str, float], memo: dict[str, float | None]
) -> float | None:
    node = network.node[name]
    if isinstance(node, RealNeuron):
        return 1.0
    if isinstance(node, Input):
        return grids[name]
    if name not in memo:
        memo[name] = None  # a loop through a delay: the rest of it decides
        found = [_grid(network, source, grids, memo) for source in node.inputs]
        known = [grid for grid in found if grid is not None]
        if isinstance(node, Mul | MatMul):
            memo[name] = float(np.prod(known))
        else:
            if len(set(known)) > 1:
                raise UnsupportedError(
                    "tensors on different input grids meet before a weight",
                    where=name,
                    found=", ".join(f"{grid:.6g}" for grid in sorted(set(known))),
                    remedy="scale the inputs to integers before compiling, or weight them apart",
                )
            memo[name] = known[0] if known else None
    return memo[name]


class TreeBuilder:
    """Copies the tree of one population under fresh names."""

    def __init__(
        self, network: Network, grids: Mapping[str, float], spikes: set[str], taken: set[str]
    ) -> None:
        self.network, self.grids, self.spikes, self.taken = network, grids, spikes, taken

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
        leaf = isinstance(node, Input | RealNeuron) or (name in self.spikes and _is_nonlinear(node))
        fresh = self._fresh(f"{name}.copy" if leaf else name)
        self.copies[name] = fresh
        shape = self.network.shapes[name]
        self.shapes[fresh] = shape
        if leaf:
            one = Linear(fresh, (name,), diagonal(np.ones(()), shape))
            self._write(one, shape, shape)
        elif isinstance(node, Linear) and node.inputs[0] in self.spikes:
            self._write(replace(node, name=fresh), self.network.shapes[node.inputs[0]], shape)
        else:
            self._place(node, fresh)
        return fresh

    def _write(self, node: Linear, shape: Shape, out_shape: Shape) -> None:
        grid = source_grid(self.network, node.inputs[0], self.grids)
        self.writers[node.name] = Writer(node, grid, shape, out_shape)

    def _place(self, node: RealNode, fresh: str) -> None:
        """An operator on weighted sums; what else it reads (spikes) is shared."""
        if isinstance(node, Mul | MatMul):
            inputs = tuple(s if s in self.spikes else self._copy(s) for s in node.inputs)
            for source in node.inputs:
                if source in self.spikes and source_grid(self.network, source, self.grids) != 1:
                    raise UnsupportedError(
                        "a product of weighted sums with an input that is not on whole numbers",
                        where=node.name, found=f"the grid of {source}",
                        remedy="scale the input to integers before compiling",
                    )  # fmt: skip
        else:
            inputs = tuple(self._copy(source) for source in node.inputs)
        if isinstance(node, Linear):  # a change of sign
            node = replace(node, weights=with_values(node.weights, _whole(node.weights.values)))
        assert isinstance(node, Inner)
        self.inner[fresh] = replace(node, name=fresh, inputs=inputs)

    def _fresh(self, name: str) -> str:
        fresh = name if name not in self.taken else f"{name}@{self.population}"
        while fresh in self.taken:
            fresh += "'"
        self.taken.add(fresh)
        return fresh


def pull(tree: Tree, groups: IntArray) -> tuple[IntArray, dict[str, IntArray]]:
    """Groups of the neurons and of every writer's output elements.

    Neurons that read one element must share its grid: groups that meet somewhere become one.
    """
    while True:
        low, high = _reached(tree, groups)
        meet = [
            np.unique(np.stack([low[name], high[name]])[:, low[name] < high[name]], axis=1)
            for name in tree.writers
        ]
        pairs = np.concatenate(meet, axis=1)
        if not pairs.size:
            return groups, {name: high[name].reshape(tree.shapes[name]) for name in tree.writers}
        count = int(groups.max()) + 1
        graph = sparse.coo_array((np.ones(pairs.shape[1]), tuple(pairs)), shape=(count, count))
        groups = connected_components(graph, directed=False)[1].astype(np.int64)[groups]


def _reached(tree: Tree, groups: IntArray) -> tuple[dict[str, IntArray], dict[str, IntArray]]:
    """Lowest and highest group that each element of the tree reaches (``UNREAD``: none)."""
    low = {name: np.full(size_of(shape), np.iinfo(np.int64).max)
           for name, shape in tree.shapes.items()}  # fmt: skip
    high = {name: np.full(size_of(shape), UNREAD) for name, shape in tree.shapes.items()}
    low[tree.root], high[tree.root] = groups.reshape(-1), groups.reshape(-1)
    for name in reversed(tuple(tree.inner)):  # operands were inserted before consumers
        node = tree.inner[name]
        for position, source in enumerate(node.inputs):
            if source not in tree.shapes:  # spikes
                continue
            rows, columns = _reads(node, position, tree)
            np.minimum.at(low[source], columns, low[name][rows])
            np.maximum.at(high[source], columns, high[name][rows])
    return low, high


def _reads(node: Inner, position: int, tree: Tree) -> tuple[IntArray, IntArray]:
    """Pairs (output element, element of one operand) in which the operator reads."""
    shape = tree.shapes[node.inputs[position]]
    if isinstance(node, Add | Delay | Mul):
        every = np.arange(size_of(shape))
        return every, every
    if isinstance(node, MatMul):
        return _product_reads(node, position, shape, tree.shapes[node.name])
    if isinstance(node, Linear):
        matrix = sparse.coo_array(weight_matrix(node.weights, shape))
    else:
        shapes = [tree.shapes[source] for source in node.inputs]
        matrix = sparse.coo_array(operator_matrix(node, position, shapes))
    return matrix.row, matrix.col


def _product_reads(
    node: MatMul, position: int, shape: Shape, out: Shape
) -> tuple[IntArray, IntArray]:
    """Row r of the product reads row r of the left operand, column c column c of the right."""
    mine = np.arange(size_of(shape)).reshape(shape)
    if (node.transpose_a, node.transpose_b)[position]:
        mine = mine.swapaxes(-1, -2)
    target = np.arange(size_of(out)).reshape(out)
    if position == 0:
        pairs = np.broadcast_arrays(target[..., :, :, None], mine[..., :, None, :])
    else:
        pairs = np.broadcast_arrays(target[..., None, :, :], mine[..., :, None, :])
    return pairs[0].reshape(-1), pairs[1].reshape(-1)


def _whole(values: AnyArray) -> IntArray:
    result: IntArray = np.rint(values).astype(np.int64)
    return result


def constants(
    network: Network, name: str, memo: dict[str, dict[int, RealArray]] | None = None
) -> dict[int, RealArray]:
    """What reaches a tensor from biases: by the step from which it is there, [*shape]."""
    memo = {} if memo is None else memo
    if name not in memo:
        memo[name] = _constants(network, name, memo)
    return memo[name]


def _constants(
    network: Network, name: str, memo: dict[str, dict[int, RealArray]]
) -> dict[int, RealArray]:
    node = network.node[name]
    if isinstance(node, Input | RealNeuron):
        return {}
    parts = [constants(network, source, memo) for source in node.inputs]
    result: dict[int, RealArray] = {}
    for onset in sorted({onset for part in parts for onset in part}):
        operands = [
            part.get(onset, np.zeros(network.shapes[source]))[None]
            for part, source in zip(parts, node.inputs, strict=True)
        ]
        value = _through(node, operands)
        if isinstance(node, Reduce) and node.steps:  # every step sees those from the onset on
            value = value * max(node.steps - onset, 0)
            result[0] = result[0] + value if 0 in result else value
        else:
            result[onset + (node.steps if isinstance(node, Delay) else 0)] = value
    if isinstance(node, Bias):
        here = np.broadcast_to(node.bias, network.shapes[name]).astype(np.float64)
        result[0] = result[0] + here if 0 in result else here
    return result


def _through(node: RealNode, operands: list[RealArray]) -> RealArray:
    if _is_nonlinear(node):
        raise UnsupportedError(
            "a delayed bias passes a maximum or a product",
            where=node.name,
            remedy="move the bias behind it",
        )
    if isinstance(node, Linear):
        value = linear(node.weights, operands[0])
    elif isinstance(node, Pool):
        value = pool(node, operands[0])
    elif isinstance(node, Reduce):
        value = reduce(node, operands[0])
    elif isinstance(node, Index):
        value = index(node, operands)
    else:
        value = sum(operands[1:], start=operands[0])
    result: RealArray = value[0]
    return result
