"""Weights, biases, scales, sums and pools: ONNX operators that are linear, and max pooling."""

from __future__ import annotations

import numpy as np

from snnc.compiler.frontends.onnx.graph import OnnxNode
from snnc.compiler.frontends.onnx.pools import (
    Windows,
    check_spatial_mean,
    global_window,
    pool_window,
    window_counts,
)
from snnc.compiler.frontends.onnx.windows import Window, window_of
from snnc.compiler.frontends.onnx.wiring import (
    Rules,
    Wiring,
    unbatched,
    window_extent,
)
from snnc.ir.arrays import RealArray, Shape, size_of
from snnc.ir.errors import ModelError, UnsupportedError
from snnc.ir.nodes import Add, Bias, Linear, Pool, Scale
from snnc.ir.weights import Conv, Dense


def _conv(wiring: Wiring, node: OnnxNode) -> str:
    operand, shape = wiring.operand(node)
    weight = wiring.graph.reals(node, 1, "weight")
    groups = node.integer("group", 1)
    if not 3 <= weight.ndim <= 5 or len(shape) != weight.ndim - 1:
        raise UnsupportedError(
            "a convolution over 1 to 3 axes is required",
            where=node.where(),
            found=f"weight {weight.shape}, data (1, {', '.join(map(str, shape))})",
        )
    if groups < 1 or weight.shape[0] % groups or shape[0] != weight.shape[1] * groups:
        raise ModelError(
            "weight, groups and data disagree",
            where=node.where(),
            found=f"weight {weight.shape}, {groups} groups, {shape[0]} input channels",
        )
    kernel = tuple(int(k) for k in weight.shape[2:])
    window = window_of(node, shape[1:], kernel)
    if window.kernel != kernel:
        raise ModelError(
            "kernel_shape is not that of the weight",
            where=node.where(),
            found=window.kernel,
            allowed=kernel,
        )
    out = (int(weight.shape[0]), *window_extent(node, shape[1:], window))
    weights = Conv(weight, window.stride, window.padding, window.dilation, groups)
    name = wiring.add(Linear, node.name, (operand,), out, weights)
    if not node.has_input(2):
        return name
    bias = wiring.graph.reals(node, 2, "bias")
    if bias.shape != out[:1]:
        raise ModelError("one bias per channel is required", where=node.where(), found=bias.shape)
    return _biased(wiring, node, name, bias.reshape(-1, *(1,) * (len(out) - 1)))


def _biased(wiring: Wiring, node: OnnxNode, name: str, bias: RealArray) -> str:
    if not bias.any():
        return name
    return wiring.add(Bias, f"{node.name}.bias", (name,), wiring.shape[name], bias)


def _dense(wiring: Wiring, node: OnnxNode, operand: str, weight: RealArray) -> str:
    """Append ``W x`` for a weight [out, in]."""
    shape = wiring.shape[operand]
    if weight.ndim != 2 or shape != weight.shape[1:]:
        raise UnsupportedError(
            "the weight does not fit what flows into the node",
            where=node.where(),
            found=f"weight [out, in] = {weight.shape}, data (1, {', '.join(map(str, shape))})",
            allowed="a matrix times one row of features per sample",
            remedy="flatten the data first; products over more axes are not supported",
        )
    return wiring.add(Linear, node.name, (operand,), (int(weight.shape[0]),), Dense(weight))


def _gemm(wiring: Wiring, node: OnnxNode) -> str:
    operand, _ = wiring.operand(node)
    if node.integer("transA", 0):
        raise UnsupportedError("a product with the transposed batch", where=node.where("transA"))
    weight = wiring.graph.reals(node, 1, "weight") * node.real("alpha", 1.0)
    name = _dense(wiring, node, operand, weight if node.integer("transB", 0) else weight.T)
    if not node.has_input(2):
        return name
    bias = wiring.graph.reals(node, 2, "bias") * node.real("beta", 1.0)
    return _biased(wiring, node, name, unbatched(node, bias, wiring.shape[name]))


def _matmul(wiring: Wiring, node: OnnxNode) -> str:
    operand, _ = wiring.operand(node)
    return _dense(wiring, node, operand, wiring.graph.reals(node, 1, "weight").T)


def _data_and_constant(wiring: Wiring, node: OnnxNode) -> tuple[str, RealArray, bool] | None:
    """(data, constant, the constant comes first), or None where both operands are data."""
    if len(node.inputs) != 2:
        raise ModelError("two operands are required", where=node.where(), found=len(node.inputs))
    first = wiring.graph.is_constant(node, 0)
    if not first and not wiring.graph.is_constant(node, 1):
        return None
    data, shape = wiring.operand(node, 1 if first else 0)
    values = wiring.graph.reals(node, 0 if first else 1, "constant operand")
    return data, unbatched(node, values, shape), first


def _sum(wiring: Wiring, node: OnnxNode) -> str:
    if len(node.inputs) == 1:
        return wiring.operand(node)[0]
    mixed = _data_and_constant(wiring, node) if len(node.inputs) == 2 else None
    if mixed is not None:
        return _biased(wiring, node, mixed[0], mixed[1])
    return _added(wiring, node, [wiring.operand(node, k)[0] for k in range(len(node.inputs))])


def _added(wiring: Wiring, node: OnnxNode, names: list[str]) -> str:
    shapes = [wiring.shape[name] for name in names]
    if any(shape != shapes[0] for shape in shapes):
        raise UnsupportedError(
            "a sum that broadcasts data",
            where=node.where(),
            found=", ".join(map(str, shapes)),
            allowed="tensors of one shape",
        )
    return wiring.add(Add, node.name, tuple(names), shapes[0])


