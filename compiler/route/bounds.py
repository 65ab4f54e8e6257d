"""Lower bounds on how busy the busiest link must be, whatever the routes.

- *Cuts*: packets that leave (or enter) a rectangle of routers share the links of its border, each
  crossing at least once however they branch; the busiest of those links carries at least the mean.
- *Flows*, for small cases: a linear program.  Every destination receives a unit of flow that may
  split over links; a net occupies a link at least as much as the flow to any of its destinations.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from snnc.compiler.route.links import Demand, ends_of
from snnc.compiler.traffic import weighted
from snnc.ir.arrays import AnyArray, IntArray, RealArray
from snnc.ir.topology import Mesh

RECTANGLES = 4000
CUT_WORK = 3e7
FLOW_VARIABLES = 15_000
FLOW_STEPS = 50_000  # of the simplex method; 5,000 suffice for most programs of that size


def bound(demand: Demand) -> tuple[float, str]:
    """(cycles per sample that some link is busy at least, "cuts" or "flows")."""
    cuts = cut_bound(demand)
    flows = flow_bound(demand)
    return (flows, "flows") if flows is not None and flows > cuts else (cuts, "cuts")


def cut_bound(demand: Demand) -> float:
    """The best bound by rectangles: all of them on small meshes, else halves and single routers."""
    mesh = demand.mesh
    boxes, best = _rectangles(mesh.width, mesh.height), 0.0
    if len(boxes) > RECTANGLES or len(boxes) * max(demand.dest.size, 1) > CUT_WORK:
        return max(_halves_bound(demand), _singles_bound(demand))
    net = np.repeat(np.arange(demand.root.size), np.diff(demand.ptr))
    speeds = _speeds(demand)
    for box in boxes.tolist():
        flat = _inside(mesh, *box)
        root, dest = flat[demand.root[net]], flat[demand.dest]
        for crossing, speed in zip((root & ~dest, ~root & dest), speeds(flat), strict=True):
            hit = np.zeros(demand.root.size, np.bool_)
            hit[net[crossing]] = True
            packets = demand.rate[hit].sum()
            if packets > 0 and speed > 0:
                best = max(best, float(packets / speed))
    return best


def _inside(mesh: Mesh, x0: int, x1: int, y0: int, y1: int) -> AnyArray:
    """[routers] whether a router lies in the rectangle."""
    inside = np.zeros((mesh.height, mesh.width), np.bool_)
    inside[y0 : y1 + 1, x0 : x1 + 1] = True
    return inside.reshape(-1)


def _speeds(demand: Demand) -> Callable[[AnyArray], tuple[float, float]]:
    """Packets per cycle over all links out of some routers together, and into them.

    Each link carries its share for as many cycles as the others.
    """
    border = np.flatnonzero(np.isfinite(demand.cycles))
    begin, end = ends_of(demand.mesh, border)

    def speeds(flat: AnyArray) -> tuple[float, float]:
        leaves, enters = flat[begin] & ~flat[end], ~flat[begin] & flat[end]
        out, into = (float((1.0 / demand.cycles[border[k]]).sum()) for k in (leaves, enters))
        return out, into

    return speeds


def _halves_bound(demand: Demand) -> float:
    """The best bound by halves of the mesh, with one look at every destination.

    A net leaves the left half up to column x if its root is in it and the farthest destination on
    the right is not: it counts from one of these columns to the other.
    """
    mesh, best = demand.mesh, 0.0
    if not demand.dest.size:
        return best
    link = np.flatnonzero(np.isfinite(demand.cycles))
    share, starts = 1.0 / demand.cycles[link], demand.ptr[:-1]
    for across, extent in ((False, mesh.width), (True, mesh.height)):
        ends = (demand.root, demand.dest, *ends_of(mesh, link))
        place = [r // mesh.width if across else r % mesh.width for r in ends]
        root, begin, end = place[0], *place[2:]
        most = np.maximum(np.maximum.reduceat(place[1], starts), root)
        least = np.minimum(np.minimum.reduceat(place[1], starts), root)
        packets = [
            np.cumsum(weighted(low, demand.rate, extent) - weighted(high, demand.rate, extent))
            for low, high in ((root, most), (least, root))
        ]
        speeds = (_passing(begin, end, share, extent), _passing(end, begin, share, extent))
        for count, speed in zip(packets, speeds, strict=True):
            some = speed[:-1] > 0
            best = max(best, float((count[:-1][some] / speed[:-1][some]).max(initial=0.0)))
    return best


def _passing(begin: IntArray, end: IntArray, share: RealArray, extent: int) -> RealArray:
    """[extent] packets per cycle over all links from up to a column to beyond it.

    Links lead to the next column, or on a torus between the first and the last.
    """
    wide = end - begin > 1
    near = end - begin == 1
    return weighted(begin[near], share[near], extent) + float(share[wide].sum())


def _singles_bound(demand: Demand) -> float:
    """The best bound by single routers: what starts or ends there shares the router's links."""
    routers = demand.mesh.routers
    link = np.flatnonzero(np.isfinite(demand.cycles))
    begin, end = ends_of(demand.mesh, link)
    share = 1.0 / demand.cycles[link]
    net = np.repeat(np.arange(demand.root.size), np.diff(demand.ptr))
    away = demand.dest != demand.root[net]
    leaving = np.unique(net[away])
    best = 0.0
    for here, rate, ends in (
        (demand.root[leaving], demand.rate[leaving], begin),
        (demand.dest[away], demand.rate[net[away]], end),
    ):
        packets, speed = weighted(here, rate, routers), weighted(ends, share, routers)
        some = speed > 0
        best = max(best, float((packets[some] / speed[some]).max(initial=0.0)))
    return best


