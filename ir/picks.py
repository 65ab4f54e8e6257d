"""Index operators that pick channels and every n-th place, and convolutions behind which they are.

Such a pick of a convolution's output is a convolution with larger strides: rows that share shapes
stay shared.  A shortcut without weights is one (every second pixel, and zeros in new channels).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.weights import Conv


@dataclass(frozen=True, eq=False)
class Pick:
    """Some channels, and along every spatial axis each ``step``-th place from ``start`` on.

    Attributes:
        channel: [channels of the result] input channel; -1: zeros.
        shape: of the result.
    """

    channel: IntArray
    start: Shape
    step: Shape
    shape: Shape


def pick_of(index: IntArray, shape: Shape, source: Shape) -> Pick | None:
    """The index of an ``Index`` node from ``source`` to ``shape`` as a pick; None: it is none."""
    if len(shape) != len(source) or len(shape) < 2:
        return None
    index = index.reshape(shape)
    plane = size_of(source[1:])
    corner = index.reshape(shape[0], -1)[:, 0]
    used = np.flatnonzero(corner >= 0)
    if not used.size:
        return None
    model = index[used[0]] % plane
    first = tuple(int(n) for n in np.unravel_index(int(model.flat[0]), source[1:]))
    step, grid, weight = [], np.zeros((), np.int64), plane
    for axis, (extent, n) in enumerate(zip(shape[1:], source[1:], strict=True)):
        weight //= n
        ahead = model[(0,) * axis + (min(1, extent - 1),) + (0,) * (model.ndim - axis - 1)]
        step.append(max(1, int(ahead - model.flat[0]) // weight))
        place = first[axis] + step[axis] * np.arange(extent)
        grid = np.add.outer(grid, place * weight)
    channel = np.where(corner >= 0, corner // plane, -1)
    expected = channel.reshape(-1, *(1,) * grid.ndim) * plane + grid
    expected[channel < 0] = -1
    return Pick(channel, first, tuple(step), shape) if np.array_equal(expected, index) else None


def picked(conv: Conv, source: Shape, pick: Pick) -> Conv | None:
    """A pick of what a convolution makes of an input of shape ``source``, as one; None: it is none.

    Grouped convolutions keep their channels; and nothing is cut off behind the last place.
    """
    values = conv.values
    if not np.array_equal(pick.channel, np.arange(values.shape[0])):
        if conv.groups > 1:
            return None
        values = np.where(
            (pick.channel >= 0).reshape(-1, *(1,) * (values.ndim - 1)), values[pick.channel], 0
        )
    stride, padding = [], []
    for axis, (start, step) in enumerate(zip(pick.start, pick.step, strict=True)):
        before = conv.padding[axis][0] - start * conv.stride[axis]
        if before < 0:
            if conv.dilation[axis] > 1:
                return None
            # Taps of weight zero in front, because nothing is padded by less than nothing.
            front = [(0, 0)] * values.ndim
            front[2 + axis] = (-before, 0)
            values, before = np.pad(values, front), 0
        stride.append(step * conv.stride[axis])
        reach = (values.shape[2 + axis] - 1) * conv.dilation[axis]
        last = (pick.shape[1 + axis] - 1) * stride[axis] - before + reach
        padding.append((before, max(0, last + 1 - source[1 + axis])))
    if any(max(ab) < 0 for ab in padding):
        return None
    result = Conv(values, tuple(stride), tuple(padding), conv.dilation, conv.groups)
    if any(n + a + b <= (k - 1) * d for n, (a, b), k, d in zip(
        source[1:], padding, result.kernel, result.dilation, strict=True
    )):  # fmt: skip
        return None
    return result if result.output_shape("pick", source) == pick.shape else None


def copying(channels: int, axes: int, pick: Pick) -> Conv:
    """A convolution that makes of its input the same, to be picked from."""
    once = (1,) * axes
    same = np.array_equal(pick.channel, np.arange(channels))
    values = np.ones((channels, 1, *once)) if same else np.eye(channels).reshape(
        channels, channels, *once
    )  # fmt: skip
    return Conv(values.astype(np.int64), once, ((0, 0),) * axes, once, channels if same else 1)
