"""Scales and biases around products, reductions and maxima: the real outputs stay the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.real_nets import neuron, spikes

from snnc.compiler.normalise import normalise
from snnc.ir.errors import UnsupportedError
from snnc.ir.network import Network
from snnc.ir.nodes import (
    Add,
    Bias,
    Delay,
    Index,
    Input,
    Linear,
    MatMul,
    Mul,
    Output,
    Pool,
    Reduce,
    Scale,
)
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense
from snnc.simulators.reference.real import run_real

RNG = np.random.default_rng(0)
TOKENS, WIDTH = 4, 3
SHAPE = (2, TOKENS, WIDTH)  # heads, tokens, channels


def same(*nodes: Any, steps: int = 10) -> Network:
    """Normalise and require equal outputs; return the result without ``Scale`` and ``Bias``."""
    network = Network("net", tuple(nodes))
    result = normalise(network)
    inputs = {
        n.name: spikes((3, steps, *n.shape), seed=seed).astype(float)
        for seed, n in enumerate(network.of_type(Input))
    }
    before, after = run_real(network, inputs), run_real(result, inputs)
    for name, values in before.outputs.items():
        assert np.abs(values).sum() > 0
        np.testing.assert_allclose(after.outputs[name], values, atol=1e-9)
    assert not any(isinstance(n, Scale | Bias) for n in result.nodes)
    return result


def token_factors(axis: int) -> Any:
    extent = [1, 1, 1]
    extent[axis] = SHAPE[axis]
    return RNG.normal(size=extent) + 2


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_factors_and_constants_of_a_product_move_behind_it(axis: int) -> None:
    result = same(
        Input("a", SHAPE, BIN), Input("b", SHAPE, BIN),
        Scale("as", ("a",), token_factors(axis)), Bias("ab", ("as",), token_factors(axis)),
        Scale("bs", ("b",), np.array(-0.5)), Bias("bb", ("bs",), token_factors(0)),
        Mul("m", ("ab", "bb")), neuron("n", "m", SHAPE), Output("o", ("n",)),
    )  # fmt: skip
    assert result.node["m"].inputs == ("a", "b")


@pytest.mark.parametrize("transpose", [(False, True), (True, False)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_factors_and_constants_of_a_matrix_product(axis: int, transpose: tuple[bool, bool]) -> None:
    out = (2, TOKENS, TOKENS) if transpose[1] else (2, WIDTH, WIDTH)
    same(
        Input("a", SHAPE, BIN), Input("b", SHAPE, BIN),
        Scale("as", ("a",), token_factors(axis)), Bias("ab", ("as",), token_factors(axis)),
        Scale("bs", ("b",), np.array(2.0)), Bias("bb", ("bs",), token_factors(2)),
        MatMul("m", ("ab", "bb"), *transpose), Scale("d", ("m",), np.array(0.1)),
        neuron("n", "d", out), Output("o", ("n",)),
    )  # fmt: skip


def test_hamming_attention_becomes_products_of_spikes_and_whole_weights() -> None:
    result = same(
        Input("q", SHAPE, BIN), Input("k", SHAPE, BIN), Input("v", SHAPE, BIN),
        Scale("k2", ("k",), np.array(2.0)), Bias("k1", ("k2",), np.array(-1.0)),
        Scale("q2", ("q",), np.array(2.0)), Bias("q1", ("q2",), np.array(-1.0)),
        MatMul("kv", ("k1", "v"), True, False), MatMul("qkv", ("q1", "kv")),
        Scale("half", ("qkv",), np.array(0.5 / WIDTH)),
        neuron("n", "half", SHAPE, threshold=0.25), Output("o", ("n",)),
    )  # fmt: skip
    weights = [n.weights.values for n in result.of_type(Linear)]
    assert all(np.array_equal(w, np.rint(w)) for w in weights)
    assert {n.inputs[0] for n in result.of_type(Linear)} <= {"k", "q", "v", "kv"}


@pytest.mark.parametrize("inverted", [("b",), ("a", "b")])
def test_a_product_with_inverted_bits_is_a_threshold_and_stays_a_bit(
    inverted: tuple[str, ...],
) -> None:
    nodes: list[Any] = [Input("a", SHAPE, BIN), Input("b", SHAPE, BIN)]
    names = []
    for name in ("a", "b"):
        names.append(name)
        if name in inverted:
            nodes += [Scale(f"{name}-", (name,), np.array(-3.0)),
                      Bias(f"{name}not", (f"{name}-",), np.array(3.0))]  # fmt: skip
            names[-1] = f"{name}not"
    nodes += [Mul("m", tuple(names)), neuron("n", "m", SHAPE, threshold=3.0), Output("o", ("n",))]
    result = same(*nodes)
    assert isinstance(result.node["m"], RealNeuron)


@pytest.mark.parametrize("op", ["sum", "max"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_reductions_pass_what_is_even_along_their_axes(op: Any, axis: int) -> None:
    out = (2, 1, WIDTH)
    bias = token_factors(2 if op == "max" else axis)
    same(
        Input("a", SHAPE, BIN), Scale("as", ("a",), token_factors(axis)),
        Bias("ab", ("as",), bias), Reduce("r", ("ab",), op, (1,)),
        neuron("n", "r", out), Output("o", ("n",)),
    )  # fmt: skip


def test_a_sum_over_the_sample_holds_a_constant_once_per_step() -> None:
    result = same(
        Input("a", SHAPE, BIN), Scale("as", ("a",), token_factors(1)),
        Bias("ab", ("as",), token_factors(2)), Reduce("r", ("ab",), "sum", (2,), 5),
        neuron("n", "r", (2, TOKENS, 1), threshold=20.0), Output("o", ("n",)), steps=5,
    )  # fmt: skip
    assert result.steps == 5


def test_the_largest_of_a_sample_keeps_its_constant() -> None:
    same(
        Input("a", SHAPE, BIN), Bias("ab", ("a",), token_factors(1)),
        Reduce("r", ("ab",), "max", (2,), 5), neuron("n", "r", (2, TOKENS, 1)),
        Output("o", ("n",)), steps=5,
    )  # fmt: skip


def test_weights_on_both_sides_of_a_sum_over_the_sample_merge_below_it() -> None:
    inner, outer = (Dense(RNG.normal(size=shape)) for shape in ((6, 5), (4, 6)))
    result = same(
        Input("a", (5,), BIN), Linear("w", ("a",), inner), Delay("early", ("w",), 2),
        Reduce("r", ("early",), "sum", (), 5), Delay("late", ("r",), 1), Add("both", ("late", "w")),
        Linear("v", ("both",), outer), neuron("n", "v", (4,), threshold=0.1), Output("o", ("n",)),
        steps=5,
    )  # fmt: skip
    weights = result.of_type(Linear)
    assert len(weights) == 2
    assert {n.inputs for n in weights} == {("a",)}
    (reduce,) = result.of_type(Reduce)
    before, after = result.node[reduce.inputs[0]], result.of_type(Delay)[-1]
    assert isinstance(before, Delay)
    assert before.steps == 2
    assert (after.steps, after.inputs) == (1, (reduce.name,))


def pooled(gamma: Any, **changes: Any) -> tuple[Any, ...]:
    """A convolution, a maximum, batch-norm behind it, and a neuron."""
    kernel = RNG.normal(size=(3, 2, 3, 3))
    conv = Conv(kernel, (1, 1), ((1, 1), (1, 1)), (1, 1))
    return (
        Input("in", (2, 6, 6), BIN), Linear("c", ("in",), conv),
        Bias("cb", ("c",), np.array([0.3, -0.2, 0.1]).reshape(3, 1, 1)),
        Pool("max", ("cb",), "max", (3, 3), (2, 2), ((1, 1), (1, 1))),
        Scale("g", ("max",), np.asarray(gamma, float).reshape(-1, 1, 1)),
        Bias("gb", ("g",), np.array(0.1)),
        neuron("n", "gb", (3, 3, 3), **changes), Output("o", ("n",)),
    )  # fmt: skip


def test_batch_norm_behind_a_maximum_goes_into_the_neuron_unless_it_is_negative() -> None:
    result = same(*pooled([0.5, 2.0, 1.0]))
    assert [n.name for n in result.of_type(Linear)] == ["c"]
    result = same(*pooled([0.5, -2.0, 0.0]))
    (sign,) = (n for n in result.of_type(Linear) if n.name != "c")
    assert sign.inputs == ("max",)
    assert (np.abs(sign.weights.values) == 1).all()


def test_a_sum_of_differently_scaled_maxima_scales_the_weights_below() -> None:
    kernel = RNG.normal(size=(3, 2, 1, 1))
    conv = Conv(kernel, (1, 1), ((0, 0), (0, 0)), (1, 1))
    window: Any = ((2, 2), (2, 2), ((0, 0), (0, 0)))
    result = same(
        Input("in", (2, 4, 4), BIN), Linear("c", ("in",), conv), Linear("d", ("in",), conv),
        Pool("m1", ("c",), "max", *window), Pool("m2", ("d",), "max", *window),
        Scale("s1", ("m1",), np.array([1.0, 2.0, 0.5]).reshape(3, 1, 1)),
        Scale("s2", ("m2",), np.array([-1.0, 0.3, 2.0]).reshape(3, 1, 1)),
        Add("sum", ("s1", "s2")), neuron("n", "sum", (3, 2, 2)),
        Index("flat", ("n",), (12,)), Linear("fc", ("flat",), Dense(RNG.normal(size=(5, 12)))),
        Output("o", ("fc",)),
    )  # fmt: skip
    assert isinstance(result.node["c.scaled"], Linear)


def test_what_no_core_could_do_is_refused() -> None:
    conv = Conv(RNG.normal(size=(3, 2, 3, 3)), (1, 1), ((1, 1), (1, 1)), (1, 1))
    again = Conv(RNG.normal(size=(3, 3, 3, 3)), (1, 1), ((1, 1), (1, 1)), (1, 1))
    start: tuple[Any, ...] = (Input("in", (2, 4, 4), BIN), Linear("c", ("in",), conv))
    end: tuple[Any, ...] = (neuron("n", "x", (3, 4, 4)), Output("o", ("n",)))
    with pytest.raises(UnsupportedError, match="not spike-driven"):
        normalise(Network("n", (*start, Mul("x", ("c", "c")), *end)))
    window: Any = ((3, 3), (1, 1), ((1, 1), (1, 1)))
    uneven = (Bias("b", ("c",), np.ones((3, 4, 4))), Linear("d", ("b",), again))
    with pytest.raises(UnsupportedError, match="of which a maximum is taken"):
        normalise(Network("n", (*start, *uneven, Pool("x", ("d",), "max", *window), *end)))
