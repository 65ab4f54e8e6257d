"""The emulated chip computes what the reference computes, spike by spike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.random_networks import Options as NetworkOptions
from support.random_networks import random_inputs, random_network
from support.same_run import assert_same_run
from support.simple_mapping import Options, simple_mapping
from support.small_targets import small_target

from snnc.backends import targets
from snnc.ir.deployment import Deployment
from snnc.ir.errors import ArtifactError, InputError, OptionError, UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import GatedBias, Neuron, Reset
from snnc.ir.nodes import Add, Delay, Input, Linear, Output
from snnc.ir.target import Target
from snnc.ir.types import BIN, ValueType
from snnc.ir.weights import Dense
from snnc.simulators import cycle, functional, reference

STEPS = 12


def dense(rng: np.random.Generator, out: int, into: int) -> Dense:
    return Dense(rng.integers(-6, 12, (out, into)))


def population(name: str, source: str, size: int, level: int, bias: int = 0) -> Neuron:
    return Neuron(
        name, (source,), (size,), np.array([level]), Reset("subtract", np.array(level)),
        bias=(GatedBias(np.array(bias)),),
    )  # fmt: skip


def residual_network(bias: int = 2) -> IntegerNetwork:
    """x -> a -> b -> c with a skip from a to c and biases everywhere."""
    rng = np.random.default_rng(1)
    nodes = (
        Input("x", (10,), BIN),
        Linear("wa", ("x",), dense(rng, 14, 10)),
        population("a", "wa", 14, 12, bias),
        Linear("wb", ("a",), dense(rng, 14, 14)),
        population("b", "wb", 14, 30, bias),
        Linear("wc", ("b",), dense(rng, 9, 14)),
        Linear("ws", ("a",), dense(rng, 9, 14)),
        Add("sum", ("wc", "ws")),
        population("c", "sum", 9, 40, bias),
        Output("out", ("c",)),
    )
    return IntegerNetwork("residual", nodes)


def loop_network() -> IntegerNetwork:
    """Two populations in a loop whose logical delay of 1 is shorter than its two hops."""
    rng = np.random.default_rng(2)
    nodes = (
        Input("x", (6,), BIN),
        Linear("wx", ("x",), dense(rng, 8, 6)),
        Delay("back", ("b",), 1),
        Linear("wr", ("back",), dense(rng, 8, 8)),
        Add("sum", ("wx", "wr")),
        population("a", "sum", 8, 20),
        Linear("wb", ("a",), dense(rng, 8, 8)),
        population("b", "wb", 8, 20, 3),
        Output("out", ("b",)),
    )
    return IntegerNetwork("loop", nodes)


def spikes_in(network: IntegerNetwork, seed: int = 0, samples: int = 3) -> dict[str, np.ndarray]:
    return random_inputs(network, seed, samples, STEPS)


def assert_exact(deployment: Deployment, inputs: dict[str, np.ndarray], timing: bool) -> None:
    got = cycle.run(deployment, inputs, timing=timing)
    assert set(got.result.spikes) == {p.name for p in deployment.network.populations}
    assert got.stray_inputs == 0
    assert_same_run(got.result, reference.run(deployment.network, inputs))


@pytest.mark.parametrize("multicast", [True, False])
@pytest.mark.parametrize("chips", [1, 2])
@pytest.mark.parametrize("interleave", [True, False])
def test_a_residual_network_is_exact_on_any_placement(
    multicast: bool, chips: int, interleave: bool
) -> None:
    network = residual_network()
    target = small_target(3, 3, 2, multicast=multicast)
    options = Options(neurons_per_core=4, interleave=interleave, seed=5)
    deployment = simple_mapping(network, target, STEPS, chips, options)
    assert_exact(deployment, spikes_in(network), timing=True)


def test_without_retiming_a_residual_network_is_wrong_and_with_it_exact() -> None:
    network, inputs = residual_network(), spikes_in(residual_network())
    target = small_target(3, 3, 2)
    expected = reference.run(network, inputs)
    wrong = simple_mapping(network, target, STEPS, options=Options(balance=False))
    assert cycle.run(wrong, inputs, timing=False).result.mismatches(expected)["c"] > 0
    right = simple_mapping(network, target, STEPS)
    assert sum(cycle.run(right, inputs, timing=False).result.mismatches(expected).values()) == 0


def test_a_bias_that_starts_before_its_window_would_be_wrong() -> None:
    """The gate is real: the populations' windows start at different ticks."""
    network = residual_network()
    deployment = simple_mapping(network, small_target(3, 3, 2), STEPS)
    offsets = dict(deployment.schedule.offset)
    assert offsets["c"] > offsets["a"]
    early = replace(deployment.schedule, offset={**offsets, "c": 0})
    expected = reference.run(network, spikes_in(network))
    got = cycle.run(replace(deployment, schedule=early), spikes_in(network), timing=False)
    assert got.result.mismatches(expected)["c"] > 0


