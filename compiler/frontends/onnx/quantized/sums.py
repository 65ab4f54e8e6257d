"""Linear operators on quantized data: exact integer sums that keep one real factor per channel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx.graph import OnnxNode
from snnc.compiler.frontends.onnx.pools import window_counts
from snnc.compiler.frontends.onnx.quantized.build import MEMORY_REMEDY, Builder, Value
from snnc.compiler.frontends.onnx.quantized.values import (
    Constant,
    Pair,
    Tensor,
    over,
    plus,
)
from snnc.compiler.frontends.onnx.windows import Window, window_of
from snnc.compiler.frontends.onnx.wiring import unbatched
from snnc.ir.arrays import AnyArray, IntArray, Shape, size_of
from snnc.ir.errors import ModelError, UnsupportedError
from snnc.ir.nodes import Add, Pool
from snnc.ir.weights import Conv, Dense, Weights
from snnc.simulators.reference.operators import linear

BIAS_TOLERANCE = 1e-6
"""By how much the scale of an integer bias may miss that of its sum: float32 rounding."""


def _sum_name(node: OnnxNode) -> str:
    """The sum of an operator that also quantizes leaves the operator's name to the population."""
    return f"{node.name}.sum" if node.op.startswith(("QLinear", "QGemm")) else node.name


def convolve(builder: Builder, node: OnnxNode, x: Tensor, weight: Constant,
             bias: Constant | None) -> Tensor:  # fmt: skip
    """A convolution; weights [out, in / groups, *kernel]."""
    whole, scale = _whole(node, weight, 0)
    if not 3 <= whole.ndim <= 5 or len(x.shape) != whole.ndim - 1:
        raise UnsupportedError(
            "a convolution over 1 to 3 axes is required",
            where=node.where(),
            found=f"weight {whole.shape}, data (1, {', '.join(map(str, x.shape))})",
        )
    kernel = tuple(int(k) for k in whole.shape[2:])
    window = window_of(node, x.shape[1:], kernel)
    if window.kernel != kernel:
        raise ModelError("kernel_shape is not that of the weight", where=node.where(),
                         found=window.kernel, allowed=kernel)  # fmt: skip
    weights = Conv(whole, window.stride, window.padding, window.dilation, node.integer("group", 1))
    return _weighed(builder, node, x, weights, scale, bias)


def multiply(builder: Builder, node: OnnxNode, x: Tensor, weight: Constant, bias: Constant | None,
             alpha: float = 1.0) -> Tensor:  # fmt: skip
    """A product with a matrix [out, in]."""
    whole, scale = _whole(node, weight, 0)
    if whole.ndim != 2 or x.shape != whole.shape[1:]:
        raise UnsupportedError(
            "the weight does not fit what flows into the node",
            where=node.where(),
            found=f"weight [out, in] = {whole.shape}, data (1, {', '.join(map(str, x.shape))})",
            allowed="a matrix times one row of features per sample",
            remedy="flatten the data first; products over more axes are not supported",
        )
    return _weighed(builder, node, x, Dense(whole), scale * np.float32(alpha), bias)


def _weighed(builder: Builder, node: OnnxNode, x: Tensor, weights: Weights, scale: AnyArray,
             bias: Constant | None) -> Tensor:  # fmt: skip
    operand = builder.summable(node, x)
    made = builder.linear(_sum_name(node), operand.source, weights)
    shape = builder.wiring.shape[made]
    offset = operand.offset
    if offset.any():
        full = np.broadcast_to(offset, operand.shape).astype(np.int64)
        offset = linear(weights, full[None])[0]
    column = (-1, *(1,) * (len(shape) - 1))
    factor = scale.reshape(column) if scale.size > 1 else scale.reshape(())
    total = (operand.scale * factor).astype(np.float32)
    result = Tensor(made, shape, total, operand.factor, offset)
    return result if bias is None else biased(node, result, bias)


def biased(node: OnnxNode, x: Tensor, bias: Constant) -> Tensor:
    """Add one number per channel of a sum: as an integer where it is one on the sum's grid."""
    values = np.asarray(bias.values)
    if values.ndim == 1 and values.size == x.shape[0]:
        values = values.reshape(-1, *(1,) * (len(x.shape) - 1))
    values = unbatched(node, values, x.shape)
    if not x.after:
        whole = values.astype(np.float64) / x.scale.astype(np.float64)
        near = np.rint(whole)
        slack = BIAS_TOLERANCE * np.maximum(1, np.abs(near)) if bias.whole is not None else 0
        if (np.abs(whole - near) <= slack).all() and np.abs(near).max() < 2**40:
            return replace(x, offset=x.offset + near.astype(np.int64))
    return x.then(plus(values))


