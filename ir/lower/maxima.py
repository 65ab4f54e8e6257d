"""Maxima: OR for spikes, and max(a, b) = b + max(a - b, 0) in trees for everything else."""

from __future__ import annotations

import numpy as np

from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.lower.builder import Builder, selection
from snnc.ir.lower.staircase import positive_part
from snnc.ir.nodes import Pool, Reduce


def pool(b: Builder, node: Pool) -> None:
    """Maximum over sliding windows, axis by axis, so that windows share what they overlap in.

    A position outside the image never wins; it is replaced by the nearest position inside, which
    every window that touches the border contains.
    """
    x = node.inputs[0]
    if b.extent(x) == (0, 1):
        _or(b, x, _window_index(b.shape(x), node), node.output_shape(b.shape(x)))
        return
    for axis in range(len(node.kernel)):
        shape = b.shape(x)
        taps = _taps(shape[axis + 1], node, axis)
        index = np.arange(size_of(shape)).reshape(shape)
        parts = [np.take(index, tap, axis=axis + 1) for tap in taps]
        x = maximum(b, [b.gather(x, part, part.shape) for part in parts])
    b.finish([x])


def reduce(b: Builder, node: Reduce) -> None:
    """Maximum over axes of one step."""
    x = node.inputs[0]
    index, shape = axes_last(b.shape(x), node.axes)
    if b.extent(x) == (0, 1):
        _or(b, x, index, shape)
    else:
        columns = np.ascontiguousarray(index.T)
        b.finish([maximum(b, [b.gather(x, column, shape) for column in columns])])


def maximum(b: Builder, terms: list[str]) -> str:
    """Elementwise maximum of tensors of one shape, as a tree."""
    while len(terms) > 1:
        pairs = [terms[k : k + 2] for k in range(0, len(terms), 2)]
        terms = [_larger(b, *pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return terms[0]


def _larger(b: Builder, first: str, second: str) -> str:
    if first == second:
        return first
    (la, ha), (lb, hb) = b.bounds(first), b.bounds(second)
    top = int(np.max(ha - lb, initial=0))
    above = positive_part(b, "max", b.add([first, b.scale(second, -1)]), 0, top)
    if above is None:
        return second
    result = b.add([second, above])
    b.claim(result, (np.maximum(la, lb), np.maximum(ha, hb)))
    return result


def _or(b: Builder, x: str, index: IntArray, shape: Shape) -> None:
    """1 where any of the elements ``index`` [outputs, elements] is; -1 stands for none."""
    rows = np.repeat(np.arange(index.shape[0]), index.shape[1])
    columns = index.reshape(-1)
    inside = columns >= 0
    matrix = selection(columns[inside], rows[inside], (index.shape[0], size_of(b.shape(x))))
    b.finish([b.population("or", b.matrix(x, matrix, shape), np.array([1]))])


def axes_last(shape: Shape, axes: Shape) -> tuple[IntArray, Shape]:
    """Element numbers [outputs, elements] of a reduction that keeps its axes, and its shape."""
    index = np.arange(size_of(shape)).reshape(shape)
    last = tuple(range(len(shape) - len(axes), len(shape)))
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(shape))
    return np.moveaxis(index, axes, last).reshape(size_of(kept), -1), kept


def _taps(extent: int, node: Pool, axis: int) -> list[IntArray]:
    """Positions of every tap of the windows along one axis, moved inside the image."""
    kernel, stride, (before, after) = node.kernel[axis], node.stride[axis], node.padding[axis]
    outputs = (extent + before + after - kernel) // stride + 1
    first = np.arange(outputs) * stride - before
    return [np.clip(first + tap, 0, extent - 1) for tap in range(kernel)]


def _window_index(shape: Shape, node: Pool) -> IntArray:
    """Element numbers [outputs, taps] of all windows; one that is met again is -1."""
    index = np.arange(size_of(shape)).reshape((*shape, 1))
    for axis in range(len(node.kernel)):
        taps = np.stack(_taps(shape[axis + 1], node, axis))
        index = np.stack([np.take(index, tap, axis=axis + 1) for tap in taps], axis=-1)
        index = index.reshape(*index.shape[:-2], -1)
    flat = np.sort(index.reshape(-1, index.shape[-1]), axis=1)
    flat[:, 1:][flat[:, 1:] == flat[:, :-1]] = -1
    return flat
