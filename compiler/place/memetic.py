"""Memetic search for quadratic assignment: short tabu runs bred from a small population.

After Benlic & Hao (Expert Systems with Applications 42, 2015): a child keeps what its two parents
agree on and takes the rest from either, is improved by a tabu run, and replaces the worst, or the
member that it is alike: a population whose members stay apart does not end with the first good one.

When no child gets in for a while all but the best are shuffled, more strongly every time.  When
that is over, too, a new population begins at random, which meets the best of former ones only
when it comes to rest itself.

Two children are improved at a time, in two threads: what they become depends on the seed only.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from snnc.compiler.place.quadratic import Quadratic
from snnc.compiler.place.tabu import Tabu
from snnc.compiler.place.watch import Watch
from snnc.ir.arrays import IntArray

PAIR = 2  # children of a generation
POPULATION = 1.5  # members per site
SMALLEST = 4  # population of a short search
CHILDREN = 20  # that every member should be able to have, or the population is smaller
CONTEST = 3  # random members of which the best becomes a parent
RUN = 40  # iterations of a tabu run per site, and within the following limits
SHORTEST, LONGEST = 1_000, 5_000
NICHE = 0.1  # share of sites by which members differ at least
STALE = 20  # generations at least of which no child entered before something is done
SHUFFLES = 0.15, 0.4, 0.65  # shares of sites shuffled, in turn

Member = tuple[float, IntArray]


@dataclass(frozen=True, eq=False)
class Assigned:
    """An assignment [n] of sites, and its cost."""

    site: IntArray
    cost: float


def shuffled(site: IntArray, share: float, rng: np.random.Generator) -> IntArray:
    """The sites of a share of random facilities (at least two), rotated among them."""
    chosen = rng.permutation(site.size)[: max(2, int(share * site.size))]
    result = site.copy()
    result[chosen] = site[np.roll(chosen, 1)]
    return result


def child_of(one: IntArray, two: IntArray, rng: np.random.Generator) -> IntArray:
    """A permutation with all that its parents agree on, the rest from either where possible."""
    n = one.size
    child = np.where(one == two, one, -1)
    taken = np.zeros(n, bool)
    taken[child[child >= 0]] = True
    first = rng.random(n) < 0.5
    for i in rng.permutation(np.flatnonzero(child < 0)):
        for site in (one[i], two[i]) if first[i] else (two[i], one[i]):
            if not taken[site]:
                child[i] = site
                taken[site] = True
                break
    child[child < 0] = rng.permutation(np.flatnonzero(~taken))
    return child


def search(
    problem: Quadratic, start: IntArray, seed: int, iterations: int, watch: Watch
) -> Assigned:
    """Best assignment of some iterations of tabu search, never worse than ``start`` [n].

    Equal seeds and iterations give equal results unless the watch cuts them.  Two threads work.
    """
    n = problem.distance.shape[0]
    if n < 2:
        return Assigned(start, problem.cost(start))
    first = np.concatenate([start, np.setdiff1d(np.arange(n), start)]).astype(np.int64)
    with ThreadPoolExecutor(PAIR) as pool:
        breed = _Breed(problem, first, seed, iterations, watch, pool.map)
        while breed.goes_on():
            breed.generation()
    site = breed.best[: start.size]
    return Assigned(site, problem.cost(site))


class _Breed:
    """The population and what the search knows."""

    def __init__(
        self, problem: Quadratic, start: IntArray, seed: int, iterations: int, watch: Watch,
        both: Callable[..., object],
    ) -> None:  # fmt: skip
        self._rng = np.random.default_rng(seed)
        self._walk = [Tabu(problem, (seed << 1) + k) for k in range(PAIR)]
        self._both, self._watch = both, watch
        self._size = n = start.size
        self._total, self._left = iterations, iterations
        self._run = min(max(RUN * n, SHORTEST), LONGEST)
        most = iterations // (CHILDREN * self._run)
        self._count = max(SMALLEST, min(most, int(POPULATION * n)))
        self.best, self._best_cost = start, self._walk[0].cost(start)
        self._walk[0].run(start, 0, np.inf)  # compiles before the clock starts
        self._ended: list[Member] = []  # best members of former populations
        self._members: list[Member] = []
        self._top, self._stale = np.inf, 0
        self._begin(start)

    def goes_on(self) -> bool:
        """True while iterations are left and the watch allows."""
        return self._left > 0 and len(self._members) > 1 and not self._watch.due()

    def generation(self) -> None:
        """Breed, improve and insert a pair of children; do something when none gets in any more."""
        entered = False
        for cost, child in self._improved([self._bred() for _ in range(PAIR)]):
            entered |= self._insert(cost, child)
        self._stale = 0 if entered else self._stale + 1
        if self._stale > max(STALE, len(self._members) // PAIR) and self.goes_on():
            self._stale = 0
            self._renew()

    def _begin(self, *start: IntArray) -> None:
        """A population that knows nothing of those before."""
        self._met, self._shuffles = not self._ended, iter(SHUFFLES)
        self._top = np.inf
        fresh = [self._rng.permutation(self._size) for _ in range(self._count - len(start))]
        self._members = self._improved([*start, *fresh])

    def _renew(self) -> None:
        """Let the best of former populations in; later shuffle all but the best; at last end."""
        top = min(self._members, key=lambda member: member[0])
        if not self._met:
            self._met = True
            for cost, site in self._ended:
                self._insert(cost, site)
            return
        share = next(self._shuffles, None)
        if share is not None:
            fresh = [
                site if cost == top[0] else shuffled(site, share, self._rng)
                for cost, site in self._members
            ]
            self._members = self._improved(fresh)
            return
        self._ended.append(top)
        self._begin()

    def _insert(self, cost: float, child: IntArray) -> bool:
        """Let a child replace the worst member, or the one that it is alike; true if it did."""
        costs = np.array([member[0] for member in self._members])
        differ = (np.array([member[1] for member in self._members]) != child).sum(axis=1)
        near = int(differ.argmin())
        place = near if differ[near] <= NICHE * self._size else int(costs.argmax())
        if cost >= costs[place]:
            return False
        self._members[place] = cost, child
        return True

    def _bred(self) -> IntArray:
        one, two = self._parent(-1), -1
        while two in (-1, one):
            two = self._parent(one)
        sites = self._members[one][1], self._members[two][1]
        child = child_of(*sites, self._rng)
        alike = (sites[0] != sites[1]).mean() < NICHE
        return shuffled(child, NICHE, self._rng) if alike else child

    def _parent(self, other: int) -> int:
        """The best of some random members that are not ``other``."""
        drawn = self._rng.integers(len(self._members), size=CONTEST)
        able = [int(k) for k in drawn if k != other]
        return min(able, key=lambda k: self._members[k][0], default=-1)

    def _improved(self, starts: list[IntArray]) -> list[Member]:
        """(cost, assignment) after a tabu run from each, as far as there is time."""
        found: list[Member] = []
        for k in range(0, len(starts), PAIR):
            if k and (self._left <= 0 or self._watch.due()):
                break
            pair = starts[k : k + PAIR]
            share = min(self._run, -(-self._left // len(pair)))
            run = [
                (walk, start, share, self._top)
                for walk, start in zip(self._walk, pair, strict=False)
            ]
            for site, cost in self._both(_tabu_run, run):  # type: ignore[attr-defined]
                found.append((cost, site))
                self._top = min(self._top, cost)
                if cost < self._best_cost:
                    self.best, self._best_cost = site, cost
            self._left -= share * len(pair)
            done = 1 - self._left / max(self._total, 1)
            self._watch.tell(done, self._best_cost * self._walk[0].unit)
        return found


def _tabu_run(task: tuple[Tabu, IntArray, int, float]) -> tuple[IntArray, float]:
    walk, start, iterations, known = task
    return walk.run(start, iterations, known)
