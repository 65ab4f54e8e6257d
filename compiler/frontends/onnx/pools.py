"""Windows of pools as ONNX spells them, for real and quantized networks alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from snnc.compiler.frontends.onnx.graph import OnnxGraph, OnnxNode
from snnc.compiler.frontends.onnx.windows import Window, window_of
from snnc.compiler.frontends.onnx.wiring import axis_of, window_extent
from snnc.ir.arrays import RealArray, Shape, size_of
from snnc.ir.errors import UnsupportedError

Windows = Callable[[OnnxNode, Shape], tuple[Shape, Window]]
"""Output shape and window of a pool, for the shape of its operand."""


def pool_window(node: OnnxNode, shape: Shape) -> tuple[Shape, Window]:
    """Output shape and window of a pool over an operand of this shape.

    Raises:
        UnsupportedError: a dilated window, or one that may lie outside its operand.
    """
    if not 2 <= len(shape) <= 4:
        raise UnsupportedError(
            "a pool over 1 to 3 axes is required", where=node.where(), found=f"data (1, *{shape})"
        )
    window = window_of(node, shape[1:])
    if any(d != 1 for d in window.dilation):
        raise UnsupportedError("a dilated pool", where=node.where(), found=window.dilation)
    if any(max(p) >= k for p, k in zip(window.padding, window.kernel, strict=True)):
        raise UnsupportedError(
            "pool padding of a kernel's width", where=node.where(), found=window.padding
        )
    return (shape[0], *window_extent(node, shape[1:], window)), window


def global_window(node: OnnxNode, shape: Shape) -> tuple[Shape, Window]:
    """As ``pool_window``, of a pool over all spatial axes."""
    if len(shape) < 2:
        raise UnsupportedError("a pool over no axes", where=node.where(), found=f"data {shape}")
    spatial = shape[1:]
    ones = (1,) * len(spatial)
    return (shape[0], *ones), Window(spatial, spatial, ((0, 0),) * len(spatial), ones)


def window_counts(node: OnnxNode, spatial: Shape, window: Window) -> RealArray:
    """Positions that a window's sum is divided by, [1, *output extents]."""
    if not window.padded:
        return np.asarray(float(size_of(window.kernel)))
    declared = node.integers("pads", (0,) * (2 * len(spatial)))
    included = bool(node.integer("count_include_pad", 0))
    total: RealArray = np.ones((1,) * (len(spatial) + 1))
    for axis, extent in enumerate(spatial):
        before, after = window.padding[axis]
        line = np.zeros(before + extent + after)
        line[before : before + extent] = 1
        if included:  # what ceil_mode added behind does not count
            explicit = node.text("auto_pad", "NOTSET") == "NOTSET"
            line[: before + extent + (declared[len(spatial) + axis] if explicit else after)] = 1
        starts = range(0, line.size - window.kernel[axis] + 1, window.stride[axis])
        counts = np.array([line[s : s + window.kernel[axis]].sum() for s in starts])
        total = total * counts.reshape(-1, *(1,) * (len(spatial) - 1 - axis))
    return total


def check_spatial_mean(graph: OnnxGraph, node: OnnxNode, shape: Shape) -> None:
    """Raise ``UnsupportedError`` unless a ReduceMean takes all spatial axes, as a pool does."""
    axes = graph.integers(node, 1, "axes") if node.has_input(1) else node.integers("axes")
    if sorted(axis_of(node, a, shape) for a in axes) != list(range(1, len(shape))):
        raise UnsupportedError(
            "a mean over other than all spatial axes", where=node.where(), found=f"axes {axes}"
        )
