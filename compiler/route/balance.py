"""Trees for all nets that keep the busiest link as idle as possible, or that are short.

Negotiated congestion (McMurchie & Ebeling, FPGA 1995) on a potential: nets are taken out and grown
again one by one where the sum over links of (busy time) ** power rises least, at growing powers,
until nothing changes.  For few nets CP-SAT then chooses among all trees met on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ortools.sat.python import cp_model

from snnc.compiler.route import priced
from snnc.compiler.route.links import Demand
from snnc.compiler.route.priced import BUILDERS, Links, Nets
from snnc.compiler.solver import new_solver
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.topology import Mesh

POWERS = (1, 2, 3, 4, 5)
"""Squarings: powers 2 to 32."""
PASSES = 6
WORK = 3e9
"""Most link prices looked at by all passes together, about a minute."""
POOL = 400
"""Most nets for which CP-SAT chooses."""
DRAWS = 6
GRAIN = 1 << 20


@dataclass(frozen=True, eq=False)
class Trees:
    """One tree per net.

    Attributes:
        nets: holds them; see ``priced.Nets``.
        busy: [links] cycles per sample.
        hops: tree edges, weighted by rate.
        chosen_by: "dimension order", "negotiation" or "CP-SAT".
        proven: no choice among the shapes allowed has a less busy busiest link.
    """

    nets: Nets
    busy: RealArray
    hops: float
    chosen_by: str = "dimension order"
    proven: bool = False

    @property
    def worst(self) -> float:
        """Cycles per sample of the busiest link."""
        return float(self.busy.max(initial=0.0))

    def better_than(self, other: Trees) -> bool:
        """A less busy busiest link; at equality, fewer hops."""
        if abs(self.worst - other.worst) > 1e-9 * max(1.0, other.worst):
            return self.worst < other.worst
        return self.hops < other.hops * (1 - 1e-12)


def plain(demand: Demand, builder: str) -> Trees:
    """Every net by one rule, whatever the others do."""
    links, nets, scratch = demand.fresh()
    priced.start(links, nets, scratch, BUILDERS.index(builder))
    return _snapshot(links, nets, "dimension order")


def shortest(demand: Demand, builders: Sequence[str]) -> Trees:
    """Trees of few edges: only hops have a price."""
    links, nets, scratch = demand.fresh()
    chosen = np.array([BUILDERS.index(name) for name in builders])
    priced.start(links, nets, scratch, int(chosen[0]))
    order = np.arange(nets.root.size)
    priced.improve(links, nets, scratch, order, chosen, 0.0, 1)
    return _snapshot(links, nets, "shortest trees")


def negotiate(demand: Demand, builders: Sequence[str], seed: int = 0) -> Trees:
    """Trees of any of the builders, with a low maximum of the links' busy time."""
    links, nets, scratch = demand.fresh()
    chosen = np.array([BUILDERS.index(name) for name in builders])
    priced.start(links, nets, scratch, int(chosen[0]))
    best = _snapshot(links, nets, "negotiation")
    size = demand.distance.astype(np.float64) + 1
    passes = min(PASSES, int(WORK / max(1.0, (size**2).sum() * chosen.size * len(POWERS))))
    order = np.argsort(-demand.rate, kind="stable")
    for squarings in POWERS:
        for _ in range(passes):
            worst = float(links.busy.max(initial=0.0))
            if worst <= 0.0:
                return best
            changed = priced.improve(links, nets, scratch, order, chosen, 1.0 / worst, squarings)
            links.busy[:] = np.maximum(links.busy, 0.0)  # rounding of what was taken away
            found = _snapshot(links, nets, "negotiation")
            if found.better_than(best):
                best = found
            if not changed:
                break
    if nets.root.size <= POOL:
        return _choose(demand, best, chosen, seed)
    return best


