"""The expansion into synapse matrices computes exactly what the operators compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.small_networks import convolutions, integer_arrays, linear_networks

from snnc.ir import expand as expand_module
from snnc.ir.arrays import size_of
from snnc.ir.errors import UnsupportedError
from snnc.ir.expand import Projection, expand, weight_matrix
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Add, Input, Linear, Mul, Output
from snnc.ir.types import ValueType
from snnc.ir.weights import Conv, Dense
from snnc.simulators.reference import run
from snnc.simulators.reference.neuron import PopulationState
from snnc.simulators.reference.operators import linear


def _scatter(projection: Projection, source: Any) -> Any:
    """Add the synapses of every source element, one at a time: [samples, targets]."""
    total = np.zeros((source.shape[0], projection.targets), np.int64)
    for i in range(source.shape[1]):
        for k in range(projection.row_ptr[i], projection.row_ptr[i + 1]):
            total[:, projection.target[k]] += projection.weight[k] * source[:, i]
    return total


def _run_expanded(net: IntegerNetwork, data: Any) -> dict[str, Any]:
    """Spikes [samples, steps, neurons] per population, from projections alone."""
    expansion = expand(net)
    samples, steps = data.shape[:2]
    emitted = {"in": data.reshape(samples, steps, -1)}
    emitted |= {n.name: np.zeros((samples, steps, n.size), np.int64) for n in expansion.populations}
    state = {n.name: PopulationState(n, samples) for n in expansion.populations}
    for t in range(steps):
        for neuron in expansion.populations:
            total = np.zeros((samples, neuron.size), np.int64)
            for p in expansion.projections:
                if p.population == neuron.name and t >= p.delay:
                    total += _scatter(p, emitted[p.source][:, t - p.delay])
            spikes = state[neuron.name].step(total.reshape(samples, *neuron.shape), t)
            emitted[neuron.name][:, t] = spikes.reshape(samples, -1)
    return emitted


@settings(max_examples=40)
@given(linear_networks(), st.data())
def test_projections_compute_the_network(net: IntegerNetwork, data: Any) -> None:
    inputs = data.draw(integer_arrays((2, 4, *net.shapes["in"]), 0, 3))
    emitted = _run_expanded(net, inputs)
    result = run(net, {"in": inputs})
    out = result.outputs["out"]
    np.testing.assert_array_equal(emitted["last"], out.reshape(*out.shape[:2], -1))
    for neuron in net.populations:
        assert int(emitted[neuron.name].sum()) == int(result.spike_counts[neuron.name].sum())


@settings(max_examples=40)
@given(st.sampled_from([(2, 6), (3, 5, 4), (2, 3, 4, 3)]), st.data())
def test_a_convolution_matrix_equals_the_convolution(shape: tuple[int, ...], data: Any) -> None:
    conv = data.draw(convolutions(shape))
    x = data.draw(integer_arrays((2, *shape), -4, 4))
    matrix = weight_matrix(conv, shape)
    expected = linear(conv, x)
    assert matrix.shape == (size_of(expected.shape[1:]), size_of(shape))
    np.testing.assert_array_equal((matrix @ x.reshape(2, -1).T).T, expected.reshape(2, -1))


@settings(max_examples=40)
@given(st.sampled_from([(2, 6), (4, 5, 4), (2, 3, 4, 3)]), st.data())
def test_a_convolution_is_unrolled_from_both_sides_alike(shape: tuple[int, ...], data: Any) -> None:
    conv = data.draw(convolutions(shape))
    by_source = expand_module._conv_matrix(conv, shape, by_source=True)
    assert by_source.has_sorted_indices
    np.testing.assert_array_equal(by_source.toarray().T, weight_matrix(conv, shape).toarray())


def test_weights_that_are_no_integers_keep_their_fractions() -> None:
    """Normalisation composes the operators of trained networks with the same matrices."""
    matrix = weight_matrix(
        Conv(np.full((1, 1, 1, 1), 0.75), (1, 1), ((0, 0), (0, 0)), (1, 1)), (1, 2, 2)
    )
    np.testing.assert_array_equal(matrix.toarray(), 0.75 * np.eye(4))


def _net(*nodes: Any) -> IntegerNetwork:
    x = Input("in", (2,), ValueType("cnt", 3))
    return IntegerNetwork("t", (x, *nodes, Output("out", (nodes[-1].name,))))


def _neuron(name: str, source: str) -> Neuron:
    return Neuron(name, (source,), (2,), np.array([1]), Reset("value"))


def test_parallel_paths_of_one_delay_become_one_projection() -> None:
    weights = Linear("w", ("in",), Dense(np.array([[1, 2], [0, -1]])))
    net = _net(weights, Add("sum", ("w", "in")), _neuron("n", "sum"))
    (projection,) = expand(net).projections
    assert (projection.source, projection.delay, projection.synapses) == ("in", 0, 2)
    np.testing.assert_array_equal(_scatter(projection, np.eye(2, dtype=int)), [[2, 0], [2, 0]])


def test_synapses_that_cancel_disappear() -> None:
    plus = Linear("p", ("in",), Dense(np.array([[5, 0], [0, 1]])))
    minus = Linear("m", ("in",), Dense(np.array([[-5, 0], [0, 1]])))
    (projection,) = expand(_net(plus, minus, Add("s", ("p", "m")), _neuron("n", "s"))).projections
    assert projection.target.tolist() == [1]
    assert projection.weight.tolist() == [2]


def test_an_operator_that_is_no_synapse_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"m: Mul is not a synapse(.|\n)*docs/ir.md"):
        expand(_net(_neuron("a", "in"), Mul("m", ("a", "in")), _neuron("n", "m")))


def test_an_output_reads_a_population() -> None:
    weights = Linear("w", ("n",), Dense(np.array([[1, 2]])))
    with pytest.raises(UnsupportedError, match="out: an output must read a population"):
        expand(_net(_neuron("n", "in"), weights))
