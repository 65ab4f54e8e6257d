"""Shared rows in the functional simulator: never written out, spike by spike the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.neurons import random_neuron
from support.random_networks import Options, random_inputs, random_network
from support.same_run import assert_same_run
from support.small_networks import convolutions, linear_networks
from support.speed_networks import event_cnn

from snnc.ir.arrays import Shape, size_of
from snnc.ir.expand import Projection, expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, Mul, Output, Pool, Reduce
from snnc.ir.shared_expansion import SharedProjection, each_projection
from snnc.ir.types import BIN, ValueType
from snnc.ir.weights import Conv
from snnc.simulators import functional, reference
from snnc.simulators.functional import shared_layouts
from snnc.simulators.functional.layouts import RUNS, SHARED, reorder
from snnc.simulators.functional.program import LAYOUT, channels_last
from snnc.simulators.functional.streaming import Stream

seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True)
def all_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small, whatever can share its rows does."""
    monkeypatch.setattr(shared_layouts, "SHARED_FROM", 0)


def assert_equal(network: IntegerNetwork, inputs: Any) -> functional.Functional:
    """Spikes, counts and events are those of the reference and of the network written out."""
    compiled = functional.Functional(network)
    mine = compiled.run(inputs)
    assert_same_run(mine, reference.run(network, inputs))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_layouts, "SHARED_FROM", 1 << 62)
        plain = functional.Functional(network)
    assert plain.program.synapses == compiled.program.synapses
    assert plain.program.input_bound == compiled.program.input_bound
    np.testing.assert_array_equal(plain.run(inputs).synaptic_events, mine.synaptic_events)
    return compiled


