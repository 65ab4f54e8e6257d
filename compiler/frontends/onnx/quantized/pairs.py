"""Sums of two tensors on grids that do not divide each other, quantized.

The level is a function of two small integers, ``f(a, b) = round((s_a a + s_b b) / s)``.  If whole
factors A, B exist for which ``A a + B b`` orders all pairs as f does, one ladder on that sum is
exact; convergents of ``s_a / s_b`` are tried from the simplest on, against every pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from snnc.ir.arrays import IntArray

MAX_PAIRS = 1 << 22
MAX_FACTOR = 1 << 16


@dataclass(frozen=True, eq=False)
class Factors:
    """Whole factors, the ladder on the sum, and how many pairs it gets wrong (by one level)."""

    a: int
    b: int
    positive: IntArray
    negative: IntArray
    wrong: int


def factors(level: IntArray, a: IntArray, b: IntArray, ratio: Fraction) -> Factors | None:
    """The smallest whole factors that reproduce a table of levels; None beyond ``MAX_FACTOR``.

    Args:
        level: [len(a), len(b)] counts, rising along both axes.
        a, b: the integers, rising.
        ratio: s_a / s_b.
    """
    best: Factors | None = None
    for p, q in convergents(ratio):
        found = _fit(level, a, b, p, q)
        if best is None or found.wrong < best.wrong:
            best = found
        if not best.wrong:
            break
    return best


def convergents(ratio: Fraction) -> Iterator[tuple[int, int]]:
    """Best rational approximations p / q of a positive number, simplest first, then exact."""
    p0, q0, p1, q1 = 0, 1, 1, 0
    rest = ratio
    while True:
        whole = rest.numerator // rest.denominator
        steps = sorted({max(1, (whole + 1) // 2), whole}) if q1 else [whole]
        for step in steps:  # with one semiconvergent between
            p, q = step * p1 + p0, step * q1 + q0
            if max(p, q) > MAX_FACTOR:
                return
            if p and q:
                yield p, q
        p0, q0, p1, q1 = p1, q1, whole * p1 + p0, whole * q1 + q0
        rest -= whole
        if not rest:
            return
        rest = 1 / rest


def _fit(level: IntArray, a: IntArray, b: IntArray, p: int, q: int) -> Factors:
    total = (p * a[:, None] + q * b[None, :]).reshape(-1)
    sums = np.sort(total)
    low, high = int(level.min()), int(level.max())

    beyond = np.append(sums, sums[-1] + 1)
    # As many sums lie below a threshold as there are pairs below its level.
    ranks = np.searchsorted(np.sort(level.reshape(-1)), np.arange(low + 1, high + 1))
    cuts = dict(zip(range(low + 1, high + 1), beyond[ranks], strict=True))
    lowest = int(sums[0])
    positive = np.array([cuts.get(k, lowest) for k in range(1, high + 1)], np.int64)
    negative = np.array([1 - cuts.get(1 - j, lowest) for j in range(1, -low + 1)], np.int64)
    wrong = int(np.count_nonzero(counts(positive, negative, total) != level.reshape(-1)))
    return Factors(p, q, positive, negative, wrong)


def counts(positive: IntArray, negative: IntArray, t: IntArray) -> Any:
    """The levels that a ladder gives to integers."""
    above = np.searchsorted(positive, t, side="right")
    return above - np.searchsorted(negative, -t, side="right")
