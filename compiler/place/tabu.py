"""Robust tabu search for quadratic assignment (Taillard, Parallel Computing 17, 1991).

Each step takes the best swap that is not tabu.  The cost changes of all swaps are kept, and one
swap updates them in O(1) each.  What makes a step as fast as memory allows:

- Pairs are stored by distance: ``change[d, i]`` belongs to facilities i and i + d + 1, counted
  around, so that all rows are equally long and every loop runs over neighbours in memory.  The
  update of a step and the search for the next swap are one pass.
- ``gain[i, x]``, the cost of facility i on site x while the others stay, changes by a product of
  two vectors per swap; the swaps of the two facilities that moved are read from it.
- All numbers are whole, in 32-bit reals where these are exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.compiler.place.anneal import random
from snnc.compiler.place.quadratic import Quadratic
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import inner_kernel, lean_kernel, smaller

NumberArray = npt.NDArray[Any]
EXACT = 2.0**24  # whole numbers of 32-bit reals are exact up to here
# Matrices of a table; flows and distances are followed by their transposes.
DISTANCE, LINEAR, BOTH_FLOW, BOTH_DISTANCE, GAIN = 2, 4, 5, 6, 7


@inner_kernel
def _scan(
    change: RealArray, until: IntArray, t: Any, wanted: Any, none: float, u: RealArray,
    w: RealArray, u_far: RealArray, w_far: RealArray,
) -> float:  # fmt: skip
    """Bring a row of swaps up to date; returns the least change that is allowed, or ``none``.

    Tabu swaps are allowed below ``wanted`` (aspiration).
    """
    least = none
    for i in range(change.size):
        value = change[i] - (u[i] - u_far[i]) * (w[i] - w_far[i])
        change[i] = value
        allowed = value if (until[i] <= t) | (value < wanted) else none
        least = smaller(allowed, least)
    return least


@inner_kernel
def _add(row: RealArray, factor: float, w: RealArray) -> None:
    for k in range(row.size):
        row[k] += factor * w[k]


@inner_kernel
def _pick(row: RealArray, p: IntArray, out: RealArray) -> None:
    for k in range(p.size):
        out[k] = row[p[k]]


@inner_kernel
def _swaps_of(
    there: RealArray, here: RealArray, stay: RealArray, own: float, flow: RealArray,
    distance: RealArray, out: RealArray,
) -> None:  # fmt: skip
    """Cost changes of a facility's swaps.

    ``there``: the facility on the others' sites; ``here``: the others on its site; ``stay``: all
    where they are.  The flow between the two that are swapped counts in both and is corrected.
    """
    for k in range(out.size):
        out[k] = (there[k] + here[k]) - (own + stay[k]) + flow[k] * distance[k]


@inner_kernel
def _before(u: RealArray, u_own: float, w: RealArray, w_own: float, out: RealArray) -> None:
    """Take back in advance what the next scan will add."""
    for k in range(out.size):
        out[k] += (u_own - u[k]) * (w_own - w[k])


@inner_kernel
def _held(row: IntArray, p: IntArray, column: IntArray, out: IntArray) -> None:
    """Until when each swap is tabu: while both facilities would return to a site they left."""
    for k in range(p.size):
        out[k] = min(row[p[k]], column[k])


@inner_kernel
def _store(e: int, value: NumberArray, pairs: NumberArray) -> None:
    """The values of facility e's pairs."""
    rows, n = pairs.shape
    for d in range(rows):
        k = e + d + 1
        if k >= n:
            k -= n
        pairs[d, e] = value[k]
        k = e - d - 1
        if k < 0:
            k += n
        pairs[d, k] = value[k]


@inner_kernel
def _renew(
    e: int, p: IntArray, table: RealArray, here: RealArray, stay: RealArray, halves: int,
    change: RealArray, row: RealArray,
) -> None:  # fmt: skip
    """Cost changes of all swaps of facility e; the last three of ``row`` are scratch."""
    n = p.size
    _pick(table[GAIN, e], p, row[-3])
    _pick(table[BOTH_DISTANCE, p[e]], p, row[-2])
    out = row[-1, :n]
    _swaps_of(row[-3, :n], here, stay, stay[e], table[BOTH_FLOW, e], row[-2, :n], out)
    for half in range(halves):
        u, w = row[2 * half], row[2 * half + 1]
        _before(u[:n], u[e], w[:n], w[e], out)
    _store(e, out, change)


