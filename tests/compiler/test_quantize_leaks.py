"""Decays approximated by shifts or by a constant per step, and what that costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.real_nets import dense_net, spikes
from support.small_target import small_target

from snnc.compiler.quantize import QuantizeOptions, fidelity, quantize
from snnc.compiler.summary import approximations
from snnc.ir.errors import OptionError, UnsupportedError

GENERATOR = np.random.default_rng(0)
WEIGHTS = GENERATOR.uniform(0.02, 0.12, (8, 16))
X = spikes((20, 40, 16), 0.5).astype(float)
LINEAR = small_target(neuron={"leak": "linear"})


def measured(target: Any, leak: str | None, *correct: str, **changes: Any) -> dict[str, Any]:
    network = dense_net(WEIGHTS, reset="zero", **changes)
    options = QuantizeOptions(8, 40, correct=correct, leak=leak)
    done = quantize(network, target, options, {"in": X})
    found = fidelity(network, done.network, {"in": X}, len(X))["layers"]["n"]
    found["off"] = abs(found["integer_spikes"] - found["spikes"])
    return {**found, "report": done.report, "neuron": done.network.node["n"]}


def test_a_target_without_such_decays_refuses_them_unless_asked() -> None:
    with pytest.raises(UnsupportedError, match="linear"):
        measured(LINEAR, None, decay=0.9)
    found = measured(LINEAR, "linear", decay=0.9)
    assert found["neuron"].leak.is_identity
    assert found["report"]["leaks"]["n"]["lost_per_step"] > 0.01
    assert any("instead of decaying" in line for line in approximations(found["report"]))
    assert 0 < found["different"] < found["spikes"]
    dropped = measured(LINEAR, None, decay=1.0)  # no leak at all fires far more often
    leaky = measured(small_target(), None, decay=0.9)
    assert found["off"] < 0.5 * (dropped["integer_spikes"] - leaky["spikes"])


def test_rates_correct_what_a_linear_leak_changes() -> None:
    plain = measured(LINEAR, "linear", decay=0.9)
    matched = measured(LINEAR, "linear", "rates", decay=0.9)
    assert plain["off"] > 0
    assert matched["off"] < 0.5 * plain["off"]


def test_shifts_are_the_nearest_and_exact_where_they_fit() -> None:
    fits = measured(small_target(), "shift", decay=0.875)
    assert fits["report"]["leaks"]["n"]["decay_error"] == 0
    assert fits["off"] == measured(small_target(), None, decay=0.875)["off"]
    near = measured(small_target(), "shift", decay=0.9)
    neuron = near["neuron"]
    assert neuron.leak.multiplier / 2**neuron.leak.shift == 0.875
    assert any("by shifts" in line for line in approximations(near["report"]))
    assert near["report"]["leaks"]["n"]["decay_error"] == pytest.approx(0.025)
    assert near["different"] > measured(small_target(), None, decay=0.9)["different"]


def test_shifts_hold_for_currents_and_constants_do_not() -> None:
    changes = {"decay": 0.9, "current_decay": 0.7, "current_gain": 0.3}
    found = measured(small_target(), "shift", **changes)
    assert found["report"]["leaks"]["n"]["current_decay_error"] == pytest.approx(0.05)
    with pytest.raises(OptionError, match="synaptic current"):
        measured(small_target(), "linear", **changes)


def test_what_cannot_be_approximated_is_refused() -> None:
    with pytest.raises(OptionError, match="no such leak format"):
        QuantizeOptions(leak="quadratic")
    with pytest.raises(OptionError, match="measured on calibration data"):
        quantize(dense_net(WEIGHTS, decay=0.9), LINEAR, QuantizeOptions(leak="linear"))
