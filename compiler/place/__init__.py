"""Placement: cores to routers and slots, weighted hops as small as possible, with a bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from snnc.compiler.place.anneal import anneal, cost_of
from snnc.compiler.place.bound import lower_bound
from snnc.compiler.place.branch import prove
from snnc.compiler.place.exact import model_size, solve
from snnc.compiler.place.problem import Problem, Sites, sites_of
from snnc.compiler.place.quadratic import Quadratic, quadratic
from snnc.compiler.place.tabu import RUN, search
from snnc.ir.arrays import IntArray

Effort = Literal["low", "normal", "high"]
EXACT_CORES = 12
LARGEST_MODEL = 20_000
FEW_SITES = 64
LOOKS = {"low": 2_000_000, "normal": 30_000_000, "high": 2_000_000_000}
SOLVER = {"low": 0.1, "normal": 0.4, "high": 20.0}
SWAPS = {"low": 10_000_000, "normal": 100_000_000, "high": 10_000_000_000}  # looked at by tabu
NODES = {"low": 2_000_000, "normal": 10_000_000, "high": 2_000_000_000}  # times sites

__all__ = [
    "Assignment", "Effort", "Placement", "Problem", "Quadratic", "Sites", "assign", "cost_of",
    "place", "sites_of",
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
) -> Assignment:
    """Solve a quadratic assignment: tabu search, then a proof where it is small.

    Args:
        problem: flows, distances and what a facility costs on a site by itself.
        start: [n] sites to start from; None takes the first ones in order.
        seed: equal seeds give equal results at equal effort, unless the time limit strikes.
        effort: how many swaps are looked at, and how many nodes of the proof.
        time_limit_s: wall-clock limit of the search.
    """
    n, m = problem.linear.shape
    first = np.arange(n) if start is None else start
    runs = max(1, SWAPS[effort] // (RUN * m**3))
    found = search(problem, first, seed, runs, time_limit_s)
    bound, engine = 0.0, "tabu"
    site, cost = found.site, found.cost
    if n <= EXACT_CORES:
        proof = prove(problem, site, NODES[effort] // m)
        site, cost, bound = proof.site, proof.cost, proof.bound
        engine = "tabu + branch and bound"
    return Assignment(site, cost, bound, engine, found.complete)


@dataclass(frozen=True, eq=False)
class Placement:
    """Where every core sits.

    Attributes:
        location: [cores, 3] router x, router y, slot.
        router: [cores] router.
        objective: weighted hops.
        bound: no placement has fewer.
        engine: what found it.
        complete: False when the time limit cut the search, which then is not reproducible.
    """

    location: IntArray
    router: IntArray
    objective: float
    bound: float
    engine: str
    complete: bool

    @property
    def gap(self) -> float:
        """(objective - bound) / objective; 0 is proven optimal."""
        return (self.objective - self.bound) / self.objective if self.objective > 0 else 0.0


def place(
    problem: Problem, seed: int = 0, effort: Effort = "normal", time_limit_s: float = 5.0
) -> Placement:
    """Place all cores.

    Args:
        problem: cores, sites and nets.
        seed: equal seeds give equal placements at equal effort, unless the time limit strikes.
        effort: how many moves, and how long the exact solver may work.
        time_limit_s: wall-clock limit.
    """
    bound = lower_bound(problem)
    found = anneal(problem, seed, LOOKS[effort], time_limit_s)
    site, cost, engine, complete = found.site, found.cost, "annealing", found.complete
    # All pairs of sites are swapped: on a large machine only patience pays for that.
    few = problem.sites.count <= FEW_SITES or effort == "high"
    pairs = quadratic(problem) if few else None
    if pairs is not None and cost > bound * (1 + 1e-9):
        solved = assign(pairs, site, seed, effort, time_limit_s)
        if solved.cost < cost * (1 - 1e-12):
            site, cost, engine = solved.site, solved.cost, f"annealing + {solved.engine}"
        bound, complete = max(bound, solved.bound), complete and solved.complete
    small = problem.cores <= EXACT_CORES and model_size(problem) <= LARGEST_MODEL
    if small and cost > bound * (1 + 1e-9):
        exact = solve(problem, site, bound, SOLVER[effort], seed, time_limit_s)
        site, cost, bound = exact.site, exact.cost, exact.bound
        complete = complete and exact.complete
        engine = f"{engine} + CP-SAT"
    sites = problem.sites
    location = np.concatenate([sites.xy[site], sites.slot[site][:, None]], axis=1)
    return Placement(location, sites.router[site], cost, min(bound, cost), engine, complete)
