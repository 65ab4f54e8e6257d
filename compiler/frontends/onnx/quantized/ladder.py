"""Integer thresholds that reproduce a rounding rule, whatever its floating-point arithmetic.

A quantizer behind a sum is a rising step function f of an integer t.  Its level at t is the number
of thresholds ``T_k = min {t : f(t) >= k}`` at or below t: exact, because every floating-point
operation is monotone, and found by bisection over all integers that can occur.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.errors import UnsupportedError

Function = Callable[[Any], Any]
MAX_ENTRIES = 1 << 25
"""Thresholds of one population, levels times different channels."""


@dataclass(frozen=True, eq=False)
class Ladder:
    """Thresholds of counts: c = #{k : t >= positive_k} - #{j : -t >= negative_j}.

    Attributes:
        positive, negative: [levels, ...], broadcast to the population.
        falls: channels where f falls, so that the ladder is that of -t; broadcasts alike.
    """

    positive: IntArray
    negative: IntArray
    falls: Any


def ladder(where: str, f: Function, low: int, high: int, axes: int) -> Ladder:
    """Thresholds of the step function ``f`` (integers to integers) on [low, high].

    Args:
        where: for errors.
        f: rising or falling in every channel; takes int64 arrays of at least ``axes`` axes.
        low, high: all integers that can occur.
        axes: of the population.

    Raises:
        UnsupportedError: more thresholds than one population may have.
    """
    one = np.ones((1,) * axes, np.int64)
    first, last = f(one * low), f(one * high)
    falls = last < first
    sign = np.where(falls, -1, 1)
    bottom, top = np.where(falls, -high, low), np.where(falls, -low, high)

    def rising(t: Any) -> Any:
        return f(sign * t)

    most, least = int(np.maximum(first, last).max()), int(np.minimum(first, last).min())
    if max(most - least, 1) * sign.size > MAX_ENTRIES:
        raise UnsupportedError(
            "too many thresholds for one population",
            where=where,
            found=f"{most - least} levels in each of {sign.size} different channels",
            allowed=f"{MAX_ENTRIES:,}",
            remedy="quantize activations to fewer bits, or per tensor",
        )
    above = _least(rising, bottom, top, np.arange(1, most + 1))
    below = 1 - _least(rising, bottom, top, 1 - np.arange(1, -least + 1))
    return Ladder(above, below, falls)


def _least(f: Function, bottom: Any, top: Any, levels: IntArray) -> IntArray:
    """Smallest t in [bottom, top + 1] with f(t) >= level; top + 1 where there is none."""
    wanted = levels.reshape(-1, *(1,) * bottom.ndim)
    low = np.broadcast_to(bottom, (levels.size, *bottom.shape)).astype(np.int64)
    high = np.broadcast_to(top + 1, low.shape).astype(np.int64)
    while (low < high).any():
        middle = (low + high) >> 1
        reached = f(np.minimum(middle, top)) >= wanted
        high = np.where(reached & (low < high), middle, high)
        low = np.where(reached, low, np.minimum(middle + 1, high))
    return low
