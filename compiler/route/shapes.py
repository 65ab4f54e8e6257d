"""From trees to certified routes: which shape each net takes, and on which virtual channels.

The cheapest routing is tried first.  Where its packets could wait in a circle, nets are spread over
classes of virtual channels (``lanes``); where the links have too few, turns are given up instead:
every net then takes a shape whose packets cannot, alone or with the others of its class.  On a
torus crossings of the joined sides are given up, net by net (``torus``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from snnc.compiler.route import priced
from snnc.compiler.route.balance import Trees, negotiate, plain, shortest
from snnc.compiler.route.lanes import Lanes, assign
from snnc.compiler.route.links import Demand
from snnc.compiler.route.priced import BUILDERS, WITHIN, XY, YX
from snnc.compiler.route.torus import picked, settle
from snnc.compiler.route.trees import grow
from snnc.compiler.route.waits import waits
from snnc.compiler.route.walks import link_loads
from snnc.compiler.traffic import Traffic
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import RouteTables
from snnc.ir.target import Target

LARGE = 3_000
"""Nets beyond which only one restriction of turns is tried."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """Routes with their virtual channels.

    Attributes:
        worst, worst_xy: cycles per sample of the busiest link; of XY routes in their place.
        shapes: nets by how their tree was grown.
        fewest: no fewer classes of virtual channels do.
        notes: what was given up.
    """

    tables: RouteTables
    worst: float
    worst_xy: float
    shapes: dict[str, int]
    chosen_by: str
    proven: bool
    fewest: bool
    classes_by: str
    notes: tuple[str, ...] = ()


def builders_of(target: Target) -> list[str]:
    """How trees may be grown on this target, by ``priced.BUILDERS``; XY first if allowed."""
    shapes = set(target.noc.route_shapes)
    if shapes & {"minimal", "any"}:
        shapes |= {"xy", "yx", "minimal"}
    if not target.noc.multicast:
        shapes -= {"any"}
    return [name for name in ("xy", "yx", "minimal", "any") if name in shapes]


def dimension_order(
    demand: Demand, flow: Traffic, router: IntArray, target: Target, rule: str, seed: int
) -> Chosen:
    """All nets along X, then Y (or the other way): without a circle unless cores refuse packets.

    On a torus, as far as packets that cross the joined sides do not close one.
    """
    tables, worst = _straight(demand, flow, router, rule == "yx")
    if demand.mesh.wraps:
        built = np.full(flow.nets, BUILDERS.index(rule))
        return _on_torus(demand, flow, router, target, seed, tables, built, "dimension order")
    _, before = (None, worst) if rule == "xy" else _straight(demand, flow, router, False)
    classes = Lanes(np.zeros(flow.nets, np.int64), 1, True, "none needed")
    if target.noc.consumption == "after_sending":
        classes = _classes(tables, demand, target, seed) or classes
    return Chosen(
        with_lanes(tables, classes.lane), worst, before, {rule: flow.nets}, "dimension order",
        False, classes.fewest, classes.engine,
    )  # fmt: skip


def balanced(demand: Demand, flow: Traffic, router: IntArray, target: Target, seed: int) -> Chosen:
    """The shapes with the least busy busiest link that virtual channels or turns make safe."""
    if demand.mesh.wraps:
        found = negotiate(demand, builders_of(target), seed)
        chosen = _searched_on_torus(demand, flow, router, target, seed, found)
        return min(chosen, key=lambda c: (c.worst, _hops(c.tables, demand)))

    def better(a: Trees, b: Trees) -> bool:
        return a.better_than(b)

    return _safest(
        demand, flow, router, target, seed,
        lambda names: negotiate(demand, names, seed), better,
    )  # fmt: skip


def short_trees(
    demand: Demand, flow: Traffic, router: IntArray, target: Target, seed: int
) -> Chosen:
    """The trees with the fewest edges that virtual channels or turns make safe."""
    if demand.mesh.wraps:
        found = shortest(demand, builders_of(target))
        chosen = _searched_on_torus(demand, flow, router, target, seed, found)
        return min(chosen, key=lambda c: (_hops(c.tables, demand), c.worst))

    def better(a: Trees, b: Trees) -> bool:
        return a.hops < b.hops

    return _safest(
        demand, flow, router, target, seed, lambda names: shortest(demand, names), better
    )


def _safest(
    demand: Demand,
    flow: Traffic,
    router: IntArray,
    target: Target,
    seed: int,
    search: Callable[[list[str]], Trees],
    better: Callable[[Trees, Trees], bool],
) -> Chosen:
    names = builders_of(target)
    base = plain(demand, names[0])
    _, worst_xy = _straight(demand, flow, router, False)
    found = search(names)
    notes: tuple[str, ...] = ()
    tables = tables_of(found, demand, flow, router)
    classes = _classes(tables, demand, target, seed)
    if classes is None:
        notes = (
            f"the cheapest routes need more than {_offered(target)} virtual channel(s) per link: "
            f"turns were restricted (busiest link {found.worst:g} cycles without)",
        )
        found, classes = _restricted(demand, target, names, search, better)
        tables = tables_of(found, demand, flow, router)
    if not better(found, base):
        found = replace(base, proven=found.proven)  # XY is as good as the best choice
        tables = tables_of(base, demand, flow, router)
        classes = _classes(tables, demand, target, seed) or classes
        if target.noc.consumption == "always":
            classes = Lanes(np.zeros(flow.nets, np.int64), 1, True, "none needed")
    kinds = np.bincount(found.nets.built, minlength=len(BUILDERS))
    return Chosen(
        with_lanes(tables, classes.lane),
        found.worst,
        worst_xy,
        {BUILDERS[k]: int(kinds[k]) for k in np.flatnonzero(kinds)},
        found.chosen_by,
        found.proven and not notes,
        classes.fewest,
        classes.engine,
        notes,
    )


def _offered(target: Target) -> int:
    return int(target.noc.virtual_channels.v or 1)


def _classes(tables: RouteTables, demand: Demand, target: Target, seed: int) -> Lanes | None:
    refusing = target.noc.consumption == "after_sending"
    found = waits(tables, demand.mesh.routers, refusing)
    return assign(found, tables.nets, _offered(target), seed)


def _restricted(
    demand: Demand,
    target: Target,
    names: list[str],
    search: Callable[[list[str]], Trees],
    better: Callable[[Trees, Trees], bool],
) -> tuple[Trees, Lanes]:
    """Routes that are safe by their shape: turn models, one per class of virtual channels."""
    families: list[tuple[list[str], bool]] = []
    pairs = [["west first", "east first"], ["low first", "high first"]]
    minimal = "minimal" in names
    if _offered(target) > 1:
        families += [(pair, True) for pair in pairs if minimal]
        families += [(["xy", "yx"], True)] if {"xy", "yx"} <= set(names) else []
    if minimal:
        families += [([name], False) for pair in pairs for name in pair]
    families += [([name], False) for name in ("xy", "yx") if name in names]
    if demand.root.size > LARGE:
        families = [families[0], families[-1]]
    best: tuple[Trees, Lanes] | None = None
    for allowed, spread in families:
        found = (
            search(allowed)
            if allowed[0] not in ("xy", "yx") or spread
            else plain(demand, allowed[0])
        )
        lane = np.zeros(demand.root.size, np.int64)
        if spread:
            lane = (found.nets.built == BUILDERS.index(allowed[1])).astype(np.int64)
        used = int(lane.max(initial=0)) + 1
        if best is None or better(found, best[0]):
            best = found, Lanes(lane, used, used == 1, "by shape")
    assert best is not None
    return best


def _searched_on_torus(
    demand: Demand, flow: Traffic, router: IntArray, target: Target, seed: int, found: Trees
) -> tuple[Chosen, Chosen]:
    """Trees that a search found, and those in dimension order, both made safe."""
    wanted = tables_of(found, demand, flow, router)
    return (
        dimension_order(demand, flow, router, target, "xy", seed),
        _on_torus(
            demand, flow, router, target, seed, wanted, found.nets.built, found.chosen_by,
            found.proven,
        ),
    )  # fmt: skip


def _on_torus(
    demand: Demand,
    flow: Traffic,
    router: IntArray,
    target: Target,
    seed: int,
    wanted: RouteTables,
    built: IntArray,
    chosen_by: str,
    proven: bool = False,
) -> Chosen:
    """The trees wanted, on virtual channels; without enough of them, some trees stay within."""
    _, before = _straight(demand, flow, router, False)
    classes = _classes(wanted, demand, target, seed)
    notes: tuple[str, ...] = ()
    tables = wanted
    if classes is None:
        within, _ = _straight(demand, flow, router, False, wrap=False)
        tables, kept = settle(wanted, within, demand.rate, demand.mesh)
        built = np.where(kept, built, WITHIN)
        for builder in (XY, YX):  # other ways round for those that are left
            other, _ = _straight(demand, flow, router, builder == YX)
            shorter = np.diff(other.branch_ptr) < np.diff(tables.branch_ptr)
            tried, _ = settle(picked(other, tables, shorter), tables, demand.rate, demand.mesh)
            built = np.where(np.diff(tried.branch_ptr) < np.diff(tables.branch_ptr), builder, built)
            tables = tried
        kept = built != WITHIN
        proven = False
        notes = (
            f"{_offered(target)} virtual channel(s) per link: so that no packets wait in a circle, "
            f"{int((~kept).sum())} of {flow.nets} nets do not cross the joined sides of the torus "
            f"({_hops(tables, demand):g} hops per sample, {_hops(wanted, demand):g} with all)",
        )
        classes = _classes(tables, demand, target, seed)
    if classes is None:  # cores that refuse packets; the certificate says what waits for what
        classes = Lanes(np.zeros(flow.nets, np.int64), 1, True, "none needed")
    kinds = np.bincount(built, minlength=len(BUILDERS))
    return Chosen(
        with_lanes(tables, classes.lane),
        _busiest(tables, demand),
        before,
        {BUILDERS[k]: int(kinds[k]) for k in np.flatnonzero(kinds)},
        chosen_by,
        proven,
        classes.fewest,
        classes.engine,
        notes,
    )


def _hops(tables: RouteTables, demand: Demand) -> float:
    """Tree edges per sample."""
    return float(((np.diff(tables.branch_ptr) - 1) * demand.rate).sum())


def with_lanes(tables: RouteTables, lane: IntArray) -> RouteTables:
    """The tables with one class of virtual channels per net."""
    if not lane.any():
        return tables
    branch = np.repeat(lane, np.diff(tables.branch_ptr))
    branch[tables.branch_ptr[:-1]] = 0  # no link leads to a root
    return replace(tables, branch_lane=branch.astype(np.int8))


def _straight(
    demand: Demand, flow: Traffic, router: IntArray, y_first: bool, wrap: bool = True
) -> tuple[RouteTables, float]:
    """(tables in dimension order, cycles per sample of the busiest link)."""
    branch_ptr, branch, parent, delivery, _ = grow(
        demand.root, flow.dest_ptr, router[flow.dest], demand.mesh, y_first, wrap
    )
    tables = _joined(flow, branch_ptr, branch, parent, delivery)
    return tables, _busiest(tables, demand)


def _busiest(tables: RouteTables, demand: Demand) -> float:
    """Cycles per sample of the busiest link."""
    _, busy = link_loads(tables, demand.rate, demand.mesh, demand.cycles)
    return float(busy.max(initial=0.0))


def tables_of(trees: Trees, demand: Demand, flow: Traffic, router: IntArray) -> RouteTables:
    """The tables of chosen trees."""
    nets = trees.nets
    node = np.zeros(flow.dest.size, np.int32)
    _, _, scratch = demand.fresh()
    goal = router[flow.dest].astype(np.int32)
    priced.deliver(nets, scratch, flow.dest_ptr.astype(np.int64), goal, node)
    ptr = np.concatenate([[0], np.cumsum(nets.size)])
    place = np.repeat(nets.room[:-1] - ptr[:-1], nets.size) + np.arange(ptr[-1])
    return _joined(flow, ptr, nets.router[place], nets.parent[place], node)


def _joined(
    flow: Traffic, ptr: IntArray, router: IntArray, parent: IntArray, node: IntArray
) -> RouteTables:
    return RouteTables(
        net_core=flow.net_core,
        branch_ptr=ptr,
        branch_router=router,
        branch_parent=parent,
        delivery_ptr=flow.dest_ptr,
        delivery_branch=node,
        delivery_core=flow.dest,
        send_ptr=flow.send_ptr,
        send_net=flow.send_net,
    )