@inner_kernel
def _swap(
    r: int, s: int, p: IntArray, table: RealArray, halves: int, change: RealArray,
    until: IntArray, left: IntArray, row: RealArray, times: IntArray,
) -> None:  # fmt: skip
    """Swap facilities r and s; all pairs but theirs are updated by the next scan."""
    n = p.size
    x, y = p[r], p[s]
    factor = change.dtype.type(3 - halves)  # flows out and in change alike where both are even
    for half in range(halves):
        a, b = table[half], table[DISTANCE + half]
        u, w, by_site = row[2 * half], row[2 * half + 1], row[4 + half]
        for k in range(n):
            u[k] = factor * (a[r, k] - a[s, k])
            by_site[k] = b[y, k] - b[x, k]
        _pick(by_site, p, w)
        # Twice in a row, so that indices need not be counted around.
        for k in range(n):
            u[n + k] = u[k]
            w[n + k] = w[k]
    p[r], p[s] = y, x
    at_y, at_x, stay = row[6, :n], row[7, :n], row[8, :n]
    for i in range(n):
        gain = table[GAIN, i]
        for half in range(halves):
            if row[2 * half, i] != 0.0:
                _add(gain, row[2 * half, i], row[4 + half, :n])
        at_y[i], at_x[i], stay[i] = gain[y], gain[x], gain[p[i]]
    _renew(r, p, table, at_y, stay, halves, change, row)
    _renew(s, p, table, at_x, stay, halves, change, row)
    for e in (r, s):
        _held(left[0, e], p, left[1, p[e]], times)
        _store(e, times, until)


@inner_kernel
def _begin(
    p: IntArray, table: RealArray, halves: int, change: RealArray, until: IntArray,
    left: IntArray, row: RealArray,
) -> None:  # fmt: skip
    """All tables for the assignment ``p``; nothing is tabu."""
    n = p.size
    for k in range(row.shape[0]):
        for i in range(2 * n):
            row[k, i] = 0.0
    gain, stay = table[GAIN], row[8, :n]
    for i in range(n):
        for d in range(until.shape[0]):
            until[d, i] = 0
        for x in range(n):
            left[0, i, x] = 0
            left[1, i, x] = 0
            gain[i, x] = table[LINEAR, i, x]
        for k in range(n):
            # Row p of the transposed distances is what every site has to site p, and back.
            _add(gain[i], table[0, k, i], table[DISTANCE, p[k]])
            _add(gain[i], table[1, k, i], table[DISTANCE + 1, p[k]])
        stay[i] = gain[i, p[i]]
    for e in range(n):
        for i in range(n):
            row[6, i] = gain[i, p[e]]
        _renew(e, p, table, row[6, :n], stay, halves, change, row)


