"""Interval analysis: what every element of an integer tensor can be at most and at least."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnc.compiler.normalise.matrices import per_channel
from snnc.ir.arrays import IntArray, Shape
from snnc.ir.integer_network import IntegerNode
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Barrier, Delay, Input, Linear, Lut, MatMul, Mul, Reduce, Rescale
from snnc.ir.types import ValueType
from snnc.ir.weights import Conv, with_values
from snnc.simulators.reference.operators import apply, convolution, linear

Interval = tuple[IntArray, IntArray]


def interval(
    nodes: Mapping[str, IntegerNode],
    name: str,
    types: Mapping[str, ValueType],
    memo: dict[str, Interval] | None = None,
) -> Interval:
    """Per-element (low, high) of a tensor made by linear and monotone operators and products.

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
    if isinstance(node, Delay | Barrier):  # silent steps
        return np.minimum(lows[0], 0), np.maximum(highs[0], 0)
    if isinstance(node, Lut):  # need not be monotone
        least, most = int(node.table.min()), int(node.table.max())
        return np.full_like(lows[0], least), np.full_like(highs[0], most)
    if isinstance(node, Mul | MatMul):
        return _product(node, parts[0], parts[1])
    ends = _apply(node, lows), _apply(node, highs)
    if isinstance(node, Rescale):  # a negative multiplier turns around
        return np.minimum(*ends), np.maximum(*ends)
    if isinstance(node, Reduce) and node.steps and node.op == "sum":
        return node.steps * ends[0], node.steps * ends[1]
    return ends


def _linear(node: Linear, low: IntArray, high: IntArray) -> Interval:
    if isinstance(node.weights, Conv):
        ends = [per_channel(low, low.shape), per_channel(high, high.shape)]
        if ends[0] is not None and ends[1] is not None:
            return _even_convolution(node.weights, low.shape, ends[0], ends[1])
    positive = with_values(node.weights, np.maximum(node.weights.values, 0))
    negative = with_values(node.weights, np.minimum(node.weights.values, 0))
    below: Any = linear(positive, low[None]) + linear(negative, high[None])
    above: Any = linear(positive, high[None]) + linear(negative, low[None])
    return below[0], above[0]


def _even_convolution(conv: Conv, shape: Shape, low: IntArray, high: IntArray) -> Interval:
    """Interval of a convolution whose input has one interval per channel, as spikes do.

    Every kernel tap then adds one number per output channel wherever it lies inside the image.
    """
    out = conv.output_shape("conv", shape)
    channels, per_group = conv.values.shape[:2]
    kernel = conv.values.reshape(channels, per_group, -1)
    first = np.arange(channels) // (channels // conv.groups) * per_group
    source = first[:, None] + np.arange(per_group)
    below, above = (end[source][..., None] for end in (low, high))
    positive, negative = np.maximum(kernel, 0), np.minimum(kernel, 0)
    # One channel of ones, one output channel per tap: which taps count at which position.
    taps = kernel.shape[2]
    picks = np.eye(taps, dtype=np.int64).reshape(taps, 1, *conv.kernel)
    one = Conv(picks, conv.stride, conv.padding, conv.dilation)
    inside = convolution(one, np.ones((1, 1, *shape[1:]), np.int64))[0].reshape(taps, -1)
    least = (positive * below + negative * above).sum(axis=1) @ inside
    most = (positive * above + negative * below).sum(axis=1) @ inside
    return least.reshape(out), most.reshape(out)


def _product(node: Mul | MatMul, a: Interval, b: Interval) -> Interval:
    """Ends of a product: each term's, from the ends of its factors (Moore, 1966).

    Splitting factors by sign, a sum of terms is largest where every term is.
    """
    if isinstance(node, Mul):
        corners = [x * y for x in a for y in b]
        return np.minimum.reduce(corners), np.maximum.reduce(corners)
    if (b[0] >= 0).all() and (a[0] < 0).any():  # the rule below wants the other order
        turned = MatMul(node.name, node.inputs, not node.transpose_b, not node.transpose_a)
        low, high = _product(turned, b, a)
        return low.swapaxes(-1, -2), high.swapaxes(-1, -2)
    if (a[0] >= 0).all():
        above = _apply(node, [a[1], np.maximum(b[1], 0)]) + _apply(
            node, [a[0], np.minimum(b[1], 0)]
        )
        below = _apply(node, [a[1], np.minimum(b[0], 0)]) + _apply(
            node, [a[0], np.maximum(b[0], 0)]
        )
        return below, above
    most = _apply(node, [np.maximum(np.abs(x), np.abs(y)) for x, y in (a, b)])
    return -most, most


def _apply(node: IntegerNode, operands: list[IntArray]) -> IntArray:
    result: IntArray = apply(node, [operand[None] for operand in operands])[0]
    return result
