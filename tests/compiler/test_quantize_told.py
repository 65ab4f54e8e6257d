"""Nothing is rounded, dropped or exceeded without the report saying so."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from support.real_nets import dense_net, spikes
from support.small_target import small_target

from snnc.backends.targets import load
from snnc.compiler.quantize import Quantized, QuantizeOptions, quantize
from snnc.ir.errors import UnsupportedError
from snnc.ir.network import Network
from snnc.ir.neuron import Neuron, StateRange
from snnc.simulators.reference import run

LOIHI, TOY, TARGET = load("loihi1"), load("toy-mesh"), small_target()
WEIGHTS = np.random.default_rng(0).normal(size=(3, 4))
STEPS = 10


def quantized(network: Network, target: Any = TARGET, **options: Any) -> Quantized:
    return quantize(network, target, QuantizeOptions(timesteps=STEPS, **options))


def population(done: Quantized) -> Neuron:
    return done.network.populations[-1]


@pytest.mark.parametrize("changes", [{"offset": 0.25}, {"bias": np.full(3, 0.25)}])
def test_a_bias_is_refused_where_neurons_have_none(changes: dict[str, Any]) -> None:
    target = small_target(neuron={"bias_bits": None})
    with pytest.raises(UnsupportedError) as error:
        quantized(dense_net(WEIGHTS, **changes), target)
    assert "no bias register" in str(error.value)
    assert "train without bias" in error.value.remedy
    assert population(quantized(dense_net(WEIGHTS), target)).bias == ()


def test_weights_far_above_the_threshold_keep_a_threshold_and_reset_near_it() -> None:
    done = quantized(dense_net(WEIGHTS * 1000, reset="subtract"), LOIHI)
    node, layer = population(done), done.report["layers"]["n"]
    unit = np.array(node.grid)
    threshold = np.abs(node.thresholds.reshape(-1) * unit - 1).max()
    assert threshold <= layer["threshold_error"] + unit.max()
    assert np.abs(node.reset.amount * unit - 1).max() == pytest.approx(layer["reset_error"])
    assert 0 < layer["reset_error"] < 0.01


def test_a_subtraction_that_divides_the_grid_has_no_error() -> None:
    layer = quantized(dense_net(WEIGHTS, reset="subtract"), LOIHI).report["layers"]["n"]
    assert layer["threshold_error"] == layer["reset_error"] == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"reset": "value", "reset_value": -50.0},
        {"reset": "value", "reset_value": 0.75},
        {"reset": "subtract", "reset_timing": "next_step"},
    ],
    ids=["far below", "above", "late"],
)
def test_the_proof_covers_what_a_reset_leaves(changes: dict[str, Any]) -> None:
    done = quantized(dense_net(np.abs(WEIGHTS), decay=0.5, **changes), TOY)
    proof = done.report["layers"]["n"]["accumulator"]
    assert proof["proven"]
    node = population(done)
    tight = dataclasses.replace(node, state_range=StateRange(*proof["state_bound"]))
    nodes = tuple(tight if n is node else n for n in done.network.nodes)
    data = {"in": spikes((20, STEPS, 4), rate=0.8)}
    wide = run(done.network, data)
    narrow = run(dataclasses.replace(done.network, nodes=nodes), data)
    assert wide.spikes["n"].count > 0
    assert not any(narrow.mismatches(wide).values())


def test_a_lower_bound_is_the_same_real_value_for_every_threshold() -> None:
    thresholds = np.array([1.0, 2.0, 4.0])
    node = population(quantized(dense_net(WEIGHTS, threshold=thresholds, minimum=-1.0)))
    assert len(node.grid) == 1
    assert node.state_range.low * node.grid[0] == pytest.approx(-1, abs=node.grid[0])
    np.testing.assert_allclose(node.thresholds.reshape(-1) * node.grid[0], thresholds, rtol=0.02)


def test_a_lower_bound_beyond_the_register_is_the_register() -> None:
    node = population(quantized(dense_net(WEIGHTS, minimum=-1e9), LOIHI))
    assert node.state_range.low == -(1 << 23)


def test_a_lower_bound_counted_from_several_origins_is_refused() -> None:
    network = dense_net(WEIGHTS, reset="value", reset_value=[0.1, 0.2, 0.3], minimum=-1.0)
    with pytest.raises(UnsupportedError) as error:
        quantized(network, LOIHI)
    assert "one reset value per population" in str(error.value)
    assert "reset values 0.1 to 0.3" in error.value.found


def test_one_grid_per_layer_is_one_grid_even_where_channels_lie_on_exact_ones() -> None:
    weights = np.array([[1.0, 2.0], [0.3, 0.9]])
    layer = quantized(dense_net(weights), granularity="layer").report["layers"]["n"]
    assert layer["weight_grid"][0] == layer["weight_grid"][1]
    assert quantized(dense_net(weights)).report["layers"]["n"]["exact_groups"] == 2


def test_a_current_that_never_decays_takes_the_slowest_decay_of_the_target() -> None:
    done = quantized(dense_net(WEIGHTS, current_decay=1.0, current_gain=1.0), LOIHI)
    node = population(done)
    assert node.current is not None
    assert int(node.current.multiplier) == 4095
    assert done.report["layers"]["n"]["current_leak_error"] == 1 / 4096
