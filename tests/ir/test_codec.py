"""Networks survive serialization, and damaged records never construct anything."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from support.small_networks import linear_networks

from snnc.ir.codec import decode, encode
from snnc.ir.deployment import CoreTables
from snnc.ir.errors import ArtifactError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Adaptation, GatedBias, Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import Barrier, Input, Output, Reduce
from snnc.ir.types import ValueType


def _round_trip(value: object) -> Any:
    arrays: dict[str, Any] = {}
    plain = json.loads(json.dumps(encode(value, arrays)))
    return decode(plain, arrays)


def assert_same(a: Any, b: Any) -> None:
    """Equal classes, fields, arrays and dtypes."""
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


@settings(max_examples=25)
@given(linear_networks())
def test_a_network_survives_the_round_trip(net: IntegerNetwork) -> None:
    assert_same(net, _round_trip(net))


def test_every_field_of_a_neuron_survives() -> None:
    neuron = Neuron(
        "n", ("x",), (2,), np.array([[1, 2], [3, 4]]), Reset("multiply", np.array(0), 2, -1),
        leak=Leak(np.array([3900, 4000]), 12, "half_even"), current=Leak(np.array(1), 1),
        input_shift=3, bias=(GatedBias(np.array([-7, 900]), 2),),
        negative_thresholds=np.array([5]), emission=np.array([-4, 0, 9, 3]),
        refractory=2, refractory_hold=True,
        adaptation=Adaptation("step", np.array(3), decrement=1, maximum=9, beta=2, beta_shift=1),
        state_range=StateRange(-128, 127, "wrap"), current_range=StateRange(-9, 9),
        initial=np.array([1, -1]), grid=(0.5, 0.25),
    )  # fmt: skip
    net = IntegerNetwork(
        "t", (Input("x", (2,), ValueType("scnt", 3)), neuron, Output("y", ("n",), "max")),
        {"dt": "0.0001"},
    )  # fmt: skip
    assert_same(net, _round_trip(net))


def test_sums_over_time_and_barriers_survive() -> None:
    nodes = (
        Input("x", (2,), ValueType("bin")), Reduce("sum", ("x",), "sum", (), 3),
        Barrier("last", ("x",), 3), Output("y", ("sum",)), Output("z", ("last",)),
    )  # fmt: skip
    net = IntegerNetwork("t", nodes)
    assert_same(net, _round_trip(net))
    arrays: dict[str, Any] = {}
    plain = encode(Reduce("sum", ("x",), "sum", (0,)), arrays)
    del plain["steps"]  # as an older file has it
    assert decode(plain, arrays).steps == 0


def test_a_neuron_of_an_older_file_sends_its_count() -> None:
    arrays: dict[str, Any] = {}
    neuron = Neuron("n", ("x",), (2,), np.array([1]), Reset("value"))
    plain = encode(neuron, arrays)
    del plain["emission"]
    assert decode(plain, arrays).emission is None


def test_arrays_are_stored_narrow_and_come_back_wide() -> None:
    one = np.arange(2, dtype=np.int64)
    tables = CoreTables(one.reshape(1, 2), *(one,) * 9)
    arrays: dict[str, Any] = {}
    plain = encode(tables, arrays)
    assert {a.dtype for a in arrays.values()} == {np.dtype(np.int8)}
    assert_same(tables, decode(plain, arrays))


@pytest.mark.parametrize("value", [2**7, -(2**7) - 1, 2**15, 2**31, -(2**31) - 1, 2**62])
def test_narrowing_loses_nothing_at_the_edges(value: int) -> None:
    arrays: dict[str, Any] = {}
    encode(np.array([value]), arrays)
    assert arrays["a0"].tolist() == [value]


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"$": "Popen", "args": ["true"]}, "Popen: unknown record class"),
        ({"$array": "a9"}, "a9: an array is missing"),
        ({"$array": "a0", "dtype": "object"}, "unknown array type"),
        ({"$": []}, "unknown record class"),
        ({"$array": {}}, "an array is missing"),
        ({"$array": "a0", "dtype": []}, "unknown array type"),
        ({"$": "Delay", "name": "d", "inputs": ["x"], "steps": "2"}, "Delay.steps: a field has"),
        ({"$": "Delay", "name": "d", "inputs": ["x"], "steps": True}, "Delay.steps: a field has"),
        ({"$": "Delay", "name": "d", "inputs": ["x"], "steps": 1 << 63}, "Delay.steps: a field"),
        (
            {"$": "Leak", "multiplier": {"$array": "a0"}, "shift": 1, "rounding": "x"},
            "Leak.rounding",
        ),
        ({"$": "Delay", "name": "d", "inputs": ["x"], "steps": 0}, "Delay: a record is not valid"),
        ({"$": "Delay", "name": "d"}, "Delay: a record is malformed"),
        ({"$": "Delay", "name": "d", "inputs": ["x"], "steps": 1, "x": 1}, "is malformed"),
    ],
)
def test_a_damaged_record_is_refused(plain: Any, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        decode(plain, {"a0": np.zeros(1)})


def test_an_object_of_another_class_is_not_written() -> None:
    with pytest.raises(TypeError, match="cannot serialize"):
        encode(object(), {})
