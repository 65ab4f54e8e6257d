"""Cores to chips first: the division, its place in ``place``, and what it is worth."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.placing import is_legal, multicast, toy

from snnc.compiler.objective import parse_objective
from snnc.compiler.place import Goal, Placement, Problem, Zones, place, sites_of, start_of
from snnc.compiler.place.chips import divided, held_to_chips
from snnc.compiler.place.watch import Watch
from snnc.compiler.place.weigh import terms_of
from snnc.compiler.route.links import link_cycles
from snnc.compiler.traffic import Traffic
from snnc.ir.topology import mesh_of


def groups(cores: int, count: int, fan: int, seed: int) -> tuple[Traffic, np.ndarray]:
    """Groups of cores in random order that talk only among themselves, and the group of each."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(cores) * count // cores
    nets = []
    for core in range(cores):
        mine = np.flatnonzero(group == group[core])
        dest = rng.choice(mine, min(fan, mine.size), replace=False)
        nets.append((core, np.sort(dest).tolist(), float(rng.integers(1, 20))))
    nets.append((-1, [0], 1.0))
    return multicast(cores, nets), group


def goal_of(flow: Traffic, chips: int, objective: str | None = None, **topology: object) -> Goal:
    target = toy(grid=(3, 2), usable_cores=6, **topology)
    mesh = mesh_of(target, chips)
    chip = np.array([mesh.chip(r) for r in range(mesh.routers)])
    problem = Problem.directed(flow, sites_of(target, mesh), 0)
    return Goal(problem, parse_objective(objective), link_cycles(target, mesh), chip)


def placed(flow: Traffic, goal: Goal | None, problem: Problem, seed: int = 0) -> Placement:
    return place(problem, seed, "low", 600.0, goal=goal)


@pytest.mark.parametrize("chips", [2, 3, 4, 6])
def test_groups_that_fit_chips_are_found(chips: int) -> None:
    flow, group = groups(6 * chips, chips, 3, chips)
    goal = goal_of(flow, chips)
    division = divided(goal.nets, goal.chip, 0, Watch(math.inf))
    assert division is not None
    assert division.crossing == 0.0
    assert all(np.unique(division.chip[group == k]).size == 1 for k in range(chips))
    assert np.bincount(division.chip).max() == 6


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cores=st.integers(2, 30), chips=st.integers(1, 6), seed=st.integers(0, 10**6))
def test_a_division_obeys_the_chips_and_counts_what_crosses(
    cores: int, chips: int, seed: int
) -> None:
    if cores > 6 * chips:
        cores = 6 * chips
    flow, _ = groups(cores, 3, 2, seed)
    goal = goal_of(flow, chips)
    division = divided(goal.nets, goal.chip, seed, Watch(math.inf))
    if division is None:
        return
    assert np.bincount(division.chip).max() <= 6
    leaving = sum(
        float(rate) * len({int(division.chip[d]) for d in
                           flow.dest[flow.dest_ptr[n]:flow.dest_ptr[n + 1]]}
                          - {int(division.chip[sender])})
        for n, (sender, rate) in enumerate(zip(flow.net_core, flow.rate, strict=True))
        if sender >= 0
    )  # fmt: skip
    assert division.crossing == pytest.approx(leaving)
    bound = held_to_chips(goal.nets, division, goal.chip)
    site = start_of(goal.nets, placed(flow, None, bound).location)
    assert is_legal(goal.nets, site)
    assert np.array_equal(goal.chip[goal.nets.sites.router[site]], division.chip)


def test_nothing_is_divided_where_one_chip_suffices_or_time_is_up() -> None:
    flow, _ = groups(6, 2, 2, 0)
    goal = goal_of(flow, 3)
    assert divided(goal.nets, goal.chip, 0, Watch(math.inf)) is None
    flow, _ = groups(12, 2, 2, 0)
    goal = goal_of(flow, 2)
    assert divided(goal.nets, goal.chip, 0, Watch(0.0)) is None


@pytest.mark.parametrize("seed", range(3))
def test_place_is_never_worse_than_all_cores_at_once(seed: int) -> None:
    flow, _ = groups(24, 4, 3, seed)
    goal = goal_of(flow, 4)
    problem = Problem.of(flow, goal.nets.sites, 0)
    flat, both = placed(flow, None, problem, seed), placed(flow, goal, problem, seed)
    again = placed(flow, goal, problem, seed)
    assert both.objective <= flat.objective
    assert np.array_equal(both.location, again.location)


@pytest.mark.parametrize("weight", [0.1, 3, 30])
def test_the_weighted_total_is_no_worse_than_that_of_either_way(weight: float) -> None:
    flow, _ = groups(30, 7, 2, 3)
    goal = goal_of(flow, 6, f"energy=1,chip_crossings={weight}")
    problem = Problem.of(flow, goal.nets.sites, 0)
    division = divided(goal.nets, goal.chip, 0, Watch(math.inf))
    assert division is not None
    ways = [placed(flow, None, problem), placed(flow, goal, problem),
            placed(flow, None, held_to_chips(problem, division, goal.chip))]  # fmt: skip
    totals = [goal.objective.total(terms_of(goal, start_of(problem, w.location))) for w in ways]
    assert totals[1] == min(totals)


def test_a_weight_of_crossings_gets_the_cut_of_the_chips() -> None:
    """Groups of six among random numbers: the cut has no crossing at all, hops alone have some."""
    flow, _ = groups(36, 6, 2, 5)
    goal = goal_of(flow, 6, "energy=1,chip_crossings=1000")
    problem = Problem.of(flow, goal.nets.sites, 0)
    found = placed(flow, goal, problem)
    inputs = terms_of(goal, start_of(problem, found.location))["chip_crossings"]
    assert inputs <= 3.0  # the one packet of the host, over at most three borders
    assert found.terms["chip_crossings"][1] <= found.terms["chip_crossings"][0]


def test_pinned_cores_stay_while_chips_come_first() -> None:
    flow, _ = groups(20, 4, 3, 1)
    goal = goal_of(flow, 4, "energy=1,chip_crossings=5")
    zones = Zones(np.full(20, -1), np.zeros((1, goal.nets.sites.count), bool))
    zones.zone[3], zones.allowed[0, 17] = 0, True
    goal = replace(goal, nets=replace(goal.nets, zones=zones))
    problem = Problem.of(flow, goal.nets.sites, 0, zones)
    site = start_of(problem, placed(flow, goal, problem).location)
    assert site[3] == 17
