"""Chains of two matrix products in the cheaper order; integers make the orders equal."""

from __future__ import annotations

from dataclasses import replace

from snnc.ir.arrays import size_of
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.nodes import MatMul, matmul_shape


def associate(network: IntegerNetwork) -> IntegerNetwork:
    """``a (b c)`` becomes ``(a b) c``, or the other way round, where that takes fewer products.

    Only chains whose inner product nobody else reads.  Of Q (K^T V) and (Q K^T) V, with n tokens
    and d channels, the first takes 2 n d^2 elementary products and the second 2 n^2 d.
    """
    readers: dict[str, int] = {}
    for node in network.nodes:
        for source in node.inputs:
            readers[source] = readers.get(source, 0) + 1
    changed: dict[str, IntegerNode] = {}
    for node in network.of_type(MatMul):
        for position in (0, 1):
            inner = network.node[node.inputs[position]]
            if not isinstance(inner, MatMul) or readers[inner.name] != 1 or inner.name in changed:
                continue
            turned = _turned(network, node, inner, position)
            if turned and node.name not in changed:
                changed |= {new.name: new for new in turned}
    if not changed:
        return network
    nodes = tuple(changed.get(node.name, node) for node in network.nodes)
    return IntegerNetwork(network.name, nodes, network.assumptions)


def _turned(
    network: IntegerNetwork, outer: MatMul, inner: MatMul, position: int
) -> tuple[MatMul, MatMul] | None:
    """(new inner, new outer), under the old names, if they are cheaper.

    With factors as they enter: position 1 is ``a (b c)``, a transposed inner product being
    ``(b c)^T = c^T b^T``.
    """
    first, second = inner.inputs
    flip_first, flip_second = inner.transpose_a, inner.transpose_b
    if outer.transpose_b if position else outer.transpose_a:
        first, second = second, first
        flip_first, flip_second = not flip_second, not flip_first
    if position:
        a, flip_a = outer.inputs[0], outer.transpose_a
        new_inner = MatMul(inner.name, (a, first), flip_a, flip_first)
        new_outer = replace(
            outer, inputs=(inner.name, second), transpose_a=False, transpose_b=flip_second
        )
    else:
        c, flip_c = outer.inputs[1], outer.transpose_b
        new_inner = MatMul(inner.name, (second, c), flip_second, flip_c)
        new_outer = replace(
            outer, inputs=(first, inner.name), transpose_a=flip_first, transpose_b=False
        )
    if not any(network.types[s].is_event for s in new_inner.inputs) or not (
        network.types[second if position else first].is_event
    ):
        return None
    shapes = dict(network.shapes)
    before = _products(shapes, inner) + _products(shapes, outer)
    shapes[inner.name] = _shape(shapes, new_inner)
    after = _products(shapes, new_inner) + _products(shapes, new_outer)
    return (new_inner, new_outer) if after < before else None


def _products(shapes: dict[str, tuple[int, ...]], node: MatMul) -> int:
    inner = shapes[node.inputs[0]][-2 if node.transpose_a else -1]
    return size_of(_shape(shapes, node)) * inner


def _shape(shapes: dict[str, tuple[int, ...]], node: MatMul) -> tuple[int, ...]:
    return matmul_shape(node, shapes[node.inputs[0]], shapes[node.inputs[1]])
