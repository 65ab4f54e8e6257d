"""Gathers that are convolutions: whole channels, every so many pixels of them.

Slices, strided shortcuts padded with empty channels, and concatenations along the channels pick,
for every channel of the result, one channel of the operand or none.
"""

from __future__ import annotations

import numpy as np

from snnc.ir.arrays import Shape, size_of
from snnc.ir.nodes import Index
from snnc.ir.weights import Conv

MOST_PAIRS = 1 << 24
"""Of channels, which a kernel lists; more are rows of tokens, not channels."""


def conv_of_index(node: Index, position: int, shapes: list[Shape]) -> Conv | None:
    """What a gather does to its operand ``position`` as a convolution of one tap, or None.

    Args:
        shapes: of its operands.
    """
    shape, out = shapes[position], node.shape
    if len(shape) != len(out) or not 2 <= len(shape) <= 4 or not all(out):
        return None
    if shape[0] * out[0] > MOST_PAIRS:
        return None
    first = sum(size_of(before) for before in shapes[:position])
    index = np.arange(size_of(out)) if node.index is None else np.asarray(node.index)
    index = index.reshape(out[0], -1).astype(np.int64) - first
    index[(index < 0) | (index >= size_of(shape))] = -1
    plane = size_of(shape[1:])
    channel = index[:, 0] // plane
    live = np.flatnonzero(channel >= 0)
    if not live.size:
        return None
    pixel = (index[live[0]] % plane).reshape(out[1:])
    stride = []
    for axis, (extent, before) in enumerate(zip(out[1:], shape[1:], strict=True)):
        apart = size_of(shape[2 + axis :])
        second = tuple(int(a == axis and extent > 1) for a in range(len(out) - 1))
        stride.append(int(pixel[second]) // apart if extent > 1 else before)
        if stride[-1] < 1 or (before - 1) // stride[-1] + 1 != extent:
            return None
    picked = np.zeros((1,) * (len(out) - 1), np.int64)
    for axis, (extent, step) in enumerate(zip(out[1:], stride, strict=True)):
        along = np.arange(extent) * step * size_of(shape[2 + axis :])
        picked = picked + along.reshape([-1 if a == axis else 1 for a in range(len(out) - 1)])
    wanted = np.where(channel[:, None] >= 0, channel[:, None] * plane + picked.reshape(1, -1), -1)
    if not np.array_equal(wanted, index):
        return None
    values = np.zeros((out[0], shape[0], *(1,) * (len(out) - 1)), np.int64)
    values[(live, channel[live])] = 1
    none = ((0, 0),) * (len(out) - 1)
    return Conv(values, tuple(stride), none, (1,) * (len(out) - 1))
