"""Honest deployments break no rule; tables that point outside, and cores out of place, do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.deployments import small_deployment
from support.tampering import Change, add, broken, modified, put, tamper

from snnc.backends.targets import load
from snnc.compiler.verify import examine, verify
from snnc.ir.deployment import Deployment
from snnc.ir.errors import VerificationError

TOY = load("toy-mesh")


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


def test_the_error_lists_the_first_violations_and_counts_the_rest(toy: Deployment) -> None:
    changed = tamper(toy, "cores.synapse_weight", add(slice(0, 30), 1))
    with pytest.raises(VerificationError) as caught:
        verify(changed)
    text = str(caught.value)
    assert text.startswith("small: the deployment breaks 30 fact(s) of 1 rule(s)")
    assert "[function] " in text
    assert "and 22 more" in text
    assert "the core images hold exactly the network's synapses" in text
