"""Random neurons of the whole real form, on representable grids: the integers are exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.real_nets import dense_net, spikes
from support.small_target import small_target

from snnc.compiler.quantize import Quantized, QuantizeOptions, quantize
from snnc.ir.errors import UnsupportedError
from snnc.ir.real_neuron import RealAdaptation
from snnc.ir.target import Target
from snnc.ir.types import ValueType
from snnc.simulators.reference import run
from snnc.simulators.reference.real import run_real

ANY_RESET = {"zero": {}, "value": {}, "subtract": {}, "none": {}, "multiply": {}}


def wide(**changes: Any) -> Target:
    """Neurons with every feature and room for the fractions of ten steps."""
    neuron = {
        "reset": ANY_RESET, "levels": None, "negative_levels": None, "input_shift": (0, 20),
        "state_bits": 44, "current_bits": 44, "current_overflow": "saturate", "leak_bits": 12,
        "leak_rounding": "floor", "threshold_bits": 40, "bias_bits": 40, "refractory_max": 9,
        "refractory_hold": False, "adaptation": True, **changes,
    }  # fmt: skip
    return small_target(neuron=neuron)


def exact(
    seed: int, steps: int, target: Target, kind: ValueType | None = None, **neuron: Any
) -> Quantized:
    """A dense layer of such neurons: equal spikes; its integers."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-9, 20, (6, 5)) / 8
    kind = kind or ValueType("bin")
    network = dense_net(weights, rng.integers(-3, 6, 6) / 8, kind, **neuron)
    x = spikes((5, steps, 5), 0.5, seed, kind.high)
    data = {"in": x.astype(float)}
    done = quantize(network, target, QuantizeOptions(timesteps=steps), data)
    integer, real = run(done.network, {"in": x}), run_real(network, data)
    assert integer.spikes["n"].mismatches(real.spikes["n"]) == 0
    return done


quarters = st.integers(1, 24).map(lambda n: n / 4)
eighths = st.integers(-8, 8).map(lambda n: n / 8)


@st.composite
def neurons(draw: st.DrawFn) -> dict[str, Any]:
    """Any combination of the fields of ``RealNeuron`` with an exact integer form."""
    theta = draw(quarters)
    chosen: dict[str, Any] = {
        "decay": draw(st.sampled_from([0.0, 0.5, 0.75, 1.0])),
        "gain": draw(st.sampled_from([0.25, 0.5, 1.0, 2.0])),
        "offset": draw(eighths), "threshold": theta, "initial": np.array(draw(eighths)),
        "comparator": draw(st.sampled_from([">", ">="])),
        "reset": draw(st.sampled_from(["zero", "subtract", "value", "none", "multiply"])),
    }  # fmt: skip
    if chosen["reset"] == "value":
        chosen["reset_value"] = -abs(draw(eighths))
    if chosen["reset"] == "multiply":
        chosen["reset_factors"] = draw(st.sampled_from([(0.0, 2.0), (0.0, 0.0), (-1.0, 1.0)]))
    if draw(st.booleans()):
        chosen |= {"current_decay": draw(st.sampled_from([0.5, 0.75])), "current_gain": 0.5}
        chosen["offset"] = 0.0
    form = draw(st.sampled_from(["one", "many", "ladder", "half_even", "half_up", "adaptive"]))
    if form == "many":
        chosen["multi_spike"] = draw(st.integers(1, 4))
        chosen["negative_spikes"] = draw(st.integers(0, 3))
    elif form == "ladder":
        levels = np.cumsum([theta, *draw(st.lists(quarters, max_size=3))])
        chosen |= {"ladder": levels, "multi_spike": levels.size}
    elif form in ("half_even", "half_up"):
        chosen |= {"rounding": form, "multi_spike": draw(st.integers(1, 5)),
                   "negative_spikes": draw(st.integers(0, 2))}  # fmt: skip
    elif form == "adaptive":
        chosen["adaptation"] = RealAdaptation(
            np.array(0.5), np.array(draw(quarters)), np.array(draw(st.sampled_from([0.5, 1.0])))
        )
    if chosen["reset"] not in ("none", "multiply") and draw(st.booleans()):
        chosen["refractory"] = draw(st.integers(1, 3))
    return chosen


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), neurons())
def test_random_neurons_on_a_grid_are_exact(seed: int, steps: int, neuron: dict[str, Any]) -> None:
    target = wide(refractory_hold=bool(seed % 2))
    neuron = {**neuron, "refractory_hold": bool(seed % 2) and "refractory" in neuron}
    exact(seed, steps, target, ValueType("cnt", 3) if seed % 3 else None, **neuron)


@pytest.mark.parametrize("rounding", ["half_even", "half_up"])
def test_ties_of_a_rounding_go_where_the_framework_sends_them(rounding: str) -> None:
    done = exact(1, 8, wide(), ValueType("cnt", 4), rounding=rounding, multi_spike=4,
                 negative_spikes=4, threshold=0.25, reset="none", decay=0.0)  # fmt: skip
    node = done.network.populations[0]
    grid = node.grid[0]
    ideal = 0.25 * (np.arange(1, 5) - 0.5) / grid
    odd = np.array([1, 0, 1, 0]) if rounding == "half_even" else np.zeros(4, int)
    first = node.thresholds.reshape(4, -1)[:, 0]
    assert np.array_equal(first, np.floor(ideal) + np.where(ideal % 1 == 0, odd, 1))


def test_a_threshold_that_is_subtracted_may_lie_between_the_weights() -> None:
    done = exact(2, 6, wide(), threshold=0.6875, reset="subtract", comparator=">")
    assert done.report["layers"]["n"]["exact_groups"] == 6
    assert done.report["layers"]["n"]["reset_error"] == 0


def test_weights_take_the_places_that_a_short_potential_lacks() -> None:
    target = wide(input_shift=(0, 2))
    done = exact(3, 4, target, decay=0.5, reset="zero", threshold=1.0)
    assert done.report["layers"]["n"]["weight_grid"][1] <= 1 / 16
    assert done.network.populations[0].input_shift == 2


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"reset": "multiply", "reset_factors": (0.5, 1.0)}, "whole factors"),
        ({"refractory": 10}, "a refractory period of 10 steps, test has at most 9"),
        ({"refractory": 2, "refractory_hold": True}, "rests, and the target integrates"),
        ({"adaptation": RealAdaptation(np.array(0.5), np.array(1.0), np.array(1.0)),
          "multi_spike": 2}, "several or negative spikes"),
    ],
)  # fmt: skip
def test_what_has_no_integer_form_is_refused(changes: dict[str, Any], found: str) -> None:
    with pytest.raises(UnsupportedError, match=found):
        exact(0, 2, wide(), **changes)


def test_features_that_a_target_lacks_are_refused_by_name() -> None:
    adaptation = RealAdaptation(np.array(0.5), np.array(1.0), np.array(1.0))
    plain = small_target()
    for changes, found in (
        ({"adaptation": adaptation}, "an adaptive threshold, and test has none"),
        ({"negative_spikes": 1}, "1 negative spikes per step, and test sends none"),
    ):
        with pytest.raises(UnsupportedError, match=found):
            exact(0, 2, plain, reset="zero", **changes)  # type: ignore[arg-type]
