"""Neurons that may fire any number of spikes per step: the ladder is as long as the proof."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.real_nets import dense_net, neuron, spikes
from support.small_target import small_target

from snnc.compiler.quantize import QuantizeOptions, quantize
from snnc.compiler.summary import approximations
from snnc.ir.errors import OptionError, UnsupportedError
from snnc.ir.network import Network
from snnc.ir.nodes import Add, Delay, Input, Linear, Output
from snnc.ir.types import BIN, ValueType
from snnc.ir.weights import Dense
from snnc.simulators.reference import run
from snnc.simulators.reference.real import run_real

GRADED = small_target(neuron={"levels": None, "state_bits": 30}, payload_bits=16)


def done(network: Network, **options: Any) -> Any:
    return quantize(network, GRADED, QuantizeOptions(timesteps=12, **options))


def same_spikes(network: Network, integers: Any, data: Any) -> bool:
    real, integer = run_real(network, {"in": data}), run(integers, {"in": data.astype(np.int64)})
    return all(real.spikes[name].mismatches(integer.spikes[name]) == 0 for name in real.spikes)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    decay=st.sampled_from([1.0, 0.5]),
    reset=st.sampled_from(["subtract", "zero"]),
    bias=st.booleans(),
    most=st.integers(1, 3),
)
def test_no_step_reaches_beyond_the_proof(
    seed: int, decay: float, reset: str, bias: bool, most: int
) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-6, 24, (4, 5)) / 8
    offset = rng.integers(-4, 8, 4) / 8 if bias else None
    kind = BIN if most == 1 else ValueType("cnt", most)
    network = dense_net(weights, offset, kind, multi_spike=0, decay=decay, reset=reset)
    found = done(network)
    count = found.report["layers"]["n"]["count"]
    assert count["limit"] == count["reachable"] == found.network.populations[0].levels
    data = spikes((6, 12, 5), rate=0.6, seed=seed, most=most)
    assert same_spikes(network, found.network, data)


def test_the_bound_is_reached_by_the_worst_input() -> None:
    network = dense_net([[2.0, 1.0]], multi_spike=0, reset="subtract")
    found = done(network)
    # 3 per step and a rest below 1: never 4, and 3 in the first step.
    assert found.report["layers"]["n"]["count"] == {"limit": 3, "reachable": 3}
    got = run(found.network, {"in": np.ones((1, 3, 2), np.int64)})
    assert got.spikes["n"].value.tolist() == [3, 3, 3]
    assert "proven from the weights" in found.network.assumptions["count.n"]
    assert approximations(found.report) == []


def two_layers() -> Network:
    rng = np.random.default_rng(3)
    return Network(
        "two",
        (
            Input("in", (4,), BIN),
            Linear("w", ("in",), Dense(rng.integers(0, 8, (6, 4)) / 4)),
            neuron("a", "w", (6,), multi_spike=0, reset="subtract"),
            Linear("v", ("a",), Dense(rng.integers(-3, 6, (3, 6)) / 4)),
            neuron("b", "v", (3,), multi_spike=0, reset="subtract"),
            Output("out", ("b",)),
        ),
    )


def test_bounds_grow_from_layer_to_layer_and_a_limit_is_reported() -> None:
    free = done(two_layers())
    reachable = [free.report["layers"][name]["count"]["reachable"] for name in "ab"]
    assert reachable[1] > reachable[0] > 2
    data = spikes((4, 12, 4), rate=0.7)
    assert same_spikes(two_layers(), free.network, data)
    capped = done(two_layers(), max_spikes=2)
    assert [p.levels for p in capped.network.populations] == [2, 2]
    assert "--max-spikes" in capped.network.assumptions["count.b"]
    assert any("at most 2 spikes per step" in line for line in approximations(capped.report))
    assert not same_spikes(two_layers(), capped.network, data)
    assert done(two_layers(), max_spikes=1000).report["layers"]["b"]["count"]["limit"] < 1000
    with pytest.raises(OptionError, match="--max-spikes"):
        done(two_layers(), max_spikes=0)


def test_what_has_no_bound_is_refused_by_name() -> None:
    huge = dense_net(np.full((1, 5), 1000.0), multi_spike=0, reset="subtract")
    with pytest.raises(UnsupportedError, match=r"n: .*any number of spikes[\s\S]*--max-spikes"):
        done(huge)
    endless = dense_net([[1.0]], multi_spike=0, reset="none")
    lasting = small_target(neuron={"levels": None, "reset": {"none": {}}}, payload_bits=8)
    with pytest.raises(UnsupportedError, match=r"never reset"):
        quantize(endless, lasting, QuantizeOptions())
    loop = Network(
        "loop",
        (
            Input("in", (2,), BIN),
            Delay("z", ("n",), 1),
            Add("s", ("in", "z")),
            neuron("n", "s", (2,), multi_spike=0, reset="subtract"),
            Output("out", ("n",)),
        ),
    )
    with pytest.raises(UnsupportedError, match=r"n: [\s\S]*feeds back to n"):
        done(loop)


def test_one_spike_per_step_is_all_that_some_chips_count() -> None:
    network = dense_net([[2.0]], multi_spike=0, reset="subtract")
    with pytest.raises(UnsupportedError, match=r"any number of spikes per step, and test sends"):
        quantize(network, small_target(), QuantizeOptions(timesteps=3))
