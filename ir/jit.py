"""One typed spelling of Numba's decorator for every compiled kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile on first use in nopython mode; the machine code is cached on disk."""
    return cast(F, numba.njit(cache=True, nogil=True)(function))
