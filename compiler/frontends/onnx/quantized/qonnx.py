"""The quantizers of QONNX: Quant, BipolarQuant and Trunc, on data and on constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx.graph import OnnxNode
from snnc.compiler.frontends.onnx.quantized.build import Builder, Value
from snnc.compiler.frontends.onnx.quantized.quantizers import MAX_BITS, dequantize, quantize
from snnc.compiler.frontends.onnx.quantized.rounding import (
    ROUNDINGS,
    clipped_first,
    integer_range,
)
from snnc.compiler.frontends.onnx.quantized.values import (
    ONE,
    Constant,
    Float,
    Step,
    Tensor,
    times,
)
from snnc.ir.arrays import AnyArray
from snnc.ir.errors import ModelError, UnsupportedError


def _number(builder: Builder, node: OnnxNode, position: int, what: str) -> int:
    values = np.asarray(builder.constant(node, position, what).values, np.float64).reshape(-1)
    if values.size < 1 or (values != values[0]).any() or values[0] != np.rint(values[0]):
        raise UnsupportedError(f"a {what} that is not one integer", where=node.where(),
                               found=values[:3].tolist())  # fmt: skip
    return int(values[0])


def _qonnx_scale(builder: Builder, node: OnnxNode, x: Value) -> Float:
    scale = np.asarray(builder.constant(node, 1, "scale").values, np.float32)
    if not scale.size or not (np.isfinite(scale) & (scale > 0)).all():
        raise ModelError("a scale must be positive and finite", where=node.where())
    if scale.size == 1:
        return scale.reshape(())
    if isinstance(x, Constant):
        return scale
    return scale.reshape(scale.shape[1:]) if scale.ndim == len(x.shape) + 1 else scale


def _mode(node: OnnxNode) -> str:
    mode = node.text("rounding_mode", "ROUND").upper()
    if mode not in ROUNDINGS:
        raise UnsupportedError("unknown rounding", where=node.where("rounding_mode"), found=mode,
                               allowed=", ".join(ROUNDINGS))  # fmt: skip
    return mode


def _quant(builder: Builder, node: OnnxNode) -> Value:
    """``(round(clip(x / scale + zero)) - zero) scale``."""
    x = builder.value(node, 0)
    scale, mode = _qonnx_scale(builder, node, x), _mode(node)
    zero = _number(builder, node, 2, "zero point")
    bits = _number(builder, node, 3, "bit width")
    if not 1 <= bits <= (32 if isinstance(x, Constant) else MAX_BITS):
        raise UnsupportedError("an unusable bit width", where=node.where(), found=bits)
    ends = integer_range(bits, bool(node.integer("signed", 1)), bool(node.integer("narrow", 0)))
    rounding = clipped_first(zero, *ends, ROUNDINGS[mode])
    if isinstance(x, Constant):
        return _quantized_constant(x, scale, rounding, np.asarray(zero))
    entering = isinstance(x, Tensor) and x.raw and not x.after
    nearest = entering and mode in ("ROUND", "HALF_EVEN")
    whole = quantize(builder, node, x, scale, rounding, zero, *ends, nearest=nearest)
    return dequantize(node, whole, scale, zero)


def _bipolar(builder: Builder, node: OnnxNode) -> Value:
    """``scale`` where x >= 0, else ``-scale``: one spike or none, counted from the middle."""
    x = builder.value(node, 0)
    scale = _qonnx_scale(builder, node, x)
    if isinstance(x, Constant):
        whole = np.where(x.values >= 0, 1, -1)
        return Constant((whole * scale).astype(np.float32), whole, scale)
    sign = Step(lambda v: (v >= 0).astype(v.dtype))
    found = quantize(builder, node, x, ONE, sign, 0, 0, 1, nearest=False)
    assert found.level is not None
    level = replace(found.level, factor=2, offset=-1)
    after = (*level.steps, Step(lambda q: (2 * q - 1).astype(q.dtype)), times(scale))
    return replace(found, after=after, level=level, form="real", grid=scale)


def _trunc(builder: Builder, node: OnnxNode) -> Value:
    """Right shift of what is on the grid: version 1 of QONNX's Trunc."""
    x = builder.data(node, 0)
    if any(label in node.attributes for label in ("signed", "narrow")) or len(node.inputs) != 5:
        raise UnsupportedError("another version of Trunc", where=node.where(),
                               allowed="x, scale, zero point, input bits, output bits")  # fmt: skip
    scale, mode = _qonnx_scale(builder, node, x), _mode(node)
    zero = _number(builder, node, 2, "zero point")
    before, after = (_number(builder, node, k, "bit width") for k in (3, 4))
    if not 1 <= after <= before <= 32:
        raise ModelError("bit widths that do not fall", where=node.where(), found=(before, after))
    shift, whole = 2.0 ** (before - after), ROUNDINGS[mode]

    def apply(v: Any) -> Any:
        return whole(np.rint(v + v.dtype.type(zero)) / v.dtype.type(shift))

    limit = 1 << after
    found = quantize(builder, node, x, scale, Step(apply), zero, -limit, limit, nearest=False)
    return dequantize(node, found, scale, zero)


def _quantized_constant(stored: Constant, scale: Float, rounding: Step, zero: AnyArray) -> Constant:
    real = stored.values.astype(np.float32) / scale
    whole = rounding.apply(real).astype(np.int64) - zero.astype(np.int64)
    return Constant((whole * scale).astype(np.float32), whole, scale)


QONNX: Mapping[str, Callable[[Builder, OnnxNode], Value]] = {
    "Quant": _quant,
    "IntQuant": _quant,
    "BipolarQuant": _bipolar,
    "Trunc": _trunc,
}
