"""Gathers that are convolutions: whole channels, every so many pixels of them.

Slices, strided shortcuts padded with empty channels, and concatenations along the channels pick,
for every channel of the result, one channel of the operand or none.
"""

from __future__ import annotations

import numpy as np

from snnc.ir.arrays import Shape, size_of
from snnc.ir.nodes import Index
from snnc.ir.weights import Conv

MOST_WEIGHTS = 1 << 24
"""Of the kernel, nearly all 0; more are rows of tokens, not channels."""


def conv_of_index(node: Index, position: int, shapes: list[Shape]) -> Conv | None:
    """What a gather does to its operand ``position`` as a convolution, or None.

    Args:
        shapes: of its operands.
    """
    shape, out = shapes[position], node.shape
    if len(shape) != len(out) or not 2 <= len(shape) <= 4 or not all(out):
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
    start = tuple(int(n) for n in np.unravel_index(int(pixel.flat[0]), shape[1:]))
    if shape[0] * out[0] * size_of(tuple(n + 1 for n in start)) > MOST_WEIGHTS:
        return None
    stride, picked = [], np.zeros((), np.int64)
    for axis, (extent, before) in enumerate(zip(out[1:], shape[1:], strict=True)):
        apart = size_of(shape[2 + axis :])
        second = tuple(int(a == axis) for a in range(len(out) - 1))
        step = (int(pixel[second]) - int(pixel.flat[0])) // apart if extent > 1 else before
        if step < 1 or (before - start[axis] - 1) // step + 1 != extent:
            return None
        stride.append(step)
        picked = np.add.outer(picked, (start[axis] + np.arange(extent) * step) * apart)
    wanted = np.where(channel[:, None] >= 0, channel[:, None] * plane + picked.reshape(1, -1), -1)
    if not np.array_equal(wanted, index):
        return None
    # Taps of weight 0 lead to a first pixel that is not the corner.
    taps = tuple(n + 1 for n in start)
    values = np.zeros((out[0], shape[0], size_of(taps)), np.int64)
    values[live, channel[live], -1] = 1
    none = ((0, 0),) * (len(out) - 1)
    return Conv(values.reshape(out[0], shape[0], *taps), tuple(stride), none, (1,) * (len(out) - 1))
