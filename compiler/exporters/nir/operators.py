"""NIR fields of the operators without state."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.compiler.exporters.nir.neurons import compact
from snnc.ir.arrays import RealArray, Shape, size_of
from snnc.ir.errors import UnsupportedError
from snnc.ir.nodes import Bias, Index, Linear, Pool
from snnc.ir.weights import Conv

LARGEST_MATRIX = 1 << 24
"""Entries of a 0/1 matrix that stands for a gather or an identity."""


def conv_fields(
    node: Linear, weights: Conv, shape: Shape, bias: Bias | None
) -> tuple[str, dict[str, Any]]:
    """Conv1d or Conv2d; a missing bias is stored as zeros, because readers expect one."""
    axes = len(weights.kernel)
    if axes > 2:
        raise UnsupportedError(
            "NIR's convolutions have one or two axes", where=node.name, found=f"{axes} axes"
        )
    values = np.zeros(weights.values.shape[0])
    if bias is not None:
        channels = (shape_of := weights.output_shape(node.name, shape))[0]
        values = np.array(np.broadcast_to(bias.bias, shape_of).reshape(channels, -1)[:, 0])
    vectors = {"stride": weights.stride, "dilation": weights.dilation}
    fields: dict[str, Any] = {
        "weight": compact(weights.values),
        "bias": compact(values),
        "groups": np.int64(weights.groups),
        "input_shape": np.array(shape[1:], np.int64) if axes == 2 else np.int64(shape[1]),
        "padding": _padding(node, weights),
    }
    for label, vector in vectors.items():
        fields[label] = np.array(vector, np.int64) if axes == 2 else np.int64(vector[0])
    return f"Conv{axes}d", fields


def _padding(node: Linear, weights: Conv) -> Any:
    if all(before == after for before, after in weights.padding):
        amounts = np.array([before for before, _ in weights.padding], np.int64)
        return amounts if len(amounts) == 2 else amounts[0]
    totals = [d * (k - 1) for k, d in zip(weights.kernel, weights.dilation, strict=True)]
    same = tuple((total // 2, total - total // 2) for total in totals)
    if weights.padding == same and max(weights.stride) == 1:
        return "same"
    raise UnsupportedError(
        "NIR pads both sides of an axis equally",
        where=node.name,
        found=f"padding {weights.padding}",
        remedy="pad the kernel with zeros to an odd size",
    )


def pool_fields(node: Pool) -> dict[str, Any]:
    """SumPool2d or AvgPool2d."""
    if node.op != "sum" or len(node.kernel) != 2:
        raise UnsupportedError(
            "NIR has no node for this pool",
            where=node.name,
            found=f"{node.op} over {len(node.kernel)} axes",
            allowed="sums and averages over two axes",
        )
    if any(before != after for before, after in node.padding):
        raise UnsupportedError(
            "NIR pads both sides of an axis equally",
            where=node.name,
            found=f"padding {node.padding}",
        )
    return {
        "kernel_size": np.array(node.kernel, np.int64),
        "stride": np.array(node.stride, np.int64),
        "padding": np.array([before for before, _ in node.padding], np.int64),
    }


def flatten_fields(node: Index, shape: Shape) -> dict[str, Any]:
    """The axes that a reshape merges, counted from the end: half of the readers forget that NIR's
    shapes have no batch axis, and so find the right ones all the same.

    Raises:
        UnsupportedError: a reshape that is more than one merge of neighbouring axes.
    """
    for start in range(len(shape)):
        for end in range(start, len(shape)):
            merged = size_of(shape[start : end + 1])
            if (*shape[:start], merged, *shape[end + 1 :]) == node.shape:
                return {
                    "start_dim": np.int64(start - len(shape)),
                    "end_dim": np.int64(end - len(shape)),
                    "input_type": np.array(shape, np.int64),
                }
    raise UnsupportedError(
        "NIR's only reshape is Flatten",
        where=node.name,
        found=f"{shape} to {node.shape}",
        remedy="reorder the layers so that only neighbouring axes are merged",
    )


def identity_bias(node: Bias, shape: Shape) -> tuple[str, dict[str, Any]]:
    """A bias that belongs to no layer: an identity matrix or a 1x1 convolution with that bias."""
    full = np.array(np.broadcast_to(node.bias, shape))
    if len(shape) == 1 and size_of(shape) ** 2 <= LARGEST_MATRIX:
        return "Affine", {"weight": np.eye(shape[0], dtype=np.float32), "bias": compact(full)}
    channels = full.reshape(shape[0], -1)
    if len(shape) not in (2, 3) or not (channels == channels[:, :1]).all():
        raise UnsupportedError(
            "NIR has no bias per element of a channel",
            where=node.name,
            found=f"bias over {shape}",
            remedy="fold the bias into the layer before it: one number per channel",
        )
    axes = len(shape) - 1
    same = np.eye(shape[0]).reshape(shape[0], shape[0], *(1,) * axes)
    weights = Conv(same, (1,) * axes, ((0, 0),) * axes, (1,) * axes)
    return conv_fields(Linear(node.name, node.inputs, weights), weights, shape, node)


def selections(node: Index, shapes: list[Shape]) -> list[RealArray]:
    """A gather as one 0/1 matrix per operand; exact, since every row has at most one 1.

    Raises:
        UnsupportedError: the result has several axes, which no NIR node could give it.
    """
    sizes = [size_of(shape) for shape in shapes]
    if len(node.shape) != 1 or sum(sizes) * node.shape[0] > LARGEST_MATRIX:
        raise UnsupportedError(
            "NIR has no node that reorders, slices or joins tensors",
            where=node.name,
            found=f"{', '.join(map(str, shapes))} to {node.shape}",
            allowed=f"results of one axis, as a 0/1 matrix up to {LARGEST_MATRIX} entries",
            remedy="move the operator behind the flattening",
        )
    index = np.arange(node.shape[0]) if node.index is None else node.index
    whole = np.zeros((node.shape[0], sum(sizes)))
    chosen = np.flatnonzero(index >= 0)
    whole[chosen, index[chosen]] = 1
    return np.split(whole, np.cumsum(sizes)[:-1], axis=1)
