"""Weights of a linear operator, shared by the real and the integer network.

The dtype tells the two apart: float64 in a ``Network``, int64 in an ``IntegerNetwork``.
Shapes exclude batch and time.  Convolution is cross-correlation, as in PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray, Shape, frozen, integers, reals, size_of
from snnc.ir.errors import ModelError


def _values(where: str, array: AnyArray) -> AnyArray:
    """Integers stay integers, everything else must be a finite real."""
    raw = np.asarray(array)
    result: AnyArray = integers(where, raw) if raw.dtype.kind in "iub" else reals(where, raw)
    return result


@dataclass(frozen=True, eq=False)
class Dense:
    """``y = W x`` on a one-dimensional tensor; ``values`` is [out, in]."""

    values: AnyArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _values("dense weight", self.values))
        if self.values.ndim != 2 or 0 in self.values.shape:
            raise ModelError("a dense weight is a matrix [out, in]", found=self.values.shape)

    def output_shape(self, where: str, shape: Shape) -> Shape:
        """Shape of the result for an input of ``shape``."""
        if shape != (self.values.shape[1],):
            raise ModelError(
                "input and weight disagree",
                where=where,
                found=f"input {shape}, weight [out, in] = {self.values.shape}",
                allowed=f"input ({self.values.shape[1]},)",
            )
        return (self.values.shape[0],)


@dataclass(frozen=True, eq=False)
class Conv:
    """Convolution over 1 to 3 spatial axes.

    ``values`` is [out, in / groups, *kernel]; ``stride`` and ``dilation`` have one number per
    axis, ``padding`` one (before, after) pair per axis; padded positions contribute zero.
    """

    values: AnyArray
    stride: Shape
    padding: tuple[tuple[int, int], ...]
    dilation: Shape
    groups: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _values("convolution weight", self.values))
        axes = self.values.ndim - 2
        if not 1 <= axes <= 3 or 0 in self.values.shape:
            raise ModelError(
                "a convolution weight is [out, in / groups, *kernel]", found=self.values.shape
            )
        if not len(self.stride) == len(self.padding) == len(self.dilation) == axes:
            raise ModelError(
                "stride, padding and dilation need one entry per axis", found=f"{axes} axes"
            )
        bad = min(*self.stride, *self.dilation) < 1 or min(p for ab in self.padding for p in ab) < 0
        if bad or self.groups < 1 or self.values.shape[0] % self.groups:
            raise ModelError(
                "stride, dilation and groups are positive, padding is not negative, and groups "
                "divides the channels",
                found=f"{self.stride} {self.dilation} {self.padding} groups={self.groups}",
            )

    @property
    def kernel(self) -> Shape:
        """Extent of the kernel along each spatial axis."""
        return tuple(int(k) for k in self.values.shape[2:])

    def output_shape(self, where: str, shape: Shape) -> Shape:
        """Shape of the result for an input of ``shape`` = (channels, *spatial)."""
        channels = self.values.shape[1] * self.groups
        if len(shape) != self.values.ndim - 1 or shape[0] != channels:
            raise ModelError(
                "input and weight disagree",
                where=where,
                found=f"input {shape}, weight {self.values.shape}, groups {self.groups}",
                allowed=f"input ({channels}, *spatial)",
            )
        return (
            int(self.values.shape[0]),
            *window_shape(where, shape[1:], self.kernel, self.stride, self.padding, self.dilation),
        )


@dataclass(frozen=True, eq=False)
class Sparse:
    """``y = W x`` on flattened tensors, W in compressed rows, one row per output element."""

    row_ptr: IntArray
    column: IntArray
    values: AnyArray
    inputs: int
    shape: Shape

    def __post_init__(self) -> None:
        object.__setattr__(self, "row_ptr", integers("sparse row_ptr", self.row_ptr))
        object.__setattr__(self, "column", integers("sparse column", self.column))
        object.__setattr__(self, "values", _values("sparse weight", self.values))
        ordered = bool((np.diff(self.row_ptr) >= 0).all()) if self.row_ptr.size else False
        if (
            not ordered
            or self.row_ptr.shape != (size_of(self.shape) + 1,)
            or self.row_ptr[0] != 0
            or self.row_ptr[-1] != self.column.size
            or self.column.shape != self.values.shape
            or (self.column.size and not 0 <= self.column.min() <= self.column.max() < self.inputs)
        ):
            raise ModelError(
                "malformed sparse weight",
                found=f"{self.row_ptr.size} row pointers, {self.column.size} columns",
                allowed=f"{size_of(self.shape) + 1} rising pointers, columns below {self.inputs}",
            )

    def output_shape(self, where: str, shape: Shape) -> Shape:
        """Shape of the result; the input may have any shape of ``inputs`` elements."""
        if size_of(shape) != self.inputs:
            raise ModelError(
                "input and weight disagree",
                where=where,
                found=f"input {shape} = {size_of(shape)} elements",
                allowed=f"{self.inputs} elements",
            )
        return self.shape


Weights = Dense | Conv | Sparse


def with_values(weights: Weights, values: AnyArray) -> Weights:
    """The same connectivity with other numbers (e.g. quantized ones)."""
    if np.shape(values) != weights.values.shape:
        raise ModelError("new weights must keep the shape", found=np.shape(values))
    return replace(weights, values=frozen(values))


def window_shape(
    where: str,
    extent: Shape,
    kernel: Shape,
    stride: Shape,
    padding: tuple[tuple[int, int], ...],
    dilation: Shape,
) -> Shape:
    """Spatial output shape of a sliding window: floor((n + p - d(k-1) - 1) / s) + 1."""
    out = tuple(
        (n + before + after - d * (k - 1) - 1) // s + 1
        for n, k, s, (before, after), d in zip(
            extent, kernel, stride, padding, dilation, strict=True
        )
    )
    if min(out) < 1:
        raise ModelError(
            "the window is larger than its padded input",
            where=where,
            found=f"input {extent}, kernel {kernel}, dilation {dilation}, padding {padding}",
        )
    return out
