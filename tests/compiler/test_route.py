"""Routes and their proof, on hand-made and random nets."""

from __future__ import annotations

import numpy as np
import pytest

from snnc.backends.targets import load
from snnc.compiler.route import route
from snnc.compiler.route.certificate import certify
from snnc.compiler.traffic import Traffic, traffic
from snnc.ir.deployment import RouteTables
from snnc.ir.errors import VerificationError
from snnc.ir.topology import mesh_of

TOY = load("toy-mesh")
MESH = mesh_of(TOY, 1)


def nets(cores: int, rows: list[tuple[int, list[int], float]]) -> Traffic:
    nothing = np.zeros(0, np.int64)
    return Traffic(
        cores,
        np.array([r[0] for r in rows]),
        np.array([r[2] for r in rows]),
        np.cumsum([0, *(len(r[1]) for r in rows)]),
        np.array([d for r in rows for d in r[1]]),
        nothing,
        nothing,
    )


def at(*places: tuple[int, int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([MESH.router(x, y) for x, y in places])


def test_a_tree_shares_the_common_part_of_its_paths() -> None:
    flow = nets(3, [(0, [1, 2], 5.0)])
    routing = route(flow, at((0, 0), (2, 1), (2, 3)), TOY, MESH)
    path = [MESH.xy(int(r)) for r in routing.tables.branch_router]
    assert path == [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (2, 3)]
    assert routing.hops.tolist() == [5]
    assert routing.reach.tolist() == [3, 5]
    assert routing.load.tolist() == [5.0] * 5


def test_a_core_that_talks_to_itself_uses_no_channel() -> None:
    routing = route(nets(1, [(0, [0], 2.0)]), at((1, 1)), TOY, MESH)
    assert routing.hops.tolist() == [0]
    assert routing.channels.shape == (0, 2)
    assert routing.certificate.channels.shape == (0, 3)


def test_inputs_start_at_the_host_router() -> None:
    routing = route(nets(1, [(-1, [0], 1.0)]), at((1, 1)), TOY, MESH)
    assert MESH.xy(int(routing.tables.branch_router[0])) == TOY.topology.host_router


def test_the_certificate_orders_every_path_forward() -> None:
    rng = np.random.default_rng(0)
    router = rng.permutation(16)
    rows = [
        (int(rng.integers(-1, 16)), np.sort(rng.choice(16, 5, replace=False)).tolist(), 1.0)
        for _ in range(40)
    ]
    routing = route(nets(16, rows), router, TOY, MESH)
    order = {(int(a), int(b)): k for k, (a, b, _) in enumerate(routing.certificate.channels)}
    t = routing.tables
    checked = 0
    for net in range(t.nets):
        base = t.branch_ptr[net]
        for k in range(1, t.branch_ptr[net + 1] - base):
            parent = t.branch_parent[base + k]
            here = (int(t.branch_router[base + parent]), int(t.branch_router[base + k]))
            above = t.branch_parent[base + parent]
            if above >= 0:
                before = (int(t.branch_router[base + above]), here[0])
                assert order[before] < order[here]
                checked += 1
    assert checked > 100
    assert len(routing.certificate.assumptions) == 4


def test_a_ring_of_routes_is_refused_and_the_cycle_is_named() -> None:
    ring = at((0, 0), (1, 0), (1, 1), (0, 1))
    paths = [np.roll(ring, -k)[:3] for k in range(4)]
    zeros = np.arange(4)
    tables = RouteTables(
        net_core=zeros,
        branch_ptr=np.arange(0, 13, 3),
        branch_router=np.concatenate(paths),
        branch_parent=np.tile([-1, 0, 1], 4),
        delivery_ptr=np.arange(5),
        delivery_branch=np.full(4, 2),
        delivery_core=zeros,
        send_ptr=np.arange(5),
        send_net=zeros,
    )
    with pytest.raises(VerificationError) as caught:
        certify(tables, MESH)
    text = str(caught.value)
    assert "channels wait for each other in a circle" in text
    assert text.count("waits for") == 4
    for step in ("(0, 0)->(1, 0)", "(1, 0)->(1, 1)", "(1, 1)->(0, 1)", "(0, 1)->(0, 0)"):
        assert step in text


def test_sources_with_equal_destinations_share_a_multicast_net() -> None:
    source, dest = np.array([0, 0, 1, 1, 2]), np.array([1, 2, 1, 2, 2])
    core_of, rate = np.array([0, 0, 0]), np.array([1.0, 2.0, 4.0])
    trees = traffic(source, dest, core_of, 3, rate, multicast=True)
    assert trees.nets == 2
    assert sorted(trees.rate.tolist()) == [3.0, 4.0]
    assert trees.send_net[0] == trees.send_net[1] != trees.send_net[2]
    paths = traffic(source, dest, core_of, 3, rate, multicast=False)
    assert dict(zip(paths.dest.tolist(), paths.rate.tolist(), strict=True)) == {1: 3.0, 2: 7.0}
