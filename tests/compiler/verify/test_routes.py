"""Routes, deliveries and certificates with one tampered entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from support.deployments import certified, small_deployment
from support.simple_mapping import x_then_y
from support.tampering import add, broken, modified, put, tamper

from snnc.backends.targets import load
from snnc.compiler.verify import examine
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import Certificate, Deployment
from snnc.ir.topology import Mesh

TOY = load("toy-mesh")
LOIHI = load("loihi1")


def test_a_hop_to_a_distant_router_breaks_the_routes(toy: Deployment) -> None:
    far = int(np.argmax(toy.routes.branch_parent >= 0))
    up = int(toy.routes.branch_router[far - 1])
    report = examine(tamper(toy, "routes.branch_router", put(far, (up + 10) % 16)))
    assert "routes" in report.broken
    assert any("not neighbours" in v.found for v in report.violations)


def test_a_net_that_starts_elsewhere_breaks_the_routes(toy: Deployment) -> None:
    moved = certified(tamper(toy, "routes.branch_router", add(0, 1)))
    assert "routes" in broken(moved)
    texts = [v.found for v in examine(moved).violations if v.rule == "routes"]
    assert "the tree starts elsewhere" in texts


def test_y_before_x_breaks_the_routes_but_not_the_certificate() -> None:
    def y_then_x(mesh: Mesh, start: int, end: int) -> list[int]:
        return x_then_y(mesh, end, start)[::-1]

    report = examine(small_deployment(LOIHI, path=y_then_x))
    assert set(report.broken) == {"routes"}
    assert report.violations[0].found == "a turn from y back to x"


def test_a_detour_through_the_same_router_breaks_the_routes(loihi: Deployment) -> None:
    def there_and_back(mesh: Mesh, start: int, end: int) -> list[int]:
        path = x_then_y(mesh, start, end)
        step = start + mesh.width if start + mesh.width < mesh.routers else start - mesh.width
        return [start, step, *path]

    routes = loihi.routes
    net = int(np.argmax(np.diff(routes.branch_ptr) == 1))
    cut = int(routes.branch_ptr[net]) + 1
    router = int(routes.branch_router[cut - 1])
    path = there_and_back(loihi.mesh, router, router)
    longer = replace(
        routes,
        branch_ptr=routes.branch_ptr + 2 * (np.arange(routes.nets + 1) > net),
        branch_router=np.insert(routes.branch_router, cut, path[1:]),
        branch_parent=np.insert(routes.branch_parent, cut, [0, 1]),
        branch_lane=np.insert(routes.branch_lane, cut, [0, 0]),
        delivery_branch=np.where(
            np.arange(routes.delivery_branch.size) == routes.delivery_ptr[net],
            2,
            routes.delivery_branch,
        ),
    )
    report = examine(replace(loihi, routes=longer))
    assert any(v.found == "a router is visited twice" for v in report.violations)


def test_a_copy_that_leaves_too_early_breaks_the_routes(toy: Deployment) -> None:
    entry = int(np.argmax(toy.routes.delivery_branch > 0))
    report = examine(tamper(toy, "routes.delivery_branch", add(entry, -1)))
    assert set(report.broken) == {"routes"}
    assert any("another router than its core's" in v.found for v in report.violations)


def test_multicast_trees_are_refused_on_a_unicast_machine(toy: Deployment) -> None:
    report = examine(replace(toy, target=modified(TOY, "noc.multicast", False)))
    assert set(report.broken) == {"routes"}
    found = {v.found for v in report.violations}
    assert found == {"not exactly one delivery", "the path forks"}


def test_a_source_that_sends_on_another_net_breaks_the_delivery(toy: Deployment) -> None:
    entry = int(np.argmax(toy.routes.send_net != toy.routes.send_net[0]))
    changed = tamper(toy, "routes.send_net", put(0, toy.routes.send_net[entry]))
    assert "delivery" in broken(changed)


def test_a_net_of_the_wrong_core_breaks_the_delivery(toy: Deployment) -> None:
    entry = int(np.argmax(toy.routes.net_core == 0))
    assert "delivery" in broken(tamper(toy, "routes.net_core", put(entry, 1)))


def test_a_spike_that_arrives_twice_breaks_the_delivery(toy: Deployment) -> None:
    routes = toy.routes
    twice = replace(
        routes,
        send_ptr=np.concatenate([[0], routes.send_ptr[1:] + 1]),
        send_net=np.concatenate([routes.send_net[:1], routes.send_net]),
    )
    report = examine(replace(toy, routes=twice))
    assert set(report.broken) == {"delivery"}
    assert report.violations[0].found == "receives a spike more than once"


def test_a_spike_that_never_arrives_breaks_the_delivery(toy: Deployment) -> None:
    routes = toy.routes
    silent = replace(
        routes,
        send_ptr=np.concatenate([[0], routes.send_ptr[1:] - 1]),
        send_net=routes.send_net[1:],
    )
    report = examine(replace(toy, routes=silent))
    assert set(report.broken) == {"delivery"}
    assert report.violations[0].found == "has an axon that no net reaches"
    assert report.violations[0].where.startswith("x[0] at core ")


@pytest.mark.parametrize(
    ("forge", "found"),
    [
        (lambda c: c[::-1], "a path goes backward in the order"),
        (lambda c: c[:0], "a channel in use is not certified"),
        (lambda c: c[1:], "a channel in use is not certified"),
        (lambda c: np.concatenate([c, c[:1]]), "a channel is listed twice"),
        (lambda c: c + np.array([0, 0, 1]), "virtual channel 1"),
        (lambda c: np.concatenate([c, [[0, 5, 0]]]), "0 -> 5"),
        (lambda c: np.concatenate([c, [[0, 99, 0]]]), "0 -> 99"),
    ],
)
def test_a_forged_certificate_breaks_the_deadlock_rule(
    toy: Deployment, forge: Callable[[IntArray], IntArray], found: str
) -> None:
    certificate = Certificate(forge(toy.certificate.channels), ())
    report = examine(replace(toy, certificate=certificate))
    assert set(report.broken) == {"deadlock"}
    assert found in {v.found for v in report.violations}


def test_a_routing_that_can_deadlock_has_no_certificate() -> None:
    """Four nets chasing each other around a square: no order of the channels exists."""
    turns = small_deployment(TOY)
    ring = [(0, 1, 5), (1, 5, 4), (5, 4, 0), (4, 0, 1)]
    routes = replace(
        turns.routes,
        net_core=np.full(4, -1),
        branch_ptr=np.arange(5) * 3,
        branch_router=np.array(ring).reshape(-1),
        branch_parent=np.tile([-1, 0, 1], 4),
        branch_lane=np.zeros(12, np.int8),
        delivery_ptr=np.arange(5),
        delivery_branch=np.full(4, 2),
        delivery_core=np.zeros(4, int),
        send_ptr=np.zeros(turns.sources.total + 1, int),
        send_net=np.zeros(0, int),
    )
    channels = np.array([[0, 1, 0], [1, 5, 0], [5, 4, 0], [4, 0, 0]])
    for shift in range(4):
        certificate = Certificate(np.roll(channels, shift, axis=0), ())
        report = examine(replace(turns, routes=routes, certificate=certificate))
        assert report.broken["deadlock"] == 1
