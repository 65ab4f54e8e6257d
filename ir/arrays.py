"""Small helpers that make NumPy arrays safe fields of frozen dataclasses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.ir.errors import ModelError

IntArray = npt.NDArray[np.integer[Any]]
RealArray = npt.NDArray[np.floating[Any]]
AnyArray = npt.NDArray[Any]
Shape = tuple[int, ...]
_INT64_MAX = np.iinfo(np.int64).max


def size_of(shape: Shape) -> int:
    """Number of elements of a tensor of this shape (1 for the empty shape)."""
    count = 1
    for extent in shape:
        count *= extent
    return count


def frozen(array: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> Any:
    """Return a read-only, C-contiguous array; copies only when it must."""
    result = np.asarray(array, dtype=dtype)
    if not result.flags.c_contiguous:
        result = np.ascontiguousarray(result)
    if result.flags.writeable:
        result = result.view()
        result.flags.writeable = False
    return result


def integers(where: str, array: npt.ArrayLike) -> Any:
    """Return a read-only int64 array, refusing anything that is not integer-valued."""
    raw = np.asarray(array)
    if raw.dtype.kind not in "iub":
        raise ModelError("integer values are required", where=where, found=raw.dtype)
    if raw.dtype.kind == "u" and raw.size and int(raw.max()) > _INT64_MAX:
        raise ModelError("integers must fit 64 bits with sign", where=where, found=raw.max())
    return frozen(raw, np.int64)


def reals(where: str, array: npt.ArrayLike) -> Any:
    """Return a read-only float64 array, refusing NaN and infinity."""
    raw = np.asarray(array)
    if raw.dtype.kind not in "fiub":
        raise ModelError("real numbers are required", where=where, found=raw.dtype)
    values = frozen(raw, np.float64)
    if not np.isfinite(values).all():
        bad = int(np.count_nonzero(~np.isfinite(values)))
        raise ModelError(
            "the values must be finite",
            where=where,
            found=f"{bad} of {values.size} values are NaN or infinite",
            remedy="repair the checkpoint; a diverged training run is the usual cause",
        )
    return values


def check_broadcast(where: str, array: AnyArray, shape: Shape) -> None:
    """Raise unless ``array`` broadcasts to exactly ``shape``."""
    try:
        result = np.broadcast_shapes(array.shape, shape)
    except ValueError:
        result = ()
    if result != shape:
        raise ModelError(
            "the parameter does not fit the population",
            where=where,
            found=f"shape {array.shape}",
            allowed=f"anything that broadcasts to {shape}",
        )


def sorted_unique(values: IntArray) -> IntArray:
    """``np.unique`` by sorting: NumPy's hashing takes many times longer for millions of numbers."""
    ordered = np.sort(values, axis=None)
    kept = np.ones(ordered.size, bool)
    kept[1:] = ordered[1:] != ordered[:-1]
    return ordered[kept]
