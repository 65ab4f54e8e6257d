"""QuantizeLinear, DequantizeLinear and the quantizers of QONNX, on data and on constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx.graph import OnnxNode
from snnc.compiler.frontends.onnx.quantized.build import Builder, Value, diagonal
from snnc.compiler.frontends.onnx.quantized.inputs import host_rounds
from snnc.compiler.frontends.onnx.quantized.ladder import Ladder
from snnc.compiler.frontends.onnx.quantized.pairs import MAX_PAIRS, factors
from snnc.compiler.frontends.onnx.quantized.rounding import (
    rounded,
)
from snnc.compiler.frontends.onnx.quantized.values import (
    ONE,
    Constant,
    Float,
    Level,
    Pair,
    Step,
    Tensor,
    over,
    plus,
    run,
    times,
)
from snnc.compiler.frontends.onnx.tensors import NIBBLES, stored_range
from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.errors import ModelError, UnsupportedError
from snnc.ir.nodes import Add
from snnc.ir.types import events

MAX_BITS = 16
"""Of an activation: more levels than that no ladder here has."""


# -- on data -------------------------------------------------------------------------------------


def quantize(
    builder: Builder, node: OnnxNode, x: Tensor | Pair, scale: Float, rounding: Step, zero: int,
    low: int, high: int, *, nearest: bool,
) -> Tensor:  # fmt: skip
    """Integers of a real tensor.

    ``rounding`` goes from x / scale to [low, high]; with ``nearest`` as QuantizeLinear does: then
    the host can do it to an input, and the factor of a sum is merged with 1 / scale, as the
    runtime's integer kernels do.
    """
    if isinstance(x, Pair):
        return _quantized_pair(
            builder, node, x, scale, rounding, Level(node.name, (), low, high, zero)
        )
    if x.raw and not x.after and scale.size == 1 and nearest:
        ends = low - zero, high - zero
        held = events(*ends, (float(scale.reshape(())),))
        why = host_rounds(held.grid[0], *ends)
        builder.decide(x, held, why, ends)
        steps: tuple[Step, ...] = (plus(np.asarray(zero)),)
        level = Level(node.name, steps, low, high, zero)
        return Tensor(x.source, x.shape, after=steps, level=level, form="int")
    if x.raw:
        x = builder.pixels(x)
    if x.homogeneous and nearest:
        factor, steps = (x.scale / scale).astype(np.float32), (*x.after, rounding)
    else:
        factor, steps = x.scale, (*x.after, over(scale), rounding)
    level = Level(node.name, steps, low, high, zero)
    return replace(x, scale=factor, after=steps, level=level, form="int", grid=ONE)


def dequantize(node: OnnxNode, x: Tensor, scale: Float, zero: int) -> Tensor:
    """Real numbers of an integer tensor."""
    if x.form != "int":
        raise UnsupportedError("data that is not quantized is dequantized", where=node.where(),
                               remedy="place QuantizeLinear before")  # fmt: skip
    if x.level is None:  # a sum of integers
        return replace(x, form="real", after=(*x.after, plus(np.asarray(-zero)), times(scale)))
    level = replace(x.level, zero=zero)
    after = (*level.steps, plus(np.asarray(-zero)), times(scale))
    return replace(x, after=after, level=level, form="real", grid=scale)


def _quantized_pair(
    builder: Builder, node: OnnxNode, x: Pair, scale: Float, rounding: Step, kind: Level
) -> Tensor:
    """One population on whole multiples of two tensors (see ``pairs``)."""
    a, b = x.a, x.b
    spans = [np.arange(int(t.offset.min()) + t.factor * builder.ranges[t.source][0],
                       int(t.offset.max()) + t.factor * builder.ranges[t.source][1] + 1)
             for t in (a, b)]  # fmt: skip
    biased = any(t.factor != 1 or t.offset.any() for t in (a, b))
    if biased or spans[0].size * spans[1].size > MAX_PAIRS or scale.size != 1:
        raise UnsupportedError(
            "a sum of two grids of which one is not a quantized activation",
            where=node.where(),
            found=f"{spans[0].size:,} times {spans[1].size:,} different values",
            allowed=f"{MAX_PAIRS:,} pairs, one scale for all",
            remedy="quantize both operands of the Add, per tensor, to 8 bits",
        )

    def level(p: Any, q: Any) -> IntArray:
        real = p.astype(np.float32) * a.scale + q.astype(np.float32) * b.scale
        steps = (*x.after, over(scale), rounding)
        result: IntArray = run(steps, real).astype(np.int64) - kind.zero
        return result

    table = level(spans[0][:, None], spans[1][None, :])
    if (np.diff(table, axis=0) < 0).any() or (np.diff(table, axis=1) < 0).any():
        raise UnsupportedError("a falling function of a sum of two grids", where=node.where(),
                               remedy="quantize the sum before a negative factor")  # fmt: skip
    ratio = Fraction(float(a.scale)) / Fraction(float(b.scale))
    found = factors(table, spans[0], spans[1], ratio)
    if found is None:
        raise UnsupportedError("a sum of grids too far apart", where=node.where(),
                               found=f"scales {a.scale} and {b.scale}")  # fmt: skip
    if found.wrong:
        builder.notes[node.name] = (
            f"of {table.size:,} pairs of operands {found.wrong:,} round to the level beside: the "
            "grids of the two operands have no common one"
        )
    shape = a.shape
    terms = []
    for tensor, factor in ((a, found.a), (b, found.b)):
        name = tensor.source
        if factor != 1:
            weights = diagonal(np.asarray([factor]), shape)
            name = builder.linear(f"{node.name}.{factor}x", name, weights)
        terms.append(name)
    total = builder.wiring.add(Add, f"{node.name}.sum", tuple(terms), shape)
    lows, highs = zip(*(builder.ranges[t] for t in terms), strict=True)
    builder.ranges[total] = (sum(lows), sum(highs))
    axes = (1,) * len(shape)
    ends = Ladder(found.positive.reshape(-1, *axes), found.negative.reshape(-1, *axes),
                  np.zeros(axes, bool))  # fmt: skip
    made = builder.fire(node.name, Tensor(total, shape), ends)
    steps = (plus(np.asarray(kind.zero)),)
    return Tensor(made, shape, after=steps, level=replace(kind, steps=steps), form="int")


# -- on constants --------------------------------------------------------------------------------


def dequantized_constant(stored: Constant, scale: Float, zero: AnyArray) -> Constant:
    """Integers with scale and zero point as numbers."""
    whole = stored.values.astype(np.int64) - zero.astype(np.int64)
    return Constant((whole * scale).astype(np.float32), whole, scale)


# -- ONNX ----------------------------------------------------------------------------------------


def parameters(
    builder: Builder, node: OnnxNode, scale_at: int, zero_at: int, shape: tuple[int, ...],
    default: Any = np.uint8, *, axis: int | None = None,
) -> tuple[Float, IntArray, np.dtype[Any]]:  # fmt: skip
    """(scale, zero point, element type) of a quantizer, for a tensor of ``shape``.

    Raises:
        ModelError: scales that are not positive, or do not fit the axis.
        UnsupportedError: an element type that is no integer.
    """
    scale = np.asarray(builder.constant(node, scale_at, "scale").values)
    if scale.dtype.kind != "f" or not scale.size or not (scale > 0).all() or np.isinf(scale).any():
        raise ModelError("a scale must be positive and finite", where=node.where(),
                         found=f"{scale.dtype} {scale.reshape(-1)[:3].tolist()}")  # fmt: skip
    zero = np.zeros((), default)
    if node.has_input(zero_at):
        zero = np.asarray(builder.constant(node, zero_at, "zero point").values)
    if zero.dtype.kind not in "iu":
        raise UnsupportedError("quantization to other than integers", where=node.where(),
                               found=zero.dtype)  # fmt: skip
    kind = zero.dtype
    return (
        _along(node, scale.astype(np.float32), shape, axis),
        _along(node, zero.astype(np.int64), shape, axis),
        kind,
    )


def _along(node: OnnxNode, values: AnyArray, shape: tuple[int, ...], axis: int | None) -> Any:
    """One number as a scalar; several along an axis of ``shape``."""
    if values.size == 1:
        return values.reshape(())
    axis = node.integer("axis", 1) if axis is None else axis
    axis += len(shape) if axis < 0 else 0
    if values.ndim != 1 or not 0 <= axis < len(shape) or values.size != shape[axis]:
        raise ModelError(
            "one number, or one per element of the axis, is required",
            where=node.where(),
            found=f"{values.shape} for axis {axis} of {shape}",
        )
    return values.reshape(-1, *(1,) * (len(shape) - 1 - axis))


def _whole_tensor(node: OnnxNode) -> None:
    if node.integer("block_size", 0):
        raise UnsupportedError("quantization by blocks", where=node.where("block_size"),
                               remedy="quantize per tensor, or per channel")  # fmt: skip


def limits(kind: np.dtype[Any], node: OnnxNode) -> tuple[int, int]:
    """Smallest and largest integer of an element type."""
    low, high = stored_range(kind)
    if high >= 1 << MAX_BITS:
        raise UnsupportedError("activations of more than 16 bits", where=node.where(), found=kind)
    return low, high


def scalar(node: OnnxNode, zero: AnyArray) -> int:
    """The zero point of data, which is one number."""
    if zero.size != 1:
        if (zero != zero.reshape(-1)[0]).any():
            raise UnsupportedError("data with one zero point per channel", where=node.where(),
                                   remedy="quantize activations per tensor")  # fmt: skip
        zero = zero.reshape(-1)[:1]
    return int(zero.reshape(()))


# TensorProto's element types; without one, QuantizeLinear gives bytes.
_OUTPUT_TYPES: Mapping[int, Any] = {
    0: np.uint8, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, **NIBBLES,
}  # fmt: skip


def _quantize_linear(builder: Builder, node: OnnxNode) -> Value:
    _whole_tensor(node)
    x = builder.value(node, 0)
    shape = x.values.shape if isinstance(x, Constant) else (1, *x.shape)
    default = _OUTPUT_TYPES.get(node.integer("output_dtype", 0))
    if default is None:
        raise UnsupportedError("quantization to other than 4, 8 or 16 bits", where=node.where())
    scale, zero, kind = parameters(builder, node, 1, 2, shape, default)
    low, high = limits(kind, node)
    if isinstance(x, Constant):
        whole = np.clip(np.rint(x.values.astype(np.float32) / scale) + zero, low, high)
        return Constant(whole.astype(kind))
    one = scalar(node, zero)
    return to_integers(builder, node, x, scale, one, low, high)


def to_integers(builder: Builder, node: OnnxNode, x: Tensor | Pair, scale: Float, zero: int,
                low: int, high: int) -> Tensor:  # fmt: skip
    """QuantizeLinear."""
    rounding = rounded(zero, low, high)
    return quantize(builder, node, x, scale, rounding, zero, low, high, nearest=True)


def _dequantize_linear(builder: Builder, node: OnnxNode) -> Value:
    _whole_tensor(node)
    x = builder.value(node, 0)
    if isinstance(x, Pair):
        raise UnsupportedError("data that is not quantized is dequantized", where=node.where())
    shape = x.values.shape if isinstance(x, Constant) else (1, *x.shape)
    default = x.values.dtype.type if isinstance(x, Constant) else np.uint8
    scale, zero, _ = parameters(builder, node, 1, 2, shape, default)
    if isinstance(x, Constant):
        if x.values.dtype.kind not in "iu":
            raise ModelError("integers are dequantized", where=node.where(), found=x.values.dtype)
        return dequantized_constant(x, scale, zero)
    return dequantize(node, x, scale, scalar(node, zero))


ONNX: Mapping[str, Callable[[Builder, OnnxNode], Value]] = {
    "QuantizeLinear": _quantize_linear,
    "DequantizeLinear": _dequantize_linear,
}
