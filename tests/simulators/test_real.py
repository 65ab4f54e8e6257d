"""The real-number interpreter against the equations of its neuron, written out one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from snnc.ir.errors import InputError
from snnc.ir.network import Network
from snnc.ir.nodes import Bias, Delay, Input, Linear, Output, Pool, Scale
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.types import BIN
from snnc.ir.weights import Dense
from snnc.simulators.reference.real import run_real


def neuron(**changes: Any) -> RealNeuron:
    """An IF neuron of threshold 1 with some rules changed."""
    rules: dict[str, Any] = {
        "decay": np.ones(()), "gain": np.ones(()), "offset": np.zeros(()),
        "threshold": np.ones(()),
    } | changes  # fmt: skip
    return RealNeuron("n", ("x",), (1,), **rules)


def spikes(population: RealNeuron, *x: float) -> list[float]:
    """What one neuron emits for a sequence of inputs."""
    network = Network("one", (Input("x", (1,), BIN), population, Output("y", ("n",))))
    result = run_real(network, {"x": np.array(x)[None, :, None]})
    return [float(value) for value in result.outputs["y"][0, :, 0]]


def test_the_comparator_decides_a_potential_equal_to_the_threshold() -> None:
    assert spikes(neuron(comparator=">"), 1, 0.5) == [0, 1]
    assert spikes(neuron(comparator=">="), 1, 0.5) == [1, 0]


def test_the_reset_goes_to_zero_to_a_value_down_or_nowhere() -> None:
    drive = (1.75, 0.5, 0.5)
    assert spikes(neuron(reset="zero"), *drive) == [1, 0, 0]
    assert spikes(neuron(reset="value", reset_value=np.array(0.25)), *drive) == [1, 0, 1]
    assert spikes(neuron(reset="subtract"), *drive) == [1, 1, 0]
    assert spikes(neuron(reset="none"), 1.75, 0, 0) == [1, 1, 1]


def test_a_late_reset_swallows_the_input_of_the_next_step() -> None:
    late = neuron(reset="zero", reset_timing="next_step")
    assert spikes(late, 1.5, 9, 1.5) == [1, 0, 1]
    late = neuron(reset="subtract", reset_timing="next_step")
    assert spikes(late, 1.5, 0.25, 0.5) == [1, 0, 1]


def test_the_two_stage_subtraction_of_snntorch() -> None:
    """r = [v_prev > 1]; v = v + x - r; s = [v > 1]; v -= s - r, by hand."""
    rule = neuron(reset="subtract", reset_timing="snntorch_subtract")
    want, v = [], 0.0
    drive = [2.5, 0.25, 0, 0.9, 3.2, 0, 0, 0.1, -0.5, 1.4]
    for x in drive:
        r = float(v > 1)
        v = v + x - r
        s = float(v > 1)
        v -= s - r
        want.append(s)
    assert spikes(rule, *drive) == want
    assert want != spikes(neuron(reset="subtract"), *drive)


def test_several_spikes_per_step_are_counted_and_limited() -> None:
    many = neuron(comparator=">=", reset="subtract", multi_spike=0)
    assert spikes(many, 3.5, 0.5, -2, 0.5) == [3, 1, 0, 0]
    limited = neuron(comparator=">=", reset="subtract", multi_spike=2)
    assert spikes(limited, 3.5, 0, 0) == [2, 1, 0]


def test_the_clamp_forgets_what_lies_below() -> None:
    assert spikes(neuron(minimum=-1.0), -5, 2.5) == [0, 1]
    assert spikes(neuron(), -5, 2.5) == [0, 0]


def test_the_current_is_updated_before_the_potential() -> None:
    leaky = neuron(threshold=None, reset="none", decay=np.array(0.5), offset=np.array(0.125),
                   gain=np.array(2.0), current_decay=np.array(0.25),
                   current_gain=np.array(4.0))  # fmt: skip
    # cur = 4, 1, 0.25 and v = 2 cur + 0.5 v + 0.125
    assert spikes(leaky, 1, 0, 0) == [8.125, 6.1875, 3.71875]


def test_operators_between_populations() -> None:
    nodes = (
        Input("x", (1, 2, 2), BIN),
        Pool("p", ("x",), "sum", (2, 2), (2, 2), ((0, 0), (0, 0))),
        Scale("s", ("p",), np.array(0.5)),
        Bias("b", ("s",), np.array(1.0)),
        Delay("d", ("b",), 2),
        Output("y", ("d",)),
    )
    x = np.ones((1, 4, 1, 2, 2))
    got = run_real(Network("ops", nodes), {"x": x}).outputs["y"]
    assert got[0, :, 0, 0, 0].tolist() == [0, 0, 3, 3]


def test_only_populations_that_spike_are_recorded_and_counted() -> None:
    nodes = (
        Input("x", (1,), BIN),
        neuron(),
        Linear("w", ("n",), Dense(np.array([[0.5], [0.25]]))),
        RealNeuron("v", ("w",), (2,), np.ones(()), np.ones(()), np.zeros(()), None, reset="none"),
        Output("y", ("v",)),
    )
    result = run_real(Network("two", nodes), {"x": np.full((3, 5, 1), 1.5)})
    assert set(result.spikes) == set(result.spike_counts) == {"n"}
    assert result.spike_counts["n"].tolist() == [5, 5, 5]
    assert result.spikes["n"].count == 15
    assert result.outputs["y"][0, -1].tolist() == [2.5, 1.25]
    assert not run_real(Network("two", nodes), {"x": np.ones((1, 2, 1))}, record=[]).spikes


def test_float32_is_a_choice() -> None:
    nodes = (Input("x", (1,), BIN), neuron(), Output("y", ("n",)))
    result = run_real(Network("n", nodes), {"x": np.ones((1, 2, 1))}, dtype=np.float32)
    assert result.outputs["y"].dtype == np.float32


BAD_INPUTS = {
    "another name": ({"z": np.ones((1, 2, 1))}, "do not match"),
    "another shape": ({"x": np.ones((1, 2, 3))}, r"\[samples, steps, 1\]"),
    "no steps": ({"x": np.ones((1, 0, 1))}, "wrong shape"),
    "not finite": ({"x": np.full((1, 2, 1), np.nan)}, "finite"),
    "text": ({"x": np.full((1, 2, 1), "a")}, "finite numbers"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_a_bad_input_is_refused(case: str) -> None:
    data, words = BAD_INPUTS[case]
    network = Network("n", (Input("x", (1,), BIN), neuron(), Output("y", ("n",))))
    with pytest.raises(InputError, match=words):
        run_real(network, data)
