"""Terms of a placement beyond weighted hops, and annealing of their weighted sum.

Packets go along X, then Y (or the other way; on a hexagonal torus along diagonal links before).
While annealing, the two terms that are largest values (longest path, busiest link) are replaced by
their 12-norms, which every move changes: a largest value alone would not notice most moves.  What
is kept is judged by the exact terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from snnc.compiler.geometry import Grid, advanced, first_step, grid_of, offset
from snnc.compiler.objective import Objective
from snnc.compiler.place.anneal import random
from snnc.compiler.place.problem import Problem, Sites
from snnc.compiler.place.zones import BoolArray, masks
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import inner_kernel, lean_kernel

EDGES, HOPS, FAR, LINKS, CROSSED = range(5)
"""What is summed over nets: tree edges, hops of deliveries, both norms, packets between chips."""


@dataclass(frozen=True, eq=False)
class Goal:
    """What is to be minimised.

    Attributes:
        nets: the problem with every net in its own direction.
        objective: weights of the terms.
        cycles: [sides * routers] cycles a packet occupies the links of every router.
        chip: [routers] chip of every router.
        y_first: packets go along Y, then X.
    """

    nets: Problem
    objective: Objective
    cycles: RealArray
    chip: IntArray
    y_first: bool = False

    @cached_property
    def deliveries(self) -> float:
        """Packets that arrive at cores per sample."""
        return float(self.nets.weight @ np.diff(self.nets.dest_ptr))


class Mesh(NamedTuple):
    """What the kernels know of nets and machine."""

    net_core: IntArray
    dest_ptr: IntArray
    dest: IntArray
    weight: RealArray
    cycles: RealArray
    chip: IntArray
    there: IntArray
    sides: int
    grid: Grid
    host: int
    y_first: int
    far_unit: float
    link_unit: float


@inner_kernel
def _twelfth(x: float) -> float:
    cube = x * x * x
    return (cube * cube) * (cube * cube)


@inner_kernel
def _link(
    m: Mesh, rate: float, begin: int, direction: int, end: int, load: RealArray, sums: RealArray
) -> None:
    """A net's packets over one link, or off it where ``rate`` is negative."""
    link = m.sides * begin + direction
    old = load[link]
    new = old + rate * m.cycles[link]
    load[link] = new
    sums[LINKS] += _twelfth(new / m.link_unit) - _twelfth(old / m.link_unit)
    if m.chip[begin] != m.chip[end]:
        sums[CROSSED] += rate


@inner_kernel
def _net(
    m: Mesh, net: int, sign: float, router: IntArray, low: IntArray, high: IntArray,
    load: RealArray, sums: RealArray,
) -> int:  # fmt: skip
    """Add a net to the sums and loads (sign 1), or take it off (-1); returns its longest path.

    ``low`` and ``high`` are scratch per column (or per row where packets go along Y first), or as
    ``_walked`` wants them.
    """
    width = m.grid.width
    root = m.host if m.net_core[net] < 0 else router[m.net_core[net]]
    if m.grid.kind != 0:
        return _walked(m, net, sign, root, router, low, high, load, sums)
    # u is the axis along which packets go first.
    step_u, step_v, toward_u, toward_v = 1, width, 0, 2
    u0, v0 = root % width, root // width
    if m.y_first:
        step_u, step_v, toward_u, toward_v = width, 1, 2, 0
        u0, v0 = v0, u0
    begin, end = m.dest_ptr[net], m.dest_ptr[net + 1]
    left, right, longest = u0, u0, 0
    rate = sign * m.weight[net]
    for d in range(begin, end):
        r = router[m.dest[d]]
        u = r // width if m.y_first else r % width
        left = min(left, u)
        right = max(right, u)
    for u in range(left, right + 1):
        low[u] = v0
        high[u] = v0
    for d in range(begin, end):
        r = router[m.dest[d]]
        u, v = r % width, r // width
        if m.y_first:
            u, v = v, u
        low[u] = min(low[u], v)
        high[u] = max(high[u], v)
        hops = abs(u - u0) + abs(v - v0)
        longest = max(longest, hops)
        sums[HOPS] += rate * hops
        sums[FAR] += sign * _twelfth(hops / m.far_unit)
    edges = right - left
    at = v0 * step_v
    for u in range(u0, right):
        _link(m, rate, at + u * step_u, toward_u, at + (u + 1) * step_u, load, sums)
    for u in range(left, u0):
        _link(m, rate, at + (u + 1) * step_u, toward_u + 1, at + u * step_u, load, sums)
    for u in range(left, right + 1):
        edges += high[u] - low[u]
        at = u * step_u
        for v in range(v0, high[u]):
            _link(m, rate, at + v * step_v, toward_v, at + (v + 1) * step_v, load, sums)
        for v in range(low[u], v0):
            _link(m, rate, at + (v + 1) * step_v, toward_v + 1, at + v * step_v, load, sums)
    sums[EDGES] += rate * edges
    return longest


