from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.real_nets import neuron
from support.small_networks import convolutions, linear_networks

from snnc.backends import targets
from snnc.compiler.analysis import analyse
from snnc.compiler.analysis.operations import fan_out
from snnc.compiler.analysis.widths import bits
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import (
    Add,
    Bias,
    Index,
    Input,
    Linear,
    MatMul,
    Mul,
    Output,
    Pool,
    Reduce,
    Rescale,
    Scale,
)
from snnc.ir.types import BIN, ValueType
from snnc.ir.weights import Conv, Dense
from snnc.simulators import reference

FRAME = ValueType("frame")


def fire(name: str, source: str, shape: tuple[int, ...], levels: int = 1) -> Neuron:
    return Neuron(name, (source,), shape, np.arange(1, levels + 1) * 3, Reset("value"))


def types(network: Network | IntegerNetwork) -> dict[str, str]:
    return {edge.source: edge.value.text for edge in analyse(network).edges}


def test_operations_of_a_dense_network_by_hand() -> None:
    network = IntegerNetwork(
        "n",
        (
            Input("in", (3,), ValueType("cnt", 4)),
            Linear("w", ("in",), Dense(np.ones((5, 3), int))),
            fire("a", "w", (5,)),
            Linear("u", ("a",), Dense(np.ones((2, 5), int))),
            fire("b", "u", (2,)),
            Output("out", ("b",)),
        ),
    )
    bound = analyse(network, timesteps=10)
    # 3 elements of up to 4, each read by 5; 5 spikes read by 2; 10 steps.
    assert bound.operations() == ((3 * 4 * 5 + 5 * 2) * 10, 0)
    data = np.array([[[4, 0, 1], [0, 0, 0]]])  # step 0: 5 x 1 = 5 >= 3, all fire
    found = analyse(network, inputs={"in": data}).as_dict()
    assert [row["per_sample"] for row in found["operators"]] == [5 * 5, 5 * 2]
    assert found["rates"] == {"in": 5 / 6, "a": 0.5, "b": 0.5}
    assert found["energy_45nm_j"] == pytest.approx(35 * 0.9e-12)


def test_frames_multiply_and_spikes_do_not() -> None:
    conv = Conv(np.ones((2, 1, 3, 3), int), (1, 1), ((1, 1), (1, 1)), (1, 1))
    network = IntegerNetwork(
        "n",
        (
            Input("in", (1, 4, 4), FRAME),
            Linear("first", ("in",), conv),
            fire("a", "first", (2, 4, 4)),
            Linear("second", ("a",), replace(conv, values=np.ones((1, 2, 3, 3), int))),
            fire("b", "second", (1, 4, 4)),
            Output("out", ("b",)),
        ),
    )
    found = analyse(network, timesteps=2)
    assert [site.node.name for site in found.mac_sites] == ["first"]
    assert not found.spike_driven
    # A 3x3 window over 4x4 has 100 taps inside; 2 output channels.
    assert found.operations() == (2 * 200, 2 * 200)
    assert found.as_dict()["energy_45nm_j"] == pytest.approx(400 * (0.9e-12 + 4.6e-12))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_fan_out_equals_the_columns_of_the_unrolled_matrix(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from([(2, 5), (3, 5, 4), (2, 3, 4, 3)]))
    conv = data.draw(convolutions(shape))
    ones = replace(conv, values=np.ones_like(conv.values))
    out = ones.output_shape("w", shape)
    network = IntegerNetwork(
        "n", (Input("in", shape, BIN), Linear("w", ("in",), ones), fire("a", "w", out),
              Output("out", ("a",))),
    )  # fmt: skip
    (projection,) = expand(network).projections
    assert fan_out(conv, shape).tolist() == np.diff(projection.row_ptr).tolist()


