"""Parameters of the neuron records: what broadcasts, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from snnc.ir.errors import ModelError
from snnc.ir.neuron import (
    Adaptation,
    GatedBias,
    Leak,
    Neuron,
    Reset,
    StateRange,
    flat,
    flat_ladder,
)
from snnc.ir.real_neuron import RealNeuron

SHAPE = (3, 2, 2)


def _neuron(**changes: Any) -> Neuron:
    good: dict[str, Any] = {"thresholds": np.array([4, 9]), "reset": Reset("value")}
    return Neuron("pop", ("x",), SHAPE, **{**good, **changes})


def test_a_ladder_of_numbers_applies_to_every_neuron() -> None:
    neuron = _neuron()
    assert neuron.thresholds.shape == (2, 1, 1, 1)
    assert (neuron.levels, neuron.negative_levels, neuron.size) == (2, 0, 12)
    assert flat_ladder(neuron.thresholds, SHAPE).tolist() == [[4] * 12, [9] * 12]


def test_an_emission_table_bounds_what_is_sent() -> None:
    assert _neuron().emitted == (0, 2)
    neuron = _neuron(negative_thresholds=np.array([5]), emission=np.array([7, 0, -3, 2]))
    assert neuron.emitted == (-3, 7)


def test_a_parameter_per_channel_spreads_over_the_channel() -> None:
    per_channel = np.array([1, 2, 3]).reshape(3, 1, 1)
    assert flat(per_channel, SHAPE).tolist() == [1] * 4 + [2] * 4 + [3] * 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thresholds": np.array([9, 4])}, "pop.thresholds: a threshold ladder must not fall"),
        ({"thresholds": np.ones((1, 3), int)}, "with the population's axes"),
        ({"thresholds": np.ones((1, 2, 2, 2), int)}, "does not fit the population"),
        ({"thresholds": np.array([0.5])}, "integer values are required"),
        ({"negative_thresholds": np.array([3, 2])}, "pop.negative_thresholds: .* must not fall"),
        ({"emit": "state"}, "has no thresholds"),
        ({"leak": Leak(np.ones(5, int))}, "pop.leak: the parameter does not fit"),
        ({"reset": Reset("value", np.ones(5, int))}, "pop.reset: the parameter does not fit"),
        ({"initial": np.ones(5, int)}, "pop.initial: the parameter does not fit"),
        ({"bias": (GatedBias(np.ones(5, int)),)}, "pop.bias 0: the parameter does not fit"),
        ({"current": Leak(np.ones(5, int))}, "pop.current: the parameter does not fit"),
        ({"adaptation": Adaptation("decay", np.ones(5, int))}, "pop.adaptation: the parameter"),
        ({"input_shift": 31}, r"input_shift is 0\.\.30"),
        ({"refractory": -1}, "refractory >= 0"),
        ({"grid": (1.0, 2.0)}, "one per channel"),
        ({"emission": np.array([0, 1])}, "one value per signed count"),
        ({"emission": np.array([1, 2, 3])}, "0 for the count 0"),
        ({"emission": np.zeros(1, int), "emit": "state", "thresholds": np.zeros(0, int)}, "signed"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        _neuron(**change)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Leak(np.array(1), 31), "shift in 0..30"),
        (lambda: Leak(np.array(-1)), "multiplier is >= 0"),
        (lambda: StateRange(1, 5), "holds 0"),
        (lambda: StateRange(-5, -1), "holds 0"),
        (lambda: StateRange(0, 2**62), "fits 63 bits"),
        (lambda: GatedBias(np.array(1), -1), "onset is not negative"),
        (lambda: GatedBias(np.array(0.5)), "integer values are required"),
    ],
)
def test_a_part_of_a_neuron_checks_itself(build: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build()


def test_the_identity_leak_is_recognised() -> None:
    assert Leak(np.array([4096, 4096]), 12).is_identity
    assert not Leak(np.array([4096, 4095]), 12).is_identity


def _real(**changes: Any) -> RealNeuron:
    good: dict[str, Any] = {"decay": 0.5, "gain": 1.0, "offset": 0.0, "threshold": np.array(1.0)}
    return RealNeuron("lif", ("x",), SHAPE, **{**good, **changes})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": np.array(0.0)}, "lif.threshold: a firing threshold must be positive"),
        ({"threshold": np.array(np.nan)}, "lif.threshold: the values must be finite"),
        ({"decay": np.ones(5)}, "lif.decay: the parameter does not fit"),
        ({"current_decay": np.array(0.5)}, "come together"),
        ({"reset": "value"}, "reset_value goes with"),
        ({"reset_value": np.array(1.0)}, "reset_value goes with"),
        ({"multi_spike": -1}, "are not negative"),
    ],
)
def test_a_real_neuron_checks_itself(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        _real(**change)
