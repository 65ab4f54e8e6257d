"""Search for the placement with the least weighted sum of terms, from the one with few hops.

Starts: the placement with the fewest weighted hops, cold; the same from hot; and, where chips
count, cores divided among chips first, and placements held to ever more chips around the host's.
The best by the exact terms wins, so the result is never worse than the placement with few hops.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from snnc.compiler.place.cooling import HOTTEST, TEMPERATURES, levels
from snnc.compiler.place.problem import Problem
from snnc.compiler.place.watch import Watch
from snnc.compiler.place.weigh import Goal, Walk, terms_of
from snnc.compiler.place.zones import BoolArray, Zones, settled
from snnc.ir.arrays import IntArray

MOST_MOVES = 50_000  # per core
PER_EDGE = 6  # a net is taken off and put on, often twice, link by link
CHIP_COUNTS = 4
"""Numbers of chips that are tried."""


@dataclass(frozen=True, eq=False)
class Weighed:
    """A placement [cores] and the weighted sum of its terms."""

    site: IntArray
    total: float


def weigh(goal: Goal, starts: Sequence[IntArray], seed: int, effort: int, watch: Watch) -> Weighed:
    """Improve placements for the goal; never worse than the best of them.

    Args:
        goal: terms and weights.
        starts: placements [cores] within the zones, the one with the fewest hops first.
        seed: equal seeds give equal results unless the watch cuts them.
        effort: destinations and links looked at, over all starts.
        watch: time limit and interrupt.
    """
    site = starts[0]
    known = [Weighed(start, goal.objective.total(terms_of(goal, start))) for start in starts]
    best = min(known, key=lambda weighed: weighed.total)
    walks = [(goal.nets, start, True) for start in starts]
    walks += [(goal.nets, site, False)]
    walks += [(problem, start, False) for problem, start in _on_few_chips(goal, site)]
    moves = _moves(goal.nets, effort) // len(walks)
    for number, (problem, start, cold) in enumerate(walks):
        found = _anneal(goal, problem, start, (seed << 8) + number, moves, watch, cold)
        if found.total < best.total * (1 - 1e-12):
            best = found
    return best


def _moves(problem: Problem, effort: int) -> int:
    """Moves that look at ``effort`` destinations and links, or what a small problem can use."""
    nets = np.diff(problem.pins[0])
    edges = np.diff(problem.dest_ptr)[problem.pins[1]].sum() / max(problem.cores, 1)
    per_move = PER_EDGE * (float(edges) * 2 + float(nets.mean()) * 8 + 4)
    return int(max(1000, min(effort / per_move, MOST_MOVES * problem.cores)))


def _on_few_chips(goal: Goal, site: IntArray) -> Iterator[tuple[Problem, IntArray]]:
    """The problem on the fewest chips that hold it, on some more, and so on, with a start."""
    weights, problem = goal.objective.weights, goal.nets
    chip = goal.chip[problem.sites.router]
    if not (weights.get("chips") or weights.get("chip_crossings")) or np.unique(chip).size < 2:
        return
    room = np.bincount(chip)
    number = np.flatnonzero(room)
    near = np.array([_distance(problem, chip == k) for k in number])
    # Chips that hold pinned cores come first: they are needed in any case.
    need = np.ones(number.size, np.bool_)
    zones = problem.zones
    if zones is not None:
        held = np.unique(zones.zone[zones.held])
        need = ~np.isin(number, chip[zones.allowed[held].any(axis=0)])
    order = number[np.lexsort((number, near, need))]
    pinned = int((~need).sum())
    least = int(np.searchsorted(np.cumsum(room[order]), problem.cores)) + 1
    counts = np.arange(max(least, pinned), np.unique(chip[site]).size)
    if counts.size > CHIP_COUNTS:
        counts = counts[np.linspace(0, counts.size - 1, CHIP_COUNTS).astype(np.int64)]
    for count in counts:
        inside = np.isin(chip, order[:count])
        narrow = replace(problem, zones=_narrowed(zones, problem.cores, inside))
        yield narrow, settled(narrow.zones, problem.sites.xy, site)


def _distance(problem: Problem, sites: IntArray) -> float:
    """Mean distance of some sites from the host."""
    away = problem.sites.mesh.distance(np.array(problem.host), problem.sites.router[sites])
    return float(away.mean())


def _narrowed(zones: Zones | None, cores: int, inside: BoolArray) -> Zones:
    """Cores without a zone are held to the sites ``inside``."""
    if zones is None:
        return Zones(np.zeros(cores, np.int64), inside[None])
    zone = np.where(zones.zone < 0, len(zones.allowed), zones.zone)
    return Zones(zone, np.concatenate([zones.allowed, inside[None]]))


def _anneal(
    goal: Goal, problem: Problem, start: IntArray, seed: int, moves: int, watch: Watch, cold: bool
) -> Weighed:
    reach = max(problem.sites.width, problem.sites.routers // problem.sites.width)
    walk = Walk(goal, problem, start, seed)
    best = Weighed(walk.site.copy(), goal.objective.total(walk.terms))
    if watch.due():
        return best
    uphill, steps = Walk(goal, problem, start, seed).sweep(max(200, moves // 100), np.inf, reach)
    if steps == 0:
        return best
    hot = HOTTEST * uphill / steps
    for done, temperature, window in levels(hot, reach, cold):
        if watch.due():
            return best
        watch.tell(done, walk.terms["energy"])
        walk.sweep(moves // TEMPERATURES, temperature, window)
        total = goal.objective.total(walk.terms)
        if total < best.total * (1 - 1e-12):
            best = Weighed(walk.site.copy(), total)
    return best