def _rectangles(width: int, height: int) -> IntArray:
    if (width * (width + 1) // 2) * (height * (height + 1) // 2) > RECTANGLES:
        return np.zeros((RECTANGLES + 1, 4), np.int64)
    x = [(a, b) for a in range(width) for b in range(a, width)]
    y = [(a, b) for a in range(height) for b in range(a, height)]
    return np.array([(*i, *j) for i in x for j in y if (*i, *j) != (0, width - 1, 0, height - 1)])


def flow_bound(demand: Demand) -> float | None:
    """The linear program's optimum; None when it is too hard, or nothing leaves a router."""
    problem = _commodities(demand)
    if problem is None:
        return None
    trees, flows = problem
    mesh = demand.mesh
    link = np.flatnonzero(np.isfinite(demand.cycles))
    begin, end = ends_of(mesh, link)
    count, routers = link.size, mesh.routers
    own = np.array([tree for tree, _, _ in flows])
    several = np.bincount(own, minlength=len(trees)) > 1
    total = len(flows) * count + int(several.sum()) * count + 1
    if total > FLOW_VARIABLES:
        return None
    # Columns: flows link by link; occupation of trees with several flows; the maximum.
    incidence = sparse.coo_array(
        (
            np.concatenate([np.ones(count), -np.ones(count)]),
            (np.concatenate([begin, end]), np.tile(np.arange(count), 2)),
        ),
        shape=(routers, count),
    )
    conserve = sparse.block_diag([incidence] * len(flows))
    padding = sparse.coo_array((conserve.shape[0], total - conserve.shape[1]))
    conserve = sparse.hstack([conserve, padding])
    supply = np.concatenate([s for _, _, s in flows])
    rows, base = [], len(flows) * count
    place = {int(t): base + k * count for k, t in enumerate(np.flatnonzero(several))}
    unit = np.arange(count)
    entries: list[tuple[RealArray, IntArray, IntArray]] = []
    for k, (tree, scale, _) in enumerate(flows):
        columns = k * count + unit
        if tree in place:
            over = sparse.coo_array(
                (
                    np.concatenate([np.ones(count), -np.ones(count)]),
                    (np.tile(unit, 2), np.concatenate([columns, place[tree] + unit])),
                ),
                shape=(count, total),
            )
            rows.append(over)
        else:
            entries.append((scale * demand.cycles[link], unit, columns))
    for tree, first in place.items():
        entries.append((trees[tree] * demand.cycles[link], unit, first + unit))
    entries.append((-np.ones(count), unit, np.full(count, total - 1)))
    load = sparse.coo_array(
        (
            np.concatenate([e[0] for e in entries]),
            (np.concatenate([e[1] for e in entries]), np.concatenate([e[2] for e in entries])),
        ),
        shape=(count, total),
    )
    upper = sparse.vstack([*rows, load]).tocsr()
    cost = np.zeros(total)
    cost[-1] = 1.0
    solved = linprog(
        cost, A_ub=upper, b_ub=np.zeros(upper.shape[0]), A_eq=conserve.tocsr(), b_eq=supply,
        method="highs", options={"maxiter": FLOW_STEPS},
    )  # fmt: skip
    return float(solved.fun) * (1 - 1e-9) if solved.status == 0 else None


Flow = tuple[int, float, RealArray]
"""(tree, packets per unit, [routers] what leaves less what arrives)."""


def _commodities(demand: Demand) -> tuple[list[float], list[Flow]] | None:
    """Rates of trees, and flows: one per destination; nets to one router join by their root."""
    routers = demand.mesh.routers
    net = np.repeat(np.arange(demand.root.size), np.diff(demand.ptr))
    away = (demand.dest != demand.root[net]) & (demand.rate[net] > 0)
    net, dest = net[away], demand.dest[away]
    ways = np.bincount(net, minlength=demand.root.size)
    single = ways[net] == 1
    roots = np.unique(demand.root[net[single]])
    links = int(np.isfinite(demand.cycles).sum())
    if (roots.size + (~single).sum() + (ways > 1).sum()) * links > FLOW_VARIABLES or not net.size:
        return None
    trees: list[float] = []
    flows: list[Flow] = []
    for root in roots.tolist():
        mine = single & (demand.root[net] == root)
        supply = np.zeros(routers)
        np.add.at(supply, dest[mine], -demand.rate[net[mine]])
        supply[root] -= supply.sum()
        flows.append((len(trees), 1.0, supply))
        trees.append(1.0)
    for each in np.flatnonzero(ways > 1).tolist():
        for goal in dest[net == each].tolist():
            supply = np.zeros(routers)
            supply[demand.root[each]], supply[goal] = 1.0, -1.0
            flows.append((len(trees), float(demand.rate[each]), supply))
        trees.append(float(demand.rate[each]))
    return trees, flows
