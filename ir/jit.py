"""One typed spelling of Numba's decorator for every compiled kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core.options import DefaultOptions

F = TypeVar("F", bound=Callable[..., Any])

# A Numba that does not know the option any more only makes lean kernels slower.
_LEAN = {"_nrt": False} if hasattr(DefaultOptions, "_nrt") else {}


def kernel(function: F) -> F:
    """Compile on first use in nopython mode; the machine code is cached on disk."""
    return cast(F, numba.njit(cache=True, nogil=True)(function))


def lean_kernel(function: F) -> F:
    """A ``kernel`` that allocates nothing and does not count references to its arrays.

    Reading an array out of a named tuple costs Numba two atomic operations for the reference
    count; kernels made of many small functions over named tuples run about 10 times faster
    without.  The caller owns all arrays.
    """
    return cast(F, numba.njit(cache=True, nogil=True, **_LEAN)(function))
