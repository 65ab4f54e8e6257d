"""Swaps that are tabu: few, so that they are taken out of the table of pairs into a list.

``parked[:, q]`` is i, j of a swap and until when it is tabu, ``value[q]`` its cost change; in the
table it is infinite.
"""

from __future__ import annotations

import numpy as np

from snnc.compiler.place.pairs import ROWS, lanes, lanes_above
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import inner_kernel, lowest_bit, smaller

TIMES = lanes(np.int32)


@inner_kernel
def park(
    e: int, t: int, p: IntArray, left: IntArray, change: RealArray, count: int, parked: IntArray,
    value: RealArray,
) -> int:  # fmt: skip
    """Take facility e's tabu swaps out of the table; returns how many are parked then.

    Tabu is a swap that takes both facilities to sites they left.
    """
    here, row = left[1], left[0, e]
    y = p[e]
    for first in range(0, here.shape[1], TIMES):
        bits = lanes_above(here, y, first, t)
        while bits != 0:
            k = first + lowest_bit(bits)
            bits &= bits - 1
            if row[p[k]] > t and k != e:
                i, j = min(e, k), max(e, k)
                if change[i, j] != np.inf:  # the swap of the two that moved is met twice
                    parked[0, count], parked[1, count] = i, j
                    parked[2, count] = min(here[y, k], row[p[k]])
                    value[count] = change[i, j]
                    change[i, j] = np.inf
                    count += 1
    return count


@inner_kernel
def unpark(
    r: int, s: int, count: int, parked: IntArray, value: RealArray
) -> int:  # fmt: skip
    """Forget the parked swaps of two facilities; returns how many are left."""
    kept = 0
    for q in range(count):
        i, j = parked[0, q], parked[1, q]
        if i != r and i != s and j != r and j != s:
            for k in range(3):
                parked[k, kept] = parked[k, q]
            value[kept] = value[q]
            kept += 1
    return kept


@inner_kernel
def freed(
    t: int, halves: int, vector: RealArray, change: RealArray, count: int, parked: IntArray,
    value: RealArray, least: RealArray, lowest: float,
) -> tuple[int, float]:  # fmt: skip
    """Bring parked swaps up to date and put back those no longer tabu.

    Returns how many stay, and the lowest change in the table, which was ``lowest``.
    """
    kept = 0
    for q in range(count):
        i, j = parked[0, q], parked[1, q]
        now = value[q]
        for half in range(halves):
            u, w = vector[2 * half], vector[2 * half + 1]
            now -= (u[i] - u[j]) * (w[i] - w[j])
        if parked[2, q] <= t:
            change[i, j] = now
            b, lane = i // ROWS, j % least.shape[1]
            least[b, lane] = smaller(least[b, lane], now)
            lowest = smaller(lowest, now)
        else:
            for k in range(3):
                parked[k, kept] = parked[k, q]
            value[kept] = now
            kept += 1
    return kept, lowest
