"""The functions behind pooling layers: windows, and bins of the adaptive forms."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.compiler.frontends.torch.build import Builder
from snnc.compiler.frontends.torch.handlers import Handler, per_axis, refuse
from snnc.compiler.frontends.torch.layout import Value, elements
from snnc.compiler.frontends.torch.linear import Padding, batched, extents
from snnc.ir.arrays import RealArray, Shape, size_of
from snnc.ir.nodes import Linear, Pool
from snnc.ir.weights import Sparse


def max_pool(axes: int) -> Handler:
    """``F.max_pool1d`` to ``3d``."""

    def pool(builder: Builder, x: Value, kernel_size: Any, stride: Any = None, padding: Any = 0,
             dilation: Any = 1, ceil_mode: bool = False,
             return_indices: bool = False) -> Value:  # fmt: skip
        if return_indices or any(d != 1 for d in per_axis(dilation, axes)):
            raise refuse(builder, "a max pool with dilation or indices", (dilation, return_indices))
        kernel, strides, pads = _window(builder, x, axes, kernel_size, stride, padding, ceil_mode)
        return _pooled(builder, builder.unpooled(x), "max", kernel, strides, pads)

    return pool


def avg_pool(axes: int) -> Handler:
    """``F.avg_pool1d`` to ``3d``."""

    def pool(builder: Builder, x: Value, kernel_size: Any, stride: Any = None, padding: Any = 0,
             ceil_mode: bool = False, count_include_pad: bool = True,
             divisor_override: Any = None) -> Value:  # fmt: skip
        kernel, strides, pads = _window(builder, x, axes, kernel_size, stride, padding, ceil_mode)
        summed = _pooled(builder, x, "sum", kernel, strides, pads)
        if divisor_override:
            return builder.scale(summed, 1.0 / float(divisor_override))
        counted = per_axis(padding, axes) if count_include_pad else (0,) * axes
        sizes = [
            _members(n, m, k, s, before, include)
            for n, m, k, s, (before, _), include in zip(
                x.shape[2:], summed.shape[2:], kernel, strides, pads, counted, strict=True
            )
        ]
        count = np.ones(())
        for members in sizes:
            count = np.multiply.outer(count, members)
        if (count == count.reshape(-1)[0]).all():
            return builder.scale(summed, 1.0 / float(count.reshape(-1)[0]))
        return builder.scale(summed, 1.0 / count)

    return pool


def adaptive_avg_pool(axes: int) -> Handler:
    """``F.adaptive_avg_pool1d`` to ``3d``."""

    def pool(builder: Builder, x: Value, output_size: Any) -> Value:
        batched(builder, x, axes)
        own, wanted = x.shape[2:], _adaptive(output_size, axes, x)
        if all(n % m == 0 for n, m in zip(own, wanted, strict=True)):
            kernel = tuple(n // m for n, m in zip(own, wanted, strict=True))
            summed = _pooled(builder, x, "sum", kernel, kernel, ((0, 0),) * axes)
            return builder.scale(summed, 1.0 / size_of(kernel))
        return _uneven(builder, x, own, wanted)

    return pool


def adaptive_max_pool(axes: int) -> Handler:
    """``F.adaptive_max_pool1d`` to ``3d``, where the bins are equal."""

    def pool(builder: Builder, x: Value, output_size: Any, return_indices: bool = False) -> Value:
        batched(builder, x, axes)
        own, wanted = x.shape[2:], _adaptive(output_size, axes, x)
        if return_indices or any(n % m for n, m in zip(own, wanted, strict=True)):
            raise refuse(builder, "an adaptive max pool with unequal bins", f"{own} to {wanted}")
        kernel = tuple(n // m for n, m in zip(own, wanted, strict=True))
        return _pooled(builder, builder.unpooled(x), "max", kernel, kernel, ((0, 0),) * axes)

    return pool


def _adaptive(output_size: Any, axes: int, x: Value) -> Shape:
    given = output_size if isinstance(output_size, tuple | list) else (output_size,) * axes
    return tuple(n if m is None else int(m) for n, m in zip(x.shape[2:], given, strict=True))


def _uneven(builder: Builder, x: Value, own: Shape, wanted: Shape) -> Value:
    """Average over bins of different extents: a sparse matrix."""
    per_channel: RealArray = np.ones((1, 1))
    for n, m in zip(own, wanted, strict=True):
        bins = np.zeros((m, n))
        for k in range(m):
            low, high = k * n // m, -(-(k + 1) * n // m)
            bins[k, low:high] = 1.0 / (high - low)
        per_channel = np.kron(per_channel, bins)
    channels = x.shape[1]
    rows, columns = np.nonzero(per_channel)
    offsets = np.arange(channels)[:, None]
    pointers = np.zeros(channels * per_channel.shape[0] + 1, np.int64)
    np.cumsum(np.tile(np.bincount(rows, minlength=per_channel.shape[0]), channels),
              out=pointers[1:])  # fmt: skip
    sources = (columns[None] + offsets * per_channel.shape[1]).reshape(-1)
    values = np.tile(per_channel[rows, columns], channels)
    shape = (channels, *wanted)
    weights = Sparse(pointers, sources, values, channels * size_of(own), shape)
    node = builder.tensor(x, (channels, *own))
    name = builder.add(Linear, (node,), shape, ("adaptive", own, wanted), weights=weights)
    return builder.result(x, name, (x.dims[0], *elements(shape)))


def _window(
    builder: Builder, x: Value, axes: int, kernel: Any, stride: Any, padding: Any, ceil: bool
) -> tuple[Shape, Shape, Padding]:
    """Kernel, stride and padding per axis; rounding up becomes padding behind the image."""
    batched(builder, x, axes)
    kernels, before = per_axis(kernel, axes), per_axis(padding, axes)
    strides = kernels if stride is None or stride == [] else per_axis(stride, axes)
    pads = []
    for n, k, s, p in zip(x.shape[2:], kernels, strides, before, strict=True):
        after = p
        if ceil:
            count = -(-(n + 2 * p - k) // s) + 1
            if (count - 1) * s >= n + p:  # the last window would start behind the image
                count -= 1
            after = max(p, (count - 1) * s + k - n - p)
        pads.append((p, after))
    return kernels, strides, tuple(pads)


def _pooled(
    builder: Builder, x: Value, op: Any, kernel: Shape, stride: Shape, padding: Padding
) -> Value:
    batched(builder, x, len(kernel))
    images = size_of(Value("", (x.dims[0],)).element_shape)
    own = (images * x.shape[1], *x.shape[2:])  # pooling does not mix channels
    out = (own[0], *extents(builder, own[1:], kernel, stride, padding))
    node = builder.tensor(x, own)
    key = (op, kernel, stride, padding)
    name = builder.add(
        Pool, (node,), out, key, op=op, kernel=kernel, stride=stride, padding=padding
    )
    return builder.result(x, name, (x.dims[0], *elements((x.shape[1], *out[1:]))))


def _members(n: int, windows: int, k: int, s: int, before: int, include: int) -> Any:
    """How many positions each window of one axis counts."""
    low = np.arange(windows) * s - before
    return (np.minimum(low + k, n + include) - np.maximum(low, -include)).astype(np.float64)


TABLE: dict[str, Handler] = {
    **{f"max_pool{k}d": max_pool(k) for k in (1, 2, 3)},
    **{f"avg_pool{k}d": avg_pool(k) for k in (1, 2, 3)},
    **{f"adaptive_avg_pool{k}d": adaptive_avg_pool(k) for k in (1, 2, 3)},
    **{f"adaptive_max_pool{k}d": adaptive_max_pool(k) for k in (1, 2, 3)},
}
