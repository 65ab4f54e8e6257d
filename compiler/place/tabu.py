"""Iterated robust tabu search for quadratic assignment.

The inner search is Taillard's (Parallel Computing 17, 1991): the best swap that is not tabu, all
swap costs kept up to date in O(1) each.  Around it, a run starts from the best assignment with a
few facilities shuffled, more of them the longer nothing was gained (Misevicius 2012).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.compiler.place.anneal import random
from snnc.compiler.place.quadratic import Quadratic
from snnc.compiler.place.watch import Watch
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import inner_kernel, lean_kernel, summing

RUN = 60  # iterations of one tabu run per facility
STALE = 40  # runs without gain before a fresh random start


@dataclass(frozen=True, eq=False)
class Assigned:
    """An assignment [n] of sites, and its cost."""

    site: IntArray
    cost: float


@summing
def _difference(x: RealArray, y: RealArray, z: RealArray, w: RealArray) -> float:
    """sum of (x - y) (z - w)."""
    total: float = 0.0
    for k in range(x.size):
        total += (x[k] - y[k]) * (z[k] - w[k])
    return total


@inner_kernel
def _swap_cost(i: int, j: int, a: RealArray, at: RealArray, b: RealArray, bt: RealArray) -> float:
    """Change of the flow cost when facilities i and j change places, from scratch.

    ``b`` is by facility (distance between the sites of two), ``at`` and ``bt`` are transposed.
    """
    total: float = _difference(a[i], a[j], b[j], b[i]) + _difference(at[i], at[j], bt[j], bt[i])
    # The terms of i and j themselves are of another form.
    total -= (a[i, i] - a[j, i]) * (b[j, i] - b[i, i]) + (a[i, j] - a[j, j]) * (b[j, j] - b[i, j])
    total -= (a[i, i] - a[i, j]) * (b[i, j] - b[i, i]) + (a[j, i] - a[j, j]) * (b[j, j] - b[j, i])
    total += (a[i, i] - a[j, j]) * (b[j, j] - b[i, i]) + (a[i, j] - a[j, i]) * (b[j, i] - b[i, j])
    return total


@inner_kernel
def _swap_rows(r: int, s: int, x: RealArray) -> None:
    for k in range(x.shape[0]):
        x[r, k], x[s, k] = x[s, k], x[r, k]
    for k in range(x.shape[0]):
        x[k, r], x[k, s] = x[k, s], x[k, r]


@inner_kernel
def _update(delta: RealArray, u: RealArray, w: RealArray, factor: float) -> None:
    """delta_ij += factor (u_i - u_j) (w_i - w_j)."""
    n = u.size
    for i in range(n):
        ui, wi = factor * u[i], w[i]
        row = delta[i]
        for j in range(n):
            row[j] += (ui - factor * u[j]) * (wi - w[j])


@inner_kernel
def _apply(
    r: int, s: int, p: IntArray, a: RealArray, at: RealArray, b: RealArray, bt: RealArray,
    symmetric: bool, delta: RealArray, u: RealArray, w: RealArray,
) -> None:  # fmt: skip
    """Swap r and s and bring the swap costs of all pairs up to date."""
    n = p.size
    p[r], p[s] = p[s], p[r]
    _swap_rows(r, s, b)
    if symmetric:
        for k in range(n):
            u[k] = a[r, k] - a[s, k]
            w[k] = b[s, k] - b[r, k]
        _update(delta, u, w, 2.0)
    else:
        _swap_rows(r, s, bt)
        for k in range(n):
            u[k] = a[r, k] - a[s, k]
            w[k] = b[s, k] - b[r, k]
        _update(delta, u, w, 1.0)
        for k in range(n):
            u[k] = at[r, k] - at[s, k]
            w[k] = bt[s, k] - bt[r, k]
        _update(delta, u, w, 1.0)
    for k in range(n):
        delta[r, k] = _swap_cost(r, k, a, at, b, bt)
        delta[s, k] = _swap_cost(s, k, a, at, b, bt)
        delta[k, r] = delta[r, k]
        delta[k, s] = delta[s, k]


@lean_kernel
def _tabu(
    iterations: int, p: IntArray, a: RealArray, at: RealArray, b: RealArray, bt: RealArray,
    c: RealArray, placed: bool, symmetric: bool, delta: RealArray, until: IntArray, row: RealArray,
    best: IntArray, now: float, known: float, state: IntArray,
) -> float:  # fmt: skip
    """Tabu run from ``p`` with cost ``now``; ``best`` receives the best assignment met.

    Its cost is returned.  One better than ``known`` may be entered by a tabu move (aspiration).
    ``b`` and ``bt`` are permuted by ``p`` and change with it; ``placed``: c is not 0.  ``delta``,
    ``until`` [n, n] and ``row`` [2, n] are scratch; ``until`` must be 0.
    """
    n = p.size
    for i in range(n):
        best[i] = p[i]
        for j in range(n):
            delta[i, j] = _swap_cost(i, j, a, at, b, bt)
    found = now
    shortest, longest = max(1, int(0.9 * n)), int(1.1 * n) + 4
    for t in range(1, iterations + 1):
        least, r, s = np.inf, -1, -1
        for i in range(n - 1):
            x = p[i]
            for j in range(i + 1, n):
                change = delta[i, j]
                if placed:
                    change += c[i, p[j]] + c[j, x] - c[i, x] - c[j, p[j]]
                if change < least:
                    held = until[i, p[j]] > t and until[j, x] > t
                    if not held or now + change < min(found, known) - 0.5:
                        least, r, s = change, i, j
        if r < 0:
            continue
        until[r, p[r]] = t + shortest + int(random(state) * (longest - shortest + 1))
        until[s, p[s]] = t + shortest + int(random(state) * (longest - shortest + 1))
        now += least
        _apply(r, s, p, a, at, b, bt, symmetric, delta, row[0], row[1])
        if now < found - 0.5:
            found = now
            for k in range(n):
                best[k] = p[k]
    return found


def _shuffled(p: IntArray, strength: int, rng: np.random.Generator) -> IntArray:
    """The sites of ``strength`` random facilities, rotated among them."""
    chosen = rng.permutation(p.size)[:strength]
    result = p.copy()
    result[chosen] = p[np.roll(chosen, 1)]
    return result


def search(problem: Quadratic, start: IntArray, seed: int, runs: int, watch: Watch) -> Assigned:
    """Best assignment of ``runs`` tabu runs, never worse than ``start`` [n].

    Equal seeds and runs give equal results unless the watch cuts them.
    """
    n = problem.distance.shape[0]
    if n < 2:
        return Assigned(start, problem.cost(start))
    best: IntArray = np.concatenate([start, np.setdiff1d(np.arange(n), start)]).astype(np.int64)
    walk = _Walk(problem, seed)
    rng = np.random.default_rng(seed)
    best_cost = walk.run(best, 0, np.inf)[1]  # compiles before the clock starts
    base, base_cost, stale, strength = best, best_cost, 0, 2
    for number in range(runs):
        if watch.due():
            break
        if number % 16 == 0:
            watch.tell(number / runs, best_cost * walk.unit)
        if stale > STALE:
            base, base_cost, stale, strength = rng.permutation(n), np.inf, 0, 2
        found, cost = walk.run(_shuffled(base, strength, rng), RUN * n, best_cost)
        if cost < base_cost:
            base, base_cost, stale, strength = found, cost, 0, 2
        else:
            stale += 1
            strength = 2 + (strength + max(1, n // 20) - 2) % max(2, n // 2)
        if cost < best_cost:
            best, best_cost = found, cost
    site = best[: start.size]
    return Assigned(site, problem.cost(site))


class _Walk:
    """The problem in whole numbers, in the form of the kernel, with its scratch arrays."""

    def __init__(self, problem: Quadratic, seed: int) -> None:
        even = problem.symmetric
        self.whole = whole = (even or problem).square.whole
        n = whole.distance.shape[0]
        self.even, self.placed = even is not None, bool(whole.linear.any())
        self.delta, self.until, self.row = np.zeros((n, n)), np.zeros((n, n), int), np.zeros((2, n))
        self.state = np.array([(seed + 1) * 0x9E3779B97F4A7C15 % 2**64], np.uint64)
        self.unit = 1.0
        cost = whole.cost(np.arange(n))
        if cost > 0:
            self.unit = problem.square.cost(np.arange(n)) / cost

    def run(self, start: IntArray, iterations: int, known: float) -> tuple[IntArray, float]:
        """Best assignment of one tabu run, and its cost in the units of ``whole``."""
        best, whole = np.empty_like(start), self.whole
        self.until[:] = 0
        b = whole.distance[np.ix_(start, start)]
        cost = _tabu(
            iterations, start.copy(), whole.flow, np.ascontiguousarray(whole.flow.T), b,
            b if self.even else np.ascontiguousarray(b.T), whole.linear, self.placed, self.even,
            self.delta, self.until, self.row, best, whole.cost(start), known, self.state,
        )  # fmt: skip
        return best, cost
