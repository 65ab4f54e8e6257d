"""Branch and bound for quadratic assignment with Gilmore-Lawler bounds: proves small ones.

At every node each open facility is charged, on each free site, what it exchanges with the placed
ones and at least what it must exchange with the open ones (its heaviest flows over the nearest
free sites).  The cheapest assignment under these charges bounds the node (Gilmore 1962, Lawler
1963); its reduced costs bound the children without solving them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.compiler.place.quadratic import Quadratic
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import inner_kernel, lean_kernel


@dataclass(frozen=True, eq=False)
class Proof:
    """An assignment [n], its cost, a bound that none can beat, and the nodes looked at.

    ``cost == bound`` is a proof of optimality; otherwise the node limit was reached.
    """

    site: IntArray
    cost: float
    bound: float
    nodes: int


@inner_kernel
def _charges(
    depth: int, order: IntArray, p: IntArray, free: IntArray, a: RealArray, b: RealArray,
    c: RealArray, row_rank: IntArray, column_rank: IntArray, heavy: RealArray, charge: RealArray,
) -> None:  # fmt: skip
    """``charge[k, j]`` for the open facilities ``order[depth + k]`` and all free sites j."""
    n, m = order.size, free.size
    rest = n - depth
    for k in range(rest):
        i = order[depth + k]
        count = 0
        for r in range(n):  # flows to the open facilities, falling
            o = row_rank[i, r]
            if o != i and p[o] < 0:
                heavy[k, count] = a[i, o]
                count += 1
    for j in range(m):
        if not free[j]:
            continue
        for k in range(rest):
            i = order[depth + k]
            total = c[i, j] + a[i, i] * b[j, j]
            for q in range(depth):
                o = order[q]
                total += a[i, o] * b[j, p[o]] + a[o, i] * b[p[o], j]
            charge[k, j] = total
        count = 0
        for r in range(m):  # distances to the other free sites, rising
            if count == rest - 1:
                break
            x = column_rank[j, r]
            if x != j and free[x]:
                for k in range(rest):
                    charge[k, j] += heavy[k, count] * b[j, x]
                count += 1


@inner_kernel
def _assign(
    rows: int, free: IntArray, charge: RealArray, u: RealArray, v: RealArray,
    owner: IntArray, way: IntArray, least: RealArray, seen: IntArray,
) -> float:  # fmt: skip
    """Cheapest assignment of rows to free columns (Kuhn 1955); u, v become its potentials."""
    m = free.size
    for k in range(rows + 1):
        u[k] = 0.0
    for j in range(m + 1):
        v[j] = 0.0
        owner[j] = -1
    for row in range(rows):
        owner[m] = row
        column = m
        for j in range(m):
            least[j] = np.inf
            seen[j] = 1 - free[j]
        seen[m] = 0
        while owner[column] >= 0:
            seen[column] = 2
            at, step, following = owner[column], np.inf, -1
            for j in range(m):
                if seen[j] == 0:
                    reduced = charge[at, j] - u[at] - v[j]
                    if reduced < least[j]:
                        least[j] = reduced
                        way[j] = column
                    if least[j] < step:
                        step = least[j]
                        following = j
            for j in range(m + 1):
                if seen[j] == 2:
                    u[owner[j]] += step
                    v[j] -= step
                elif j < m and seen[j] == 0:
                    least[j] -= step
            column = following
        while column != m:
            previous = way[column]
            owner[column] = owner[previous]
            column = previous
    total = 0.0
    for j in range(m):
        if owner[j] >= 0:
            total += charge[owner[j], j]
    return total


@lean_kernel
def _branch(
    order: IntArray, a: RealArray, b: RealArray, c: RealArray, row_rank: IntArray,
    column_rank: IntArray, best: IntArray, known: float, slack: float, most: int, p: IntArray,
    free: IntArray, heavy: RealArray, charge: RealArray, u: RealArray, v: RealArray,
    owner: IntArray, way: IntArray, least: RealArray, seen: IntArray, fixed: RealArray,
    children: RealArray,
) -> tuple[float, float, int]:  # fmt: skip
    """Depth-first search; returns (best cost, root bound, nodes), nodes = -1 beyond ``most``.

    ``children[depth, j]`` is the bound of placing ``order[depth]`` on site j, inf when done.
    """
    n, m = order.size, free.size
    depth, nodes, root = 0, 0, 0.0
    fresh = True
    fixed[0] = 0.0
    while depth >= 0:
        if fresh:
            nodes += 1
            if nodes > most:
                return known, root, -1
            _charges(depth, order, p, free, a, b, c, row_rank, column_rank, heavy, charge)
            bound = fixed[depth] + _assign(n - depth, free, charge, u, v, owner, way, least, seen)
            if depth == 0:
                root = bound
            for j in range(m):
                children[depth, j] = bound + charge[0, j] - u[0] - v[j] if free[j] else np.inf
            fresh = False
        i = order[depth]
        if p[i] >= 0:
            free[p[i]] = 1
            p[i] = -1
        j = 0
        for x in range(m):
            if children[depth, x] < children[depth, j]:
                j = x
        if children[depth, j] >= known - slack:
            depth -= 1
            continue
        children[depth, j] = np.inf
        p[i] = j
        free[j] = 0
        own = c[i, j] + a[i, i] * b[j, j]
        for q in range(depth):
            o = order[q]
            own += a[i, o] * b[j, p[o]] + a[o, i] * b[p[o], j]
        fixed[depth + 1] = fixed[depth] + own
        if depth + 1 == n:
            if fixed[n] < known:
                known = fixed[n]
                for k in range(n):
                    best[k] = p[k]
            continue
        depth += 1
        fresh = True
    return known, root, nodes


def prove(problem: Quadratic, start: IntArray, most_nodes: int) -> Proof:
    """Optimal assignment, or ``start`` and the root's bound when ``most_nodes`` is not enough.

    Flows and distances must not be negative.
    """
    even = problem.symmetric or problem
    a, b, c = even.flow, even.distance, even.linear
    n, m = c.shape
    whole = all((x == np.rint(x)).all() for x in (problem.flow, problem.distance, problem.linear))
    cost = problem.cost(start)
    slack = 1 - 1e-6 if whole else 1e-9 * max(cost, 1.0)
    best = start.astype(np.int64).copy()
    found, root, nodes = _branch(
        np.argsort(-(a.sum(axis=0) + a.sum(axis=1)), kind="stable"), a, b, c,
        np.argsort(-a, axis=1, kind="stable"), np.argsort(b, axis=1, kind="stable"),
        best, cost, slack, most_nodes, np.full(n, -1), np.ones(m, np.int64),
        np.zeros((n, n)), np.zeros((n, m)), np.zeros(n + 1), np.zeros(m + 1),
        np.zeros(m + 1, np.int64), np.zeros(m + 1, np.int64), np.zeros(m + 1),
        np.zeros(m + 1, np.int64), np.zeros(n + 1), np.zeros((n, m)),
    )  # fmt: skip
    bound = found if nodes >= 0 else min(root, found)
    return Proof(best, found, bound, nodes if nodes >= 0 else most_nodes)
