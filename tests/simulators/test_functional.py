"""The functional simulator equals the reference: every spike, output and count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.random_networks import Options, random_inputs, random_network
from support.same_run import assert_same_run
from support.speed_networks import event_cnn, layered_lif

from snnc.ir.errors import InputError, OptionError, UnsupportedError
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import GatedBias, Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import Index, Input, Linear, Mul, Output, Rescale
from snnc.ir.types import BIN, ValueType
from snnc.ir.weights import Dense
from snnc.simulators import functional, reference
from snnc.simulators.functional.layouts import (
    RUNS,
    SINGLE,
    WIDE,
    WORDS,
    choose,
    part_unequal,
    runs,
)
from snnc.simulators.functional.plan import (
    CHUNK,
    CURRENT,
    CURRENT_WRAP,
    GENERAL,
    INTEGRATE,
    LEAKY,
    MODE,
    PERIOD,
    make_plan,
)
from snnc.simulators.functional.program import LAYOUT, build

seeds = st.integers(0, 2**32 - 1)


def assert_equal(network: IntegerNetwork, inputs: Any) -> functional.FunctionalResult:
    mine = functional.run(network, inputs)
    assert_same_run(mine, reference.run(network, inputs))
    return mine


@settings(max_examples=60, deadline=None)
@given(seed=seeds, weight=st.sampled_from([20, 127, 3000, 2**24]))
@example(seed=2697, weight=2**24)  # a readout beyond 32 bits
def test_random_networks_equal_the_reference(seed: int, weight: int) -> None:
    network = random_network(seed, Options(weight=weight))
    assert_equal(network, random_inputs(network, seed, samples=2, steps=8))


@settings(max_examples=60, deadline=None)
@given(seed=seeds, width=st.sampled_from([4, 12]), rate=st.sampled_from([0.02, 0.4]))
def test_random_networks_of_simple_neurons_equal_the_reference(
    seed: int, width: int, rate: float
) -> None:
    options = Options(simple_only=True, width=width)
    network = random_network(seed, options)
    assert_equal(network, random_inputs(network, seed, samples=2, steps=10, rate=rate))


def test_the_random_networks_reach_every_path_and_layout() -> None:
    modes, layouts, types, delays = set(), set(), set(), set()
    for seed in range(40):
        options = Options(weight=150) if seed % 2 else Options(weight=100, width=12)
        program = build(expand(random_network(seed, options)))
        plan = make_plan(program, 8)
        modes |= set(plan.table[:-1, MODE])
        types.add(plan.dtype)
        layouts |= set(program.network.projections[:, LAYOUT])
        delays |= set(program.network.projections[:, 2])
    assert modes == {GENERAL, INTEGRATE, LEAKY}
    assert layouts == {WIDE, WORDS, RUNS, SINGLE}
    assert types == {np.int32, np.int64}
    assert len(delays) > 3


def simple(theta: int, shape: tuple[int, ...] = (40,), **more: Any) -> IntegerNetwork:
    """40 inputs, dense, one population; ``more`` are its fields."""
    weights = np.random.default_rng(0).integers(-20, 40, (40, 40))
    neuron = Neuron("n", ("w",), shape, np.array([theta]), **more)
    nodes = Input("x", (40,), BIN), Linear("w", ("x",), Dense(weights)), neuron, Output("o", ("n",))
    return IntegerNetwork("simple", nodes)


def sparse_raster(rate: float, steps: int = 60) -> Any:
    return (np.random.default_rng(1).random((3, steps, 40)) < rate).astype(np.uint8)


@pytest.mark.parametrize("rate", [0.0, 0.002, 0.2])
@pytest.mark.parametrize("kind", ["subtract", "value", "none"])
@pytest.mark.parametrize("initial", [0, 95, 5000])
def test_neurons_without_input_fire_only_when_the_reference_does(
    kind: Any, initial: int, rate: float
) -> None:
    """A subtracting neuron far above its threshold goes on firing in silence."""
    network = simple(90, reset=Reset(kind, np.array(30)), initial=np.array(initial))
    assert_equal(network, {"x": sparse_raster(rate)})


@pytest.mark.parametrize("shift", [0, 7])
@pytest.mark.parametrize("rounding", ["floor", "toward_zero", "half_even"])
@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
@pytest.mark.parametrize("high", [100, 1000, 2**31 - 5, 2**40])
def test_leaks_ranges_and_gated_biases_equal_the_reference(
    rounding: Any, overflow: Any, high: int, shift: int
) -> None:
    bias = (GatedBias(np.arange(-20, 20), 3), GatedBias(np.array(7), 20))
    network = simple(
        90,
        reset=Reset("subtract", np.array(60)),
        leak=Leak(np.arange(100, 140) >> 7 - shift, shift, rounding),
        bias=bias,
        state_range=StateRange(-high, high, overflow),
    )
    assert_equal(network, {"x": sparse_raster(0.2)})


CURRENTS = [
    StateRange(-127, 128, "wrap"),
    StateRange(-(2**20), 2**20 - 1, "wrap"),
    StateRange(-90, 300),
    StateRange(-(2**40), 2**40 - 1, "wrap"),
]


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds,
    bounds=st.sampled_from(CURRENTS),
    shape=st.sampled_from([(7,), (1800,), (3, 20, 40), (1500, 2)]),
)
def test_currents_take_the_fast_path_and_equal_the_reference(
    seed: int, bounds: StateRange, shape: tuple[int, ...]
) -> None:
    """In populations of several chunks, with parameters of every extent."""
    network, rng = currents(seed, bounds, shape), np.random.default_rng(seed)
    assert_equal(network, {"x": (rng.random((2, 12, 40)) < 0.3).astype(np.uint8)})


def currents(seed: int, bounds: StateRange, shape: tuple[int, ...]) -> IntegerNetwork:
    """40 inputs, dense, one population with currents of this range."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))

    def parameter(low: int, high: int) -> Any:
        extents = [(), (shape[0], *(1,) * (len(shape) - 1)), shape]
        return rng.integers(low, high + 1, extents[rng.choice(3, p=(0.5, 0.4, 0.1))])

    def leak() -> Leak:
        shift = int(rng.integers(0, 13))
        rounding: Any = ("floor", "toward_zero", "half_even")[rng.integers(3)]
        return Leak(parameter(0, 1 << shift), shift, rounding)

    neuron = Neuron(
        "n", ("shape",), shape, np.array([int(rng.integers(1, 400))]),
        Reset("value" if rng.random() < 0.5 else "subtract", parameter(-20, 60)), leak(), leak(),
        int(rng.integers(0, 4)), (GatedBias(parameter(-30, 60), int(rng.integers(0, 3))),),
        state_range=StateRange(-(2**23), 2**23 - 1), current_range=bounds,
        initial=parameter(0, 50),
    )  # fmt: skip
    nodes = (
        Input("x", (40,), BIN),
        Linear("w", ("x",), Dense(rng.integers(-60, 90, (size, 40)))),
        Index("shape", ("w",), shape),
        neuron,
        Output("o", ("n",)),
    )
    return IntegerNetwork("currents", nodes)


