"""Simulated annealing on sites: swap moves with O(degree) cost updates (Kirkpatrick 1983; the
shrinking window follows VPR, Betz & Rose 1997)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.compiler.geometry import Grid, advanced, first_step, grid_of, hops, offset
from snnc.compiler.place.baselines import hilbert, random_sites, row_major
from snnc.compiler.place.cooling import HOTTEST, TEMPERATURES, levels
from snnc.compiler.place.problem import Problem, Sites
from snnc.compiler.place.watch import Watch
from snnc.compiler.place.zones import BoolArray, masks, settled
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import inner_kernel, lean_kernel

MOST_MOVES = 100_000  # per core; annealing gains nothing beyond


@dataclass(frozen=True, eq=False)
class Placed:
    """A site for every core, and its cost."""

    site: IntArray
    cost: float


@inner_kernel
def tree_edges(
    net: int,
    net_core: IntArray,
    dest_ptr: IntArray,
    dest: IntArray,
    router: IntArray,
    host: int,
    grid: Grid,
    low: IntArray,
    high: IntArray,
) -> int:
    """Edges of the XY tree of one net; ``low`` and ``high`` are ``scratch``."""
    width = grid.width
    root = host if net_core[net] < 0 else router[net_core[net]]
    x0, y0 = root % width, root // width
    begin, end = dest_ptr[net], dest_ptr[net + 1]
    if end - begin == 1:
        return hops(grid, root, router[dest[begin]])
    if grid.kind != 0:
        return _walked(root, begin, end, dest, router, grid, low, high)
    left, right = x0, x0
    for d in range(begin, end):
        x = router[dest[d]] % width
        left = min(left, x)
        right = max(right, x)
    for x in range(left, right + 1):
        low[x] = y0
        high[x] = y0
    for d in range(begin, end):
        r = router[dest[d]]
        x, y = r % width, r // width
        low[x] = min(low[x], y)
        high[x] = max(high[x], y)
    edges = right - left
    for x in range(left, right + 1):
        edges += high[x] - low[x]
    return edges


@inner_kernel
def _walked(
    root: int,
    begin: int,
    end: int,
    dest: IntArray,
    router: IntArray,
    grid: Grid,
    stamp: IntArray,
    count: IntArray,
) -> int:
    """Edges of a tree on a hexagonal torus: routers met on the way to all destinations.

    ``stamp`` per router and ``count`` of trees are ``scratch``.
    """
    count[0] += 1
    tree, edges = count[0], 0
    stamp[root] = tree
    for d in range(begin, end):
        here, goal = root, router[dest[d]]
        diagonal, dx, dy = offset(grid, here, goal)
        while here != goal:
            along_x, along_y = first_step(diagonal, dx, dy, 0)
            if diagonal != 0:
                diagonal -= along_x
            else:
                dx -= along_x
                dy -= along_y
            here = advanced(grid, here, along_x, along_y)
            if stamp[here] != tree:
                stamp[here] = tree
                edges += 1
    return int(edges)


def scratch(sites: Sites) -> tuple[IntArray, IntArray]:
    """Room to find the cost of a net: per column of a mesh, or per router of a torus."""
    if sites.mesh.wraps:
        return np.zeros(sites.routers, np.int64), np.zeros(1, np.int64)
    return np.zeros(sites.width, np.int64), np.zeros(sites.width, np.int64)


@lean_kernel
def _all_costs(
    net_core: IntArray,
    dest_ptr: IntArray,
    dest: IntArray,
    router: IntArray,
    host: int,
    grid: Grid,
    low: IntArray,
    high: IntArray,
    cost: IntArray,
) -> None:
    for net in range(net_core.size):
        cost[net] = tree_edges(net, net_core, dest_ptr, dest, router, host, grid, low, high)


def tree_hops(problem: Problem, site: IntArray) -> IntArray:
    """[nets] tree edges of every net for a placement."""
    router = problem.sites.router[site]
    grid, cost = grid_of(problem.sites.mesh), np.zeros(problem.net_core.size, np.int64)
    nets = problem.net_core, problem.dest_ptr, problem.dest
    _all_costs(*nets, router, problem.host, grid, *scratch(problem.sites), cost)
    return cost


def cost_of(problem: Problem, site: IntArray) -> float:
    """Weighted hops of a placement."""
    return float((problem.weight * tree_hops(problem, site)).sum())


@inner_kernel
def random(state: IntArray) -> float:
    """xorshift64* (Vigna 2016) in [0, 1): the same on every machine and library version."""
    x = np.uint64(state[0])
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    return float((x * np.uint64(2685821657736338717)) >> np.uint64(11)) / 9007199254740992.0


@inner_kernel
def proposed(
    window: int, site: IntArray, occupant: IntArray, site_router: IntArray, site_at: IntArray,
    slots: int, grid: Grid, state: IntArray, zone: IntArray, allowed: BoolArray,
) -> tuple[int, int]:  # fmt: skip
    """A random core and a site near it at another router; -1 where that is none it may go to.

    Whoever is there must be free to come to where the core is.
    """
    width, height, cores = grid.width, grid.height, site.size
    a = min(int(random(state) * cores), cores - 1)
    old = site[a]
    r = site_router[old]
    x = r % width + int(random(state) * (2 * window + 1)) - window
    y = r // width + int(random(state) * (2 * window + 1)) - window
    if grid.kind != 0:
        x %= width
        y %= height
    if x < 0 or y < 0 or x >= width or y >= height:
        return a, -1
    new = site_at[(y * width + x) * slots + min(int(random(state) * slots), slots - 1)]
    if new < 0 or site_router[new] == r:
        return a, -1
    b = occupant[new]
    if zone[a] >= 0 and not allowed[zone[a], new]:
        return a, -1
    if b >= 0 and zone[b] >= 0 and not allowed[zone[b], old]:
        return a, -1
    return a, new


@lean_kernel
def _sweep(
    moves: int,
    temperature: float,
    window: int,
    site: IntArray,
    occupant: IntArray,
    site_router: IntArray,
    site_at: IntArray,
    slots: int,
    grid: Grid,
    host: int,
    net_core: IntArray,
    dest_ptr: IntArray,
    dest: IntArray,
    weight: RealArray,
    pin_ptr: IntArray,
    pin_net: IntArray,
    router: IntArray,
    net_cost: IntArray,
    state: IntArray,
    zone: IntArray,
    allowed: BoolArray,
    low: IntArray,
    high: IntArray,
    stamp: IntArray,
    touched: IntArray,
    fresh: IntArray,
) -> tuple[float, float, int, int]:
    """Moves at one temperature; returns (cost change, uphill proposed, uphill count, accepted).

    ``low`` and ``high`` are ``scratch``; ``stamp``, -1 at the beginning, ``touched`` and ``fresh``
    are room per net.
    """
    change, uphill, steps, accepted = 0.0, 0.0, 0, 0
    for move in range(moves):
        a, new = proposed(
            window, site, occupant, site_router, site_at, slots, grid, state, zone, allowed
        )
        if new < 0:
            continue
        old, b = site[a], occupant[new]
        r = site_router[old]
        router[a] = site_router[new]
        if b >= 0:
            router[b] = r
        count = 0
        delta = 0.0
        for side in range(2):
            core = a if side == 0 else b
            if core < 0:
                continue
            for k in range(pin_ptr[core], pin_ptr[core + 1]):
                net = pin_net[k]
                if stamp[net] != move:
                    stamp[net] = move
                    cost = tree_edges(net, net_core, dest_ptr, dest, router, host, grid, low, high)
                    touched[count] = net
                    fresh[count] = cost
                    count += 1
                    delta += weight[net] * (cost - net_cost[net])
        if delta > 0:
            uphill += delta
            steps += 1
        if delta <= 0 or (temperature > 0 and random(state) < np.exp(-delta / temperature)):
            accepted += 1
            change += delta
            for k in range(count):
                net_cost[touched[k]] = fresh[k]
            site[a] = new
            occupant[new] = a
            occupant[old] = b
            if b >= 0:
                site[b] = old
        else:
            router[a] = r
            if b >= 0:
                router[b] = site_router[new]
    return change, uphill, steps, accepted


class _Walk:
    """One annealing walk: the mutable state between temperatures."""

    def __init__(self, problem: Problem, site: IntArray, seed: int) -> None:
        sites = problem.sites
        self.problem = problem
        self.site = site.astype(np.int64).copy()
        self.occupant = np.full(sites.count, -1, np.int64)
        self.occupant[self.site] = np.arange(problem.cores)
        self.site_at = np.full(sites.routers * sites.slots, -1, np.int64)
        self.site_at[sites.router * sites.slots + sites.slot] = np.arange(sites.count)
        self.router = sites.router[self.site].copy()
        self.net_cost = tree_hops(problem, self.site)
        words = np.random.SeedSequence(seed).generate_state(1, np.uint64)
        self.state = words | np.uint64(1)

    @property
    def cost(self) -> float:
        """Weighted hops now."""
        return float((self.problem.weight * self.net_cost).sum())

    def sweep(self, moves: int, temperature: float, window: int) -> tuple[float, int, int]:
        """(uphill sum, uphill count, accepted) of some moves."""
        p, s = self.problem, self.problem.sites
        pin_ptr, pin_net = p.pins
        stamp = np.full(p.net_core.size, -1, np.int64)
        touched, fresh = np.zeros_like(stamp), np.zeros_like(stamp)
        _, uphill, steps, accepted = _sweep(
            moves, temperature, window, self.site, self.occupant, s.router, self.site_at, s.slots,
            grid_of(s.mesh), p.host, p.net_core, p.dest_ptr, p.dest, p.weight,
            pin_ptr, pin_net, self.router, self.net_cost, self.state, *masks(p.zones, p.cores),
            *scratch(s), stamp, touched, fresh,
        )  # fmt: skip
        return uphill, steps, accepted


def anneal(
    problem: Problem,
    seed: int,
    effort: int,
    watch: Watch,
    start: IntArray | None = None,
) -> Placed:
    """Best of several annealed starts; never worse than the best start.

    Args:
        problem: what to place.
        seed: of the moves and the random start; equal seeds give equal results unless the watch
            cuts them.
        effort: destinations looked at, over all starts (about 20 ns each).
        watch: time limit and interrupt.
        start: [cores] a good placement that is annealed without heating it; None tries others.
    """
    fresh = (row_major(problem), hilbert(problem), random_sites(problem, seed))
    given = fresh if start is None else (start,)
    starts = [settled(problem.zones, problem.sites.xy, site) for site in given]
    best = min((Placed(site, cost_of(problem, site)) for site in starts), key=lambda p: p.cost)
    moves = _budget(problem, effort) // len(starts)
    _Walk(problem, best.site, seed).sweep(0, 0.0, 1)  # compile before the clock starts
    for number, site in enumerate(starts):
        cold = start is not None
        found = _anneal_one(problem, site, (seed << 8) + number, moves, watch, cold)
        best = min(best, found, key=lambda p: p.cost)
    return best


def _budget(problem: Problem, effort: int) -> int:
    """Moves that look at ``effort`` destinations, but no more than a small problem can use."""
    looked_at = np.diff(problem.dest_ptr)[problem.pins[1]].sum() / max(problem.cores, 1)
    per_move = 2.0 * max(float(looked_at), 1.0)
    return int(max(1000, min(effort / per_move, MOST_MOVES * problem.cores)))


def _anneal_one(
    problem: Problem, start: IntArray, seed: int, moves: int, watch: Watch, cold: bool
) -> Placed:
    walk = _Walk(problem, start, seed)
    best = Placed(walk.site.copy(), walk.cost)
    reach = max(problem.sites.width, problem.sites.routers // problem.sites.width)
    trial = _Walk(problem, start, seed)
    uphill, steps, _ = trial.sweep(max(200, moves // 100), np.inf, reach)
    if steps == 0:
        return best
    hot = HOTTEST * uphill / steps
    for done, temperature, window in levels(hot, reach, cold):
        if watch.due():
            return best
        watch.tell(done, best.cost)
        walk.sweep(moves // TEMPERATURES, temperature, window)
        if walk.cost < best.cost * (1 - 1e-12):
            best = Placed(walk.site.copy(), walk.cost)
    return best