@given(linear_networks(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_every_value_lies_within_its_proven_bounds(network: IntegerNetwork, seed: int) -> None:
    steps = 3
    found = {(w.node, w.register): w for w in analyse(network, timesteps=steps).widths}
    shape = network.shapes["in"]
    data = np.random.default_rng(seed).integers(0, 4, (2, steps, *shape))

    def check(value: Any) -> None:
        for node in network.order:
            if isinstance(node, Neuron):
                width, seen = found[node.name, "sum"], value[node.inputs[0]]
            elif (node.name, "value") in found:
                width, seen = found[node.name, "value"], value[node.name]
            else:
                continue
            assert width.low is not None
            assert width.high is not None
            assert width.low <= seen.min()
            assert seen.max() <= width.high
            assert width.needs == bits(width.low, width.high)

    reference.run(network, {"in": data}, (), observe=check)


@pytest.mark.parametrize(
    ("low", "high", "needs"), [(0, 0, 1), (0, 1, 2), (-1, 0, 1), (-128, 127, 8), (-129, 0, 9)]
)
def test_bits_of_an_interval(low: int, high: int, needs: int) -> None:
    assert bits(low, high) == needs


def test_widths_are_held_against_the_registers_of_a_target() -> None:
    def network(weight: int) -> IntegerNetwork:
        return IntegerNetwork(
            "n",
            (
                Input("in", (4,), BIN),
                Linear("w", ("in",), Dense(np.full((1, 4), weight))),
                fire("a", "w", (1,)),
                Output("out", ("a",)),
            ),
        )

    loihi = targets.load("loihi1")
    small = {w.register: w for w in analyse(network(100), target=loihi, timesteps=2).widths}
    assert (small["sum"].low, small["sum"].high, small["sum"].needs) == (0, 400, 10)
    assert small["sum"].verdict == "proven"
    large = {w.register: w for w in analyse(network(10**6), target=loihi, timesteps=2).widths}
    assert large["sum"].verdict == "wraps"
    assert large["state"].verdict == "proven"  # caught at the threshold: 2 + 4e6 < 2^23
    endless = IntegerNetwork(
        "n",
        (
            Input("in", (1,), BIN),
            Linear("w", ("in",), Dense(np.array([[1]]))),
            Neuron("a", ("w",), (1,), np.zeros((0, 1), int), Reset("none"), emit="state"),
            Output("out", ("a",), "last"),
        ),
    )
    state = next(w for w in analyse(endless, target=loihi).widths if w.register == "state")
    assert (state.needs, state.verdict) == (None, "needs-timesteps")
    assert next(w for w in analyse(endless, timesteps=9).widths if w.register == "state").high == 9


def attention(kind: ValueType) -> IntegerNetwork:
    """A spike product of q (3 x 2) and k (3 x 2): [3, 3], then a mask by a bit."""
    return IntegerNetwork(
        "n",
        (
            Input("q", (3, 2), kind),
            Input("k", (3, 2), kind),
            Input("mask", (3, 3), BIN),
            MatMul("qk", ("q", "k"), transpose_b=True),
            Mul("gate", ("mask", "qk")),
            fire("a", "gate", (3, 3)),
            Output("out", ("a",)),
        ),
    )


def test_products_of_spikes_are_counted_where_both_spike() -> None:
    network = attention(ValueType("cnt", 2))
    rng = np.random.default_rng(3)
    q, k = rng.integers(0, 3, (4, 1, 3, 2)), rng.integers(0, 3, (4, 1, 3, 2))
    mask = rng.integers(0, 2, (4, 1, 3, 3))
    found = analyse(network, inputs={"q": q, "k": k, "mask": mask}).as_dict()
    counts = {row["node"]: row["per_sample"] for row in found["operators"]}
    expected = sum(
        q[s, 0, i, d] * k[s, 0, j, d]
        for s in range(4) for i in range(3) for j in range(3) for d in range(2)
    )  # fmt: skip
    assert counts == {"qk": expected / 4, "gate": mask.sum() / 4}
    assert analyse(network).spike_driven
    # 3 x 2 x 3 products of at most 2 x 2; 9 masks.
    assert analyse(network).operations() == (18 * 4 + 9, 0)


def test_full_spike_is_proven_from_the_types() -> None:
    """IAND residuals keep every edge binary; SEW's ADD does not."""

    def block(join: str) -> IntegerNetwork:
        weights = Dense(np.ones((3, 3), int))
        middle: list[Any] = [Linear("w", ("in",), weights), fire("a", "w", (3,))]
        if join == "and":
            middle.append(Mul("join", ("in", "a")))
        else:
            middle.append(Add("join", ("in", "a")))
        return IntegerNetwork(
            "n",
            (
                Input("in", (3,), BIN), *middle, Linear("u", ("join",), weights),
                fire("b", "u", (3,)), Output("out", ("b",)),
            ),
        )  # fmt: skip

    assert analyse(block("and")).full_spike
    found = analyse(block("add"))
    assert found.spike_driven
    assert not found.full_spike
    assert [(e.source, e.sink, e.value.text) for e in found.not_binary] == [("join", "u", "cnt(2)")]


def test_a_rescale_multiplies() -> None:
    def network(multiplier: int) -> IntegerNetwork:
        return IntegerNetwork(
            "n",
            (
                Input("in", (3,), BIN),
                Linear("w", ("in",), Dense(np.ones((4, 3), int))),
                Rescale("r", ("w",), np.array(multiplier), 1, "floor", 8),
                fire("a", "r", (4,)),
                Output("out", ("a",)),
            ),
        )

    assert analyse(network(3)).operations() == (12, 4)
    assert analyse(network(1)).spike_driven


def real_network(*changes: Any, kind: ValueType = BIN) -> Network:
    nodes: list[Any] = [Input("in", (4,), kind), *changes]
    last = nodes[-1].name
    nodes += [
        Linear("w", (last,), Dense(np.ones((2, 4)))), neuron("n", "w", (2,)), Output("out", ("n",)),
    ]  # fmt: skip
    return Network("real", tuple(nodes))


def test_types_of_a_real_network() -> None:
    found = types(
        real_network(
            Scale("half", ("in",), np.array(0.5)),
            Add("both", ("half", "half")),
        )
    )
    assert found == {"in": "bin", "half": "bin", "both": "cnt(2)", "w": "real", "n": "bin"}
    assert types(real_network(Bias("b", ("in",), np.array(0.5))))["b"] == "real"
    mixed = real_network(Scale("half", ("in",), np.array(0.5)), Add("both", ("in", "half")))
    assert types(mixed)["both"] == "events"
    assert analyse(mixed).spike_driven
    assert analyse(mixed).operations() == (None, 0)
    many = Network(
        "many",
        (
            Input("in", (1, 2, 2), BIN),
            neuron("any", "in", (1, 2, 2), multi_spike=0),
            neuron("tern", "in", (1, 2, 2), negative_spikes=1),
            Pool("pool", ("tern",), "sum", (2, 2), (2, 2), ((0, 0), (0, 0))),
            Reduce("sum", ("pool",), "sum", (0, 1, 2)),
            Index("flat", ("any",), (4,)),
            Output("a", ("sum",)),
            Output("b", ("flat",)),
        ),
    )
    assert types(many) == {
        "in": "bin", "any": "cnt(any)", "tern": "tern", "pool": "scnt(4)", "sum": "scnt(4)",
        "flat": "cnt(any)",
    }  # fmt: skip


def test_data_decides_whether_a_real_input_is_events() -> None:
    network = real_network()
    whole = analyse(network, inputs={"in": np.full((2, 3, 4), 2.0)})
    assert whole.spike_driven
    assert whole.operations() == (3 * 4 * 2 * 2, 0)
    frames = analyse(network, inputs={"in": np.full((2, 3, 4), 0.5)})
    assert [site.node.name for site in frames.mac_sites] == ["w"]
    assert frames.operations() == (0, 3 * 4 * 2)
