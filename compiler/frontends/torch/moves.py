"""Functions that only move elements: no network node until an operator needs the new order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from snnc.compiler.frontends.torch.build import Builder, digest
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
from snnc.ir.nodes import Index


def gathered(builder: Builder, x: Value, move: Callable[[Any], Any]) -> Value:
    """Apply a function that moves elements to their numbers; -1 stands for a zero.

    The function sees an int64 tensor of the value's rank in which time and batch have extent 1.

    Raises:
        AxisError: the function touches an axis of time or batch.
    """
    inner = [_inner(dim) for dim in x.dims]
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


def _inner(dim: Dim) -> int:
    return size_of(tuple(extent for tag, extent in dim if tag == "e"))


def _sizes(given: tuple[Any, ...]) -> list[int]:
    """``view(2, 3)`` and ``view((2, 3))``."""
    flat = given[0] if len(given) == 1 and isinstance(given[0], tuple | list) else given
    return [int(n) for n in flat]


# -- regrouping -----------------------------------------------------------------------------------


def reshape_(builder: Builder, x: Value, *shape: Any) -> Value:
    """``reshape``, ``view``."""
    return reshape(x, _sizes(shape), builder.where())


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
    return permute(x, _sizes(dims))


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


# -- selecting ------------------------------------------------------------------------------------


def getitem(builder: Builder, x: Value, key: Any) -> Value:
    """``x[...]``: one step of a time axis, or any selection of elements."""
    if isinstance(x, tuple | list):
        return x[key]
    keys = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in [k for k in keys if not isinstance(k, torch.Tensor)]:
        at = keys.index(Ellipsis)
        given = sum(k is not None for k in keys) - 1
        keys[at : at + 1] = [slice(None)] * (len(x.dims) - given)
    axis, full, picked = 0, [], x
    for k in keys:
        if k is not None and axis >= len(picked.dims):
            raise refuse(builder, "too many indices", key)
        if k is not None and has(picked.dims[axis], "t") and not _is_all(k, picked.dims[axis]):
            picked = step_of(builder, picked, axis, k)
            continue
        full.append(k)
        axis += k is not None
    if all(k is None or (isinstance(k, slice) and k == slice(None)) for k in full):
        for at, k in enumerate(full):
            picked = unsqueeze(builder, picked, at) if k is None else picked
        return picked
    return _selected(builder, picked, full)


def _selected(builder: Builder, x: Value, keys: list[Any]) -> Value:
    plain = [numpy_key(k) for k in keys if k is not None]
    for k, dim in zip(plain, x.dims, strict=False):
        if has(dim, "t", "n") and not _is_all(k, dim):
            raise AxisError(
                "a part of the batch or time axis is taken",
                where=builder.where(),
                found=describe(x.dims),
            )
    kept = tuple(slice(k, k + 1 or None) if isinstance(k, int) else k for k in plain)
    result = gathered(builder, x, lambda ids: ids[kept])
    rest = list(result.dims)
    dims: list[Dim] = []
    for k in keys:
        if k is None:
            dims.append(element(1))
        else:
            dim = rest.pop(0)
            dims += [] if isinstance(k, int) else [dim]
    return replace(result, dims=(*dims, *rest))


def numpy_key(key: Any) -> Any:
    """An index as plain Python or torch data."""
    if isinstance(key, torch.Tensor | slice):
        return key
    return key if isinstance(key, list) else int(key)


def _is_all(key: Any, dim: Dim) -> bool:
    return isinstance(key, slice) and key.indices(size(dim)) == (0, size(dim), 1)


def step_of(builder: Builder, x: Value, axis: int, key: Any) -> Value:
    """One step of a value's time axis: the model loops over time itself."""
    count = size(x.dims[axis])
    if isinstance(key, bool) or not isinstance(key, int) or len(x.dims[axis]) > 1:
        raise AxisError(
            "a part of the time axis is taken",
            where=builder.where(),
            found=f"{key} of {describe(x.dims)}",
            remedy="loop over single steps, or use a delay layer that snnc knows",
        )
    if not -count <= key < count or x.pooled is not None:
        raise refuse(builder, "no such time step", key)
    builder.unrolled = max(builder.unrolled, count)
    dims = (*x.dims[:axis], *x.dims[axis + 1 :])
    return replace(x, dims=dims, steps=(key % count,))


