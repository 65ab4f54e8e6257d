"""Kernels of ``stagger``: what cores send over time, and one core after the other moved.

The packets of a core are spread evenly over its sweep; what a place (link or core) has to do for
them is counted in bins of time, what comes after the last bin in it.
"""

from __future__ import annotations

from typing import NamedTuple

from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import inner_kernel, lean_kernel

LEVELS = 16
"""Starts that are tried for a core, beside the one that it has."""
PASSES = 4
BETTER = 1e-9
"""A core moves for a lower cost by more than this share; ties go to the first that is tried."""


class Rows(NamedTuple):
    """What cores send.

    ``ptr`` [cores + 1] slices of the rows; by row ``place``, ``rate`` (utilisation of one bin if
    all came in it) and ``delay`` (cycles after the core's start); ``sweep`` [cores] cycles over
    which packets spread; ``edges`` [bins + 1] of time, equally far apart from 0.
    """

    ptr: IntArray
    place: IntArray
    rate: RealArray
    delay: RealArray
    sweep: RealArray
    edges: RealArray


@inner_kernel
def _sent(rows: Rows, core: int, row: int, start: float, bin_: int) -> float:
    """Utilisation by one row in one bin."""
    begin, sweep = start + rows.delay[row], rows.sweep[core]
    before: float = min(max((rows.edges[bin_] - begin) / sweep, 0.0), 1.0)
    after: float = min(max((rows.edges[bin_ + 1] - begin) / sweep, 0.0), 1.0)
    if bin_ == rows.edges.size - 2:
        after = 1.0
    share: float = (after - before) * rows.rate[row]
    return share


@lean_kernel
def add_core(rows: Rows, core: int, start: float, place: IntArray, total: RealArray) -> None:
    """Add what a core sends to ``total`` [places, bins]; ``place`` [rows]."""
    for row in range(rows.ptr[core], rows.ptr[core + 1]):
        for bin_ in range(total.shape[1]):
            total[place[row], bin_] += _sent(rows, core, row, start, bin_)


@lean_kernel
def add_cores(rows: Rows, start: RealArray, total: RealArray) -> None:
    """Add what all cores send to ``total`` [places, bins]."""
    for core in range(start.size):
        for row in range(rows.ptr[core], rows.ptr[core + 1]):
            for bin_ in range(total.shape[1]):
                total[rows.place[row], bin_] += _sent(rows, core, row, start[core], bin_)


@inner_kernel
def _tried(k: int, now: float, slack: float) -> float:
    """The k-th start that is tried: the present one, then ``LEVELS`` from 0 to the slack."""
    return now if k == 0 else slack * ((k - 1) / (LEVELS - 1))


@lean_kernel
def settle(
    rows: Rows, order: IntArray, slack: RealArray, start: RealArray, total: RealArray,
    cost: RealArray, rest: RealArray,
) -> None:  # fmt: skip
    """Move one core at a time to the start with the least sum of utilisation ** 4, some passes.

    Args:
        rows: what cores send.
        order: cores that may move.
        slack: [cores] latest starts.
        start: [cores]; changed.
        total: [places, bins] utilisation with these starts; changed.
        cost, rest: [LEVELS + 1], [bins] scratch.
    """
    bins = total.shape[1]
    for _ in range(PASSES):
        moved = False
        for core in order:
            now = start[core]
            cost[:] = 0.0
            for row in range(rows.ptr[core], rows.ptr[core + 1]):
                place = rows.place[row]
                for bin_ in range(bins):
                    rest[bin_] = total[place, bin_] - _sent(rows, core, row, now, bin_)
                for k in range(LEVELS + 1):
                    at = _tried(k, now, slack[core])
                    for bin_ in range(bins):
                        square = (rest[bin_] + _sent(rows, core, row, at, bin_)) ** 2
                        cost[k] += square * square
            best = 0
            for k in range(1, LEVELS + 1):
                best = k if cost[k] < cost[best] * (1.0 - BETTER) else best
            if best == 0:
                continue
            at = _tried(best, now, slack[core])
            start[core], moved = at, True
            for row in range(rows.ptr[core], rows.ptr[core + 1]):
                place = rows.place[row]
                for bin_ in range(bins):
                    was, is_ = _sent(rows, core, row, now, bin_), _sent(rows, core, row, at, bin_)
                    total[place, bin_] += is_ - was
        if not moved:
            return
