"""Coarsening: cores that talk alike are joined by twos until few are left.

Four joined cores sit on a block of four neighbouring sites.  Alike are cores with common partners
(neighbours in a layer) or much flow between them; joining twins is what makes layers that send all
to all shrink as well, whose cores have no flow among themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.compiler.place.baselines import curve
from snnc.compiler.place.flows import Flows, grouped
from snnc.compiler.place.problem import Sites
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import inner_kernel, lean_kernel

LOOKED_AT = 24  # partners of a core, and of each of them, that are looked at for twins
ALIKE = 6  # cores on the list of each
TWIN = 0.5  # a flow to a common partner, compared with a flow to each other
FARTHEST = 10_000  # cores looked at to find a mate for one left alone
BESIDE = 2  # neighbours by number that are compared along whole runs


@dataclass(frozen=True, eq=False)
class Blocks:
    """Sites of one level, blocks of sites of the level below.

    Attributes:
        x, y: [blocks] centre in 1 / ``scale`` of a cell.
        scale: 1 at the bottom, 2 above, where centres of blocks lie between cells.
        cell: [cells * slots] block of every place of the mesh, -1 where no core can be.
        ptr, part: the sites below of a block.
    """

    x: RealArray
    y: RealArray
    scale: int
    cell: IntArray
    ptr: IntArray
    part: IntArray


@dataclass(frozen=True, eq=False)
class Level:
    """One level: flows between groups, blocks of sites, and the groups' members below."""

    flows: Flows
    blocks: Blocks
    group: IntArray
    """[cores of the level below] group; empty at the bottom."""


def bottom_blocks(sites: Sites) -> Blocks:
    """The sites themselves."""
    cell = np.full(sites.routers * sites.slots, -1, np.int64)
    cell[sites.router * sites.slots + sites.slot] = np.arange(sites.count)
    x, y = (sites.xy[:, k].astype(np.float32) for k in range(2))
    everyone = np.arange(sites.count)
    return Blocks(x, y, 1, cell, np.arange(sites.count + 1), everyone)


def _joined_blocks(sites: Sites, below: Blocks, size: int) -> Blocks:
    """Blocks of ``size`` consecutive sites along the Hilbert curve."""
    rank = np.empty(sites.count, np.int64)
    rank[curve(sites)] = np.arange(sites.count)
    block = rank // size
    count = int(block.max()) + 1
    members = np.bincount(block, minlength=count)
    x, y = (
        np.rint(2 * np.bincount(block, sites.xy[:, k], count) / members).astype(np.float32)
        for k in range(2)
    )
    cell = np.full(sites.routers * sites.slots, -1, np.int64)
    cell[sites.router * sites.slots + sites.slot] = block
    # A block below holds cells of one block only: both are cut from the same curve.
    lower = np.zeros(below.x.size, np.int64)
    known = below.cell >= 0
    lower[below.cell[known]] = cell[known]
    part = np.argsort(lower, kind="stable")
    return Blocks(x, y, 2, cell, np.searchsorted(lower[part], np.arange(count + 1)), part)


def coarsened(flows: Flows, smallest: int) -> list[Level]:
    """Levels from the bottom up, each a quarter of the one below, until at most ``smallest``."""
    levels = [Level(flows, bottom_blocks(flows.sites), np.zeros(0, np.int64))]
    size = 1
    while levels[-1].flows.cores > smallest:
        below = levels[-1].flows
        first = matching(below)
        count = int(first.max()) + 1
        pairs = grouped(below, first, count, below.sites)
        second = matching(pairs)
        group = second[first]
        count = int(group.max()) + 1
        size *= 4
        top = grouped(pairs, second, count, below.sites)
        levels.append(Level(top, _joined_blocks(flows.sites, levels[-1].blocks, size), group))
    return levels


