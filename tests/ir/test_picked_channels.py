"""A pick of what a convolution makes is a convolution: the same synapses, and still shared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from snnc.ir.arrays import size_of
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Index, Input, Linear, Output
from snnc.ir.picked_channels import conv_of_index
from snnc.ir.shared_expansion import expand_shared
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense


def network(nodes: list[Any], shape: tuple[int, ...]) -> IntegerNetwork:
    last = Neuron("n", (nodes[-1].name,), shape, np.array([3]), Reset("value"))
    return IntegerNetwork("picks", (*nodes, last, Output("out", ("n",))))


def synapses(projection: Any, shape: tuple[int, int]) -> Any:
    """[sources, targets]."""
    triple = (projection.weight, projection.target, projection.row_ptr)
    return sparse.csr_array(triple, shape=shape).toarray()


def is_convolution(index: Any, shape: tuple[int, ...]) -> bool:
    return conv_of_index(Index("i", ("in",), index.shape, index), 0, [shape]) is not None


def assert_same(net: IntegerNetwork) -> None:
    (shared,), (plain,) = expand_shared(net).projections, expand(net).projections
    size = size_of(net.shapes["in"]), plain.targets
    np.testing.assert_array_equal(synapses(shared.plain(), size), synapses(plain, size))


@pytest.mark.parametrize("seed", range(60))
def test_picks_behind_convolutions_and_sources(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in (rng.integers(1, 4), *rng.integers(4, 9, 2)))
    k = int(rng.integers(1, 4))
    pad = ((int(rng.integers(0, k)), int(rng.integers(0, k))),) * 2
    groups = shape[0] if rng.integers(4) == 0 else 1
    out = groups * int(rng.integers(1, 4))
    values = rng.integers(-5, 6, (out, shape[0] // groups, k, k))
    conv = Conv(values, (int(rng.integers(1, 3)),) * 2, pad, (1, 1), groups)
    nodes: list[Any] = [Input("in", shape, BIN)]
    if rng.integers(3):
        nodes.append(Linear("c", ("in",), conv))
        shape = conv.output_shape("c", shape)
    channel = rng.integers(-1, shape[0], int(rng.integers(1, 6)))
    if rng.integers(2):
        channel = np.append(np.arange(shape[0]), np.full(int(rng.integers(0, 3)), -1))
    start = rng.integers(0, 2, 2) * [min(n - 1, 2) for n in shape[1:]]
    step = rng.integers(1, 4, 2)
    index = np.arange(size_of(shape)).reshape(shape)[channel]
    index = index[:, start[0] :: step[0], start[1] :: step[1]].copy()
    index[channel < 0] = -1
    nodes.append(Index("pick", (nodes[-1].name,), index.shape, index))
    if (channel >= 0).any():
        assert is_convolution(index, shape)
    assert_same(network(nodes, index.shape))


@pytest.mark.parametrize("seed", range(6))
def test_other_indices_are_no_picks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    index = rng.permutation(3 * 5 * 5).reshape(3, 5, 5)
    assert not is_convolution(index, index.shape)
    turned = np.arange(75).reshape(3, 5, 5).transpose(0, 2, 1)
    assert not is_convolution(turned, turned.shape)
    shape = (3, 5, 5)
    for some in (index, turned):
        assert_same(network([Input("in", shape, BIN), Index("i", ("in",), shape, some)], shape))


def test_halved_shortcut_stays_a_few_shapes() -> None:
    """Every second pixel and zeros in new channels, twice: strides multiply, rows stay shared."""
    rng = np.random.default_rng(0)
    nodes: list[Any] = [Input("in", (2, 32, 32), BIN)]
    values = rng.integers(1, 5, (4, 2, 3, 3))
    nodes.append(Linear("c", ("in",), Conv(values, (1, 1), ((1, 1), (1, 1)), (1, 1))))
    shape = (4, 32, 32)
    for name in ("half", "quarter"):
        index = np.full((2 * shape[0], shape[1] // 2, shape[2] // 2), -1)
        index[: shape[0]] = np.arange(size_of(shape)).reshape(shape)[:, ::2, ::2]
        nodes.append(Index(name, (nodes[-1].name,), index.shape, index))
        shape = index.shape
    net = network(nodes, shape)
    assert_same(net)
    (projection,) = expand_shared(net).projections
    assert projection.synapses > 1500
    assert projection.rows.offset.size <= 4 * values.size


@pytest.mark.parametrize("zeros", [False, True])
def test_dense_layers_come_from_their_matrix(zeros: bool) -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(-3 if zeros else 1, 4, (5, 24))
    shape = (2, 3, 4)
    nodes = [
        Input("in", shape, BIN), Index("flat", ("in",), (24,)),
        Linear("d", ("flat",), Dense(values)),
    ]  # fmt: skip
    assert_same(network(nodes, (5,)))
