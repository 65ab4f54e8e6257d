"""The huge engine: flows, coarsening, levels, former placements, and what cuts a search."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.paths import ROOT, require_data
from support.placing import is_legal, multicast, problem_of, strike_after, toy, unicast

from snnc.compiler.place import cost_of, huge, place, start_of
from snnc.compiler.place.baselines import curve, random_sites
from snnc.compiler.place.bound import bound_of_flows, lower_bound
from snnc.compiler.place.coarsen import coarsened, matching
from snnc.compiler.place.flows import Flows, grouped
from snnc.compiler.place.huge import Walk, Work, bottom_blocks, spread
from snnc.compiler.place.problem import Problem
from snnc.compiler.place.watch import Watch
from snnc.ir.arrays import IntArray
from snnc.ir.errors import OptionError

WORK = Work(200, 10, 20)


def lattice(side: int, numbers: IntArray | None = None, host: bool = False) -> Problem:
    """Layers of ``side`` cores, each sends to three of the next; on a mesh that they fill."""
    count = side * side
    name = np.arange(count) if numbers is None else numbers
    rng = np.random.default_rng(1)
    edges = [
        (int(name[a]), int(name[a + side + k]), float(rng.integers(1, 9)))
        for a in range(count - side)
        for k in (-1, 0, 1)
        if 0 <= a % side + k < side
    ]
    if host:
        edges += [(-1, int(name[k]), 3.0) for k in range(side)]
    target = toy(grid=(side, side), usable_cores=count, cores_per_router=1)
    return problem_of(target, unicast(count, edges))


def cost_by_flows(flows: Flows, site: IntArray) -> float:
    level = huge.Level(flows, bottom_blocks(flows.sites), np.zeros(0, np.int64))
    return Walk(level, site, 0).cost


@pytest.mark.parametrize("host", [False, True])
def test_flows_cost_what_the_nets_cost(host: bool) -> None:
    problem = lattice(7, host=host)
    site = random_sites(problem, 3)
    assert cost_by_flows(Flows.of(problem), site) == cost_of(problem, site)


def test_rates_that_are_not_whole_are_kept_to_six_digits() -> None:
    rng = np.random.default_rng(0)
    edges = [(a, b, float(rng.random())) for a in range(9) for b in range(a)]
    problem = problem_of(toy(grid=(3, 3), usable_cores=9), unicast(9, edges))
    site = random_sites(problem, 3)
    found = cost_by_flows(Flows.of(problem), site)
    assert found == pytest.approx(cost_of(problem, site), rel=1e-6)


def test_dense_blocks_are_the_same_flows_as_pairs() -> None:
    rng = np.random.default_rng(2)
    sites = lattice(6).sites
    layers = [(0, 12, rng.random((12, 12))), (12, 24, rng.random((12, 12)))]
    blocks = Flows.of_blocks(sites, 36, iter(layers), 1.0)
    ends = [
        (f + np.repeat(np.arange(12), 12), s + np.tile(np.arange(12), 12)) for f, s, _ in layers
    ]
    a, b = (np.concatenate([pair[k] for pair in ends]) for k in range(2))
    rate = np.concatenate([w.ravel() for _, _, w in layers])
    pairs = Flows.of_pairs(sites, 36, np.zeros((0, 2), np.int64), a, b, rate)
    assert blocks.weight.size == pairs.weight.size
    assert (blocks.run_ptr == pairs.run_ptr).all()
    site = np.random.default_rng(0).permutation(36)
    assert cost_by_flows(blocks, site) == pytest.approx(cost_by_flows(pairs, site), rel=1e-6)


def test_grouping_keeps_all_flow_between_groups() -> None:
    problem = lattice(6, host=True)
    flows = Flows.of(problem)
    group = np.random.default_rng(0).integers(0, 5, 36)
    joined = grouped(flows, group, 5, flows.sites)
    sender, dest, weight = problem.flow
    side = np.where(sender < 0, 5, group[sender])
    between = side != group[dest]
    assert joined.weight.sum() == 2 * weight[between].sum()


@pytest.mark.parametrize("shuffled", [False, True])
def test_every_core_finds_a_mate_among_its_like(shuffled: bool) -> None:
    name = np.random.default_rng(0).permutation(256) if shuffled else np.arange(256)
    pair = matching(Flows.of(lattice(16, name)))
    assert (np.bincount(pair) == 2).all()
    where = np.empty(256, np.int64)
    where[name] = np.arange(256)
    mates = where[np.argsort(pair, kind="stable").reshape(-1, 2)]
    apart = np.abs(np.diff(mates // 16)) + np.abs(np.diff(mates % 16))
    assert np.median(apart) <= 2
    assert apart.mean() < 2.5  # two of any are 10.6 apart on average


def test_blocks_of_a_level_hold_the_blocks_below() -> None:
    levels = coarsened(Flows.of(lattice(16)), 8)
    assert [level.flows.cores for level in levels] == [256, 64, 16, 4]
    for level, below in zip(levels[1:], levels, strict=False):
        assert (np.sort(level.blocks.part) == np.arange(below.blocks.x.size)).all()
        assert (np.bincount(level.group) == 4).all()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_machine_is_filled_legally(data: st.DataObject) -> None:
    width, height = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7))
    slots = data.draw(st.integers(1, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    places = [(x, y, s) for x in range(width) for y in range(height) for s in range(slots)]
    dead = tuple(p for p in places if rng.random() < 0.2)
    target = toy(
        grid=(width, height), usable_cores=len(places), cores_per_router=slots, defects=dead
    )
    room = len(places) - len(dead)
    if room == 0:
        return
    cores = data.draw(st.integers(1, room))
    edges = [
        (int(rng.integers(-1, cores)), int(rng.integers(cores)), float(rng.integers(0, 4)))
        for _ in range(3 * cores)
    ]
    problem = problem_of(target, unicast(cores, edges))
    levels = coarsened(Flows.of(problem), 2)
    site = np.arange(levels[-1].flows.cores)
    for k in range(len(levels) - 1, 0, -1):
        site = huge.split(levels[k], site)
    assert is_legal(problem, site)
    found = spread(Flows.of(problem), 0, Work(20, 5, 5), Watch(60.0))
    assert is_legal(problem, found.site)
    assert found.cost == pytest.approx(cost_of(problem, found.site))
    assert bound_of_flows(Flows.of(problem)) <= found.cost + 1e-9


def test_levels_undo_a_shuffled_numbering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huge, "TOP", 64)
    shuffled = lattice(32, np.random.default_rng(0).permutation(1024))
    found = spread(Flows.of(shuffled), 0, Work(2000, 200, 50), Watch(120.0))
    in_order = lattice(32)
    rows = cost_of(in_order, np.arange(1024))
    assert found.cost == cost_of(shuffled, found.site)
    assert found.cost < 2.5 * rows
    assert found.cost < 0.15 * cost_of(shuffled, random_sites(shuffled, 0))


def test_the_levels_depend_only_on_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huge, "TOP", 64)
    flows = Flows.of(lattice(16))
    one, two, other = (spread(flows, seed, WORK, Watch(60.0)).site for seed in (5, 5, 6))
    assert (one == two).all()
    assert (one != other).any()


def test_place_takes_flows_and_problems_alike() -> None:
    problem = lattice(10)
    by_nets, by_flows = place(problem, 0, "low", 60.0), place(Flows.of(problem), 0, "low", 60.0)
    assert by_nets.objective == by_flows.objective
    assert by_nets.bound >= by_flows.bound > 0
    assert by_nets.complete
    assert by_nets.objective < cost_of(problem, np.arange(100))


def test_trees_are_polished_at_their_own_cost() -> None:
    rng = np.random.default_rng(0)
    nets = [(k, np.sort(rng.choice(100, 4, replace=False)).tolist(), 1.0) for k in range(100)]
    target = toy(grid=(10, 10), usable_cores=100, cores_per_router=1)
    problem = problem_of(target, multicast(100, nets))
    flows_only = spread(Flows.of(problem), 0, WORK, Watch(60.0))
    found = place(problem, 0, "low", 60.0)
    assert found.objective < cost_of(problem, flows_only.site)
    assert lower_bound(problem) <= found.objective


@pytest.mark.parametrize("looks", [0, 3, 30])
def test_a_cut_search_returns_a_legal_placement(
    looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = lattice(12)
    strike_after(looks, monkeypatch)
    found = place(problem, 0, "high", 1.0)
    assert not found.complete
    assert is_legal(problem, start_of(problem, found.location))


@pytest.mark.parametrize("side", [3, 10])
def test_a_former_placement_is_improved_and_never_lost(side: int) -> None:
    problem = lattice(side)
    first = place(problem, 0, "low", 60.0)
    again = place(problem, 1, "low", 60.0, start_of(problem, first.location))
    assert again.objective <= first.objective


def test_a_former_placement_of_trees_is_never_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flows between pairs may think another placement better than the one whose trees are best."""
    monkeypatch.setattr("snnc.compiler.place.FEW_CORES", 4)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        nets = [(int(rng.integers(30)), np.sort(rng.choice(30, 6, replace=False)).tolist(),
                 float(rng.integers(1, 9))) for _ in range(40)]  # fmt: skip
        problem = problem_of(toy(grid=(6, 5), usable_cores=30), multicast(30, nets))
        first = place(problem, seed, "low", 60.0)
        again = place(problem, seed + 1, "low", 60.0, start_of(problem, first.location))
        assert again.objective <= first.objective


