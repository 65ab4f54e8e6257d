"""Robust tabu search for quadratic assignment (Taillard, Parallel Computing 17, 1991).

Each step takes the best swap that is not tabu.  The cost changes of all swaps are kept, and one
swap updates them in O(1) each.  What makes a step as fast as memory allows:

- The update of a step and the search for the next swap are one pass of vector code (``scan``).
- ``gain[i, x]``, the cost of facility i on site x while the others stay, changes by a product of
  two vectors per swap; the swaps of the two facilities that moved are read from it.  Products are
  collected and added a few at a time.
- All numbers are whole, in 32-bit reals where these are exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.compiler.place.anneal import random
from snnc.compiler.place.pairs import (
    LATE,
    ROWS,
    add_products,
    aligned,
    first_of,
    lanes,
    padded,
    scan,
)
from snnc.compiler.place.parked import freed, park, unpark
from snnc.compiler.place.quadratic import Quadratic
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import inner_kernel, lean_kernel

EXACT = 2.0**24  # whole numbers of 32-bit reals are exact up to here
# Matrices of a table; flows and distances are followed by their transposes.
DISTANCE, LINEAR, BOTH_FLOW, BOTH_DISTANCE, GAIN = 2, 4, 5, 6, 7
# Vectors: first u and w of the last swap's halves (``scan``); then LATE products by facility and by
# site; what facilities cost where they are; columns and rows of ``gain``; scratch; factors.
LATE_FLOW, LATE_DISTANCE, STAY, MOVED, SCRATCH, FACTOR = 4, 12, 20, 21, 25, 28
VECTORS = 36


@inner_kernel
def _copy(row: RealArray, out: RealArray) -> None:
    for k in range(row.size):
        out[k] = row[k]


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
def _renew(
    e: int, p: IntArray, table: RealArray, row: RealArray, column: RealArray, halves: int,
    change: RealArray, vector: RealArray,
) -> None:  # fmt: skip
    """Cost changes of all swaps of facility e, whose ``row`` and site's ``column`` of gain are."""
    n = p.size
    there, distance, out = vector[SCRATCH], vector[SCRATCH + 1], vector[SCRATCH + 2, :n]
    stay = vector[STAY]
    _pick(row, p, there)
    _pick(table[BOTH_DISTANCE, p[e]], p, distance)
    _swaps_of(there[:n], column[:n], stay[:n], stay[e], table[BOTH_FLOW, e, :n], distance[:n], out)
    for half in range(halves):
        u, w = vector[2 * half], vector[2 * half + 1]
        _before(u[:n], u[e], w[:n], w[e], out)
    for k in range(e):
        change[k, e] = out[k]
    for k in range(e + 1, n):
        change[e, k] = out[k]


@inner_kernel
def _swap(
    r: int, s: int, late: int, p: IntArray, table: RealArray, halves: int, change: RealArray,
    vector: RealArray,
) -> int:  # fmt: skip
    """Swap facilities r and s; all pairs but theirs are updated by the next scan.

    ``late`` products wait to be added to ``gain``; their number after the swap is returned.
    """
    n = p.size
    x, y = p[r], p[s]
    twice = change.dtype.type(3 - halves)  # flows out and in change alike where both are even
    gain, stay = table[GAIN], vector[STAY]
    for half in range(halves):
        a, b = table[half], table[DISTANCE + half]
        u, w = vector[2 * half], vector[2 * half + 1]
        flow, distance = vector[LATE_FLOW + late], vector[LATE_DISTANCE + late]
        for k in range(u.size):
            u[k] = twice * (a[r, k] - a[s, k])
            flow[k] = u[k]
            distance[k] = b[y, k] - b[x, k]
        _pick(distance, p, w)
        for k in range(n):
            stay[k] += u[k] * w[k]
        late += 1
    p[r], p[s] = y, x
    moved = vector[MOVED : MOVED + 4]
    for i in range(n):
        moved[0, i], moved[1, i] = gain[i, y], gain[i, x]
    for k in range(moved.shape[1]):
        moved[2, k], moved[3, k] = gain[r, k], gain[s, k]
    flows = vector[LATE_FLOW : LATE_FLOW + LATE]
    distances = vector[LATE_DISTANCE : LATE_DISTANCE + LATE]
    factor = vector[FACTOR : FACTOR + LATE]
    for m in range(LATE):
        factor[m, 0], factor[m, 1] = distances[m, y], distances[m, x]
        factor[m, 2], factor[m, 3] = flows[m, r], flows[m, s]
    add_products(moved, 0, 2, factor, flows)
    add_products(moved, 2, 4, factor, distances)
    stay[r], stay[s] = moved[0, r], moved[1, s]
    _renew(r, p, table, moved[2], moved[0], halves, change, vector)
    _renew(s, p, table, moved[3], moved[1], halves, change, vector)
    if late + halves > LATE:
        add_products(gain, 0, n, flows, distances)
        for m in range(LATE):
            for k in range(flows.shape[1]):
                flows[m, k] = 0.0
        late = 0
    return late


