"""The ``Rows`` of a convolution, from its kernel.

The kernel taps that a pixel meets differ only at the border of the image and, with a stride, from
pixel to pixel within a stride.  So every axis has a few classes of positions, and the rows of all
pixels with the same classes and the same channel are one shape.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.rows import Rows
from snnc.ir.weights import Conv


@dataclass(frozen=True, eq=False)
class _Axis:
    """Classes of the positions along one axis.

    Attributes:
        kind: [positions] class.
        first: [positions] first output position reached, 0 where there is none.
        taps: by class, the kernel taps, those of the first output positions first.
        reach: by class, the output positions beyond the first.
    """

    kind: IntArray
    first: IntArray
    taps: tuple[IntArray, ...]
    reach: tuple[IntArray, ...]


def conv_rows(conv: Conv, shape: Shape) -> Rows:
    """The rows of a convolution's input elements, zero weights left out.

    Args:
        conv: integer weights.
        shape: of its input, (channels, *spatial).
    """
    out = conv.output_shape("conv", shape)
    axes = [
        _axis(n, m, k, s, d, before) for n, m, k, s, d, (before, _) in zip(
            shape[1:], out[1:], conv.kernel, conv.stride, conv.dilation, conv.padding, strict=True
        )
    ]  # fmt: skip
    channels, per_group = shape[0], out[0] // conv.groups
    kernel = _by_source(conv, channels)
    plane = size_of(out[1:])
    parts = [
        _shapes(kernel, plane, *_window(axes, kinds, out[1:], conv.kernel))
        for kinds in itertools.product(*(range(len(axis.taps)) for axis in axes))
    ]
    length, offset, weight, start = (np.concatenate(column) for column in zip(*parts, strict=True))
    kind, first = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for axis, extent in zip(axes, out[1:], strict=True):
        kind = np.add.outer(kind * len(axis.taps), axis.kind).reshape(-1)
        first = np.add.outer(first * extent, axis.first).reshape(-1)
    number = np.add.outer(np.arange(channels), kind * channels).reshape(-1)
    group = np.arange(channels) // (channels // conv.groups)
    shift = np.add.outer(group * per_group * plane, first).reshape(-1) + start[number]
    shift[length[number] == 0] = 0
    return Rows(
        number.astype(np.int32), shift.astype(index_type(size_of(out))), pointers(length),
        offset, weight,
    )  # fmt: skip


def _by_source(conv: Conv, channels: int) -> IntArray:
    """[input channels, output channels of a group, taps]."""
    out, into = conv.values.shape[:2]
    grouped = narrow(conv.values).reshape(conv.groups, out // conv.groups, into, -1)
    turned: IntArray = grouped.transpose(0, 2, 1, 3).reshape(
        channels, out // conv.groups, size_of(conv.kernel)
    )
    return turned


def _axis(extent: int, out: int, taps: int, stride: int, dilation: int, before: int) -> _Axis:
    tap = np.arange(taps)
    ahead = np.arange(extent)[:, None] + before - tap * dilation
    reached = ahead // stride
    met = (ahead % stride == 0) & (reached >= 0) & (reached < out)
    kinds, model, kind = np.unique(met, axis=0, return_index=True, return_inverse=True)
    first = np.where(met, reached, out).min(axis=1)
    first[first == out] = 0
    mine = [np.flatnonzero(row)[::-1] for row in kinds]
    return _Axis(
        kind.reshape(-1), first, tuple(mine),
        tuple(reached[m, t] - first[m] for m, t in zip(model, mine, strict=True)),
    )  # fmt: skip


def _window(
    axes: Sequence[_Axis], kinds: Sequence[int], out: Shape, kernel: Shape
) -> tuple[IntArray, IntArray]:
    """(output positions beyond the first, rising; kernel taps) of one class of pixels."""
    reach, tap = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for axis, kind, extent, taps in zip(axes, kinds, out, kernel, strict=True):
        reach = np.add.outer(reach * extent, axis.reach[kind]).reshape(-1)
        tap = np.add.outer(tap * taps, axis.taps[kind]).reshape(-1)
    return reach, tap


def _shapes(
    kernel: IntArray, plane: int, reach: IntArray, tap: IntArray
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """(lengths, offsets, weights, first offsets) of the shapes of a class, by input channel."""
    weight = kernel[:, :, tap].reshape(kernel.shape[0], -1)
    offset = np.add.outer(np.arange(kernel.shape[1]) * plane, reach).reshape(-1)
    kept = weight != 0
    length = kept.sum(axis=1)
    start = np.zeros(length.size, np.int64)
    if offset.size:
        start = np.where(length > 0, offset[kept.argmax(axis=1)], 0)
    number = index_type(kernel.shape[1] * plane)
    if kept.all():
        beyond = np.tile((offset - offset[:1]).astype(number), kernel.shape[0])
        return length, beyond, weight.reshape(-1), start
    beyond = np.broadcast_to(offset.astype(number), weight.shape)[kept]
    beyond -= np.repeat(start.astype(number), length)
    return length, beyond, weight[kept], start


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    shapes = np.cumsum([0, *(rows.shape_ptr.size - 1 for rows in parts)])
    ends = np.concatenate([np.diff(rows.shape_ptr) for rows in parts])
    return Rows(
        np.concatenate([rows.shape + n for rows, n in zip(parts, shapes, strict=False)]).astype(
            np.int32
        ),
        np.concatenate([rows.shift for rows in parts]),
        pointers(ends),
        np.concatenate([rows.offset for rows in parts]),
        np.concatenate([rows.weight for rows in parts]),
    )


def chosen(rows: Rows, which: IntArray) -> Rows:
    """Some of the rows; the shapes stay."""
    return Rows(rows.shape[which], rows.shift[which], rows.shape_ptr, rows.offset, rows.weight)


def pointers(counts: IntArray) -> IntArray:
    """[n + 1] where each of n runs begins, and the end."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def narrow(values: IntArray) -> IntArray:
    """The same values in the narrowest signed type."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    for kind in (np.int8, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return values.astype(kind)
    return values.astype(np.int64)


def index_type(size: int) -> np.dtype[np.signedinteger[Any]]:
    """A signed type that numbers so many things."""
    return np.dtype(np.int32 if size < 2**31 else np.int64)
