"""One tampered entry, and the checker names the rule it breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.deployments import certified, small_deployment, small_network
from support.simple_mapping import x_then_y

from snnc.backends.targets import load
from snnc.compiler.verify import examine, verify
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import Certificate, Deployment
from snnc.ir.errors import VerificationError
from snnc.ir.neuron import (
    Adaptation,
    DeltaCode,
    GatedBias,
    Leak,
    Recovery,
    Reset,
    StateRange,
)
from snnc.ir.nodes import Input
from snnc.ir.target import Target
from snnc.ir.topology import Mesh
from snnc.ir.types import ValueType

TOY = load("toy-mesh")
LOIHI = load("loihi1")
Change = Callable[[IntArray], None]


@pytest.fixture(scope="module")
def toy() -> Deployment:
    return small_deployment(TOY)


@pytest.fixture(scope="module")
def loihi() -> Deployment:
    return small_deployment(LOIHI)


def tamper(deployment: Deployment, table: str, change: Change) -> Deployment:
    """The deployment with one of its arrays changed in place of a copy."""
    room, name = table.split(".")
    old = getattr(deployment, room)
    array = np.array(getattr(old, name), np.int64)
    change(array)
    return replace(deployment, **{room: replace(old, **{name: array})})


def put(index: Any, value: Any) -> Change:
    def change(array: IntArray) -> None:
        array[index] = value

    return change


def add(index: Any, value: int) -> Change:
    def change(array: IntArray) -> None:
        array[index] += value

    return change


def modified(target: Target, path: str, value: Any) -> Target:
    """The target with the field at a dotted path replaced."""
    data = target.model_dump(by_alias=True)
    *parents, last = path.split(".")
    inner = data
    for key in parents:
        inner = inner[key]
    inner[last] = value
    return Target.model_validate(data)


def capped(target: Target, path: str, value: int) -> Target:
    return modified(target, path, {"v": value, "ev": "assumed"})


def broken(deployment: Deployment) -> set[str]:
    return set(examine(deployment).broken)


@pytest.mark.parametrize("name", ["toy-mesh", "loihi1"])
@pytest.mark.parametrize("neurons_per_core", [1, 4, 16])
def test_an_honest_deployment_breaks_no_rule(name: str, neurons_per_core: int) -> None:
    report = verify(small_deployment(load(name), neurons_per_core=neurons_per_core))
    assert report.ok
    assert report.as_dict()["violations"] == []
    assert all(count > 0 for count in report.checked.values())


def test_two_chips_are_one_mesh() -> None:
    assert verify(small_deployment(TOY, chips=2, neurons_per_core=1)).ok


def test_what_nobody_published_is_listed_as_unchecked(loihi: Deployment) -> None:
    assert any("routing_mem" in text for text in verify(loihi).unchecked)
    loihi2 = small_deployment(load("loihi2"))
    assert any("flexible_mem" in text and "at least" in text for text in examine(loihi2).unchecked)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("cores.neuron_ptr", add(-1, 1)),
        ("cores.axon_ptr", put(1, 10_000)),
        ("cores.synapse_ptr", put(0, 1)),
        ("cores.neuron_source", put(0, 10_000)),
        ("cores.axon_source", put(0, -1)),
        ("cores.axon_delay", put(0, -1)),
        ("cores.axon_encoding", put(0, 3)),
        ("cores.synapse_target", put(0, 4)),
        ("routes.net_core", put(0, -2)),
        ("routes.branch_ptr", put(1, 0)),
        ("routes.branch_router", put(0, 16)),
        ("routes.branch_parent", put(0, 0)),
        ("routes.branch_parent", put(1, 1)),
        ("routes.delivery_ptr", put(-1, 0)),
        ("routes.delivery_branch", put(0, 99)),
        ("routes.delivery_core", put(0, 99)),
        ("routes.send_ptr", put(3, 99)),
        ("routes.send_net", put(0, 999)),
    ],
)
def test_an_index_that_points_outside_breaks_the_structure(
    toy: Deployment, table: str, change: Change
) -> None:
    report = examine(tamper(toy, table, change))
    assert set(report.broken) == {"structure"}
    assert any(table in v.where or "net" in v.where for v in report.violations)


def test_axons_out_of_order_break_the_structure(toy: Deployment) -> None:
    swapped = tamper(toy, "cores.axon_source", put([0, 1], toy.cores.axon_source[[1, 0]]))
    assert broken(swapped) == {"structure"}


def test_a_table_cut_short_breaks_the_structure(toy: Deployment) -> None:
    cores = replace(toy.cores, axon_delay=toy.cores.axon_delay[:-1])
    assert broken(replace(toy, cores=cores)) == {"structure"}


def test_a_neuron_placed_twice_names_both_neurons(toy: Deployment) -> None:
    report = examine(tamper(toy, "cores.neuron_source", put(0, toy.cores.neuron_source[1])))
    assert "placement" in report.broken
    texts = [str(v) for v in report.violations if v.rule == "placement"]
    assert "[placement] a[0]: on 0 core slots (allowed: 1)" in texts
    assert "[placement] a[1]: on 2 core slots (allowed: 1)" in texts


@pytest.mark.parametrize(
    "change", [put(0, [4, 0, 0]), put((0, 2), 1), put((0, 1), -1)], ids=["x", "slot", "y"]
)
def test_a_core_outside_the_machine_breaks_the_location(toy: Deployment, change: Change) -> None:
    assert "location" in broken(tamper(toy, "cores.location", change))


def test_two_cores_on_one_place_break_the_location(toy: Deployment) -> None:
    report = examine(tamper(toy, "cores.location", put(0, toy.cores.location[1])))
    assert any("2 cores on this place" in v.found for v in report.violations)


def test_a_defective_core_breaks_the_location(toy: Deployment) -> None:
    place = tuple(int(n) for n in toy.cores.location[2])
    target = modified(TOY, "topology.defects", [place])
    assert broken(replace(toy, target=target)) == {"location"}


def test_more_cores_than_usable_break_the_location(toy: Deployment) -> None:
    target = modified(TOY, "topology.usable_cores", 3)
    report = examine(replace(toy, target=target))
    assert set(report.broken) == {"location"}
    assert "chip 0: 4 cores used (allowed: 3 usable cores per chip)" in str(report.violations[0])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("core.resources.neurons.capacity", 3),
        ("core.resources.input_axons.capacity", 5),
        ("core.resources.synapse_mem.capacity", 300),
    ],
)
def test_a_smaller_core_breaks_the_capacity(toy: Deployment, path: str, value: int) -> None:
    report = examine(replace(toy, target=capped(TOY, path, value)))
    assert set(report.broken) == {"capacity"}
    assert path.split(".")[2] in report.violations[0].found
    assert report.violations[0].allowed == str(value)


@pytest.mark.parametrize(
    "use", ["n_compartments", "n_axons_out", "n_synapses", "max_fan_in", "max_targets_per_neuron"]
)
def test_every_count_of_a_formula_is_recounted(loihi: Deployment, use: str) -> None:
    """The limit is found by hand from the dense picture of the deployment."""
    by_hand = counts_by_hand(loihi)[use].max()
    for limit, verdict in ((by_hand, set()), (by_hand - 1, {"capacity"})):
        resource = {"capacity": {"v": int(limit), "ev": "assumed"}, "use": use}
        target = modified(LOIHI, "core.resources.extra", resource)
        assert broken(replace(loihi, target=target)) == verdict


def counts_by_hand(deployment: Deployment) -> dict[str, IntArray]:
    cores, routes = deployment.cores, deployment.routes
    result = {
        name: np.zeros(cores.count, np.int64)
        for name in (
            "n_compartments", "n_axons_out", "n_synapses", "max_fan_in", "max_targets_per_neuron"
        )
    }  # fmt: skip
    for core in range(cores.count):
        neurons = range(cores.neuron_ptr[core], cores.neuron_ptr[core + 1])
        result["n_compartments"][core] = len(neurons)
        fan_in = [0] * len(neurons)
        for axon in range(cores.axon_ptr[core], cores.axon_ptr[core + 1]):
            for entry in range(cores.synapse_ptr[axon], cores.synapse_ptr[axon + 1]):
                fan_in[cores.synapse_target[entry]] += 1
        result["n_synapses"][core], result["max_fan_in"][core] = sum(fan_in), max(fan_in)
        for neuron in neurons:
            source = cores.neuron_source[neuron]
            sends = range(routes.send_ptr[source], routes.send_ptr[source + 1])
            nets = [routes.send_net[send] for send in sends]
            targets = sum(int(routes.delivery_ptr[n + 1] - routes.delivery_ptr[n]) for n in nets)
            result["n_axons_out"][core] += targets
            most = result["max_targets_per_neuron"]
            most[core] = max(most[core], targets)
    return result


def test_a_subtracting_neuron_takes_two_loihi_compartments() -> None:
    network = small_network(reset=Reset("subtract", np.array(128)))
    deployment = small_deployment(LOIHI, network, neurons_per_core=16)
    for limit, verdict in ((22, set()), (21, {"capacity"})):
        target = capped(LOIHI, "core.resources.compartments.capacity", limit)
        assert broken(replace(deployment, target=target)) == verdict


def test_more_destinations_than_a_neuron_may_have_break_the_capacity(toy: Deployment) -> None:
    target = modified(TOY, "core.max_targets_per_neuron", 1)
    assert broken(replace(toy, target=target)) == {"capacity"}


@pytest.mark.parametrize(
    ("key", "needed"),
    [
        (["threshold"], 2),
        (["decay", "current_decay", "refractory"], 2),
        (["reset"], 2),
        (["weight_exponent"], 2),
        (["weight_bits"], 1),
        (["encoding"], 3),
        (["delay_bits"], 2),
        (["weight_exponent", "encoding", "weight_bits"], 6),
    ],
)
def test_a_parameter_table_counts_distinct_entries(key: list[str], needed: int) -> None:
    network = small_network(
        reset=Reset("value", np.array(-3)), leak=Leak(np.array(7), 3), input_shift=2
    )
    deployment = small_deployment(TOY, network, neurons_per_core=16)
    for capacity, verdict in ((needed, set()), (needed - 1, {"profiles"})):
        table = {"capacity": {"v": max(capacity, 0), "ev": "assumed"}, "key": key}
        target = modified(TOY, "core.tables", {"t": table})
        assert broken(replace(deployment, target=target)) == verdict, key


def test_axon_types_need_axons_that_agree() -> None:
    deployment = small_deployment(TOY, neurons_per_core=16)
    target = modified(TOY, "core.weight.axon_types", 4)
    assert broken(replace(deployment, target=target)) == {"profiles"}
    target = modified(TOY, "core.weight.axon_types", 32)
    assert broken(replace(deployment, target=target)) == set()


def test_a_weight_too_wide_breaks_the_weights(toy: Deployment) -> None:
    report = examine(tamper(toy, "cores.synapse_weight", put(0, 1 << 15)))
    assert set(report.broken) == {"weights", "function"}
    assert any(v.rule == "weights" and v.allowed == "-32767 to 32767" for v in report.violations)


def test_a_shift_that_no_weight_format_reaches_breaks_the_weights(toy: Deployment) -> None:
    target = modified(TOY, "core.weight.min_bits_plus_shift", 40)
    assert "weights" in broken(replace(toy, target=target))


def test_values_wider_than_a_packet_break_the_wires(toy: Deployment) -> None:
    nodes = tuple(
        replace(node, type=ValueType("cnt", 5)) if isinstance(node, Input) else node
        for node in toy.network.nodes
    )
    network = replace(toy.network, nodes=nodes)
    target = modified(TOY, "spike.payload_bits", 3)  # one of them is the sign
    report = examine(replace(toy, network=network, target=target))
    assert any(v.rule == "wires" and "cnt(5)" in v.found for v in report.violations)
    assert any(v.allowed == "up to 3" for v in report.violations)


def test_too_many_distinct_weights_per_neuron_break_the_weights(toy: Deployment) -> None:
    target = modified(TOY, "core.weight.distinct_per_neuron", 4)
    assert broken(replace(toy, target=target)) == {"weights"}


def test_a_delay_beyond_the_field_breaks_the_delay(toy: Deployment) -> None:
    assert broken(replace(toy, target=capped(TOY, "core.max_delay", 1))) == set()
    assert broken(replace(toy, target=capped(TOY, "core.max_delay", 0))) == {"delay", "schedule"}
    assert "delay" in broken(tamper(toy, "cores.axon_delay", put(0, 32)))


SIGMA_DELTA: dict[str, Any] = {
    "emit": "delta", "delta": DeltaCode("relu", 2, message_bits=8), "reset": Reset("none"),
    "leak": Leak(np.array(0)), "current": Leak(np.array(1)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("target", "changes", "part"),
    [
        (LOIHI, {"thresholds": np.array([5, 6])}, "levels"),
        (TOY, {"thresholds": np.arange(257)}, "levels"),
        (LOIHI, {"negative_thresholds": np.array([5])}, "negative_levels"),
        (LOIHI, {"emission": np.array([0, 3])}, "emission"),
        (TOY, {"thresholds": np.array([1 << 24])}, "thresholds"),
        (TOY, {"thresholds": np.array([-1])}, "thresholds"),
        (LOIHI, {"thresholds": np.array([64])}, "thresholds"),
        (LOIHI, {"thresholds": np.array([(1 << 23) + 1])}, "thresholds"),
        (LOIHI, {"leak": Leak(np.array(3), 2, "half_even")}, "leak rounding"),
        (LOIHI, {"recovery": Recovery(Leak(np.array(1)))}, "recovery"),
        (LOIHI, SIGMA_DELTA, "delta"),
        (TOY, SIGMA_DELTA | {"thresholds": np.array([1 << 31])}, "thresholds"),
        (TOY, SIGMA_DELTA | {"bias": (GatedBias(np.array(-(1 << 31))),)}, "bias"),
        (TOY, SIGMA_DELTA | {"leak": Leak(np.array(3), 1)}, "leak"),
        (TOY, {"leak": Leak(np.array(3), 17)}, "leak"),
        (TOY, {"leak": Leak(np.array(2))}, "leak"),
        (LOIHI, {"leak": Leak(np.array(0))}, "leak"),
        (LOIHI, {"leak": Leak(np.array(1), 12)}, "leak rounding"),
        (LOIHI, {"current": Leak(np.array(1))}, "current"),
        (load("truenorth"), {"leak": Leak(np.array(1), 1)}, "leak"),
        (load("truenorth"), {"current": Leak(np.array(1), 1)}, "current"),
        (LOIHI, {"reset": Reset("value", np.array(7))}, "reset"),
        (LOIHI, {"reset": Reset("none")}, "reset"),
        (LOIHI, {"reset": Reset("multiply", up=2)}, "reset"),
        (LOIHI, {"bias": (GatedBias(np.array(4097)),)}, "bias"),
        (LOIHI, {"bias": (GatedBias(np.array(4095)), GatedBias(np.array(2), 3))}, "bias"),
        (LOIHI, {"bias": (GatedBias(np.array(1 << 19)),)}, "bias"),
        (TOY, {"input_shift": 17}, "input_shift"),
        (LOIHI, {"refractory": 63, "refractory_hold": True}, "refractory"),
        (LOIHI, {"refractory": 2}, "refractory_hold"),
        (LOIHI, {"adaptation": Adaptation("step", np.array(1))}, "adaptation"),
        (LOIHI, {"state_range": StateRange(-(2**22), 2**22, "wrap"), "input_shift": 14}, "state"),
        (LOIHI, {"state_range": StateRange(-(2**30), 2**30), "input_shift": 14}, "state_range"),
        (
            LOIHI,
            {"current": Leak(np.array(1), 1, "toward_zero"), "input_shift": 14},
            "current_range",
        ),
    ],
)
def test_a_neuron_the_core_cannot_compute_is_named(
    target: Target, changes: dict[str, Any], part: str
) -> None:
    report = examine(small_deployment(target, small_network(**changes)))
    found = [v.where for v in report.violations if v.rule == "neuron" and v.where[0] == "b"]
    assert any(where.startswith(f"b.{part}") for where in found), report.violations


@pytest.mark.parametrize(
    ("target", "changes"),
    [
        (LOIHI, {"thresholds": np.array([(((1 << 17) - 1) << 6) + 1])}),
        (LOIHI, {"leak": Leak(np.array(3), 2, "toward_zero")}),
        (LOIHI, {"leak": Leak(np.array(1))}),
        (LOIHI, {"current": Leak(np.array(0))}),
        (LOIHI, {"bias": (GatedBias(np.array(-4095 << 7)),)}),
        (LOIHI, {"bias": (GatedBias(np.array(4095)), GatedBias(np.array(1), 3))}),
        (LOIHI, {"refractory": 62, "refractory_hold": True}),
        (LOIHI, {"state_range": StateRange(-(2**40), 2**40)}),
        (LOIHI, {"emit": "state", "thresholds": np.zeros(0, np.int64), "leak": Leak(np.array(0))}),
        (TOY, {"reset": Reset("none")}),
        (TOY, {"leak": Leak(np.array(0))}),
        (TOY, {"leak": Leak(np.array(3), 2, "half_even")}),
        (TOY, {"adaptation": Adaptation("step", np.array(1))}),
        (TOY, {"recovery": Recovery(Leak(np.array(1), 1, "toward_zero"))}),
        (TOY, SIGMA_DELTA | {"thresholds": np.array([(1 << 31) - 1])}),
        (TOY, {"emit": "state", "thresholds": np.zeros(0, np.int64)}),
    ],
)
def test_a_neuron_the_core_computes_exactly_passes(target: Target, changes: dict[str, Any]) -> None:
    assert broken(small_deployment(target, small_network(**changes))) == set()


def test_sums_that_could_wrap_in_the_accumulator_are_refused(loihi: Deployment) -> None:
    report = examine(replace(loihi, target=modified(LOIHI, "neuron.accumulator_bits", 10)))
    assert set(report.broken) == {"neuron"}
    assert report.violations[0].where == "a.input"


def test_the_accumulator_holds_the_shifted_input() -> None:
    assert broken(small_deployment(LOIHI, small_network(input_shift=10))) == set()
    report = examine(small_deployment(LOIHI, small_network(input_shift=14)))
    assert [v.where for v in report.violations] == ["b.input"]


def test_a_population_without_offset_breaks_the_schedule(toy: Deployment) -> None:
    offset = {k: v for k, v in toy.schedule.offset.items() if k != "b"}
    report = examine(replace(toy, schedule=replace(toy.schedule, offset=offset)))
    assert str(report.violations[0]) == "[schedule] b: no offset (allowed: one per population)"


def test_an_invented_offset_breaks_the_schedule(toy: Deployment) -> None:
    offset = {**toy.schedule.offset, "ghost": 0}
    assert broken(replace(toy, schedule=replace(toy.schedule, offset=offset))) == {"schedule"}


def test_a_spike_faster_than_the_network_breaks_the_schedule(toy: Deployment) -> None:
    offset = {**toy.schedule.offset, "b": 0}
    report = examine(replace(toy, schedule=replace(toy.schedule, offset=offset)))
    assert set(report.broken) == {"schedule", "function"}
    assert str(report.violations[0]).startswith("[schedule] a -> b (delay 0): 0 ticks")


def test_another_offset_needs_other_axon_delays(toy: Deployment) -> None:
    offset = {**toy.schedule.offset, "b": toy.schedule.offset["b"] + 1}
    changed = replace(toy, schedule=replace(toy.schedule, offset=offset))
    assert broken(changed) == {"function"}


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("cores.synapse_weight", add(0, 1)),
        ("cores.synapse_weight", put(5, 0)),
        ("cores.axon_delay", add(0, 1)),
    ],
)
def test_one_changed_synapse_breaks_the_function(
    toy: Deployment, table: str, change: Change
) -> None:
    assert broken(tamper(toy, table, change)) == {"function"}


def test_the_function_rule_names_the_synapse(toy: Deployment) -> None:
    weight = int(toy.cores.synapse_weight[0])
    report = examine(tamper(toy, "cores.synapse_weight", add(0, 1)))
    assert report.broken == {"function": 1}
    violation = report.violations[0]
    assert violation.found == f"1 stored synapse(s) of weight {weight + 1}"
    assert violation.allowed == f"weight {weight}"
    assert " -> " in violation.where
    assert "ticks" in violation.where


def test_a_synapse_stored_twice_breaks_the_function(toy: Deployment) -> None:
    cores = toy.cores
    doubled = replace(
        cores,
        synapse_ptr=np.concatenate([[0], cores.synapse_ptr[1:] + 1]),
        synapse_target=np.concatenate([cores.synapse_target[:1], cores.synapse_target]),
        synapse_weight=np.concatenate([cores.synapse_weight[:1], cores.synapse_weight]),
    )
    report = examine(replace(toy, cores=doubled))
    assert report.broken == {"function": 1}
    assert report.violations[0].found.startswith("2 stored")


def test_a_stored_zero_changes_nothing(toy: Deployment) -> None:
    cores = toy.cores
    padded = replace(
        cores,
        synapse_ptr=np.concatenate([[0], cores.synapse_ptr[1:] + 1]),
        synapse_target=np.concatenate([cores.synapse_target[:1], cores.synapse_target]),
        synapse_weight=np.concatenate([[0], cores.synapse_weight]),
    )
    assert broken(replace(toy, cores=padded)) == set()


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


def test_the_error_lists_the_first_violations_and_counts_the_rest(toy: Deployment) -> None:
    changed = tamper(toy, "cores.synapse_weight", add(slice(0, 30), 1))
    with pytest.raises(VerificationError) as caught:
        verify(changed)
    text = str(caught.value)
    assert text.startswith("small: the deployment breaks 30 fact(s) of 1 rule(s)")
    assert "[function] " in text
    assert "and 22 more" in text
    assert "the core images hold exactly the network's synapses" in text
