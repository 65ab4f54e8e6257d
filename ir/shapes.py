"""Static shape inference, one rule per operator, for both networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from snnc.ir.arrays import Shape, check_broadcast, size_of
from snnc.ir.errors import ModelError
from snnc.ir.graph import topological_order
from snnc.ir.nodes import (
    Add,
    Bias,
    Index,
    Input,
    Linear,
    MatMul,
    Mul,
    Output,
    Pool,
    Reduce,
    Rescale,
    Scale,
    matmul_shape,
    operand_count,
)


def check_terminals(name: str, nodes: Sequence[object]) -> None:
    """A network has at least one input and one output."""
    for kind in (Input, Output):
        if not any(isinstance(node, kind) for node in nodes):
            raise ModelError(f"the network has no {kind.__name__.lower()}", where=name)


def infer_shapes(nodes: tuple[Any, ...], neuron: type[Any]) -> dict[str, Shape]:
    """Shape of every node's output.

    Neurons (``neuron`` is their class) declare their shape, so loops resolve there; a loop of
    linear operators only has no shape and no bound, and is refused by the ordering.
    """
    for node in nodes:
        low, high = operand_count(node)
        if not low <= len(node.inputs) <= high:
            raise ModelError(
                f"{type(node).__name__} takes {low} to {high} operands",
                where=node.name,
                found=len(node.inputs),
            )
    stateful = frozenset(n.name for n in nodes if isinstance(n, neuron))
    shapes = {n.name: tuple(n.shape) for n in nodes if isinstance(n, neuron)}
    for node in topological_order(nodes, stateful):
        if node.name not in shapes:
            shapes[node.name] = output_shape(node, [shapes[source] for source in node.inputs])
        if any(extent < 1 for extent in shapes[node.name]):
            raise ModelError("a tensor has no elements", where=node.name, found=shapes[node.name])
    for node in nodes:
        if isinstance(node, neuron) and shapes[node.inputs[0]] != shapes[node.name]:
            raise ModelError(
                "the population and its input disagree",
                where=node.name,
                found=f"input {shapes[node.inputs[0]]} from {node.inputs[0]}",
                allowed=f"{shapes[node.name]}",
            )
    return shapes


def output_shape(node: Any, operands: list[Shape]) -> Shape:
    """Shape of what a node makes of operands of these shapes; raises where they disagree."""
    if isinstance(node, Input):
        return tuple(node.shape)
    first = operands[0]
    if isinstance(node, Linear):
        return node.weights.output_shape(node.name, first)
    if isinstance(node, Add | Mul):
        if any(shape != first for shape in operands):
            raise ModelError("operands of different shapes", where=node.name, found=operands)
        return first
    if isinstance(node, Pool):
        return node.output_shape(first)
    if isinstance(node, Index):
        node.check(sum(size_of(shape) for shape in operands))
        return node.shape
    if isinstance(node, Reduce):
        distinct = len(set(node.axes)) == len(node.axes)
        empty = not node.axes and not node.steps
        if empty or not distinct or not all(0 <= a < len(first) for a in node.axes):
            raise ModelError("no such axes", where=node.name, found=node.axes, allowed=first)
        return tuple(1 if axis in node.axes else n for axis, n in enumerate(first))
    if isinstance(node, MatMul):
        return matmul_shape(node, first, operands[1])
    if isinstance(node, Scale | Bias):
        values = node.scale if isinstance(node, Scale) else node.bias
        check_broadcast(node.name, np.asarray(values), first)
    if isinstance(node, Rescale):
        check_broadcast(node.name, node.multiplier, first)
    return first  # Scale, Bias, Rescale, Lut, Delay, Barrier, Output keep the shape
