"""What flows into a population or operator: one linear term per source and logical delay.

Sources are inputs, populations, and the operators that are not linear.  A term that is one layer
of synapses keeps its weights; any other composition of linear operators becomes a sparse matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from snnc.ir.arrays import Shape, size_of
from snnc.ir.expand import operator_matrix
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, Pool
from snnc.ir.weights import Conv, Weights

Key = tuple[str, int]


@dataclass(frozen=True, eq=False)
class Term:
    """``matrix @ source``, either as the operators of one path or as their product."""

    path: tuple[tuple[IntegerNode, int], ...] = ()
    product: Any = None

    def then(self, network: IntegerNetwork, node: IntegerNode, position: int) -> Term:
        """The term behind one more operator."""
        if self.product is None:
            return Term((*self.path, (node, position)))
        matrix = operator_matrix(node, position, [network.shapes[s] for s in node.inputs])
        return self if matrix is None else Term(product=matrix @ self.product)

    def matrix(self, network: IntegerNetwork, source: str) -> Any:
        """[outputs, elements of the source], int64, in compressed rows."""
        if self.product is not None:
            return self.product
        size = size_of(network.shapes[source])
        result = sparse.csr_array(sparse.eye_array(size, dtype=np.int64, format="csr"))
        for node, position in self.path:
            matrix = operator_matrix(node, position, [network.shapes[s] for s in node.inputs])
            result = result if matrix is None else matrix @ result
        return result

    def layer(self, network: IntegerNetwork, size: int) -> tuple[Weights, Shape] | None:
        """Weights and input shape where the path is one layer of synapses, else None.

        No operator at all is a convolution with one tap.
        """
        acting = [(n, p) for n, p in self.path if not _keeps_order(n)]
        if self.product is not None or len(acting) > 1:
            return None
        if not acting:
            return Conv(np.ones((1, 1, 1), np.int64), (1,), ((0, 0),), (1,)), (1, size)
        node, position = acting[0]
        shape = network.shapes[node.inputs[position]]
        if isinstance(node, Linear):
            return node.weights, shape
        if isinstance(node, Pool):
            ones = np.ones((shape[0], 1, *node.kernel), np.int64)
            once = (1,) * len(node.kernel)
            return Conv(ones, node.stride, node.padding, once, shape[0]), shape
        return None


def is_source(node: IntegerNode) -> bool:
    """Whether terms begin at this node."""
    linear = (Linear, Add, Index, Delay)
    return not isinstance(node, linear) and not (isinstance(node, Pool) and node.op == "sum")


def terms(network: IntegerNetwork, name: str) -> dict[Key, Term]:
    """The tensor ``name`` as a sum of terms by (source, logical delay)."""
    known: dict[str, dict[Key, Term]] = {}

    def visit(at: str) -> dict[Key, Term]:
        node = network.node[at]
        if isinstance(node, Input | Neuron) or is_source(node):
            return {(at, 0): Term()}
        if at not in known:
            known[at] = combine(node)
        return known[at]

    def combine(node: IntegerNode) -> dict[Key, Term]:
        result: dict[Key, Term] = {}
        late = node.steps if isinstance(node, Delay) else 0
        for position, operand in enumerate(node.inputs):
            for (source, delay), inner in visit(operand).items():
                key, term = (source, delay + late), inner.then(network, node, position)
                if key in result:
                    both = (result[key].matrix(network, source), term.matrix(network, source))
                    term = Term(product=both[0] + both[1])
                result[key] = term
        return result

    return visit(name)


def _keeps_order(node: IntegerNode) -> bool:
    """Operators that are the identity on the flattened tensor."""
    if isinstance(node, Index):
        return node.index is None and len(node.inputs) == 1
    return isinstance(node, Add | Delay)
