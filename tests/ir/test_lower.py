"""Rewrites of operators into populations: equal values, the intended neurons, honest refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_networks import random_inputs
from support.random_operators import random_operators

from snnc.backends.targets import load
from snnc.compiler.normalise import normalise
from snnc.ir.errors import InputError, ModelError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.lower import ANYTHING, Limits, Lowered, limits_of, lower
from snnc.ir.lower.associate import associate
from snnc.ir.lower.staircase import radix
from snnc.ir.network import Network
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import (
    Barrier,
    Delay,
    Index,
    Input,
    Lut,
    MatMul,
    Mul,
    Output,
    Pool,
    Reduce,
    Rescale,
)
from snnc.ir.types import BIN, ValueType
from snnc.simulators import functional, reference
from snnc.simulators.reference.real import run_real

LOIHI, TOY = limits_of(load("loihi1")), limits_of(load("toy-mesh"))
ONE_LEVEL = replace(ANYTHING, levels=1, negative_levels=0, emission=False, signed=False)
CNT4, CNT2, TERN = ValueType("cnt", 4), ValueType("cnt", 2), ValueType("tern")
seeds = st.integers(0, 2**32 - 1)


def over(*nodes: Any, types: tuple[ValueType, ...] = (BIN, BIN), shape: Any = (5,)) -> Any:
    """A network of inputs x0, x1, ... and the nodes; the last one is the output."""
    inputs = [Input(f"x{k}", shape, kind) for k, kind in enumerate(types)]
    return IntegerNetwork("net", (*inputs, *nodes, Output("out", (nodes[-1].name,))))


def check(network: IntegerNetwork, limits: Limits = ANYTHING, steps: int = 6) -> Lowered:
    """Lower, and compare the outputs on random data."""
    lowered = lower(network, limits)
    assert not lowered.refusals
    data = random_inputs(network, 0, samples=8, steps=steps, rate=0.7)
    expected, found = reference.run(network, data), reference.run(lowered.network, data)
    for name, values in expected.outputs.items():
        np.testing.assert_array_equal(found.outputs[name], values)
    return lowered


def helpers(lowered: Lowered) -> list[Neuron]:
    names = [name for rewrite in lowered.rewrites for name in rewrite.populations]
    return [n for n in lowered.network.populations if n.name in names]


# --- all primitives, any machine -----------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(seed=seeds, limits=st.sampled_from([ANYTHING, LOIHI, ONE_LEVEL, TOY]))
def test_random_networks_keep_every_value(seed: int, limits: Limits) -> None:
    steps = 2 + seed % 3
    network = random_operators(seed, steps)
    lowered = lower(network, limits)
    if lowered.refusals:
        assert limits is not ANYTHING
        return
    data = random_inputs(network, seed, samples=2, steps=steps, rate=0.5)
    expected, found = reference.run(network, data), reference.run(lowered.network, data)
    assert not any(found.mismatches(expected).values())
    assert not lower(lowered.network, limits).rewrites


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_the_functional_simulator_runs_all_primitives(seed: int) -> None:
    steps = 2 + seed % 3
    network = random_operators(seed, steps)
    data = random_inputs(network, seed, samples=2, steps=steps, rate=0.5)
    expected, found = reference.run(network, data), functional.run(network, data)
    assert not any(found.mismatches(expected).values())
    assert set(found.spikes) == set(expected.spikes)


# --- products ------------------------------------------------------------------------------------


def test_and_is_one_neuron_of_threshold_two() -> None:
    (gate,) = helpers(check(over(Mul("m", ("x0", "x1")))))
    assert (gate.name, gate.size, gate.thresholds.tolist()) == ("m.and", 5, [[2]])
    assert not gate.bias
    assert not gate.leak.multiplier.any()


def test_a_spike_gates_a_count_by_levels_above_it() -> None:
    (gate,) = helpers(check(over(Mul("m", ("x0", "x1")), types=(BIN, CNT4))))
    assert gate.thresholds[:, 0].tolist() == [5, 6, 7, 8]


def test_iand_is_one_neuron() -> None:
    inverted = Lut("not", ("x1",), 0, np.array([1, 0]))
    lowered = check(over(inverted, Mul("m", ("x0", "not"))))
    (gate,) = helpers(lowered)
    assert gate.thresholds.tolist() == [[1]]
    assert [rewrite.node for rewrite in lowered.rewrites] == ["m"]


@pytest.mark.parametrize("first", [BIN, CNT2, CNT4, TERN, ValueType("scnt", 3)])
@pytest.mark.parametrize(
    "second", [BIN, CNT4, ValueType("scnt", 5), ValueType("int", 9), ValueType("cnt", 30)]
)
@pytest.mark.parametrize("limits", [ANYTHING, ONE_LEVEL, replace(ANYTHING, levels=5)])
def test_products_of_all_types(first: ValueType, second: ValueType, limits: Limits) -> None:
    check(over(Mul("m", ("x0", "x1")), types=(first, second)), limits)


def test_silent_operands_make_no_neuron_fire() -> None:
    lowered = check(over(Mul("m", ("x0", "x1")), types=(TERN, ValueType("int", 6))))
    silent = {name: np.zeros((1, 4, 5), np.int64) for name in ("x0", "x1")}
    assert sum(c.sum() for c in reference.run(lowered.network, silent).spike_counts.values()) == 0


def test_a_gate_too_heavy_for_a_synapse_is_lifted_by_a_population() -> None:
    network = over(Mul("m", ("x0", "x1")), types=(BIN, ValueType("int", 10)))
    light = replace(ANYTHING, weight=127)
    assert [n.name for n in helpers(check(network, light))][:1] == ["m.lift"]
    (refusal,) = lower(network, replace(light, emission=False)).refusals
    assert (refusal.node, refusal.operator) == ("m", "Mul")
    assert "gates numbers up to 511, and synapses weigh 127 at most" in refusal.reason
    assert refusal.remedy


# --- matrix products -----------------------------------------------------------------------------


@pytest.mark.parametrize("flips", [(a, b) for a in (False, True) for b in (False, True)])
@pytest.mark.parametrize("inner_flips", [(a, b) for a in (False, True) for b in (False, True)])
@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("square", [False, True])
def test_the_cheaper_order_of_three_matrices_has_the_same_values(
    flips: Any, inner_flips: Any, position: int, square: bool
) -> None:
    """Every transposition; the shapes make one order cheaper, or equal ones keep the order."""
    n, d = (4, 4) if square else ((2, 9) if position else (9, 2))
    rng = np.random.default_rng(1)

    def operand(name: str, rows: int, columns: int, flip: bool) -> Input:
        return Input(name, (columns, rows) if flip else (rows, columns), CNT2)

    if position:  # a (b c): inner is d x d, cheap only for few d
        a = operand("a", n, d, flips[0])
        b = operand("b", d, n, inner_flips[0])
        c = operand("c", n, d, inner_flips[1])
        outer = MatMul("outer", ("a", "inner"), *flips)
    else:
        a = operand("a", n, d, inner_flips[0])
        b = operand("b", d, n, inner_flips[1])
        c = operand("c", n, d, flips[1])
        outer = MatMul("outer", ("inner", "c"), *flips)
    names = ("b", "c") if position else ("a", "b")
    nodes = (a, b, c, MatMul("inner", names, *inner_flips), outer, Output("out", ("outer",)))
    network = IntegerNetwork("chain", nodes)
    turned = associate(network)
    assert (turned is network) == square
    data = {x.name: rng.integers(0, 3, (3, 2, *x.shape)) for x in (a, b, c)}
    expected, found = reference.run(network, data), reference.run(turned, data)
    np.testing.assert_array_equal(found.outputs["out"], expected.outputs["out"])
    check(network)


def test_a_product_that_others_read_keeps_its_place() -> None:
    nodes = (MatMul("kv", ("x0", "x1"), True), MatMul("q", ("x0", "kv")))
    inputs = [Input(f"x{k}", (2, 9), BIN) for k in (0, 1)]
    outputs = [Output("a", ("q",)), Output("b", ("kv",))]
    network = IntegerNetwork("shared", (*inputs, *nodes, *outputs))
    assert associate(network) is network


# --- maxima --------------------------------------------------------------------------------------


def test_the_maximum_of_spikes_is_or() -> None:
    pool = Pool("p", ("x0",), "max", (3,), (2,), ((1, 1),))
    (gate,) = helpers(check(over(pool, types=(BIN,), shape=(2, 6))))
    assert (gate.name, gate.thresholds.reshape(-1).tolist()) == ("p.or", [1])


@pytest.mark.parametrize("limits", [ANYTHING, ONE_LEVEL])
@pytest.mark.parametrize("kind", [CNT4, ValueType("int", 7)])
@pytest.mark.parametrize("kernel", [(2, 2), (3, 2), (1, 4)])
def test_maxima_of_numbers(kernel: Any, kind: ValueType, limits: Limits) -> None:
    padding = tuple((k // 2, (k - 1) // 2) for k in kernel)
    pool = Pool("p", ("x0",), "max", kernel, (2, 1), padding)
    check(over(pool, types=(kind,), shape=(2, 5, 6)), limits)
    check(over(Reduce("r", ("x0",), "max", (0, 2)), types=(kind,), shape=(2, 3, 3)), limits)


def test_windows_share_the_maxima_of_their_rows() -> None:
    pool = Pool("p", ("x0",), "max", (3, 3), (1, 1), ((0, 0), (0, 0)))
    lowered = check(over(pool, types=(CNT4,), shape=(1, 8, 8)))
    separate = 6 * 6 * 8  # eight comparisons for every window
    assert lowered.rewrites[0].neurons == 2 * 6 * 8 + 2 * 6 * 6 < separate


# --- tables and rescales -------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_table_of_any_range(data: Any) -> None:
    low, size = data.draw(st.integers(-9, 9)), data.draw(st.integers(1, 12))
    table = np.array(data.draw(st.lists(st.integers(-6, 20), min_size=size, max_size=size)))
    limits = data.draw(st.sampled_from([ANYTHING, ONE_LEVEL, replace(ANYTHING, levels=3)]))
    kind = data.draw(st.sampled_from([BIN, CNT4, TERN, ValueType("int", 5)]))
    if table.max() <= 0:
        table = 1 - table
    check(over(Lut("f", ("x0",), low, table), types=(kind,)), limits)


def test_a_straight_table_is_a_synapse() -> None:
    lowered = check(over(Lut("f", ("x0",), 0, 3 * np.arange(5)), types=(CNT4,)))
    assert str(lowered.rewrites[0]) == "Lut rewritten into synapses"


def test_a_table_that_sends_at_rest_is_gated_by_a_bias() -> None:
    lowered = check(over(Lut("f", ("x0",), 0, np.array([7, 0, 2])), types=(CNT2,)))
    (ladder,) = helpers(lowered)
    assert [(b.value.tolist(), b.onset) for b in ladder.bias] == [(1, 0)]
    assert ladder.emission is not None
    assert ladder.emission[0] == 0


@pytest.mark.parametrize("limits", [ANYTHING, replace(ANYTHING, levels=7, negative_levels=0)])
@pytest.mark.parametrize("rounding", ["floor", "toward_zero", "half_even"])
@pytest.mark.parametrize("shift", [0, 1, 3, 6])
def test_rescales_round_as_the_reference(shift: int, rounding: Any, limits: Limits) -> None:
    every = np.arange(-128, 128)
    for bits in (3, 6, 9):
        multiplier = np.array([[-7], [0], [1], [5], [13]])
        node = Rescale("s", ("x0",), multiplier, shift, rounding, bits)
        network = over(node, types=(ValueType("int", 8),), shape=(5, 256))
        lowered = lower(network, limits)
        assert not lowered.refusals
        data = {"x0": np.tile(every, (1, 1, 5, 1))}
        expected, found = reference.run(network, data), reference.run(lowered.network, data)
        np.testing.assert_array_equal(found.outputs["out"], expected.outputs["out"])


def test_digits_use_as_few_populations_as_the_ladder_allows() -> None:
    assert [radix(top, 255) for top in (1, 255, 256, 65535)] == [2, 256, 17, 256]
    assert radix(1000, 1) == 2


# --- sums over time ------------------------------------------------------------------------------


def test_a_sum_over_time_is_seen_by_every_step() -> None:
    network = over(Reduce("r", ("x0",), "sum", (0,), 3), types=(CNT4,))
    data = {"x0": np.arange(30).reshape(2, 3, 5) % 5}
    out = reference.run(network, data).outputs["out"]
    assert out[:, :, 0].tolist() == [[30] * 3, [30] * 3]
    assert network.lags["out"] == 2
    check(network, steps=3)


def test_what_comes_after_a_sum_keeps_its_own_time() -> None:
    """Biases and delays behind a barrier count from the first step behind it."""
    m = Reduce("r", ("x0",), "sum", (), 4)
    nodes = (
        m,
        Mul("g", ("x1", "r")),
        Delay("d", ("g",), 2),
        Reduce("again", ("d",), "max", (0,)),
        Mul("h", ("first", "again")),
        Index("first", ("x1",), (1,), np.array([0])),
    )
    inputs = [Input("x0", (5,), CNT2), Input("x1", (5,), BIN)]
    network = IntegerNetwork("late", (*inputs, *nodes, Output("out", ("h",))))
    data = random_inputs(network, 0, samples=4, steps=4, rate=0.8)
    total = data["x0"].sum(axis=1, keepdims=True) * data["x1"]
    delayed = np.concatenate([np.zeros((4, 2, 5), np.int64), total[:, :2]], axis=1)
    wanted = delayed.max(axis=2) * data["x1"][:, :, 0]
    out = reference.run(network, data).outputs["out"]
    np.testing.assert_array_equal(out[:, :, 0], wanted)
    check(network, steps=4)
    assert not any(functional.run(network, data).mismatches(reference.run(network, data)).values())


@pytest.mark.parametrize("limits", [ANYTHING, LOIHI, ONE_LEVEL])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_sums_and_maxima_over_time_on_any_machine(steps: int, limits: Limits) -> None:
    for op in ("sum", "max"):
        node = Reduce("r", ("x0",), op, (1,), steps)  # type: ignore[arg-type]
        check(over(node, types=(CNT4,), shape=(3, 2)), limits, steps)
    check(over(Reduce("r", ("x0",), "sum", (), steps), types=(TERN,)), limits, steps)


def test_two_sums_in_a_row_wait_twice() -> None:
    nodes = (Reduce("a", ("x0",), "sum", (), 3), Mul("g", ("x0", "a")),
             Reduce("b", ("g",), "sum", (0,), 3))  # fmt: skip
    network = over(*nodes, types=(CNT2,))
    assert network.lags["b"] == 4
    lowered = check(network, steps=3)
    assert len([n for n in lowered.network.nodes if isinstance(n, Barrier)]) == 2


def test_a_largest_negative_number_over_time_is_refused() -> None:
    (refusal,) = lower(over(Reduce("r", ("x0",), "max", (0,), 3), types=(TERN,))).refusals
    assert "values in -1..1, and only 0..64 are rewritten" in refusal.reason


def test_a_loop_through_a_sum_over_time_is_refused() -> None:
    nodes = (
        Input("x", (2,), BIN),
        Mul("m", ("x", "late")),
        Neuron("n", ("m",), (2,), np.array([1]), Reset("value")),
        Reduce("sum", ("n",), "sum", (), 3),
        Delay("late", ("sum",), 1),
        Output("out", ("n",)),
    )
    with pytest.raises(ModelError, match="a loop through a sum over all time steps"):
        IntegerNetwork("loop", nodes)


def test_sums_over_different_times_are_refused() -> None:
    nodes = (Reduce("a", ("x0",), "sum", (), 3), Reduce("b", ("x0",), "sum", (), 4))
    with pytest.raises(ModelError, match="sums over time of different lengths"):
        over(*nodes)


def test_a_trained_network_sums_over_time() -> None:
    nodes = (Input("x", (2,), BIN), Reduce("sum", ("x",), "sum", (), 3), Output("y", ("sum",)))
    network = Network("real", nodes)
    values = np.random.default_rng(0).random((4, 3, 2))
    outputs = run_real(network, {"x": values}).outputs["y"]
    whole = values.sum(axis=1, keepdims=True)
    assert np.allclose(outputs, np.broadcast_to(whole, outputs.shape), rtol=1e-14)
    with pytest.raises(InputError, match="exactly its length"):
        run_real(network, {"x": values[:, :2]})
    folded = normalise(network)
    assert np.array_equal(run_real(folded, {"x": values}).outputs["y"], outputs)
