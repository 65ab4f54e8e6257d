"""The reference interpreter against independent formulations and hand-computed examples."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, signal
from support.small_networks import integer_arrays

from snnc.ir.errors import InputError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Adaptation, GatedBias, Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import (
    Add,
    Barrier,
    Delay,
    Index,
    Input,
    Linear,
    Lut,
    MatMul,
    Mul,
    Output,
    Pool,
    Reduce,
    Rescale,
    Rounding,
)
from snnc.ir.types import ValueType
from snnc.ir.weights import Conv, Dense
from snnc.simulators.reference import run
from snnc.simulators.reference.neuron import PopulationState
from snnc.simulators.reference.operators import apply, linear, round_shift
from snnc.simulators.result import Events, decode, predictions

# --- rounding -----------------------------------------------------------------------------------

EXACT: dict[str, Callable[[Fraction], int]] = {
    "floor": math.floor,
    "toward_zero": math.trunc,
    "half_even": round,  # Python rounds fractions half to even
}


@pytest.mark.parametrize("mode", ["floor", "toward_zero", "half_even"])
@given(product=st.integers(-(2**61), 2**61), shift=st.integers(0, 60))
def test_rounding_equals_exact_fractions(mode: Rounding, product: int, shift: int) -> None:
    got = round_shift(np.array([product]), shift, mode)
    assert int(got[0]) == EXACT[mode](Fraction(product, 2**shift))


@pytest.mark.parametrize("mode", ["floor", "toward_zero", "half_even"])
def test_rounding_is_right_for_every_small_number(mode: Rounding) -> None:
    products = np.arange(-300, 301)
    for shift in range(5):
        expected = [EXACT[mode](Fraction(int(p), 2**shift)) for p in products]
        assert round_shift(products, shift, mode).tolist() == expected


# --- operators ----------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.data())
def test_convolution_equals_scipy(data: Any) -> None:
    stride, dilation = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))
    pad = data.draw(st.integers(0, 2))
    x = data.draw(integer_arrays((2, 3, 7, 8), -5, 5))
    w = data.draw(integer_arrays((4, 3, 3, 2), -5, 5))
    spread = np.zeros((4, 3, 2 * dilation + 1, dilation + 1), np.int64)
    spread[:, :, ::dilation, ::dilation] = w
    padded = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    expected = [
        [signal.correlate(image, kernel, mode="valid")[0, ::stride, ::stride] for kernel in spread]
        for image in padded
    ]
    conv = Conv(w, (stride, stride), ((pad, pad), (pad, pad)), (dilation, dilation))
    np.testing.assert_array_equal(linear(conv, x), expected)


def test_a_grouped_convolution_is_a_convolution_per_group() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.integers(-5, 6, (2, 4, 6)), rng.integers(-5, 6, (6, 2, 3))
    grouped = linear(Conv(w, (1,), ((1, 0),), (1,), 2), x)
    halves = [
        linear(Conv(w[3 * g : 3 * g + 3], (1,), ((1, 0),), (1,)), x[:, 2 * g : 2 * g + 2])
        for g in (0, 1)
    ]
    np.testing.assert_array_equal(grouped, np.concatenate(halves, axis=1))


def test_pools_equal_scipy_filters() -> None:
    x = np.random.default_rng(1).integers(-9, 10, (1, 1, 7, 7))
    summed = apply(Pool("p", ("x",), "sum", (3, 3), (2, 2), ((1, 1), (1, 1))), [x])
    box = ndimage.correlate(x[0, 0], np.ones((3, 3), int), mode="constant")[::2, ::2]
    np.testing.assert_array_equal(summed[0, 0], box)
    highest = apply(Pool("p", ("x",), "max", (3, 3), (2, 2), ((1, 1), (1, 1))), [x])
    top = ndimage.maximum_filter(x[0, 0], 3, mode="nearest")[::2, ::2]
    np.testing.assert_array_equal(highest[0, 0], top)


def test_padding_never_wins_a_maximum() -> None:
    pool = Pool("p", ("x",), "max", (2,), (1,), ((1, 1),))
    assert apply(pool, [np.array([[[-5, -7]]])]).tolist() == [[[-5, -5, -7]]]


@pytest.mark.parametrize("ta", [False, True])
@pytest.mark.parametrize("tb", [False, True])
def test_matmul_equals_einsum(ta: bool, tb: bool) -> None:
    rng = np.random.default_rng(2)
    a = rng.integers(-3, 4, (2, 5, 4, 3) if ta else (2, 5, 3, 4))
    b = rng.integers(-3, 4, (2, 5, 6, 4) if tb else (2, 5, 4, 6))
    left, right = ("bhki" if ta else "bhik"), ("bhjk" if tb else "bhkj")
    got = apply(MatMul("m", ("a", "b"), ta, tb), [a, b])
    np.testing.assert_array_equal(got, np.einsum(f"{left},{right}->bhij", a, b))


def test_small_operators_by_hand() -> None:
    x = np.array([[[1, -2, 3], [0, 5, -6]]])
    assert apply(Add("n", ("x", "x", "x")), [x, x, x]).tolist() == (3 * x).tolist()
    assert apply(Mul("n", ("x", "x")), [x, x]).tolist() == (x * x).tolist()
    assert apply(Reduce("n", ("x",), "sum", (0,)), [x]).tolist() == [[[1, 3, -3]]]
    assert apply(Reduce("n", ("x",), "max", (0, 1)), [x]).tolist() == [[[5]]]
    chosen = apply(Index("n", ("x", "x"), (2, 2), np.array([5, -1, 6, 0])), [x, 10 * x])
    assert chosen.tolist() == [[[-6, 0], [10, 1]]]
    lut = apply(Lut("n", ("x",), -2, np.array([7, 8, 9, 10])), [x])
    assert lut.tolist() == [[[10, 7, 10], [9, 10, 7]]]


def test_a_rescale_rounds_then_saturates() -> None:
    node = Rescale("n", ("x",), np.array(3), 2, "half_even", 4)
    x = np.array([[-20, -2, 0, 1, 2, 6, 20]])
    #    3x/4:     -15  -1.5 0 .75 1.5 4.5 15
    assert apply(node, [x]).tolist() == [[-8, -2, 0, 1, 2, 4, 7]]


# --- the neuron ---------------------------------------------------------------------------------


def _emits(inputs: list[int], thresholds: tuple[int, ...] = (10,), **fields: Any) -> Any:
    """(what is emitted, v after each step) of one neuron."""
    neuron = Neuron("n", ("x",), (1,), np.array(thresholds, np.int64),
                    **{"reset": Reset("value"), **fields})  # fmt: skip
    state = PopulationState(neuron, 1)
    emitted, potentials = [], []
    for t, x in enumerate(inputs):
        emitted.append(int(state.step(np.array([[x]]), t)[0, 0]))
        potentials.append(int(state.v[0, 0]))
    return emitted, potentials


def test_a_neuron_fires_at_its_threshold_not_above() -> None:
    assert _emits([9, 1, 10]) == ([0, 1, 1], [9, 0, 0])


@pytest.mark.parametrize(
    ("reset", "potentials"),
    [
        (Reset("value"), [6, 0, 6]),
        (Reset("value", np.array(-3)), [6, -3, 3]),
        (Reset("subtract", np.array(10)), [6, 2, 8]),
        (Reset("none"), [6, 12, 18]),
        (Reset("multiply", up=-2, down=3), [6, -24, -18]),
    ],
)
def test_every_reset_rule(reset: Reset, potentials: list[int]) -> None:
    fired = [0, 1, 1] if reset.kind == "none" else [0, 1, 0]
    assert _emits([6, 6, 6], reset=reset) == (fired, potentials)


def test_a_multiplying_reset_follows_the_sign_of_the_spike() -> None:
    fields: dict[str, Any] = {
        "negative_thresholds": np.array([4]),
        "reset": Reset("multiply", up=2, down=3),
    }
    assert _emits([-5, 26, 0], **fields) == ([-1, 1, 1], [-15, 22, 44])


def test_a_ladder_counts_the_levels_reached() -> None:
    fields: dict[str, Any] = {
        "negative_thresholds": np.array([3, 6]), "reset": Reset("subtract", np.array(5)),
    }  # fmt: skip
    assert _emits([14, 0, -16, 0], (5, 10, 15), **fields) == ([2, 0, -2, 0], [4, 4, -2, -2])


def test_an_emission_table_is_sent_and_the_reset_sees_the_count() -> None:
    neuron = Neuron(
        "n", ("x",), (1,), np.array([2, 5]), Reset("subtract", np.array(2)),
        negative_thresholds=np.array([3]), emission=np.array([9, 0, -4, 30]),
    )  # fmt: skip
    state = PopulationState(neuron, 1)
    sent, kept = [], []
    for x in (1, 1, 6, -4, -1):
        sent.append(int(state.step(np.array([[x]]), 0)[0, 0]))
        kept.append(int(state.v[0, 0]))
    assert sent == [0, -4, 30, 0, 9]
    assert kept == [1, 0, 2, -2, -1]


def test_the_leak_rounds_as_asked() -> None:
    inputs = [-7, 0, 0, 0]
    for mode, expected in (
        ("floor", [-7, -4, -2, -1]), ("toward_zero", [-7, -3, -1, 0]),
        ("half_even", [-7, -4, -2, -1]),
    ):  # fmt: skip
        leak = Leak(np.array(1), 1, mode)  # type: ignore[arg-type]
        assert _emits(inputs, leak=leak)[1] == expected


def test_a_synaptic_current_outlives_its_spike() -> None:
    halved = Leak(np.array(1), 1)
    assert _emits([8, 0, 0, 0], (99,), current=halved)[1] == [8, 12, 14, 15]


def test_the_input_shift_scales_the_sum() -> None:
    assert _emits([3, -1], (99,), input_shift=2)[1] == [12, 8]


def test_a_bias_waits_for_its_onset() -> None:
    bias = (GatedBias(np.array(2), 0), GatedBias(np.array(100), 2))
    assert _emits([0, 0, 0, 0], (1000,), bias=bias)[1] == [2, 4, 106, 208]


def test_a_refractory_neuron_stays_silent_and_keeps_integrating() -> None:
    assert _emits([10, 10, 10, 10], refractory=2) == ([1, 0, 0, 1], [0, 10, 20, 0])


def test_a_refractory_neuron_can_be_held_at_its_reset_value() -> None:
    fields: dict[str, Any] = {
        "refractory": 2,
        "refractory_hold": True,
        "reset": Reset("value", np.array(1)),
    }
    assert _emits([10, 10, 10, 10], **fields) == ([1, 0, 0, 1], [1, 1, 1, 1])


def test_an_adaptive_threshold_rises_with_spikes_and_decays() -> None:
    rule = Adaptation("decay", np.array(8), Leak(np.array(1), 1), beta=3, beta_shift=1)
    # a after each step: 8, 4, 10, 5; threshold seen: 10, 10+12, 10+6, 10+15
    assert _emits([10, 21, 0, 24], adaptation=rule)[0] == [1, 0, 1, 0]


def test_a_stepping_threshold_is_clipped_at_both_ends() -> None:
    rule = Adaptation("step", np.array(6), decrement=4, maximum=9)
    # a after each step: 6, 9, 5, 1, 0; threshold seen: 10, 16, 19, 15, 11
    emitted, _ = _emits([10, 16, 18, 0, 0], adaptation=rule, leak=Leak(np.array(0)))
    assert emitted == [1, 1, 0, 0, 0]
    assert _emits([10, 16, 18, 14, 11], adaptation=rule, leak=Leak(np.array(0)))[0][-1] == 1


def test_a_state_saturates_or_wraps() -> None:
    clip, wrap = StateRange(-8, 7), StateRange(-8, 7, "wrap")
    assert _emits([5, 5, -20], (99,), state_range=clip)[1] == [5, 7, -8]
    assert _emits([5, 5, -20], (99,), state_range=wrap)[1] == [5, -6, 6]
    kept = Leak(np.array(1))
    assert _emits([5, 5, 0], (99,), current=kept, current_range=clip)[1] == [5, 12, 19]
    assert _emits([5, 5, 0], (99,), current=kept, current_range=wrap)[1] == [5, -1, -7]


def test_a_readout_emits_its_state() -> None:
    fields: dict[str, Any] = {
        "emit": "state",
        "initial": np.array(3),
        "bias": (GatedBias(np.array(1)),),
    }
    assert _emits([1, -9], (), **fields) == ([5, -3], [5, -3])


# --- whole networks -----------------------------------------------------------------------------

X = Input("x", (1,), ValueType("cnt", 9))


def _network(*nodes: Any) -> IntegerNetwork:
    return IntegerNetwork("t", (X, *nodes, Output("y", (nodes[-1].name,))))


def _neuron(source: str) -> Neuron:
    return Neuron("n", (source,), (1,), np.array([5]), Reset("subtract", np.array(5)))


def test_a_delay_shifts_in_time_and_starts_silent() -> None:
    result = run(_network(Delay("d", ("x",), 2)), {"x": np.array([[[1], [2], [3], [4]]])})
    assert result.outputs["y"][0, :, 0].tolist() == [0, 0, 1, 2]


def test_a_loop_feeds_back_one_step_later() -> None:
    back = Linear("w", ("d",), Dense(np.array([[3]])))
    net = _network(Add("s", ("x", "w")), _neuron("s"), Delay("d", ("n",), 1), back, _neuron2())
    result = run(net, {"x": np.array([[[5], [2], [0], [0]]])})
    # v: 5 -> spike; 2 + 3 = 5 -> spike; 3; 3
    assert result.spikes["n"].step.tolist() == [0, 1]
    assert result.spike_counts["n"].tolist() == [2]


def _neuron2() -> Neuron:
    return Neuron("out", ("n",), (1,), np.array([1]), Reset("value"))


def test_samples_do_not_see_each_other() -> None:
    rng = np.random.default_rng(3)
    data = rng.integers(0, 10, (5, 7, 1))
    net = _network(_neuron("x"))
    together = run(net, {"x": data}).outputs["y"]
    alone = [run(net, {"x": data[i : i + 1]}).outputs["y"][0] for i in range(5)]
    np.testing.assert_array_equal(together, alone)


def test_a_barrier_hands_the_last_value_to_the_first_step() -> None:
    nodes = (
        Input("x", (1,), ValueType("cnt", 9)),
        Barrier("b", ("x",), 3),
        Add("with_x", ("b", "x")),
        Output("out", ("with_x",)),
    )
    network = IntegerNetwork("barrier", nodes)
    data = np.array([[[1], [2], [3]], [[4], [5], [6]]])
    assert run(network, {"x": data}).outputs["out"][..., 0].tolist() == [[4, 2, 3], [10, 5, 6]]
    with pytest.raises(InputError, match="the network sums over all time steps"):
        run(network, {"x": data[:, :2]})


def test_only_the_asked_populations_are_recorded() -> None:
    net = _network(_neuron("x"), _neuron2())
    result = run(net, {"x": np.full((1, 3, 1), 9)}, record=["out"])
    assert set(result.spikes) == {"out"}
    assert set(result.spike_counts) == {"n", "out"}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"t: the inputs do not match(.|\n)*allowed: x"),
        ({"x": np.zeros((1, 2, 1)) + 0.5}, r"x: input values must be integers(.|\n)*--encode"),
        ({"x": np.zeros((1, 2), int)}, r"wrong shape(.|\n)*allowed: \[samples, steps, 1\]"),
        ({"x": np.zeros((0, 2, 1), int)}, "wrong shape"),
        ({"x": np.full((1, 2, 1), 10)}, r"leave the range(.|\n)*cnt\(9\) = \[0, 9\]"),
        ({"x": np.full((1, 2, 1), -1)}, "leave the range"),
    ],
)
def test_wrong_input_is_refused(inputs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(_network(_neuron("x")), inputs)


# --- results ------------------------------------------------------------------------------------


def test_events_count_differences_entry_by_entry() -> None:
    a = np.zeros((2, 3, 4), np.int64)
    a[0, 1, 2], a[1, 2, 3] = 2, -1
    b = a.copy()
    b[0, 1, 2], b[0, 0, 0] = 1, 1
    mine, theirs = Events.from_dense(a), Events.from_dense(b)
    assert mine.count == 3
    assert mine.mismatches(theirs) == 2
    assert mine.mismatches(Events.from_dense(a)) == 0


def test_a_state_beyond_32_bits_is_recorded_exactly() -> None:
    assert Events.from_dense(np.array([[[2**40]]])).value.tolist() == [2**40]


def test_readouts_and_ties() -> None:
    values = np.array([[[1, 4], [2, 0], [1, 0]]])
    assert decode(values, "sum").tolist() == [[4, 4]]
    assert decode(values, "max").tolist() == [[2, 4]]
    assert decode(values, "last").tolist() == [[1, 0]]
    assert [int(predictions(values, r)[0]) for r in ("sum", "max", "last")] == [0, 1, 0]