@pytest.mark.parametrize("initial", [2**31, -(2**40)])
def test_a_state_beyond_32_bits_is_recorded_exactly(initial: int) -> None:
    neuron = Neuron(
        "n",
        ("w",),
        (2,),
        np.zeros((0, 2), np.int64),
        Reset("none", np.array(0)),
        emit="state",
        initial=np.array(initial),
    )
    weights = Linear("w", ("x",), Dense(np.array([[3, 0, 1], [0, -2, 5]])))
    nodes = Input("x", (3,), BIN), weights, neuron, Output("o", ("n",))
    network = IntegerNetwork("states", nodes)
    inputs = spikes_in(network)
    expected = reference.run(network, inputs)
    assert expected.spikes["n"].value[0] != expected.spikes["n"].value[0].astype(np.int32)
    assert functional.run(network, inputs).mismatches(expected) == {"n": 0, "output o": 0}
    deployment = simple_mapping(network, small_target(), STEPS)
    assert_exact(deployment, inputs, timing=False)
    trace = cycle.run(deployment, inputs, trace=True).trace
    assert trace is not None
    assert trace.spikes.max() == np.abs(expected.outputs["o"]).sum(axis=2).max()


def test_a_loop_of_two_hops_and_one_step_runs_at_half_speed() -> None:
    network = loop_network()
    deployment = simple_mapping(network, small_target(), STEPS)
    assert deployment.schedule.period == 2
    assert_exact(deployment, spikes_in(network), timing=True)


@pytest.mark.parametrize(("payload_bits", "signed"), [(0, True), (3, True), (16, True)])
def test_counts_are_exact_whatever_a_packet_can_say(payload_bits: int, signed: bool) -> None:
    options = NetworkOptions(layers=3, width=3)
    for seed in range(4):
        network = random_network(seed, options)
        target = roomy_target(network, payload_bits=payload_bits, signed=signed)
        deployment = simple_mapping(network, target[0], STEPS, options=target[1])
        assert_exact(deployment, spikes_in(network, seed, 1), timing=False)


def roomy_target(
    network: IntegerNetwork, seed: int | None = None, **features: object
) -> tuple[Target, Options]:
    """A 3 x 3 machine and a core size that makes the network fit it."""
    neurons = sum(p.size for p in network.populations)
    per_core = max(3, -(-neurons // 16))
    options = Options(per_core, interleave=bool(seed and seed % 2), seed=seed)
    return small_target(3, 3, 2, **features), options  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10**6),
    multicast=st.booleans(),
    chips=st.integers(1, 2),
    period=st.integers(1, 3),
)
def test_random_networks_on_random_placements_are_exact(
    seed: int, multicast: bool, chips: int, period: int
) -> None:
    network = random_network(seed, NetworkOptions(layers=4, width=3))
    target, options = roomy_target(network, seed, multicast=multicast, signed=True, payload_bits=8)
    options = replace(options, period=period)
    deployment = simple_mapping(network, target, STEPS, chips, options)
    assert_exact(deployment, spikes_in(network, seed, 1), timing=True)


WITH_TICKS = [n for n in targets.names() if targets.load(n).execution.sync != "async"]


@pytest.mark.parametrize("name", WITH_TICKS)
def test_every_shipped_target_with_ticks_runs_exactly(name: str) -> None:
    """The oracle mapper ignores capacities; time, energy and packets are the target's.

    Machines without ticks: test_asynchronous.py.
    """
    target = targets.load(name)
    network, inputs = residual_network(), spikes_in(residual_network())
    deployment = simple_mapping(network, target, STEPS, options=Options(neurons_per_core=4))
    got = cycle.run(deployment, inputs)
    assert sum(got.result.mismatches(reference.run(network, inputs)).values()) == 0
    assert got.timing is not None
    assert got.timing.seconds.min() > 0
    assert got.timing.deadline_misses == 0
    priced = {kind for kind, joule in got.energy.by_kind.items() if joule > 0}
    missing = {u.kind for u in got.unpriced if u.quantity == "energy"}
    assert priced.isdisjoint(missing)
    assert priced or missing


def test_fewer_steps_than_compiled_for_give_the_beginning_of_the_result() -> None:
    network = residual_network()
    deployment = simple_mapping(network, small_target(3, 3, 2), STEPS)
    inputs = {name: x[:, :5] for name, x in spikes_in(network).items()}
    assert_exact(deployment, inputs, timing=True)


