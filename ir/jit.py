"""Typed spellings of Numba's decorator for every compiled kernel.

What the first run of a kernel costs is Numba's time to compile it: about 0.1 s per small function
and 0.4 s for the first.  It grows with the number of functions and of arrays they take; slice
assignments, allocations and sorts inside a kernel cost up to seconds, so callers do them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir as llvm
from numba.core import event
from numba.core.dispatcher import Dispatcher
from numba.core.options import DefaultOptions
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])


def _known(**options: Any) -> dict[str, Any]:
    """The options that this Numba has; without one, kernels are only slower to run or compile."""
    return {name: value for name, value in options.items() if hasattr(DefaultOptions, name)}


class _Stopwatch(event.Listener):
    """Adds up the time in which Numba compiles; a kernel compiled for another counts once."""

    def __init__(self) -> None:
        self.seconds, self._depth, self._since = 0.0, 0, 0.0

    def on_start(self, event: Any) -> None:
        if self._depth == 0:
            self._since = perf_counter()
        self._depth += 1

    def on_end(self, event: Any) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.seconds += perf_counter() - self._since


_stopwatch = _Stopwatch()
cast(Any, event).register("numba:compile", _stopwatch)


def compile_seconds() -> float:
    """Seconds this process has spent compiling kernels; none for those read from the cache."""
    return _stopwatch.seconds


_ENTRY = _known(nogil=True, no_cfunc_wrapper=True)
_LEAN = _known(_nrt=False, error_model="numpy")
_INNER = _known(no_cpython_wrapper=True, no_cfunc_wrapper=True)


def _cached(function: F, options: dict[str, Any]) -> F:
    """Cached beside the source or in the user's cache folder, if one can be written."""
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # Numba: "no locator available"
        return cast(F, numba.njit(**options)(function))
    # Numba asks for the age of the kernel's own file only, and would go on running the old code
    # of kernels that it calls in other files: what comes from there belongs to the cache's stamp.
    file: Any = getattr(compiled._cache, "_cache_file", None)
    if hasattr(file, "_source_stamp"):
        file._source_stamp = (file._source_stamp, *_imported(function))
    cache: Any = compiled._cache
    cache.save_overload = _if_there_is_room(cache.save_overload)
    return cast(F, compiled)


def _if_there_is_room(save: Callable[..., None]) -> Callable[..., None]:
    """Numba would raise where the disk is full; the kernel runs all the same."""

    def saved(signature: Any, data: Any) -> None:
        with suppress(OSError):
            save(signature, data)

    return saved


def _imported(
    function: Callable[..., Any],
) -> tuple[tuple[tuple[str, float, int], ...], tuple[tuple[str, str], ...]]:
    """What a kernel's machine code takes from other files.

    Returns:
        Module, time and size of the files whose kernels, intrinsics and named tuples it and they
        import; name and value of the numbers that they import.
    """
    files: dict[str, tuple[float, int]] = {}
    numbers: set[tuple[str, str]] = set()
    todo = [function.__globals__]
    while todo:
        for name, value in tuple(todo.pop().items()):
            if isinstance(value, int | float | np.number):  # it stands in the code as it is
                numbers.add((name, repr(value)))
            module = _compiled_part(value)
            if module is not None and module.__file__ and module.__name__ not in files:
                about = Path(module.__file__).stat()
                files[module.__name__] = (about.st_mtime, about.st_size)
                todo.append(vars(module))
    return tuple((name, *files[name]) for name in sorted(files)), tuple(sorted(numbers))


def _compiled_part(value: Any) -> ModuleType | None:
    """The module that a global brings into a kernel: it is one with kernels, or is from one."""
    if isinstance(value, ModuleType):
        return value if any(_is_compiled(v) for v in vars(value).values()) else None
    if _is_compiled(value) or (isinstance(value, type) and hasattr(value, "_fields")):
        return sys.modules[value.__module__]
    return None


def _is_compiled(value: Any) -> bool:
    return isinstance(value, Dispatcher | type(smaller))


def kernel(function: F) -> F:
    """Compile on first use in nopython mode; the machine code is cached on disk."""
    return _cached(function, _ENTRY)


def lean_kernel(function: F) -> F:
    """A ``kernel`` that allocates nothing and does not count references to its arrays.

    Reading an array out of a named tuple costs Numba two atomic operations for the reference
    count; kernels made of many small functions over named tuples run about 10 times faster
    without.  Divisors must not be zero: there is no check.
    """
    return _cached(function, {**_ENTRY, **_LEAN})


def inner_kernel(function: F) -> F:
    """A ``lean_kernel`` that only other kernels call, and that is cached as a part of them.

    What unpacks the arguments of a call from Python is, for named tuples of arrays, more code
    than the kernel itself, so it is left out.  Python must not call one, it would crash; tests
    of one call its ``py_func``.
    """
    return cast(F, numba.njit(**_LEAN, **_INNER)(function))


def summing(function: F) -> F:
    """An ``inner_kernel`` whose sums may be taken in any order, several terms at a time.

    Only for sums of whole numbers below 2^53 in floating point, which are exact in any order.
    """
    options: dict[str, Any] = {"fastmath": {"reassoc", "contract"}, **_LEAN, **_INNER}
    return cast(F, numba.njit(**options)(function))


def _smaller(_context: Any, first: Any, _second: Any) -> Any:
    """What Numba needs to know of ``smaller``: its types, and the code that it stands for."""

    def emit(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        real = args[0].type
        shape = llvm.FunctionType(real, [real, real])
        least = builder.module.declare_intrinsic("llvm.minnum", [real], shape)
        return builder.call(least, args, fastmath=("nnan", "nsz"))

    return first(first, first), emit


smaller: Callable[[Any, Any], Any] = cast(Any, intrinsic(_smaller))
"""The smaller of two reals of one type, neither NaN, for kernels only.

Numba's ``min`` lets a NaN or the sign of a zero decide, which keeps a loop that looks for the least
value from working on several values at a time.
"""


def _lowest_bit(_context: Any, word: Any) -> Any:
    """What Numba needs to know of ``lowest_bit``: its types, and the code that it stands for."""

    def emit(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], llvm.Constant(llvm.IntType(1), 1))

    return word(word), emit


lowest_bit: Callable[[Any], Any] = cast(Any, intrinsic(_lowest_bit))
"""The number of the lowest bit that is set in an integer, which is not 0; for kernels only."""


def inlined(function: F) -> F:
    """A small ``inner_kernel`` whose body takes the place of each call before compilation.

    For functions that are called at one or two places: it saves compiling the function.
    """
    return cast(F, numba.njit(inline="always", **_LEAN)(function))
