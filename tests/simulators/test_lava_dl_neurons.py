"""Adaptive LIF and sigma-delta neurons: written directly, equal on every simulator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.compiled import compiled
from support.lava_dl_networks import (
    alif_network,
    encoder,
    plain_alif,
    plain_sigma_delta,
    random_values,
    sigma_delta_network,
)
from support.simple_mapping import simple_mapping
from support.small_targets import small_target

from snnc.backends.targets.loader import load
from snnc.ir.artifact import read, write
from snnc.ir.codec import decode, encode
from snnc.ir.errors import ModelError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import (
    MEMORYLESS,
    NO_LEAK,
    Adaptation,
    DeltaCode,
    GatedBias,
    Leak,
    Neuron,
    Recovery,
    Reset,
    StateRange,
)
from snnc.ir.nodes import Input, Output
from snnc.ir.types import ValueType
from snnc.probing import probe
from snnc.simulators import cycle, functional, reference
from snnc.simulators.reference.neuron import PopulationState

STEPS, SAMPLES = 10, 2


def steps_of(neuron: Neuron, x: Any) -> Any:
    """What a population emits for summed inputs [steps, neurons]."""
    state = PopulationState(neuron, 1)
    return np.concatenate([state.step(row[None], t) for t, row in enumerate(x)])


def equal_everywhere(network: IntegerNetwork, inputs: dict[str, Any]) -> int:
    """Assert that the simulators agree; how many nonzero values there were."""
    truth = reference.run(network, inputs)
    target = small_target(4, 4, 2, signed=True, payload_bits=40)
    deployment = simple_mapping(network, target, STEPS)
    for other in (
        functional.run(network, inputs),
        cycle.run(deployment, inputs, timing=False).result,
    ):
        assert set(truth.mismatches(other).values()) == {0}
    return sum(events.index.size for events in truth.spikes.values())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_adaptive_networks_are_equal_on_all_simulators(seed: int) -> None:
    network = alif_network(seed)
    equal_everywhere(network, random_values(network, seed, SAMPLES, STEPS))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bits=st.sampled_from([None, 4, 16]))
def test_sigma_delta_networks_are_equal_on_all_simulators(seed: int, bits: int | None) -> None:
    network = sigma_delta_network(seed, bits)
    equal_everywhere(network, random_values(network, seed, SAMPLES, STEPS))


def test_the_random_networks_do_something() -> None:
    for make in (alif_network, sigma_delta_network):
        sent = [
            equal_everywhere(make(seed), random_values(make(seed), seed, SAMPLES, STEPS))
            for seed in range(4)
        ]
        assert min(sent) > 20, make


@pytest.mark.parametrize("make", [alif_network, sigma_delta_network])
def test_they_compile_for_the_toy_mesh_with_every_value_kept(make: Any) -> None:
    for seed in range(3):
        network = make(seed)
        inputs = random_values(network, seed, SAMPLES, STEPS)
        deployment = compiled(network, load("toy-mesh"), STEPS)
        truth = reference.run(network, inputs)
        result = cycle.run(deployment, inputs).result
        assert set(truth.mismatches(result).values()) == {0}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_adaptive_neuron_is_lava_dls(seed: int) -> None:
    rng = np.random.default_rng(seed)
    decays = {
        name: int(rng.choice([0, 4096, rng.integers(0, 4097)]))
        for name in ("iDecay", "vDecay", "thDecay", "refDecay")
    }
    threshold, step = (int(value) for value in rng.integers(0, 200, 2))

    def leak(name: str) -> Leak:
        return Leak(np.array(4096 - decays[name]), 12, "toward_zero")

    neuron = Neuron(
        "n", ("w",), (6,), np.array([threshold << 6]), Reset("none"), leak("vDecay"),
        leak("iDecay"), 6, adaptation=Adaptation("raise_decay", np.array(step << 6),
        leak("thDecay")), recovery=Recovery(leak("refDecay")),
    )  # fmt: skip
    x = rng.integers(-60, 120, (30, 6))
    parameters = {**decays, "vThMant": threshold, "vThStep": step, "bias": 0}
    np.testing.assert_array_equal(steps_of(neuron, x), plain_alif(parameters, x))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_sigma_delta_neuron_is_lavas(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shift, spike = (int(value) for value in rng.integers(0, 7, 2))
    vth, unit = int(rng.integers(0, 20)), shift + spike
    bias = rng.integers(-20, 20, 6)
    neuron = Neuron(
        "n", ("w",), (6,), np.array([vth << unit]), Reset("none"), MEMORYLESS, NO_LEAK,
        bias=(GatedBias(bias << unit),), emit="delta", delta=DeltaCode("relu", shift),
    )  # fmt: skip
    x = rng.integers(-500, 700, (30, 6)) << rng.integers(0, 4, (30, 1))
    found = steps_of(neuron, x)
    np.testing.assert_array_equal(found, plain_sigma_delta(vth, bias, unit, shift, x))
    delta = encoder(rng, "e", "x", (6,))
    assert delta.delta is not None
    unit, y = delta.input_shift, rng.integers(-100, 100, (30, 6))
    wanted = plain_sigma_delta(
        int(delta.thresholds[0, 0]) >> unit, 0, unit, delta.delta.shift, y, relu=False
    )
    np.testing.assert_array_equal(steps_of(delta, y), wanted)


def test_feedback_of_the_message_makes_up_for_its_rounding() -> None:
    def received(feedback: Any) -> int:
        neuron = Neuron(
            "n", ("w",), (1,), np.array([1]), Reset("none"), MEMORYLESS, NO_LEAK, emit="delta",
            delta=DeltaCode("relu", 4, feedback),
        )  # fmt: skip
        return int(steps_of(neuron, np.full((100, 1), 7)).sum()) << 4

    assert received("change") == 0  # every change of 7 is rounded down to nothing, and forgotten
    assert 700 - 16 < received("message") <= 700


def test_messages_clip_at_their_width_and_what_is_left_follows() -> None:
    neuron = Neuron(
        "n", ("w",), (1,), np.array([1]), Reset("none"), MEMORYLESS, NO_LEAK, emit="delta",
        delta=DeltaCode("relu", 0, "message", 4),
    )  # fmt: skip
    x = np.array([[17], [0], [0], [0], [-17], [0], [0]])
    assert steps_of(neuron, x)[:, 0].tolist() == [7, 7, 3, 0, -7, -7, -3]
    assert neuron.emitted == (-7, 7)


BASE = Neuron(
    "n", ("x",), (2,), np.array([4]), Reset("none"), MEMORYLESS, NO_LEAK, emit="delta",
    delta=DeltaCode("relu", 1, message_bits=9),
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"emit": "count"}, "go together"),
        ({"delta": None}, "go together"),
        ({"thresholds": np.array([4, 5])}, "one threshold"),
        ({"thresholds": np.array([-1])}, "not negative"),
        ({"negative_thresholds": np.array([1])}, "one threshold"),
        ({"reset": Reset("value")}, "no reset"),
        ({"refractory": 1}, "no reset"),
        ({"emission": np.array([0, 2])}, "no reset"),
        ({"adaptation": Adaptation("decay", np.array(1))}, "no reset"),
        ({"recovery": Recovery(NO_LEAK)}, "relative refractory"),
    ],
)
def test_what_a_sigma_delta_neuron_cannot_have_is_refused(
    changes: dict[str, Any], match: str
) -> None:
    with pytest.raises(ModelError, match=match):
        replace(BASE, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"thresholds": np.array([4, 5])},
        {"negative_thresholds": np.array([1])},
        {"refractory": 2},
        {"thresholds": np.zeros(0, np.int64), "emit": "state"},
    ],
)
def test_a_relative_refractory_state_goes_with_one_threshold(changes: dict[str, Any]) -> None:
    neuron = replace(BASE, emit="count", delta=None, recovery=Recovery(NO_LEAK))
    with pytest.raises(ModelError, match="relative refractory"):
        replace(neuron, **changes)


def test_limits_of_the_records_themselves() -> None:
    for bad in ({"shift": 31}, {"shift": -1}, {"message_bits": 1}, {"message_bits": 63}):
        with pytest.raises(ModelError, match="a message is shifted"):
            DeltaCode("relu", **bad)  # type: ignore[arg-type]
    for factor in (-1, 1 << 16):
        with pytest.raises(ModelError, match="recovery factor"):
            Recovery(NO_LEAK, factor)


def test_states_that_could_leave_63_bits_are_refused() -> None:
    wide = replace(BASE, state_range=StateRange(-(2**61), 2**61), delta=DeltaCode())
    with pytest.raises(ModelError, match="63 bits"):
        IntegerNetwork("n", (Input("x", (2,), ValueType("bin")), wide, Output("o", ("n",))))


@pytest.mark.parametrize("make", [alif_network, sigma_delta_network])
def test_a_probe_sees_what_decides(make: Any) -> None:
    network = make(0)
    inputs = random_values(network, 4, 1, STEPS)
    truth = reference.run(network, inputs)
    decided = 0
    for population in network.populations:
        if population.emit == "state":
            continue
        events = truth.spikes[population.name]
        sent = {(int(s), int(i)) for s, i in zip(events.step, events.index, strict=True)}
        for step in range(STEPS):
            for index in range(min(population.size, 4)):
                seen = probe(network, inputs, population.name, index, step)
                assert seen is not None
                if (step, index) in sent:
                    assert seen.potential >= seen.threshold
                    decided += 1
                elif population.delta is None:
                    assert seen.potential < seen.threshold
    assert decided > 5


def test_an_artifact_keeps_them(tmp_path: Any) -> None:
    for network in (alif_network(3), sigma_delta_network(3)):
        arrays: dict[str, Any] = {}
        plain = encode(network, arrays)
        again = decode(plain, arrays)
        for mine, theirs in zip(network.populations, again.populations, strict=True):
            assert (mine.delta, mine.emit) == (theirs.delta, theirs.emit)
            if mine.recovery is not None:
                left, right = mine.recovery, theirs.recovery
                assert left.factor == right.factor
                np.testing.assert_array_equal(left.leak.multiplier, right.leak.multiplier)
    deployment = compiled(sigma_delta_network(1), load("toy-mesh"), STEPS)
    write(deployment, tmp_path / "a.snnc")
    stored = read(tmp_path / "a.snnc").network
    assert [n.delta for n in stored.populations] == [
        n.delta for n in deployment.network.populations
    ]
