"""The user's objective: its words, its terms against plain Python, and that every weight acts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import nets
from support.chains import chain, speck
from support.mapping_check import deployment
from support.placing import multicast, toy

from snnc.backends.targets import load
from snnc.compiler.map import MapOptions, Mapping, map_network
from snnc.compiler.objective import TERMS, Objective, parse_objective
from snnc.compiler.options import CompileOptions
from snnc.compiler.place import Goal, Placement, Problem, Zones, place, sites_of
from snnc.compiler.place.goal import weigh
from snnc.compiler.place.watch import Watch
from snnc.compiler.place.weigh import Walk, terms_of
from snnc.compiler.place.zones import settled
from snnc.compiler.retime import retime
from snnc.compiler.rounds import place_for_routes
from snnc.compiler.route import route
from snnc.compiler.route.links import link_cycles
from snnc.compiler.route.trees import grow
from snnc.compiler.traffic import Traffic
from snnc.compiler.verify import verify
from snnc.ir.errors import OptionError
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.target import Target
from snnc.ir.topology import Mesh, mesh_of
from snnc.ir.types import BIN
from snnc.ir.weights import Conv


def random_flow(cores: int, fan: int, seed: int) -> Traffic:
    rng = np.random.default_rng(seed)
    nets = [
        (int(rng.integers(-1, cores)), np.sort(rng.choice(cores, fan, replace=False)).tolist(),
         float(rng.integers(0, 20)))
        for _ in range(3 * cores)
    ]  # fmt: skip
    return multicast(cores, nets)


def goal_of(
    target: Target, chips: int, flow: Traffic, objective: str, rule: str = "xy",
    zones: Zones | None = None,
) -> Goal:  # fmt: skip
    mesh = mesh_of(target, chips)
    chip = np.array([mesh.chip(r) for r in range(mesh.routers)])
    problem = Problem.directed(flow, sites_of(target, mesh), 0, zones)
    cycles = link_cycles(target, mesh)
    return Goal(problem, parse_objective(objective), cycles, chip, rule == "yx")


@pytest.mark.parametrize("rule", ["xy", "yx"])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    cores=st.integers(1, 10), fan=st.integers(1, 4), chips=st.integers(1, 4),
    seed=st.integers(0, 10**6),
)  # fmt: skip
def test_terms_are_those_of_the_routes(
    rule: str, cores: int, fan: int, chips: int, seed: int
) -> None:
    target = toy(grid=(3, 2), cores_per_router=2, usable_cores=12)
    mesh = mesh_of(target, chips)
    flow = random_flow(cores, min(fan, cores), seed)
    goal = goal_of(target, chips, flow, "energy=1", rule)
    site = np.random.default_rng(seed).permutation(goal.nets.sites.count)[:cores]
    found = terms_of(goal, site)
    router = goal.nets.sites.router[site]
    routed = route(flow, router, target, mesh, rule)  # type: ignore[arg-type]
    deliveries = flow.rate @ np.diff(flow.dest_ptr)
    rate = flow.pairs()[2]
    across = goal.chip[routed.channels[:, 0]] != goal.chip[routed.channels[:, 1]]
    assert found["energy"] == pytest.approx(flow.rate @ routed.hops)
    assert found["mean_latency"] == pytest.approx(rate @ routed.reach / (deliveries or 1.0))
    assert found["worst_latency"] == routed.reach.max()
    assert found["max_link"] == pytest.approx(routed.report["max_link_cycles"])
    assert found["chip_crossings"] == pytest.approx(routed.load[across].sum())
    assert (found["cores"], found["chips"]) == (cores, np.unique(goal.chip[router]).size)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    width=st.integers(1, 6), height=st.integers(1, 6), fan=st.integers(1, 4),
    seed=st.integers(0, 10**6),
)  # fmt: skip
def test_terms_on_a_hexagonal_torus(width: int, height: int, fan: int, seed: int) -> None:
    target = toy(grid=(1, 1), usable_cores=1, links="hex_torus")
    mesh = Mesh(width, height, 1, 1, 1, "hex_torus")
    cores = int(np.random.default_rng(seed).integers(1, width * height + 1))
    flow = random_flow(cores, min(fan, cores), seed)
    problem = Problem.directed(flow, sites_of(target, mesh), 0)
    goal = Goal(problem, Objective(), link_cycles(target, mesh), np.arange(mesh.routers))
    site = np.random.default_rng(seed).permutation(mesh.routers)[:cores]
    found = terms_of(goal, site)
    root = np.where(flow.net_core < 0, 0, site[flow.net_core])
    ptr, branch, parent, _, reach = grow(root, flow.dest_ptr, site[flow.dest], mesh)
    net = np.repeat(np.arange(flow.nets), np.diff(ptr))
    inner = np.flatnonzero(parent >= 0)
    begin = branch[ptr[net[inner]] + parent[inner]]
    load = np.zeros((mesh.routers, mesh.routers))
    np.add.at(load, (begin, branch[inner]), flow.rate[net[inner]])
    cycles = link_cycles(target, mesh)[np.isfinite(link_cycles(target, mesh))]
    assert found["energy"] == pytest.approx(flow.rate[net[inner]].sum())
    assert found["chip_crossings"] == pytest.approx(load.sum())
    assert found["worst_latency"] == reach.max()
    assert found["max_link"] == pytest.approx(load.max() * cycles.max(initial=0.0))
    better = weigh(
        replace(goal, objective=Objective({"max_link": 1.0})), [site], seed, 50_000, Watch(math.inf)
    )
    assert better.total <= found["max_link"]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(cores=st.integers(2, 12), fan=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_sums_kept_up_during_a_walk_are_those_of_its_end(cores: int, fan: int, seed: int) -> None:
    """All moves that lower the weighted sum, and no other, are taken at temperature 0."""
    target = toy(grid=(3, 2), usable_cores=6)
    flow = random_flow(cores, min(fan, cores), seed)
    goal = goal_of(target, 2, flow, "energy=1,chip_crossings=3,mean_latency=5")
    walk = Walk(goal, goal.nets, np.arange(cores), seed)
    before = goal.objective.total(walk.terms)
    for _ in range(5):
        walk.sweep(50, 0.0, 6)
        after = goal.objective.total(walk.terms)
        assert after <= before * (1 + 1e-9) + 1e-9
        before = after
    assert np.unique(walk.site).size == cores


def placed(flow: Traffic, target: Target, chips: int, objective: str, seed: int = 0) -> Placement:
    goal = goal_of(target, chips, flow, objective)
    problem = Problem.of(flow, goal.nets.sites, 0)
    return place(problem, seed, "low", 600.0, goal=goal)


SHAPES = [(14, 3, (4, 4), 1, 1), (20, 2, (3, 3), 4, 1), (100, 2, (8, 4), 1, 4)]


@pytest.mark.parametrize(("cores", "fan", "grid", "chips", "slots"), SHAPES)
@pytest.mark.parametrize("term", ["max_link", "worst_latency", "mean_latency"])
def test_a_weight_lowers_its_term(
    term: str, cores: int, fan: int, grid: tuple[int, int], chips: int, slots: int
) -> None:
    target = toy(grid=grid, cores_per_router=slots, usable_cores=grid[0] * grid[1] * slots)
    flow = random_flow(cores, fan, 7)
    terms = placed(flow, target, chips, f"{term}=1").terms
    assert terms[term][1] < terms[term][0]


@pytest.mark.parametrize("term", ["chips", "chip_crossings"])
def test_weights_of_chips_use_fewer_and_cross_less(term: str) -> None:
    target = toy(grid=(3, 3), usable_cores=9)
    flow = random_flow(16, 2, 7)
    terms = placed(flow, target, 4, f"energy=1,{term}=1000").terms
    assert terms[term][1] < terms[term][0]
    if term == "chips":
        assert terms[term][1] == 2


def test_the_default_places_as_without_an_objective() -> None:
    target = toy(grid=(3, 3), usable_cores=9)
    for seed, cores in ((0, 16), (1, 9)):
        flow = random_flow(cores, 2, seed)
        plain = place(Problem.of(flow, sites_of(target, mesh_of(target, 2)), 0), seed, "low", 600.0)
        told = placed(flow, target, 2, "energy=1", seed)
        assert np.array_equal(plain.location, told.location)
        assert {before == after for before, after in told.terms.values()} == {True}
        assert told.terms["energy"][0] == pytest.approx(told.objective)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_the_total_never_rises_zones_hold_and_seeds_repeat(seed: int, data: st.DataObject) -> None:
    target = toy(grid=(3, 2), usable_cores=6)
    cores = data.draw(st.integers(2, 14))
    weights = data.draw(st.dictionaries(st.sampled_from(list(TERMS)), st.floats(0.01, 100),
                                        min_size=1))  # fmt: skip
    flow = random_flow(cores, 2, seed)
    zones = Zones(np.full(cores, -1), np.zeros((1, 18), bool))
    zones.zone[0] = 0
    zones.allowed[0, data.draw(st.sets(st.integers(0, 17), min_size=1)).pop()] = True
    goal = goal_of(target, 3, flow, "energy=1", "xy", zones if data.draw(st.booleans()) else None)
    goal = replace(goal, objective=Objective(weights))
    start = np.random.default_rng(seed).permutation(18)[:cores]
    if goal.nets.zones is not None:
        start = settled(zones, goal.nets.sites.xy, start)
    first, again = (weigh(goal, [start], seed, 100_000, Watch(math.inf)) for _ in range(2))
    assert np.array_equal(first.site, again.site)
    assert np.unique(first.site).size == cores
    assert first.total == pytest.approx(goal.objective.total(terms_of(goal, first.site)))
    assert first.total <= goal.objective.total(terms_of(goal, start)) * (1 + 1e-12)
    assert goal.nets.zones is None or zones.permits(first.site)


def mapped(objective: str | None, network: IntegerNetwork, target: Target, chips: int) -> Mapping:
    retiming = nets.longest_path_retiming(expand(network))
    options = MapOptions(effort="low", objective=parse_objective(objective), time_limit_s=600.0)
    mapping = map_network(network, retiming, target, chips, None, options)
    verify(deployment(network, retiming, target, chips, mapping))
    return mapping


def test_a_mapping_reports_every_term_before_and_after() -> None:
    network = nets.mlp((40, 300, 200, 30))
    report = mapped("max_link=1,worst_latency=2", network, load("toy-mesh"), 2).report
    found = report["objective"]
    assert set(found["terms"]) == set(TERMS)
    assert {t: row["weight"] for t, row in found["terms"].items() if row["weight"]} == {
        "max_link": 1.0, "worst_latency": 2.0,
    }  # fmt: skip
    for when in ("before", "after"):
        values = {t: row[when] for t, row in found["terms"].items()}
        assert found["total"][when] == values["max_link"] + 2 * values["worst_latency"]
    assert found["total"]["after"] < found["total"]["before"]
    after = {t: row["after"] for t, row in found["terms"].items()}
    assert after["max_link"] == report["routing"]["max_link_cycles"]
    assert after["energy"] == report["traffic"]["weighted_hops"] == report["placement"]["objective"]
    assert after["worst_latency"] == report["traffic"]["max_hops"]
    assert after["mean_latency"] == pytest.approx(report["traffic"]["mean_hops"])
    assert after["chip_crossings"] == report["traffic"]["chip_crossings"]
    assert after["chips"] == report["chips_used"]


def conv(channels: int, side: int) -> IntegerNetwork:
    rng = np.random.default_rng(0)
    nodes: list[object] = [Input("in", (channels, side, side), BIN)]
    for k, source in enumerate(("in", "n0")):
        weights = Conv(rng.integers(-60, 60, (channels, channels, 3, 3)), (1, 1), ((1, 1), (1, 1)),
                       (1, 1))  # fmt: skip
        nodes += [Linear(f"c{k}", (source,), weights),
                  nets.fire(f"n{k}", f"c{k}", (channels, side, side))]  # fmt: skip
    return IntegerNetwork("conv", (*nodes, Output("out", ("n1",))))  # type: ignore[arg-type]


def test_a_weight_of_cores_trades_them_for_packets() -> None:
    network, target = conv(3, 10), load("toy-mesh")
    rows = {
        weight: mapped(objective, network, target, 2).report
        for weight, objective in ((None, None), (0, "energy=1,cores=0"), (9, "energy=1,cores=900"))
    }
    cores = {weight: row["cores_used"] for weight, row in rows.items()}
    packets = {weight: row["traffic"]["deliveries"] for weight, row in rows.items()}
    assert cores[None] == cores[9] < cores[0]
    assert packets[None] == packets[9] > packets[0]
    # As many cores as the machine has must do in any case.
    narrow = toy(grid=(5, 2), usable_cores=10)
    assert mapped("energy=1,cores=0", network, narrow, 1).report["cores_used"] == 10


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("speed=1", "no such term"),
        ("", "no such term"),
        ("energy=1,energy=2", "two weights"),
        ("energy", "is a number"),
        ("energy=fast", "is a number"),
        ("energy=-1", "not negative"),
        ("energy=nan", "not negative"),
        ("energy=inf", "not negative"),
        ("energy=0", "above 0"),
    ],
)
def test_wrong_objectives_are_refused(text: str, problem: str) -> None:
    with pytest.raises(OptionError, match=problem) as found:
        CompileOptions(objective=text)
    assert found.value.where == "--objective"
    assert "chip_crossings" in found.value.allowed


def test_whole_layers_know_no_objective() -> None:
    network, target = chain(np.random.default_rng(0)), speck()
    options = MapOptions(objective=parse_objective("max_link=1"))
    with pytest.raises(OptionError, match="busiest core is least busy"):
        map_network(network, retime(network, target, 4), target, 1, None, options)


def test_rounds_with_balanced_routes_keep_only_what_lowers_the_busiest_link() -> None:
    target, cores = toy(grid=(4, 4), usable_cores=16), 15
    mesh = mesh_of(target, 1)
    kept = 0
    for seed in range(1, 5):
        goal = goal_of(target, 1, random_flow(cores, 1, seed), "max_link=1,energy=0.001")
        flow = random_flow(cores, 1, seed)
        first = place(Problem.of(flow, goal.nets.sites, 0), 0, "low", 600.0, goal=goal)
        done = place_for_routes(goal, first, flow, target, mesh, "balanced", 0, "low", 600.0)
        totals = [row["total"] for row in done.rounds]
        best = min(range(len(totals)), key=lambda k: totals[k])
        assert [row["kept"] for row in done.rounds] == [
            row == min(totals[: k + 1]) and row not in totals[:k] for k, row in enumerate(totals)
        ]
        assert done.rounds[best]["max_link_cycles"] == done.routing.report["max_link_cycles"]
        again = route(flow, done.placement.router, target, mesh, "balanced")
        assert again.report["max_link_cycles"] == done.routing.report["max_link_cycles"]
        kept += totals[best] < totals[0]
        terms = {term: after for term, (_, after) in done.placement.terms.items()}
        assert terms["max_link"] == done.routing.report["max_link_cycles"]
        assert goal.objective.total(terms) == pytest.approx(min(totals))
        plain = place_for_routes(goal, first, flow, target, mesh, "xy", 0, "low", 600.0)
        assert plain.placement is first
        assert plain.rounds == ()
    assert kept > 0
