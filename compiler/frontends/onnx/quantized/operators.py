"""Operators in floating point between DequantizeLinear and QuantizeLinear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx.fold import fold
from snnc.compiler.frontends.onnx.graph import OnnxNode
from snnc.compiler.frontends.onnx.moving import MOVING
from snnc.compiler.frontends.onnx.pools import check_spatial_mean, global_window, pool_window
from snnc.compiler.frontends.onnx.quantized.build import Builder, Value
from snnc.compiler.frontends.onnx.quantized.sums import (
    average,
    convolve,
    largest,
    multiply,
)
from snnc.compiler.frontends.onnx.quantized.values import Constant, Pair, Tensor
from snnc.ir.errors import UnsupportedError

Rule = Callable[[Builder, OnnxNode], Value]


def _bias(builder: Builder, node: OnnxNode, position: int) -> Constant | None:
    return builder.constant(node, position, "bias") if node.has_input(position) else None


def _conv(builder: Builder, node: OnnxNode) -> Value:
    weight = builder.constant(node, 1, "weight")
    return convolve(builder, node, builder.data(node), weight, _bias(builder, node, 2))


def transposed(matrix: Constant) -> Constant:
    """The matrix with its axes exchanged."""
    return matrix.moved(np.transpose)


def _gemm(builder: Builder, node: OnnxNode) -> Value:
    if node.integer("transA", 0) or (node.has_input(2) and node.real("beta", 1.0) != 1.0):
        raise UnsupportedError("a transposed batch, or a scaled bias", where=node.where())
    weight = builder.constant(node, 1, "weight")
    weight = weight if node.integer("transB", 0) else transposed(weight)
    alpha = node.real("alpha", 1.0)
    return multiply(builder, node, builder.data(node), weight, _bias(builder, node, 2), alpha)


def _matmul(builder: Builder, node: OnnxNode) -> Value:
    weight = transposed(builder.constant(node, 1, "weight"))
    return multiply(builder, node, builder.data(node), weight, None)


def _average_pool(builder: Builder, node: OnnxNode) -> Value:
    x = builder.data(node)
    return average(builder, node, x, *pool_window(node, x.shape))


def _global_average(builder: Builder, node: OnnxNode) -> Value:
    x = builder.data(node)
    return average(builder, node, x, *global_window(node, x.shape))


def _reduce_mean(builder: Builder, node: OnnxNode) -> Value:
    """A mean over all spatial axes is a global average pool."""
    x = builder.data(node)
    check_spatial_mean(builder.graph, node, x.shape)
    result = average(builder, node, x, *global_window(node, x.shape))
    if node.integer("keepdims", 1):
        return result
    name = builder.wiring.index(f"{node.name}.flat", (result.source,), x.shape[:1])
    builder.ranges[name] = builder.ranges[result.source]
    return replace(result, source=name, shape=x.shape[:1])


def _max_pool(builder: Builder, node: OnnxNode) -> Value:
    x = builder.data(node)
    return largest(builder, node, x, *pool_window(node, x.shape))


def _global_max(builder: Builder, node: OnnxNode) -> Value:
    x = builder.data(node)
    return largest(builder, node, x, *global_window(node, x.shape))


def _same(builder: Builder, node: OnnxNode) -> Value:
    return builder.value(node)


def _moved(builder: Builder, node: OnnxNode) -> Value:
    value = builder.value(node)
    if isinstance(value, Constant):
        others = [builder.graph.constants.get(name) for name in node.inputs[1:]]
        return value.moved(lambda array: _folded(node, array, others))
    if isinstance(value, Pair):
        raise UnsupportedError("a sum of two grids is moved before it is quantized",
                               where=node.where())  # fmt: skip
    return builder.move(node, value)


def _folded(node: OnnxNode, array: Any, others: list[Any]) -> Any:
    result = fold(node, [array, *others])
    if result is None:
        raise UnsupportedError("an operator on weights that is not known", where=node.where())
    return result


def _concat(builder: Builder, node: OnnxNode) -> Value:
    return joined(builder, node, [builder.data(node, k) for k in range(len(node.inputs))])


def joined(builder: Builder, node: OnnxNode, parts: list[Tensor]) -> Tensor:
    """Quantized tensors of one grid side by side."""
    grids = {(float(p.grid.reshape(-1)[0]), p.level and (p.level.zero, p.form)) for p in parts}
    same = all(p.level is not None and p.grid.size == 1 for p in parts) and len(grids) == 1
    if not same:
        raise UnsupportedError(
            "tensors of different grids side by side",
            where=node.where(),
            found=f"{len(grids)} grids",
            remedy="quantize the operands of a Concat to one scale and zero point",
        )
    return builder.move_all(node, tuple(parts))


FLOATING: Mapping[str, Rule] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average,
    "ReduceMean": _reduce_mean,
    "MaxPool": _max_pool,
    "GlobalMaxPool": _global_max,
    "Identity": _same,
    "Dropout": _same,
    "Cast": _same,
    "Concat": _concat,
}
FLOATING_MOVES: Mapping[str, Rule] = {op: _moved for op in MOVING if op not in FLOATING}
