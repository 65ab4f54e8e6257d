"""Linear maps of a traced value: matrices, convolutions, channel-wise scales."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.compiler.frontends.torch.build import Builder
from snnc.compiler.frontends.torch.handlers import refuse
from snnc.compiler.frontends.torch.layout import (
    AxisError,
    Dim,
    Value,
    describe,
    element,
    elements,
    has,
    permute,
)
from snnc.compiler.frontends.torch.nodes import digest
from snnc.ir.arrays import RealArray, Shape, size_of
from snnc.ir.nodes import Linear
from snnc.ir.weights import Conv, Dense, window_shape

Padding = tuple[tuple[int, int], ...]


def dense(builder: Builder, x: Value, weight: RealArray, bias: Any) -> Value:
    """``x W^T + b`` over the last axis; over several tokens it is a convolution of extent 1."""
    if weight.ndim != 2 or not x.dims or has(x.dims[-1], "t", "n"):
        raise AxisError(
            "a linear layer over an axis that is not of elements",
            where=builder.where(),
            found=describe(x.dims),
        )
    outs, ins = weight.shape
    tokens = _count(x.dims[:-1])
    if tokens == 1:
        node = builder.tensor(x, (ins,))
        name = builder.add(Linear, (node,), (outs,), digest(weight), weights=Dense(weight))
        result = builder.result(x, name, (*x.dims[:-1], element(outs)))
    else:
        moved = permute(x, [len(x.dims) - 1, *range(len(x.dims) - 1)])
        node = builder.tensor(moved, (ins, tokens))
        weights = Conv(weight[:, :, None], (1,), ((0, 0),), (1,))
        name = builder.add(Linear, (node,), (outs, tokens), digest(weight), weights=weights)
        across = builder.result(x, name, (element(outs), *x.dims[:-1]))
        result = permute(across, [*range(1, len(x.dims)), 0])
    return result if bias is None else builder.bias(result, bias)


def matrix(builder: Builder, weight: RealArray, x: Value) -> Value:
    """``W x`` over the second last axis."""
    order = [*range(len(x.dims) - 2), len(x.dims) - 1, len(x.dims) - 2]
    return permute(dense(builder, permute(x, order), weight, None), order)


def convolution(
    builder: Builder,
    x: Value,
    weight: RealArray,
    bias: Any,
    stride: Shape,
    padding: Padding,
    dilation: Shape,
    groups: int,
) -> Value:
    """Cross-correlation over the last axes of (batch, channels, *spatial)."""
    spatial = weight.ndim - 2
    x = batched(builder, x, spatial)
    lead, own = x.dims[0], x.shape[1:]
    extra = _count((lead,))
    if extra > 1:  # several images per sample: one more spatial axis of kernel extent 1
        if spatial > 2:
            raise refuse(builder, "a convolution over more than three axes", describe(x.dims))
        x = permute(x, [1, 0, *range(2, len(x.dims))])
        weight = weight[:, :, None]
        stride, dilation, padding = (1, *stride), (1, *dilation), ((0, 0), *padding)
        own = (own[0], extra, *own[1:])
    weights = Conv(weight, stride, padding, dilation, groups)
    out = weights.output_shape(builder.where(), own)
    node = builder.tensor(x, own)
    key = (digest(weight), stride, padding, dilation, groups)
    name = builder.add(Linear, (node,), out, key, weights=weights)
    if extra > 1:
        dims: tuple[Dim, ...] = (element(out[0]), lead, *elements(out[2:]))
        result = permute(builder.result(x, name, dims), [1, 0, *range(2, len(dims))])
    else:
        result = builder.result(x, name, (lead, *elements(out)))
    if bias is None:
        return result
    return builder.bias(result, np.asarray(bias).reshape(-1, *(1,) * spatial))


def batched(builder: Builder, x: Value, spatial: int) -> Value:
    """The value as (batch, channels, *spatial), all but the first of elements."""
    if len(x.dims) != spatial + 2 or any(has(dim, "t", "n") for dim in x.dims[1:]):
        raise AxisError(
            f"a layer over {spatial} axes takes (batch, channels, *spatial)",
            where=builder.where(),
            found=describe(x.dims),
            remedy="pass time_axis, or merge time into the batch before the layer",
        )
    return x


def window_padding(
    builder: Builder, extent: Shape, kernel: Shape, stride: Shape, dilation: Shape,
    padding: Any,
) -> Padding:  # fmt: skip
    """Padding as (before, after) per axis; "same" and "valid" as PyTorch counts them."""
    del extent
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * len(kernel)
        if any(s != 1 for s in stride):
            raise refuse(builder, 'padding "same" with a stride', stride)
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((int(p), int(p)) for p in padding)


def extents(builder: Builder, own: Shape, kernel: Shape, stride: Shape, padding: Padding) -> Shape:
    """Spatial extents behind a window."""
    return window_shape(builder.where(), own, kernel, stride, padding, (1,) * len(kernel))


def _count(dims: tuple[Dim, ...]) -> int:
    return size_of(Value("", dims).element_shape)
