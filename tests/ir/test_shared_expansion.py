"""Rows that share shapes are the rows of ``expand``, synapse by synapse."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.small_networks import convolutions, linear_networks

from snnc.ir import shared_expansion
from snnc.ir.arrays import Shape, size_of
from snnc.ir.compositions import composed, identity, summed
from snnc.ir.errors import ModelError
from snnc.ir.expand import Expansion, expand, weight_matrix
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, Output, Pool
from snnc.ir.row_shapes import conv_rows, joined
from snnc.ir.rows import shared_rows
from snnc.ir.shared_expansion import (
    SharedExpansion,
    SharedProjection,
    each_projection,
    expand_large,
    expand_shared,
    fan_in,
)
from snnc.ir.types import BIN
from snnc.ir.weights import Conv

IMAGES = [(2, 7), (4, 6, 5), (2, 4, 3, 5)]


def assert_same(network: IntegerNetwork) -> SharedExpansion:
    """Shared and plain expansions are equal; returns the shared one."""
    plain, shared = expand(network), expand_shared(network)
    assert shared.readout == plain.readout
    assert [p.name for p in shared.populations] == [p.name for p in plain.populations]
    for ours, theirs in zip(shared.projections, plain.projections, strict=True):
        mine = ours.plain()
        for name in ("source", "population", "delay", "targets"):
            assert getattr(mine, name) == getattr(theirs, name)
        np.testing.assert_array_equal(mine.row_ptr, theirs.row_ptr)
        np.testing.assert_array_equal(mine.target, theirs.target)
        np.testing.assert_array_equal(mine.weight, theirs.weight)
        assert ours.synapses == theirs.synapses
    return shared


@settings(max_examples=60)
@given(linear_networks())
def test_shared_rows_are_those_of_random_networks(net: IntegerNetwork) -> None:
    assert_same(net)


@settings(max_examples=80)
@given(st.sampled_from(IMAGES), st.data())
def test_rows_of_a_convolution_are_its_matrix(shape: Shape, data: Any) -> None:
    conv = data.draw(convolutions(shape))
    row_ptr, target, weight = conv_rows(conv, shape).plain()
    matrix = np.zeros((size_of(shape), size_of(conv.output_shape("", shape))), np.int64)
    matrix[np.repeat(np.arange(row_ptr.size - 1), np.diff(row_ptr)), target] = weight
    np.testing.assert_array_equal(matrix.T, weight_matrix(conv, shape).todense())
    assert all((np.diff(target[a:b]) > 0).all() for a, b in pairwise(row_ptr))


@settings(max_examples=80)
@given(st.sampled_from([(2, 9), (3, 6, 8)]), st.data())
def test_two_convolutions_in_a_row_are_one_or_refused(shape: Shape, data: Any) -> None:
    first = data.draw(convolutions(shape))
    middle = first.output_shape("", shape)
    pool = data.draw(pools(middle))
    try:
        out = pool.output_shape("", middle)
    except ModelError:
        assume(False)
    both = composed(first, shape, pool)
    assume(both is not None)
    assert both is not None
    assert both.output_shape("", shape) == out
    expected = weight_matrix(pool, middle) @ weight_matrix(first, shape)
    np.testing.assert_array_equal(weight_matrix(both, shape).todense(), expected.todense())


@st.composite
def pools(draw: st.DrawFn, shape: Shape) -> Conv:
    """A convolution of every channel alone."""
    axes = len(shape) - 1
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    values = np.array(draw(st.lists(
        st.integers(-2, 2), min_size=shape[0] * size_of(kernel),
        max_size=shape[0] * size_of(kernel),
    )), np.int64).reshape(shape[0], 1, *kernel)  # fmt: skip
    stride = tuple(draw(st.integers(1, 2)) for _ in range(axes))
    padding = tuple((draw(st.integers(0, 1)), draw(st.integers(0, 1))) for _ in range(axes))
    return Conv(values, stride, padding, (1,) * axes, shape[0])


def network(*middle: Any, shape: Shape = (2, 8, 8), out: Shape) -> IntegerNetwork:
    """An input, these nodes (the last one named "last"), neurons."""
    neuron = Neuron("n", ("last",), out, np.array([1]), Reset("value"))
    return IntegerNetwork("net", (Input("in", shape, BIN), *middle, neuron, Output("out", ("n",))))


def kernel(*shape: int) -> Any:
    """Weights without zeros."""
    values = np.random.default_rng(0).integers(1, 9, shape)
    return values * np.where(values % 2, 1, -1)


PADDED = ((1, 1), (1, 1))
NONE = ((0, 0), (0, 0))


def test_a_pool_before_and_after_a_convolution_is_not_written_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_expansion, "shared_rows", None)
    conv = Conv(kernel(3, 2, 3, 3), (1, 1), PADDED, (1, 1))
    before = network(
        Pool("pool", ("in",), "sum", (2, 2), (2, 2), NONE),
        Delay("late", ("pool",), 2),
        Linear("last", ("late",), conv),
        out=(3, 4, 4),
    )
    after = network(
        Linear("conv", ("in",), conv),
        Index("same", ("conv",), (3, 8, 8)),
        Pool("last", ("same",), "sum", (2, 2), (2, 2), NONE),
        out=(3, 4, 4),
    )
    for net in (before, after):
        assert_same(net)


def test_what_is_no_convolution_is_written_out() -> None:
    """A pool whose border the padded convolution would read otherwise; a convolution of sums."""
    conv = Conv(kernel(2, 2, 3, 3), (1, 1), PADDED, (1, 1))
    odd = network(
        Pool("pool", ("in",), "sum", (2, 2), (2, 2), NONE),
        Linear("last", ("pool",), conv),
        shape=(2, 7, 7),
        out=(2, 3, 3),
    )
    twice = network(
        Linear("conv", ("in",), conv),
        Add("sum", ("conv", "in")),
        Linear("last", ("sum",), conv),
        out=(2, 8, 8),
    )
    for net in (odd, twice):
        assert_same(net)


def test_many_pixels_share_few_shapes() -> None:
    """3 x 3 classes of pixels per channel, however large the image."""
    conv = Conv(kernel(4, 2, 3, 3), (1, 1), PADDED, (1, 1))
    rows = conv_rows(conv, (2, 100, 60))
    assert rows.shape_ptr.size - 1 == 2 * 9
    assert rows.count == 2 * 100 * 60
    strided = conv_rows(Conv(kernel(4, 2, 3, 3), (2, 2), PADDED, (1, 1)), (2, 100, 60))
    assert strided.shape_ptr.size - 1 <= 2 * 9


def test_rows_of_several_parts_follow_each_other() -> None:
    row_ptr = np.array([0, 2, 2, 4, 6])
    target, weight = np.array([0, 3, 4, 7, 1, 5]), np.array([5, -1, 5, -1, 5, -1])
    rows = shared_rows(row_ptr, target, weight)
    ptr, targets, weights = joined([rows, rows]).plain()
    np.testing.assert_array_equal(ptr, [*row_ptr, *(row_ptr[1:] + 6)])
    np.testing.assert_array_equal(targets, [*target, *target])
    np.testing.assert_array_equal(weights, [*weight, *weight])
    assert joined([rows, rows]).synapses == 12


def test_values_of_rows_are_added_up_by_target() -> None:
    rows = conv_rows(Conv(kernel(3, 2, 3, 3), (2, 1), PADDED, (1, 1)), (2, 9, 7))
    _, target, weight = rows.plain()
    total = np.zeros(3 * 5 * 7)
    rows.add(np.abs(rows.weight) * 0.5, total)
    np.testing.assert_array_equal(total, np.bincount(target, np.abs(weight) * 0.5))


def test_only_large_networks_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = Conv(kernel(3, 2, 3, 3), (1, 1), PADDED, (1, 1))
    net = network(Linear("last", ("in",), conv), out=(3, 8, 8))
    assert isinstance(expand_large(net), Expansion)
    synapses = expand(net).projections[0].synapses
    monkeypatch.setattr(shared_expansion, "SHARED_FROM", synapses)
    large = expand_large(net)
    assert isinstance(large, SharedExpansion)
    assert all(isinstance(p, SharedProjection) for p in large.projections)
    monkeypatch.setattr(shared_expansion, "SHARED_FROM", synapses + 1)
    assert isinstance(expand_large(net), Expansion)


@settings(max_examples=80)
@given(st.sampled_from([(4, 9), (2, 6, 8)]), st.data())
def test_the_sum_of_two_convolutions_is_one_or_refused(shape: Shape, data: Any) -> None:
    first = data.draw(convolutions(shape))
    out = first.output_shape("", shape)
    second = data.draw(like(first, shape))
    both = summed(first, second, shape)
    expected = weight_matrix(first, shape) + weight_matrix(second, shape)
    assert both is not None
    assert both.output_shape("", shape) == out
    np.testing.assert_array_equal(weight_matrix(both, shape).todense(), expected.todense())


@st.composite
def like(draw: st.DrawFn, first: Conv, shape: Shape) -> Conv:
    """Another kernel, dilation, padding and number of groups, with results of the same shape."""
    out = first.output_shape("", shape)
    most = [n for n in (1, 2, 4) if out[0] % n == 0 and shape[0] % n == 0]
    groups = draw(st.sampled_from(most))
    kernel, dilation, padding = [], [], []
    for n, m, s in zip(shape[1:], out[1:], first.stride, strict=True):
        k, d, front = (draw(st.integers(1, 3)) for _ in range(3))
        front -= 1
        # The last window ends at the last position, or behind it.
        k = max(k, 1 + math.ceil((n + front - 1 - (m - 1) * s) / d))
        back = (m - 1) * s + (k - 1) * d + 1 - n - front
        kernel.append(k)
        dilation.append(d)
        padding.append((front, back))
    extent = (out[0], shape[0] // groups, *kernel)
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(-3, 4, extent)
    return Conv(values, first.stride, tuple(padding), tuple(dilation), groups)


def test_the_identity_leaves_an_image_as_it_is() -> None:
    found = weight_matrix(identity((3, 4, 5)), (3, 4, 5)).todense()
    np.testing.assert_array_equal(found, np.eye(60))


def test_a_sum_of_branches_is_not_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """RepVGG: 3 x 3, 1 x 1 and the image itself; and a pool beside a strided convolution."""
    conv, point = Conv(kernel(2, 2, 3, 3), (1, 1), PADDED, (1, 1)), kernel(2, 2, 1, 1)
    branches = network(
        Linear("three", ("in",), conv),
        Linear("one", ("in",), Conv(point, (1, 1), NONE, (1, 1))),
        Add("last", ("three", "in", "one")),
        out=(2, 8, 8),
    )
    strided = network(
        Linear("conv", ("in",), Conv(kernel(2, 2, 3, 3), (2, 2), PADDED, (1, 1))),
        Pool("pool", ("in",), "sum", (2, 2), (2, 2), NONE),
        Add("last", ("conv", "pool")),
        out=(2, 4, 4),
    )
    monkeypatch.setattr(shared_expansion, "shared_rows", None)
    for net in (branches, strided):
        assert_same(net)


@settings(max_examples=40)
@given(linear_networks(), st.sampled_from([0, 40]))
def test_projections_one_by_one_are_those_of_the_expansion(net: IntegerNetwork, least: int) -> None:
    for ours, theirs in zip(each_projection(net, least), expand(net).projections, strict=True):
        if isinstance(ours, SharedProjection):
            assert max(least, 2 * ours.rows.offset.size) <= ours.synapses
            ours = ours.plain()
        for name in ("source", "population", "delay", "targets"):
            assert getattr(ours, name) == getattr(theirs, name)
        for name in ("row_ptr", "target", "weight"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), name)
    synapses = dict.fromkeys((n.name for n in net.populations), 0)
    for p in expand(net).projections:
        synapses[p.population] += p.synapses
    assert fan_in(net, synapses) == synapses
