"""Lower bounds on weighted hops; the best of several is printed beside every placement.

Gilmore and Lawler: wherever a core sits, its k-th heaviest partner is at best on the k-th nearest
site.  Every flow is charged to its two ends in parts (``shares``), flows from the host to their
core; the cheapest assignment of cores to sites under these optimistic charges bounds every
placement (Gilmore 1962, Lawler 1963).  Classes of cores whose flows no cut separates cheaply are
bounded together where that is better (``crowds``): not all of them can be in the middle.

A tree has at least as many edges as its destinations are away on average, and at least as many as
connect the routers that its cores need: nets with several destinations are bounded in either way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from snnc.compiler.place.crowds import bounds_of_crowds
from snnc.compiler.place.flows import Flows
from snnc.compiler.place.problem import Problem, Sites
from snnc.compiler.place.shares import (
    BoolArray,
    Rows,
    away_nets,
    best_shares,
    charged,
    charged_halves,
    halves,
    heaviest,
)
from snnc.compiler.traffic import weighted
from snnc.ir.arrays import IntArray, RealArray

ASSIGNMENT_CORES = 1024  # as an assignment problem
MOST_ENTRIES = 2**24  # beyond, steps of the ascent take too long: halves
NEAR_CORES = 4096  # with the true distances from each site
NEAR_ROUTERS = 4096  # on a larger machine as if no site were near an edge: that costs no pairs


def lower_bound(problem: Problem) -> float:
    """No placement has fewer weighted hops."""
    trees = np.diff(problem.dest_ptr) > 1
    flows = Flows.of(problem)
    if problem.cores > NEAR_CORES:
        found = bound_of_flows(flows)
        return max(found, float(_edges(problem).sum())) if trees.any() else found
    rates = _host_rates(problem, np.ones(trees.size, np.bool_))
    best = _near(Rows.of(problem), flows, rates, problem.host)
    if trees.any():
        paths = replace(flows, weight=np.zeros_like(flows.weight))
        rates = _host_rates(problem, ~trees)
        rest = _near(Rows.of(problem, ~trees), paths, rates, problem.host)
        best = max(best, rest + float(_edges(problem)[trees].sum()))
    return best


def bound_of_flows(flows: Flows) -> float:
    """As ``lower_bound`` for flows between cores; fixed points cost nothing."""
    if flows.cores <= NEAR_CORES:
        return _near(Rows.of_flows(flows), flows, np.zeros(flows.cores), 0)
    near = _rings(flows.sites, int(np.diff(flows.run_at[flows.run_ptr]).max(initial=0)))
    half = charged_halves(flows, near)
    rows = Rows.of_flows(flows) if flows.weight.size <= MOST_ENTRIES else None

    def others(without: IntArray) -> float:
        own = half.copy()
        if rows is not None:
            own = charged(rows, best_shares(rows, near, without), near)
        own[without] = 0.0
        return float(own.sum())

    return _best(flows, half, others)


def _near(rows: Rows, flows: Flows, host_rate: RealArray, host: int) -> float:
    """The bound with the true distances from every site.

    Args:
        rows: flows between cores.
        flows: the same with whole weights, their sites, and where some cores must be.
        host_rate: [cores] flow from the host to every core.
        host: its router.
    """
    sites, zones = flows.sites, flows.zones
    used = np.flatnonzero(sites.room)
    by_site = np.searchsorted(used, sites.router)
    large = used.size > NEAR_ROUTERS
    near = _rings(sites, rows.longest)[None] if large else _nearest(sites, used, rows.longest)
    least = near.min(axis=0)
    away = sites.mesh.distance(np.array(host), sites.router)

    def others(without: IntArray) -> float:
        heavy = heaviest(rows, best_shares(rows, least, without))
        heavy[without] = 0.0
        charge: RealArray = heavy @ near.T
        if large or rows.cores > ASSIGNMENT_CORES:
            nearest = np.sort(away)[: rows.cores]
            return float(charge.min(axis=1).sum() - np.sort(-host_rate) @ nearest)
        cost = charge[:, by_site] + host_rate[:, None] * away
        if zones is not None:
            cost[zones.held] += np.where(zones.allowed[zones.zone[zones.held]], 0.0, np.inf)
        row, column = linear_sum_assignment(cost)
        return float(cost[row, column].sum())

    return _best(flows, charged(rows, halves(rows), least), others)


def _best(flows: Flows, half: RealArray, others: Callable[[IntArray], float]) -> float:
    """The better of core by core, and of crowds with the other cores core by core."""
    best = others(np.zeros(0, np.int64))
    crowds, members = bounds_of_crowds(flows, half)
    return max(best, crowds + others(members)) if members.size else best


def _rings(sites: Sites, count: int) -> RealArray:
    """[count] distances to the other sites, nearest first, far from all edges of a mesh.

    Of routers with so many neighbours, as many times d are at distance d.
    """
    slots, sides = int(sites.room.max(initial=1)), sites.mesh.sides
    near = [np.zeros(slots - 1)]
    distance, known = 0, slots - 1
    while known < count:
        distance += 1
        near.append(np.full(sides * distance * slots, float(distance)))
        known += sides * distance * slots
    return np.concatenate(near)[:count]


def _nearest(sites: Sites, used: IntArray, count: int) -> RealArray:
    """[used routers, count] distances to the nearest other sites, rising.

    A core may have more partners than there are other sites, as some are fixed points; these are
    charged nothing, so that what stands in their place only has to be no nearer.
    """
    room = sites.room[used]
    near = np.zeros((used.size, count))
    for k, router in enumerate(used):
        distance = np.repeat(sites.mesh.distance(np.array(router), used), room)
        distance.sort()
        others = distance[1 : count + 1]  # the core's own site is the first, at distance 0
        near[k, : others.size] = others
        near[k, others.size :] = distance[-1]
    return near


def _host_rates(problem: Problem, nets: BoolArray) -> RealArray:
    """[cores] flow from the host to every core, of some [nets]."""
    sender, dest, weight = problem.flow
    kept = (sender < 0) & nets[away_nets(problem)]
    return weighted(dest[kept], weight[kept], problem.cores)


def _edges(problem: Problem) -> RealArray:
    """[nets] weight x edges that connect the routers that the cores of a net need.

    Not those of the host's router, which may be one of them.
    """
    slots = int(problem.sites.room.max(initial=1))
    cores = np.bincount(away_nets(problem), minlength=problem.net_core.size)
    cores += problem.net_core >= 0
    result: RealArray = problem.weight * np.maximum(-(-cores // slots) - 1, 0)
    return result
