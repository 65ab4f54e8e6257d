"""Networks with products, maxima, tables and sums over time: on the chip as in the reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import nets
from support import operator_zoo as zoo
from support.deployed import deployed
from support.random_networks import random_inputs
from support.random_operators import random_operators

from snnc.backends.targets import load
from snnc.compiler.analysis import analyse
from snnc.compiler.legalize import findings, legalize
from snnc.compiler.retime import retime
from snnc.ir.arrays import size_of
from snnc.ir.deployment import Deployment
from snnc.ir.errors import OptionError, UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Add, Index, Input, Linear, Lut, Mul, Output, Pool, Reduce
from snnc.ir.target import Target
from snnc.ir.types import BIN, ValueType
from snnc.ir.weights import Dense
from snnc.simulators import cycle, functional, reference
from snnc.simulators.result import RunResult

TOY, ZOO = load("toy-mesh"), zoo.networks()


def assert_equal(found: RunResult, expected: RunResult) -> None:
    for population, events in expected.spikes.items():
        assert found.spikes[population].mismatches(events) == 0, population
    for output, values in expected.outputs.items():
        np.testing.assert_array_equal(found.outputs[output], values, output)


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo_runs_on_cores_exactly(name: str) -> None:
    network, steps = ZOO[name]
    data = random_inputs(network, 0, samples=2, steps=steps, rate=0.5)
    expected = reference.run(network, data)
    assert min(int(c.sum()) for c in expected.spike_counts.values()) > 0, expected.spike_counts
    assert expected.outputs["out"].any()
    placed = deployed(network, TOY, steps)
    assert_equal(functional.run(network, data), expected)
    assert_equal(reference.run(placed.network, data), expected)
    assert_equal(functional.run(placed.network, data), expected)
    assert_equal(cycle.run(placed, data).result, expected)


def random_run(seed: int) -> None:
    steps = 2 + seed % 3
    network = random_operators(seed, steps)
    data = random_inputs(network, seed, samples=2, steps=steps, rate=0.5)
    emulated = cycle.run(deployed(network, TOY, steps, chips=16), data)
    assert_equal(emulated.result, reference.run(network, data))


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_operators_run_on_cores_exactly(seed: int) -> None:
    random_run(seed)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_many_random_operators_run_on_cores_exactly(seed: int) -> None:
    random_run(seed)


def test_attention_of_a_real_size_maps_and_runs() -> None:
    network = zoo.linear_attention(channels=32, tokens=16, heads=2)
    placed = deployed(network, TOY, 2, chips=24)
    assert placed.network.assumptions["rewritten kv"] == (
        "MatMul rewritten into 8,192 neurons of 1 population(s) with 16,384 synapses"
    )
    data = random_inputs(network, 0, samples=1, steps=2, rate=0.5)
    assert_equal(cycle.run(placed, data, timing=False).result, reference.run(network, data))


@pytest.mark.parametrize("code", ["unary", "bitplane"])
@pytest.mark.parametrize("name", ["hamming-T2", "v3-counts"])
def test_counts_of_helpers_and_barriers_cross_the_chip_in_slots(name: str, code: Any) -> None:
    network, steps = ZOO[name]
    data = random_inputs(network, 0, samples=2, steps=steps, rate=0.5)
    placed = deployed(network, TOY, steps, chips=2, wire_code=code)
    assert placed.schedule.period > 1
    assert_equal(cycle.run(placed, data).result, reference.run(network, data))


def test_the_analysis_sees_every_operator_and_step_of_a_barrier() -> None:
    network, steps = ZOO["hamming-T3"]
    data = random_inputs(network, 0, samples=2, steps=steps, rate=0.5)
    expected = reference.run(network, data)
    for each in (network, legalize(network, TOY)):
        found = analyse(each, inputs=data).activity
        assert found is not None
        size = size_of(network.shapes["q"])
        spikes = expected.spike_counts["q"].sum() / (2 * steps * size)
        assert found.rates["q"] == pytest.approx(spikes)


# --- single thresholds ---------------------------------------------------------------------------


def gates(shift: int = 6) -> IntegerNetwork:
    """AND, OR, x (1 - y) and a gated count of populations that Loihi's neurons can be."""
    rng = np.random.default_rng(3)
    nodes: list[Any] = [
        Input("x", (10,), BIN),
        *(Linear(f"w{n}", ("x",), Dense(rng.integers(-20, 60, (12, 10)))) for n in "abc"),
        *(nets.fire(n, f"w{n}", (12,), 64 * 40 + 1) for n in "abc"),
        Mul("and", ("a", "b")),
        Lut("not", ("b",), 0, np.array([1, 0])),
        Mul("iand", ("a", "not")),
        Add("count", ("a", "b", "c")),
        Mul("gated", ("count", "c")),
        Index("square", ("a",), (2, 6)),
        Pool("or", ("square",), "max", (2,), (2,), ((0, 0),)),
    ]
    ends = {"and": (12,), "iand": (12,), "gated": (12,), "or": (2, 3)}
    for name, size in ends.items():
        nodes += [nets.fire(f"n_{name}", name, size, 65), Output(f"out_{name}", (f"n_{name}",))]
    return nets.with_input_shift(IntegerNetwork("gates", tuple(nodes)), shift)


@pytest.mark.parametrize("name", ["loihi1", "loihi2"])
def test_single_thresholds_and_a_leak_that_is_never_complete_compute_gates(name: str) -> None:
    network = gates()
    data = random_inputs(network, 1, samples=3, steps=6, rate=0.5)
    expected = reference.run(network, data)
    assert min(int(c.sum()) for c in expected.spike_counts.values()) > 0, expected.spike_counts
    placed = deployed(network, load(name), 6)
    assert_equal(reference.run(placed.network, data), expected)
    assert_equal(cycle.run(placed, data).result, expected)