def test_record_limits_the_spikes_but_not_outputs_and_counts() -> None:
    network, inputs = residual_network(), spikes_in(residual_network())
    deployment = simple_mapping(network, small_target(3, 3, 2), STEPS)
    got = cycle.run(deployment, inputs, record=["b"], timing=False)
    assert set(got.result.spikes) == {"b"}
    assert set(got.result.spike_counts) == {"a", "b", "c"}
    assert got.result.mismatches(reference.run(network, inputs)) == {"b": 0, "output out": 0}
    with pytest.raises(OptionError, match="only populations can be recorded"):
        cycle.run(deployment, inputs, record=["x"])


def test_progress_is_reported_per_sample() -> None:
    network = residual_network()
    deployment = simple_mapping(network, small_target(3, 3, 2), STEPS)
    seen: list[tuple[int, int]] = []
    cycle.run(deployment, spikes_in(network), timing=False, progress=lambda *at: seen.append(at))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_an_input_longer_than_compiled_for_is_refused() -> None:
    network = residual_network()
    deployment = simple_mapping(network, small_target(3, 3, 2), STEPS - 1)
    with pytest.raises(InputError, match=r"longer than .* compiled for"):
        cycle.run(deployment, spikes_in(network))


def test_negative_counts_on_a_machine_without_sign_are_refused() -> None:
    nodes = (
        Input("x", (2,), ValueType("tern")),
        Linear("w", ("x",), Dense(np.array([[1, 2]]))),
        population("a", "w", 1, 2),
        Output("out", ("a",)),
    )
    deployment = simple_mapping(IntegerNetwork("signed", nodes), small_target(), 3)
    with pytest.raises(UnsupportedError, match=r"no sign.*\n.*found: x"):
        cycle.run(deployment, {"x": np.full((1, 3, 2), -1)})


def test_an_output_that_reads_no_population_is_refused() -> None:
    nodes = (
        Input("x", (2,), BIN),
        Linear("w", ("x",), Dense(np.array([[1, 2], [3, 4]]))),
        population("a", "w", 2, 2),
        Delay("late", ("a",), 1),
        Output("out", ("a",)),
        Output("delayed", ("late",)),
    )
    deployment = simple_mapping(IntegerNetwork("o", nodes[:-2] + nodes[-2:-1]), small_target(), 3)
    deployment = replace(deployment, network=IntegerNetwork("o", nodes))
    with pytest.raises(UnsupportedError, match=r"delayed: an output must read a population"):
        cycle.run(deployment, {"x": np.ones((1, 3, 2), np.int64)})


def test_a_chip_on_which_nothing_ever_fires() -> None:
    """Beyond 127 inputs the numbers of neurons do not fit the type of an empty list."""
    nodes = (
        Input("x", (200,), BIN),
        Linear("w", ("x",), Dense(np.ones((3, 200), np.int64))),
        population("a", "w", 3, 10**6),
        Output("out", ("a",)),
    )
    network = IntegerNetwork("silent", nodes)
    deployment = simple_mapping(network, small_target(2, 1, 2), STEPS)
    inputs = {"x": np.ones((2, STEPS, 200), np.int64)}
    done = cycle.run(deployment, inputs).result
    assert not any(reference.run(network, inputs).mismatches(done).values())
    assert done.spikes["a"].count == 0
    assert not done.outputs["out"].any()


@pytest.mark.parametrize(
    ("part", "field", "entry", "value"),
    [
        ("cores", "synapse_target", 0, 99),
        ("cores", "axon_source", 0, 10**6),
        ("cores", "axon_delay", 0, -1),
        ("cores", "neuron_source", 0, 12),
        ("cores", "location", (0, 0), 7),
        ("cores", "synapse_ptr", 1, 10**6),
        ("routes", "branch_router", 1, 8),
        ("routes", "branch_parent", 1, 1),
        ("routes", "delivery_core", 0, 40),
        ("routes", "send_net", 0, 1),
        ("routes", "send_ptr", 0, 1),
    ],
)
def test_tampered_tables_are_refused(part: str, field: str, entry: object, value: int) -> None:
    network = residual_network()
    deployment = simple_mapping(network, small_target(3, 3, 2), STEPS)
    tables = getattr(deployment, part)
    array = getattr(tables, field).copy()
    array[entry] = value
    broken = replace(deployment, **{part: replace(tables, **{field: array})})
    with pytest.raises(ArtifactError, match="tables contradict each other"):
        cycle.run(broken, spikes_in(network))
