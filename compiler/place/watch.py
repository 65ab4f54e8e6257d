"""When to stop searching: a time limit, or Ctrl-C, which ends the search and keeps the best."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from snnc.ir.jit import compile_seconds

Progress = Callable[[float, float], None]
"""Called with (share of the search done, weighted hops of the best placement so far)."""


def silent(_share: float, _cost: float) -> None:
    """For callers that show no progress."""


class Watch:
    """Asked between short pieces of work whether to stop.

    The time in which kernels are compiled does not count: the first run finds what later ones do.

    Attributes:
        interrupted: the user pressed Ctrl-C.
        complete: nothing has cut the search so far.
    """

    def __init__(self, time_limit_s: float, progress: Progress = silent) -> None:
        self._end = time.monotonic() + time_limit_s - compile_seconds()
        self.interrupted = False
        self.complete = True
        self._progress = progress

    @property
    def left_s(self) -> float:
        """Seconds left, 0 after an interrupt."""
        left = self._end + compile_seconds() - time.monotonic()
        return 0.0 if self.interrupted else max(0.0, left)

    def due(self) -> bool:
        """True when the search should return what it has; it is then marked incomplete."""
        if self.left_s <= 0.0:
            self.complete = False
            return True
        return False

    def tell(self, share: float, cost: float) -> None:
        """Report progress."""
        self._progress(min(max(share, 0.0), 1.0), cost)


@contextmanager
def interruptible(watch: Watch) -> Iterator[Watch]:
    """Inside, the first Ctrl-C only tells the watch; a second one interrupts as always.

    Only the main thread can do so, and only where Ctrl-C still has Python's usual meaning.
    """
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield watch
        return

    def first(_number: int, _frame: Any) -> None:
        watch.interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, first)
    try:
        yield watch
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