def _difference(wiring: Wiring, node: OnnxNode) -> str:
    mixed = _data_and_constant(wiring, node)
    if mixed is None:
        a, b = (wiring.operand(node, k)[0] for k in range(2))
        return _added(wiring, node, [a, _scaled(wiring, node, b, np.asarray(-1.0))])
    data, values, first = mixed
    if first:
        return _biased(wiring, node, _scaled(wiring, node, data, np.asarray(-1.0)), values)
    return _biased(wiring, node, data, -values)


def _scaled(wiring: Wiring, node: OnnxNode, name: str, scale: RealArray) -> str:
    if (scale == 1).all():
        return name
    return wiring.add(Scale, f"{node.name}.scale", (name,), wiring.shape[name], scale)


def _product(wiring: Wiring, node: OnnxNode) -> str:
    mixed = _data_and_constant(wiring, node)
    if mixed is None:
        raise UnsupportedError(
            "a product of two tensors that both depend on the input",
            where=node.where(),
            remedy="spikes are added, not multiplied; replace gates and attention before training",
        )
    return _scaled(wiring, node, mixed[0], mixed[1])


def _quotient(wiring: Wiring, node: OnnxNode) -> str:
    mixed = _data_and_constant(wiring, node)
    if mixed is None or mixed[2] or (mixed[1] == 0).any():
        raise UnsupportedError(
            "a division by anything but constants other than zero", where=node.where()
        )
    return _scaled(wiring, node, mixed[0], 1.0 / mixed[1])


def _negative(wiring: Wiring, node: OnnxNode) -> str:
    return _scaled(wiring, node, wiring.operand(node)[0], np.asarray(-1.0))


def _batch_norm(wiring: Wiring, node: OnnxNode) -> str:
    """``scale (x - mean) / sqrt(var + epsilon) + bias`` per channel, of the stored statistics."""
    operand, shape = wiring.operand(node)
    if node.integer("training_mode", 0) or len([o for o in node.outputs if o]) > 1:
        raise UnsupportedError(
            "batch normalisation in training mode",
            where=node.where(),
            found="statistics of the batch, not of the checkpoint",
            remedy="call model.eval() before exporting",
        )
    scale, bias, mean, variance = (
        wiring.graph.reals(node, k, what)
        for k, what in enumerate(("scale", "bias", "mean", "variance"), 1)
    )
    if any(v.shape != shape[:1] for v in (scale, bias, mean, variance)):
        raise ModelError(
            "one number per channel is required",
            where=node.where(),
            found=[v.shape for v in (scale, bias, mean, variance)],
            allowed=shape[:1],
        )
    spread = variance + node.real("epsilon", 1e-5)
    if (spread <= 0).any():
        raise ModelError("a variance must be positive", where=node.where(), found=spread.min())
    factor = scale / np.sqrt(spread)
    column = (-1, *(1,) * (len(shape) - 1))
    scaled = _scaled(wiring, node, operand, factor.reshape(column))
    return _biased(wiring, node, scaled, (bias - mean * factor).reshape(column))


def _windows(wiring: Wiring, node: OnnxNode, window_for: Windows) -> tuple[str, Shape, Window]:
    """Operand, output shape and window of a pool."""
    operand, shape = wiring.operand(node)
    return operand, *window_for(node, shape)


def _average_pool(wiring: Wiring, node: OnnxNode) -> str:
    operand, out, window = _windows(wiring, node, pool_window)
    counted = window_counts(node, wiring.shape[operand][1:], window)
    return _mean(wiring, node, operand, out, window, counted)


def _mean(wiring: Wiring, node: OnnxNode, operand: str, out: Shape, window: Window,
          counted: RealArray) -> str:  # fmt: skip
    pooled = wiring.add(
        Pool, node.name, (operand,), out, "sum", window.kernel, window.stride, window.padding
    )
    if np.ptp(counted) == 0:
        counted = np.asarray(counted.reshape(-1)[0])
    return wiring.add(Scale, f"{node.name}.mean", (pooled,), out, 1.0 / counted)


def _largest(wiring: Wiring, node: OnnxNode, window_for: Windows) -> str:
    operand, out, window = _windows(wiring, node, window_for)
    return wiring.add(
        Pool, node.name, (operand,), out, "max", window.kernel, window.stride, window.padding
    )


def _max_pool(wiring: Wiring, node: OnnxNode) -> str:
    return _largest(wiring, node, pool_window)


def _global_average(wiring: Wiring, node: OnnxNode) -> str:
    operand, out, window = _windows(wiring, node, global_window)
    return _mean(wiring, node, operand, out, window, np.asarray(float(size_of(window.kernel))))


def _global_max(wiring: Wiring, node: OnnxNode) -> str:
    return _largest(wiring, node, global_window)


def _reduce_mean(wiring: Wiring, node: OnnxNode) -> str:
    """A mean over all spatial axes is a global average pool."""
    _, shape = wiring.operand(node)
    check_spatial_mean(wiring.graph, node, shape)
    name = _global_average(wiring, node)
    if node.integer("keepdims", 1):
        return name
    return wiring.index(f"{node.name}.flat", (name,), shape[:1])


LINEAR: Rules = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Add": _sum,
    "Sum": _sum,
    "Sub": _difference,
    "Mul": _product,
    "Div": _quotient,
    "Neg": _negative,
    "BatchNormalization": _batch_norm,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average,
    "ReduceMean": _reduce_mean,
    "MaxPool": _max_pool,
    "GlobalMaxPool": _global_max,
}
