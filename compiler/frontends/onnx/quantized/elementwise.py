"""Elementwise operators that rise or fall everywhere: they fold into the ladder that follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit

from snnc.compiler.frontends.onnx.graph import OnnxNode
from snnc.compiler.frontends.onnx.quantized.build import Builder, Value
from snnc.compiler.frontends.onnx.quantized.sums import add, biased
from snnc.compiler.frontends.onnx.quantized.values import (
    Constant,
    Pair,
    Step,
    Tensor,
    over,
    plus,
    times,
)
from snnc.compiler.frontends.onnx.wiring import unbatched
from snnc.ir.arrays import AnyArray
from snnc.ir.errors import ModelError, UnsupportedError

Data = Tensor | Pair


def _operand(builder: Builder, node: OnnxNode, position: int = 0) -> Data:
    value = builder.value(node, position)
    return builder.data(node, position) if isinstance(value, Constant) else value


def _relu(builder: Builder, node: OnnxNode) -> Value:
    return _operand(builder, node).then(Step(lambda x: np.maximum(x, 0), homogeneous=True))


def _leaky(builder: Builder, node: OnnxNode) -> Value:
    slope = node.real("alpha", 0.01)
    if slope < 0:
        raise UnsupportedError("a negative slope, which neither rises nor falls",
                               where=node.where("alpha"), found=slope)  # fmt: skip
    return _operand(builder, node).then(Step(lambda x: np.where(x < 0, x * x.dtype.type(slope), x)))


def _clip(builder: Builder, node: OnnxNode) -> Value:
    """Bounds; of an integer tensor (Quantize-Clip-Dequantize) they narrow its levels."""
    low, high = _bounds(builder, node)
    value = builder.value(node, 0)
    if isinstance(value, Constant):
        return Constant(np.clip(value.values, low, high).astype(value.values.dtype))
    step = Step(lambda x: np.clip(x, x.dtype.type(low), x.dtype.type(high)),
                homogeneous=low == 0 and high == np.inf)  # fmt: skip
    if isinstance(value, Tensor) and value.level is not None and value.form == "int":
        level = value.level
        narrow = replace(
            level,
            steps=(*level.steps, step),
            low=int(max(level.low, low)),
            high=int(min(level.high, high)),
        )
        if len(builder.graph.consumers[node.inputs[0]]) == 1:
            builder.narrow(value, narrow.low - narrow.zero, narrow.high - narrow.zero)
        return replace(value, after=narrow.steps, level=narrow)
    return value.then(step)


def _bounds(builder: Builder, node: OnnxNode) -> tuple[float, float]:
    ends: list[float] = []
    for position, label, open_end in ((1, "min", -np.inf), (2, "max", np.inf)):
        if node.has_input(position):
            bound = np.asarray(builder.constant(node, position, label).values, np.float64)
            ends.append(float(bound.reshape(-1)[0]) if bound.size == 1 else np.nan)
        else:
            ends.append(node.real(label, open_end) if label in node.attributes else open_end)
    if not ends[0] <= ends[1]:
        raise ModelError("bounds that are no interval", where=node.where(), found=ends)
    return ends[0], ends[1]


def _smooth(function: Callable[[Any], Any]) -> Callable[[Builder, OnnxNode], Value]:
    def rule(builder: Builder, node: OnnxNode) -> Value:
        return _operand(builder, node).then(Step(function))

    return rule


def _hard_sigmoid(builder: Builder, node: OnnxNode) -> Value:
    slope, shift = node.real("alpha", 0.2), node.real("beta", 0.5)

    def apply(x: Any) -> Any:
        kind = x.dtype.type
        return np.clip(x * kind(slope) + kind(shift), kind(0), kind(1))

    return _operand(builder, node).then(Step(apply))


def _mixed(builder: Builder, node: OnnxNode) -> tuple[Data, AnyArray, bool] | None:
    """(data, constant that broadcasts to it, the constant comes first); None for two of data."""
    if len(node.inputs) != 2:
        raise ModelError("two operands are required", where=node.where(), found=len(node.inputs))
    first, second = builder.value(node, 0), builder.value(node, 1)
    if isinstance(first, Constant) == isinstance(second, Constant):
        return None
    data, constant = (second, first) if isinstance(first, Constant) else (first, second)
    assert isinstance(constant, Constant)
    assert not isinstance(data, Constant)
    values = np.asarray(unbatched(node, np.asarray(constant.values), data.shape), np.float32)
    if values.size and not np.isfinite(values).all():
        raise ModelError("finite numbers are required", where=node.where())
    return data, values, data is second


def _sum(builder: Builder, node: OnnxNode) -> Value:
    mixed = _mixed(builder, node)
    if mixed is None:
        return add(builder, node, builder.data(node, 0), builder.data(node, 1))
    data, values, first = mixed
    if isinstance(data, Tensor) and data.level is None and not data.raw:
        return biased(node, data, builder.constant(node, 0 if first else 1, "bias"))
    return data.then(plus(values))


def _difference(builder: Builder, node: OnnxNode) -> Value:
    mixed = _mixed(builder, node)
    if mixed is None:
        raise _two_of_data(node)
    data, values, first = mixed
    if first:
        return data.then(Step(np.negative, homogeneous=True)).then(plus(values))
    return data.then(plus(-values))


def _two_of_data(node: OnnxNode) -> UnsupportedError:
    return UnsupportedError(
        "both operands depend on the input",
        where=node.where(),
        remedy="only sums of two data tensors are supported; replace gates and attention",
    )


def _product(builder: Builder, node: OnnxNode) -> Value:
    mixed = _mixed(builder, node)
    if mixed is None:
        raise _two_of_data(node)
    data, values, _ = mixed
    return data.then(times(values))


def _quotient(builder: Builder, node: OnnxNode) -> Value:
    mixed = _mixed(builder, node)
    if mixed is None or mixed[2] or (mixed[1] == 0).any():
        raise UnsupportedError("a division by anything but constants other than zero",
                               where=node.where())  # fmt: skip
    return mixed[0].then(over(mixed[1]))


def _negative(builder: Builder, node: OnnxNode) -> Value:
    return _operand(builder, node).then(Step(np.negative, homogeneous=True))


def _batch_norm(builder: Builder, node: OnnxNode) -> Value:
    """``x factor + shift`` per channel, as onnxruntime computes it."""
    data = _operand(builder, node)
    if node.integer("training_mode", 0) or len([o for o in node.outputs if o]) > 1:
        raise UnsupportedError("batch normalisation in training mode", where=node.where(),
                               remedy="call model.eval() before exporting")  # fmt: skip
    scale, bias, mean, variance = (
        np.asarray(builder.constant(node, k, what).values, np.float32)
        for k, what in enumerate(("scale", "bias", "mean", "variance"), 1)
    )
    if any(v.shape != data.shape[:1] for v in (scale, bias, mean, variance)):
        raise ModelError("one number per channel is required", where=node.where())
    spread = variance + np.float32(node.real("epsilon", 1e-5))
    if not (spread > 0).all():
        raise ModelError("a variance must be positive", where=node.where(), found=spread.min())
    factor = scale / np.sqrt(spread)
    column = (-1, *(1,) * (len(data.shape) - 1))
    shift = (bias - mean * factor).reshape(column)
    return data.then(times(factor.reshape(column))).then(plus(shift))


def _ordered(builder: Builder, node: OnnxNode) -> Value:
    """Softmax and its kind at the end change no order: the network's output is what they read."""
    result = node.outputs[0]
    if result in builder.graph.consumers:
        raise UnsupportedError(
            "an operator over all classes inside the network",
            where=node.where(),
            remedy="only the last operator may be one that keeps the order",
        )
    builder.notes[node.name] = f"{node.op} left out: it keeps the order of the classes"
    return builder.value(node, 0)


ELEMENTWISE: Mapping[str, Callable[[Builder, OnnxNode], Value]] = {
    "Relu": _relu,
    "LeakyRelu": _leaky,
    "Clip": _clip,
    "Sigmoid": _smooth(expit),
    "Tanh": _smooth(np.tanh),
    "HardSigmoid": _hard_sigmoid,
    "Add": _sum,
    "Sum": _sum,
    "Sub": _difference,
    "Mul": _product,
    "Div": _quotient,
    "Neg": _negative,
    "BatchNormalization": _batch_norm,
    "Softmax": _ordered,
    "LogSoftmax": _ordered,
}
