"""Weights, values and neurons that a core cannot hold or compute."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.deployments import small_deployment, small_network
from support.tampering import broken, capped, modified, put, tamper

from snnc.backends.targets import load
from snnc.compiler.verify import examine
from snnc.ir.deployment import Deployment
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
from snnc.ir.types import ValueType

TOY = load("toy-mesh")
LOIHI = load("loihi1")


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
