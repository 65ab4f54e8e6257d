"""Terms of a placement beyond weighted hops, and annealing of their weighted sum.

Packets go along X, then Y (or the other way).  While annealing, the two terms that are largest
values (longest path, busiest link) are replaced by their 12-norms, which every move changes: a
largest value alone would not notice most moves.  What is kept is judged by the exact terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snnc.compiler.geometry import grid_of
from snnc.compiler.objective import Objective
from snnc.compiler.place.anneal import proposed, random
from snnc.compiler.place.loads import (
    CROSSED,
    EDGES,
    FAR,
    HOPS,
    LINKS,
    Machine,
    measure,
    put,
)
from snnc.compiler.place.problem import Problem, Sites
from snnc.compiler.place.zones import BoolArray, masks
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import inner_kernel, lean_kernel


@dataclass(frozen=True, eq=False)
class Goal:
    """What is to be minimised.

    Attributes:
        nets: the problem with every net in its own direction.
        objective: weights of the terms.
        cycles: [sides * routers] cycles a packet occupies the links of every router, by direction
            (``ir.topology.DIRECTIONS``).
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
    moves: int, temperature: float, window: int, m: Machine, price: RealArray, site: IntArray,
    occupant: IntArray, site_router: IntArray, site_at: IntArray, slots: int,
    pin_ptr: IntArray, pin_net: IntArray, router: IntArray, on_chip: IntArray, load: RealArray,
    sums: RealArray, state: IntArray, zone: IntArray, allowed: BoolArray, low: IntArray,
    high: IntArray, stamp: IntArray, touched: IntArray,
) -> tuple[float, int]:  # fmt: skip
    """Moves at one temperature; returns (uphill proposed, uphill count)."""
    uphill, steps = 0.0, 0
    chips = 0
    for k in range(on_chip.size):
        chips += on_chip[k] > 0
    now = _value(price, sums, chips)
    for move in range(moves):
        a, new = proposed(
            window, site, occupant, site_router, site_at, slots, m.grid, state, zone, allowed
        )
        if new < 0:
            continue
        old, b = site[a], occupant[new]
        r = site_router[old]
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
                    put(m, net, -1.0, router, low, high, load, sums)
        router[a] = q
        more = chips
        if b >= 0:
            router[b] = r
        else:
            more += on_chip[m.chip[q]] == 0
            more -= on_chip[m.chip[r]] == 1 and m.chip[q] != m.chip[r]
        for k in range(count):
            put(m, touched[k], 1.0, router, low, high, load, sums)
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
            put(m, touched[k], -1.0, router, low, high, load, sums)
        router[a] = r
        if b >= 0:
            router[b] = q
        for k in range(count):
            put(m, touched[k], 1.0, router, low, high, load, sums)
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
        machine = _machine(
            goal, max(self.terms["worst_latency"], 1.0), self.terms["max_link"] or 1.0
        )
        load, sums, _ = _loaded(machine, exact.router, s)
        price = np.zeros(6)
        price[EDGES] = weights.get("energy", 0.0)
        price[HOPS] = weights.get("mean_latency", 0.0) / (goal.deliveries or 1.0)
        price[FAR] = weights.get("worst_latency", 0.0) * machine.far_unit
        price[LINKS] = weights.get("max_link", 0.0) * machine.link_unit
        price[CROSSED] = weights.get("chip_crossings", 0.0)
        price[5] = weights.get("chips", 0.0)
        chips = int(goal.chip.max(initial=0)) + 1
        on_chip = np.bincount(goal.chip[exact.router], minlength=chips)
        stamp = np.full(p.net_core.size, -1, np.int64)
        result = _sweep(
            moves, temperature, window, machine, price, self.site, self.occupant, s.router,
            self.site_at, s.slots, *p.pins, exact.router, on_chip, load,
            sums, self.state, *masks(p.zones, p.cores), *_scratch(s), stamp, np.zeros_like(stamp),
        )  # fmt: skip
        self._exact = _Exact(goal, self.site)
        self.terms = self._exact.terms
        return result


class _Exact:
    """Routers of a placement and its terms."""

    def __init__(self, goal: Goal, site: IntArray) -> None:
        self.router = goal.nets.sites.router[site].astype(np.int64)
        machine = _machine(goal, 1.0, 1.0)
        load, sums, longest = _loaded(machine, self.router, goal.nets.sites)
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


def _machine(goal: Goal, far_unit: float, link_unit: float) -> Machine:
    p, mesh = goal.nets, goal.nets.sites.mesh
    return Machine(
        p.net_core, p.dest_ptr, p.dest, p.weight, goal.cycles, goal.chip, grid_of(mesh),
        mesh.neighbours.reshape(-1), mesh.sides, p.host, int(goal.y_first), far_unit, link_unit,
    )  # fmt: skip


def _scratch(sites: Sites) -> tuple[IntArray, IntArray]:
    """``low`` and ``high`` of ``put``."""
    if sites.mesh.wraps:
        return np.zeros(sites.routers, np.int64), np.zeros(1, np.int64)
    side = max(sites.mesh.width, sites.mesh.height)
    return np.zeros(side, np.int64), np.zeros(side, np.int64)


def _loaded(machine: Machine, router: IntArray, sites: Sites) -> tuple[RealArray, RealArray, int]:
    """([sides * routers] load, sums, longest path)."""
    load, sums = np.zeros(machine.sides * sites.routers), np.zeros(5)
    longest = measure(machine, router, *_scratch(sites), load, sums)
    return load, sums, int(longest)