def conv_network(seed: int, bound: int, simple: bool) -> IntegerNetwork:
    """Two or three layers of large kernels' worth of images, delays, pools, branches and loops."""
    rng = np.random.default_rng(seed)

    def draw(*choices: Any) -> Any:
        return choices[rng.integers(len(choices))]

    def conv(channels: int, out: int, axes: int, stride: int, groups: int) -> Conv:
        kernel, dilation = (draw(1, 2, 3),) * axes, (draw(1, 1, 2),) * axes
        values = rng.integers(-bound // 2, bound + 1, (out, channels // groups, *kernel))
        values[rng.random(values.shape) < 0.1] = 0
        reach = (kernel[0] - 1) * dilation[0]
        padding = ((reach // 2, reach - reach // 2),) * axes
        return Conv(values, (stride,) * axes, padding, dilation, groups)

    axes = draw(1, 2, 2)
    channels = draw(1, 2, 4)
    shape: Shape = (channels, *(rng.integers(9, 14, axes)).tolist())
    kind: Any = draw("bin", "cnt", "scnt", "int")
    nodes: list[Any] = [Input("x", shape, ValueType(kind, 0 if kind == "bin" else 3))]
    source = "x"
    for layer in range(draw(1, 2, 3)):
        stride = draw(1, 1, 2, 3)
        groups = draw(1, 1, shape[0])
        out = groups * draw(1, 3) if groups > 1 else draw(2, 12)
        if layer and rng.random() < 0.3:
            nodes.append(Delay(f"late{layer}", (source,), draw(1, 2)))
            source = f"late{layer}"
        nodes.append(Linear(f"c{layer}", (source,), conv(shape[0], out, axes, stride, groups)))
        made = nodes[-1].weights.output_shape("", shape)
        terms = [f"c{layer}"]
        if rng.random() < 0.5:
            other = conv(shape[0], out, axes, stride, 1)
            if other.output_shape("", shape) == made:
                nodes.append(Linear(f"b{layer}", (source,), other))
                terms.append(f"b{layer}")
        if rng.random() < 0.4:
            back = Delay(f"past{layer}", (f"n{layer}",), draw(1, 2))
            nodes += [back, Linear(f"loop{layer}", (back.name,), conv(out, out, axes, 1, 1))]
            terms.append(f"loop{layer}")
        top = terms[0]
        if len(terms) > 1:
            top = f"add{layer}"
            nodes.append(Add(top, tuple(terms)))
        if rng.random() < 0.3 and min(made[1:]) > 2 and len(terms) == 1:
            window = (2,) * axes
            nodes.append(Pool(f"p{layer}", (top,), "sum", window, window, ((0, 0),) * axes))
            made, top = nodes[-1].output_shape(made), f"p{layer}"
        if rng.random() < 0.2 and len(terms) == 1:
            made = draw((size_of(made),), (made[1], made[0], *made[2:]))
            nodes.append(Index(f"s{layer}", (top,), made))
            top = f"s{layer}"
        nodes.append(random_neuron(rng, f"n{layer}", top, made, scale=2 * bound, simple=simple))
        source, shape = f"n{layer}", made
        if len(shape) != axes + 1:
            break
    nodes.append(Output("out", (source,)))
    return IntegerNetwork("conv", tuple(nodes))


@settings(max_examples=40, deadline=None)
@given(seed=seeds, bound=st.sampled_from([20, 127, 3000, 2**24]), simple=st.booleans())
def test_random_convolutions_equal_the_reference(seed: int, bound: int, simple: bool) -> None:
    network = conv_network(seed, bound, simple)
    assert_equal(network, random_inputs(network, seed, samples=2, steps=6))


def test_the_random_convolutions_take_both_shared_layouts() -> None:
    shared: list[str] = []
    layouts, fired = set[int](), 0
    for seed in range(25):
        network = conv_network(seed, 3000 if seed % 2 else 100, simple=True)
        found = each_projection(network, 0)
        shared += [p.source for p in found if isinstance(p, SharedProjection)]
        compiled = functional.Functional(network)
        layouts |= set(compiled.program.network.projections[:, LAYOUT].tolist())
        counts = compiled.run(random_inputs(network, seed, samples=1, steps=6), ()).spike_counts
        fired += sum(int(c.sum()) > 0 for c in counts.values())
    assert {RUNS, SHARED} <= layouts
    assert len(shared) > 25
    assert fired > 25


@settings(max_examples=30, deadline=None)
@given(seed=seeds, simple=st.booleans())
def test_random_networks_of_every_operator_equal_the_reference(seed: int, simple: bool) -> None:
    network = random_network(seed, Options(simple_only=simple, width=12))
    assert_equal(network, random_inputs(network, seed, samples=1, steps=6))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_reordered_rows_are_the_reordered_synapses(data: Any) -> None:
    """Whatever shape the population has, also one whose channels are not the convolution's."""
    shape = (2, data.draw(st.integers(4, 9)), data.draw(st.integers(4, 9)))
    conv = data.draw(convolutions(shape))
    out = conv.output_shape("", shape)
    flat = size_of(out)
    other = data.draw(st.sampled_from([k for k in range(1, flat + 1) if flat % k == 0]))
    extent = data.draw(st.sampled_from([out, (flat,), (other, flat // other)]))
    net = IntegerNetwork("net", (
        Input("x", (2, *shape[1:]), BIN), Linear("c", ("x",), conv), Index("i", ("c",), extent),
        Neuron("n", ("i",), extent, np.array([1]), Reset("value")), Output("o", ("n",)),
    ))  # fmt: skip
    for shared, plain in zip(each_projection(net, 0), expand(net).projections, strict=True):
        if not isinstance(shared, SharedProjection):
            continue
        order = channels_last(shape) if data.draw(st.booleans()) else None
        expected = dense(reorder(plain, order, channels_last(extent)))
        table = shared_layouts.reordered(shared, order, extent)
        assert table.synapses == plain.synapses
        found = np.zeros_like(expected)
        for row, (base, kind) in enumerate(zip(table.base, table.shape, strict=True)):
            part = slice(*table.rows.row_ptr[kind : kind + 2])
            assert (np.diff(table.rows.target[part]) > 0).all()
            found[row, base + table.rows.target[part]] = table.rows.weight[part]
        np.testing.assert_array_equal(found, expected)


def dense(p: Projection) -> Any:
    matrix = np.zeros((p.row_ptr.size - 1, p.targets), np.int64)
    matrix[np.repeat(np.arange(len(matrix)), np.diff(p.row_ptr)), p.target] = p.weight
    return matrix


def image_network(*middle: Any, shape: Shape, out: Shape, theta: int = 60) -> IntegerNetwork:
    """An image of 2 channels, these nodes (the last one named "last"), neurons."""
    neuron = Neuron("n", ("last",), out, np.array([theta]), Reset("subtract", np.array(theta)))
    return IntegerNetwork("net", (Input("x", shape, BIN), *middle, neuron, Output("o", ("n",))))


def kernel(*shape: int, bound: int = 60) -> Any:
    return np.random.default_rng(3).integers(-bound, bound + 1, shape) | 1


PADDED = ((1, 1), (1, 1))


def raster(shape: Shape, rate: float, samples: int = 2, steps: int = 8) -> Any:
    return (np.random.default_rng(1).random((samples, steps, *shape)) < rate).astype(np.uint8)


@pytest.mark.parametrize("bound", [60, 3000])
def test_a_few_events_touch_only_what_they_reach(bound: int) -> None:
    """3 of 20,000 pixels a step: far fewer events than neurons, in both layouts."""
    shape = (2, 100, 100)
    net = image_network(
        Linear("last", ("x",), Conv(kernel(12, 2, 3, 3, bound=bound), (1, 1), PADDED, (1, 1))),
        shape=shape, out=(12, 100, 100), theta=bound // 2,
    )  # fmt: skip
    compiled = assert_equal(net, {"x": raster(shape, 0.00015)})
    assert compiled.program.network.projections[:, LAYOUT].tolist() == [
        RUNS if bound == 60 else SHARED
    ]


def test_what_is_shared_is_stored_once_per_shape() -> None:
    shape = (2, 60, 60)
    conv = Conv(kernel(16, 2, 3, 3), (1, 1), PADDED, (1, 1))
    net = image_network(Linear("last", ("x",), conv), shape=shape, out=(16, 60, 60))
    program = functional.Functional(net).program
    assert program.synapses > 900_000
    synapses = program.network.synapses
    assert synapses.run_weight.size < 2 * 9 * 9 * 16 * 2
    assert synapses.words.size == synapses.target.size == 0
    assert synapses.base.size == synapses.shape.size == size_of(shape)


def test_an_image_added_to_its_convolution_and_products_of_spikes() -> None:
    """A residual branch that is the identity, and gates, whose helpers read convolutions."""
    shape = (2, 10, 10)
    conv = Conv(kernel(2, 2, 3, 3), (1, 1), PADDED, (1, 1))
    net = image_network(
        Linear("conv", ("x",), conv),
        Add("sum", ("conv", "x")),
        Neuron("m", ("sum",), shape, np.array([30]), Reset("value")),
        Linear("again", ("m",), conv),
        Neuron("gate", ("again",), shape, np.array([20]), Reset("value")),
        Mul("product", ("gate", "x")),
        Linear("last", ("product",), conv),
        shape=shape, out=shape, theta=20,
    )  # fmt: skip
    compiled = assert_equal(net, {"x": raster(shape, 0.3)})
    assert compiled.run({"x": raster(shape, 0.3)}).spike_counts["n"].min() > 0


def test_sums_over_a_sample_wait_for_its_end() -> None:
    """A population behind the others in time (a barrier) reads a convolution of it."""
    shape = (2, 8, 8)
    conv = Conv(kernel(3, 2, 3, 3), (1, 1), PADDED, (1, 1))
    net = IntegerNetwork("late", (
        Input("x", shape, BIN),
        Reduce("total", ("x",), "sum", (), steps=8),
        Linear("c", ("total",), conv),
        Neuron("n", ("c",), (3, 8, 8), np.array([400]), Reset("value")),
        Output("o", ("n",)),
    ))  # fmt: skip
    compiled = assert_equal(net, {"x": raster(shape, 0.3)})
    assert max(compiled.program.lags) > 0


def test_threads_and_streams_use_shared_rows() -> None:
    network, x = event_cnn(samples=3, steps=8)
    compiled = functional.Functional(network)
    once = compiled.run({"x": x})
    assert sum(int(c.sum()) for c in once.spike_counts.values()) > 100
    assert not any(compiled.run({"x": x}, threads=2).mismatches(once).values())
    stream = Stream(network)
    parts = [stream.advance({"x": x[:1, k : k + 4]}).outputs["out"] for k in (0, 4)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1)[0], once.outputs["out"][0])


@settings(max_examples=40, deadline=None)
@given(linear_networks())
def test_every_linear_network_equals_the_reference(net: IntegerNetwork) -> None:
    assert_equal(net, random_inputs(net, 0, samples=1, steps=4))