@inner_kernel
def _begin(
    p: IntArray, table: RealArray, halves: int, change: RealArray, left: IntArray,
    vector: RealArray,
) -> None:  # fmt: skip
    """All tables for the assignment ``p``; nothing is tabu."""
    n = p.size
    for k in range(vector.shape[0]):
        for i in range(vector.shape[1]):
            vector[k, i] = 0.0
    gain, stay = table[GAIN], vector[STAY]
    for i in range(n):
        for x in range(n):
            left[0, i, x] = 0
            left[1, i, x] = 0
            gain[i, x] = table[LINEAR, i, x]
    distances = vector[LATE_DISTANCE : LATE_DISTANCE + LATE]
    for first in range(0, n, LATE):
        for half in range(2):
            for m in range(min(LATE, n - first)):
                # Row p of the transposed distances is what every site has to site p, and back.
                _copy(table[DISTANCE + half, p[first + m]], distances[m])
            add_products(gain, 0, n, table[half, first : first + LATE], distances)
    for i in range(n):
        stay[i] = gain[i, p[i]]
    column = vector[MOVED]
    for e in range(n):
        for i in range(n):
            column[i] = gain[i, p[e]]
        _renew(e, p, table, gain[e], column, halves, change, vector)


@lean_kernel
def _tabu(
    iterations: int, p: IntArray, table: RealArray, halves: int, change: RealArray,
    left: IntArray, vector: RealArray, least: RealArray, parked: IntArray, value: RealArray,
    shortest: int, longest: int, best: IntArray, now: float, known: float, state: IntArray,
) -> float:  # fmt: skip
    """Tabu run from ``p`` with cost ``now``; ``best`` receives the best assignment met.

    Its cost is returned.  One better than ``known`` may be entered by a tabu move.

    Args:
        table: [8, width, width], see the names above; flows and distances without diagonals.
        halves: 1 where flows and distances are symmetric, else 2.
        change: [width, width] cost change of every pair, infinite while it is tabu.
        left: [2, n, width] until when it is tabu to return, by facility and site, and transposed.
        vector: [VECTORS, width] see the names above.
        least: [blocks, lanes] what ``scan`` finds.
        parked, value: [3, pairs] i, j of a swap and until when it is tabu; its cost change.
        shortest, longest: number of iterations for which what was left is tabu.
    """
    n, blocks = p.size, least.shape[0]
    _begin(p, table, halves, change, left, vector)
    for k in range(n):
        best[k] = p[k]
    found = now
    # Of the type they have later, lest what takes them is compiled twice.
    late: Any = np.int64(0)
    count: Any = np.int64(0)
    for step in range(1, iterations + 1):
        t: Any = np.int32(step)
        if halves == 1:
            lowest = scan(change, vector, 1, blocks, least)
        else:
            lowest = scan(change, vector, 2, blocks, least)
        count, lowest = freed(t, halves, vector, change, count, parked, value, least, lowest)
        # A swap that is tabu may enter what is better than all that is known.
        wanted = min(found, known) - 0.5 - now
        r = s = -1
        for q in range(count):
            if value[q] < wanted and value[q] < lowest:
                lowest = value[q]
                r, s = parked[0, q], parked[1, q]
        if lowest == np.inf:  # all tabu: only time passes
            for k in range(2 * halves):
                for i in range(n):
                    vector[k, i] = 0.0
            continue
        if r < 0:
            # Of equal swaps the first from a random row on, lest ties are always broken alike.
            r, s = first_of(lowest, int(random(state) * blocks), change, least)
        for e in (r, s):
            end = t + shortest + int(random(state) * (longest - shortest + 1))
            left[0, e, p[e]] = end
            left[1, p[e], e] = end
        late = _swap(r, s, late, p, table, halves, change, vector)
        count = unpark(r, s, count, parked, value)
        count = park(r, t, p, left, change, count, parked, value)
        count = park(s, t, p, left, change, count, parked, value)
        now += lowest
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
        largest = np.abs(both_a).sum(axis=1).max() * np.abs(b).max() + np.abs(c).max()
        product = np.ptp(a) * np.ptp(b)
        real: Any = np.float32 if 4 * largest + 16 * product < EXACT else np.float64
        width = padded(n, real)
        table = aligned((8, width, width), real)
        table[:, :n, :n] = a, a.T, b, b.T, c, both_a, both_b, c
        change = aligned((width, width), real)
        change[:] = np.inf
        self._tables = (
            table, 2 if even is None else 1, change, aligned((2, n, padded(n, np.int32)), np.int32),
            aligned((VECTORS, width), real), aligned((-(-n // ROWS), lanes(real)), real),
            np.zeros((3, n * (n - 1) // 2), np.int32), np.zeros(n * (n - 1) // 2, real),
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
        best, site = np.empty(self.size, np.int64), start.astype(np.uint32)
        cost = _tabu(
            iterations, site, *self._tables, best, self.cost(start), known, self._state
        )  # fmt: skip
        return best, cost
