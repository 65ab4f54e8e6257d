"""Chosen routes: legal trees, certified, never busier than XY, bounds below, engines agreeing."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.random_networks import Options as NetworkOptions
from support.random_networks import random_inputs, random_network
from support.routed import machine, moved, random_flow, routed_deployment

from snnc.backends.targets import load
from snnc.compiler.options import ROUTINGS
from snnc.compiler.route import Routing, bounds, route
from snnc.compiler.route.bounds import cut_bound, flow_bound
from snnc.compiler.route.links import Demand
from snnc.compiler.traffic import Traffic
from snnc.compiler.verify import examine
from snnc.ir.errors import UnsupportedError
from snnc.ir.target import Target
from snnc.ir.topology import Mesh, mesh_of
from snnc.simulators import cycle, reference


def routed(flow: Traffic, target: Target, rule: str, chips: int = 1) -> Routing:
    mesh = mesh_of(target, chips)
    return route(flow, np.arange(mesh.routers), target, mesh, rule)  # type: ignore[arg-type]


def check_tables(flow: Traffic, routing: Routing, target: Target, chips: int = 1) -> None:
    """Plain Python: trees of neighbours that reach all destinations, in the certificate's order."""
    mesh, tables = mesh_of(target, chips), routing.tables
    rank = {tuple(row): k for k, row in enumerate(routing.certificate.channels.tolist())}
    for net in range(flow.nets):
        nodes = range(tables.branch_ptr[net], tables.branch_ptr[net + 1])
        routers = [int(tables.branch_router[k]) for k in nodes]
        assert len(set(routers)) == len(routers)
        up = [int(tables.branch_parent[k]) for k in nodes]
        lane = [int(tables.branch_lane[k]) for k in nodes]
        for k in range(1, len(routers)):
            (x, y), (to_x, to_y) = mesh.xy(routers[up[k]]), mesh.xy(routers[k])
            assert abs(x - to_x) + abs(y - to_y) == 1
            if up[k] > 0:
                before = (routers[up[up[k]]], routers[up[k]], lane[up[k]])
                assert rank[before] < rank[(routers[up[k]], routers[k], lane[k])]
        ends = [
            routers[tables.delivery_branch[d]]
            for d in range(tables.delivery_ptr[net], tables.delivery_ptr[net + 1])
        ]
        assert ends == flow.dest[flow.dest_ptr[net] : flow.dest_ptr[net + 1]].tolist()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    width=st.integers(1, 5),
    height=st.integers(1, 4),
    rule=st.sampled_from(ROUTINGS),
    shapes=st.sampled_from([("xy", "yx"), ("minimal",), ("xy", "yx", "minimal", "any")]),
    lanes=st.integers(1, 3),
    many=st.integers(1, 5),
)
def test_every_choice_is_a_certified_tree_no_busier_than_xy(
    seed: int, width: int, height: int, rule: str, shapes: tuple[str, ...], lanes: int, many: int
) -> None:
    chips = 1 + seed % 2
    target = machine(width, height, lanes=lanes, shapes=shapes, multicast=many > 1)
    flow = random_flow(seed, width * height * chips, 12, many)
    routing = routed(flow, target, rule, chips)
    check_tables(flow, routing, target, chips)
    report = routing.report
    assert report["virtual_channel_classes"] <= lanes
    assert report["max_link_cycles_bound"] <= report["max_link_cycles"] * (1 + 1e-9) + 1e-9
    if rule == "balanced":
        assert report["max_link_cycles"] <= report["max_link_cycles_xy"] * (1 + 1e-9)
    if shapes != ("xy", "yx", "minimal", "any") and rule != "tree":
        distance = Demand.of(flow, *roots(flow, target, chips), target, mesh_of(target, chips))
        assert np.sort(routing.reach).sum() == total_distance(flow, distance)


def roots(flow: Traffic, target: Target, chips: int) -> tuple[np.ndarray, np.ndarray]:
    router = np.arange(mesh_of(target, chips).routers)
    return np.where(flow.net_core < 0, 0, flow.net_core), router