def added_integers(x: Tensor, bias: IntArray) -> Tensor:
    """Add integers to a sum of integers, one per channel."""
    return replace(x, offset=x.offset + bias.reshape(-1, *(1,) * (len(x.shape) - 1)))


def _whole(node: OnnxNode, weight: Constant, out_axis: int) -> tuple[IntArray, AnyArray]:
    """Integers of a weight, and their scale: one, or one per output channel.

    Raises:
        UnsupportedError: weights in floating point, or scales along other axes.
    """
    if weight.whole is None:
        raise UnsupportedError(
            "the weights are not quantized",
            where=node.where(),
            found=f"{weight.values.dtype} {weight.values.shape}",
            remedy="quantize weights as well as activations; for a float model leave out both",
        )
    scale = np.asarray(weight.scale, np.float32)
    if scale.size == 1:
        return weight.whole, scale.reshape(())
    full = np.moveaxis(np.broadcast_to(scale, weight.whole.shape), out_axis, 0)
    rows = full.reshape(full.shape[0], -1)
    if (rows != rows[:, :1]).any():
        raise UnsupportedError(
            "weights whose scale changes inside an output channel",
            where=node.where(),
            found=f"scales {scale.shape}",
            allowed="one scale, or one per output channel",
        )
    return weight.whole, np.ascontiguousarray(rows[:, 0])


# -- pools ---------------------------------------------------------------------------------------


def average(builder: Builder, node: OnnxNode, x: Tensor, out: Shape, window: Window) -> Tensor:
    """The mean of each window: an exact sum, divided behind it."""
    operand = builder.summable(node, x)
    divisor = np.asarray(window_counts(node, operand.shape[1:], window), np.float32)
    made = _pooled(builder, node, operand.source, "sum", out, window)
    low, high = builder.ranges[operand.source]
    taps = size_of(window.kernel)
    builder.means.add(made)
    builder.ranges[made] = (low * taps, high * taps)
    offset = operand.offset
    if offset.any():
        if window.padded or offset.size != 1:
            raise UnsupportedError("a padded mean of biased sums", where=node.where(),
                                   remedy=MEMORY_REMEDY)  # fmt: skip
        offset = offset * taps
    if divisor.size > 1 and np.ptp(divisor) == 0:
        divisor = divisor.reshape(-1)[0].reshape(())
    return Tensor(made, out, operand.scale, operand.factor, offset).then(over(divisor))


def largest(builder: Builder, node: OnnxNode, x: Tensor, out: Shape, window: Window) -> Tensor:
    """The maximum of each window of quantized values."""
    if x.level is None and not (x.plain and not x.offset.any()):
        raise UnsupportedError("a maximum of values that are not quantized", where=node.where(),
                               remedy=MEMORY_REMEDY)  # fmt: skip
    settled = x if x.level is None else builder.on_grid(builder.population(node, x), x)
    made = _pooled(builder, node, settled.source, "max", out, window)
    builder.ranges[made] = builder.ranges[settled.source]
    return replace(settled, source=made, shape=out)


def _pooled(builder: Builder, node: OnnxNode, source: str, op: str, out: Shape,
            window: Window) -> str:  # fmt: skip
    return builder.wiring.add(
        Pool, _sum_name(node), (source,), out, op, window.kernel, window.stride, window.padding
    )


# -- sums of data --------------------------------------------------------------------------------


def add(builder: Builder, node: OnnxNode, a: Tensor, b: Tensor) -> Value:
    """The sum of two tensors: integers where they share a grid, else a pair to be quantized."""
    if a.shape != b.shape:
        raise UnsupportedError("a sum that broadcasts data", where=node.where(),
                               found=f"{a.shape} and {b.shape}")  # fmt: skip
    a, b = builder.summable(node, a), builder.summable(node, b)
    if a.scale != b.scale or a.factor != b.factor:
        return Pair(a, b)
    made = builder.wiring.add(Add, _sum_name(node), (a.source, b.source), a.shape)
    ends: Any = zip(builder.ranges[a.source], builder.ranges[b.source], strict=True)
    low, high = (sum(pair) for pair in ends)
    builder.ranges[made] = (low, high)
    return Tensor(made, a.shape, a.scale, a.factor, a.offset + b.offset)
