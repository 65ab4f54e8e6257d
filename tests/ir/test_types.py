"""Value types: ranges, names, and the bounds inferred for every operator."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.small_networks import integer_arrays, linear_networks

from snnc.ir.errors import ModelError
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.neuron import Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import (
    Add,
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
)
from snnc.ir.types import ValueType, events, signed_integer
from snnc.ir.weights import Dense, Sparse
from snnc.simulators.reference.operators import apply

NAMES = ["bin", "tern", "cnt(1)", "cnt(7)", "scnt(5)", "int(2)", "int(24)", "int(63)", "frame"]


@pytest.mark.parametrize("name", NAMES)
def test_a_type_survives_its_own_name(name: str) -> None:
    assert str(ValueType.parse(name)) == name


@pytest.mark.parametrize(
    ("name", "low", "high", "event"),
    [
        ("bin", 0, 1, True), ("tern", -1, 1, True), ("cnt(7)", 0, 7, True),
        ("scnt(5)", -5, 5, True), ("int(8)", -128, 127, False), ("frame", 0, 255, False),
    ],
)  # fmt: skip
def test_ranges_are_those_of_the_table(name: str, low: int, high: int, event: bool) -> None:
    kind = ValueType.parse(name)
    assert (kind.low, kind.high, kind.is_event) == (low, high, event)
    assert kind.magnitude == max(high, -low)


@pytest.mark.parametrize("text", ["int", "bin(2)", "cnt", "cnt(0)", "int(64)", "word(3)", ""])
def test_a_malformed_type_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="value type"):
        ValueType.parse(text)


@pytest.mark.parametrize("grid", [(), (0.0,), (1.0, -1.0), (float("nan"),)])
def test_a_grid_step_is_positive(grid: tuple[float, ...]) -> None:
    with pytest.raises(ModelError, match="grid step"):
        ValueType("bin", 0, grid)


@given(st.integers(-40, 40), st.integers(-40, 40))
def test_events_is_the_narrowest_type_that_holds_the_interval(a: int, b: int) -> None:
    low, high = min(a, b), max(a, b)
    kind = events(low, high) if high > 0 or low < 0 else events(0, 1)
    assert kind.low <= low
    assert high <= kind.high
    assert kind.magnitude == max(1, high, -low)


@given(st.integers(0, 2**62 - 1))
def test_signed_integer_holds_its_magnitude_and_no_bit_more(magnitude: int) -> None:
    kind = signed_integer(magnitude)
    assert kind.high >= magnitude
    assert kind.parameter == 2 or ValueType("int", kind.parameter - 1).high < magnitude


def _chain(kind: ValueType, shape: tuple[int, ...], *nodes: IntegerNode) -> IntegerNetwork:
    return IntegerNetwork("t", (Input("x", shape, kind), *nodes, Output("y", (nodes[-1].name,))))


EVENT, SIGNED = ValueType("cnt", 2), ValueType("tern")
CASES: list[tuple[str, ValueType, tuple[int, ...], IntegerNode]] = [
    ("dense", SIGNED, (3,), Linear("n", ("x",), Dense(np.array([[3, -2, 0], [1, 1, -9]])))),
    ("add", SIGNED, (2,), Add("n", ("x", "x", "x"))),
    ("mul", SIGNED, (2,), Mul("n", ("x", "x"))),
    ("mul of counts", EVENT, (2,), Mul("n", ("x", "x"))),
    ("matmul", SIGNED, (2, 2), MatMul("n", ("x", "x"))),
    ("matmul transposed", EVENT, (3, 1), MatMul("n", ("x", "x"), transpose_a=True)),
    ("sum", SIGNED, (2, 2), Reduce("n", ("x",), "sum", (0, 1))),
    ("max", SIGNED, (2, 2), Reduce("n", ("x",), "max", (1,))),
    ("sum pool", EVENT, (1, 2, 2), Pool("n", ("x",), "sum", (2, 2), (1, 1), ((0, 1), (1, 0)))),
    ("max pool", SIGNED, (1, 2, 2), Pool("n", ("x",), "max", (2, 2), (1, 1), ((0, 1), (0, 0)))),
    ("index", SIGNED, (3,), Index("n", ("x",), (2,), np.array([-1, 2]))),
    ("lut", SIGNED, (2,), Lut("n", ("x",), -1, np.array([4, -6, 0]))),
    ("rescale", EVENT, (2,), Rescale("n", ("x",), np.array(7), 2, "half_even", 3)),
]


@pytest.mark.parametrize(("name", "kind", "shape", "node"), CASES, ids=[c[0] for c in CASES])
def test_inferred_range_holds_every_value_and_is_reached(
    name: str, kind: ValueType, shape: tuple[int, ...], node: IntegerNode
) -> None:
    inferred = _chain(kind, shape, node).types["n"]
    every = itertools.product(range(kind.low, kind.high + 1), repeat=int(np.prod(shape)))
    batch = np.array(list(every)).reshape(-1, *shape)
    result = apply(node, [batch] * len(node.inputs))
    assert inferred.low <= result.min()
    assert result.max() <= inferred.high
    if name != "mul":  # x * x of a ternary x never reaches -1; the rule sees two operands
        tight = max(int(result.max()), -int(result.min()))
        assert inferred.magnitude < 2 * tight + 2


@settings(max_examples=25)
@given(linear_networks(), st.data())
def test_inferred_ranges_hold_on_random_networks(net: IntegerNetwork, data: Any) -> None:
    (source,) = net.of_type(Input)
    value = {"in": data.draw(integer_arrays((8, *source.shape), 0, 3))}
    for node in net.order:
        if isinstance(node, Input):
            continue
        if isinstance(node, Neuron) or (
            node.name.startswith("op") and type(node).__name__ == "Delay"
        ):
            kind = net.types[node.name]
            shape = (8, *net.shapes[node.name])
            value[node.name] = data.draw(integer_arrays(shape, kind.low, kind.high))
            continue
        value[node.name] = apply(node, [value[s] for s in node.inputs])
        assert net.types[node.name].low <= value[node.name].min()
        assert value[node.name].max() <= net.types[node.name].high


def test_a_product_of_two_currents_is_refused() -> None:
    with pytest.raises(ModelError, match="at least one event operand"):
        _chain(ValueType("int", 8), (2,), Mul("n", ("x", "x")))


def test_an_accumulator_beyond_63_bits_is_refused() -> None:
    weights = Dense(np.full((1, 4), 2**60))
    with pytest.raises(ModelError, match="could overflow 63 bits"):
        _chain(ValueType("cnt", 3), (4,), Linear("n", ("x",), weights))


@pytest.mark.parametrize(
    "weights",
    [
        Dense(np.full((1, 4), 2**62)),  # sums to 2^64, which wraps to 0
        Dense(np.array([[-(2**63), 0, 0, 1]])),  # has no absolute value in 64 bits
        Sparse(np.array([0, 4]), np.arange(4), np.full(4, 2**62), 4, (1,)),
    ],
)
def test_the_bound_of_a_sum_does_not_wrap_itself(weights: Dense | Sparse) -> None:
    with pytest.raises(ModelError, match="could overflow 63 bits"):
        _chain(ValueType("bin"), (4,), Linear("n", ("x",), weights))


def test_a_rescale_whose_product_overflows_is_refused() -> None:
    with pytest.raises(ModelError, match="could overflow 63 bits"):
        _chain(ValueType("int", 40), (2,), Rescale("n", ("x",), np.array(2**40), 3, "floor", 8))


def _neuron(**changes: Any) -> Neuron:
    return Neuron("n", ("x",), (2,), np.array([5]), **{"reset": Reset("none"), **changes})


HUGE = StateRange(-(2**61), 2**61)


@pytest.mark.parametrize(
    "neuron",
    [
        _neuron(leak=Leak(np.array(4095), 12), state_range=HUGE),
        _neuron(current=Leak(np.array(4095), 12), current_range=HUGE),
        _neuron(input_shift=30, bias=()),
        _neuron(reset=Reset("multiply", up=3), state_range=HUGE),
        _neuron(reset=Reset("subtract", np.array(2**62)), state_range=HUGE),
    ],
    ids=["leak", "current", "input shift", "multiply", "subtract"],
)
def test_a_membrane_that_could_overflow_is_refused(neuron: Neuron) -> None:
    with pytest.raises(ModelError, match=r"n: an accumulator could overflow 63 bits"):
        _chain(ValueType("int", 40), (2,), neuron)