def select(builder: Builder, x: Value, dim: int, index: int) -> Value:
    """``select``."""
    axis = dim % len(x.dims)
    return getitem(builder, x, (*(slice(None),) * axis, int(index)))


def narrow(builder: Builder, x: Value, dim: int, start: int, length: int) -> Value:
    """``narrow``."""
    axis = dim % len(x.dims)
    return getitem(builder, x, (*(slice(None),) * axis, slice(start, start + length)))


def slice_(builder: Builder, x: Value, dim: int = 0, start: Any = None, end: Any = None,
           step: int = 1) -> Value:  # fmt: skip
    """``aten.slice``."""
    axis = dim % len(x.dims)
    stop = None if end is None or end >= size(x.dims[axis]) else end
    return getitem(builder, x, (*(slice(None),) * axis, slice(start, stop, step)))


def index_select(builder: Builder, x: Value, dim: int, index: Any) -> Value:
    """``index_select``."""
    _elements_only(builder, x, dim)
    return gathered(builder, x, lambda ids: torch.index_select(ids, dim, index))


def unbind(builder: Builder, x: Value, dim: int = 0) -> tuple[Value, ...]:
    """``unbind``, and iteration over a tensor."""
    axis = dim % len(x.dims)
    return tuple(select(builder, x, axis, k) for k in range(size(x.dims[axis])))


def split(builder: Builder, x: Value, split_size: Any, dim: int = 0) -> tuple[Value, ...]:
    """``split``."""
    axis = dim % len(x.dims)
    total = size(x.dims[axis])
    if isinstance(split_size, int):
        split_size = [min(split_size, total - k) for k in range(0, total, split_size)]
    if has(x.dims[axis], "t") and all(n == 1 for n in split_size):
        steps = unbind(builder, x, axis)
        return tuple(unsqueeze(builder, step, axis) for step in steps)
    starts = np.cumsum([0, *split_size])
    return tuple(
        narrow(builder, x, axis, int(start), int(n))
        for start, n in zip(starts, split_size, strict=False)
    )


