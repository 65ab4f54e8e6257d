"""``.net`` files of every layer type equal an independent model of Lava, spike by spike."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import lava_model
from support.lava_truth import in_file_order, raster
from support.netx_files import conv, cuba, dense, flatten, input_layer, pool, write

from snnc.compiler.frontends import netx
from snnc.ir.errors import ModelError
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input, Linear, Output
from snnc.simulators import functional, reference


def even(rng: Any, shape: tuple[int, ...], size: int = 60) -> Any:
    return 2 * rng.integers(-size // 2, size // 2 + 1, shape)


def mismatches(path: Path, layers: list[Any], data: Any) -> int:
    """Spikes that differ between Lava's rules and ours, over all layers."""
    network = netx.read(path)
    truth = lava_model.run(layers, data)
    found = reference.run(network, {"input": data[None]})
    populations = in_file_order(network)
    assert len(truth) == len(populations)
    assert set(found.mismatches(functional.run(network, {"input": data[None]})).values()) == {0}
    wrong = 0
    for population, spikes in zip(populations, truth, strict=True):
        mine = raster(found, population, len(data))
        wrong += int(np.count_nonzero(mine != spikes.astype(bool).reshape(mine.shape)))
    return wrong


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**31), recurrent=st.booleans(), odd=st.booleans())
def test_random_dense_networks_equal_lavas_rules(
    tmp_path_factory: pytest.TempPathFactory, seed: int, recurrent: bool, odd: bool
) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 12, 4)
    layers = []
    for inner, out in itertools.pairwise(sizes):
        neuron = cuba(int(rng.integers(0, 4097)), int(rng.integers(0, 4097)),
                      int(rng.integers(0, 200)))  # fmt: skip
        weight = even(rng, (out, inner), 240) + (odd and rng.integers(0, 2, (out, inner)))
        layer = dense(weight, neuron, bias=rng.integers(-20, 30, out).astype(np.float32))
        if recurrent:
            layer |= {"type": "dense_rec", "weight_rec": np.float32(even(rng, (out, out)))}
        layers.append(layer)
    path = write(tmp_path_factory.mktemp("net") / "a.net", *layers)
    assert mismatches(path, layers, rng.integers(0, 2, (20, sizes[0]))) == 0


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**31),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 1)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.sampled_from([1, 2]),
)
def test_random_conv_networks_equal_lavas_rules(
    tmp_path_factory: pytest.TempPathFactory, seed: int, stride: Any, padding: Any, dilation: Any,
    groups: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    height, width = 8, 7
    kernel = (3, 2)
    extent = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip((height, width), padding, dilation, kernel, stride, strict=True)
    ]
    shape = (4, *extent)
    layers = [
        input_layer((2, height, width), neuron=cuba(4096, 1024, 25)),
        conv(even(rng, (4, 2 // groups, *kernel)), shape, cuba(), stride, padding, dilation,
             groups, bias=rng.integers(-20, 30, 4).astype(np.float32)),
        flatten(int(np.prod(shape))),
        dense(even(rng, (5, int(np.prod(shape)))), cuba(4096, 1024)),
    ]  # fmt: skip
    path = write(tmp_path_factory.mktemp("net") / "a.net", *layers)
    image = rng.integers(-40, 80, (2, height, width))
    assert mismatches(path, layers, np.broadcast_to(image, (12, *image.shape))) == 0


def test_currents_beyond_24_bits_wrap_and_potentials_clip(tmp_path: Path) -> None:
    weight = np.full((2, 1000), 254)
    weight[1] = -256
    layers = [
        dense(weight, cuba(0, 0, 100_000)),
        dense(np.eye(2) * 2, cuba(4096, 0, 10)),
    ]
    path = write(tmp_path / "a.net", *layers)
    assert mismatches(path, layers, np.ones((30, 1000), np.int64)) == 0
    assert "layer0" not in netx.read(path).assumptions


def test_sums_that_lava_would_not_hold_in_24_bits_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.net", dense(np.full((1, 1100), 254), cuba()))
    assert "wraps around" in netx.read(path).assumptions["layer0"]


def test_one_weight_scales_a_pool_over_each_channel(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    layers = [
        input_layer((3, 4, 6)),
        pool(np.full((2, 3), 32), (3, 2, 2), cuba(4096, 512, 60), (2, 3)),
    ]
    network = netx.read(write(tmp_path / "a.net", *layers))
    data = rng.integers(0, 2, (10, 3, 4, 6))
    sums = data.reshape(10, 3, 2, 2, 2, 3).sum(axis=(3, 5))
    lif = lava_model.Lif(layers[1], (3, 2, 2))
    truth = np.stack([lif.step(32 * x) for x in sums])
    mine = raster(reference.run(network, {"input": data[None]}), in_file_order(network)[0], 10)
    assert truth.any()
    assert np.array_equal(mine, truth.astype(bool))


def test_axonal_delays_make_each_neurons_spikes_late(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    weight, late = even(rng, (6, 5), 100), np.array([0, 3, 1, 3, 0, 7])
    bias = np.array([0, 9, 0, 0, 12, 11], np.float32)
    plain = [dense(weight, cuba(), bias=bias)]
    delayed = [dense(weight, cuba(), bias=bias, delay=late.astype(np.float32))]
    data = rng.integers(0, 2, (25, 5))
    prompt = lava_model.run(plain, data)[0]
    network = netx.read(write(tmp_path / "a.net", *delayed))
    found = reference.run(network, {"input": data[None]})
    mine = raster(found, in_file_order(network)[0], 25)
    for neuron, steps in enumerate(late):
        expected = np.concatenate([np.zeros(steps), prompt[: 25 - steps, neuron]])
        assert np.array_equal(mine[:, neuron], expected.astype(bool))
    assert "netx starts the bias early" in network.assumptions["layer0"]
    assert set(found.mismatches(functional.run(network, {"input": data[None]})).values()) == {0}


def test_one_delay_holds_for_the_whole_layer(tmp_path: Path) -> None:
    layer = dense(np.eye(3) * 64, cuba(4096, 4095, 10), delay=np.float32(4))
    network = netx.read(write(tmp_path / "a.net", layer))
    data = np.random.default_rng(3).integers(0, 2, (9, 3))
    found = reference.run(network, {"input": data[None]}).outputs["output"][0]
    assert np.array_equal(found[4:], data[:-4])


def test_delays_of_a_conv_layer_act_although_netx_ignores_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    weight, shape = even(rng, (2, 1, 2, 2), 100), (2, 3, 3)
    late = rng.integers(0, 4, 18)
    layers = [input_layer((1, 4, 4)), conv(weight, shape, cuba())]
    data = rng.integers(0, 2, (20, 1, 4, 4))
    prompt = lava_model.run(layers, data)[0].reshape(20, 18)
    layers[1]["delay"] = late.astype(np.float32)
    network = netx.read(write(tmp_path / "a.net", *layers))
    mine = raster(reference.run(network, {"input": data[None]}), in_file_order(network)[0], 20)
    for neuron, steps in enumerate(late):
        expected = np.concatenate([np.zeros(steps), prompt[: 20 - steps, neuron]])
        assert np.array_equal(mine.reshape(20, 18)[:, neuron], expected.astype(bool))
    assert "netx ignores" in network.assumptions["layer1"]


def test_a_layer_without_neurons_integrates_its_input(tmp_path: Path) -> None:
    weight = np.array([[2, -4, 6], [8, 0, -2]])
    network = netx.read(write(tmp_path / "a.net", dense(weight)))
    data = np.random.default_rng(3).integers(0, 2, (9, 3))
    found = reference.run(network, {"input": data[None]}).outputs["output"][0]
    assert np.array_equal(found, 64 * np.cumsum(data @ weight.T, axis=0))
    assert network.of_type(Output)[0].readout == "last"
    assert "without leak" in network.assumptions["layer0"]


@pytest.mark.parametrize("threshold", [131_071, 131_072, (1 << 18) - 1])
def test_a_last_layer_that_cannot_fire_is_read_as_its_potential(
    tmp_path: Path, threshold: int
) -> None:
    weight = np.array([[2, -4, 6]])
    layer = dense(weight, cuba(4096, 0, threshold))
    network = netx.read(write(tmp_path / "a.net", layer))
    data = np.random.default_rng(3).integers(0, 2, (9, 3))
    found = reference.run(network, {"input": data[None]}).outputs["output"][0]
    assert np.array_equal(found, 64 * np.cumsum(data @ weight.T, axis=0))
    assert "never fires" in network.assumptions["layer0"]


def test_an_average_of_the_output_is_the_sum_of_its_groups(tmp_path: Path) -> None:
    layers = [
        dense(np.eye(6) * 64, cuba(4096, 4095, 10)),
        {"type": "average", "shape": np.array([2, 1, 1])},
    ]
    network = netx.read(write(tmp_path / "a.net", *layers))
    data = np.random.default_rng(3).integers(0, 2, (9, 6))
    found = reference.run(network, {"input": data[None]}).outputs["output"][0]
    assert np.array_equal(found, data.reshape(9, 2, 3).sum(axis=2))
    assert "not divided by 3" in network.assumptions["layer1"]


def test_the_input_layer_can_be_left_to_the_host(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.net",
        input_layer((3,), neuron=cuba(4096, 1024, 25), weight=np.float32(40), bias=np.float32(36)),
        dense(np.eye(3) * 2, cuba()),
    )
    whole, behind = netx.read(path), netx.read(path, netx.NetxOptions("spikes"))
    assert [len(n.of_type(Neuron)) for n in (whole, behind)] == [2, 1]
    assert [str(n.of_type(Input)[0].type) for n in (whole, behind)] == ["int(13)", "bin"]
    assert whole.assumptions["layer0"] == "feed 40 x + 36 in every step, x as in training"
    assert "left to the host" in behind.assumptions["layer0"]


def test_even_weights_are_stored_halved_with_a_larger_shift(tmp_path: Path) -> None:
    network = netx.read(write(tmp_path / "a.net", dense([[254, -2]], cuba()), dense([[3]], cuba())))
    first, second = network.of_type(Linear)
    assert first.weights.values.tolist() == [[127, -1]]
    assert second.weights.values.tolist() == [[3]]
    assert [p.input_shift for p in network.populations] == [7, 6]


def test_extents_of_one_that_lava_dl_drops_are_restored(tmp_path: Path) -> None:
    layer = dense(np.array([[2, 4, 6]]), cuba())
    layer |= {"weight": np.array([2, 4, 6], np.float32), "shape": np.array([1, 1, 1])}
    path = write(tmp_path / "a.net", input_layer((3, 1, 1)), layer, dense([[8]], cuba()))
    assert netx.read(path).of_type(Linear)[0].weights.values.tolist() == [[1, 2, 3]]


def scattered(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """A transposed convolution as its definition: every input adds its kernel to the output."""
    inner, per_group = kernel.shape[:2]
    extent = [
        (n - 1) * s - 2 * p + d * (k - 1) + 1
        for n, s, p, d, k in zip(x.shape[1:], stride, padding, dilation, kernel.shape[2:],
                                 strict=True)
    ]  # fmt: skip
    out = np.zeros((per_group * groups, *extent), np.int64)
    for c, i, j in np.argwhere(x):
        first = c // (inner // groups) * per_group
        for o, a, b in np.ndindex(per_group, *kernel.shape[2:]):
            y = i * stride[0] + a * dilation[0] - padding[0]
            z = j * stride[1] + b * dilation[1] - padding[1]
            if 0 <= y < extent[0] and 0 <= z < extent[1]:
                out[first + o, y, z] += kernel[c, o, a, b] * x[c, i, j]
    return out


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kind", ["convT", "unpool"])
def test_transposed_layers_add_their_kernels(tmp_path: Path, kind: str, groups: int) -> None:
    rng = np.random.default_rng(4)
    stride, padding, dilation = (2, 3), (1, 0), (1, 2)
    x = rng.integers(0, 2, (4, 3, 2))
    kernel = even(rng, (4, 3, 3, 2)) if kind == "convT" else even(rng, (1, 1, 3, 2))
    if kind == "unpool":
        expected = np.concatenate(
            [scattered(x[c : c + 1], kernel, stride, padding, dilation, 1) for c in range(4)]
        )
    else:
        expected = scattered(x, kernel, stride, padding, dilation, groups)
    layer = {
        "type": kind, "shape": np.array(expected.shape), "kernelSize": np.array([3, 2]),
        "stride": np.array(stride), "padding": np.array(padding), "dilation": np.array(dilation),
        "weight": kernel.astype(np.float32), "neuron": cuba(4096, 4096, 10),
    }  # fmt: skip
    if kind == "convT":
        layer |= {"inChannels": 4, "outChannels": 3 * groups, "groups": groups}
    network = netx.read(write(tmp_path / "a.net", input_layer((4, 3, 2)), layer))
    (population,) = network.populations
    found = reference.run(network, {"input": x[None, None]})
    np.testing.assert_array_equal(raster(found, population, 1)[0], expected > 10)
    assert 0 < np.count_nonzero(expected > 10) < expected.size


def test_a_transposed_layer_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    layer = {
        "type": "unpool", "shape": np.array([1, 5, 4]), "kernelSize": np.array([2, 2]),
        "stride": np.array([2, 2]), "padding": np.array([0, 0]), "dilation": np.array([1, 1]),
        "weight": np.full((1, 1, 2, 2), 64, np.float32), "neuron": cuba(),
    }  # fmt: skip
    path = write(tmp_path / "a.net", input_layer((1, 2, 2)), layer)
    with pytest.raises(ModelError, match="not what the layer computes"):
        netx.read(path)
    layer["weight"] = np.full((1, 1, 3, 2), 64, np.float32)
    other = write(tmp_path / "b.net", input_layer((1, 2, 2)), layer)
    with pytest.raises(ModelError, match="weight does not fit"):
        netx.read(other)
