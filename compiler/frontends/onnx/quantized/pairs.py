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
MAX_FACTOR = 1 << 20


@dataclass(frozen=True, eq=False)
class Factors:
    """Whole factors, the ladder on the sum, and how many pairs it gets wrong (by one level)."""

    a: int
    b: int
    positive: IntArray
    negative: IntArray
    wrong: int


def factors(level: IntArray, a: IntArray, b: IntArray, ratio: Fraction) -> Factors:
    """The smallest whole factors that reproduce a table of levels.

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
    assert best is not None
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
    order = np.argsort(total, kind="stable")
    sums, levels = total[order], level.reshape(-1)[order]
    low, high = int(level.min()), int(level.max())

    def least(k: int) -> int:
        """Threshold between levels below k and from k on: the cut with the fewest errors."""
        reached = levels >= k
        ends = np.flatnonzero(np.diff(sums)) + 1  # cuts between different sums
        cuts = np.concatenate([[0], ends, [sums.size]])
        missed = np.concatenate([[0], np.cumsum(reached)])[cuts]
        early = reached.size - reached.sum() - np.concatenate([[0], np.cumsum(~reached)])[cuts]
        cut = int(cuts[np.argmin(missed + early)])
        return int(sums[cut]) if cut < sums.size else int(sums[-1]) + 1

    positive = np.array([least(k) for k in range(1, high + 1)], np.int64)
    negative = np.array([1 - least(1 - j) for j in range(1, -low + 1)], np.int64)
    wrong = int(np.count_nonzero(counts(positive, negative, total) != level.reshape(-1)))
    return Factors(p, q, positive, negative, wrong)


def counts(positive: IntArray, negative: IntArray, t: IntArray) -> Any:
    """The levels that a ladder gives to integers."""
    above = np.searchsorted(positive, t, side="right")
    return above - np.searchsorted(negative, -t, side="right")
