"""Weights that lie on an integer grid must give exactly the real network's spikes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.real_nets import conv_net, dense_net, neuron, spikes
from support.small_target import small_target

from snnc.backends.targets import load
from snnc.compiler.quantize import Quantized, QuantizeOptions, quantize
from snnc.ir.network import Network
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Add, Bias, Delay, Index, Input, Linear, Output, Pool, Scale
from snnc.ir.target import Target
from snnc.ir.types import BIN, ValueType
from snnc.ir.weights import Conv, Dense
from snnc.simulators.reference import run
from snnc.simulators.reference.real import run_real

LOIHI = load("loihi1")
STRICT = small_target(neuron={"comparator": ">"})
TARGETS = {"loihi1": LOIHI, ">=": small_target(), ">": STRICT}


def compare(network: Network, target: Target, x: Any, **options: Any) -> Quantized:
    """Quantize, run both on the same data, and require equal spikes everywhere."""
    name = network.of_type(Input)[0].name
    data = {name: x.astype(float)}
    done = quantize(network, target, QuantizeOptions(timesteps=x.shape[1], **options), data)
    grid = done.network.of_type(Input)[0].type.grid[0]
    integer = run(done.network, {name: np.rint(x / grid).astype(np.int64)})
    real = run_real(network, data)
    assert sum(real.spike_counts[n.name].sum() for n in done.network.populations
               if n.name in real.spike_counts) > 0  # fmt: skip
    differing = {
        n: integer.spikes[n].mismatches(s) for n, s in real.spikes.items() if n in integer.spikes
    }
    assert not any(differing.values()), differing
    return done


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("comparator", [">", ">="])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_integrate_and_fire_on_a_grid_is_exact_even_at_ties(
    target: Target, comparator: str, reset: str
) -> None:
    weights = np.random.default_rng(1).integers(-9, 13, (6, 5)) / 16  # sums often hit 1.0
    network = dense_net(weights, comparator=comparator, reset=reset)
    done = compare(network, target, spikes((4, 30, 5)))
    layer = done.report["layers"]["n"]
    assert layer["exact_groups"] == 6
    assert layer["weight_sqnr_db"] is None


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_decimal_grids_of_a_float32_checkpoint_are_recognised(target: Target) -> None:
    weights = (np.random.default_rng(2).integers(-60, 61, (5, 8)) * np.float32(0.1)).astype(
        np.float32
    )
    done = compare(dense_net(weights, threshold=3.0, reset="zero"), target, spikes((3, 20, 8)))
    assert done.report["layers"]["n"]["exact_groups"] == 5


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([">", ">="]),
    st.sampled_from(["zero", "subtract", "none"]),
    st.integers(1, 40),
)
def test_random_integer_networks_survive_unchanged(
    seed: int, comparator: str, reset: str, theta: int
) -> None:
    weights = np.random.default_rng(seed).integers(-20, 41, (4, 6))
    weights[0] = 0
    weights[:, 0] = 40
    target = small_target(neuron={"reset": {"zero": {}, "subtract": {}, "none": {}}})
    network = dense_net(weights, comparator=comparator, reset=reset, threshold=float(theta))
    compare(network, target, spikes((2, 12, 6), seed=seed))


@pytest.mark.parametrize("comparator", [">", ">="])
def test_a_bias_on_the_grid_keeps_ties_exact(comparator: str) -> None:
    weights = np.random.default_rng(3).integers(-8, 12, (5, 6)) / 8
    bias = np.array([1, -2, 3, 0, 1]) / 8
    for target in TARGETS.values():
        compare(dense_net(weights, bias, comparator=comparator), target, spikes((3, 25, 6)))


@pytest.mark.parametrize("comparator", [">", ">="])
def test_a_leak_of_one_half_is_exact_while_the_fraction_bits_last(comparator: str) -> None:
    weights = np.random.default_rng(4).integers(-6, 15, (5, 6)) / 8
    target = small_target(neuron={"input_shift": (0, 10), "leak_rounding": "floor"})
    network = dense_net(weights, decay=0.5, gain=0.5, comparator=comparator, reset="zero",
                        threshold=0.75)  # fmt: skip
    done = compare(network, target, spikes((6, 8, 6), rate=0.6))
    assert done.network.populations[0].input_shift == 10


def test_a_synaptic_current_is_exact_while_the_fraction_bits_last() -> None:
    weights = np.random.default_rng(5).integers(-6, 15, (5, 6)) / 8
    target = small_target(neuron={"input_shift": (0, 12)})
    network = dense_net(weights, current_decay=0.5, current_gain=0.5, decay=0.5, reset="subtract")
    compare(network, target, spikes((6, 6, 6), rate=0.6))


def test_a_bias_into_a_synaptic_current_comes_from_a_clock_neuron() -> None:
    weights = np.random.default_rng(5).integers(-6, 15, (5, 6)) / 8
    network = dense_net(weights, np.arange(5) / 8, current_decay=0.5, current_gain=1.0, decay=0.5)
    done = compare(network, small_target(neuron={"input_shift": (0, 12)}), spikes((6, 6, 6)))
    assert "n.clock" in done.network.node


def test_a_reset_value_becomes_the_origin_on_a_chip_that_resets_to_zero() -> None:
    weights = np.random.default_rng(6).integers(-6, 15, (5, 6)) / 8
    network = dense_net(weights, reset="value", reset_value=-0.5)
    done = compare(network, LOIHI, spikes((4, 20, 6)))
    assert np.any(done.network.populations[0].initial)
    valued = small_target(neuron={"reset": {"value": {}}})
    done = compare(network, valued, spikes((4, 20, 6)))
    assert done.network.populations[0].reset.amount.max() < 0


def test_a_clipped_potential_uses_one_grid_and_is_exact() -> None:
    weights = np.random.default_rng(7).integers(-16, 12, (6, 5)) / 16
    network = dense_net(weights, minimum=-1.0, reset="subtract")
    done = compare(network, LOIHI, spikes((4, 40, 5)))
    node = done.network.populations[0]
    assert node.state_range.low == -int(node.reset.amount)


def test_several_spikes_per_step_become_a_ladder() -> None:
    weights = np.random.default_rng(8).integers(-6, 40, (6, 5)) / 16
    graded = small_target(neuron={"levels": 4}, payload_bits=8)
    network = dense_net(weights, multi_spike=4, reset="subtract")
    done = compare(network, graded, spikes((4, 20, 5), rate=0.7))
    assert done.network.populations[0].levels == 4


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_reset_that_comes_one_step_late_has_an_exact_form(reset: str) -> None:
    weights = np.random.default_rng(9).integers(-6, 15, (5, 6)) / 8
    target = small_target(neuron={"input_shift": (0, 12), "refractory_max": 3})
    network = dense_net(weights, decay=0.5, reset=reset, reset_timing="next_step", comparator=">")
    compare(network, target, spikes((6, 8, 6), rate=0.6))


def test_a_convolution_keeps_one_grid_per_channel() -> None:
    kernel = np.random.default_rng(10).integers(-7, 12, (4, 2, 3, 3)) / 8
    kernel *= np.array([1, 0.5, 3, 0.7]).reshape(4, 1, 1, 1)
    done = compare(conv_net(kernel, (5, 4), reset="zero"), LOIHI, spikes((3, 15, 2, 5, 4)))
    assert done.report["layers"]["n"]["groups"] == 4
    assert isinstance(done.network.node["w"], Linear)


def test_input_counts_and_grids_pass_through() -> None:
    weights = np.random.default_rng(11).integers(-7, 12, (5, 6)) / 8
    counts = spikes((3, 15, 6), most=16)
    done = compare(dense_net(weights, threshold=9.0, kind=ValueType("cnt", 16)), LOIHI, counts)
    assert str(done.network.of_type(Input)[0].type) == "cnt(16)"
    x = spikes((3, 15, 6), most=5) / 5.0
    done = compare(dense_net(weights, threshold=2.0), LOIHI, x, input_levels=5)
    assert done.network.of_type(Input)[0].type == ValueType("cnt", 5, (0.2,))


def pooled_residual(pre: bool) -> Network:
    """Average pooling, a skip connection, a reshape and a readout in one network."""
    rng = np.random.default_rng(12)
    kernel = rng.integers(-7, 12, (3, 3, 3, 3)) / 8
    same = Conv(kernel, (1, 1), ((1, 1), (1, 1)), (1, 1))
    small = Pool("sum", ("n1" if pre else "c1",), "sum", (2, 2), (2, 2), ((0, 0), (0, 0)))
    after = (3, 2, 2)
    dense = Dense(rng.integers(-7, 12, (4, 12)) / 8)
    nodes = [
        Input("in", (3, 4, 4), BIN),
        neuron("n1", "c0", (3, 4, 4)),
        Linear("c0", ("in",), same),
        Linear("c1", ("n1",), same),
        small,
        Scale("avg", ("sum",), np.array(0.25)),
        neuron("n2", "avg", after, threshold=0.5),
        Linear("c2", ("n2",), same),
        Add("skip", ("c2", "n2")),
        Bias("bias", ("skip",), np.array([0.125, 0, -0.25]).reshape(3, 1, 1)),
        neuron("n3", "bias", after),
        Index("flat", ("n3",), (12,)),
        Linear("fc", ("flat",), dense),
        Bias("fcb", ("fc",), np.array([1.0, 2.0, 0.0, 0.5])),
        Output("out", ("fcb",)),
    ]
    return Network("residual", tuple(nodes))


@pytest.mark.parametrize("pre", [True, False])
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_pools_skips_and_readouts_are_exact(target: Target, pre: bool) -> None:
    x = spikes((3, 12, 3, 4, 4))
    network = pooled_residual(pre)
    done = compare(network, target, x)
    readout = done.network.node["out.readout"]
    assert isinstance(readout, Neuron)
    integer = run(done.network, {"in": x}).outputs["out"] * readout.grid[0]
    real = run_real(network, {"in": x.astype(float)}).outputs["out"]
    np.testing.assert_allclose(integer, real, atol=2e-3)


@pytest.mark.parametrize("after", [True, False])
def test_recurrence_with_a_bias_starts_it_in_the_right_step(after: bool) -> None:
    rng = np.random.default_rng(13)
    w, loop = rng.integers(-7, 12, (4, 5)) / 8, rng.integers(-7, 9, (4, 4)) / 8
    nodes = [
        Input("in", (5,), BIN),
        Linear("w", ("in",), Dense(w)),
        Delay("z", ("rb",) if after else ("n",), 1),
        Linear("rec", ("n",) if after else ("z",), Dense(loop)),
        Bias("rb", ("rec",), np.array([1, 2, 3, -1]) / 8),
        Add("sum", ("w", "z" if after else "rb")),
        neuron("n", "sum", (4,)),
        Output("out", ("n",)),
    ]
    done = compare(Network("loop", tuple(nodes)), LOIHI, spikes((4, 20, 5)))
    (gated,) = done.network.populations[0].bias
    assert gated.onset == int(after)


def test_a_linear_operator_shared_by_two_populations_gets_two_grids() -> None:
    weights = np.random.default_rng(14).integers(-7, 12, (4, 5)) / 8
    nodes = [
        Input("in", (5,), BIN),
        Linear("w", ("in",), Dense(weights)),
        neuron("a", "w", (4,), threshold=2.0),
        neuron("b", "w", (4,), gain=0.25, threshold=0.75),
        Add("sum", ("a", "b")),
        neuron("c", "sum", (4,)),
        Output("out", ("c",)),
    ]
    done = compare(Network("shared", tuple(nodes)), LOIHI, spikes((4, 20, 5)))
    assert {"w", "w@b"} <= {n.name for n in done.network.of_type(Linear)}
