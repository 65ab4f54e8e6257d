"""Schedules and synapses that are not those of the network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.tampering import Change, add, broken, put, tamper

from snnc.compiler.verify import examine
from snnc.ir.deployment import Deployment


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
