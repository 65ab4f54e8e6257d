"""Strides, paddings and extents of sliding windows as ONNX spells them, as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.compiler.frontends.onnx.graph import OnnxNode
from snnc.ir.arrays import Shape
from snnc.ir.errors import ModelError, UnsupportedError

Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Window:
    """One number, or one (before, after) pair, per spatial axis."""

    kernel: Shape
    stride: Shape
    padding: Pads
    dilation: Shape

    @property
    def padded(self) -> bool:
        """Whether the window leaves its input."""
        return any(before or after for before, after in self.padding)


def window_of(node: OnnxNode, spatial: Shape, kernel: Shape | None = None) -> Window:
    """The window of a Conv, MaxPool or AveragePool over an input of these spatial extents.

    ``ceil_mode`` becomes padding behind the last element, as far as a window still starts inside
    the input or its padding in front.

    Raises:
        ModelError: attributes that do not fit the input or each other.
        UnsupportedError: windows that need a negative padding.
    """
    axes = len(spatial)
    kernel = node.integers("kernel_shape", kernel)
    ones = (1,) * axes
    stride, dilation = node.integers("strides", ones), node.integers("dilations", ones)
    for label, values in (("kernel_shape", kernel), ("strides", stride), ("dilations", dilation)):
        if len(values) != axes or min(values, default=1) < 1 or max(values, default=1) > 1 << 20:
            raise ModelError(
                "one positive number per spatial axis is required",
                where=node.where(f"attribute '{label}'"),
                found=values,
                allowed=f"{axes} numbers for an input of extents {spatial}",
            )
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    padding = _padding(node, spatial, reach, stride)
    if node.integer("ceil_mode", 0):
        padding = tuple(
            _ceiled(n, r, s, p) for n, r, s, p in zip(spatial, reach, stride, padding, strict=True)
        )
    return Window(kernel, stride, padding, dilation)


def _padding(node: OnnxNode, spatial: Shape, reach: Shape, stride: Shape) -> Pads:
    mode = node.text("auto_pad", "NOTSET")
    if mode == "VALID":
        return ((0, 0),) * len(spatial)
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        totals = [
            max(0, (-(-n // s) - 1) * s + r - n)
            for n, r, s in zip(spatial, reach, stride, strict=True)
        ]
        pairs = [(t // 2, t - t // 2) for t in totals]
        return tuple(p if mode == "SAME_UPPER" else p[::-1] for p in pairs)
    if mode != "NOTSET":
        raise ModelError("unknown padding", where=node.where("attribute 'auto_pad'"), found=mode)
    pads = node.integers("pads", (0,) * (2 * len(spatial)))
    if len(pads) != 2 * len(spatial) or max(pads, default=0) > 1 << 20:
        raise ModelError(
            "two pads per spatial axis are required",
            where=node.where("attribute 'pads'"),
            found=pads,
        )
    if min(pads, default=0) < 0:
        raise UnsupportedError("negative padding", where=node.where("attribute 'pads'"), found=pads)
    return tuple(zip(pads[: len(spatial)], pads[len(spatial) :], strict=True))


def _ceiled(extent: int, reach: int, stride: int, pad: tuple[int, int]) -> tuple[int, int]:
    before, after = pad
    room = extent + before + after - reach
    count = -(-room // stride) + 1
    if (count - 1) * stride >= extent + before:  # the last window would start behind the input
        count -= 1
    return before, max(after, (count - 1) * stride + reach - extent - before)
