"""Lower bound on weighted hops (Gilmore 1962, Lawler 1963).

Wherever a core sits, its k-th heaviest partner is at best on the k-th nearest site.  Half of every
flow is charged to each end, flows from the host to their core; the cheapest assignment of cores to
sites under these optimistic charges bounds every placement.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from snnc.compiler.place.problem import Problem
from snnc.compiler.traffic import weighted
from snnc.ir.arrays import IntArray, RealArray

ASSIGNMENT_CORES = 400


def lower_bound(problem: Problem) -> float:
    """No placement has fewer weighted hops."""
    heavy, host_rate = _heaviest(problem)
    near = _nearest(problem, heavy.shape[1])
    charge: RealArray = 0.5 * heavy @ near.T
    if problem.cores > ASSIGNMENT_CORES:
        return float(charge.min(axis=1).sum()) + _host_bound(problem, host_rate)
    used = np.flatnonzero(problem.sites.room)
    cost = charge + host_rate[:, None] * _distance(problem, problem.host, used)
    by_site = np.searchsorted(used, problem.sites.router)
    row, column = linear_sum_assignment(cost[:, by_site])
    return float(cost[row, by_site[column]].sum())


def _heaviest(problem: Problem) -> tuple[RealArray, RealArray]:
    """([cores, partners] flows in falling order, [cores] flow from the host)."""
    sender, dest, weight = problem.flow
    host = sender < 0
    host_rate = weighted(dest[host], weight[host], problem.cores)
    a, b, w = sender[~host], dest[~host], weight[~host]
    key = np.minimum(a, b) * problem.cores + np.maximum(a, b)
    pair, index = np.unique(key, return_inverse=True)
    total = weighted(index.reshape(-1), w, pair.size)
    core = np.concatenate([pair // problem.cores, pair % problem.cores])
    value = np.concatenate([total, total])
    order = np.lexsort((-value, core))
    core, value = core[order], value[order]
    start = np.searchsorted(core, np.arange(problem.cores + 1))
    rank = np.arange(core.size) - start[core]
    heavy = np.zeros((problem.cores, int(np.diff(start).max(initial=0)) or 1))
    heavy[core, rank] = value
    return heavy, host_rate


def _distance(problem: Problem, router: int, others: IntArray) -> IntArray:
    width = problem.sites.width
    return np.abs(others % width - router % width) + np.abs(others // width - router // width)


def _nearest(problem: Problem, count: int) -> RealArray:
    """[used routers, count] distances to the nearest other sites, rising."""
    used = np.flatnonzero(problem.sites.room)
    room = problem.sites.room[used]
    near = np.zeros((used.size, count))
    for k, router in enumerate(used):
        distance = np.repeat(_distance(problem, int(router), used), room)
        distance.sort()
        part = distance[1 : count + 1]  # the core's own site is the first, at distance 0
        near[k, : part.size] = part
    return near


def _host_bound(problem: Problem, host_rate: RealArray) -> float:
    """Heaviest receivers of input on the sites nearest to the host."""
    distance = np.sort(_distance(problem, problem.host, problem.sites.router))
    return float(-np.sort(-host_rate) @ distance[: problem.cores])