@lean_kernel
def _tabu(
    iterations: int, p: IntArray, table: RealArray, halves: int, change: RealArray,
    until: IntArray, left: IntArray, row: RealArray, times: IntArray, none: float,
    shortest: int, longest: int, best: IntArray, now: float, known: float, state: IntArray,
) -> float:  # fmt: skip
    """Tabu run from ``p`` with cost ``now``; ``best`` receives the best assignment met.

    Its cost is returned.  One better than ``known`` may be entered by a tabu move.

    Args:
        table: [8, n, n], see the names above; flows and distances without diagonals.
        halves: 1 where flows and distances are symmetric, else 2.
        change, until: [n // 2, n] cost change of every pair, and until when it is tabu.
        left: [2, n, n] until when it is tabu to return, by facility and site, and transposed.
        row: [12, 2 n] vectors: two of each half of the last swap (``_scan``), and scratch.
        none: larger than any change.
        shortest, longest: number of iterations for which what was left is tabu.
    """
    n, rows = p.size, change.shape[0]
    _begin(p, table, halves, change, until, left, row)
    for k in range(n):
        best[k] = p[k]
    found = now
    least = row[9]
    for step in range(1, iterations + 1):
        t = np.int32(step)
        wanted = change.dtype.type(min(found, known) - 0.5 - now)
        for half in range(halves - 1, -1, -1):
            u, w = row[2 * half], row[2 * half + 1]
            for d in range(rows):
                first, last = d + 1, d + 1 + n
                least[d] = _scan(change[d], until[d], t, wanted, none, u[:n], w[:n],
                                 u[first:last], w[first:last])  # fmt: skip
        # Of equal swaps the first from a random row on, lest ties are always broken alike.
        begin = int(random(state) * rows)
        chosen = begin
        for d in range(rows):
            k = begin + d if begin + d < rows else begin + d - rows
            if least[k] < least[chosen]:
                chosen = k
        value = least[chosen]
        if value == none:  # all tabu: only time passes
            for half in range(2 * halves):
                for k in range(2 * n):
                    row[half, k] = 0.0
            continue
        r = 0
        while change[chosen, r] != value or not (until[chosen, r] <= t or value < wanted):
            r += 1
        s = r + chosen + 1
        if s >= n:
            s -= n
        for e in (r, s):
            end = t + shortest + int(random(state) * (longest - shortest + 1))
            left[0, e, p[e]] = end
            left[1, p[e], e] = end
        _swap(r, s, p, table, halves, change, until, left, row, times)
        now += value
        if now < found - 0.5:
            found = now
            for k in range(n):
                best[k] = p[k]
    return found


class Tabu:
    """A problem of at least two sites in the form of the kernel, with its tables.

    Attributes:
        size: number of sites, and of facilities with the idle ones.
        unit: what 1 in the costs of this class is in costs of the problem.
    """

    def __init__(self, problem: Quadratic, seed: int) -> None:
        even = problem.symmetric
        self._problem = whole = (even or problem).square.whole
        self.size = n = whole.distance.shape[0]
        order = np.arange(n)
        cost = whole.cost(order)
        self.unit = problem.square.cost(order) / cost if cost > 0 else 1.0
        # A facility's flow to itself is a matter of its own site.
        a, b = whole.flow.copy(), whole.distance.copy()
        c = whole.linear + np.outer(np.diag(a), np.diag(b))
        np.fill_diagonal(a, 0.0)
        np.fill_diagonal(b, 0.0)
        both_a, both_b = a + a.T, b + b.T
        top, far = np.abs(a).max(), np.abs(b).max()
        largest = np.abs(both_a).sum(axis=1).max() * far + np.abs(c).max()
        real: Any = np.float32 if 4 * largest + 16 * top * far < EXACT else np.float64
        table = np.array([a, a.T, b, b.T, c, both_a, both_b, c], real)
        rows = n // 2
        self._tables = (
            table, 2 if even is None else 1, np.zeros((rows, n), real),
            np.zeros((rows, n), np.int32), np.zeros((2, n, n), np.int32),
            np.zeros((13, 2 * n), real), np.zeros(n, np.int32), real(np.inf),
            max(1, int(0.9 * n)), int(1.1 * n) + 4,
        )  # fmt: skip
        words = np.random.SeedSequence(seed).generate_state(1, np.uint64)
        self._state = words | np.uint64(1)

    def cost(self, site: IntArray) -> float:
        """Cost of an assignment [size], in units of this class."""
        return self._problem.cost(site)

    def run(self, start: IntArray, iterations: int, known: float) -> tuple[IntArray, float]:
        """Best assignment of one run, and its cost in units of this class.

        Args:
            start: [size] sites.
            iterations: swaps to make.
            known: only what is cheaper may be entered by a swap that is tabu.
        """
        best, site = np.empty(self.size, np.int64), start.astype(np.int64)
        cost = _tabu(
            iterations, site, *self._tables, best, self.cost(start), known, self._state
        )  # fmt: skip
        return best, cost