def matching(flows: Flows) -> IntArray:
    """[cores] number of the pair of every core, rising with its first member; all are paired.

    Every core lists the cores most like it and takes the first that is free.  A core left alone
    takes one that has a mate, whose mate is then alone, and so on until two alone ones meet.
    """
    cores = flows.cores
    alike = np.full((cores, ALIKE), -1, np.int32)
    score, seen = np.zeros(cores), np.full(cores, -1, np.int64)
    touched = np.zeros(LOOKED_AT * (LOOKED_AT + 1) + 4 * BESIDE + 8, np.int64)
    arrays = flows.run_ptr, flows.run_first, flows.run_at, flows.weight
    _list_alike(*arrays, cores, alike, score, seen, touched)
    mate, scratch = np.full(cores, -1, np.int64), np.zeros((3, cores), np.int64)
    _match(alike, mate, np.full(cores, -1), *scratch)
    alone = np.flatnonzero(mate < 0)
    even = alone[: alone.size // 2 * 2].reshape(-1, 2)
    mate[even[:, 0]], mate[even[:, 1]] = even[:, 1], even[:, 0]
    first = np.where(mate < 0, np.arange(cores), np.minimum(mate, np.arange(cores)))
    return np.unique(first, return_inverse=True)[1].reshape(-1)


@inner_kernel
def _shared(
    a: int, b: int, run_ptr: IntArray, run_first: IntArray, run_at: IntArray, weight: RealArray
) -> float:
    """Sum over partners of both of the smaller of the two flows, from at most some per run."""
    total = 0.0
    i, j = run_ptr[a], run_ptr[b]
    while i < run_ptr[a + 1] and j < run_ptr[b + 1]:
        first = max(run_first[i], run_first[j])
        end_i = run_first[i] + run_at[i + 1] - run_at[i]
        end_j = run_first[j] + run_at[j + 1] - run_at[j]
        last = min(end_i, end_j)
        if last > first:
            stride = 1 + (last - first) // LOOKED_AT
            part = 0.0
            for c in range(first, last, stride):
                part += min(weight[run_at[i] + c - run_first[i]],
                            weight[run_at[j] + c - run_first[j]])  # fmt: skip
            total += part * stride
        if end_i <= end_j:
            i += 1
        else:
            j += 1
    return total


@lean_kernel
def _list_alike(
    run_ptr: IntArray, run_first: IntArray, run_at: IntArray, weight: RealArray, cores: int,
    alike: IntArray, score: RealArray, seen: IntArray, touched: IntArray,
) -> None:  # fmt: skip
    """``alike[a]``: the cores most like ``a``, falling; equal ones nearest in number first."""
    for a in range(cores):
        count = 0
        begin, end = run_at[run_ptr[a]], run_at[run_ptr[a + 1]]
        stride = 1 + (end - begin) // LOOKED_AT
        for r in range(run_ptr[a], run_ptr[a + 1]):
            at = run_at[r] + (begin - run_at[r]) % stride
            for k in range(at, run_at[r + 1], stride):
                c = run_first[r] + k - run_at[r]
                if c >= cores:
                    continue
                if seen[c] != a:
                    seen[c] = a
                    score[c] = 0.0
                    touched[count] = c
                    count += 1
                score[c] += weight[k]
                # Partners of a partner, where they are few: long runs are compared below.
                if run_at[run_ptr[c + 1]] - run_at[run_ptr[c]] > LOOKED_AT:
                    continue
                for q in range(run_ptr[c], run_ptr[c + 1]):
                    for z in range(run_at[q], run_at[q + 1]):
                        b = run_first[q] + z - run_at[q]
                        if b < cores and b != a:
                            if seen[b] != a:
                                seen[b] = a
                                score[b] = 0.0
                                touched[count] = b
                                count += 1
                            score[b] += TWIN * min(weight[k], weight[z])
        if end - begin > LOOKED_AT:
            for b in range(max(0, a - BESIDE), min(cores, a + BESIDE + 1)):
                if b != a:
                    if seen[b] != a:
                        seen[b] = a
                        score[b] = 0.0
                        touched[count] = b
                        count += 1
                    score[b] += TWIN * _shared(a, b, run_ptr, run_first, run_at, weight)
        for place in range(min(ALIKE, count)):
            top = place
            for k in range(place + 1, count):
                b, best = touched[k], touched[top]
                nearer = score[b] == score[best] and abs(b - a) < abs(best - a)
                if score[b] > score[best] or nearer:
                    top = k
            touched[place], touched[top] = touched[top], touched[place]
            alike[a, place] = touched[place]


@lean_kernel
def _match(
    alike: IntArray, mate: IntArray, seen: IntArray, queue: IntArray, came: IntArray, via: IntArray
) -> None:
    """Pair all cores, each with one on its list; some may stay alone (mate -1)."""
    cores, width = alike.shape
    for a in range(cores):
        for k in range(width):
            b = alike[a, k]
            if b >= 0 and mate[a] < 0 and mate[b] < 0:
                mate[a] = b
                mate[b] = a
    for a in range(cores):
        if mate[a] >= 0:
            continue
        # Breadth first over who would be alone if ``a`` took a core on its list.
        queue[0] = a
        seen[a] = a
        head, tail, met, last = 0, 1, -1, -1
        while head < tail and met < 0 and tail < FARTHEST:
            alone = queue[head]
            head += 1
            for k in range(width):
                b = alike[alone, k]
                if b < 0 or b == alone or seen[b] == a:
                    continue
                if mate[b] < 0:
                    met, last = b, alone
                    break
                left = mate[b]
                if seen[left] == a:
                    continue
                seen[b] = a
                seen[left] = a
                came[left] = alone
                via[left] = b
                queue[tail] = left
                tail += 1
                if tail == cores:
                    break
        if met < 0:
            continue
        while last != a:
            taken, before = via[last], came[last]
            mate[last] = met
            mate[met] = last
            met, last = taken, before
        mate[last] = met
        mate[met] = last
