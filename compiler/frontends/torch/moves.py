"""Functions that only move elements: no network node until an operator needs the new order.

``selecting`` takes parts of tensors, ``joining`` puts them together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from snnc.compiler.frontends.torch.build import Builder
from snnc.compiler.frontends.torch.handlers import Handler, axes_of, refuse
from snnc.compiler.frontends.torch.layout import (
    AxisError,
    Dim,
    Value,
    describe,
    element,
    has,
    merged,
    permute,
    reshape,
    size,
)
from snnc.compiler.frontends.torch.tensor import numpy_of
from snnc.ir.arrays import Shape, size_of


def gathered(builder: Builder, x: Value, move: Callable[[Any], Any]) -> Value:
    """Apply a function that moves elements to their numbers; -1 stands for a zero.

    The function sees an int64 tensor of the value's rank in which time and batch have extent 1.

    Raises:
        AxisError: the function touches an axis of time or batch.
    """
    inner = [inner_extent(dim) for dim in x.dims]
    ids = torch.from_numpy(np.ascontiguousarray(x.indices())).reshape(inner)
    moved = move(ids)
    result = [int(n) for n in moved.shape]
    outer = [dim for dim in x.dims if has(dim, "t", "n")]
    if outer and len(result) != len(inner):
        raise AxisError(
            "the number of axes changes while time or batch is among them",
            where=builder.where(),
            found=describe(x.dims),
        )
    dims: list[Dim] = []
    for axis, extent in enumerate(result):
        dim = x.dims[axis] if axis < len(x.dims) else ()
        if not has(dim, "t", "n"):
            dims.append(element(extent))
        elif extent == inner[axis]:
            dims.append(dim)
        else:
            raise AxisError(
                "a slice, repetition or padding along time or batch",
                where=builder.where(),
                found=describe(x.dims),
            )
    return replace(x, index=np.asarray(moved.numpy()).reshape(-1), dims=tuple(dims))


def inner_extent(dim: Dim) -> int:
    """How many elements lie along a dimension."""
    return size_of(tuple(extent for tag, extent in dim if tag == "e"))


def sizes_of(given: tuple[Any, ...]) -> list[int]:
    """``view(2, 3)`` and ``view((2, 3))``."""
    flat = given[0] if len(given) == 1 and isinstance(given[0], tuple | list) else given
    return [int(n) for n in flat]


# -- regrouping -----------------------------------------------------------------------------------


def reshape_(builder: Builder, x: Value, *shape: Any) -> Value:
    """``reshape``, ``view``."""
    return reshape(x, sizes_of(shape), builder.where())


def flatten(builder: Builder, x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    """``flatten``."""
    rank = len(x.dims)
    start, end = start_dim % rank, end_dim % rank
    joined = merged(tuple(factor for dim in x.dims[start : end + 1] for factor in dim))
    del builder
    return replace(x, dims=(*x.dims[:start], joined or element(1), *x.dims[end + 1 :]))


def unflatten(builder: Builder, x: Value, dim: int, sizes: Any) -> Value:
    """``unflatten``."""
    axis, shape = dim % len(x.dims), x.shape
    new = [int(n) for n in sizes]
    if -1 in new:
        new[new.index(-1)] = shape[axis] // -size_of(tuple(new))
    part = reshape(Value("", (x.dims[axis],)), new, builder.where())
    return replace(x, dims=(*x.dims[:axis], *part.dims, *x.dims[axis + 1 :]))


def squeeze(builder: Builder, x: Value, dim: Any = None) -> Value:
    """``squeeze``."""
    del builder
    axes = axes_of(x, dim)
    kept = [d for k, d in enumerate(x.dims) if k not in axes or size(d) != 1]
    return replace(x, dims=tuple(kept))


def unsqueeze(builder: Builder, x: Value, dim: int) -> Value:
    """``unsqueeze``."""
    del builder
    axis = dim % (len(x.dims) + 1)
    return replace(x, dims=(*x.dims[:axis], element(1), *x.dims[axis:]))


# -- reordering -----------------------------------------------------------------------------------


def permute_(builder: Builder, x: Value, *dims: Any) -> Value:
    """``permute``."""
    del builder
    return permute(x, sizes_of(dims))


def transpose(builder: Builder, x: Value, dim0: int, dim1: int) -> Value:
    """``transpose``."""
    del builder
    order = list(range(len(x.dims)))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return permute(x, order)


def t(builder: Builder, x: Value) -> Value:
    """``x.t()``, ``x.T`` of a matrix."""
    return x if len(x.dims) < 2 else transpose(builder, x, 0, 1)


def mT(builder: Builder, x: Value) -> Value:  # noqa: N802 - torch's name
    """``x.mT``."""
    return transpose(builder, x, -1, -2)


def movedim(builder: Builder, x: Value, source: Any, destination: Any) -> Value:
    """``movedim``."""
    order = [int(k) for k in torch.movedim(
        torch.empty(tuple(range(2, 2 + len(x.dims)))), source, destination
    ).shape]  # fmt: skip
    del builder
    return permute(x, [k - 2 for k in order])


# -- within elements ------------------------------------------------------------------------------


def roll(builder: Builder, x: Value, shifts: Any, dims: Any = None) -> Value:
    """``roll`` over element axes."""
    elements_only(builder, x, range(len(x.dims)) if dims is None else dims)
    return gathered(builder, x, lambda ids: torch.roll(ids, shifts, dims))


def flip(builder: Builder, x: Value, *dims: Any) -> Value:
    """``flip`` over element axes."""
    elements_only(builder, x, sizes_of(dims))
    return gathered(builder, x, lambda ids: torch.flip(ids, sizes_of(dims)))


def elements_only(builder: Builder, x: Value, dims: Any) -> None:
    """Raise where one of the axes is time or batch."""
    axes = axes_of(x, list(dims) if not isinstance(dims, int) else dims)
    if any(has(x.dims[axis], "t", "n") for axis in axes):
        raise refuse(builder, "elements move along time or batch", describe(x.dims))


def pad(builder: Builder, x: Value, pad: Any, mode: str = "constant", value: Any = None) -> Value:
    """``F.pad`` with a constant, or by repetition of the image."""
    widths = [int(n) for n in pad]
    if mode != "constant":
        return gathered(builder, x, lambda ids: _padded(ids, widths, mode))
    result = gathered(builder, x, lambda ids: torch.nn.functional.pad(ids, widths, "constant", -1))
    filled = numpy_of(0.0 if value is None else value)
    if not filled.any():
        return result
    inside = torch.nn.functional.pad(torch.ones([inner_extent(d) for d in x.dims]), widths)
    return builder.bias(result, float(filled) * (1.0 - inside.double().numpy()))


def _padded(ids: Any, widths: list[int], mode: str) -> Any:
    return torch.nn.functional.pad(ids.double(), widths, mode).long()


def pixel_shuffle(builder: Builder, x: Value, upscale_factor: int) -> Value:
    """``F.pixel_shuffle``."""
    return gathered(builder, x, lambda ids: torch.pixel_shuffle(ids, upscale_factor))


def pixel_unshuffle(builder: Builder, x: Value, downscale_factor: int) -> Value:
    """``F.pixel_unshuffle``."""
    return gathered(builder, x, lambda ids: torch.pixel_unshuffle(ids, downscale_factor))


def channel_shuffle(builder: Builder, x: Value, groups: int) -> Value:
    """``F.channel_shuffle``."""
    shape: Shape = x.shape
    wide = reshape(x, [shape[0], groups, shape[1] // groups, *shape[2:]], builder.where())
    return reshape(transpose(builder, wide, 1, 2), shape, builder.where())


def shape_of(other: Any) -> Shape:
    """Shape of a tensor, traced or not."""
    return tuple(int(n) for n in other.shape)


TABLE: dict[str, Handler] = {
    "reshape": reshape_, "view": reshape_, "_unsafe_view": reshape_, "unsafe_view": reshape_,
    "reshape_as": lambda builder, x, other: reshape_(builder, x, *shape_of(other)),
    "view_as": lambda builder, x, other: reshape_(builder, x, *shape_of(other)),
    "flatten": flatten, "unflatten": unflatten, "ravel": flatten, "squeeze": squeeze,
    "unsqueeze": unsqueeze, "permute": permute_, "transpose": transpose, "swapaxes": transpose,
    "swapdims": transpose, "t": t, "T": t, "mT": mT, "movedim": movedim, "moveaxis": movedim,
    "roll": roll, "flip": flip, "pad": pad,
    "constant_pad_nd": lambda builder, x, pad_, value=0.0: pad(builder, x, pad_, "constant", value),
    "pixel_shuffle": pixel_shuffle, "pixel_unshuffle": pixel_unshuffle,
    "channel_shuffle": channel_shuffle,
}  # fmt: skip
