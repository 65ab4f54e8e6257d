"""Counts that cross the emulated chip slot by slot, exactly and at their price."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.random_networks import Options as NetworkOptions
from support.random_networks import random_inputs, random_network
from support.same_run import assert_same_run
from support.simple_mapping import Options, simple_mapping
from support.small_targets import small_target

from snnc.compiler.verify import examine
from snnc.ir.deployment import Deployment
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import GatedBias, Leak, Neuron, Reset
from snnc.ir.nodes import Add, Delay, Input, Linear, Output
from snnc.ir.types import ValueType
from snnc.ir.weights import Dense
from snnc.ir.wire import WireCode, slots_for
from snnc.simulators import cycle, reference

STEPS = 7
ALL_CODES = ("burst", "unary", "bitplane")


def assert_exact(deployment: Deployment, inputs: dict[str, Any], timing: bool = False) -> None:
    got = cycle.run(deployment, inputs, timing=timing)
    assert got.stray_inputs == 0
    assert_same_run(got.result, reference.run(deployment.network, inputs))


def coded(network: IntegerNetwork, kinds: list[str], signed: bool) -> dict[str, WireCode]:
    """A code for every sender of counts, the kinds in turn."""
    codes = {}
    for node in network.order:
        sent = network.types[node.name]
        if not isinstance(node, Input | Neuron) or not sent.is_event:
            continue
        pair = sent.low < 0 and not signed
        if sent.magnitude > 1 or pair:
            kind: Any = kinds[len(codes) % len(kinds)]
            codes[node.name] = WireCode(kind, slots_for(kind, sent.magnitude), pair)
    return codes


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10**6),
    kinds=st.lists(st.sampled_from(["unary", "bitplane", "graded", "burst"]), min_size=1),
    signed=st.booleans(),
    period=st.integers(1, 5),
    timing=st.booleans(),
)
def test_random_networks_are_exact_in_every_code(
    seed: int, kinds: list[str], signed: bool, period: int, timing: bool
) -> None:
    network = random_network(seed, NetworkOptions(layers=4, width=3, readouts=seed % 2 == 0))
    if any(not n.type.is_event for n in network.of_type(Input)):
        network = replace(
            network,
            nodes=tuple(
                replace(n, type=ValueType("scnt", 4)) if isinstance(n, Input) else n
                for n in network.nodes
            ),
        )
    payload = 8 if "graded" in kinds else 0
    target = small_target(3, 3, 2, payload_bits=payload, signed=signed)
    neurons = sum(p.size for p in network.populations)
    codes = coded(network, kinds, signed)
    options = Options(max(3, -(-neurons // 16)), seed=seed, period=period, codes=codes)
    deployment = simple_mapping(network, target, STEPS, options=options)
    inputs = random_inputs(network, seed, 1, STEPS)
    assert_exact(deployment, inputs, timing)
    cut = {name: x[:, :4] for name, x in inputs.items()}
    assert_exact(deployment, cut)


def ladder(name: str, source: str, size: int, first: int, step: int, levels: int) -> Neuron:
    thresholds, reset = first + step * np.arange(levels), Reset("subtract", np.array(step))
    return Neuron(
        name, (source,), (size,), thresholds, reset,
        leak=Leak(np.array(3), 2), bias=(GatedBias(np.array(2), 1),),
    )  # fmt: skip


def counting_network(levels: int = 5, seed: int = 0) -> IntegerNetwork:
    """x -> a -> b with a skip x -> b and a loop b -> a; both populations count to ``levels``."""
    rng = np.random.default_rng(seed)

    def dense(out: int, into: int) -> Dense:
        return Dense(rng.integers(-6, 12, (out, into)))

    return IntegerNetwork(
        "counting",
        (
            Input("x", (6,), ValueType("cnt", 3)),
            Linear("wx", ("x",), dense(8, 6)),
            Delay("late", ("b",), 1),
            Linear("wr", ("late",), dense(8, 5)),
            Add("sum", ("wx", "wr")),
            ladder("a", "sum", 8, 9, 7, levels),
            Linear("wb", ("a",), dense(5, 8)),
            Linear("ws", ("x",), dense(5, 6)),
            Add("sum2", ("wb", "ws")),
            ladder("b", "sum2", 5, 12, 20, levels),
            Output("out", ("b",)),
        ),
    )


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), levels=st.integers(2, 9), extra=st.integers(0, 3))
def test_firing_again_counts_like_a_ladder(seed: int, levels: int, extra: int) -> None:
    network = counting_network(levels, seed)
    codes = {name: WireCode("unary", levels, refire=True) for name in "ab"}
    deployment = simple_mapping(
        network, small_target(3, 3), STEPS, options=Options(4, codes=codes, period=levels + extra)
    )
    inputs = random_inputs(network, seed, 2, STEPS)
    assert_exact(deployment, inputs, timing=True)


def test_packets_updates_and_ticks_are_those_of_the_code() -> None:
    """One neuron counts 5, 3, 1 to another: packets and pulses by hand."""
    nodes = (
        Input("x", (1,), ValueType("cnt", 5)),
        Linear("w", ("x",), Dense(np.array([[10]]))),
        Neuron("a", ("w",), (1,), 10 * np.arange(1, 6), Reset("subtract", np.array(10))),
        Linear("v", ("a",), Dense(np.array([[2]]))),
        Neuron("b", ("v",), (1,), np.array([1000]), Reset("value")),
        Output("out", ("b",)),
    )
    network = IntegerNetwork("hand", nodes)
    inputs = {"x": np.array([5, 3, 1]).reshape(1, 3, 1)}
    target = small_target(2, 1)
    found = {}
    for kind, slots in (("burst", 1), ("unary", 5), ("bitplane", 3)):
        code = WireCode(kind, slots)  # type: ignore[arg-type]
        options = Options(1, codes={"a": code})
        deployment = simple_mapping(network, target, 3, options=options)
        got = cycle.run(deployment, inputs)
        assert_exact(deployment, inputs)
        found[kind] = (got.counts["message_out"], got.counts["synapse_op_dense"], got.ticks)
        assert got.counts["host_in"] == 9  # the host still sends bursts
    options = Options(1, codes={"a": WireCode("unary", 5, refire=True)})
    got = cycle.run(simple_mapping(network, target, 3, options=options), inputs)
    found["refire"] = (got.counts["message_out"], got.counts["synapse_op_dense"], got.ticks)
    # 5 + 3 + 1 packets; 2 + 2 + 1 ones in 101, 11, 1.
    assert [found[kind][0] for kind in ("burst", "unary", "bitplane", "refire")] == [9, 9, 5, 9]
    assert found["unary"][2] == 5 * 2 + 1 + 5
    assert found["bitplane"][2] == 3 * 2 + 1 + 3
    assert got.counts["spike_generate"] == 9
    # Updates of a: 3, and a look after each spike that has a slot left: 5 has 4, 3 has 3, 1 has 1.
    assert got.counts_by_layer["a"]["neuron_update"] == 3 + 4 + 3 + 1


def test_of_a_pair_one_axon_is_read_and_both_are_stored() -> None:
    nodes = (
        Input("x", (2,), ValueType("scnt", 2)),
        Linear("w", ("x",), Dense(np.array([[3, -4], [5, 6], [7, 8]]))),
        Neuron("a", ("w",), (3,), np.array([9]), Reset("subtract", np.array(9))),
        Output("out", ("a",)),
    )
    network = IntegerNetwork("pair", nodes)
    inputs = {"x": np.array([[2, -1], [-2, 0], [0, 1]]).reshape(1, 3, 2)}
    for kind, slots, packets in (("burst", 1, 6), ("unary", 2, 6), ("bitplane", 2, 4)):
        codes = {"x": WireCode(kind, slots, pair=True)}  # type: ignore[arg-type]
        deployment = simple_mapping(network, small_target(), 3, options=Options(3, codes=codes))
        assert deployment.cores.axon_source.size == 4
        assert sorted(deployment.cores.synapse_weight[deployment.cores.synapse_weight < 0]) == [
            -8, -7, -6, -5, -4, -3,
        ]  # fmt: skip
        got = cycle.run(deployment, inputs)
        assert_exact(deployment, inputs)
        assert got.counts["host_in"] == packets
        assert got.counts["all_in_synaptic_event"] == 3 * packets


def test_the_checker_knows_slots_and_pairs() -> None:
    network = counting_network()
    codes = {"a": WireCode("unary", 5), "b": WireCode("bitplane", 3), "x": WireCode("bitplane", 2)}
    target = small_target(3, 3)
    spike = target.spike.model_copy(update={"codes": ("unary", "bitplane")})
    model = target.neuron.model_copy(update={"leak_rounding": "floor"})
    target = target.model_copy(update={"spike": spike, "neuron": model})
    good = simple_mapping(network, target, STEPS, options=Options(4, codes=codes))
    assert set(examine(good).broken) <= {"deadlock"}  # the oracle mapper certifies nothing
    schedule = good.schedule

    def broken(**changed: WireCode) -> set[str]:
        wrong = replace(schedule, codes={**schedule.codes, **changed})
        return set(examine(replace(good, schedule=wrong)).broken) - {"deadlock"}

    assert broken(a=WireCode("unary", 4)) >= {"wires"}
    assert broken(a=WireCode("unary", 4)) >= {"function"}  # its delays are one tick off
    assert broken(a=WireCode("bitplane", 5)) == set()  # five planes say 31
    assert broken(a=WireCode("burst")) >= {"wires"}
    assert broken(x=WireCode("bitplane", 2, pair=True)) >= {"wires", "function"}
    assert broken(nobody=WireCode("burst")) == {"wires"}
    assert "neuron" in broken(b=WireCode("unary", 3, refire=True))
    blind = target.model_copy(update={"spike": spike.model_copy(update={"codes": ("unary",)})})
    assert "wires" in examine(replace(good, target=blind)).broken


@pytest.mark.parametrize("kind", ALL_CODES)
def test_an_input_that_comes_outside_every_window_is_lost_and_counted(kind: str) -> None:
    network = counting_network()
    slots = slots_for(kind, 5)  # type: ignore[arg-type]
    codes = {"a": WireCode(kind, slots)}  # type: ignore[arg-type]
    options = Options(4, codes=codes, period=7)
    deployment = simple_mapping(network, small_target(3, 3), STEPS, options=options)
    late = deployment.cores.axon_delay.copy()
    first = deployment.sources.first["a"]
    late[(deployment.cores.axon_source >= first) & (deployment.cores.axon_source < first + 8)] += 1
    broken = replace(deployment, cores=replace(deployment.cores, axon_delay=late))
    assert cycle.run(broken, random_inputs(network, 1, 1, STEPS), timing=False).stray_inputs > 0
