"""Which axis of a traced tensor is time, batch or element, and which elements it shows.

A dimension of a torch tensor is a product of factors: time ``t``, batch ``n``, elements ``e``.
``[T * N, C, H, W]`` has the dimensions ``(t n)(e)(e)(e)``.  Reshaping splits and merges element
factors at will; time and batch stay whole, or the model mixes samples or steps and is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.errors import UnsupportedError

Tag = Literal["t", "n", "e"]
Factor = tuple[Tag, int]
Dim = tuple[Factor, ...]
Pooling = Literal["sum", "mean", "last"]


class AxisError(UnsupportedError):
    """An operation that treats time or batch like elements; another ``time_axis`` may fit."""

    code = "unsupported"


def element(size: int) -> Dim:
    """A dimension of elements only."""
    return (("e", size),)


def elements(shape: Iterable[int]) -> tuple[Dim, ...]:
    """Dimensions of elements only."""
    return tuple(element(size) for size in shape)


def size(dim: Dim) -> int:
    """Extent of one dimension."""
    return size_of(tuple(extent for _, extent in dim))


def has(dim: Dim, *tags: Tag) -> bool:
    """Whether a dimension has a factor of one of these kinds."""
    return any(tag in tags for tag, _ in dim)


@dataclass(frozen=True, eq=False)
class Value:
    """A traced tensor: a view of the elements of one network node.

    Attributes:
        node: the node in the network.
        dims: of the torch tensor, outermost first.
        index: which of the node's elements (flat) this tensor shows, in row-major order of its
            element factors; -1 is a zero; None is all of them in order.
        steps: of a model that loops over time itself: the steps whose values are summed here;
            None is the value of every step.
        pooled: how steps were joined, when the model joined all of them.
        clip: bounds of a clamp that awaits its rounding (an integer firing rule), and a constant
            added since.
        slots: into how many binary slots per step the model spread a count; the value is the sum
            over the slots.
    """

    node: str
    dims: tuple[Dim, ...]
    index: IntArray | None = None
    steps: tuple[int, ...] | None = None
    pooled: Pooling | None = None
    clip: tuple[float, ...] | None = None
    slots: int = 1

    @property
    def shape(self) -> Shape:
        """Of the torch tensor."""
        return tuple(size(dim) for dim in self.dims)

    @property
    def element_shape(self) -> Shape:
        """Extents of the element factors, one per factor."""
        return tuple(extent for dim in self.dims for tag, extent in dim if tag == "e")

    @property
    def has_time(self) -> bool:
        """Whether one of the dimensions contains time."""
        return any(has(dim, "t") for dim in self.dims)

    def indices(self) -> IntArray:
        """``index`` as an array of ``element_shape``."""
        if self.index is None:
            return np.arange(size_of(self.element_shape)).reshape(self.element_shape)
        return self.index.reshape(self.element_shape)

    def with_indices(self, indices: IntArray, dims: tuple[Dim, ...]) -> Value:
        """The same node seen through other indices."""
        return replace(self, index=indices.reshape(-1), dims=dims)


def reshape(value: Value, shape: Sequence[int], where: str) -> Value:
    """``torch.reshape``: row-major order stays, so only the factors are regrouped.

    Raises:
        AxisError: the new shape cuts through time or batch.
    """
    wanted = _resolved(value, shape, where)
    rest = list(merged(tuple(factor for dim in value.dims for factor in dim)))
    dims: list[Dim] = []
    for extent in wanted:
        taken: list[Factor] = []
        missing = extent
        while missing > 1:
            tag, available = rest.pop(0)
            step = math.gcd(available, missing) if tag == "e" else available
            if step == 1 or missing % step:
                raise AxisError(
                    "the reshape cuts through the time or batch axis, or through an axis that "
                    "does not split evenly",
                    where=where,
                    found=f"{value.shape} to {tuple(wanted)}",
                    remedy="keep time and batch as axes of their own, or pass time_axis",
                )
            taken.append((tag, step))
            missing //= step
            if step != available:
                rest.insert(0, (tag, available // step))
        dims.append(merged(tuple(taken)) or element(1))
    return replace(value, dims=tuple(dims))


def merged(dim: Dim) -> Dim:
    """Neighbouring element factors joined, factors of extent 1 dropped."""
    result: list[Factor] = []
    for tag, extent in dim:
        if extent == 1:
            continue
        if tag == "e" and result and result[-1][0] == "e":
            result[-1] = ("e", result[-1][1] * extent)
        else:
            result.append((tag, extent))
    return tuple(result)


def _resolved(value: Value, shape: Sequence[int], where: str) -> list[int]:
    total, wanted = size_of(value.shape), [int(extent) for extent in shape]
    if wanted.count(-1) == 1:
        known = -size_of(tuple(wanted))
        wanted[wanted.index(-1)] = total // known if known else -1
    if min(wanted, default=1) < 1 or size_of(tuple(wanted)) != total:
        raise UnsupportedError(
            "the reshape does not keep the number of elements",
            where=where,
            found=f"{value.shape} to {tuple(shape)}",
        )
    return wanted


def permute(value: Value, order: Sequence[int]) -> Value:
    """``torch.permute``."""
    order = [axis % len(value.dims) for axis in order]
    positions: list[list[int]] = []
    count = 0
    for dim in value.dims:
        own = sum(tag == "e" for tag, _ in dim)
        positions.append(list(range(count, count + own)))
        count += own
    axes = [axis for source in order for axis in positions[source]]
    dims = tuple(value.dims[source] for source in order)
    if axes == sorted(axes):
        return replace(value, dims=dims)
    return value.with_indices(value.indices().transpose(axes), dims)


def expand(value: Value, target: Sequence[Dim], where: str) -> Value:
    """Broadcast to ``target``; a new time or batch axis repeats the value."""
    own = (element(1),) * (len(target) - len(value.dims)) + value.dims
    indices = replace(value, dims=own).indices()
    axis = 0
    for dim, wanted in zip(own, target, strict=True):
        if dim == wanted:
            axis += sum(tag == "e" for tag, _ in dim)
            continue
        if size(dim) != 1:
            raise AxisError(
                "the operands' time, batch and element axes do not line up",
                where=where,
                found=f"{describe(value.dims)} against {describe(target)}",
            )
        extents = [extent for tag, extent in wanted if tag == "e"]
        indices = np.squeeze(indices, axis)
        for extent in extents:
            indices = np.repeat(np.expand_dims(indices, axis), extent, axis)
            axis += 1
    if indices.size == size_of(value.element_shape):
        return replace(value, dims=tuple(target))
    return value.with_indices(indices, tuple(target))


def broadcast(a: Sequence[Dim], b: Sequence[Dim], where: str) -> tuple[Dim, ...]:
    """Common dimensions of two operands, as NumPy aligns them.

    Raises:
        AxisError: an axis is time in one and elements in the other.
    """
    rank = max(len(a), len(b))
    left = (element(1),) * (rank - len(a)) + tuple(a)
    right = (element(1),) * (rank - len(b)) + tuple(b)
    dims = []
    for x, y in zip(left, right, strict=True):
        if x != y and size(x) != 1 and size(y) != 1:
            raise AxisError(
                "the operands' time, batch and element axes do not line up",
                where=where,
                found=f"{describe(a)} against {describe(b)}",
            )
        dims.append(y if size(x) == 1 else x)
    return tuple(dims)


def describe(dims: Iterable[Dim]) -> str:
    """For messages: ``[4=time x 2=batch, 16]``."""
    names = {"t": "=time", "n": "=batch", "e": ""}
    return "[" + ", ".join(
        " x ".join(f"{extent}{names[tag]}" for tag, extent in dim) or "1" for dim in dims
    ) + "]"  # fmt: skip
