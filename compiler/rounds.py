"""Placement that knows the routes: place, route, place again with what the routes did to the links.

Placement weighs the busiest link under routes in dimension order; ``--routing balanced`` then moves
load off busy links.  In another round every link counts as much more or less than in dimension
order as the chosen routes load it, and the new placement is routed.  It is kept if the weighted sum
of the terms, with the busiest link of the routes themselves, is lower.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snnc.compiler.options import RoutingRule
from snnc.compiler.place import Effort, Goal, Placement, improved
from snnc.compiler.route import Routing, route
from snnc.compiler.traffic import Traffic
from snnc.ir.arrays import RealArray
from snnc.ir.target import Target
from snnc.ir.topology import Mesh

ROUNDS = 2
SMOOTH = 0.05  # of the busiest link: loads below do not count as differences
MOST = 4.0  # times more or less that a link may count


@dataclass(frozen=True, eq=False)
class Routed:
    """A placement and its routes; ``rounds`` are JSON values, empty where there was no need."""

    placement: Placement
    routing: Routing
    rounds: tuple[dict[str, Any], ...]


def place_for_routes(
    goal: Goal,
    placement: Placement,
    flow: Traffic,
    target: Target,
    mesh: Mesh,
    rule: RoutingRule,
    seed: int,
    effort: Effort,
    time_limit_s: float,
) -> Routed:
    """Route a placement; where links are balanced and weigh, look for one that routes better.

    Args:
        goal: terms and weights of the placement.
        placement: the best one for routes in dimension order.
        flow: nets between cores.
        target, mesh: the machine.
        rule: of the routes.
        seed: of all searches.
        effort: of every round's placement.
        time_limit_s: of every round's placement.

    Raises:
        SnncError: as ``route``.
    """
    routing = route(flow, placement.router, target, mesh, rule, seed)
    if rule != "balanced" or not goal.objective.weights.get("max_link"):
        return Routed(_measured(placement, routing, rule), routing, ())
    best, total = (placement, routing), _total(goal, placement, routing)
    rounds = [_row(routing, total, kept=True)]
    for number in range(1, ROUNDS + 1):
        priced = replace(goal, cycles=_priced(goal, flow, *best, target, mesh))
        other = improved(priced, goal, best[0], seed + number, effort, time_limit_s)
        routes = route(flow, other.router, target, mesh, rule, seed)
        sum_now = _total(goal, other, routes)
        kept = sum_now < total * (1 - 1e-12)
        rounds.append(_row(routes, sum_now, kept=kept))
        if kept:
            best, total = (other, routes), sum_now
    return Routed(_measured(*best, rule), best[1], tuple(rounds))


def _measured(placement: Placement, routing: Routing, rule: RoutingRule) -> Placement:
    """The placement whose busiest link is that of the routes, where they are chosen one by one."""
    if rule in ("xy", "yx") or not placement.terms:
        return placement
    worst = float(routing.report["max_link_cycles"])
    before, _ = placement.terms["max_link"]
    return replace(placement, terms={**placement.terms, "max_link": (before, worst)})


def _total(goal: Goal, placement: Placement, routing: Routing) -> float:
    """The weighted sum with the busiest link of the chosen routes."""
    terms = {term: after for term, (_, after) in placement.terms.items()}
    return goal.objective.total({**terms, "max_link": routing.report["max_link_cycles"]})


def _row(routing: Routing, total: float, *, kept: bool) -> dict[str, Any]:
    return {"max_link_cycles": routing.report["max_link_cycles"], "total": total, "kept": kept}


def _priced(
    goal: Goal, flow: Traffic, placement: Placement, routing: Routing, target: Target, mesh: Mesh
) -> RealArray:
    """Cycles of every link under which routes in dimension order load it like the chosen ones."""
    straight = route(flow, placement.router, target, mesh, "xy")
    before, after = (_loads(found, mesh) for found in (straight, routing))
    little = SMOOTH * max(float(before.max(initial=0.0)), 1e-300)
    factor = np.clip((after + little) / (before + little), 1 / MOST, MOST)
    priced: RealArray = goal.cycles * factor
    return priced


def _loads(routing: Routing, mesh: Mesh) -> RealArray:
    """[sides * routers] packets per sample over every link."""
    result = np.zeros(mesh.routers * mesh.sides)
    begin, end = routing.channels[:, 0], routing.channels[:, 1]
    result[begin * mesh.sides + mesh.direction(begin, end)] = routing.load
    return result
