"""Operators with scales and zero points of their own, made of the parts of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from snnc.compiler.frontends.onnx.graph import OnnxNode
from snnc.compiler.frontends.onnx.pools import Windows, global_window, pool_window
from snnc.compiler.frontends.onnx.quantized.build import Builder, Value
from snnc.compiler.frontends.onnx.quantized.elementwise import ELEMENTWISE
from snnc.compiler.frontends.onnx.quantized.operators import Rule, joined, transposed
from snnc.compiler.frontends.onnx.quantized.quantizers import (
    dequantize,
    dequantized_constant,
    limits,
    parameters,
    scalar,
    to_integers,
)
from snnc.compiler.frontends.onnx.quantized.sums import (
    add,
    added_integers,
    average,
    convolve,
    multiply,
)
from snnc.compiler.frontends.onnx.quantized.values import ONE, Constant, Pair, Tensor
from snnc.ir.errors import ModelError, UnsupportedError


def _entering(builder: Builder, node: OnnxNode, first: int) -> Tensor:
    """An operand x, scale, zero point as real data."""
    x = builder.data(node, first)
    scale, zero, _ = parameters(builder, node, first + 1, first + 2, (1, *x.shape))
    return dequantize(node, x, scale, scalar(node, zero))


def _weight(builder: Builder, node: OnnxNode, first: int, axis: int) -> Constant:
    stored = builder.constant(node, first, "weight")
    if stored.values.dtype.kind not in "iu":
        raise ModelError("integer weights are required", where=node.where(),
                         found=stored.values.dtype)  # fmt: skip
    shape, kind = stored.values.shape, stored.values.dtype.type
    scale, zero, _ = parameters(builder, node, first + 1, first + 2, shape, kind, axis=axis)
    return dequantized_constant(stored, scale, zero)


def _leaving(builder: Builder, node: OnnxNode, x: Tensor | Pair, first: int) -> Tensor:
    """Data as integers of the scale and zero point at ``first``."""
    scale, zero, kind = parameters(builder, node, first, first + 1, (1, *x.shape), axis=1)
    return to_integers(builder, node, x, scale, scalar(node, zero), *limits(kind, node))


def _integer_bias(builder: Builder, node: OnnxNode, position: int, x: Tensor) -> Tensor:
    if not node.has_input(position):
        return x
    bias = builder.constant(node, position, "bias").values
    if bias.dtype.kind not in "iu" or bias.size != x.shape[0]:
        raise ModelError("one integer per channel is required", where=node.where(),
                         found=f"{bias.dtype} {bias.shape}")  # fmt: skip
    return added_integers(x, bias.astype(np.int64))


def _qlinear_conv(builder: Builder, node: OnnxNode) -> Value:
    weight = _weight(builder, node, 3, 0)
    total = convolve(builder, node, _entering(builder, node, 0), weight, None)
    return _leaving(builder, node, _integer_bias(builder, node, 8, total), 6)


def _qlinear_matmul(builder: Builder, node: OnnxNode) -> Value:
    weight = transposed(_weight(builder, node, 3, 1))
    total = multiply(builder, node, _entering(builder, node, 0), weight, None)
    return _leaving(builder, node, total, 6)


def _qgemm(builder: Builder, node: OnnxNode) -> Value:
    if node.integer("transA", 0):
        raise UnsupportedError("a product with the transposed batch", where=node.where("transA"))
    across = bool(node.integer("transB", 0))
    weight = _weight(builder, node, 3, 0 if across else 1)
    weight = weight if across else transposed(weight)
    alpha = node.real("alpha", 1.0)
    total = multiply(builder, node, _entering(builder, node, 0), weight, None, alpha)
    total = _integer_bias(builder, node, 6, total)
    return _leaving(builder, node, total, 7) if node.has_input(7) else total


def _conv_integer(builder: Builder, node: OnnxNode) -> Value:
    return _integer_product(builder, node, matrix=False)


def _matmul_integer(builder: Builder, node: OnnxNode) -> Value:
    return _integer_product(builder, node, matrix=True)


def _integer_product(builder: Builder, node: OnnxNode, *, matrix: bool) -> Value:
    """Products of x - x_zero and w - w_zero; the scale follows as a factor in the graph."""
    x, stored = builder.data(node), builder.constant(node, 1, "weight")
    zeros = [
        np.asarray(builder.constant(node, k, "zero point").values, np.int64)
        if node.has_input(k) else np.zeros((), np.int64)
        for k in (2, 3)
    ]  # fmt: skip
    if stored.values.dtype.kind not in "iu":
        raise ModelError("integer weights are required", where=node.where())
    axis = stored.values.ndim - 1 if matrix else 0
    along = [1] * stored.values.ndim
    along[axis] = -1
    zero = zeros[1].reshape(along) if zeros[1].size > 1 else zeros[1].reshape(())
    weight = dequantized_constant(stored, ONE, zero)
    real = dequantize(node, x, ONE, scalar(node, zeros[0]))
    if matrix:
        return multiply(builder, node, real, transposed(weight), None)
    return convolve(builder, node, real, weight, None)


def _qlinear_add(builder: Builder, node: OnnxNode) -> Value:
    total = add(builder, node, _entering(builder, node, 0), _entering(builder, node, 3))
    assert not isinstance(total, Constant)
    return _leaving(builder, node, total, 6)


def _qlinear_pool(window: Windows) -> Rule:
    def rule(builder: Builder, node: OnnxNode) -> Value:
        if node.integer("channels_last", 0):
            raise UnsupportedError("channels behind the axes", where=node.where("channels_last"))
        x = _entering(builder, node, 0)
        return _leaving(builder, node, average(builder, node, x, *window(node, x.shape)), 3)

    return rule


def _qlinear_concat(builder: Builder, node: OnnxNode) -> Value:
    """y_scale, y_zero_point, then (x, scale, zero point) of every part."""
    parts = [_entering(builder, node, k) for k in range(2, len(node.inputs), 3)]
    found = [_leaving(builder, node, part, 0) for part in parts]
    only = replace(node, op="Concat", inputs=tuple(node.inputs[2::3]))
    return joined(builder, only, found)


def _qlinear_activation(op: str) -> Rule:
    def rule(builder: Builder, node: OnnxNode) -> Value:
        stored = builder.values[node.inputs[0]]
        builder.values[node.inputs[0]] = _entering(builder, node, 0)
        result = ELEMENTWISE[op](builder, replace(node, op=op, domain=""))
        builder.values[node.inputs[0]] = stored
        assert isinstance(result, Tensor)
        return _leaving(builder, node, result, 3)

    return rule


QOPERATORS: Mapping[str, Rule] = {
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
    "ConvInteger": _conv_integer,
    "MatMulInteger": _matmul_integer,
}
MICROSOFT: Mapping[str, Rule] = {
    "QGemm": _qgemm,
    "QLinearAdd": _qlinear_add,
    "QLinearAveragePool": _qlinear_pool(pool_window),
    "QLinearGlobalAveragePool": _qlinear_pool(global_window),
    "QLinearConcat": _qlinear_concat,
    "QLinearSigmoid": _qlinear_activation("Sigmoid"),
    "QLinearLeakyRelu": _qlinear_activation("LeakyRelu"),
}
