"""Windows of the mesh whose cores are assigned anew, exactly: large neighbourhoods for the end.

Of the cores in a window some are chosen no two of which exchange packets.  What each of them costs
on a site then does not depend on the others, so their best places among their own sites and the
window's empty ones are a linear assignment problem, solved to the optimum.  Annealing swaps two
cores at a time and ends where no swap helps; a rotation of many cores may still help.
Placers of circuits end the same way: independent-set matching, Chen et al., "NTUplace3", IEEE
TCAD 27(7), 2008.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.optimize import linear_sum_assignment

from snnc.compiler.geometry import Grid, grid_of
from snnc.compiler.place.anneal import scratch, tree_edges
from snnc.compiler.place.flows import Flows
from snnc.compiler.place.problem import Problem, Sites
from snnc.compiler.place.swaps import apart
from snnc.compiler.place.watch import Watch
from snnc.compiler.place.zones import BoolArray, Zones
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import lean_kernel

SITES = 144  # of a window, about
MOST = 64  # cores assigned at a time
PASSES = 200
GAIN = 1e-5  # of the cost; a pass that wins less is idle
PATIENCE = 4  # idle passes in a row, after which no other begins


@dataclass(frozen=True, eq=False)
class Polished:
    """[cores] sites, and what was saved, in the unit of the prices."""

    site: IntArray
    saved: float


class Prices(Protocol):
    """Who exchanges packets with whom, and what that costs."""

    sites: Sites
    zones: Zones | None

    degree: float
    """Partners of a core, mean: what a price takes to find."""
    unit: float
    """Weighted hops of a price of 1."""

    def chosen(self, order: IntArray) -> IntArray:
        """Of some cores those, first come, of which no two exchange packets; at most ``MOST``."""

    def of(self, cores: IntArray, sites: IntArray) -> RealArray:
        """[cores, sites] what the traffic of a core costs on a site, the others where they are."""

    def move(self, cores: IntArray, sites: IntArray) -> None:
        """Cores are elsewhere from now on."""


class OfFlows:
    """Prices of pairs of cores."""

    def __init__(self, flows: Flows, site: IntArray) -> None:
        self.flows, self.sites, self.zones = flows, flows.sites, flows.zones
        self.degree, self.unit = flows.degree, flows.unit
        where = np.concatenate([flows.sites.xy[site], flows.fixed]).astype(np.float32)
        self.x, self.y = where[:, 0].copy(), where[:, 1].copy()
        mesh = flows.sites.mesh
        self.period = (float(mesh.width), float(mesh.height)) if mesh.wraps else (0.0, 0.0)
        self._stamp, self._round = np.zeros(flows.nodes, np.int64), 0

    def chosen(self, order: IntArray) -> IntArray:
        """See ``Prices``."""
        self._round += 1
        f, room = self.flows, np.empty(MOST, np.int64)
        return room[: _strangers(order, f.run_ptr, f.run_first, f.run_at, self._stamp,
                                 self._round, room)]  # fmt: skip

    def of(self, cores: IntArray, sites: IntArray) -> RealArray:
        """See ``Prices``; in whole units, so that sums are exact."""
        f, price = self.flows, np.zeros((cores.size, sites.size))
        x, y = self.sites.xy[sites].astype(np.float32).T.copy()
        _price_flows(cores, x, y, f.run_ptr, f.run_first, f.run_at, f.weight, self.x, self.y,
                     self.period, price)  # fmt: skip
        return price

    def move(self, cores: IntArray, sites: IntArray) -> None:
        """See ``Prices``."""
        self.x[cores], self.y[cores] = self.sites.xy[sites].T


class OfNets:
    """Prices of multicast trees in dimension order."""

    def __init__(self, problem: Problem, site: IntArray) -> None:
        self.problem, self.sites, self.zones = problem, problem.sites, problem.zones
        looked_at = np.diff(problem.dest_ptr)[problem.pins[1]].sum()
        self.degree, self.unit = float(looked_at) / max(problem.cores, 1), 1.0
        self.router = problem.sites.router[site].copy()
        self._stamp, self._round = np.zeros(problem.net_core.size, np.int64), 0
        self._scratch = scratch(problem.sites)

    def chosen(self, order: IntArray) -> IntArray:
        """See ``Prices``: no two in a common net."""
        self._round += 1
        room = np.empty(MOST, np.int64)
        return room[: _in_no_common_net(order, *self.problem.pins, self._stamp, self._round, room)]

    def of(self, cores: IntArray, sites: IntArray) -> RealArray:
        """See ``Prices``."""
        p, price = self.problem, np.zeros((cores.size, sites.size))
        _price_nets(cores, self.sites.router[sites], p.net_core, p.dest_ptr, p.dest, p.weight,
                    *p.pins, self.router, p.host, grid_of(self.sites.mesh), *self._scratch,
                    price)  # fmt: skip
        return price

    def move(self, cores: IntArray, sites: IntArray) -> None:
        """See ``Prices``."""
        self.router[cores] = self.sites.router[sites]


@lean_kernel
def _strangers(
    order: IntArray, run_ptr: IntArray, run_first: IntArray, run_at: IntArray, stamp: IntArray,
    number: int, chosen: IntArray,
) -> int:  # fmt: skip
    count = 0
    for a in order:
        if count == chosen.size:
            break
        if stamp[a] == number:
            continue
        chosen[count] = a
        count += 1
        for r in range(run_ptr[a], run_ptr[a + 1]):
            first = run_first[r]
            for c in range(first, first + run_at[r + 1] - run_at[r]):
                stamp[c] = number
    return count


@lean_kernel
def _in_no_common_net(
    order: IntArray, pin_ptr: IntArray, pin_net: IntArray, stamp: IntArray, number: int,
    chosen: IntArray,
) -> int:  # fmt: skip
    count = 0
    for a in order:
        if count == chosen.size:
            break
        free = True
        for k in range(pin_ptr[a], pin_ptr[a + 1]):
            free = free and stamp[pin_net[k]] != number
        if free:
            chosen[count] = a
            count += 1
            for k in range(pin_ptr[a], pin_ptr[a + 1]):
                stamp[pin_net[k]] = number
    return count


@lean_kernel
def _price_flows(
    cores: IntArray, site_x: RealArray, site_y: RealArray, run_ptr: IntArray, run_first: IntArray,
    run_at: IntArray, weight: RealArray, x: RealArray, y: RealArray, period: tuple[float, float],
    price: RealArray,
) -> None:  # fmt: skip
    for k in range(cores.size):
        for r in range(run_ptr[cores[k]], run_ptr[cores[k] + 1]):
            shift = run_first[r] - run_at[r]
            for e in range(run_at[r], run_at[r + 1]):
                w, px, py = np.float64(weight[e]), x[e + shift], y[e + shift]
                if period[0] == 0.0:
                    for s in range(site_x.size):
                        price[k, s] += w * (abs(px - site_x[s]) + abs(py - site_y[s]))
                else:
                    for s in range(site_x.size):
                        price[k, s] += w * apart(px - site_x[s], py - site_y[s], period)


@lean_kernel
def _price_nets(
    cores: IntArray, site_router: IntArray, net_core: IntArray, dest_ptr: IntArray, dest: IntArray,
    weight: RealArray, pin_ptr: IntArray, pin_net: IntArray, router: IntArray, host: int,
    grid: Grid, low: IntArray, high: IntArray, price: RealArray,
) -> None:  # fmt: skip
    for k in range(cores.size):
        a = cores[k]
        home = router[a]
        for s in range(site_router.size):
            if s > 0 and site_router[s] == site_router[s - 1]:
                price[k, s] = price[k, s - 1]
                continue
            router[a] = site_router[s]
            total = 0.0
            for m in range(pin_ptr[a], pin_ptr[a + 1]):
                net = pin_net[m]
                total += weight[net] * tree_edges(
                    net, net_core, dest_ptr, dest, router, host, grid, low, high
                )
            price[k, s] = total
        router[a] = home


def tiles(sites: Sites, shift: int) -> Iterator[IntArray]:
    """The sites of squares of routers that cover the mesh, the first ``shift`` halves smaller."""
    side = max(2, round(np.sqrt(SITES * sites.routers / max(sites.count, 1))))
    x, y = ((v + shift * side // 2) // side for v in sites.xy.T.astype(np.int64))
    tile = y * (int(x.max(initial=0)) + 1) + x
    order = np.argsort(tile, kind="stable")
    return iter(np.split(order, np.flatnonzero(np.diff(tile[order])) + 1))


def polished(prices: Prices, site: IntArray, seed: int, looks: int, watch: Watch) -> Polished:
    """A placement that costs no more than ``site``, window by window.

    Args:
        prices: of the traffic, with the cores at ``site``.
        site: [cores] a placement.
        seed: of the choices; equal seeds give equal results unless the watch cuts them.
        looks: partners looked at, about: beyond, no further pass begins.
        watch: time limit and interrupt.
    """
    sites, rng, site = prices.sites, np.random.default_rng(seed), site.copy()
    occupant = np.full(sites.count, -1, np.int64)
    occupant[site] = np.arange(site.size)
    saved, idle = 0.0, 0
    for shift in range(PASSES):
        won = total = 0.0
        for window in tiles(sites, shift % 2):
            if watch.due():
                return Polished(site, saved + won)
            held = occupant[window]
            cores = prices.chosen(rng.permutation(held[held >= 0]))
            goals = np.sort(np.concatenate([site[cores], window[held < 0][:MOST]]))
            price = prices.of(cores, goals)
            looks -= int(price.size * prices.degree)
            here = np.searchsorted(goals, site[cores])
            now = price[np.arange(cores.size), here].sum()
            if prices.zones is not None:
                price[_forbidden(prices.zones, cores, goals)] = np.inf
            _, column = linear_sum_assignment(price)
            then = price[np.arange(cores.size), column].sum()
            total += now
            if then < now * (1 - 1e-12):
                won += now - then
                occupant[site[cores]] = -1
                site[cores] = goals[column]
                occupant[site[cores]] = cores
                prices.move(cores, site[cores])
        saved += won
        idle = 0 if won > GAIN * total else idle + 1
        if idle == PATIENCE or looks <= 0:
            break
    return Polished(site, saved)


def _forbidden(zones: Zones, cores: IntArray, goals: IntArray) -> BoolArray:
    """[cores, sites] whether a core must not be there."""
    zone = zones.zone[cores]
    inside: BoolArray = zones.allowed[np.maximum(zone, 0)][:, goals]
    return (zone >= 0)[:, None] & ~inside
