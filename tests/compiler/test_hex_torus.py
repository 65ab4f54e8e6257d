"""Six neighbours on a torus: distances, trees, circles of waits, tables, placement, execution."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.mapped import small_network
from support.noc_traffic import machine_with
from support.placing import is_legal, multicast, problem_of, toy, unicast
from support.random_networks import Options as NetworkOptions
from support.random_networks import random_inputs, random_network
from support.routed import machine, moved, random_flow, routed_deployment, saturate

from snnc.backends import targets
from snnc.compiler.geometry import path
from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.objective import parse_objective
from snnc.compiler.options import RoutingRule
from snnc.compiler.place import cost_of, place
from snnc.compiler.place.anneal import tree_hops
from snnc.compiler.place.goal import weigh
from snnc.compiler.place.problem import Problem, sites_of
from snnc.compiler.place.watch import Watch
from snnc.compiler.place.weigh import Goal, terms_of
from snnc.compiler.retime import retime
from snnc.compiler.route import route
from snnc.compiler.route.certificate import certify
from snnc.compiler.route.links import link_cycles
from snnc.compiler.route.torus import settle
from snnc.compiler.route.trees import grow
from snnc.compiler.verify import examine, verify
from snnc.ir.deployment import Deployment
from snnc.ir.errors import VerificationError
from snnc.ir.target import Target
from snnc.ir.topology import Mesh, mesh_of
from snnc.simulators import cycle, functional, reference
from snnc.simulators.cycle.timing import Fidelity

SIZES = [(1, 1), (1, 2), (2, 2), (1, 5), (2, 5), (3, 3), (4, 4), (5, 3), (2, 9), (8, 6)]
RULES = ["xy", "yx", "tree", "balanced"]


def torus(width: int, height: int) -> Mesh:
    return Mesh(width, height, 1, 1, 1, "hex_torus")


def breadth_first(mesh: Mesh, start: int) -> list[int]:
    """Distances over the six links, from their definition."""
    far, todo = {start: 0}, deque([start])
    while todo:
        here = todo.popleft()
        x, y = mesh.xy(here)
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)):
            there = mesh.router((x + dx) % mesh.width, (y + dy) % mesh.height)
            if there not in far:
                far[there] = far[here] + 1
                todo.append(there)
    return [far[router] for router in range(mesh.routers)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_distances_and_trees_are_shortest(width: int, height: int) -> None:
    mesh = torus(width, height)
    everywhere = np.arange(mesh.routers)
    for start in range(0, mesh.routers, 5):
        far = breadth_first(mesh, start)
        assert mesh.distance(np.full(mesh.routers, start), everywhere).tolist() == far
        assert [len(path(mesh, start, end)) - 1 for end in everywhere] == far
        ptr, branch, parent, delivery, reach = grow(
            np.array([start]), np.array([0, mesh.routers]), everywhere, mesh
        )
        assert reach.tolist() == far
        assert sorted(branch.tolist()) == everywhere.tolist(), "a tree over all routers"
        assert (branch[delivery] == everywhere).all()
        assert (mesh.direction(branch[parent[1:]], branch[1:]) >= 0).all()
        assert ptr.tolist() == [0, mesh.routers]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_pair_of_neighbours_has_one_link_each_way(width: int, height: int) -> None:
    mesh = torus(width, height)
    pairs = [(a, int(b)) for a in range(mesh.routers) for b in mesh.neighbours[a] if b >= 0]
    assert len(set(pairs)) == len(pairs)
    assert {(b, a) for a, b in pairs} == set(pairs)
    far = [(a, b) for a in range(mesh.routers) for b in range(mesh.routers)]
    assert set(pairs) == {(a, b) for a, b in far if breadth_first(mesh, a)[b] == 1}


def hexagonal(width: int, height: int, **changes: Any) -> Target:
    return machine(width, height, links="hex_torus", shapes=("any",), **changes)


def within(mesh: Mesh, start: int, end: int) -> list[int]:
    """Along the row without crossing the joined sides."""
    return list(range(start, end + 1)) if start <= end else list(range(start, end - 1, -1))


@pytest.mark.parametrize("fidelity", ["transaction", "flit"])
def test_a_ring_of_the_torus_deadlocks_and_gives_up_one_crossing(fidelity: Fidelity) -> None:
    """Five cores in a row, each sends two hops on: around the ring all wait for the next."""
    target = hexagonal(5, 1, buffer=1, injection=1, receive=1)
    hears = {core: [(core + 2) % 5] for core in range(5)}
    ring = machine_with(target, hears, path=path)
    assert not saturate(ring, fidelity)
    with pytest.raises(VerificationError, match="wait for each other in a circle"):
        certify(ring.routes, ring.mesh)
    straight = machine_with(target, hears, path=within).routes
    tables, kept = settle(ring.routes, straight, np.ones(5), ring.mesh)
    assert kept.sum() == 4, "one net goes the other way round"
    fixed = replace(ring, routes=tables, certificate=certify(tables, ring.mesh))
    assert "deadlock" not in examine(fixed).broken
    assert saturate(fixed, fidelity, 50)


def test_virtual_channels_keep_all_crossings_and_without_them_the_report_says_what_was_lost() -> (
    None
):
    flow = moved([(core, [(core + 2) % 5]) for core in range(5)], 5)
    for lanes, hops in ((1, 11), (2, 10)):
        target = hexagonal(5, 1, lanes=lanes)
        routing = route(flow, np.arange(5), target, mesh_of(target, 1))
        assert routing.tables.lanes == lanes
        assert routing.hops.sum() == hops
        assert len(routing.report["notes"]) == 2 - lanes
    assert routing.report["nets_by_shape"] == {"xy": 5}


def on_torus(seed: int, rule: str, lanes: int = 1, **changes: Any) -> Deployment:
    network = random_network(seed, NetworkOptions(layers=4, width=3))
    return routed_deployment(
        network, seed, rule, 1 + seed % 2, lanes, seed % 3, links="hex_torus", shapes=("any",),
        multicast=True, **changes,
    )  # fmt: skip


random_cases = given(
    seed=st.integers(0, 10**6),
    rule=st.sampled_from(RULES),
    lanes=st.integers(1, 2),
    fidelity=st.sampled_from(["transaction", "flit"]),
)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@random_cases
def test_random_networks_are_checked_and_exact(
    seed: int, rule: str, lanes: int, fidelity: Fidelity
) -> None:
    checked_and_exact(seed, rule, lanes, fidelity)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@random_cases
def test_many_random_networks_are_checked_and_exact(
    seed: int, rule: str, lanes: int, fidelity: Fidelity
) -> None:
    checked_and_exact(seed, rule, lanes, fidelity)


def checked_and_exact(seed: int, rule: str, lanes: int, fidelity: Fidelity) -> None:
    deployment = on_torus(seed, rule, lanes, entries=1023)
    broken = examine(deployment).broken
    assert not {"routes", "keys", "deadlock", "delivery"} & set(broken)
    inputs = random_inputs(deployment.network, seed, 2, 12)
    truth = reference.run(deployment.network, inputs)
    got = cycle.run(deployment, inputs, noc=fidelity).result
    assert not any(got.mismatches(truth).values())


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
def test_tables_with_a_wrong_link_are_noticed(seed: int) -> None:
    deployment = on_torus(seed, RULES[seed % 4], entries=1023)
    keys = deployment.routes.keys
    assert keys is not None
    leaving = np.flatnonzero(keys.entry_links)
    if not leaving.size:
        return
    links = keys.entry_links.copy()
    links[leaving[seed % leaving.size]] ^= 1 << seed % 6
    forged = replace(keys, entry_links=links)
    changed = replace(deployment, routes=replace(deployment.routes, keys=forged))
    entry = leaving[seed % leaving.size]
    at = int(np.searchsorted(keys.entry_ptr, entry, side="right")) - 1
    if deployment.mesh.neighbours[at, seed % 6] >= 0:
        assert "keys" in examine(changed).broken


def test_a_packet_that_goes_straight_on_along_the_diagonal_needs_no_entry() -> None:
    target = hexagonal(7, 7, entries=4)
    mesh = mesh_of(target, 1)
    routing = route(moved([(0, [mesh.router(3, 3)])], 49), np.arange(49), target, mesh)
    keys = routing.tables.keys
    assert keys is not None
    assert routing.hops.tolist() == [3]
    assert keys.entry_links.tolist() == [16, 0]
    assert np.flatnonzero(np.diff(keys.entry_ptr)).tolist() == [0, mesh.router(3, 3)]


def on_sites(width: int, height: int) -> Target:
    return toy(grid=(width, height), usable_cores=width * height, links="hex_torus")


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), many=st.booleans())
def test_small_placements_are_optimal(seed: int, many: bool) -> None:
    """Against all placements of four cores on eight routers."""
    rng = np.random.default_rng(seed)
    target = on_sites(4, 2)
    if many:
        nets = [
            (int(rng.integers(-1, 4)), np.unique(rng.integers(0, 4, 3)).tolist(), float(w))
            for w in rng.integers(1, 9, 4)
        ]
        problem = problem_of(target, multicast(4, nets))
    else:
        edges = [(int(a), int(b), float(w)) for a, b, w in rng.integers(0, 4, (6, 3))]
        problem = problem_of(target, unicast(4, edges))
    best = min(cost_of(problem, np.array(site)) for site in permutations(range(8), 4))
    found = place(problem, effort="high", time_limit_s=20.0)
    assert found.objective == best
    assert found.bound <= best + 1e-9
    assert found.gap == pytest.approx(0.0)


@pytest.mark.parametrize("cores", [40, 144])
def test_larger_placements_use_the_joined_sides(cores: int) -> None:
    """A ring of cores: on a torus every core can sit beside both its neighbours."""
    problem = problem_of(
        on_sites(12, 12), unicast(cores, [(c, (c + 1) % cores, 1.0) for c in range(cores)])
    )
    found = place(problem, seed=1, effort="low", time_limit_s=20.0)
    assert is_legal(problem, np.unique(found.router))
    assert cores <= found.objective <= 1.3 * cores
    assert found.bound <= found.objective


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_cost_of_a_placement_is_the_hops_of_its_trees(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = on_sites(5, 4)
    flow = random_flow(seed, 12, 10, 6)
    problem = problem_of(target, flow)
    site = rng.permutation(20)[:12]
    router = problem.sites.router[site]
    roots = np.where(problem.net_core < 0, problem.host, router[problem.net_core])
    ptr, *_ = grow(roots, problem.dest_ptr, router[problem.dest], problem.sites.mesh)
    assert tree_hops(problem, site).tolist() == (np.diff(ptr) - 1).tolist()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), y_first=st.booleans())
def test_the_terms_of_an_objective_are_those_of_the_routes(seed: int, y_first: bool) -> None:
    """Energy, latencies and the busiest link, before any net has to stay within."""
    target = hexagonal(5, 4, lanes=16)
    flow = random_flow(seed, 12, 10, 6)
    mesh = mesh_of(target, 1)
    problem = Problem.directed(flow, sites_of(target, mesh), 0)
    site = np.random.default_rng(seed).permutation(20)[:12]
    router = problem.sites.router[site]
    cycles, chip = link_cycles(target, mesh), np.zeros(20, np.int64)
    goal = Goal(problem, parse_objective("energy=1,max_link=1"), cycles, chip, y_first)
    terms = terms_of(goal, site)
    routing = route(flow, router, target, mesh, "yx" if y_first else "xy")
    assert not routing.report["notes"]
    assert terms["energy"] == float(flow.rate @ routing.hops)
    assert terms["worst_latency"] == routing.reach.max(initial=0)
    assert terms["max_link"] == pytest.approx(routing.report["max_link_cycles"])
    better = weigh(goal, [site], 1, 300_000, Watch(20.0))
    assert better.total <= goal.objective.total(terms)
    assert better.total == pytest.approx(goal.objective.total(terms_of(goal, better.site)))


def spinnaker(neurons: int, entries: int = 1023) -> Target:
    """The shipped target with smaller cores, so that a small network takes several chips."""
    data = targets.load("spinnaker1").model_dump(by_alias=True)
    data["core"]["resources"]["neurons"]["capacity"]["v"] = neurons
    data["noc"]["table_entries"]["v"] = entries
    return Target.model_validate(data)


@pytest.mark.parametrize("fidelity", ["transaction", "flit"])
@pytest.mark.parametrize("rule", ["xy", "tree"])
def test_a_network_on_chips_of_spinnaker(rule: RoutingRule, fidelity: Fidelity) -> None:
    network, target = small_network(), spinnaker(2)
    retiming = retime(network, target, 6)
    rates = {"in": np.full(36, 0.6), "lif1": np.full(144, 1.5), "lif2": np.full(5, 2.0)}
    options = MapOptions(effort="low", routing=rule)
    mapped = map_network(network, retiming, target, 6, rates, options)
    deployment = Deployment(
        network, target, 6, retiming.schedule, mapped.cores, mapped.routes, mapped.certificate,
        {}, {},
    )  # fmt: skip
    verify(deployment)
    assert mapped.report["chips_used"] >= 5
    tables = mapped.report["routing"]["tables"]
    assert 0 < tables["largest"] <= tables["largest_without_minimising"]
    inputs = random_inputs(network, 3, 2, 6)
    truth = reference.run(network, inputs)
    for got in (
        functional.run(network, inputs),
        cycle.run(deployment, inputs, noc=fidelity).result,
    ):
        assert not any(got.mismatches(truth).values())