def test_former_placements_of_something_else_are_refused() -> None:
    problem = lattice(3)
    location = place(problem, 0, "low", 60.0).location
    with pytest.raises(OptionError, match="another network or partition"):
        start_of(problem, location[:-1])
    location[0] = 5, 0, 0
    with pytest.raises(OptionError, match=r"no working core[\s\S]*core 0 at \(5, 0, 0\)"):
        start_of(problem, location)
    with pytest.raises(OptionError, match="no placement of these cores"):
        place(problem, 0, "low", 60.0, np.zeros(9, np.int64))


FAMILIES = {"DNN": "DNN_LxM_all_to_all", "CNN": "CNN_LxM_kernel4"}


@pytest.mark.parametrize("kind", FAMILIES)
def test_published_networks_are_regenerated_exactly(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = json.loads(require_data("mapping", "asplos23_logged_results.json").read_text())
    facts = logged[FAMILIES[kind]]["32x32"]
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    module = importlib.import_module("asplos23_networks")
    number = module.KINDS.index(kind)
    assert f"{module.stream_cost(number, 32, *module.zigzag(32)):.6g}" == f"{facts['zigzag']:.6g}"
    order = curve(module.mesh(32))
    cost = module.stream_cost(number, 32, order % 32, order // 32)
    assert f"{cost:.6g}" == f"{facts['hilbert']:.6g}"
    flows = module.network(kind, 32)
    assert cost_by_flows(flows, order) == pytest.approx(cost, rel=1e-6)