@inner_kernel
def _walked(
    m: Mesh, net: int, sign: float, root: int, router: IntArray, stamp: IntArray, count: IntArray,
    load: RealArray, sums: RealArray,
) -> int:  # fmt: skip
    """``_net`` on a hexagonal torus; ``stamp`` per router and ``count`` of trees are scratch."""
    count[0] += 1
    tree, edges, longest, rate = count[0], 0, 0, sign * m.weight[net]
    stamp[root] = tree
    for d in range(m.dest_ptr[net], m.dest_ptr[net + 1]):
        here, goal, hops = root, router[m.dest[d]], 0
        diagonal, dx, dy = offset(m.grid, here, goal)
        while here != goal:
            along_x, along_y = first_step(diagonal, dx, dy, m.y_first)
            if diagonal != 0:
                diagonal -= along_x
            else:
                dx -= along_x
                dy -= along_y
            following = advanced(m.grid, here, along_x, along_y)
            if stamp[following] != tree:
                stamp[following] = tree
                side = 0
                while m.there[here * m.sides + side] != following:
                    side += 1
                _link(m, rate, here, side, following, load, sums)
                edges += 1
            here = following
            hops += 1
        longest = max(longest, hops)
        sums[HOPS] += rate * hops
        sums[FAR] += sign * _twelfth(hops / m.far_unit)
    sums[EDGES] += rate * edges
    return int(longest)


@lean_kernel
def _measure(
    m: Mesh, router: IntArray, low: IntArray, high: IntArray, load: RealArray, sums: RealArray
) -> int:
    """All nets onto empty loads and sums; returns the longest path."""
    longest = 0
    for net in range(m.net_core.size):
        longest = max(longest, _net(m, net, 1.0, router, low, high, load, sums))
    return longest


@inner_kernel
def _value(price: RealArray, sums: RealArray, chips: int) -> float:
    """Weighted sum with norms in the place of largest values; ``price`` [6] by sum, then chips."""
    value = price[EDGES] * sums[EDGES] + price[HOPS] * sums[HOPS]
    value += price[CROSSED] * sums[CROSSED] + price[5] * chips
    if price[FAR] > 0:
        value += price[FAR] * max(sums[FAR], 0.0) ** (1 / 12)
    if price[LINKS] > 0:
        value += price[LINKS] * max(sums[LINKS], 0.0) ** (1 / 12)
    return float(value)


@lean_kernel
def _sweep(
    moves: int, temperature: float, window: int, m: Mesh, price: RealArray, site: IntArray,
    occupant: IntArray, site_router: IntArray, site_at: IntArray, slots: int, height: int,
    pin_ptr: IntArray, pin_net: IntArray, router: IntArray, on_chip: IntArray, load: RealArray,
    sums: RealArray, state: IntArray, zone: IntArray, allowed: BoolArray, low: IntArray,
    high: IntArray, stamp: IntArray, touched: IntArray,
) -> tuple[float, int]:  # fmt: skip
    """Moves at one temperature; returns (uphill proposed, uphill count)."""
    uphill, steps = 0.0, 0
    cores, width = site.size, m.grid.width
    chips = 0
    for k in range(on_chip.size):
        chips += on_chip[k] > 0
    now = _value(price, sums, chips)
    for move in range(moves):
        a = min(int(random(state) * cores), cores - 1)
        old = site[a]
        r = site_router[old]
        x = r % width + int(random(state) * (2 * window + 1)) - window
        y = r // width + int(random(state) * (2 * window + 1)) - window
        if m.grid.kind != 0:
            x %= width
            y %= height
        if x < 0 or y < 0 or x >= width or y >= height:
            continue
        new = site_at[(y * width + x) * slots + min(int(random(state) * slots), slots - 1)]
        if new < 0 or site_router[new] == r:
            continue
        b = occupant[new]
        if zone[a] >= 0 and not allowed[zone[a], new]:
            continue
        if b >= 0 and zone[b] >= 0 and not allowed[zone[b], old]:
            continue
        q = site_router[new]
        count = 0
        for side in range(2):
            core = a if side == 0 else b
            if core < 0:
                continue
            for k in range(pin_ptr[core], pin_ptr[core + 1]):
                net = pin_net[k]
                if stamp[net] != move:
                    stamp[net] = move
                    touched[count] = net
                    count += 1
                    _net(m, net, -1.0, router, low, high, load, sums)
        router[a] = q
        more = chips
        if b >= 0:
            router[b] = r
        else:
            more += on_chip[m.chip[q]] == 0
            more -= on_chip[m.chip[r]] == 1 and m.chip[q] != m.chip[r]
        for k in range(count):
            _net(m, touched[k], 1.0, router, low, high, load, sums)
        after = _value(price, sums, more)
        delta = after - now
        if delta > 0:
            uphill += delta
            steps += 1
        if delta <= 0 or (temperature > 0 and random(state) < np.exp(-delta / temperature)):
            now, chips = after, more
            site[a] = new
            occupant[new] = a
            occupant[old] = b
            if b >= 0:
                site[b] = old
            else:
                on_chip[m.chip[q]] += 1
                on_chip[m.chip[r]] -= 1
            continue
        for k in range(count):
            _net(m, touched[k], -1.0, router, low, high, load, sums)
        router[a] = r
        if b >= 0:
            router[b] = q
        for k in range(count):
            _net(m, touched[k], 1.0, router, low, high, load, sums)
    return uphill, steps


