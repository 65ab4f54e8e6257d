"""Annealing by swaps on pairwise flows: the inner loop of the huge engine.

A move costs as many steps as the two cores have partners, and no memory beyond the flows.  Costs
are whole numbers in floating point, so that they are exact and the same on every machine.
"""

from __future__ import annotations

import numpy as np

from snnc.compiler.draws import draw
from snnc.compiler.place.zones import BoolArray
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import inner_kernel, lean_kernel, summing

LONG_RUN = 16  # partners; shorter runs are not worth setting up a vector loop


@inner_kernel
def apart(dx: float, dy: float, period: tuple[float, float]) -> float:
    """Hops between coordinates; ``period`` (0, 0): a mesh, else a hexagonal torus so large."""
    if period[0] == 0.0:
        return float(abs(dx) + abs(dy))
    least = np.inf
    other_x = dx - period[0] if dx > 0 else dx + period[0]
    other_y = dy - period[1] if dy > 0 else dy + period[1]
    for k in range(4):
        x = other_x if k >= 2 else dx
        y = other_y if k % 2 == 1 else dy
        same = (x > 0) == (y > 0)
        least = min(least, max(abs(x), abs(y)) if same else abs(x) + abs(y))
    return float(least)


@summing
def _moved(
    w: RealArray, x: RealArray, y: RealArray, px: float, py: float, qx: float, qy: float
) -> float:
    """Cost change of the flows ``w`` to partners at (x, y) when their core moves from p to q."""
    total: float = 0.0
    for k in range(w.size):
        near = (abs(x[k] - qx) - abs(x[k] - px)) + (abs(y[k] - qy) - abs(y[k] - py))
        total += np.float64(w[k]) * np.float64(near)
    return total


@inner_kernel
def _move(
    a: int, px: float, py: float, qx: float, qy: float, run_ptr: IntArray, run_first: IntArray,
    run_at: IntArray, weight: RealArray, x: RealArray, y: RealArray, period: tuple[float, float],
) -> float:  # fmt: skip
    total = 0.0
    for r in range(run_ptr[a], run_ptr[a + 1]):
        first, begin, end = run_first[r], run_at[r], run_at[r + 1]
        if period[0] != 0.0:
            for k in range(end - begin):
                c = first + k
                near = apart(x[c] - qx, y[c] - qy, period) - apart(x[c] - px, y[c] - py, period)
                total += np.float64(weight[begin + k]) * np.float64(near)
            continue
        if end - begin >= LONG_RUN:
            last = first + end - begin
            total += _moved(weight[begin:end], x[first:last], y[first:last], px, py, qx, qy)
            continue
        for k in range(end - begin):
            c = first + k
            near = (abs(x[c] - qx) - abs(x[c] - px)) + (abs(y[c] - qy) - abs(y[c] - py))
            total += np.float64(weight[begin + k]) * np.float64(near)
    return total


@inner_kernel
def _between(
    a: int, b: int, run_ptr: IntArray, run_first: IntArray, run_at: IntArray, weight: RealArray
) -> float:
    for r in range(run_ptr[a], run_ptr[a + 1]):
        k = run_at[r] + b - run_first[r]
        if run_first[r] <= b and k < run_at[r + 1]:
            return np.float64(weight[k])
    return 0.0


@lean_kernel
def sweep(
    first: int, last: int, threshold: RealArray, reach: int, toward: int,
    site: IntArray, occupant: IntArray, site_x: RealArray, site_y: RealArray, scale: int,
    cell_site: IntArray, width: int, height: int, slots: int,
    run_ptr: IntArray, run_first: IntArray, run_at: IntArray, weight: RealArray,
    x: RealArray, y: RealArray, state: IntArray, period: tuple[float, float],
    zone: IntArray, allowed: BoolArray,
) -> tuple[float, int, int]:  # fmt: skip
    """One proposal for each core on the sites ``first`` to ``last``.

    Args:
        threshold: table of rises in cost to accept, one is drawn per move.
        reach: farthest target, in cells of the mesh along x and y.
        toward: of 256 proposals, how many aim beside a partner instead of beside the core.
        site: [cores] site; ``occupant`` [sites] core or -1.
        site_x, site_y: [sites] coordinates, in 1 / ``scale`` of a cell.
        cell_site: [width * height * slots] site that holds a cell's slot, or -1.
        x, y: [nodes] coordinates of the cores and fixed points.
        state: of the random numbers.
        period: as for ``apart``, in the units of the coordinates.
        zone: [cores] zone of every core or -1; ``allowed`` [zones, sites].

    Returns:
        (cost change, in units of 1 / scale; moves proposed; moves accepted).
    """
    change, proposed, accepted = 0.0, 0, 0
    for s in range(first, last):
        a = occupant[s]
        if a < 0 or run_ptr[a] == run_ptr[a + 1]:
            continue
        px, py = site_x[s], site_y[s]
        cx, cy = int(px) // scale, int(py) // scale
        if draw(state, 256) < toward:
            r = run_ptr[a] + draw(state, run_ptr[a + 1] - run_ptr[a])
            c = run_first[r] + draw(state, run_at[r + 1] - run_at[r])
            cx, cy = int(x[c]) // scale, int(y[c]) // scale
        cx += draw(state, 2 * reach + 1) - reach
        cy += draw(state, 2 * reach + 1) - reach
        if period[0] != 0.0:
            cx %= width
            cy %= height
        if cx < 0 or cy < 0 or cx >= width or cy >= height:
            continue
        slot = draw(state, slots) if slots > 1 else 0
        t = cell_site[(cy * width + cx) * slots + slot]
        if t < 0 or t == s:
            continue
        b = occupant[t]
        if zone[a] >= 0 and not allowed[zone[a], t]:
            continue
        if b >= 0 and zone[b] >= 0 and not allowed[zone[b], s]:
            continue
        qx, qy = site_x[t], site_y[t]
        limit = threshold[draw(state, threshold.size)]
        proposed += 1
        delta = _move(a, px, py, qx, qy, run_ptr, run_first, run_at, weight, x, y, period)
        if b >= 0:
            delta += _move(b, qx, qy, px, py, run_ptr, run_first, run_at, weight, x, y, period)
            if delta > limit:
                continue
            common = _between(a, b, run_ptr, run_first, run_at, weight)
            delta += 2.0 * common * apart(px - qx, py - qy, period)
        if delta > limit:
            continue
        accepted += 1
        change += delta
        site[a] = t
        occupant[t] = a
        occupant[s] = b
        x[a] = qx
        y[a] = qy
        if b >= 0:
            site[b] = s
            x[b] = px
            y[b] = py
    return change, proposed, accepted


@lean_kernel
def total_cost(
    cores: int, run_ptr: IntArray, run_first: IntArray, run_at: IntArray, weight: RealArray,
    x: RealArray, y: RealArray, period: tuple[float, float],
) -> float:  # fmt: skip
    """Sum of weight x distance over all pairs; those with a fixed point are met once."""
    twice, once = 0.0, 0.0
    for a in range(cores):
        for r in range(run_ptr[a], run_ptr[a + 1]):
            shift = run_first[r] - run_at[r]
            for k in range(run_at[r], run_at[r + 1]):
                b = k + shift
                part = np.float64(weight[k]) * np.float64(apart(x[a] - x[b], y[a] - y[b], period))
                if b < cores:
                    twice += part
                else:
                    once += part
    return 0.5 * twice + once