def test_the_gated_count_takes_two_bits_of_single_thresholds() -> None:
    told = legalize(gates(), load("loihi1")).assumptions
    assert told["rewritten and"].startswith("Mul rewritten into 12 neurons of 1 population(s)")
    assert told["rewritten gated"].startswith("Mul rewritten into 24 neurons of 2 population(s)")


def test_neurons_that_never_forget_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="neurons that forget from step to step") as error:
        legalize(gates(0), load("truenorth"))
    assert {"and", "iand", "gated", "or"} <= set(error.value.where.split(", "))
    assert "multiplicative leak" in error.value.remedy


def test_a_membrane_maximum_is_too_large_for_a_leak_that_rounds_small_values_to_zero() -> None:
    with pytest.raises(UnsupportedError, match="the target's neurons forget 4095 at most") as error:
        legalize(zoo.ems(), load("loihi1"))
    assert "membrane_pool" in error.value.where


# --- verdicts ------------------------------------------------------------------------------------


def test_a_verdict_says_what_an_operator_becomes() -> None:
    found = {f.node: f for f in findings(gates(0), TOY)}
    assert found["or"].kind == "assumed"
    assert found["or"].reason == (
        "Pool max rewritten into 6 neurons of 1 population(s) with 12 synapses"
    )
    assert found["a"].kind == "ok"
    refused = {f.node for f in findings(gates(0), load("truenorth")) if f.kind == "refused"}
    assert {"and", "or"} <= refused


def test_a_step_function_with_too_many_levels_is_refused() -> None:
    table = np.arange(4096) % 2
    nodes = (
        Input("x", (4,), ValueType("cnt", 4095)),
        Lut("parity", ("x",), 0, table),
        Lut("wide", ("y",), 0, table),
        Input("y", (4,), ValueType("cnt", 1 << 21)),
        Output("out", ("parity",)),
        Output("late", ("wide",)),
    )
    (found,) = [f for f in findings(IntegerNetwork("luts", nodes), TOY) if f.node == "wide"]
    assert (found.kind, found.remedy) == ("refused", "narrow its input")
    assert "spans 2097152 values, at most 1048576 are tabulated" in found.reason


def test_a_narrow_table_of_many_changes_takes_several_ladders() -> None:
    nodes = (
        Input("x", (2,), ValueType("cnt", 999)),
        Lut("parity", ("x",), 0, np.arange(1000) % 2),
        Output("out", ("parity",)),
    )
    network = IntegerNetwork("parity", nodes)
    told = legalize(network, TOY).assumptions["rewritten parity"]
    assert told.startswith("Lut rewritten into 8 neurons of 4 population(s)")
    data = {"x": np.arange(1000).reshape(1, 500, 2)}
    expected = reference.run(network, data)
    assert_equal(reference.run(legalize(network, TOY), data), expected)


# --- time ----------------------------------------------------------------------------------------


def barrier(steps: int) -> IntegerNetwork:
    m = zoo.Maker()
    x = m.input((3, 2))
    total = m.reduce("total", x, (0,), steps)
    gated = m.mul("gated", x, m.broadcast("all", total, (3, 2)))
    m.readout(gated)
    return m.network("barrier")


def test_a_sum_over_time_doubles_the_latency_not_the_steps() -> None:
    placed = deployed(barrier(5), TOY, 5)
    offset = placed.schedule.offset
    assert offset["total.hold"] - offset["total.integral"] >= 5
    assert placed.schedule.ticks == 5 + max(offset.values())


def test_a_sum_over_time_needs_the_steps_it_was_made_for() -> None:
    network = legalize(barrier(5), TOY)
    with pytest.raises(OptionError, match="sums over all time steps") as error:
        retime(network, TOY, 6)
    assert (error.value.found, error.value.allowed) == ("6", "5")


def test_a_barrier_that_outlasts_the_axon_delays_is_refused_with_its_edges() -> None:
    network = legalize(barrier(40), TOY)
    with pytest.raises(UnsupportedError, match="must wait longer than the target's axons") as error:
        retime(network, TOY, 40)
    assert "x -> gated.gate needs" in error.value.where


def test_the_delayed_gate_is_what_makes_a_barrier_right() -> None:
    """Without the axonal delay, the query meets the sum of the wrong step."""
    network, steps = ZOO["hamming-T3"]
    data = random_inputs(network, 0, samples=2, steps=steps, rate=0.5)
    placed = deployed(network, TOY, steps)
    cores = placed.cores
    hurried = replace(cores, axon_delay=np.minimum(cores.axon_delay, 1))
    broken: Deployment = replace(placed, cores=hurried)
    found, expected = cycle.run(broken, data).result, reference.run(network, data)
    assert (found.outputs["out"] != expected.outputs["out"]).any()


def test_a_maximum_over_time_is_level_by_level() -> None:
    nodes = (
        Input("x", (3, 2), ValueType("cnt", 3)),
        Reduce("most", ("x",), "max", (0,), 4),
        Output("out", ("most",)),
    )
    network = IntegerNetwork("most", nodes)
    data = random_inputs(network, 0, samples=3, steps=4)
    expected = reference.run(network, data)
    wanted = data["x"].max(axis=(1, 2), keepdims=True)
    assert (expected.outputs["out"] == wanted.repeat(4, axis=1)).all()
    assert_equal(cycle.run(deployed(network, TOY, 4), data).result, expected)


def test_a_machine_that_cannot_hold_refuses_sums_over_time() -> None:
    data = TOY.model_dump(by_alias=True)
    data["neuron"]["reset"] = {"zero": {"ev": "assumed"}}
    with pytest.raises(UnsupportedError, match="neurons that add up over the sample"):
        legalize(barrier(3), Target.model_validate(data))
