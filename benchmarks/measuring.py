"""Seconds that a call takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Time:
    """Of all threads of this process, and of the clock; on shared machines the former count."""

    cpu: float
    wall: float


def measure(call: Callable[[], Any], repeats: int) -> Time:
    """Median of ``repeats`` calls after one to warm up."""
    call()
    cpu, wall = [], []
    for _ in range(repeats):
        begin = time.process_time(), time.perf_counter()
        call()
        cpu.append(time.process_time() - begin[0])
        wall.append(time.perf_counter() - begin[1])
    return Time(statistics.median(cpu), statistics.median(wall))
