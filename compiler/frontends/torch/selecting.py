"""Functions that take a part of a tensor: one step of its time axis, or some of its elements."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from snnc.compiler.frontends.torch.build import Builder
from snnc.compiler.frontends.torch.handlers import Handler, refuse
from snnc.compiler.frontends.torch.layout import AxisError, Dim, Value, describe, element, has, size
from snnc.compiler.frontends.torch.moves import elements_only, gathered, inner_extent, unsqueeze
from snnc.compiler.frontends.torch.tensor import numpy_of


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
    elements_only(builder, x, dim)
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
    inner = [inner_extent(dim) for dim in x.dims]
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


TABLE: dict[str, Handler] = {
    "getitem": getitem, "setitem": setitem, "select": select, "narrow": narrow, "slice": slice_,
    "index_select": index_select, "unbind": unbind, "iter": unbind, "split": split,
    "split_with_sizes": split, "chunk": chunk, "tensor_split": chunk,
}  # fmt: skip