def test_the_currents_tested_wrap_saturate_and_have_parameters_of_every_extent() -> None:
    found, periods = set(), set()
    for bounds in CURRENTS:
        for seed in range(30):
            program = build(expand(currents(seed, bounds, (3, 20, 40))))
            row = make_plan(program, 12).table[0]
            assert row[MODE] != GENERAL
            assert row[CURRENT]
            found.add((bool(row[CURRENT_WRAP]), int(row[MODE])))
            periods.add(int(row[PERIOD]))
    assert {wraps for wraps, _ in found} == {False, True}
    assert {mode for _, mode in found} >= {LEAKY}
    assert periods == {CHUNK, CHUNK // 3 * 3, 2400}


def test_a_current_whose_range_no_mask_keeps_goes_the_general_way() -> None:
    network = currents(0, StateRange(-100, 100, "wrap"), (7,))
    assert make_plan(build(expand(network)), 2**50).table[0, MODE] == GENERAL
    x = (np.random.default_rng(0).random((1, 12, 40)) < 0.3).astype(np.uint8)
    assert_equal(network, {"x": x})


@pytest.mark.parametrize("kind", ["int", "cnt", "scnt", "frame"])
def test_every_input_type_and_array_type_is_read(kind: Any) -> None:
    type_ = ValueType(kind, {"frame": 0, "int": 6}.get(kind, 5))
    rng = np.random.default_rng(2)
    x = rng.integers(type_.low, type_.high + 1, (2, 6, 40)) * (rng.random((2, 6, 40)) < 0.3)
    _, *rest = simple(90, reset=Reset("value")).nodes
    nodes = (Input("x", (40,), type_), *rest)
    for dtype in (np.int16, np.int64, np.uint8) if type_.low == 0 else (np.int8, np.int32):
        assert_equal(IntegerNetwork("typed", tuple(nodes)), {"x": x.astype(dtype)})


def test_boolean_and_non_contiguous_rasters_are_read() -> None:
    network = simple(90, reset=Reset("value"))
    x = np.asfortranarray(sparse_raster(0.2).astype(bool))
    assert_equal(network, {"x": x})


def test_threads_and_repeated_runs_give_the_same_result() -> None:
    network, x = event_cnn(samples=3, steps=12)
    compiled = functional.Functional(network)
    once = compiled.run({"x": x})
    assert sum(int(c.sum()) for c in once.spike_counts.values()) > 500
    for threads in (1, 2, 5):
        again = compiled.run({"x": x}, threads=threads)
        assert not any(again.mismatches(once).values())
        np.testing.assert_array_equal(again.synaptic_events, once.synaptic_events)
    assert not any(once.mismatches(reference.run(network, {"x": x})).values())


def test_layered_leaky_networks_equal_the_reference() -> None:
    network, x = layered_lif(1000, 2, steps=20)
    assert assert_equal(network, {"x": x}).synaptic_events.min() > 10_000


def test_synaptic_events_count_emitted_values_times_their_synapses() -> None:
    network = simple(90, reset=Reset("value"))
    x = sparse_raster(0.2)
    synapses = expand(network).projections[0].row_ptr
    expected = (x.sum(axis=1) * np.diff(synapses)).sum(axis=1)
    np.testing.assert_array_equal(functional.run(network, {"x": x}).synaptic_events, expected)


def test_only_recorded_populations_return_spikes() -> None:
    network, x = event_cnn(samples=1, steps=5)
    result = functional.run(network, {"x": x}, record=["n2"])
    assert set(result.spikes) == {"n2"}
    assert set(result.spike_counts) == {"n1", "n2", "n3", "n4", "n5"}
    assert result.outputs["out"].shape == (1, 5, 10)


def test_recording_an_unknown_population_is_refused() -> None:
    network = simple(90, reset=Reset("value"))
    with pytest.raises(OptionError, match="only populations can be recorded") as caught:
        functional.run(network, {"x": sparse_raster(0.1)}, record=["x"])
    assert caught.value.allowed == "n"


def test_a_run_needs_at_least_one_thread() -> None:
    network = simple(90, reset=Reset("value"))
    with pytest.raises(OptionError, match="at least one thread"):
        functional.run(network, {"x": sparse_raster(0.1)}, threads=0)


def test_input_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(InputError, match="wrong shape"):
        functional.run(simple(90, reset=Reset("value")), {"x": np.zeros((1, 2, 3), np.int8)})


def test_a_product_and_an_output_of_an_operator_run_as_hidden_populations() -> None:
    base = simple(90, reset=Reset("value"))
    nodes = (
        *base.nodes,
        Mul("gate", ("n", "x")),
        Neuron("m", ("gate",), (40,), np.array([1]), Reset("value")),
        Output("product", ("gate",)),
    )
    network, data = IntegerNetwork("product", nodes), {"x": sparse_raster(0.1)}
    found = assert_equal(network, data)
    assert found.outputs["product"].any()
    assert set(found.spike_counts) == {"n", "m"}


def test_a_function_with_too_many_levels_is_refused_by_name() -> None:
    nodes = (
        Input("x", (40,), ValueType("int", 20)),
        Rescale("fine", ("x",), np.array(1), 2, "floor", 30),
        Output("out", ("fine",)),
    )
    network = IntegerNetwork("levels", nodes)
    with pytest.raises(UnsupportedError, match="fine: operators that cannot be written as neurons"):
        functional.run(network, {"x": sparse_raster(0.1)})


def test_convolutions_and_wide_dense_layers_are_stored_as_runs() -> None:
    program = build(expand(event_cnn(1, 1)[0]))
    assert list(program.network.projections[:4, LAYOUT]) == [RUNS] * 4


def test_equal_runs_are_stored_once_and_hold_the_same_synapses() -> None:
    for projection in expand(event_cnn(1, 1)[0]).projections:
        table, dense = runs(projection), np.zeros((projection.row_ptr.size - 1, projection.targets))
        found = np.zeros_like(dense)
        for row in range(len(dense)):
            mine = slice(projection.row_ptr[row], projection.row_ptr[row + 1])
            dense[row, projection.target[mine]] = projection.weight[mine]
            shape, base = table.shape[row], table.base[row]
            assert table.events[shape] == mine.stop - mine.start
            for r in range(table.shape_ptr[shape], table.shape_ptr[shape + 1]):
                part = table.weight[table.first[r] : table.first[r] + table.length[r]]
                first = base + table.offset[r]
                found[row, first : first + table.length[r]] = part
        np.testing.assert_array_equal(found, dense)
    program = build(expand(event_cnn(1, 1)[0]))
    conv = program.network.synapses
    assert conv.run_weight.size * 10 < program.synapses
    assert conv.shape_events.size * 10 < conv.shape.size


def test_runs_that_only_share_their_number_are_kept_apart() -> None:
    first, weight = np.array([0, 2, 4, 6, 9]), np.array([1, 2, 1, 3, 1, 2, 1, 2, 0], np.int8)
    shown = np.zeros(4, np.int64)
    part_unequal(first, weight, shown)
    assert list(shown) == [0, 1, 0, 3]


def test_weights_of_more_than_eight_bits_are_stored_wide() -> None:
    network = simple(90, reset=Reset("value"))
    projection = expand(network).projections[0]
    assert choose(projection) == RUNS
    assert choose(replace(projection, weight=projection.weight * 100)) == WIDE


@pytest.mark.parametrize("kind", ["subtract", "value", "none"])
@pytest.mark.parametrize("weight", [100, 3000])
def test_a_few_events_into_many_neurons_advance_only_those(kind: Any, weight: int) -> None:
    """Shared targets, cancelling inputs and thresholds crossed repeatedly, in all layouts."""
    rng = np.random.default_rng(weight)
    values = rng.integers(-weight // 2, weight + 1, (1500, 6)) * (rng.random((1500, 6)) < 0.006)
    values[40:70, 5] = rng.integers(1, 100, 30)
    reset = Reset(kind, np.array(weight // 8))
    first = Neuron("n", ("w",), (1500,), np.array([weight]), reset)
    back = rng.integers(-90, 90, (1500, 1500)) * (rng.random((1500, 1500)) < 0.002)
    second = Neuron("m", ("u",), (1500,), np.array([60]), reset)
    nodes = (
        Input("x", (6,), BIN), Linear("w", ("x",), Dense(values)), first,
        Linear("u", ("n",), Dense(back)), second, Output("o", ("m",)),
    )  # fmt: skip
    x = (rng.random((2, 80, 6)) < 0.4).astype(np.uint8)
    result = assert_equal(IntegerNetwork("few", nodes), {"x": x})
    assert result.spike_counts["n"].min() > 20
    assert result.spike_counts["m"].min() > 5
