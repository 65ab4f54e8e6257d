"""Every operator of a quantized graph; those with grids of their own are made of parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx.fold import fold
from snnc.compiler.frontends.onnx.graph import OnnxNode
from snnc.compiler.frontends.onnx.kinds import QONNX_DOMAINS
from snnc.compiler.frontends.onnx.moving import MOVING
from snnc.compiler.frontends.onnx.quantized.build import Builder, Value
from snnc.compiler.frontends.onnx.quantized.elementwise import ELEMENTWISE
from snnc.compiler.frontends.onnx.quantized.quantizers import (
    ONNX,
    QONNX,
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
    everything,
    largest,
    multiply,
    pool_window,
)
from snnc.compiler.frontends.onnx.quantized.values import ONE, Constant, Pair, Tensor
from snnc.compiler.frontends.onnx.wiring import axis_of
from snnc.ir.arrays import Shape
from snnc.ir.errors import ModelError, UnsupportedError

Rule = Callable[[Builder, OnnxNode], Value]


# -- in floating point between DequantizeLinear and QuantizeLinear -------------------------------


def _bias(builder: Builder, node: OnnxNode, position: int) -> Constant | None:
    return builder.constant(node, position, "bias") if node.has_input(position) else None


def _conv(builder: Builder, node: OnnxNode) -> Value:
    weight = builder.constant(node, 1, "weight")
    return convolve(builder, node, builder.data(node), weight, _bias(builder, node, 2))


def _transposed(matrix: Constant) -> Constant:
    return matrix.moved(np.transpose)


def _gemm(builder: Builder, node: OnnxNode) -> Value:
    if node.integer("transA", 0) or (node.has_input(2) and node.real("beta", 1.0) != 1.0):
        raise UnsupportedError("a transposed batch, or a scaled bias", where=node.where())
    weight = builder.constant(node, 1, "weight")
    weight = weight if node.integer("transB", 0) else _transposed(weight)
    alpha = node.real("alpha", 1.0)
    return multiply(builder, node, builder.data(node), weight, _bias(builder, node, 2), alpha)


def _matmul(builder: Builder, node: OnnxNode) -> Value:
    weight = _transposed(builder.constant(node, 1, "weight"))
    return multiply(builder, node, builder.data(node), weight, None)


def _average_pool(builder: Builder, node: OnnxNode) -> Value:
    x = builder.data(node)
    return average(builder, node, x, *pool_window(node, x.shape))


def _global_average(builder: Builder, node: OnnxNode) -> Value:
    x = builder.data(node)
    return average(builder, node, x, *everything(node, x.shape))


def _reduce_mean(builder: Builder, node: OnnxNode) -> Value:
    """A mean over all spatial axes is a global average pool."""
    x = builder.data(node)
    graph = builder.graph
    axes = graph.integers(node, 1, "axes") if node.has_input(1) else node.integers("axes")
    if sorted(axis_of(node, a, x.shape) for a in axes) != list(range(1, len(x.shape))):
        raise UnsupportedError(
            "a mean over other than all spatial axes", where=node.where(), found=f"axes {axes}"
        )
    result = average(builder, node, x, *everything(node, x.shape))
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
    return largest(builder, node, x, *everything(node, x.shape))


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
    return _joined(builder, node, [builder.data(node, k) for k in range(len(node.inputs))])


def _joined(builder: Builder, node: OnnxNode, parts: list[Tensor]) -> Tensor:
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


# -- operators with grids of their own -----------------------------------------------------------


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
    weight = _transposed(_weight(builder, node, 3, 1))
    total = multiply(builder, node, _entering(builder, node, 0), weight, None)
    return _leaving(builder, node, total, 6)


def _qgemm(builder: Builder, node: OnnxNode) -> Value:
    if node.integer("transA", 0):
        raise UnsupportedError("a product with the transposed batch", where=node.where("transA"))
    across = bool(node.integer("transB", 0))
    weight = _weight(builder, node, 3, 0 if across else 1)
    weight = weight if across else _transposed(weight)
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
        return multiply(builder, node, real, _transposed(weight), None)
    return convolve(builder, node, real, weight, None)


def _qlinear_add(builder: Builder, node: OnnxNode) -> Value:
    total = add(builder, node, _entering(builder, node, 0), _entering(builder, node, 3))
    assert not isinstance(total, Constant)
    return _leaving(builder, node, total, 6)


def _qlinear_pool(window: Callable[[OnnxNode, Shape], Any]) -> Rule:
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
    return _joined(builder, only, found)


def _qlinear_activation(op: str) -> Rule:
    def rule(builder: Builder, node: OnnxNode) -> Value:
        stored = builder.values[node.inputs[0]]
        builder.values[node.inputs[0]] = _entering(builder, node, 0)
        result = ELEMENTWISE[op](builder, replace(node, op=op, domain=""))
        builder.values[node.inputs[0]] = stored
        assert isinstance(result, Tensor)
        return _leaving(builder, node, result, 3)

    return rule


_FLOATING: Mapping[str, Rule] = {
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
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
    "ConvInteger": _conv_integer,
    "MatMulInteger": _matmul_integer,
}
_MOVING: Mapping[str, Rule] = {op: _moved for op in MOVING if op not in _FLOATING}
_MICROSOFT: Mapping[str, Rule] = {
    "QGemm": _qgemm,
    "QLinearAdd": _qlinear_add,
    "QLinearAveragePool": _qlinear_pool(pool_window),
    "QLinearGlobalAveragePool": _qlinear_pool(everything),
    "QLinearConcat": _qlinear_concat,
    "QLinearSigmoid": _qlinear_activation("Sigmoid"),
    "QLinearLeakyRelu": _qlinear_activation("LeakyRelu"),
    **ONNX,
}
RULES: Mapping[str, Mapping[str, Rule]] = {
    "": {**_MOVING, **ELEMENTWISE, **ONNX, **_FLOATING},
    "com.microsoft": _MICROSOFT,
    **dict.fromkeys(QONNX_DOMAINS, QONNX),
}


def rule_of(node: OnnxNode) -> Rule:
    """The rule of an operator.

    Raises:
        UnsupportedError: there is none.
    """
    known = RULES.get(node.domain, {})
    if node.op not in known:
        dynamic = node.op.startswith("Dynamic")
        raise UnsupportedError(
            "scales that are computed from the data"
            if dynamic
            else "an operator that a quantized network here does not have",
            where=node.where(),
            found=node.kind,
            allowed=", ".join(sorted(known)) if known else ", ".join(filter(None, RULES)),
            remedy="quantize statically, with calibration data"
            if dynamic
            else "replace the layer, or leave it to the host behind the network's output",
        )
    return known[node.op]
