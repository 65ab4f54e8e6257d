"""Weights and delays of a ``.net`` layer.

Stored weights are integers, usually the even numbers of [-256, 254] that 8 signed bits hold on
Loihi.  A common factor 2 goes into the neuron's input shift: the same sums, narrower mantissas.
"""

from __future__ import annotations

import numpy as np

from snnc.compiler.frontends.netx.neurons import STATE_SHIFT, whole
from snnc.compiler.frontends.record import RawNode
from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.errors import ModelError, UnsupportedError
from snnc.ir.expand import weight_matrix
from snnc.ir.weights import Conv, Sparse

WEIGHT_RANGE = (-256, 255)
MAX_DELAY = 62


def matrix(layer: RawNode, label: str, out: int, inner: int) -> IntArray:
    """A dense weight [out, in]; lava-dl drops axes of extent 1."""
    values = _weight(layer, label)
    if values.size != out * inner:
        raise ModelError(
            "the weight does not fit the layer",
            where=layer.where(label),
            found=values.shape,
            allowed=f"[out, in] = ({out}, {inner})",
        )
    return values.reshape(out, inner)


def convolution(layer: RawNode, shape: Shape) -> Conv:
    """The weights of a conv layer, [out, in / groups, height, width] as stored."""
    groups = layer.integers("groups", 1)[0]
    out, channels = layer.integers("outChannels")[0], layer.integers("inChannels")[0]
    kernel = layer.vector("kernelSize", 2)
    values = _weight(layer, "weight")
    wanted = (out, channels // max(groups, 1), *kernel)
    if groups < 1 or channels % groups or values.size != size_of(wanted):
        raise ModelError(
            "the weight does not fit the layer",
            where=layer.where("weight"),
            found=f"{values.shape}, {groups} groups",
            allowed=f"[out, in / groups, height, width] = {wanted}",
        )
    if len(shape) != 3 or shape[0] != channels:
        raise ModelError(
            "the layer does not fit what flows into it",
            where=layer.where("inChannels"),
            found=f"input {shape}",
            allowed=f"({channels}, height, width)",
        )
    return _window(layer, values.reshape(wanted), groups)


def pooling(layer: RawNode, shape: Shape) -> Conv:
    """The weighted sum of a pool layer: one kernel for every channel."""
    if len(shape) != 3:
        raise ModelError(
            "a pool needs channels, height and width", where=layer.where(), found=shape
        )
    kernel = layer.vector("kernelSize", 2)
    values = _weight(layer, "weight")
    if values.size not in (1, size_of(kernel)):
        raise ModelError(
            "the weight does not fit the layer",
            where=layer.where("weight"),
            found=values.shape,
            allowed=kernel,
        )
    window = values.reshape(kernel) if values.size > 1 else np.full(kernel, values.flat[0])
    return _window(layer, np.broadcast_to(window, (shape[0], 1, *kernel)), shape[0])


def transposed(layer: RawNode, shape: Shape, out_shape: Shape) -> Sparse:
    """The weights of a convT or unpool layer, as rows per neuron.

    A transposed convolution is the transposed matrix of the convolution from its output to its
    input.  Stored: [in, out / groups, height, width]; an unpool has one kernel for all channels.

    Args:
        layer: the stored record.
        shape: of the input, (channels, height, width).
        out_shape: of the output, as the file says.
    """
    kernel = layer.vector("kernelSize", 2)
    values = _weight(layer, "weight")
    if layer.kind == "unpool":
        groups = shape[0]
        wanted = (1, 1, *kernel)
    else:
        groups = layer.integers("groups", 1)[0]
        out = layer.integers("outChannels")[0]
        wanted = (layer.integers("inChannels")[0], out // max(groups, 1), *kernel)
    if groups < 1 or values.size != size_of(wanted):
        raise ModelError(
            "the weight does not fit the layer",
            where=layer.where("weight"),
            found=f"{values.shape}, {groups} groups",
            allowed=f"[in, out / groups, height, width] = {wanted}",
        )
    values = values.reshape(wanted)
    if layer.kind == "unpool":
        values = np.broadcast_to(values, (shape[0], 1, *kernel))
    back = _window(layer, values, groups)
    if len(shape) != 3 or out_shape != (values.shape[1] * groups, *_stretched(back, shape[1:])):
        raise ModelError(
            "the stored shape is not what the layer computes",
            where=layer.where("shape"),
            found=f"{shape} to {out_shape}",
        )
    matrix = weight_matrix(back, out_shape).T.tocsr()
    matrix.sort_indices()
    rows = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)
    return Sparse(*rows, matrix.data, size_of(shape), out_shape)


def _stretched(back: Conv, extent: Shape) -> Shape:
    """Extent of a transposed convolution: (n - 1) stride - 2 padding + dilation (k - 1) + 1."""
    return tuple(
        (n - 1) * s - before - after + d * (k - 1) + 1
        for n, s, (before, after), d, k in zip(
            extent, back.stride, back.padding, back.dilation, back.kernel, strict=True
        )
    )


def without_factor(*weights: IntArray) -> tuple[int, tuple[IntArray, ...]]:
    """Input shift and weights: w << 6 = (w / 2) << 7 where all weights are even."""
    if any((w & 1).any() for w in weights):
        return STATE_SHIFT, weights
    return STATE_SHIFT + 1, tuple(w >> 1 for w in weights)


def delays(layer: RawNode, shape: Shape) -> IntArray:
    """Steps by which each neuron's spikes are late, broadcastable to ``shape``."""
    if not layer.has("delay"):
        return np.zeros((1,) * len(shape), np.int64)
    values = whole(layer, "delay", 0, 2**31)
    if values.max() > MAX_DELAY:
        raise UnsupportedError(
            "a delay that netx clips without failing",
            where=layer.where("delay"),
            found=int(values.max()),
            allowed=f"0 to {MAX_DELAY} steps",
            remedy=f"train with a maximum delay of {MAX_DELAY}",
        )
    if values.size not in (1, size_of(shape)):
        raise UnsupportedError(
            "delays that are not one per neuron",
            where=layer.where("delay"),
            found=f"{values.size} values, shape {values.shape}",
            allowed=f"1 or {size_of(shape)}: axonal delays, as lava-dl exports them",
            remedy="export the network with net.export_hdf5",
        )
    if values.size == 1:
        return values.reshape((1,) * len(shape))
    return values.reshape(shape)


def _weight(layer: RawNode, label: str) -> IntArray:
    if layer.has(f"{label}/imag"):
        raise UnsupportedError(
            "complex weights are not supported",
            where=layer.where(label),
            remedy="they feed resonate-and-fire neurons, which no target here has",
        )
    return whole(layer, label, *WEIGHT_RANGE)


def _window(layer: RawNode, values: IntArray, groups: int) -> Conv:
    """Stride, padding and dilation are stored as (height, width)."""
    padding = layer.vector("padding", 2, 0)
    return Conv(
        values,
        layer.vector("stride", 2, 1),
        tuple((p, p) for p in padding),
        layer.vector("dilation", 2, 1),
        groups,
    )
