"""NIR's stateless nodes to operators of ``snnc.ir``; every shape is recomputed here."""

from __future__ import annotations

import numpy as np

from snnc.compiler.frontends.record import Notes, RawNode
from snnc.ir.arrays import RealArray, Shape, size_of
from snnc.ir.errors import ModelError, UnsupportedError
from snnc.ir.network import RealNode
from snnc.ir.nodes import Bias, Delay, Index, Linear, Pool, Scale
from snnc.ir.weights import Conv, Dense, Sparse, Weights

LINEAR = ("Affine", "Linear", "Conv1d", "Conv2d")
POOLS = ("SumPool2d", "AvgPool2d")
# The operators a node becomes, and the shape behind them.
Lowered = tuple[tuple[RealNode, ...], Shape]


def tail(node: RawNode) -> str:
    """Name of the last operator a node becomes."""
    if node.kind in LINEAR and _has_bias(node):
        return f"{node.name}.bias"
    return f"{node.name}.mean" if node.kind == "AvgPool2d" else node.name


def lower_linear(node: RawNode, operand: str, shape: Shape, transpose: bool) -> Lowered:
    """Affine, Linear, Conv1d, Conv2d: weights, then the bias if it is not zero."""
    weights = _conv(node, shape) if node.kind.startswith("Conv") else _dense(node, shape, transpose)
    linear = Linear(node.name, (operand,), weights)
    out = weights.output_shape(node.where("weight"), shape)
    if not _has_bias(node):
        return (linear,), out
    bias = node.real("bias")
    if node.kind.startswith("Conv"):
        bias = _channel_bias(node, bias, out)
    elif bias.size != 1 and bias.shape != out:
        raise ModelError(
            "bias and weight disagree",
            where=node.where("bias"),
            found=f"bias {bias.shape}, output {out}",
            allowed=f"{out}",
        )
    return (linear, Bias(tail(node), (node.name,), bias)), out


def _has_bias(node: RawNode) -> bool:
    return node.has("bias") and bool((node.real("bias") != 0).any())


def _channel_bias(node: RawNode, bias: RealArray, out: Shape) -> RealArray:
    if bias.size not in (1, out[0]):
        raise ModelError(
            "bias and weight disagree",
            where=node.where("bias"),
            found=f"{bias.size} values",
            allowed=f"{out[0]}, one per output channel",
        )
    return bias.reshape(-1, *(1 for _ in out[1:]))


def matrix(node: RawNode, transpose: bool) -> RealArray:
    """Weight of Affine or Linear as [..., out, in]."""
    weight = node.real("weight")
    if weight.ndim < 2:
        raise ModelError(
            "a weight has at least two axes",
            where=node.where("weight"),
            found=weight.shape,
            allowed="[..., out, in]",
        )
    return np.swapaxes(weight, -1, -2) if transpose else weight


def _dense(node: RawNode, shape: Shape, transpose: bool) -> Weights:
    weight = matrix(node, transpose)
    wanted = (*weight.shape[:-2], weight.shape[-1])
    if shape != wanted:
        raise ModelError(
            "the weight does not fit what flows into the node",
            where=node.where("weight"),
            found=f"weight {weight.shape}, input {shape}",
            allowed=f"input {wanted}",
            remedy=_linear_remedy(weight, shape),
        )
    return Dense(weight) if weight.ndim == 2 else _stacked(weight)


def _linear_remedy(weight: RealArray, shape: Shape) -> str:
    if shape == (*weight.shape[:-2], weight.shape[-2]):
        return "looks like an old Spyx export with [in, out] weights; use --transpose-linear"
    if size_of(shape) == weight.shape[-1]:
        return "add a Flatten node before it"
    return "check the layer before this node"


def _stacked(weight: RealArray) -> Sparse:
    """Leading axes are independent maps: a block-diagonal matrix."""
    out, inner = weight.shape[-2:]
    blocks = size_of(weight.shape[:-2])
    column = np.arange(blocks * inner).reshape(blocks, 1, inner).repeat(out, axis=1)
    pointers = np.arange(blocks * out + 1) * inner
    shape = (*weight.shape[:-2], out)
    return Sparse(pointers, column.reshape(-1), weight.reshape(-1), blocks * inner, shape)


def _conv(node: RawNode, shape: Shape) -> Conv:
    weight, axes = node.real("weight"), 1 if node.kind == "Conv1d" else 2
    if weight.ndim != axes + 2:
        raise ModelError(
            "the weight has the wrong number of axes",
            where=node.where("weight"),
            found=weight.shape,
            allowed="[out, in / groups"
            + ", kernel]" * (axes == 1)
            + ", height, width]" * (axes == 2),
        )
    stride, dilation = node.vector("stride", axes), node.vector("dilation", axes)
    groups = node.vector("groups", 1)[0]
    _check_conv_input(node, weight, groups, shape)
    padding = _padding(node, weight.shape[2:], stride, dilation)
    return Conv(weight, stride, padding, dilation, groups)