def _snapshot(links: Links, nets: Nets, chosen_by: str) -> Trees:
    kept = nets._replace(
        size=nets.size.copy(), router=nets.router.copy(), parent=nets.parent.copy(),
        built=nets.built.copy(),
    )  # fmt: skip
    hops = float(((nets.size - 1) * nets.rate).sum())
    return Trees(kept, links.busy.copy(), hops, chosen_by)


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A tree of one net: its links, nodes and builder."""

    links: tuple[int, ...]
    router: IntArray
    parent: IntArray
    built: int


def _choose(demand: Demand, best: Trees, builders: IntArray, seed: int) -> Trees:
    """CP-SAT picks one candidate per net: least maximum of busy time, then fewest hops."""
    pool = _pool(demand, best, builders, seed)
    # Without a choice of path, two candidates are all there are.
    complete = {BUILDERS[b] for b in builders} <= {"xy", "yx"}
    grain = GRAIN / max(best.worst, 1e-12)
    model = cp_model.CpModel()
    terms: dict[int, list[tuple[int, cp_model.IntVar]]] = {}
    variables: list[list[cp_model.IntVar]] = []
    hops = []
    for net, candidates in enumerate(pool):
        own = [model.new_bool_var("") for _ in candidates]
        variables.append(own)
        model.add_exactly_one(own)
        present = best.nets.room[net], best.nets.size[net]
        now = best.nets.router[present[0] : present[0] + present[1]].tolist()
        for variable, candidate in zip(own, candidates, strict=True):
            model.add_hint(variable, candidate.router.tolist() == now)
            hops.append((len(candidate.links), variable))
            for link in candidate.links:
                cost = round(demand.rate[net] * demand.cycles[link] * grain)
                if cost:
                    terms.setdefault(link, []).append((cost, variable))
    worst = model.new_int_var(0, GRAIN + GRAIN // 64, "worst")
    for row in terms.values():
        model.add(sum(cost * variable for cost, variable in row) <= worst)
    # One hop of one net is worth less than the least unit of the maximum.
    weight = sum(count for count, _ in hops) + 1
    model.minimize(worst * weight + sum(count * variable for count, variable in hops))
    solver = new_solver(seed)
    solver.parameters.max_deterministic_time = 4.0
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return best
    picked = [
        next(c for c, v in zip(pool[net], own, strict=True) if solver.value(v))
        for net, own in enumerate(variables)
    ]
    found = _assembled(demand, picked, complete and status == cp_model.OPTIMAL)
    return found if found.proven or found.better_than(best) else best


def _pool(demand: Demand, best: Trees, builders: IntArray, seed: int) -> list[list[_Candidate]]:
    """Distinct trees per net, grown under the best loads and under perturbed prices."""
    rng = np.random.default_rng(seed)
    pool: list[dict[tuple[int, ...], _Candidate]] = [{} for _ in range(demand.root.size)]
    _collect(best.nets, pool, demand.mesh)
    for builder in builders.tolist():
        for draw in range(DRAWS if builder not in (priced.XY, priced.YX) else 1):
            links, nets, scratch = demand.fresh()
            links.busy[:] = best.busy
            if draw:
                links.factor[:] = rng.uniform(0.5, 2.0, links.factor.size)
            scale = 1.0 / max(best.worst, 1e-12)
            priced.redraw(links, best.nets, scratch, builder, scale, 1 + draw, nets)
            _collect(nets, pool, demand.mesh)
    return [list(found.values()) for found in pool]


def _collect(nets: Nets, pool: list[dict[tuple[int, ...], _Candidate]], mesh: Mesh) -> None:
    for net, found in enumerate(pool):
        first, size = int(nets.room[net]), int(nets.size[net])
        router = nets.router[first : first + size].astype(np.int64)
        parent = nets.parent[first : first + size].astype(np.int64)
        begin = router[parent[1:]]
        link = begin * mesh.sides + mesh.direction(begin, router[1:])
        key = tuple(sorted(link.tolist()))
        found.setdefault(key, _Candidate(key, router, parent, int(nets.built[net])))


def _assembled(demand: Demand, picked: Sequence[_Candidate], proven: bool) -> Trees:
    links, nets, _ = demand.fresh()
    for net, candidate in enumerate(picked):
        first, size = int(nets.room[net]), candidate.router.size
        nets.router[first : first + size] = candidate.router
        nets.parent[first : first + size] = candidate.parent
        nets.size[net], nets.built[net] = size, candidate.built
        for link in candidate.links:
            links.busy[link] += demand.rate[net] * demand.cycles[link]
    hops = float(((nets.size - 1) * nets.rate).sum())
    return Trees(nets, links.busy, hops, "CP-SAT", proven)
