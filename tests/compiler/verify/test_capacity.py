"""More of a resource than a core has, and the checker names it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.deployments import small_deployment, small_network
from support.tampering import broken, capped, modified

from snnc.backends.targets import load
from snnc.compiler.verify import examine
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import Deployment
from snnc.ir.neuron import (
    Leak,
    Reset,
)

TOY = load("toy-mesh")
LOIHI = load("loihi1")


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