def _check_conv_input(node: RawNode, weight: RealArray, groups: int, shape: Shape) -> None:
    axes = weight.ndim - 2
    if groups < 1 or weight.shape[0] % groups:
        raise ModelError(
            "the groups do not divide the output channels",
            where=node.where("groups"),
            found=f"{groups} groups, {weight.shape[0]} channels",
        )
    channels = weight.shape[1] * groups
    if len(shape) != axes + 1 or shape[0] != channels:
        raise ModelError(
            "the weight does not fit what flows into the node",
            where=node.where("weight"),
            found=f"weight {weight.shape}, groups {groups}, input {shape}",
            allowed=f"input ({channels}, {'length' if axes == 1 else 'height, width'})",
        )
    extent = node.shape("input_shape")
    if extent is not None and extent[-axes:] != shape[1:]:
        raise ModelError(
            "the stored input shape is not what flows into the node",
            where=node.where("input_shape"),
            found=f"stored {extent}, actual {shape[1:]}",
            remedy="check stride and padding of the layer before this node",
        )


def _padding(
    node: RawNode, kernel: Shape, stride: Shape, dilation: Shape
) -> tuple[tuple[int, int], ...]:
    text = node.text("padding")
    if text is None:
        return tuple((p, p) for p in node.vector("padding", len(kernel)))
    if text == "valid":
        return tuple((0, 0) for _ in kernel)
    if text != "same":
        raise ModelError(
            "unknown padding",
            where=node.where("padding"),
            found=text,
            allowed="same, valid, numbers",
        )
    if max(stride) > 1:
        raise UnsupportedError(
            "padding 'same' is only defined for stride 1 (as in PyTorch)",
            where=node.where("padding"),
            found=f"stride {stride}",
            remedy="store the padding as numbers",
        )
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


def lower_pool(node: RawNode, operand: str, shape: Shape) -> Lowered:
    """SumPool2d, or AvgPool2d as a sum and a scale (padded positions count, as in PyTorch)."""
    if len(shape) != 3:
        raise ModelError(
            "a 2-D pool needs (channels, height, width)", where=node.where(), found=f"input {shape}"
        )
    kernel, stride = node.vector("kernel_size", 2), node.vector("stride", 2)
    padding = tuple((p, p) for p in node.vector("padding", 2))
    pool = Pool(node.name, (operand,), "sum", kernel, stride, padding)
    out = pool.output_shape(shape)
    if node.kind == "SumPool2d":
        return (pool,), out
    mean = Scale(tail(node), (node.name,), np.asarray(1 / size_of(kernel)))
    return (pool, mean), out


def lower_scale(node: RawNode, operand: str, shape: Shape) -> Lowered:
    """Scale: one factor per element (or one for all)."""
    scale = node.real("scale")
    if scale.size == 1:
        scale = scale.reshape(())
    elif scale.shape != shape:
        raise ModelError(
            "the parameter does not fit what flows into the node",
            where=node.where("scale"),
            found=f"scale {scale.shape}, input {shape}",
        )
    return (Scale(node.name, (operand,), scale),), shape


def flattened(node: RawNode, shape: Shape, shift: int = 0) -> Shape | None:
    """Shape after Flatten with ``start_dim - shift``; None where the axes do not exist."""
    start = node.integers("start_dim")[0]
    end = node.integers("end_dim")[0]
    start = start - shift if start >= 0 else start + len(shape)
    end = end - shift if end >= 0 else end + len(shape)
    if not 0 <= start <= end < len(shape):
        return None
    return (*shape[:start], size_of(shape[start : end + 1]), *shape[end + 1 :])


def lower_delay(node: RawNode, operand: str, shape: Shape, dt: float, notes: Notes) -> Lowered:
    """Delay in whole steps; several different delays become one each and a selection."""
    steps = delay_steps(node, dt, notes)
    if steps.size != 1 and steps.shape != shape:
        raise ModelError(
            "the parameter does not fit what flows into the node",
            where=node.where("delay"),
            found=f"delay {steps.shape}, input {shape}",
        )
    different = np.unique(steps)
    if different.size == 1:
        count = int(different[0])
        if count == 0:
            return (Index(node.name, (operand,), shape),), shape
        return (Delay(node.name, (operand,), count),), shape
    names = [f"{node.name}.{int(k)}" if k else operand for k in different]
    delays = [
        Delay(name, (operand,), int(k)) for name, k in zip(names, different, strict=True) if k
    ]
    source = np.searchsorted(different, steps).reshape(-1) * size_of(shape)
    index = source + np.arange(size_of(shape))
    return (*delays, Index(node.name, tuple(names), shape, index)), shape


def delay_steps(node: RawNode, dt: float, notes: Notes | None = None) -> RealArray:
    """The stored delays in steps."""
    delay = node.real("delay")
    steps = np.round(delay / dt)
    if (delay < 0).any() or steps.max() > 10_000:
        raise ModelError(
            "a delay is 0 to 10000 steps",
            where=node.where("delay"),
            found=f"{float(delay.min()):g} to {float(delay.max()):g} at dt {dt:g}",
            remedy="is --dt in the same unit as the delays?",
        )
    if notes is not None and np.abs(steps * dt - delay).max() > 1e-3 * dt:
        notes.add("delay rounded to whole steps", node.name)
    return steps
