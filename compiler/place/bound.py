"""Lower bound on weighted hops: of Gilmore and Lawler, or of crowds that talk all to all.

Wherever a core sits, its k-th heaviest partner is at best on the k-th nearest site.  Half of every
flow is charged to each end, flows from the host to their core; the cheapest assignment of cores to
sites under these optimistic charges bounds every placement (Gilmore 1962, Lawler 1963).  For layers
that send all to all the bound of ``crowds`` is better: it knows that not all are in the middle.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from snnc.compiler.place.crowds import bound_of_crowds
from snnc.compiler.place.flows import Flows
from snnc.compiler.place.problem import Problem
from snnc.compiler.traffic import weighted
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import kernel

ASSIGNMENT_CORES = 400  # as an assignment problem
NEAR_CORES = 4096  # with the true distances from each site
NEAR_ROUTERS = 4096  # on a larger machine as if no site were near an edge: that costs no pairs


def lower_bound(problem: Problem) -> float:
    """No placement has fewer weighted hops."""
    if problem.cores > NEAR_CORES:
        return bound_of_flows(Flows.of(problem))
    return max(_of_sites(problem), bound_of_crowds(Flows.of(problem)))


def _of_sites(problem: Problem) -> float:
    """The bound of Gilmore and Lawler with the true distances from every site."""
    heavy, host_rate = _heaviest(problem)
    sites = problem.sites
    large = np.count_nonzero(sites.room) > NEAR_ROUTERS
    if large:
        near = _rings(int(sites.room.max()), heavy.shape[1], sites.mesh.sides)[None]
    else:
        near = _nearest(problem, heavy.shape[1])
    charge: RealArray = 0.5 * heavy @ near.T
    if large or problem.cores > ASSIGNMENT_CORES:
        return float(charge.min(axis=1).sum()) + _host_bound(problem, host_rate)
    used = np.flatnonzero(problem.sites.room)
    cost = charge + host_rate[:, None] * _distance(problem, problem.host, used)
    by_site = np.searchsorted(used, problem.sites.router)
    row, column = linear_sum_assignment(cost[:, by_site])
    return float(cost[row, by_site[column]].sum())


def bound_of_flows(flows: Flows) -> float:
    """As ``lower_bound`` for any number of cores, with every site in the middle of the mesh."""
    return max(_of_rings(flows), bound_of_crowds(flows))


def _of_rings(flows: Flows) -> float:
    slots = int(flows.sites.room.max(initial=1))
    most = int(np.diff(flows.run_at[flows.run_ptr]).max(initial=0))
    if most == 0:
        return 0.0
    near = _rings(slots, most, flows.sites.mesh.sides)
    arrays = flows.run_ptr, flows.run_first, flows.run_at, flows.weight
    rounded = 0.0 if flows.unit == 1.0 else 1.0
    total = _ideal(flows.cores, *arrays, near, np.zeros(most, np.float32), rounded)
    return 0.5 * max(total, 0.0) * flows.unit


def _rings(slots: int, count: int, sides: int) -> RealArray:
    """[count] distances to the other sites, nearest first, far from all edges of a mesh.

    Of routers with so many neighbours, as many times d are at distance d.
    """
    near = [np.zeros(slots - 1)]
    distance, known = 0, slots - 1
    while known < count:
        distance += 1
        near.append(np.full(sides * distance * slots, float(distance)))
        known += sides * distance * slots
    return np.concatenate(near)[:count]


@kernel
def _ideal(
    cores: int, run_ptr: IntArray, run_first: IntArray, run_at: IntArray, weight: RealArray,
    near: RealArray, row: RealArray, rounded: float,
) -> float:  # fmt: skip
    """Sum over cores of their flows to cores, heaviest first, over ever farther sites.

    ``row`` is scratch.  Fixed points may be on a core's own router: they cost nothing here.
    """
    total = 0.0
    for a in range(cores):
        count = 0
        for r in range(run_ptr[a], run_ptr[a + 1]):
            for k in range(run_at[r], run_at[r + 1]):
                if run_first[r] + k - run_at[r] < cores:
                    row[count] = weight[k]
                    count += 1
        part = np.sort(row[:count])
        for k in range(count):
            # Weights were rounded up by less than ``rounded``.
            total += (np.float64(part[count - 1 - k]) - rounded) * near[k]
    return total


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
    return problem.sites.mesh.distance(np.array(router), others)


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