def total_distance(flow: Traffic, demand: Demand) -> int:
    start = np.repeat(demand.root, np.diff(flow.dest_ptr))
    width = demand.mesh.width
    return int(
        (
            np.abs(start % width - flow.dest % width) + np.abs(start // width - flow.dest // width)
        ).sum()
    )


def test_load_counts_cycles_so_links_between_chips_weigh_more() -> None:
    """Four cores on two chips side by side; the link between them takes 8 cycles per packet."""
    target = machine(2, 2, lanes=2, chip_link_cycles=8)
    # All four nets cross; XY sends both of the upper row over the upper link, and so below.
    flow = moved([(0, [2]), (0, [6]), (1, [3]), (1, [7])], 8)
    xy, balanced = routed(flow, target, "xy", 2), routed(flow, target, "balanced", 2)
    assert xy.report["max_link_cycles"] == 4 * 8
    assert balanced.report["max_link_cycles"] == 2 * 8 == balanced.report["max_link_cycles_bound"]
    assert balanced.report["proven"]


def test_the_choice_between_xy_and_yx_is_the_best_there_is() -> None:
    """Against all 2^n choices."""
    for seed in range(6):
        target = machine(3, 3, lanes=2, shapes=("xy", "yx"), multicast=False)
        flow = random_flow(seed, 9, 8, 1)
        routing = routed(flow, target, "balanced")
        single = [
            {r: busy(routed(one(flow, n), target, r)) for r in ("xy", "yx")}
            for n in range(flow.nets)
        ]
        least = min(
            sum(single[n][r] for n, r in enumerate(choice)).max()  # type: ignore[union-attr]
            for choice in product(("xy", "yx"), repeat=flow.nets)
        )
        assert routing.report["max_link_cycles"] == pytest.approx(least)
        assert routing.report["proven"]


def one(flow: Traffic, net: int) -> Traffic:
    part = slice(int(flow.dest_ptr[net]), int(flow.dest_ptr[net + 1]))
    return replace(
        flow, net_core=flow.net_core[net : net + 1], rate=flow.rate[net : net + 1],
        dest_ptr=np.array([0, part.stop - part.start]), dest=flow.dest[part],
    )  # fmt: skip


def busy(routing: Routing) -> np.ndarray:
    result = np.zeros((9, 9))
    for (a, b), packets in zip(routing.channels.tolist(), routing.load.tolist(), strict=True):
        result[a, b] += packets
    return result


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), many=st.integers(1, 3))
def test_the_flow_bound_is_at_least_the_cuts_and_at_most_any_routing(seed: int, many: int) -> None:
    target = machine(3, 3, lanes=3, multicast=many > 1)
    flow = random_flow(seed, 9, 6, many)
    demand = Demand.of(flow, *roots(flow, target, 1), target, mesh_of(target, 1))
    cuts, flows = cut_bound(demand), flow_bound(demand)
    if flows is None:
        assert cuts == 0.0
        return
    if many == 1:
        assert cuts <= flows * (1 + 1e-6) + 1e-9
    assert flows <= routed(flow, target, "balanced").report["max_link_cycles"] * (1 + 1e-6) + 1e-9


def test_a_short_tree_needs_fewer_edges_than_xy() -> None:
    """A comb along y: XY pays the way along x for every destination, a tree once."""
    target = machine(5, 3, lanes=2)
    flow = moved([(0, [6, 7, 8, 9, 5])], 15)
    assert routed(flow, target, "xy").hops.tolist() == [9]
    short = routed(flow, target, "tree")
    assert short.hops.tolist() == [5]
    check_tables(flow, short, target)


@pytest.mark.parametrize("name", ["loihi1", "loihi2", "truenorth"])
@pytest.mark.parametrize("rule", ["yx", "balanced", "tree"])
def test_a_machine_that_only_knows_xy_refuses_other_routes(name: str, rule: str) -> None:
    target = load(name)
    mesh = mesh_of(target, 1)
    with pytest.raises(UnsupportedError, match=r"noc\.route_shapes: xy"):
        route(moved([(0, [1])], 2), np.arange(2), target, mesh, rule)  # type: ignore[arg-type]


def test_equal_seeds_give_equal_routes() -> None:
    target = machine(4, 4, lanes=2)
    flow = random_flow(5, 16, 60, 4)
    a, b = (routed(flow, target, "balanced") for _ in range(2))
    np.testing.assert_array_equal(a.tables.branch_router, b.tables.branch_router)
    np.testing.assert_array_equal(a.tables.branch_lane, b.tables.branch_lane)
    assert a.report == b.report


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10**6), rule=st.sampled_from(ROUTINGS), chips=st.integers(1, 2),
    lanes=st.integers(1, 2), holes=st.integers(0, 3),
)  # fmt: skip
def test_the_chip_fires_the_spikes_of_the_reference_whatever_the_routes(
    seed: int, rule: str, chips: int, lanes: int, holes: int
) -> None:
    network = random_network(seed, NetworkOptions(layers=4, width=3))
    deployment = routed_deployment(network, seed, rule, chips, lanes, holes)
    report = examine(deployment)
    assert set(report.broken) <= {"neuron", "weights", "wires"}, report.violations[:3]
    inputs = random_inputs(network, seed, 1, 12)
    expected = reference.run(network, inputs)
    for fidelity in ("transaction", "flit"):
        got = cycle.run(deployment, inputs, noc=fidelity)  # type: ignore[arg-type]
        assert sum(got.result.mismatches(expected).values()) == 0


@pytest.mark.parametrize("seed", range(4))
def test_halves_are_bounded_as_rectangles_are(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one look at every destination, or rectangle by rectangle."""
    rng = np.random.default_rng(seed)
    mesh = Mesh(5, 4, 5, 4, 1)
    size = rng.integers(1, 4, 30)
    ptr = np.concatenate([[0], np.cumsum(size)])
    dest = np.concatenate([rng.choice(20, n, replace=False) for n in size])
    cycles = np.where(mesh.neighbours < 0, np.inf, rng.integers(1, 9, mesh.neighbours.shape))
    rate = rng.integers(0, 9, 30).astype(np.float64)
    demand = Demand(mesh, rng.integers(0, 20, 30), rate, ptr, dest, cycles.reshape(-1))
    halves = [(0, x, 0, 3) for x in range(4)] + [(0, 4, 0, y) for y in range(3)]
    monkeypatch.setattr(bounds, "_rectangles", lambda *_: np.array(halves))
    assert bounds._halves_bound(demand) == pytest.approx(cut_bound(demand), rel=1e-12)
