"""Placement: cores to routers and slots, weighted hops as small as possible, with a bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from snnc.compiler.place.anneal import anneal, cost_of
from snnc.compiler.place.bound import lower_bound
from snnc.compiler.place.exact import model_size, solve
from snnc.compiler.place.problem import Problem, Sites, sites_of
from snnc.ir.arrays import IntArray

Effort = Literal["low", "normal", "high"]
EXACT_CORES = 12
LARGEST_MODEL = 20_000
LOOKS = {"low": 2_000_000, "normal": 30_000_000, "high": 2_000_000_000}
SOLVER = {"low": 0.1, "normal": 0.4, "high": 20.0}

__all__ = ["Effort", "Placement", "Problem", "Sites", "cost_of", "place", "sites_of"]


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
    small = problem.cores <= EXACT_CORES and model_size(problem) <= LARGEST_MODEL
    if small and cost > bound * (1 + 1e-9):
        solved = solve(problem, site, bound, SOLVER[effort], seed, time_limit_s)
        site, cost, bound = solved.site, solved.cost, solved.bound
        complete = complete and solved.complete
        engine = "annealing + CP-SAT"
    sites = problem.sites
    location = np.concatenate([sites.xy[site], sites.slot[site][:, None]], axis=1)
    return Placement(location, sites.router[site], cost, min(bound, cost), engine, complete)
