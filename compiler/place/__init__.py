"""Placement: cores to routers and slots, weighted hops as small as possible, with a bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from snnc.compiler.place.anneal import anneal, cost_of
from snnc.compiler.place.bound import NEAR_CORES, bound_of_flows, lower_bound
from snnc.compiler.place.branch import prove
from snnc.compiler.place.chips import divided, held_to_chips
from snnc.compiler.place.exact import model_size, solve
from snnc.compiler.place.flows import Flows
from snnc.compiler.place.goal import weigh
from snnc.compiler.place.huge import TOP, Work, spread
from snnc.compiler.place.memetic import search
from snnc.compiler.place.problem import Problem, Sites, sites_of
from snnc.compiler.place.quadratic import Quadratic, quadratic
from snnc.compiler.place.watch import Progress, Watch, interruptible, silent
from snnc.compiler.place.weigh import Goal, terms_of
from snnc.compiler.place.windows import OfFlows, OfNets, Prices, polished
from snnc.compiler.place.zones import Zones, settled
from snnc.ir.arrays import IntArray
from snnc.ir.errors import OptionError

Effort = Literal["low", "normal", "high"]
EXACT_CORES = 12
LARGEST_MODEL = 20_000
FEW_SITES = 64
LOOKS = {"low": 2_000_000, "normal": 30_000_000, "high": 2_000_000_000}
SOLVER = {"low": 0.1, "normal": 0.4, "high": 20.0}
SWAPS = {"low": 4 * 10**7, "normal": 2 * 10**8, "high": 8 * 10**11}  # looked at by tabu
MOST_SWAPS = 2_000_000  # made per site
BEFORE_PROOF = 5_000  # made per site where a proof follows
FEW_CORES = 64  # beyond, pairs of cores are annealed as flows
SWEEPS = {"low": 1_000, "normal": 5_000, "high": 50_000}  # hot, over a few thousand cores
JOINED = 10_000  # hot sweeps over groups of cores
LAST = {"low": 10, "normal": 100, "high": 150}  # cold, over all cores
WINDOWS = {"low": 2 * 10**7, "normal": 3 * 10**8, "high": 2 * 10**10}  # looked at by assignments
FLOWS = {"low": 50_000_000, "normal": 1_000_000_000, "high": 10**13}  # looked at by all sweeps
NODES = {"low": 2_000_000, "normal": 10_000_000, "high": 2_000_000_000}  # times sites

__all__ = [
    "Assignment", "Effort", "Flows", "Goal", "Placement", "Problem", "Progress", "Quadratic",
    "Sites", "Zones", "assign", "cost_of", "improved", "place", "silent", "sites_of", "start_of",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Assignment:
    """Solution of a quadratic assignment: [n] sites, cost, bound, engine and completeness."""

    site: IntArray
    cost: float
    bound: float
    engine: str
    complete: bool


def assign(
    problem: Quadratic,
    start: IntArray | None = None,
    seed: int = 0,
    effort: Effort = "normal",
    time_limit_s: float = 5.0,
    watch: Watch | None = None,
) -> Assignment:
    """Solve a quadratic assignment: memetic tabu search, then a proof where it is small.

    Args:
        problem: flows, distances and what a facility costs on a site by itself.
        start: [n] sites to start from; None takes the first ones in order.
        seed: equal seeds give equal results at equal effort, unless the time limit strikes.
        effort: how many swaps are looked at, and how many nodes of the proof.
        time_limit_s: wall-clock limit of the search.
        watch: a limit shared with other searches, instead of ``time_limit_s``.
    """
    watch = watch or Watch(time_limit_s)
    n, m = problem.linear.shape
    first = np.arange(n) if start is None else start
    most = m * (MOST_SWAPS if n > EXACT_CORES else BEFORE_PROOF)
    found = search(problem, first, seed, min(SWAPS[effort] // m**2, most), watch)
    bound, engine = 0.0, "memetic tabu"
    site, cost = found.site, found.cost
    if n <= EXACT_CORES:
        proof = prove(problem, site, NODES[effort] // m)
        site, cost, bound = proof.site, proof.cost, proof.bound
        engine = "memetic tabu + branch and bound"
    return Assignment(site, cost, bound, engine, watch.complete)


@dataclass(frozen=True, eq=False)
class Placement:
    """Where every core sits.

    Attributes:
        location: [cores, 3] router x, router y, slot.
        router: [cores] router.
        objective: weighted hops.
        bound: no placement has fewer.
        engine: what found it.
        complete: False when the time limit or the user cut the search, which then is not
            reproducible.
        interrupted: the user pressed Ctrl-C.
        terms: with a goal, (of the placement with few hops, of this one) by term.
    """

    location: IntArray
    router: IntArray
    objective: float
    bound: float
    engine: str
    complete: bool
    interrupted: bool = False
    terms: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def gap(self) -> float:
        """(objective - bound) / objective; 0 is proven optimal."""
        return (self.objective - self.bound) / self.objective if self.objective > 0 else 0.0


@dataclass(frozen=True, eq=False)
class _Found:
    """What an engine returns: [cores] sites, cost, bound, and its name."""

    site: IntArray
    cost: float
    bound: float
    engine: str


def place(
    problem: Problem | Flows,
    seed: int = 0,
    effort: Effort = "normal",
    time_limit_s: float = 5.0,
    start: IntArray | None = None,
    progress: Progress = silent,
    goal: Goal | None = None,
) -> Placement:
    """Place all cores.

    The first Ctrl-C ends the search and returns the best placement so far; a second one
    interrupts.

    Args:
        problem: cores, sites and nets; or flows between pairs of cores, which need less memory.
        seed: equal seeds give equal placements at equal effort, unless the time limit strikes.
        effort: how many moves, and how long the exact solver may work.
        time_limit_s: wall-clock limit.
        start: [cores] sites of a former placement, to be improved.
        progress: called with the share of the search done and the weighted hops now.
        goal: what counts beside weighted hops; they are minimised first, then the goal.

    Raises:
        OptionError: ``start`` is no placement of these cores.
    """
    if start is not None:
        _check_start(start, problem)
        start = settled(problem.zones, problem.sites.xy, start)
    with interruptible(Watch(time_limit_s, progress)) as watch:
        found = _flat(problem, seed, effort, watch, start)
        terms = {}
        if goal is not None and not isinstance(problem, Flows):
            others = [found]
            if start is None:
                others += _by_chips(problem, goal, found, seed, effort, watch)
            found = min(others, key=lambda other: other.cost)
            before = terms_of(goal, found.site)
            found = _weighed(goal, found, others, seed, effort, watch)
            after = terms_of(goal, found.site)
            terms = {term: (before[term], after[term]) for term in after}
    sites = problem.sites
    location = np.concatenate([sites.xy[found.site], sites.slot[found.site][:, None]], axis=1)
    return Placement(
        location, sites.router[found.site], found.cost, min(found.bound, found.cost),
        found.engine, watch.complete, watch.interrupted, terms,
    )  # fmt: skip


def improved(
    priced: Goal, goal: Goal, placement: Placement, seed: int, effort: Effort, time_limit_s: float
) -> Placement:
    """A placement searched from another one under other prices of the links.

    Args:
        priced: what the search minimises.
        goal: what the terms of the result are measured by.
        placement: to start from.
        seed: equal seeds give equal results at equal effort, unless the time limit strikes.
        effort: as in ``place``.
        time_limit_s: wall-clock limit; Ctrl-C ends the search as in ``place``.
    """
    sites = goal.nets.sites
    start = start_of(goal.nets, placement.location)
    with interruptible(Watch(time_limit_s)) as watch:
        site = weigh(priced, [start], seed, LOOKS[effort], watch).site
    after = terms_of(goal, site)
    return replace(
        placement,
        location=np.concatenate([sites.xy[site], sites.slot[site][:, None]], axis=1),
        router=sites.router[site],
        objective=float(after["energy"]),
        complete=placement.complete and watch.complete,
        interrupted=placement.interrupted or watch.interrupted,
        terms={term: (placement.terms[term][0], after[term]) for term in after},
    )


def _flat(
    problem: Problem | Flows, seed: int, effort: Effort, watch: Watch, start: IntArray | None
) -> _Found:
    """All cores at once, whatever chip they are on."""
    if isinstance(problem, Flows):
        found = _spread(problem, seed, effort, watch, start)
        return _windows(OfFlows(problem, found.site), found, seed, effort, watch)
    if problem.cores > FEW_CORES:
        return _many(problem, seed, effort, watch, start)
    return _few(problem, seed, effort, watch, start)


def _by_chips(
    problem: Problem, goal: Goal, flat: _Found, seed: int, effort: Effort, watch: Watch
) -> list[_Found]:
    """Cores to chips by a cut, cores within chips, then all at once from there; or none.

    Where chips count for the goal the cores stay on their chips: the goal decides what moves.
    """
    weights = goal.objective.weights
    counts = bool(weights.get("chips") or weights.get("chip_crossings"))
    proven = flat.cost <= flat.bound * (1 + 1e-9)
    if not counts and (proven or problem.cores > TOP):
        return []
    division = divided(goal.nets, goal.chip, seed, watch)
    if division is None:
        return []
    inside = _flat(held_to_chips(problem, division, goal.chip), seed, effort, watch, None)
    site = settled(problem.zones, problem.sites.xy, inside.site)
    if counts:
        return [_Found(site, cost_of(problem, site), flat.bound, f"chips first, {inside.engine}")]
    joint = _flat(problem, seed, effort, watch, site)
    return [_Found(joint.site, joint.cost, flat.bound, f"chips first, {joint.engine}")]


def _weighed(
    goal: Goal, found: _Found, others: list[_Found], seed: int, effort: Effort, watch: Watch
) -> _Found:
    """The best placement for the goal, where that asks for more than few hops."""
    if goal.objective.plain or not found.site.size:
        return found
    sites = [found.site, *(other.site for other in others if other is not found)]
    better = weigh(goal, sites, seed, LOOKS[effort], watch)
    if better.site is found.site:
        return found
    hops = float(terms_of(goal, better.site)["energy"])
    return _Found(better.site, hops, found.bound, f"{found.engine} + of the objective")


def start_of(problem: Problem, location: IntArray) -> IntArray:
    """[cores] sites of a former placement, given as [cores, 3] x, y, slot.

    Raises:
        OptionError: another number of cores, or a place that is no usable core.
    """
    sites = problem.sites
    if location.shape != (problem.cores, 3):
        raise OptionError(
            "the former placement is of another network or partition",
            where="--placement-start",
            found=f"{len(location)} cores",
            allowed=f"{problem.cores} cores",
            remedy="leave it out, or compile with the options of the former artifact",
        )
    x, y, slot = (location[:, k].astype(np.int64) for k in range(3))
    key = sites.router * sites.slots + sites.slot
    wanted = (y * sites.width + x) * sites.slots + slot
    site = np.minimum(np.searchsorted(key, wanted), sites.count - 1)
    bad = np.flatnonzero((key[site] != wanted) | (x >= sites.width) | (slot >= sites.slots))
    if bad.size:
        raise OptionError(
            "the former placement uses a place where this machine has no working core",
            where="--placement-start",
            found=f"core {bad[0]} at ({x[bad[0]]}, {y[bad[0]]}, {slot[bad[0]]})",
            remedy="leave it out, or give the target and chips of the former artifact",
        )
    return site


def _check_start(start: IntArray, problem: Problem | Flows) -> None:
    inside = start.size == 0 or 0 <= int(start.min()) <= int(start.max()) < problem.sites.count
    if start.shape != (problem.cores,) or not inside or np.unique(start).size != start.size:
        raise OptionError(
            "the start is no placement of these cores",
            where="--placement-start",
            found=f"{start.size} sites, {np.unique(start).size} different ones",
            allowed=f"{problem.cores} different ones of {problem.sites.count}",
        )


def _spread(
    flows: Flows, seed: int, effort: Effort, watch: Watch, start: IntArray | None
) -> _Found:
    """The huge engine."""
    entries = max(flows.weight.size, flows.cores, 1)
    most = FLOWS[effort] // entries
    top = FLOWS[effort] // min(entries, 100 * TOP)
    if flows.cores > TOP:
        top = min(top, JOINED)  # what is won beyond is lost again when the groups are split
    work = Work(
        max(100, min(SWEEPS[effort], top)), max(2, min(LAST[effort], most)),
        max(2, min(LAST[effort], most)),
    )  # fmt: skip
    found = spread(flows, seed, work, watch, start)
    engine = "annealing of flows" if flows.cores <= TOP else "multilevel annealing of flows"
    return _Found(found.site, found.cost, bound_of_flows(flows), engine)


def _windows(prices: Prices, found: _Found, seed: int, effort: Effort, watch: Watch) -> _Found:
    """The last step: cores of a window assigned anew."""
    last = polished(prices, found.site, seed, WINDOWS[effort], watch)
    if not last.saved:
        return found
    cost = found.cost - last.saved * prices.unit
    return _Found(last.site, cost, found.bound, f"{found.engine} + windows")


def _many(
    problem: Problem, seed: int, effort: Effort, watch: Watch, start: IntArray | None
) -> _Found:
    """More cores than exact methods can serve: pairs as flows, then trees at their true cost."""
    flows = Flows.of(problem)
    found = _spread(flows, seed, effort, watch, start)
    # Of many cores, what the flows say is all that is known.
    bound = found.bound if problem.cores > NEAR_CORES else lower_bound(problem)
    if (np.diff(problem.dest_ptr) == 1).all():
        found = _windows(OfFlows(flows, found.site), found, seed, effort, watch)
        return replace(found, cost=cost_of(problem, found.site), bound=bound)
    better = anneal(problem, seed, LOOKS[effort], watch, found.site)
    engine = f"{found.engine} + of trees"
    if start is not None and cost_of(problem, start) < better.cost:
        better, engine = anneal(problem, seed, LOOKS[effort], watch, start), "annealing"
    if problem.cores <= TOP and start is None and not watch.due():
        fresh = anneal(problem, seed, LOOKS[effort], watch)
        if fresh.cost < better.cost:
            better, engine = fresh, "annealing"
    trees = _Found(better.site, better.cost, bound, engine)
    found = _windows(OfNets(problem, better.site), trees, seed, effort, watch)
    return replace(found, cost=cost_of(problem, found.site))


def _few(
    problem: Problem, seed: int, effort: Effort, watch: Watch, start: IntArray | None
) -> _Found:
    """Up to some dozens of cores: annealing, all swaps by tabu search, proofs of small ones."""
    bound = lower_bound(problem)
    placed = anneal(problem, seed, LOOKS[effort], watch, start)
    site, cost, engine = placed.site, placed.cost, "annealing"
    # All pairs of sites are swapped: on a large machine only patience pays for that.
    few = problem.sites.count <= FEW_SITES or effort == "high"
    pairs = quadratic(problem) if few else None
    if pairs is not None and cost > bound * (1 + 1e-9):
        solved = assign(pairs, site, seed, effort, watch=watch)
        if solved.cost < cost * (1 - 1e-12):
            site, cost, engine = solved.site, solved.cost, f"annealing + {solved.engine}"
        bound = max(bound, solved.bound)
    small = problem.cores <= EXACT_CORES and model_size(problem) <= LARGEST_MODEL
    if small and cost > bound * (1 + 1e-9) and not watch.due():
        exact = solve(problem, site, bound, SOLVER[effort], seed, watch)
        site, cost, bound = exact.site, exact.cost, exact.bound
        engine = f"{engine} + CP-SAT"
    return _Found(site, cost, bound, engine)
