"""Routing: trees over the joined mesh, link loads, virtual channels, the deadlock certificate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snnc.compiler.options import ROUTINGS, RoutingRule
from snnc.compiler.route.bounds import bound, cut_bound
from snnc.compiler.route.certificate import certify
from snnc.compiler.route.keys import key_tables
from snnc.compiler.route.links import Demand
from snnc.compiler.route.shapes import Chosen, balanced, builders_of, dimension_order, short_trees
from snnc.compiler.route.walks import channel_loads, reach
from snnc.compiler.traffic import Traffic
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.deployment import Certificate, RouteTables
from snnc.ir.errors import UnsupportedError
from snnc.ir.target import Target
from snnc.ir.topology import Mesh


@dataclass(frozen=True, eq=False)
class Routing:
    """Routes, their proof, and what they cost.

    Attributes:
        channels: [channels, 2] from-router and to-router of every channel used.
        load: [channels] expected packets per sample through it.
        hops: [nets] tree edges of every net.
        reach: [deliveries] hops from the sender to each destination.
        report: what was chosen, and how busy the busiest link is; see docs/routing.md.
    """

    tables: RouteTables
    certificate: Certificate
    channels: IntArray
    load: RealArray
    hops: IntArray
    reach: IntArray
    report: dict[str, Any]


def route(
    traffic: Traffic,
    router: IntArray,
    target: Target,
    mesh: Mesh,
    rule: RoutingRule = "xy",
    seed: int = 0,
) -> Routing:
    """Route all nets.

    Args:
        traffic: nets between cores.
        router: [cores] router each core sits at.
        target: whose routers say which shapes of routes they can be told.
        mesh: the joined mesh.
        rule: "xy", "yx"; "tree": multicast trees with few edges; "balanced": shapes chosen net by
            net so that the busiest link is least busy.
        seed: of the exact solvers.

    Raises:
        UnsupportedError: the target's routers cannot be told this.
        VerificationError: the routes could deadlock, whatever their virtual channels: only where
            cores may refuse packets.
    """
    _check_rule(rule, target)
    host = mesh.router(*target.topology.host_router)
    root = np.where(traffic.net_core < 0, host, router[traffic.net_core])
    demand = Demand.of(traffic, root, router, target, mesh)
    if rule in ("xy", "yx"):
        chosen = dimension_order(demand, traffic, router, target, rule, seed)
    elif rule == "tree":
        chosen = short_trees(demand, traffic, router, target, seed)
    else:
        chosen = balanced(demand, traffic, router, target, seed)
    tables = chosen.tables
    report = _report(demand, chosen, rule, target)
    if target.noc.table_entries is not None:
        keys, report["tables"] = key_tables(tables, target, mesh)
        tables = replace(tables, keys=keys)
    channels, load = channel_loads(tables, traffic.rate, mesh)
    refusing = router if target.noc.consumption == "after_sending" else None
    return Routing(
        tables,
        certify(tables, mesh, refusing),
        channels,
        load,
        np.diff(tables.branch_ptr) - 1,
        reach(tables),
        report,
    )


def _check_rule(rule: RoutingRule, target: Target) -> None:
    shapes = target.noc.route_shapes
    possible = [name for name in ROUTINGS if name == "xy" or len(builders_of(target)) > 1]
    if shapes == ("yx",):
        possible = ["yx"]
    if rule not in possible:
        raise UnsupportedError(
            "the routers of this target cannot be told such routes",
            where=f"--routing on {target.id}",
            found=rule,
            allowed=f"{', '.join(possible)} (noc.route_shapes: {', '.join(shapes)})",
            remedy="leave --routing out, or choose a target whose routers can be told more",
        )


def _report(demand: Demand, chosen: Chosen, rule: RoutingRule, target: Target) -> dict[str, Any]:
    """JSON values: the choice, the busiest link before and after, and what is proven."""
    free = rule == "balanced"
    least, by = bound(demand) if free else (cut_bound(demand), "cuts")
    worst = chosen.worst
    gap = (worst - least) / worst if worst > 0 else 0.0
    return {
        "rule": rule,
        "shapes_allowed": list(target.noc.route_shapes),
        "nets_by_shape": chosen.shapes,
        "chosen_by": chosen.chosen_by,
        "max_link_cycles": worst,
        "max_link_cycles_xy": chosen.worst_xy,
        "max_link_cycles_bound": least,
        "bound_by": by,
        "gap": max(0.0, gap),
        "proven": bool(chosen.proven or gap <= 1e-9),
        "virtual_channel_classes": chosen.tables.lanes,
        "classes_fewest": chosen.fewest,
        "classes_by": chosen.classes_by,
        "notes": list(chosen.notes),
    }
