"""Counts through the compiler: which code is chosen, and that the chip stays exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.compiled import compiled
from support.random_networks import random_inputs

from snnc.backends.targets import check_target, load
from snnc.compiler.legalize import findings, legalize
from snnc.compiler.wire import Preference, wire_codes
from snnc.ir.errors import CapacityError, UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import GatedBias, Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import Add, Delay, Input, Linear, Output
from snnc.ir.target import Target
from snnc.ir.types import ValueType
from snnc.ir.weights import Dense
from snnc.ir.wire import WireCode
from snnc.simulators import cycle, reference

STEPS = 6


def changed(spike: dict[str, Any] | None = None, **neuron: Any) -> Target:
    """toy-mesh with binary packets, 15 levels, and what else is asked for."""
    toy = load("toy-mesh")
    packets = {"payload_bits": 0, "signed": False, **(spike or {})}
    levels = {"levels": 15, "negative_levels": 15, **neuron}
    return toy.model_copy(
        update={
            "spike": toy.spike.model_copy(update=packets),
            "neuron": toy.neuron.model_copy(update=levels),
        }
    )


TOY = changed()
GRADED = changed({"payload_bits": 8, "signed": True})
SIGNED = changed({"signed": True})
ONE_LEVEL = changed(levels=1, negative_levels=0)


def population(
    name: str, source: str, size: int, levels: int, negative: int = 0, first: int = 9, step: int = 7
) -> Neuron:
    return Neuron(
        name,
        (source,),
        (size,),
        first + step * np.arange(levels),
        Reset("subtract", np.array(step)),
        leak=Leak(np.array(3), 2),
        bias=(GatedBias(np.array(2), 1),),
        negative_thresholds=first + step * np.arange(negative),
        state_range=StateRange(-(2**31), 2**31 - 1),
    )


def counting(
    seed: int, levels: tuple[int, int] = (5, 3), negative: int = 0, kind: str = "cnt(3)"
) -> IntegerNetwork:
    """x -> a -> b, a skip x -> b, a loop b -> a of two steps."""
    rng = np.random.default_rng(seed)

    def dense(out: int, into: int) -> Dense:
        return Dense(rng.integers(-6, 12, (out, into)))

    return IntegerNetwork(
        "counting",
        (
            Input("x", (6,), ValueType.parse(kind)),
            Linear("wx", ("x",), dense(9, 6)),
            Delay("late", ("b",), 2),
            Linear("wr", ("late",), dense(9, 5)),
            Add("sum", ("wx", "wr")),
            population("a", "sum", 9, levels[0], negative),
            Linear("wb", ("a",), dense(5, 9)),
            Linear("ws", ("x",), dense(5, 6)),
            Add("sum2", ("wb", "ws")),
            population("b", "sum2", 5, levels[1], first=12, step=20),
            Output("out", ("b",)),
        ),
    )


def check(network: IntegerNetwork, target: Target, wire_code: Preference, seed: int) -> Any:
    """Compile, run and compare; returns the deployment and what the chip did."""
    deployment = compiled(network, target, STEPS, wire_code)
    inputs = random_inputs(network, seed, 2, STEPS)
    got = cycle.run(deployment, inputs)
    assert sum(got.result.mismatches(reference.run(network, inputs)).values()) == 0
    assert got.stray_inputs == 0
    return deployment, got


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10**6),
    levels=st.tuples(st.integers(1, 9), st.integers(1, 5)),
    negative=st.integers(0, 4),
    kind=st.sampled_from(["bin", "tern", "cnt(3)", "scnt(6)"]),
    wire_code=st.sampled_from(["auto", "unary", "bitplane"]),
    target=st.sampled_from([TOY, SIGNED]),
)
def test_compiled_counts_are_exact_on_binary_packets(
    seed: int,
    levels: tuple[int, int],
    negative: int,
    kind: str,
    wire_code: Preference,
    target: Target,
) -> None:
    network = counting(seed, levels, negative, kind)
    deployment, _ = check(network, target, wire_code, seed)
    for name, code in deployment.schedule.codes.items():
        sent = network.types[name]
        assert code.pair == (sent.low < 0 and target is TOY)
        if wire_code != "auto" and sent.magnitude > 1:
            assert code.kind == wire_code


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10**6),
    negative=st.integers(0, 3),
    target=st.sampled_from([GRADED, changed({"payload_bits": 4})]),
    wire_code=st.sampled_from(["auto", "graded", "unary"]),
)
def test_compiled_counts_are_exact_with_payload(
    seed: int, negative: int, target: Target, wire_code: Preference
) -> None:
    deployment, _ = check(counting(seed, negative=negative), target, wire_code, seed)
    wanted = "unary" if wire_code == "unary" else "graded"
    assert {code.kind for code in deployment.schedule.codes.values()} == {wanted}


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), levels=st.tuples(st.integers(2, 9), st.integers(2, 5)))
def test_a_single_threshold_counts_by_firing_again(seed: int, levels: tuple[int, int]) -> None:
    deployment, _ = check(counting(seed, levels), ONE_LEVEL, "auto", seed)
    codes = deployment.schedule.codes
    assert codes["a"] == WireCode("unary", levels[0], refire=True)
    assert codes["x"].kind == "burst"
    assert deployment.schedule.period >= max(levels)


def codes(network: IntegerNetwork, target: Target, wire_code: Preference = "auto") -> Any:
    found = wire_codes(legalize(network, target, wire_code), target, wire_code)
    return {name: (code.kind, code.slots) for name, code in found.items()}


def test_auto_takes_a_payload_then_the_fewest_ticks() -> None:
    network = counting(0, (5, 2))
    assert codes(network, TOY) == {"x": ("burst", 1), "a": ("bitplane", 3), "b": ("unary", 2)}
    assert codes(network, GRADED) == dict.fromkeys("xab", ("graded", 1))
    several = changed({"codes": ("burst", "unary")})
    assert codes(network, several) == dict.fromkeys("xab", ("burst", 1))
    only_unary = changed({"codes": ("unary",)})
    assert codes(network, only_unary)["a"] == ("unary", 5)
    assert codes(network, TOY, "unary") == {"x": ("unary", 3), "a": ("unary", 5), "b": ("unary", 2)}
    assert codes(counting(0, (1, 1), kind="bin"), TOY) == {}
    assert codes(counting(0, (1, 1), kind="tern"), TOY) == {"x": ("unary", 1)}
    assert codes(counting(0, (1, 1), kind="tern"), SIGNED) == {}


@pytest.mark.parametrize(
    ("network", "target", "wire_code", "text"),
    [
        (counting(0), load("loihi1"), "unary", "x: values of type cnt(3) by unary code, and "
         "loihi1 can send them by burst"),
        (counting(0), TOY, "graded", "b: values of type cnt(3) by graded code, and toy-mesh can "
         "send them by unary, bitplane"),
        (counting(0), ONE_LEVEL, "bitplane", "a: values of type cnt(5) by bitplane code, and "
         "toy-mesh can send them by unary, because its neuron counts by firing again"),
        (counting(0), changed({"codes": ()}), "auto", "a: values of type cnt(5), and toy-mesh can "
         "send them by no code"),
        (counting(0), changed(levels=1, refire_slots=4), "auto", "a: 5 spike levels, the target "
         "has 1; firing again reaches 4"),
        (counting(0), changed(levels=1, refire_slots=0), "auto",
         "it cannot fire again between updates"),
        (counting(0, (17, 3), 2), TOY, "auto", "firing again needs a neuron without negative"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused_by_name(
    network: IntegerNetwork, target: Target, wire_code: Preference, text: str
) -> None:
    with pytest.raises(UnsupportedError) as error:
        legalize(network, target, wire_code)
    assert text in error.value.found
    assert error.value.remedy


def test_thresholds_must_be_one_reset_apart_to_fire_again() -> None:
    nodes = counting(0, (3, 2)).nodes
    crooked = tuple(
        Neuron("b", n.inputs, n.shape, np.array([12, 31]), n.reset) if n.name == "b" else n
        for n in nodes
    )
    with pytest.raises(UnsupportedError, match="one reset apart"):
        legalize(IntegerNetwork("crooked", crooked), ONE_LEVEL)
    assert legalize(IntegerNetwork("crooked", crooked), TOY)
    hard = tuple(
        Neuron("b", n.inputs, n.shape, np.array([12, 32]), Reset("value")) if n.name == "b" else n
        for n in nodes
    )
    with pytest.raises(UnsupportedError, match="needs a reset by subtraction"):
        legalize(IntegerNetwork("hard", hard), ONE_LEVEL)


def test_what_is_taken_for_granted_of_senders_is_said() -> None:
    found = {f.reason for f in findings(counting(0, negative=2, kind="scnt(2)"), TOY)}
    assert "scnt(2): up to 2 packets per element and step" in found
    assert "scnt(5): the sign picks one of two axons with opposite weights" in found


def test_a_target_that_fires_again_without_slots_contradicts_itself() -> None:
    assert check_target(TOY) == []
    found = " ".join(check_target(changed({"codes": ()})))
    assert "firing again is a unary code" in found
    assert "needs a reset by subtraction" in " ".join(check_target(changed(reset={})))
    assert "-1 is negative" in " ".join(check_target(changed(refire_slots=-1)))


def test_a_pair_of_axons_costs_what_two_axons_cost() -> None:
    signed = counting(3, negative=3, kind="bin")
    single, pair = (compiled(signed, target, STEPS) for target in (SIGNED, TOY))
    mine = pair.cores.axon_sign != 0
    first = pair.sources.first["a"]
    assert set(pair.cores.axon_source[mine].tolist()) == set(range(first, first + 9))
    assert pair.cores.axon_source.size == single.cores.axon_source.size + mine.sum() // 2
    two = TOY.core.model_copy(update={"max_targets_per_neuron": 1})
    with pytest.raises(CapacityError, match="2"):
        compiled(signed, TOY.model_copy(update={"core": two}), STEPS)
