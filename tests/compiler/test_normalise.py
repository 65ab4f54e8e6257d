from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.real_nets import neuron, spikes

from snnc.compiler.normalise import normalise
from snnc.ir.errors import UnsupportedError
from snnc.ir.network import Network
from snnc.ir.nodes import Add, Bias, Delay, Index, Input, Linear, Output, Pool, Scale
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense
from snnc.simulators.reference.real import run_real

RNG = np.random.default_rng(0)


def conv(name: str, source: str, channels: int = 3, groups: int = 1) -> Linear:
    kernel = RNG.normal(size=(3, channels // groups, 3, 3)) / 2
    return Linear(name, (source,), Conv(kernel, (1, 1), ((1, 1), (1, 1)), (1, 1), groups))


def same(nodes: list[Any], steps: int = 12) -> Network:
    """Normalise and require equal outputs and spikes; return the result."""
    network = Network("net", tuple(nodes))
    result = normalise(network)
    inputs = {n.name: spikes((3, steps, *n.shape)).astype(float) for n in network.of_type(Input)}
    before, after = run_real(network, inputs), run_real(result, inputs)
    for name, values in before.outputs.items():
        np.testing.assert_allclose(after.outputs[name], values, atol=1e-9)
    for name, events in before.spikes.items():
        assert name not in after.spikes or events.mismatches(after.spikes[name]) == 0
    return result


def kinds(network: Network) -> set[type]:
    return {type(node) for node in network.nodes}


def test_scale_and_bias_around_a_convolution_fold_into_it_and_the_neuron() -> None:
    result = same([
        Input("in", (3, 4, 4), BIN),
        Scale("pre", ("in",), np.array([1.0, 0.5, 2.0]).reshape(3, 1, 1)),
        Bias("pb", ("pre",), np.array(0.1)),
        conv("c", "pb"),
        Scale("bn", ("c",), np.array([1.0, -0.5, 2.0]).reshape(3, 1, 1)),
        Bias("bnb", ("bn",), np.array([0.1, 0.2, -0.1]).reshape(3, 1, 1)),
        neuron("n", "bnb", (3, 4, 4), gain=0.7),
        Output("out", ("n",)),
    ])  # fmt: skip
    assert kinds(result) == {Input, Linear, RealNeuron, Output}
    assert isinstance(result.node["c"].weights, Conv)  # type: ignore[union-attr]


def test_a_scale_that_varies_over_space_unrolls_the_convolution() -> None:
    same([
        Input("in", (3, 4, 4), BIN),
        Scale("pre", ("in",), RNG.random((3, 4, 4))),
        conv("c", "pre"),
        neuron("n", "c", (3, 4, 4)),
        Output("out", ("n",)),
    ])  # fmt: skip


def test_grouped_convolutions_take_the_scale_of_their_own_channels() -> None:
    same([
        Input("in", (3, 4, 4), BIN),
        Scale("pre", ("in",), np.array([1.0, 0.5, 2.0]).reshape(3, 1, 1)),
        conv("c", "pre", 3, 3),
        neuron("n", "c", (3, 4, 4)),
        Output("out", ("n",)),
    ])  # fmt: skip


def test_an_average_pool_becomes_a_sum_pool_and_smaller_weights() -> None:
    pool = Pool("pool", ("n1",), "sum", (2, 2), (2, 2), ((0, 0), (0, 0)))
    result = same([
        Input("in", (3, 4, 4), BIN),
        conv("c1", "in"),
        neuron("n1", "c1", (3, 4, 4)),
        pool,
        Scale("avg", ("pool",), np.array(0.25)),
        Index("flat", ("avg",), (12,)),
        Linear("fc", ("flat",), Dense(RNG.normal(size=(5, 12)))),
        Bias("b", ("fc",), RNG.normal(size=5)),
        Output("out", ("b",)),
    ])  # fmt: skip
    assert not kinds(result) & {Scale, Bias}
    readout = result.node["out.readout"]
    assert isinstance(readout, RealNeuron)
    assert readout.threshold is None


def test_two_linear_layers_in_a_row_become_one() -> None:
    result = same([
        Input("in", (6,), BIN),
        Linear("a", ("in",), Dense(RNG.normal(size=(4, 6)))),
        Bias("ab", ("a",), RNG.normal(size=4)),
        Linear("b", ("ab",), Dense(RNG.normal(size=(3, 4)))),
        neuron("n", "b", (3,)),
        Output("out", ("n",)),
    ])  # fmt: skip
    (merged,) = result.of_type(Linear)
    assert merged.weights.values.shape == (3, 6)


def test_a_branched_and_delayed_chain_becomes_a_sum_of_products() -> None:
    result = same([
        Input("in", (3, 4, 4), BIN),
        conv("a", "in"),
        conv("b", "in"),
        Delay("late", ("b",), 2),
        Add("sum", ("a", "late")),
        conv("c", "sum"),
        neuron("n", "c", (3, 4, 4)),
        Output("out", ("n",)),
    ])  # fmt: skip
    assert all(result.node[linear.inputs[0]].name == "in" for linear in result.of_type(Linear))


def test_sums_of_differently_scaled_tensors_scale_the_weights_before_them() -> None:
    result = same([
        Input("in", (3, 4, 4), BIN),
        conv("a", "in"),
        neuron("n", "a", (3, 4, 4)),
        conv("b", "n"),
        Scale("sb", ("b",), np.array(0.5)),
        Scale("sn", ("n",), np.array([1.0, 0.5, 0.2]).reshape(3, 1, 1)),
        Add("inner", ("sb", "sn")),
        Add("sum", ("inner", "b")),
        neuron("m", "sum", (3, 4, 4)),
        Output("out", ("m",)),
    ])  # fmt: skip
    (total,) = result.of_type(Add)
    assert len(total.inputs) == 3


def test_branches_that_reach_no_output_disappear_and_inputs_stay() -> None:
    result = same([
        Input("in", (3, 4, 4), BIN),
        Input("unused", (2,), BIN),
        conv("a", "in"),
        neuron("n", "a", (3, 4, 4)),
        conv("dead", "n"),
        neuron("dead_n", "dead", (3, 4, 4)),
        Output("out", ("n",)),
    ])  # fmt: skip
    assert set(result.node) == {"in", "unused", "a", "n", "out"}


def test_a_bias_before_a_delay_stays_because_it_starts_later() -> None:
    result = same([
        Input("in", (4,), BIN),
        Linear("w", ("in",), Dense(RNG.normal(size=(4, 4)))),
        Delay("z", ("rb",), 1),
        Linear("r", ("n",), Dense(RNG.normal(size=(4, 4)))),
        Bias("rb", ("r",), RNG.normal(size=4)),
        Add("sum", ("w", "z")),
        neuron("n", "sum", (4,)),
        Output("out", ("n",)),
    ])  # fmt: skip
    (bias,) = result.of_type(Bias)
    assert result.node["z"].inputs == (bias.name,)


def test_a_bias_into_a_synaptic_current_comes_from_a_neuron_that_always_fires() -> None:
    result = same([
        Input("in", (6,), BIN),
        Linear("a", ("in",), Dense(RNG.normal(size=(4, 6)))),
        Bias("b", ("a",), RNG.normal(size=4)),
        Scale("s", ("b",), np.array(0.5)),
        neuron("n", "s", (4,), current_decay=0.8, current_gain=0.5, decay=0.9),
        Output("out", ("n",)),
    ])  # fmt: skip
    assert isinstance(result.node["n.clock"], RealNeuron)


def test_a_maximum_commutes_with_positive_scales_only() -> None:
    for scale in (0.5, -0.5):
        same([
            Input("in", (3, 4, 4), BIN),
            conv("a", "in"),
            Scale("s", ("a",), np.array(scale)),
            Bias("b", ("s",), np.array([0.1, 0.2, -0.1]).reshape(3, 1, 1)),
            Pool("max", ("b",), "max", (2, 2), (2, 2), ((0, 0), (0, 0))),
            neuron("n", "max", (3, 2, 2)),
            Output("out", ("n",)),
        ])  # fmt: skip


def test_a_maximum_between_linear_operators_is_refused() -> None:
    nodes = [
        Input("in", (3, 4, 4), BIN),
        conv("a", "in"),
        Pool("max", ("a",), "max", (2, 2), (2, 2), ((0, 0), (0, 0))),
        conv("b", "max"),
        neuron("n", "b", (3, 2, 2)),
        Output("out", ("n",)),
    ]
    with pytest.raises(UnsupportedError) as error:
        normalise(Network("net", tuple(nodes)))
    assert error.value.where == "b"
    assert "put a neuron between" in error.value.remedy
