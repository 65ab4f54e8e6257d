"""Functions that join tensors or repeat one: over a new time axis, or along elements."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from snnc.compiler.frontends.torch.build import Builder
from snnc.compiler.frontends.torch.handlers import Handler, refuse
from snnc.compiler.frontends.torch.layout import AxisError, Dim, Value, describe, element, has, size
from snnc.compiler.frontends.torch.moves import (
    gathered,
    inner_extent,
    shape_of,
    sizes_of,
    unsqueeze,
)
from snnc.compiler.frontends.torch.nodes import digest
from snnc.compiler.frontends.torch.tensor import numpy_of
from snnc.ir.arrays import size_of
from snnc.ir.nodes import Index


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
            shape = tuple(inner_extent(d) if has(d, "t", "n") else n for d, n in zip(
                first.dims, numpy_of(value).shape, strict=True))  # fmt: skip
            parts.append(np.full(shape, -1))
            continue
        _check_others(builder, first, value, axis)
        if value.node not in offsets:
            offsets[value.node] = total
            nodes.append(value.node)
            total += size_of(builder.shapes[value.node])
        ids = value.indices().reshape([inner_extent(dim) for dim in value.dims])
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
    wanted = sizes_of(sizes)
    own = (element(1),) * (len(wanted) - len(x.dims)) + x.dims
    repeats = [1 if n in (-1, size(d)) else n for n, d in zip(wanted, own, strict=True)]
    return repeat(builder, replace(x, dims=own), repeats)


def repeat(builder: Builder, x: Value, *repeats: Any) -> Value:
    """``repeat``: a static image over a new first axis becomes a sequence."""
    counts = sizes_of(repeats)
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


TABLE: dict[str, Handler] = {
    "cat": cat, "concat": cat, "concatenate": cat, "stack": stack, "expand": expand,
    "expand_as": lambda builder, x, other: expand(builder, x, *shape_of(other)),
    "repeat": repeat, "tile": repeat, "repeat_interleave": repeat_interleave,
}  # fmt: skip
