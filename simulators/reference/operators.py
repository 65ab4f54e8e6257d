"""The stateless primitives on a batch: every array is int64 [samples, *shape]."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from snnc.ir.arrays import Shape
from snnc.ir.integer_network import IntegerNode
from snnc.ir.nodes import (
    Add,
    Index,
    Linear,
    Lut,
    MatMul,
    Mul,
    Output,
    Pool,
    Reduce,
    Rescale,
    Rounding,
)
from snnc.ir.weights import Conv, Dense, Sparse, Weights


def round_shift(product: Any, shift: int, rounding: Rounding) -> Any:
    """``round(product / 2^shift)``: toward -infinity, toward zero, or to nearest, ties to even."""
    if rounding == "floor":
        return product >> shift
    if rounding == "toward_zero":
        return np.sign(product) * (np.abs(product) >> shift)
    if shift == 0:
        return product
    floor, rest, half = product >> shift, product & ((1 << shift) - 1), 1 << (shift - 1)
    return floor + ((rest > half) | ((rest == half) & (floor & 1 == 1)))


def apply(node: IntegerNode, operands: list[Any]) -> Any:
    """Value of a stateless operator for its operands' values."""
    first = operands[0]
    if isinstance(node, Linear):
        return linear(node.weights, first)
    if isinstance(node, Add):
        return sum(operands[1:], start=first)
    if isinstance(node, Mul):
        return first * operands[1]
    if isinstance(node, MatMul):
        return matmul(node, first, operands[1])
    if isinstance(node, Reduce):
        return reduce(node, first)
    if isinstance(node, Pool):
        return pool(node, first)
    if isinstance(node, Index):
        return index(node, operands)
    if isinstance(node, Rescale):
        limit = 1 << (node.bits - 1)
        rounded = round_shift(node.multiplier * first, node.shift, node.rounding)
        return np.clip(rounded, -limit, limit - 1)
    if isinstance(node, Lut):
        return node.table[np.clip(first - node.first, 0, node.table.size - 1)]
    assert isinstance(node, Output)
    return first


def linear(weights: Weights, x: Any) -> Any:
    """``W x`` for a dense, convolutional or sparse W; works for real numbers as well."""
    if isinstance(weights, Dense):
        return x @ weights.values.T
    if isinstance(weights, Conv):
        return convolution(weights, x)
    return sparse(weights, x)


def sparse(weights: Sparse, x: Any) -> Any:
    """Row by row: y_r = sum of value * x[column] over the entries of row r."""
    flat = x.reshape(x.shape[0], -1)
    rows = np.repeat(np.arange(weights.row_ptr.size - 1), np.diff(weights.row_ptr))
    y = np.zeros((x.shape[0], weights.row_ptr.size - 1), x.dtype)
    np.add.at(y.T, rows, (flat[:, weights.column] * weights.values).T)
    return y.reshape(x.shape[0], *weights.shape)


def convolution(conv: Conv, x: Any) -> Any:
    """Cross-correlation, one kernel tap at a time over the whole image."""
    samples = x.shape[0]
    out_shape = conv.output_shape("conv", x.shape[1:])
    padded = np.pad(x, [(0, 0), (0, 0), *conv.padding])
    groups, group_out = conv.groups, out_shape[0] // conv.groups
    kernel = conv.values.reshape(groups, group_out, conv.values.shape[1], -1)
    y = np.zeros((samples, groups, group_out, int(np.prod(out_shape[1:]))), x.dtype)
    for position, tap in enumerate(itertools.product(*(range(k) for k in conv.kernel))):
        window = padded[_window(tap, conv.stride, conv.dilation, out_shape[1:])]
        window = window.reshape(samples, groups, conv.values.shape[1], -1)
        y += np.matmul(kernel[..., position], window)
    return y.reshape(samples, *out_shape)


def matmul(node: MatMul, a: Any, b: Any) -> Any:
    """Batched product over the last two axes."""
    left = np.swapaxes(a, -1, -2) if node.transpose_a else a
    return left @ (np.swapaxes(b, -1, -2) if node.transpose_b else b)


def reduce(node: Reduce, x: Any) -> Any:
    """Sum or maximum over axes, kept with extent 1."""
    axes = tuple(axis + 1 for axis in node.axes)  # axis 0 is the batch
    return (np.sum if node.op == "sum" else np.max)(x, axis=axes, keepdims=True)


def over_time(node: Reduce, steps: list[Any]) -> Any:
    """``reduce`` over all steps of a sample as well."""
    return reduce(node, np.sum(steps, axis=0) if node.op == "sum" else np.max(steps, axis=0))


def pool(node: Pool, x: Any) -> Any:
    """Sum or maximum over each window."""
    out = node.output_shape(x.shape[1:])
    lowest = 0 if node.op == "sum" else _lowest(x.dtype)
    padded = np.pad(x, [(0, 0), (0, 0), *node.padding], constant_values=lowest)
    once = (1,) * len(node.kernel)
    taps = [
        padded[_window(tap, node.stride, once, out[1:])]
        for tap in itertools.product(*(range(k) for k in node.kernel))
    ]
    return np.sum(taps, axis=0) if node.op == "sum" else np.max(taps, axis=0)


def _lowest(dtype: Any) -> Any:
    return np.iinfo(dtype).min if np.issubdtype(dtype, np.integer) else -np.inf


def index(node: Index, operands: list[Any]) -> Any:
    """Gather from the concatenated operands; -1 reads a zero."""
    samples = operands[0].shape[0]
    flat = np.concatenate([x.reshape(samples, -1) for x in operands], axis=1)
    if node.index is not None:
        zero = np.zeros((samples, 1), flat.dtype)
        flat = np.concatenate([flat, zero], axis=1)[:, node.index]
    return flat.reshape(samples, *node.shape)


def _window(tap: Shape, stride: Shape, dilation: Shape, extent: Shape) -> tuple[slice, ...]:
    """All positions one kernel tap sees, as slices over (sample, channel, *spatial)."""
    slices = [slice(None), slice(None)]
    for k, s, d, n in zip(tap, stride, dilation, extent, strict=True):
        slices.append(slice(k * d, k * d + (n - 1) * s + 1, s))
    return tuple(slices)
