"""The huge engine: from dozens of cores to a million, for flows between pairs of cores.

1. Cores are joined until a few thousand groups are left (``coarsen``).
2. The groups are annealed from structured starts: rows, a Hilbert curve, and strips of several
   heights along which the mesh is filled, as one would lay out a chain of layers.
3. Level by level the groups are split again and annealed colder, within a window.
4. At the bottom the result competes with the structured starts in the order of the cores'
   numbers; the better one is annealed last.
5. It is also melted (``melt``), as it is and folded, and what comes of it annealed: that bends
   the placement of a whole mesh, which no swaps do.

Time grows with the number of flows times sweeps, memory with the number of flows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from snnc.compiler.place.baselines import curve
from snnc.compiler.place.coarsen import Level, bottom_blocks, coarsened
from snnc.compiler.place.flows import Flows, released
from snnc.compiler.place.melt import melted, pictures
from snnc.compiler.place.swaps import sweep, total_cost
from snnc.compiler.place.watch import Watch
from snnc.compiler.place.zones import masks, settled
from snnc.ir.arrays import IntArray

TOP = 4096  # groups that are annealed hot
LOOKS_PER_CALL = 20_000_000  # flows looked at before the watch is asked again, some 20 ms
QUANTILES = ((np.arange(4096) + 0.5) / 4096).astype(np.float64)
TOWARD = 64  # of 256 moves aim beside a partner
STRIPS = (2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32)
TRIALS_SMALL = 4  # full annealings where the bottom is the top
TRIED = 0.3  # of the steps of melting, for each of the shapes to choose from
ROOMY = 2  # sites per core; with more, nothing is melted
TRIALS = 5  # starts that are tried for a while, the best of which is annealed


@dataclass(frozen=True)
class Schedule:
    """One annealing.

    Attributes:
        hot, cold: first and last temperature, in mean flows of a core times one hop.
        reach: first reach of a move, in blocks of the level; the last is one block.
        sweeps: proposals per core.
    """

    hot: float
    cold: float
    reach: float
    sweeps: int


@dataclass(frozen=True)
class Work:
    """Sweeps over all cores, per stage; steps of melting and sweeps thereafter, or none."""

    top: int
    level: int
    bottom: int
    melt: int = 0
    frozen: int = 0


@dataclass(frozen=True, eq=False)
class Spread:
    """A site for every core, and its cost by the flows (exact but for their rounding)."""

    site: IntArray
    cost: float


class Walk:
    """The changing state of one annealing on a level."""

    def __init__(self, level: Level, site: IntArray, seed: int) -> None:
        flows, blocks = level.flows, level.blocks
        self.flows, self.blocks = flows, blocks
        self.site = site.astype(np.int64).copy()
        self.occupant = np.full(blocks.x.size, -1, np.int64)
        self.occupant[self.site] = np.arange(flows.cores)
        points = flows.fixed.astype(np.float32) * np.float32(blocks.scale)
        self.x = np.concatenate([blocks.x[self.site], points[:, 0]])
        self.y = np.concatenate([blocks.y[self.site], points[:, 1]])
        mesh, scale = flows.sites.mesh, blocks.scale if flows.sites.mesh.wraps else 0
        self.period = (float(mesh.width * scale), float(mesh.height * scale))
        words = np.random.SeedSequence(seed).generate_state(1, np.uint64)
        self.state = words | np.uint64(1)
        self.masks = masks(flows.zones, flows.cores)

    @property
    def cost(self) -> float:
        """Weighted hops now."""
        f = self.flows
        arrays = f.run_ptr, f.run_first, f.run_at, f.weight
        total = total_cost(f.cores, *arrays, self.x, self.y, self.period)
        return total * f.unit / self.blocks.scale

    def sweep(self, temperature: float, reach: int, watch: Watch) -> int:
        """One proposal per core, as many as the watch allows; returns those accepted."""
        f, b, sites = self.flows, self.blocks, self.flows.sites
        scale = temperature / f.unit * b.scale
        threshold = np.floor(-np.log(QUANTILES) * scale) if temperature > 0 else np.zeros(1)
        step = max(1, int(LOOKS_PER_CALL / (2 * f.degree + 20)))
        accepted = 0
        for first in range(0, b.x.size, step):
            if watch.due():
                break
            accepted += sweep(
                first, min(first + step, b.x.size), threshold, reach, TOWARD, self.site,
                self.occupant, b.x, b.y, b.scale, b.cell, sites.width,
                sites.routers // sites.width, sites.slots, f.run_ptr, f.run_first, f.run_at,
                f.weight, self.x, self.y, self.state, self.period, *self.masks,
            )[2]  # fmt: skip
        return accepted


def anneal_level(level: Level, site: IntArray, plan: Schedule, seed: int, watch: Watch) -> Spread:
    """Anneal from ``site``; never worse than it."""
    walk = Walk(level, site, seed)
    before = walk.cost
    flows = level.flows
    unit = flows.weight.sum(dtype=np.float64) * flows.unit / max(flows.cores, 1)
    block = max(1.0, np.sqrt(flows.sites.count / max(level.blocks.x.size, 1)))
    for k in range(plan.sweeps + 1):
        if watch.due():
            break
        share = min(1.0, k / max(plan.sweeps - 1, 1))
        temperature = unit * plan.hot * (plan.cold / plan.hot) ** share
        reach = max(1, round(block * plan.reach ** (1 - share)))
        # The last sweep only goes down.
        walk.sweep(temperature if k < plan.sweeps else 0.0, reach, watch)
        if k % max(1, plan.sweeps // 20) == 0:
            watch.tell(share, walk.cost if k else before)
    after = walk.cost
    if after < before:
        return Spread(walk.site, after)
    return Spread(site, before)


def orders(level: Level) -> Iterator[IntArray]:
    """Orders of the level's blocks: rows, columns, the Hilbert curve, strips there and back."""
    blocks, sites = level.blocks, level.flows.sites
    cell = max(1, round(np.sqrt(sites.count / max(blocks.x.size, 1))))
    x, y = (v.astype(np.int64) // (blocks.scale * cell) for v in (blocks.x, blocks.y))
    yield np.lexsort((x, y))
    yield np.lexsort((y, x))
    yield np.arange(x.size) if level.group.size else curve(sites)
    height, width = int(y.max(initial=0)) + 1, int(x.max(initial=0)) + 1
    for across, along, extent in ((y, x, height), (x, y, width)):
        for strips in STRIPS:
            if strips >= extent:
                break
            strip = across * strips // extent
            forth = np.where(strip % 2, -along, along)
            yield np.lexsort((np.where(along % 2, -across, across), forth, strip))


def starts(level: Level, count: int) -> list[Spread]:
    """The ``count`` cheapest structured starts of different cost, cheapest first."""
    found: dict[float, Spread] = {}
    flows = level.flows
    for order in orders(level):
        site = settled(flows.zones, flows.sites.xy, order[: flows.cores])
        cost = Walk(level, site, 0).cost
        found.setdefault(float(f"{cost:.4g}"), Spread(site, cost))
    return sorted(found.values(), key=lambda s: s.cost)[:count]


def split(level: Level, site: IntArray) -> IntArray:
    """Sites of the members below: those of a group in its block, what does not fit anywhere."""
    blocks, group = level.blocks, level.group
    member = np.argsort(group, kind="stable")
    first = np.searchsorted(group[member], np.arange(level.flows.cores + 1))
    rank = np.arange(member.size) - first[group[member]]
    block = site[group[member]]
    fits = rank < np.diff(blocks.ptr)[block]
    below = np.full(member.size, -1, np.int64)
    below[member[fits]] = blocks.part[(blocks.ptr[block] + rank)[fits]]
    homeless = np.flatnonzero(below < 0)
    below[homeless] = np.setdiff1d(blocks.part, below)[: homeless.size]
    return below


def spread(
    flows: Flows, seed: int, work: Work, watch: Watch, start: IntArray | None = None
) -> Spread:
    """Place all cores of ``flows``.

    Args:
        flows: what to place, and where.
        seed: equal seeds and work give equal results unless the watch cuts them.
        work: how long to anneal.
        watch: time limit and interrupt.
        start: [cores] sites to improve instead of searching for a start.
    """
    bottom = Level(flows, bottom_blocks(flows.sites), np.zeros(0, np.int64))
    if flows.cores == 0:
        return Spread(np.zeros(0, np.int64), 0.0)
    side = max(flows.sites.width, flows.sites.routers // flows.sites.width)
    if start is not None:
        return anneal_level(bottom, start, Schedule(0.1, 0.02, 3, work.bottom), seed, watch)
    direct = starts(bottom, 1)[0]
    if flows.cores <= TOP:
        plan = Schedule(0.08 * side, 0.02, side, work.top)
        best = _molten(bottom, direct, seed, work, watch)
        for trial in range(TRIALS_SMALL):
            if not watch.due():
                found = anneal_level(bottom, direct.site, plan, (seed << 8) + trial, watch)
                best = min(best, found, key=lambda s: s.cost)
        return best
    if flows.zones is None:
        best = _from_top(coarsened(flows, TOP), side, seed, work, watch)
    else:
        best = _around(bottom, direct.site, seed, work, watch)
    if direct.cost < best.cost:
        best = direct
    cold = anneal_level(bottom, best.site, Schedule(0.1, 0.02, 3, work.bottom), seed, watch)
    return min(cold, _molten(bottom, best, seed, work, watch), key=lambda s: s.cost)


def _molten(bottom: Level, solid: Spread, seed: int, work: Work, watch: Watch) -> Spread:
    """Melt a placement, as it is or folded, whichever gets farther; never worse than it.

    Not on meshes that wrap, where distances have no such slopes, nor among zones, nor where most
    sites stay free, which would all have to be moved.
    """
    flows = bottom.flows
    roomy = flows.sites.count > ROOMY * flows.cores
    held = flows.zones is not None or flows.sites.mesh.wraps
    if work.melt == 0 or held or roomy or solid.cost <= 0:
        return solid
    tried = []
    for picture in pictures(flows.sites, solid.site):
        if watch.due():
            return solid
        site = melted(flows, picture, max(1, round(TRIED * work.melt)), watch)
        tried.append((Walk(bottom, site, 0).cost, picture))
    site = melted(flows, min(tried, key=lambda t: t[0])[1], work.melt, watch)
    plan = Schedule(0.2, 0.02, 1, work.frozen)
    return min(solid, anneal_level(bottom, site, plan, seed, watch), key=lambda s: s.cost)


def _around(bottom: Level, settled_site: IntArray, seed: int, work: Work, watch: Watch) -> Spread:
    """Cores with a zone stay where they are, the others are placed as if there were no zones."""
    flows, site = bottom.flows, settled_site.copy()
    others, free, left = released(flows, site)
    site[free] = left[spread(others, seed, work, watch).site]
    return Spread(site, Walk(bottom, site, 0).cost)


def _from_top(levels: list[Level], side: int, seed: int, work: Work, watch: Watch) -> Spread:
    """Anneal the top and come down; the bottom itself is only filled in."""
    top = levels[-1]
    plan = Schedule(0.03 * side, 0.1, 4, max(1, work.top // 8))
    tried = starts(top, TRIALS)
    found = [anneal_level(top, s.site, plan, seed, watch) for s in tried]
    chosen = tried[int(np.argmin([s.cost for s in found]))]
    best = anneal_level(top, chosen.site, replace(plan, sweeps=work.top), seed, watch)
    for k in range(len(levels) - 1, 0, -1):
        site = split(levels[k], best.site)
        sweeps = work.level if k > 1 else max(1, work.level // 20)
        best = anneal_level(levels[k - 1], site, Schedule(1.0, 0.05, 3, sweeps), seed, watch)
    return best
