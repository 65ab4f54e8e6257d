"""Convolutions one after the other, or added up, as one convolution where that is exact."""

from __future__ import annotations

import math

import numpy as np

from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.weights import Conv


def identity(shape: Shape) -> Conv:
    """The convolution that leaves an image of ``shape`` = (channels, *spatial) as it is."""
    axes = len(shape) - 1
    once = (1,) * axes
    ones = np.ones((shape[0], 1, *once), np.int64)
    return Conv(ones, once, ((0, 0),) * axes, once, shape[0])


def summed(first: Conv, second: Conv, shape: Shape) -> Conv | None:
    """The sum of two convolutions of one image as one convolution, or None.

    Args:
        first, second: the operators.
        shape: of their input.
    """
    out = first.output_shape("sum", shape)
    if first.stride != second.stride or second.output_shape("sum", shape) != out:
        return None
    both = first, second
    # Taps lie on a grid that holds those of both kernels; a kernel of one tap fits any grid.
    grid = tuple(
        math.gcd(
            *(c.dilation[axis] for c in both if c.kernel[axis] > 1),
            first.padding[axis][0] - second.padding[axis][0],
        ) or 1
        for axis in range(len(shape) - 1)
    )  # fmt: skip
    before = tuple(max(pair[0][0], pair[1][0]) for pair in zip(*(c.padding for c in both),
                                                               strict=True))  # fmt: skip
    extent = tuple(
        max(_place(c, axis, before[axis], grid[axis]).stop for c in both)
        for axis in range(len(grid))
    )
    groups = math.gcd(first.groups, second.groups)
    values = np.zeros((out[0], shape[0] // groups, *extent), np.int64)
    for conv in both:
        place = tuple(_place(conv, axis, before[axis], grid[axis]) for axis in range(len(grid)))
        per = out[0] // conv.groups
        for group in range(conv.groups):
            mine = slice(group * per, (group + 1) * per)
            into = conv.values.shape[1]
            start = group * into % values.shape[1]
            values[(mine, slice(start, start + into), *place)] += conv.values[mine]
    padding = tuple(
        # As much as the last output needs, which reads zeros behind the image.
        (front, max(0, (m - 1) * s + (k - 1) * d + 1 - n - front))
        for front, m, s, k, d, n in zip(
            before, out[1:], first.stride, extent, grid, shape[1:], strict=True
        )
    )
    result = Conv(values, first.stride, padding, grid, groups)
    return result if result.output_shape("sum", shape) == out else None


def _place(conv: Conv, axis: int, before: int, grid: int) -> slice:
    """Where the taps of a kernel lie among those of a sum with so much padding before."""
    first, step = (before - conv.padding[axis][0]) // grid, max(1, conv.dilation[axis] // grid)
    return slice(first, first + (conv.kernel[axis] - 1) * step + 1, step)


def composed(first: Conv, shape: Shape, then: Conv) -> Conv | None:
    """``then`` after ``first`` as one convolution, or None.

    One of the two must treat channels alone, as a pool does, or have a single tap; and what
    ``then`` pads with zeros must be what ``first`` would have computed there, beyond its own
    padding.

    Args:
        first, then: the operators.
        shape: of the input of ``first``.
    """
    alone = [c.groups == c.values.shape[0] == c.values.shape[1] * c.groups for c in (first, then)]
    mixed = not any(alone)
    if (mixed and not _mixable(first, then)) or any(d != 1 for d in then.dilation):
        return None
    out = first.output_shape("chain", shape)
    padding = []
    for axis, extent in enumerate(out[1:]):
        before, after = then.padding[axis]
        step, mine = first.stride[axis], first.padding[axis]
        beyond = np.concatenate([np.arange(-before, 0), np.arange(extent, extent + after)])
        read = np.add.outer(
            beyond * step - mine[0], np.arange(first.kernel[axis]) * first.dilation[axis]
        )
        if ((read >= 0) & (read < shape[1 + axis])).any():
            return None
        reach = (first.kernel[axis] - 1) * first.dilation[axis]
        last = (extent + after - 1) * step - mine[0] + reach
        # So much padding that ``then`` ends where it ended; ``read`` shows that it holds zeros.
        padding.append((mine[0] + before * step, max(0, last + 1 - shape[1 + axis])))
    if mixed:
        values = _mixed_kernel(first, then)
    else:
        values = _composed_kernel(first, then, by_first=alone[1])
    stride = tuple(a * b for a, b in zip(first.stride, then.stride, strict=True))
    groups = first.groups if alone[1] else then.groups  # 1 of both where channels mix
    result = Conv(values, stride, tuple(padding), (1,) * len(stride), groups)
    wanted = then.output_shape("chain", out)
    return result if result.output_shape("chain", shape) == wanted else None


def _mixable(first: Conv, then: Conv) -> bool:
    """Whether channels of both may be multiplied out, exactly and without many sums of taps."""
    if first.groups != 1 or then.groups != 1:
        return False
    if size_of(first.kernel) > 1 and size_of(then.kernel) > 1:
        return False
    largest = int(np.abs(first.values).max()) * int(np.abs(then.values).max())
    return largest * int(first.values.shape[0]) < 2**53


def _mixed_kernel(first: Conv, then: Conv) -> IntArray:
    """[out, in, *taps] of two convolutions of which one has a single tap.

    In floating point, where products are fast; ``_mixable`` knows that they are exact.
    """
    out, into = then.values.shape[0], first.values.shape[1]
    if size_of(then.kernel) == 1:
        extent = tuple((k - 1) * d + 1 for k, d in zip(first.kernel, first.dilation, strict=True))
        place = tuple(slice(None, None, d) for d in first.dilation)
        left = then.values.reshape(out, -1).astype(np.float64)
        product = left @ first.values.reshape(first.values.shape[0], -1).astype(np.float64)
        taps = product.reshape(out, into, *first.kernel)
    else:
        extent = tuple((k - 1) * s + 1 for k, s in zip(then.kernel, first.stride, strict=True))
        place = tuple(slice(None, None, s) for s in first.stride)
        by_tap = np.moveaxis(then.values.reshape(out, then.values.shape[1], -1), 1, 2)
        product = by_tap.astype(np.float64) @ first.values.reshape(-1, into).astype(np.float64)
        taps = np.moveaxis(product, 2, 1).reshape(out, into, *then.kernel)
    values = np.zeros((out, into, *extent), np.int64)
    values[(slice(None), slice(None), *place)] = np.rint(taps).astype(np.int64)
    return values


def _composed_kernel(first: Conv, then: Conv, *, by_first: bool) -> IntArray:
    """[out, in / groups, *taps]: every tap of ``then`` adds a copy of ``first``'s kernel.

    Args:
        by_first: ``then`` treats channels alone, so that ``first`` tells who reads whom.
    """
    extent = tuple(
        (b - 1) * s + (a - 1) * d + 1
        for a, b, s, d in zip(first.kernel, then.kernel, first.stride, first.dilation, strict=True)
    )
    reader = first if by_first else then
    values = np.zeros((*reader.values.shape[:2], *extent), np.int64)
    into = reader.values.shape[1]
    group = np.arange(reader.values.shape[0]) // (reader.values.shape[0] // reader.groups)
    channel = group[:, None] * into + np.arange(into)  # [out, in / groups] input channels
    for tap in np.ndindex(then.kernel):
        place = tuple(
            slice(t * s, t * s + (k - 1) * d + 1, d)
            for t, s, k, d in zip(tap, first.stride, first.kernel, first.dilation, strict=True)
        )
        if by_first:
            weight = then.values[(slice(None), 0, *tap)]
            values[(slice(None), slice(None), *place)] += first.values * weight.reshape(
                -1, *(1,) * (first.values.ndim - 1)
            )
        else:
            weight = then.values[(slice(None), slice(None), *tap)]
            mine = first.values[:, 0][channel]
            values[(slice(None), slice(None), *place)] += mine * weight.reshape(
                *weight.shape, *(1,) * (first.values.ndim - 2)
            )
    return values
