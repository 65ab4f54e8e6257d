"""Typed spellings of Numba's decorator for every compiled kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core.options import DefaultOptions

F = TypeVar("F", bound=Callable[..., Any])

# A Numba that does not know one of these only makes kernels slower, or compiles them longer.
_WANTED: dict[str, Any] = {"_nrt": False, "error_model": "numpy"}
_LEAN = {name: value for name, value in _WANTED.items() if hasattr(DefaultOptions, name)}


def kernel(function: F) -> F:
    """Compile on first use in nopython mode; the machine code is cached on disk."""
    return cast(F, numba.njit(cache=True, nogil=True, no_cfunc_wrapper=True)(function))


def lean_kernel(function: F) -> F:
    """A ``kernel`` that allocates nothing and does not count references to its arrays.

    Reading an array out of a named tuple costs Numba two atomic operations for the reference
    count; kernels made of many small functions over named tuples run about 10 times faster
    without.  Divisors must not be zero: there is no check.
    """
    return cast(F, numba.njit(cache=True, nogil=True, no_cfunc_wrapper=True, **_LEAN)(function))


def inner_kernel(function: F) -> F:
    """A ``lean_kernel`` that only other kernels call: nothing is compiled for calls from Python.

    What unpacks the arguments of a Python call is, for named tuples of arrays, more code than
    the kernel itself.  Such a call from Python would crash; tests of a part call its ``py_func``.
    """
    return cast(F, numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_LEAN)(function))


def inlined(function: F) -> F:
    """A tiny ``inner_kernel`` whose body takes the place of each call; nothing else compiles."""
    return cast(F, numba.njit(inline="always", **_LEAN)(function))
