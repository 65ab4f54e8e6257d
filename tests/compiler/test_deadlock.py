"""Deadlock, published and random: certificate, virtual channels and both networks agree."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.noc_traffic import clockwise, drain, machine_with, ring_deployment
from support.routed import around_the_border, cycling, machine, moved, saturate
from support.simple_mapping import x_then_y

from snnc.compiler.route import lanes, route
from snnc.compiler.route.certificate import certify
from snnc.compiler.route.shapes import with_lanes
from snnc.compiler.route.waits import waits
from snnc.compiler.verify import examine
from snnc.ir.deployment import Deployment, RouteTables
from snnc.ir.errors import SimulationError, TargetError, UnsupportedError, VerificationError
from snnc.ir.topology import Mesh, mesh_of
from snnc.simulators import cycle
from snnc.simulators.cycle.timing import Fidelity

NETWORKS: tuple[Fidelity, ...] = ("transaction", "flit")
TIGHT = {"buffer": 1, "injection": 1, "receive": 1}


def ring_of_four(lanes_offered: int) -> Deployment:
    """Dally & Seitz (IEEE ToC 36(5), 1987), figure 1: four nodes on a ring of one-way channels,
    every node sends to the opposite one, every packet waits for the channel the next one holds."""
    target = machine(2, 2, lanes=lanes_offered, multicast=False, **TIGHT)
    return machine_with(target, {core: [3 - core] for core in range(4)}, path=clockwise)


@pytest.mark.parametrize("fidelity", NETWORKS)
def test_the_published_ring_deadlocks_without_and_runs_with_virtual_channels(
    fidelity: Fidelity,
) -> None:
    ring = ring_of_four(2)
    assert not saturate(ring, fidelity)
    with pytest.raises(VerificationError, match="wait for each other in a circle") as caught:
        certify(ring.routes, ring.mesh)
    assert str(caught.value).count("waits for") == 4
    found = lanes.assign(waits(ring.routes, 4, False), 4, 2)
    assert found is not None
    assert (found.classes, found.fewest) == (2, True)
    fixed = cycling(ring, found.lane)
    assert saturate(fixed, fidelity, 50)
    certificate = certify(fixed.routes, ring.mesh)
    assert len(certificate.channels) > 4  # some links carry both classes
    report = examine(replace(fixed, certificate=certificate))
    assert "deadlock" not in report.broken
    one_class = replace(ring, certificate=certificate)
    assert examine(one_class).broken["deadlock"] > 0  # of classes that nobody uses
    assert saturate(fixed, fidelity, 50)


def test_one_virtual_channel_is_not_enough_for_the_ring() -> None:
    ring = ring_of_four(1)
    assert lanes.assign(waits(ring.routes, 4, False), 4, 1) is None
    fixed = cycling(ring, np.array([0, 0, 0, 1]))
    certificate = certify(fixed.routes, ring.mesh)
    report = examine(replace(fixed, certificate=certificate))
    assert "2 classes of virtual channels" in {v.found for v in report.violations}
    with pytest.raises(TargetError, match="more virtual channels"):
        drain(fixed, [(0, 0, 0.0)], 0.0, "flit")


def test_the_simulator_names_the_ring_it_found() -> None:
    """The whole way: artifact tables, a tick, an error that names the channels."""
    deployment, inputs = ring_deployment(clockwise)
    for fidelity in NETWORKS:
        with pytest.raises(SimulationError, match="deadlocked") as caught:
            cycle.run(deployment, inputs, noc=fidelity)
        assert str(caught.value).count("waits for") == 4
    target = machine(2, 2, lanes=2, cores_per_router=1, **TIGHT)
    found = lanes.assign(waits(deployment.routes, 4, False), deployment.routes.nets, 2)
    assert found is not None
    safe = replace(deployment, target=target, routes=with_lanes(deployment.routes, found.lane))
    for fidelity in NETWORKS:
        cycle.run(safe, inputs, noc=fidelity)


@pytest.mark.parametrize("fidelity", NETWORKS)
@pytest.mark.parametrize(("width", "height"), [(3, 3), (4, 3)])
def test_a_longer_ring_with_multicast(width: int, height: int, fidelity: Fidelity) -> None:
    target = machine(width, height, lanes=3, **TIGHT)
    border = [c for c in range(width * height) if not inner(c, width, height)]
    hears = {
        c: sorted({around(border, c, 2, width, height), around(border, c, 4, width, height)})
        for c in border
    }
    deployment = machine_with(target, hears, path=around_the_border)
    assert not saturate(deployment, fidelity)
    found = lanes.assign(waits(deployment.routes, width * height, False), len(border), 3)
    assert found is not None
    assert found.classes == 2
    assert saturate(cycling(deployment, found.lane), fidelity)


def inner(core: int, width: int, height: int) -> bool:
    x, y = core % width, core // width
    return 0 < x < width - 1 and 0 < y < height - 1


def around(border: list[int], core: int, steps: int, width: int, height: int) -> int:
    mesh = Mesh(width, height, width, height, 1)
    here = core
    for _ in range(steps):
        following = [c for c in border if len(around_the_border(mesh, here, c)) == 2]
        here = following[0]
    return here


def staircases(seed: int) -> object:
    """Random shortest paths, the same one whenever asked for again."""

    def path(mesh: Mesh, start: int, end: int) -> list[int]:
        rng = np.random.default_rng((seed, start, end))
        (x, y), (end_x, end_y) = mesh.xy(start), mesh.xy(end)
        result = [start]
        while (x, y) != (end_x, end_y):
            if x == end_x or (y != end_y and rng.random() < 0.5):
                y += 1 if end_y > y else -1
            else:
                x += 1 if end_x > x else -1
            result.append(mesh.router(x, y))
        return result

    return path


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), fidelity=st.sampled_from(NETWORKS))
def test_whatever_is_certified_never_deadlocks(seed: int, fidelity: Fidelity) -> None:
    """Random shortest paths on a mesh with the smallest buffers there are."""
    rng = np.random.default_rng(seed)
    hears = {c: [int(rng.integers(9))] for c in range(9)}
    target = machine(3, 3, lanes=4, multicast=False, **TIGHT)
    deployment = machine_with(target, hears, path=staircases(seed))  # type: ignore[arg-type]
    routes, routers = deployment.routes, deployment.mesh.routers
    found = lanes.assign(waits(routes, routers, False), routes.nets, 4)
    assert found is not None
    safe = cycling(deployment, found.lane)
    certificate = certify(safe.routes, deployment.mesh)
    assert "deadlock" not in examine(replace(safe, certificate=certificate)).broken
    assert saturate(safe, fidelity)
    if found.classes > 1:
        with pytest.raises(VerificationError):
            certify(routes, deployment.mesh)
    elif not saturate(deployment, fidelity):
        raise AssertionError("the routes had a certificate without virtual channels")


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_no_assignment_uses_fewer_classes(seed: int) -> None:
    """Against all assignments of up to eight nets that have a choice to make."""
    rng = np.random.default_rng(seed)
    border = [0, 1, 2, 3, 5, 6, 7, 8]
    hears = {c: [int(rng.choice(border))] for c in border[:7]}
    target = machine(3, 3, lanes=4, multicast=False)
    deployment = machine_with(target, hears, path=around_the_border)
    found = waits(deployment.routes, 9, False)
    conflict = lanes.conflict_of(found)
    chosen = lanes.assign(found, deployment.routes.nets, 4)
    assert chosen is not None
    if chosen.classes == 1:
        assert not lanes.circles(conflict, np.zeros(conflict.nets.size, np.int64), 1, 1)
        return
    fewer = chosen.classes - 1
    for lane in product(range(fewer), repeat=conflict.nets.size):
        assert lanes.circles(conflict, np.array(lane), fewer, 1)
    assert chosen.fewest
    greedy, needed = lanes.first_fit(conflict)
    assert needed >= chosen.classes
    assert not lanes.circles(conflict, greedy, needed, 1)


def test_many_nets_take_the_first_class_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = ring_of_four(4)
    monkeypatch.setattr(lanes, "EXACT", 0)
    found = lanes.assign(waits(ring.routes, 4, False), 4, 4)
    assert found is not None
    assert (found.classes, found.engine, found.fewest) == (2, "first fit", True)


def there_and_back(lanes_offered: int = 1) -> tuple[object, ...]:
    """Two cores that send to each other and accept nothing while their own packets wait."""
    target = machine(2, 1, lanes=lanes_offered, consumption="after_sending", **TIGHT)
    return target, moved([(0, [1]), (1, [0])], 2)


def test_cores_that_refuse_close_a_circle_no_virtual_channel_opens() -> None:
    target, flow = there_and_back(4)
    with pytest.raises(VerificationError, match="core 0 receiving") as caught:
        route(flow, np.arange(2), target, mesh_of(target, 1))  # type: ignore[arg-type]
    assert "noc.consumption" in caught.value.remedy
    deployment = machine_with(target, {0: [1], 1: [0]})  # type: ignore[arg-type]
    assert not saturate(deployment, "flit", 20)
    patient = machine(2, 1, **TIGHT)
    assert saturate(replace(deployment, target=patient), "flit", 20)


def test_the_event_driven_network_says_that_it_knows_no_refusing_cores() -> None:
    deployment, inputs = ring_deployment(x_then_y)
    refusing = machine(2, 2, consumption="after_sending", **TIGHT)
    with pytest.raises(UnsupportedError, match="--noc flit"):
        cycle.run(replace(deployment, target=refusing), inputs)


def test_a_chain_through_refusing_cores_is_ordered() -> None:
    """0 -> 1 and 1 -> 2: core 1 accepts what its own packets to core 2 let it."""
    target = machine(3, 1, lanes=2, consumption="after_sending", multicast=False, **TIGHT)
    flow = moved([(0, [1]), (1, [2])], 3)
    routing = route(flow, np.arange(3), target, mesh_of(target, 1))
    rows = routing.certificate.channels.tolist()
    # Into core 1 comes before out of it, and both between the two links.
    assert rows.index([1, 1, 2]) < rows.index([1, 1, 3]) < rows.index([1, 2, 0])
    assert rows.index([0, 1, 0]) < rows.index([1, 1, 2])
    deployment = machine_with(target, {0: [1], 1: [2]})
    honest = replace(deployment, certificate=routing.certificate)
    assert "deadlock" not in examine(honest).broken
    swapped = np.array(rows)
    first, last = rows.index([1, 1, 2]), rows.index([1, 1, 3])
    swapped[[first, last]] = swapped[[last, first]]
    forged = replace(honest, certificate=replace(routing.certificate, channels=swapped))
    assert examine(forged).broken["deadlock"] >= 1
    assert saturate(deployment, "flit", 20)


def test_the_circle_through_a_core_that_sends_to_itself_is_seen() -> None:
    target = machine(2, 1, consumption="after_sending")
    with pytest.raises(VerificationError, match="core 0 sending"):
        route(moved([(0, [0])], 2), np.arange(2), target, mesh_of(target, 1))


def test_tables_without_classes_have_none() -> None:
    ring = ring_of_four(2)
    assert ring.routes.lanes == 1
    assert with_lanes(ring.routes, np.zeros(4, np.int64)) is ring.routes
    assert isinstance(with_lanes(ring.routes, np.arange(4) % 2), RouteTables)
