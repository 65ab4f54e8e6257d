"""One suite over all placement engines, and what each promises beyond."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from support.placing import is_legal, multicast, problem_of, strike_after, toy, unicast

from snnc.compiler.place import cost_of, place, watch
from snnc.compiler.place.anneal import anneal
from snnc.compiler.place.baselines import hilbert, random_sites, row_major
from snnc.compiler.place.bound import lower_bound
from snnc.compiler.place.exact import solve
from snnc.compiler.place.flows import Flows
from snnc.compiler.place.huge import Work, spread
from snnc.compiler.place.problem import Problem, Sites
from snnc.compiler.place.watch import Watch
from snnc.compiler.traffic import Traffic
from snnc.ir.arrays import IntArray
from snnc.ir.errors import CapacityError
from snnc.ir.topology import mesh_of

Engine = Callable[[Problem], IntArray]
ENGINES: dict[str, Engine] = {
    "row-major": row_major,
    "hilbert": hilbert,
    "random": lambda p: random_sites(p, 1),
    "annealing": lambda p: anneal(p, 1, 100_000, Watch(60.0)).site,
    "cp-sat": lambda p: solve(p, row_major(p), 0.0, 0.2, 0, Watch(5.0)).site,
    "flows": lambda p: spread(Flows.of(p), 1, Work(200, 10, 10), Watch(60.0)).site,
    "all": lambda p: _sites_from(p, place(p, 1, "low")),
}


def _sites_from(problem: Problem, placement: object) -> IntArray:
    location = placement.location  # type: ignore[attr-defined]
    router = location[:, 1] * problem.sites.width + location[:, 0]
    key = problem.sites.router * problem.sites.slots + problem.sites.slot
    return np.searchsorted(key, router * problem.sites.slots + location[:, 2])


def random_traffic(cores: int, seed: int, fan: int = 1) -> Traffic:
    rng = np.random.default_rng(seed)
    nets = []
    for _ in range(2 * cores):
        dest = np.sort(rng.choice(cores, min(fan, cores), replace=False)).tolist()
        nets.append((int(rng.integers(-1, cores)), dest, float(rng.integers(1, 20))))
    return multicast(cores, nets)


def true_cost(problem: Problem, site: IntArray) -> float:
    """Edges of the union of XY paths, walked one by one."""
    width = problem.sites.width
    total = 0.0
    for net, sender in enumerate(problem.net_core):
        root = problem.host if sender < 0 else int(problem.sites.router[site[sender]])
        edges = set()
        for dest in problem.dest[problem.dest_ptr[net] : problem.dest_ptr[net + 1]]:
            here, goal = root, int(problem.sites.router[site[dest]])
            while here != goal:
                dx, dy = goal % width - here % width, goal // width - here // width
                step = here + (int(np.sign(dx)) if dx else int(np.sign(dy)) * width)
                edges.add((here, step))
                here = step
        total += problem.weight[net] * len(edges)
    return total


def brute_force(problem: Problem) -> float:
    sites = range(problem.sites.count)
    return min(
        cost_of(problem, np.array(choice))
        for choice in itertools.permutations(sites, problem.cores)
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_one_core_alone_is_placed(engine: str) -> None:
    problem = problem_of(toy(), unicast(1, [(-1, 0, 1.0)]))
    assert is_legal(problem, ENGINES[engine](problem))


@pytest.mark.parametrize("engine", ENGINES)
def test_silent_cores_are_placed(engine: str) -> None:
    problem = problem_of(toy(), unicast(4, [(0, 1, 0.0)]))
    assert is_legal(problem, ENGINES[engine](problem))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fan", [1, 3])
def test_a_full_chip_is_placed(engine: str, fan: int) -> None:
    target = toy(grid=(3, 3), usable_cores=9)
    problem = problem_of(target, random_traffic(9, 0, fan))
    assert is_legal(problem, ENGINES[engine](problem))


@pytest.mark.parametrize("engine", ENGINES)
def test_dead_cores_stay_empty(engine: str) -> None:
    target = toy(grid=(2, 2), usable_cores=4, defects=((0, 0, 0), (1, 1, 0)))
    problem = problem_of(target, random_traffic(2, 0))
    routers = problem.sites.router[ENGINES[engine](problem)]
    assert sorted(routers) == [1, 2]


@pytest.mark.parametrize("engine", ENGINES)
def test_no_more_than_the_usable_cores_of_every_chip_are_used(engine: str) -> None:
    target = toy(grid=(2, 2), usable_cores=3)
    problem = problem_of(target, random_traffic(6, 0), chips=2)
    mesh = mesh_of(target, 2)
    chips = [mesh.chip(int(r)) for r in problem.sites.router[ENGINES[engine](problem)]]
    assert sorted(chips) == [0, 0, 0, 1, 1, 1]


def test_too_many_cores_are_refused() -> None:
    with pytest.raises(CapacityError, match="5 cores") as caught:
        problem_of(toy(grid=(2, 2), usable_cores=4), random_traffic(5, 0))
    assert "4 usable sites" in str(caught.value)


@pytest.mark.parametrize("engine", ["annealing", "cp-sat", "all"])
def test_a_core_that_only_hears_the_host_sits_at_the_host(engine: str) -> None:
    target = toy(host_router=(2, 1))
    problem = problem_of(target, unicast(2, [(-1, 0, 9.0), (0, 1, 1.0)]))
    site = ENGINES[engine](problem)
    assert problem.sites.xy[site[0]].tolist() == [2, 1]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fan", [1, 2])
def test_cp_sat_equals_brute_force_on_tiny_meshes(seed: int, fan: int) -> None:
    target = toy(grid=(3, 2), usable_cores=6, cores_per_router=1)
    problem = problem_of(target, random_traffic(4, seed, fan))
    solved = solve(problem, row_major(problem), 0.0, 20.0, 0, Watch(20.0))
    assert solved.cost == brute_force(problem)
    assert solved.bound == pytest.approx(solved.cost)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("fan", [1, 3])
def test_the_lower_bound_is_never_above_the_optimum(seed: int, fan: int) -> None:
    target = toy(grid=(2, 2), usable_cores=8, cores_per_router=2)
    problem = problem_of(target, random_traffic(5, seed, fan))
    assert lower_bound(problem) <= brute_force(problem) + 1e-9


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fan", [1, 4])
def test_annealing_is_never_worse_than_any_of_its_starts(seed: int, fan: int) -> None:
    problem = problem_of(toy(), random_traffic(14, seed, fan))
    found = anneal(problem, seed, 10_000, Watch(60.0))
    starts = (row_major(problem), hilbert(problem), random_sites(problem, seed))
    assert found.cost <= min(cost_of(problem, s) for s in starts)
    assert found.cost == pytest.approx(true_cost(problem, found.site))


def test_annealing_depends_only_on_its_seed() -> None:
    problem = problem_of(toy(), random_traffic(14, 0, 2))
    first, second = (anneal(problem, 3, 100_000, Watch(60.0)).site for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("looks", [0, 3])
def test_an_exhausted_time_limit_is_reported(looks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = problem_of(toy(), random_traffic(14, 0))
    strike_after(looks, monkeypatch)
    placement = place(problem, 0, "high", 1.0)
    assert not placement.complete
    assert is_legal(problem, _sites_from(problem, placement))


def test_compiling_kernels_takes_nothing_off_the_time_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = {"now": 100.0, "compiled": 7.0}
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: seconds["now"]))
    monkeypatch.setattr(watch, "compile_seconds", lambda: seconds["compiled"])
    limit = Watch(5.0)
    whole = limit.left_s
    seconds |= {"now": 120.0, "compiled": 25.0}
    assert limit.left_s == pytest.approx(whole - 2.0)


def test_the_hilbert_curve_visits_neighbours() -> None:
    sites = np.arange(64)
    problem = Problem(
        Sites(sites, np.zeros(64, np.int64), 8, 64, 1), 0, 64, *([np.zeros(0, np.int64)] * 3),
        np.zeros(0),
    )  # fmt: skip
    xy = problem.sites.xy[hilbert(problem)]
    assert (np.abs(np.diff(xy, axis=0)).sum(axis=1) == 1).all()
