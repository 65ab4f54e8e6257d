"""Flows between pairs of cores, in memory linear in their number: what the huge engine works on.

The partners of a core are stored as runs of consecutive numbers, so that a complete bipartite
block of layers costs one number per pair and is read like an array.  Weights are whole numbers:
their sums are exact in any order, and results are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from snnc.compiler.place.problem import Problem, Sites
from snnc.compiler.place.zones import Zones
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import kernel

LARGEST_WEIGHT = 2**22  # whole numbers of 32-bit reals are exact below 2^24

Block = tuple[int, int, RealArray]
"""(first sender, first receiver, [senders, receivers] rates)."""


@dataclass(frozen=True, eq=False)
class Flows:
    """Symmetric flows between cores, and from fixed points to cores.

    Attributes:
        sites: where cores can be.
        cores: number of cores that are to be placed; numbers from there on are fixed points.
        fixed: [points, 2] x and y of the fixed points (the host port, pinned cores).
        run_ptr: [cores + points + 1] slice of the runs of every core.
        run_first: [runs] first partner of a run.
        run_at: [runs + 1] slice of ``weight`` of a run.
        weight: [entries] whole numbers.
        unit: rate of weight 1.
        zones: where some cores must be; groups of cores have none.
    """

    sites: Sites
    cores: int
    fixed: IntArray
    run_ptr: IntArray
    run_first: IntArray
    run_at: IntArray
    weight: RealArray
    unit: float
    zones: Zones | None = None

    @property
    def nodes(self) -> int:
        """Cores and fixed points."""
        return int(self.run_ptr.size - 1)

    @property
    def degree(self) -> float:
        """Mean number of partners of a core."""
        return self.weight.size / max(self.cores, 1)

    @staticmethod
    def of(problem: Problem) -> Flows:
        """The pairs of a problem; the weight of a tree is shared among its destinations."""
        sender, dest, weight = problem.flow
        width = problem.sites.width
        host = np.array([[problem.host % width, problem.host // width]])
        a = np.where(sender < 0, problem.cores, sender)
        flows = Flows.of_pairs(problem.sites, problem.cores, host, a, dest, weight)
        return replace(flows, zones=problem.zones)

    @staticmethod
    def of_pairs(
        sites: Sites, cores: int, fixed: IntArray, a: IntArray, b: IntArray, rate: RealArray
    ) -> Flows:
        """From (node, node, rate) of every pair, in any order; the same pair may come twice."""
        nodes = cores + len(fixed)
        useful = (a != b) & (rate > 0) & (np.minimum(a, b) < cores)
        a, b, rate = a[useful], b[useful], rate[useful]
        key = np.concatenate([a, b]).astype(np.int64) * nodes + np.concatenate([b, a])
        order = np.argsort(key, kind="stable")
        key = key[order]
        new = np.flatnonzero(np.diff(key, prepend=-1))
        both = np.concatenate([rate, rate])[order]
        total = np.add.reduceat(both, new) if new.size else both
        row, column = key[new] // nodes, key[new] % nodes
        unit, weight = _whole(total)
        kept = weight > 0
        return _runs(sites, cores, fixed, row[kept], column[kept], weight[kept], unit)

    @staticmethod
    def of_blocks(sites: Sites, cores: int, blocks: Iterable[Block], largest: float) -> Flows:
        """From dense blocks of rates, such as layers of cores that send all to all.

        No two blocks may share a pair, and cores of a block must not occur on both its sides.

        Args:
            sites: where cores can be.
            cores: number of cores.
            blocks: may be an iterator: each is read once.
            largest: no rate is above.
        """
        unit = largest / LARGEST_WEIGHT
        rows: list[tuple[int, int, RealArray]] = []
        for first, second, rate in blocks:
            weight = np.rint(rate / unit).astype(np.float32)
            rows.append((first, second, weight))
            rows.append((second, first, np.ascontiguousarray(weight.T)))
        rows.sort(key=lambda row: row[:2])
        count = np.zeros(cores, np.int64)
        for first, _, weight in rows:
            count[first : first + len(weight)] += 1
        run_ptr = np.concatenate([[0], np.cumsum(count)])
        run_first = np.zeros(int(run_ptr[-1]), np.int32)
        size = np.zeros(run_first.size, np.int64)
        at = run_ptr[:-1].copy()
        for first, second, weight in rows:
            here = at[first : first + len(weight)]
            run_first[here], size[here] = second, weight.shape[1]
            here += 1
        run_at = np.concatenate([[0], np.cumsum(size)])
        flat = np.zeros(int(run_at[-1]), np.float32)
        at = run_ptr[:-1].copy()
        while rows:
            first, second, weight = rows.pop(0)
            for k, line in enumerate(weight):
                begin = run_at[at[first + k]]
                flat[begin : begin + line.size] = line
            at[first : first + len(weight)] += 1
        fixed = np.zeros((0, 2), np.int64)
        return Flows(sites, cores, fixed, run_ptr, run_first, run_at, flat, unit)


def released(flows: Flows, site: IntArray) -> tuple[Flows, IntArray, IntArray]:
    """The cores without a zone alone; those with one become fixed points where ``site`` has them.

    Args:
        flows: of all cores, with zones.
        site: [cores] a placement within the zones.

    Returns:
        Their flows, their numbers, and the sites left to them.
    """
    assert flows.zones is not None
    held = flows.zones.held
    free = np.flatnonzero(flows.zones.zone < 0)
    left = np.setdiff1d(np.arange(flows.sites.count), site[held])
    old = flows.sites
    sites = Sites(old.router[left], old.slot[left], old.width, old.routers, old.slots, old.links)
    number = np.empty(flows.nodes, np.int64)
    number[free] = np.arange(free.size)
    number[held] = free.size + np.arange(held.size)
    number[flows.cores :] = free.size + held.size + np.arange(len(flows.fixed))
    run = np.repeat(np.arange(flows.run_first.size), np.diff(flows.run_at))
    node = np.repeat(np.arange(flows.nodes), np.diff(flows.run_ptr))[run]
    partner = flows.run_first[run] + np.arange(run.size) - flows.run_at[run]
    once = (node < partner) & (node < flows.cores)
    fixed = np.concatenate([old.xy[site[held]], flows.fixed])
    rate = flows.weight[once].astype(np.float64) * flows.unit
    pairs = number[node[once]], number[partner[once]]
    return Flows.of_pairs(sites, free.size, fixed, *pairs, rate), free, left


def _whole(rate: RealArray) -> tuple[float, RealArray]:
    """(unit, [entries] whole weights): rates that are small whole numbers stay as they are."""
    top = float(rate.max(initial=0.0))
    if top <= LARGEST_WEIGHT and (rate == np.rint(rate)).all():
        return 1.0, rate.astype(np.float32)
    unit = top / LARGEST_WEIGHT
    return unit, np.maximum(np.rint(rate / unit), 1.0).astype(np.float32)


def _runs(
    sites: Sites, cores: int, fixed: IntArray, row: IntArray, column: IntArray,
    weight: RealArray, unit: float,
) -> Flows:  # fmt: skip
    """Runs from entries in the order of (row, column)."""
    nodes = cores + len(fixed)
    begins = np.ones(row.size, bool)
    begins[1:] = (np.diff(row) != 0) | (np.diff(column) != 1)
    start = np.flatnonzero(begins)
    run_ptr = np.searchsorted(row[start], np.arange(nodes + 1))
    run_at = np.concatenate([start, [row.size]])
    return Flows(sites, cores, fixed, run_ptr, column[start].astype(np.int32), run_at, weight, unit)


@kernel
def coarse_entries(
    run_ptr: IntArray, run_first: IntArray, run_at: IntArray, weight: RealArray,
    group: IntArray, member_ptr: IntArray, member: IntArray, total: RealArray, seen: IntArray,
    touched: IntArray, column: IntArray, value: RealArray, row_ptr: IntArray, write: bool,
) -> int:  # fmt: skip
    """Flows between groups of nodes; returns the number of entries.

    ``write``: fill ``column`` and ``value``; otherwise only count into ``row_ptr``.  ``total``,
    ``seen`` (-1) and ``touched`` are scratch per group.
    """
    size = 0
    for g in range(member_ptr.size - 1):
        count = 0
        for m in range(member_ptr[g], member_ptr[g + 1]):
            a = member[m]
            for r in range(run_ptr[a], run_ptr[a + 1]):
                shift = run_first[r] - run_at[r]
                for k in range(run_at[r], run_at[r + 1]):
                    other = group[k + shift]
                    if other == g:
                        continue
                    if seen[other] != g:
                        seen[other] = g
                        total[other] = 0.0
                        touched[count] = other
                        count += 1
                    total[other] += weight[k]
        if write:
            part = np.sort(touched[:count])
            for k in range(count):
                column[size + k] = part[k]
                value[size + k] = total[part[k]]
        size += count
        row_ptr[g + 1] = size
    return size


def grouped(flows: Flows, group: IntArray, groups: int, sites: Sites) -> Flows:
    """Flows between groups of cores; fixed points stay by themselves, behind the groups.

    Args:
        flows: of the cores.
        group: [cores] group of every core.
        groups: number of groups.
        sites: of the groups.
    """
    points = len(flows.fixed)
    whole = np.concatenate([group, groups + np.arange(points)])
    member = np.argsort(whole, kind="stable")
    count = groups + points
    member_ptr = np.searchsorted(whole[member], np.arange(count + 1))
    total, touched = np.zeros(count), np.zeros(count, np.int64)
    row_ptr = np.zeros(count + 1, np.int64)
    none, nothing = np.zeros(1, np.int64), np.zeros(1)
    arrays = flows.run_ptr, flows.run_first, flows.run_at, flows.weight, whole, member_ptr, member
    size = coarse_entries(
        *arrays, total, np.full(count, -1), touched, none, nothing, row_ptr, False
    )
    column, value = np.zeros(size, np.int64), np.zeros(size)
    coarse_entries(*arrays, total, np.full(count, -1), touched, column, value, row_ptr, True)
    row = np.repeat(np.arange(count), np.diff(row_ptr))
    kept = np.minimum(row, column) < groups
    row, column, value = row[kept], column[kept], value[kept]
    shrink = max(1.0, value.max(initial=1.0) / LARGEST_WEIGHT)
    weight = np.maximum(np.rint(value / shrink), 1.0).astype(np.float32)
    return _runs(sites, groups, flows.fixed, row, column, weight, flows.unit * shrink)
