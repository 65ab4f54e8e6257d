"""Grids, tables, proofs and errors of quantization where it must round."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nmnist import recordings
from support.paths import require_data
from support.real_nets import conv_net, dense_net, neuron, spikes
from support.small_target import small_target

from snnc.backends.targets import load
from snnc.compiler.frontends.nir import NirOptions, read
from snnc.compiler.intervals import interval
from snnc.compiler.quantize import QuantizeOptions, quantize
from snnc.compiler.quantize.grids import limit_distinct
from snnc.compiler.quantize.ladder import Thresholds, bias
from snnc.ir.errors import InputError, OptionError, UnsupportedError
from snnc.ir.network import Network
from snnc.ir.nodes import Index, Input, Linear, Output
from snnc.ir.types import BIN, ValueType
from snnc.ir.weights import Dense
from snnc.simulators import functional
from snnc.simulators.reference import run
from snnc.simulators.reference.operators import apply
from snnc.simulators.reference.real import run_real
from snnc.simulators.result import predictions

LOIHI = load("loihi1")
TARGET = small_target()


def layer(network: Any, target: Any = TARGET, **options: Any) -> dict[str, Any]:
    report: dict[str, Any] = quantize(network, target, QuantizeOptions(**options)).report
    return dict(report["layers"]["n"])


def test_channels_of_different_size_need_their_own_grid() -> None:
    weights = np.random.default_rng(0).normal(size=(4, 30)) * np.array([[1], [0.1], [0.03], [3]])
    network = dense_net(weights)
    by_channel = layer(network)
    by_layer = layer(network, granularity="layer")
    assert by_channel["weight_sqnr_db"] > 40
    rows = weights / np.array([[1], [0.1], [0.03], [3]])
    assert rows.std() > 0.5
    assert by_layer["weight_grid"][0] == by_layer["weight_grid"][1]
    assert by_layer["weight_mse"] > by_channel["weight_mse"]
    assert by_layer["distinct_thresholds"] == 1
    assert by_channel["saturated_weights"] == by_layer["saturated_weights"] == 0


def test_the_threshold_is_a_whole_number_of_grid_steps() -> None:
    done = quantize(dense_net(np.random.default_rng(1).normal(size=(4, 30)), reset="subtract"),
                    TARGET, QuantizeOptions())  # fmt: skip
    node = done.network.populations[0]
    np.testing.assert_array_equal(node.thresholds[0], node.reset.amount)
    assert np.abs(done.network.node["w"].weights.values).max() == 127  # type: ignore[union-attr]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_weights_stay_within_the_asked_width(bits: int) -> None:
    target = small_target(core={"weight": {"bits": (2, 4, 8)}})
    found = layer(dense_net(np.random.default_rng(2).normal(size=(4, 30))), target,
                  weight_bits=bits)  # fmt: skip
    assert found["largest_weight"] == (1 << (bits - 1)) - 1


def test_a_dense_layer_uses_no_more_thresholds_than_a_core_has_room_for() -> None:
    weights = np.random.default_rng(3).normal(size=(200, 20))
    assert layer(dense_net(weights), LOIHI)["distinct_thresholds"] <= 8
    free = layer(dense_net(weights), small_target())
    assert free["distinct_thresholds"] > 8
    kernel = np.random.default_rng(3).normal(size=(20, 2, 3, 3))  # tiled by channel instead
    assert layer(conv_net(kernel, (3, 3)), LOIHI)["distinct_thresholds"] > 8


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=7),
    st.integers(1, 4),
    st.integers(0, 2**32 - 1),
)
def test_limiting_distinct_thresholds_is_optimal(values: list[int], most: int, seed: int) -> None:
    n = np.array(values)
    weight = np.random.default_rng(seed).random(n.size) + 0.1

    def cost(taken: Any) -> float:
        return float((weight / taken.astype(float) ** 2).sum())

    found = limit_distinct(n, weight, most)
    assert (found <= n).all()
    assert np.unique(found).size <= most
    best = min(
        cost(np.array([max(c for c in chosen if c <= x) for x in values]))
        for size in range(1, most + 1)
        for chosen in itertools.combinations(sorted(set(values)), min(size, len(set(values))))
        if min(chosen) <= min(values)
    )
    assert cost(found) == pytest.approx(best)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 6), st.sampled_from([">", ">="]), st.integers(0, 4))
def test_threshold_registers_act_like_the_ideal_or_are_the_nearest(
    ideal: int, shift: int, comparator: str, step_bits: int
) -> None:
    model = small_target(neuron={"comparator": comparator, "threshold_shift": shift}).neuron
    step = 1 << step_bits
    registers = Thresholds.of(model)
    taken = int(registers.nearest(np.array([ideal]), step)[0])
    assert (taken - registers.above) % (1 << shift) == 0
    potentials = np.arange(-4096, 8192) // step * step
    every = [(m << shift) + registers.above for m in range(4000 >> shift)]
    possible = [t for t in every if t >= 1]
    alike = [t for t in possible if ((potentials >= t) == (potentials >= ideal)).all()]
    if alike:
        assert taken in alike
    else:
        assert abs(taken - ideal) == min(abs(t - ideal) for t in possible)


@settings(max_examples=60, deadline=None)
@given(st.floats(-3e5, 3e5))
def test_biases_are_the_nearest_mantissa_and_exponent(value: float) -> None:
    model = small_target(neuron={"bias_bits": 5, "bias_max_exponent": 14}).neuron
    taken, fits = bias(np.array([value]), model)
    assert fits
    possible = np.array([m << e for m in range(32) for e in range(15)])
    assert abs(taken[0] - value) <= np.abs(possible - abs(value)).min() + 0.5


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_interval_bounds_are_attained_by_some_input(seed: int) -> None:
    kernel = np.random.default_rng(seed).normal(size=(2, 1, 3, 3))
    done = quantize(conv_net(kernel, (2, 3)), TARGET, QuantizeOptions())
    low, high = interval(done.network.node, "w", done.network.types)
    inputs = np.array(list(itertools.product([0, 1], repeat=6))).reshape(1, 64, 1, 2, 3)
    sums = apply(done.network.node["w"], [inputs[0]])
    np.testing.assert_array_equal(sums.min(axis=0), low)
    np.testing.assert_array_equal(sums.max(axis=0), high)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("decay", [1.0, 0.8])
def test_no_potential_leaves_the_proven_bounds(reset: str, decay: float) -> None:
    weights = np.random.default_rng(5).normal(size=(6, 8)) / 3
    network = dense_net(weights, np.full(6, 0.05), decay=decay, reset=reset)
    done = quantize(network, LOIHI, QuantizeOptions(timesteps=40))
    proof = done.report["layers"]["n"]["accumulator"]
    assert proof["proven"]
    low, high = proof["state_bound"]
    narrow = run(done.network, {"in": spikes((20, 40, 8), rate=0.9)})
    assert narrow.spikes["n"].count > 0
    node = done.network.populations[0]
    tight = type(node.state_range)(low, high)
    changed = dataclasses.replace(node, state_range=tight)
    nodes = tuple(changed if n is node else n for n in done.network.nodes)
    clipped = dataclasses.replace(done.network, nodes=nodes)
    wide = run(clipped, {"in": spikes((20, 40, 8), rate=0.9)})
    assert not any(wide.mismatches(narrow).values())


def test_sums_that_could_overflow_the_accumulator_shrink_the_weights() -> None:
    weights = np.abs(np.random.default_rng(6).normal(size=(3, 400)))
    target = small_target(neuron={"accumulator_bits": 14})
    found = layer(dense_net(weights, threshold=50.0), target, timesteps=10)
    assert found["accumulator"]["input_bound"] < 1 << 13
    assert found["accumulator"]["proven"]
    assert found["largest_weight"] < 127


def test_without_timesteps_a_potential_that_may_sink_is_reported_to_clip() -> None:
    found = layer(dense_net(np.random.default_rng(7).normal(size=(3, 20))), LOIHI)
    assert found["accumulator"]["proven"] is False
    assert found["accumulator"]["otherwise"] == "the potential clips at 24 bits, as on the target"


def test_inputs_take_their_type_from_the_data() -> None:
    network = dense_net(np.eye(3))

    def kind(data: Any, target: Any = TARGET, **options: Any) -> ValueType:
        done = quantize(network, target, QuantizeOptions(**options), {"in": np.asarray(data)})
        return done.network.of_type(Input)[0].type

    assert kind(np.full((1, 2, 3), 16)) == ValueType("cnt", 16)
    assert kind(np.zeros((1, 2, 3))) == ValueType("bin")
    assert kind(np.full((1, 2, 3), 0.3)) == ValueType("cnt", 15, (0.3 / 15,))
    assert kind(np.full((1, 2, 3), 0.3), small_target(payload_bits=8)).parameter == 255
    assert kind(np.full((1, 2, 3), 0.3), input_levels=4).parameter == 4
    done = quantize(network, TARGET, QuantizeOptions())
    assert "not calibrated" in done.network.assumptions["input.in"]
    done = quantize(network, TARGET, QuantizeOptions(), {"in": np.full((1, 2, 3), 0.3)})
    assert "rounded to 15 levels of 0.02" in done.network.assumptions["input.in"]


def test_calibration_data_is_checked() -> None:
    network = dense_net(np.eye(3))
    for data, text in (
        ({"x": np.zeros((1, 1, 3))}, "unknown input"),
        ({"in": np.zeros((1, 3))}, "wrong shape"),
        ({"in": np.full((1, 1, 3), np.nan)}, "finite numbers"),
    ):
        with pytest.raises(InputError, match=text):
            quantize(network, TARGET, QuantizeOptions(), data)


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"weight_bits": 0}, "--weight-bits"),
        ({"granularity": "row"}, "--granularity"),
        ({"input_levels": 0}, "--input-levels"),
        ({"timesteps": 0}, "--timesteps"),
    ],
)
def test_options_are_checked(options: dict[str, Any], where: str) -> None:
    with pytest.raises(OptionError) as error:
        QuantizeOptions(**options)
    assert error.value.where == where


def test_weights_wider_than_the_chip_are_refused() -> None:
    with pytest.raises(OptionError, match="no weights this wide") as error:
        quantize(dense_net(np.eye(3)), TARGET, QuantizeOptions(weight_bits=12))
    assert error.value.allowed == "8 bits on test"


def test_neurons_that_share_weights_must_share_a_threshold() -> None:

    nodes = (
        Input("in", (2,), BIN),
        Linear("w", ("in",), Dense(np.eye(2))),
        Index("twice", ("w",), (2,), np.array([0, 0])),
        neuron("n", "twice", (2,), threshold=np.array([1.0, 2.0])),
        Output("out", ("n",)),
    )
    with pytest.raises(UnsupportedError, match="neurons that share weights differ"):
        quantize(Network("net", nodes), TARGET, QuantizeOptions())


EXPORTED = ["sj_cnn_if", "sj_cnn_lif", "snntorch_cnn_avgpool", "snntorch_cnn_subtract",
            "snntorch_rleaky_zero"]  # fmt: skip


@pytest.mark.parametrize("name", EXPORTED)
def test_exported_networks_at_8_bits_predict_like_the_framework(name: str) -> None:
    folder = require_data("nir", "exported")
    network = read(folder / f"{name}.nir", NirOptions())
    reference = np.load(folder / f"{name}_ref.npz")
    (node,) = network.of_type(Input)
    x = np.moveaxis(reference["input_spikes"], 1, 0).reshape(50, -1, *node.shape)
    done = quantize(network, LOIHI, QuantizeOptions(timesteps=x.shape[1]), {node.name: x})
    integer = functional.run(done.network, {node.name: x.astype(np.int64)})
    real = run_real(network, {node.name: x.astype(float)})
    (output,) = integer.outputs
    labels = reference["labels"]
    chip = int((predictions(integer.outputs[output], "sum") == labels).sum())
    float_ = int((predictions(real.outputs[output], "sum") == labels).sum())
    assert abs(chip - float_) <= 2


@pytest.mark.slow
def test_the_published_nmnist_network_loses_nothing_at_8_bits() -> None:
    network = read(require_data("nir", "cnn_sinabs.nir"), NirOptions(dialect="nir", reset="zero"))
    reference = np.load(require_data("nmnist", "cnn_sinabs_ref_zero.npz"))
    x = recordings(require_data("nmnist", "nmnist_test100_bs2.zip"), 100)
    (node,) = network.of_type(Input)
    done = quantize(network, LOIHI, QuantizeOptions(timesteps=310), {node.name: x})
    result = functional.run(done.network, {node.name: x})
    (output,) = result.outputs
    correct = predictions(result.outputs[output], "sum") == reference["labels"]
    assert int(correct.sum()) >= 99


def test_a_reset_to_zero_uses_the_whole_range_of_narrow_weights() -> None:
    target = small_target(core={"weight": {"bits": (4,)}})
    network = dense_net(np.random.default_rng(2).normal(size=(4, 30)))
    assert layer(network, target, weight_bits=4)["largest_weight"] == 7


def test_fraction_bits_never_cost_weight_range() -> None:
    target = small_target(neuron={"threshold_bits": 12, "input_shift": (0, 10)})
    weights = np.random.default_rng(8).normal(size=(4, 30)) / 3
    assert layer(dense_net(weights, decay=0.9), target)["largest_weight"] == 127