def chunk(builder: Builder, x: Value, chunks: int, dim: int = 0) -> tuple[Value, ...]:
    """``chunk``."""
    return split(builder, x, -(-size(x.dims[dim % len(x.dims)]) // chunks), dim)


def setitem(builder: Builder, x: Value, key: Any, value: Any) -> Value:
    """``x[...] = constant``: those elements become the constant (a padding written by hand)."""
    if isinstance(value, Value) or not isinstance(key, tuple | slice | type(Ellipsis) | int):
        raise refuse(builder, "an assignment into a tensor other than of a constant", key)
    inner = [_inner(dim) for dim in x.dims]
    ids = torch.from_numpy(x.indices().copy()).reshape(inner)
    constant = torch.zeros(inner, dtype=torch.float64)
    keys = key if isinstance(key, tuple) else (key,)
    _check_keys(builder, x, keys)
    ids[keys] = -1
    constant[keys] = torch.from_numpy(numpy_of(value))
    cleared = replace(x, index=np.asarray(ids.numpy()).reshape(-1))
    return builder.bias(cleared, constant.numpy())


def _check_keys(builder: Builder, x: Value, keys: tuple[Any, ...]) -> None:
    """Raise where a key does not take all of time and batch."""
    at = keys.index(Ellipsis) if Ellipsis in keys else len(keys)
    tail = len(keys) - at - 1
    pairs = [*zip(keys[:at], x.dims, strict=False)]
    pairs += [*zip(keys[at + 1 :], x.dims[len(x.dims) - tail :], strict=False)] if tail > 0 else []
    if any(has(dim, "t", "n") and not _is_all(k, dim) for k, dim in pairs):
        raise AxisError(
            "a part of the batch or time axis is assigned",
            where=builder.where(),
            found=describe(x.dims),
        )


# -- joining and repeating ------------------------------------------------------------------------


def cat(builder: Builder, tensors: Any, dim: int = 0) -> Value:
    """``cat``: of steps over a new time axis, or of elements."""
    values = list(tensors)
    first = next(v for v in values if isinstance(v, Value))
    axis = dim % len(first.dims)
    if all(isinstance(v, Value) and size(v.dims[axis]) == 1 for v in values):
        steps = _sequence(builder, values)
        if steps is not None:
            return _timed(builder, values[0], axis, steps)
    if all(isinstance(v, Value) and v is first for v in values) and _repeats_in_time(
        builder, first, axis, len(values)
    ):
        return _timed(builder, first, axis, len(values))
    return _joined(builder, values, first, axis)


def _joined(builder: Builder, values: list[Any], first: Value, axis: int) -> Value:
    """Concatenation along an axis of elements; constants must be zeros."""
    if has(first.dims[axis], "t", "n"):
        raise AxisError(
            "a concatenation along time or batch", where=builder.where(), found=describe(first.dims)
        )
    traced = [v for v in values if isinstance(v, Value)]
    for value in traced:
        builder.settled(value)
    frame = builder.common_frame(traced)
    nodes: list[str] = []
    offsets: dict[str, int] = {}
    total = 0
    parts = []
    for value in values:
        if not isinstance(value, Value):
            if numpy_of(value).any():
                raise refuse(builder, "a constant other than zero is concatenated")
            shape = tuple(_inner(d) if has(d, "t", "n") else n for d, n in zip(
                first.dims, numpy_of(value).shape, strict=True))  # fmt: skip
            parts.append(np.full(shape, -1))
            continue
        _check_others(builder, first, value, axis)
        if value.node not in offsets:
            offsets[value.node] = total
            nodes.append(value.node)
            total += size_of(builder.shapes[value.node])
        ids = value.indices().reshape([_inner(dim) for dim in value.dims])
        parts.append(np.where(ids < 0, -1, ids + offsets[value.node]))
    ids = np.concatenate(parts, axis=axis)
    dims = (*first.dims[:axis], element(ids.shape[axis]), *first.dims[axis + 1 :])
    if len(nodes) == 1:
        return replace(frame, index=ids.reshape(-1), dims=dims)
    shape = Value("", dims).element_shape
    name = builder.add(
        Index, tuple(nodes), shape, digest(ids), suffix=".cat", shape=shape, index=ids.reshape(-1)
    )
    return builder.result(frame, name, dims)


def _check_others(builder: Builder, a: Value, b: Value, axis: int) -> None:
    others = [k for k in range(len(a.dims)) if k != axis]
    if len(a.dims) != len(b.dims) or any(a.dims[k] != b.dims[k] for k in others):
        raise AxisError(
            "the concatenated tensors' axes do not line up",
            where=builder.where(),
            found=f"{describe(a.dims)} and {describe(b.dims)}",
        )


def stack(builder: Builder, tensors: Any, dim: int = 0) -> Value:
    """``stack``."""
    first = next(v for v in tensors if isinstance(v, Value))
    axis = dim % (len(first.dims) + 1)
    return cat(builder, [
        unsqueeze(builder, v, axis) if isinstance(v, Value) else v.unsqueeze(axis) for v in tensors
    ] if any(v is not first for v in tensors) else [unsqueeze(builder, first, axis)] * len(tensors),
        axis)  # fmt: skip


def _sequence(builder: Builder, values: list[Value]) -> int | None:
    """How many steps the values are, when they are one tensor's steps 0, 1, ... in order."""
    first = values[0]
    same = all(
        v.node == first.node and v.dims == first.dims and v.pooled is None
        and np.array_equal(v.indices(), first.indices()) for v in values[1:]
    )  # fmt: skip
    steps = [v.steps for v in values]
    if first.steps is None or not same or steps != [(k,) for k in range(len(values))]:
        return None
    if len(values) != builder.unrolled:
        return None
    return len(values)


def _timed(builder: Builder, x: Value, axis: int, steps: int) -> Value:
    """The value of every step, along a new time axis in place of an axis of extent 1."""
    if builder.steps not in (None, steps):
        raise refuse(builder, "two different numbers of time steps", f"{builder.steps}, {steps}")
    builder.steps = steps
    dim: Dim = (("t", steps),) if steps > 1 else element(1)
    return replace(x, dims=(*x.dims[:axis], dim, *x.dims[axis + 1 :]), steps=None)


def _repeats_in_time(builder: Builder, x: Value, axis: int, count: int) -> bool:
    """Whether repeating a static value along this axis means presenting it at every step."""
    return (
        builder.repeats_are_steps
        and axis == 0
        and not x.has_time
        and x.steps is None
        and x.pooled is None
        and builder.steps in (None, count)
    )


def expand(builder: Builder, x: Value, *sizes: Any) -> Value:
    """``expand``."""
    wanted = _sizes(sizes)
    own = (element(1),) * (len(wanted) - len(x.dims)) + x.dims
    repeats = [1 if n in (-1, size(d)) else n for n, d in zip(wanted, own, strict=True)]
    return repeat(builder, replace(x, dims=own), repeats)


def repeat(builder: Builder, x: Value, *repeats: Any) -> Value:
    """``repeat``: a static image over a new first axis becomes a sequence."""
    counts = _sizes(repeats)
    own = (element(1),) * (len(counts) - len(x.dims)) + x.dims
    x = replace(x, dims=own)
    if counts and size(own[0]) == 1 and _repeats_in_time(builder, x, 0, counts[0]):
        if counts[0] > 1 or builder.steps == 1:
            x = _timed(builder, x, 0, counts[0])
        counts = [1, *counts[1:]]
    if all(n == 1 for n in counts):
        return x
    return gathered(builder, x, lambda ids: ids.repeat(counts))


def repeat_interleave(builder: Builder, x: Value, repeats: int, dim: Any = None) -> Value:
    """``repeat_interleave``."""
    return gathered(builder, x, lambda ids: torch.repeat_interleave(ids, repeats, dim))


def roll(builder: Builder, x: Value, shifts: Any, dims: Any = None) -> Value:
    """``roll`` over element axes."""
    _elements_only(builder, x, range(len(x.dims)) if dims is None else dims)
    return gathered(builder, x, lambda ids: torch.roll(ids, shifts, dims))


def flip(builder: Builder, x: Value, *dims: Any) -> Value:
    """``flip`` over element axes."""
    _elements_only(builder, x, _sizes(dims))
    return gathered(builder, x, lambda ids: torch.flip(ids, _sizes(dims)))


def _elements_only(builder: Builder, x: Value, dims: Any) -> None:
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
    inside = torch.nn.functional.pad(torch.ones([_inner(d) for d in x.dims]), widths)
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


TABLE: dict[str, Handler] = {
    "reshape": reshape_, "view": reshape_, "_unsafe_view": reshape_, "unsafe_view": reshape_,
    "reshape_as": lambda builder, x, other: reshape_(builder, x, *_shape(other)),
    "view_as": lambda builder, x, other: reshape_(builder, x, *_shape(other)),
    "expand_as": lambda builder, x, other: expand(builder, x, *_shape(other)),
    "flatten": flatten, "unflatten": unflatten, "ravel": flatten, "squeeze": squeeze,
    "unsqueeze": unsqueeze, "permute": permute_, "transpose": transpose, "swapaxes": transpose,
    "swapdims": transpose, "t": t, "T": t, "mT": mT, "movedim": movedim, "moveaxis": movedim,
    "getitem": getitem, "setitem": setitem, "select": select, "narrow": narrow, "slice": slice_,
    "index_select": index_select, "unbind": unbind, "iter": unbind, "split": split,
    "split_with_sizes": split, "chunk": chunk, "tensor_split": chunk, "cat": cat, "concat": cat,
    "concatenate": cat, "stack": stack, "expand": expand, "repeat": repeat, "tile": repeat,
    "repeat_interleave": repeat_interleave, "roll": roll, "flip": flip, "pad": pad,
    "constant_pad_nd": lambda builder, x, pad_, value=0.0: pad(builder, x, pad_, "constant", value),
    "pixel_shuffle": pixel_shuffle, "pixel_unshuffle": pixel_unshuffle,
    "channel_shuffle": channel_shuffle,
}  # fmt: skip


def _shape(other: Any) -> Shape:
    return tuple(int(n) for n in other.shape)
