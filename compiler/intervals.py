"""Interval analysis: what every element of an integer tensor can be at most and at least."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.integer_network import IntegerNode
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Delay, Input, Linear
from snnc.ir.types import ValueType
from snnc.ir.weights import with_values
from snnc.simulators.reference.operators import apply, linear

Interval = tuple[IntArray, IntArray]


def interval(
    nodes: Mapping[str, IntegerNode],
    name: str,
    types: Mapping[str, ValueType],
    memo: dict[str, Interval] | None = None,
) -> Interval:
    """Exact per-element (low, high) of a tensor made by linear and monotone operators.

    Each bound is attained by some input, because every element is a sum of independent terms
    or an upper estimate where a term reaches an element on two ways.

    Args:
        nodes: nodes by name; inputs and neurons among them end the walk.
        name: the tensor.
        types: value types of the inputs and neurons.
        memo: results of earlier calls on the same nodes.
    """
    memo = {} if memo is None else memo
    if name not in memo:
        memo[name] = _interval(nodes, nodes[name], types, memo)
    return memo[name]


def _interval(
    nodes: Mapping[str, IntegerNode],
    node: IntegerNode,
    types: Mapping[str, ValueType],
    memo: dict[str, Interval],
) -> Interval:
    if isinstance(node, Input | Neuron):
        kind = types[node.name]
        return np.full(node.shape, kind.low, np.int64), np.full(node.shape, kind.high, np.int64)
    parts = [interval(nodes, source, types, memo) for source in node.inputs]
    lows, highs = [low for low, _ in parts], [high for _, high in parts]
    if isinstance(node, Linear):
        return _linear(node, lows[0], highs[0])
    if isinstance(node, Delay):  # nothing has arrived in the first steps
        return np.minimum(lows[0], 0), np.maximum(highs[0], 0)
    return _apply(node, lows), _apply(node, highs)


def _linear(node: Linear, low: IntArray, high: IntArray) -> Interval:
    positive = with_values(node.weights, np.maximum(node.weights.values, 0))
    negative = with_values(node.weights, np.minimum(node.weights.values, 0))
    below: Any = linear(positive, low[None]) + linear(negative, high[None])
    above: Any = linear(positive, high[None]) + linear(negative, low[None])
    return below[0], above[0]


def _apply(node: IntegerNode, operands: list[IntArray]) -> IntArray:
    result: IntArray = apply(node, [operand[None] for operand in operands])[0]
    return result
