"""``--threads``: batches of samples side by side; the kernels let go of Python's global lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from threading import Lock
from time import perf_counter
from typing import TypeVar

from snnc.ir.errors import OptionError

Given = TypeVar("Given")
Made = TypeVar("Made")

LIMIT = 64
PARTS = 8
"""Batches per thread, so that there is something left to choose a way for."""
BACKENDS = ("cycle", "functional")


def check_threads(threads: int, backend: str) -> None:
    """Raise ``OptionError`` unless a backend can run on so many threads."""
    if not 1 <= threads <= LIMIT:
        raise OptionError("out of range", where="--threads", found=threads, allowed=f"1 to {LIMIT}")
    if threads > 1 and backend not in BACKENDS:
        raise OptionError(
            "this backend runs on one thread",
            where="--threads",
            found=f"{threads} with --backend {backend}",
            allowed=f"--backend {' or '.join(BACKENDS)}",
        )


def in_order(
    work: Callable[[Given], Made], batches: Iterable[Given], threads: int
) -> Iterator[tuple[Given, Made]]:
    """Every batch with what became of it, in order; at most ``threads`` + 1 are in memory.

    Whether ``threads`` are faster than one is measured: the second batch runs alone (the first
    may compile kernels), the next ``threads`` side by side; the rest runs the faster way.
    """
    rest = iter(batches)
    alone = 0.0
    for batch in islice(rest, None if threads == 1 else 2):
        started = perf_counter()
        made = work(batch)
        alone = perf_counter() - started
        yield batch, made
    probed = list(islice(rest, threads))
    if not probed:
        return
    pool = ThreadPoolExecutor(threads)
    try:
        started = perf_counter()
        results = list(pool.map(work, probed))
        together = (perf_counter() - started) / len(probed)
        yield from zip(probed, results, strict=True)
        if together >= alone:
            yield from ((batch, work(batch)) for batch in rest)
        else:
            yield from _side_by_side(work, rest, pool, threads)
    finally:
        pool.shutdown(cancel_futures=True)


def _side_by_side(
    work: Callable[[Given], Made], batches: Iterator[Given], pool: ThreadPoolExecutor, threads: int
) -> Iterator[tuple[Given, Made]]:
    waiting: deque[tuple[Given, Future[Made]]] = deque()
    for batch in batches:
        waiting.append((batch, pool.submit(work, batch)))
        if len(waiting) > threads:
            done, future = waiting.popleft()
            yield done, future.result()
    for done, future in waiting:
        yield done, future.result()


class SharedProgress:
    """Adds up what threads report of their batches."""

    def __init__(self, report: Callable[[int, int], None], total: int) -> None:
        self._report, self._total = report, total
        self._done: dict[int, int] = {}
        self._lock = Lock()

    def of(self, batch: int) -> Callable[[int, int], None]:
        """Called with (samples done, samples) of one batch."""

        def update(done: int, _: int) -> None:
            with self._lock:
                self._done[batch] = done
                self._report(sum(self._done.values()), self._total)

        return update
