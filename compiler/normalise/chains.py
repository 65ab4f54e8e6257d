"""Two linear operators in a row become one: a core multiplies once between two spikes."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from snnc.compiler.normalise.builder import event_only
from snnc.compiler.normalise.matrices import operator_matrix, to_sparse
from snnc.compiler.normalise.recognise import convolution_of
from snnc.ir.arrays import Shape, size_of
from snnc.ir.errors import UnsupportedError
from snnc.ir.expand import weight_matrix
from snnc.ir.network import Network, RealNode
from snnc.ir.nodes import Add, Bias, Delay, Index, Input, Linear, MatMul, Mul, Pool, Reduce
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.weights import Dense, Weights

DELAY, WHOLE = "delay", "over_time"
Path = tuple[tuple[str, int], ...]
"""Operators over time between a source and a sum, nearest to the source first: delays and sums of
all steps (``DELAY`` or ``WHOLE``, and how many steps)."""
Terms = dict[tuple[str, Path], sparse.csr_array]


def merge_chains(network: Network) -> Network:
    """Replace every linear operator that reads another one by their product.

    Raises:
        UnsupportedError: a delayed bias lies between the two, or something that is not linear
            (a change of sign may follow a maximum).
    """
    nodes: list[RealNode] = []
    for node in network.nodes:
        if isinstance(node, Linear) and _reads_linear(network, node):
            nodes.extend(_merged(network, node))
        else:
            nodes.append(node)
    merged = Network(network.name, tuple(nodes), network.assumptions)
    spikes = event_only(merged)
    for linear in merged.of_type(Linear):
        if linear.inputs[0] not in spikes and (np.abs(linear.weights.values) != 1).any():
            raise UnsupportedError(
                "weights behind a maximum or a product of weighted sums: two weight grids in a row",
                where=linear.name,
                found=f"it reads {linear.inputs[0]}",
                remedy="put a neuron between the two",
            )
    return merged


def _reads_linear(network: Network, node: Linear) -> bool:
    seen: set[str] = set()
    waiting = list(node.inputs)
    while waiting:
        source = network.node[waiting.pop()]
        if isinstance(source, Linear):
            return True
        if source.name not in seen and not _is_origin(source):
            seen.add(source.name)
            waiting.extend(source.inputs)
    return False


def _is_origin(node: RealNode) -> bool:
    """Where a chain begins: spikes, products, and maxima are not linear in what they read."""
    biggest = isinstance(node, Pool | Reduce) and node.op == "max"
    return biggest or isinstance(node, Input | RealNeuron | Mul | MatMul)


def _merged(network: Network, node: Linear) -> list[RealNode]:
    terms = sorted(_terms(network, node.name).items())
    shape = network.shapes[node.name]
    nodes: list[RealNode] = []
    last: list[str] = []
    for position, ((source, path), matrix) in enumerate(terms):
        name = node.name if len(terms) == 1 and not path else f"{node.name}.{position}"
        weights = _weights(sparse.csr_array(matrix), network.shapes[source], shape)
        nodes.append(Linear(name, (source,), weights))
        for kind, steps in path:
            before, name = name, f"{name}.{kind}"
            late = Delay(name, (before,), steps)
            nodes.append(late if kind == DELAY else Reduce(name, (before,), "sum", (), steps))
        last.append(name)
    if last != [node.name]:
        nodes.append(Add(node.name, tuple(last)))
    return nodes


def _weights(matrix: sparse.csr_array, before: Shape, after: Shape) -> Weights:
    """The matrix in its most compact form."""
    if len(before) == len(after) == 1:
        return Dense(matrix.toarray())
    return convolution_of(matrix, before, after) or to_sparse(matrix, after)


def _terms(network: Network, name: str) -> Terms:
    """Matrices [elements of ``name``, elements of source] by source and path over time."""
    node = network.node[name]
    size = size_of(network.shapes[name])
    if _is_origin(node):
        return {(name, ()): sparse.eye_array(size, format="csr")}
    if isinstance(node, Bias):
        raise UnsupportedError(
            "a bias before a delay lies between two linear operators",
            where=name,
            remedy="put a neuron between them, or the bias behind the delay (--loop-delay)",
        )
    result: Terms = {}
    shapes = [network.shapes[s] for s in node.inputs]
    for position, source in enumerate(node.inputs):
        for (origin, path), inner in _terms(network, source).items():
            product = inner
            if isinstance(node, Linear):
                product = weight_matrix(node.weights, shapes[0]) @ inner
            elif isinstance(node, Pool | Index | Reduce):
                product = operator_matrix(node, position, shapes) @ inner
            key = (origin, _longer(path, node))
            result[key] = product if key not in result else result[key] + product
    return result


def _longer(path: Path, node: RealNode) -> Path:
    """The path with what a node does over time behind it; adjacent delays are one."""
    if isinstance(node, Delay):
        if path and path[-1][0] == DELAY:
            return (*path[:-1], (DELAY, path[-1][1] + node.steps))
        return (*path, (DELAY, node.steps))
    if isinstance(node, Reduce) and node.steps:
        return (*path, (WHOLE, node.steps))
    return path