class Walk:
    """One walk of the annealer: the mutable state between temperatures."""

    def __init__(self, goal: Goal, problem: Problem, site: IntArray, seed: int) -> None:
        sites = problem.sites
        self.goal, self.problem = goal, problem
        self.site = site.astype(np.int64).copy()
        self.occupant = np.full(sites.count, -1, np.int64)
        self.occupant[self.site] = np.arange(problem.cores)
        self.site_at = np.full(sites.routers * sites.slots, -1, np.int64)
        self.site_at[sites.router * sites.slots + sites.slot] = np.arange(sites.count)
        words = np.random.SeedSequence(seed).generate_state(1, np.uint64)
        self.state = words | np.uint64(1)
        self._exact = _Exact(goal, self.site)
        self.terms = self._exact.terms

    def sweep(self, moves: int, temperature: float, window: int) -> tuple[float, int]:
        """(uphill sum, uphill count) of some moves; ``terms`` are exact afterwards."""
        p, s, goal = self.problem, self.problem.sites, self.goal
        weights, exact = goal.objective.weights, self._exact
        mesh = _mesh(goal, max(self.terms["worst_latency"], 1.0), self.terms["max_link"] or 1.0)
        load, sums, _ = _loaded(mesh, exact.router, s)
        price = np.zeros(6)
        price[EDGES] = weights.get("energy", 0.0)
        price[HOPS] = weights.get("mean_latency", 0.0) / (goal.deliveries or 1.0)
        price[FAR] = weights.get("worst_latency", 0.0) * mesh.far_unit
        price[LINKS] = weights.get("max_link", 0.0) * mesh.link_unit
        price[CROSSED] = weights.get("chip_crossings", 0.0)
        price[5] = weights.get("chips", 0.0)
        chips = int(goal.chip.max(initial=0)) + 1
        on_chip = np.bincount(goal.chip[exact.router], minlength=chips)
        low, high = _scratch(s)
        stamp = np.full(p.net_core.size, -1, np.int64)
        result = _sweep(
            moves, temperature, window, mesh, price, self.site, self.occupant, s.router,
            self.site_at, s.slots, s.routers // s.width, *p.pins, exact.router, on_chip, load,
            sums, self.state, *masks(p.zones, p.cores), low, high, stamp, np.zeros_like(stamp),
        )  # fmt: skip
        self._exact = _Exact(goal, self.site)
        self.terms = self._exact.terms
        return result


class _Exact:
    """Routers of a placement and its terms."""

    def __init__(self, goal: Goal, site: IntArray) -> None:
        self.router = goal.nets.sites.router[site].astype(np.int64)
        mesh = _mesh(goal, 1.0, 1.0)
        load, sums, longest = _loaded(mesh, self.router, goal.nets.sites)
        self.terms: dict[str, float] = {
            "energy": float(sums[EDGES]),
            "mean_latency": float(sums[HOPS]) / (goal.deliveries or 1.0),
            "worst_latency": float(longest),
            "max_link": float(load.max(initial=0.0)),
            "cores": float(site.size),
            "chips": float(np.unique(goal.chip[self.router]).size),
            "chip_crossings": float(sums[CROSSED]),
        }


def terms_of(goal: Goal, site: IntArray) -> Mapping[str, float]:
    """Every term of a placement, by the names of ``snnc.compiler.objective.TERMS``."""
    return _Exact(goal, site).terms


def _mesh(goal: Goal, far_unit: float, link_unit: float) -> Mesh:
    p, links = goal.nets, goal.nets.sites.mesh
    return Mesh(
        p.net_core, p.dest_ptr, p.dest, p.weight, goal.cycles, goal.chip,
        links.neighbours.reshape(-1), links.sides, grid_of(links), p.host, int(goal.y_first),
        far_unit, link_unit,
    )  # fmt: skip


def _scratch(sites: Sites) -> tuple[IntArray, IntArray]:
    """Room for ``_net``: per column or row of a mesh, per router of a torus."""
    size = sites.routers if sites.mesh.wraps else max(sites.width, sites.routers // sites.width)
    return np.zeros(size, np.int64), np.zeros(size, np.int64)


def _loaded(mesh: Mesh, router: IntArray, sites: Sites) -> tuple[RealArray, RealArray, int]:
    """([links] load, sums, longest path)."""
    load, sums = np.zeros(mesh.cycles.size), np.zeros(5)
    longest = _measure(mesh, router, *_scratch(sites), load, sums)
    return load, sums, int(longest)
