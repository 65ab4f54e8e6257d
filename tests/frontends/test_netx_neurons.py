"""ALIF and sigma-delta layers of ``.net`` files, against second formulations and lava-dl itself."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.lava_dl_networks import plain_alif, plain_sigma_delta
from support.netx_files import alif, conv, cuba, dense, flatten, input_layer, sdnn, write
from support.paths import require_data

from snnc.compiler.frontends import netx
from snnc.compiler.frontends.netx import NetxOptions
from snnc.ir.errors import ModelError, OptionError, SnncError, UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Delay, Input, Linear
from snnc.simulators import functional, reference

LAVA_DL = "SNNC_LAVA_DL_PYTHON"
SCRIPT = Path(__file__).parents[1] / "support" / "lava_dl_truth.py"


def rasters(network: IntegerNetwork, inputs: dict[str, Any]) -> dict[str, Any]:
    """What every population emits, [steps, neurons], and equal in both simulators."""
    found: dict[str, list[Any]] = {p.name: [] for p in network.populations}

    def observe(values: Any) -> None:
        for name, rows in found.items():
            rows.append(np.asarray(values[name])[0].reshape(-1))

    truth = reference.run(network, inputs, observe=observe)
    assert set(truth.mismatches(functional.run(network, inputs)).values()) == {0}
    return {name: np.array(rows) for name, rows in found.items()}


def spikes(rng: np.random.Generator, steps: int, size: int) -> Any:
    return (rng.random((steps, size)) < 0.4).astype(np.int64)


@pytest.mark.parametrize("odd", [0, 1])
def test_dense_alif_layers_are_lava_dls(tmp_path: Path, odd: int) -> None:
    rng = np.random.default_rng(odd)
    first, second = rng.integers(-20, 40, (6, 5)) * 2 + odd, rng.integers(-20, 40, (4, 6)) * 2
    bias = rng.integers(-15, 10, 6) * 2 + odd
    path = write(
        tmp_path / "a.net",
        dense(first, alif(), bias=bias.astype(np.float32)),
        dense(second, alif(i=4096, ref=np.array([0, 100, 2000, 4096])),
              bias=np.array([3, 0, -2, 5], np.float32)),
    )  # fmt: skip
    x = spikes(rng, 40, 5)
    found = rasters(netx.read(path), {"input": x[None]})
    decays = {"iDecay": 1024, "vDecay": 300, "thDecay": 500, "refDecay": 700}
    settings = {**decays, "vThMant": 40, "vThStep": 20}
    np.testing.assert_array_equal(
        found["layer0"], plain_alif({**settings, "bias": bias}, x @ first.T)
    )
    settings |= {"iDecay": 4096, "refDecay": [0, 100, 2000, 4096], "bias": [3, 0, -2, 5]}
    np.testing.assert_array_equal(found["layer1"], plain_alif(settings, found["layer0"] @ second.T))
    assert found["layer0"].sum() > 5
    assert found["layer1"].sum() > 5


def test_alif_and_cuba_layers_may_follow_each_other(tmp_path: Path) -> None:
    weight = np.full((2, 2), 50)
    network = netx.read(write(tmp_path / "a.net", dense(weight, cuba()), dense(weight, alif())))
    assert [p.recovery is None for p in network.populations] == [True, False]


@pytest.mark.parametrize("exponent", [6, 0, 3])
def test_sigma_delta_layers_are_lavas(tmp_path: Path, exponent: int) -> None:
    rng = np.random.default_rng(exponent)
    kernel = rng.integers(-10, 14, (3, 2, 3, 3)) * 2
    weight = rng.integers(-10, 12, (4, 27)) * 2
    last = rng.integers(-10, 12, (2, 4))
    channel_bias = rng.integers(-20, 30, 3)
    path = write(
        tmp_path / "a.net",
        input_layer((2, 5, 5), neuron=sdnn(3)),
        conv(kernel, (3, 3, 3), sdnn(7), bias=channel_bias.astype(np.float32)),
        flatten(27),
        dense(weight, sdnn(0)),
        dense(last, sdnn(6, sigma_output=True)),
    )
    network = netx.read(path, NetxOptions(spike_exponent=exponent))
    values = np.repeat(rng.integers(-100, 120, (8, 2, 5, 5)), 3, axis=0)
    found = rasters(network, {"input": values[None]})
    unit = exponent + 6
    sent = plain_sigma_delta(3, 0, unit, 6, values.reshape(24, -1), relu=False)
    np.testing.assert_array_equal(found["layer0"], sent)
    patches = np.lib.stride_tricks.sliding_window_view(sent.reshape(24, 2, 5, 5), (3, 3), (2, 3))
    sums = np.einsum("tchwyx,ocyx->tohw", patches, kernel).reshape(24, -1)
    sent = plain_sigma_delta(7, np.repeat(channel_bias, 9), unit, 6, sums)
    np.testing.assert_array_equal(found["layer1"], sent)
    sent = plain_sigma_delta(0, 0, unit, 6, sent @ weight.T)
    np.testing.assert_array_equal(found["layer3"], sent)
    np.testing.assert_array_equal(found["layer4"], np.cumsum(sent @ last.T, axis=0))
    assert np.abs(sent).sum() > 100


def test_a_delayed_sigma_delta_layer_is_late_as_a_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    weight, bias = rng.integers(-9, 15, (3, 4)) * 2, np.array([30, -4, 12], np.float32)
    plain = dense(weight, sdnn(2), bias=bias)
    late = dense(weight, sdnn(2), bias=bias, delay=np.array([0, 3, 1], np.float32))
    encode = input_layer((4,), neuron=sdnn(1))
    x = {"input": rng.integers(-50, 60, (1, 12, 4))}
    soon = rasters(netx.read(write(tmp_path / "a.net", encode, plain)), x)["layer1"]
    then = rasters(netx.read(write(tmp_path / "b.net", encode, late)), x)["layer1"]
    for neuron, steps in enumerate((0, 3, 1)):
        np.testing.assert_array_equal(then[steps:, neuron], soon[: 12 - steps, neuron])
        assert not then[:steps, neuron].any()


def test_the_encoder_can_be_left_to_the_host(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.net", input_layer((3,), neuron=sdnn(2)), dense(np.eye(3) * 8, sdnn(1))
    )
    x = {"input": np.random.default_rng(1).integers(-60, 60, (1, 9, 3))}
    whole = rasters(netx.read(path), x)
    behind = netx.read(path, NetxOptions("spikes"))
    assert str(behind.of_type(Input)[0].type) == "scnt(32768)"
    part = rasters(behind, {"input": whole["layer0"][None]})
    np.testing.assert_array_equal(part["layer1"], whole["layer1"])


def test_types_of_what_is_fed(tmp_path: Path) -> None:
    """Eight bits, thirteen where weight and bias made the values, messages without encoder."""
    layer, rest = input_layer((3,), neuron=sdnn(2)), dense(np.eye(3) * 8, sdnn(1))
    affine = layer | {"weight": np.array([40.0]), "bias": np.array([3.0])}
    for first, kind in ((layer, "scnt(256)"), (affine, "scnt(4096)"), (None, "scnt(32768)")):
        layers = [rest] if first is None else [first, rest]
        network = netx.read(write(tmp_path / "a.net", *layers))
        assert str(network.of_type(Input)[0].type) == kind


ONE = np.full((1, 1), 8)


@pytest.mark.parametrize(
    ("layers", "kind", "match"),
    [
        ([dense(ONE, sdnn(activation="sigmoid"))], UnsupportedError, "whatever the activation"),
        ([dense(ONE, sdnn(refDelay=2))], UnsupportedError, "refDelay is ignored"),
        ([dense(ONE, sdnn(messageBits=8))], UnsupportedError, "messageBits is ignored"),
        ([dense(ONE, sdnn(weight_exp=1))], UnsupportedError, "weight_exp is ignored"),
        ([dense(ONE, sdnn(cum_error=True))], UnsupportedError, "unknown neuron parameter"),
        ([dense(ONE, sdnn(vDecay=3))], UnsupportedError, "unknown neuron parameter"),
        ([dense(ONE, sdnn(-1))], ModelError, "outside their register"),
        ([dense(ONE, sdnn(1 << 12))], ModelError, "outside their register"),
        ([dense(ONE, sdnn()), dense(ONE, cuba())], UnsupportedError, "in one network"),
        (
            [dense(ONE, sdnn(sigma_output=True)), dense(ONE, sdnn())],
            UnsupportedError,
            "a sigma output inside",
        ),
        (
            [dense(ONE, sdnn(sigma_output=True), bias=np.ones(1, np.float32))],
            UnsupportedError,
            "a sigma output with a bias",
        ),
        ([input_layer((1,), neuron=alif()), dense(ONE, alif())], UnsupportedError, "adaptive"),
        ([dense(ONE, alif(step=-3))], ModelError, "outside their register"),
        ([dense(ONE, alif(th=4097))], ModelError, "outside their register"),
        ([dense(ONE, alif(ref=0.5))], ModelError, "not integers"),
        ([dense(ONE, alif(gradedSpike=True))], UnsupportedError, "gradedSpike is ignored"),
        ([dense(ONE, alif(activation="relu"))], UnsupportedError, "unknown neuron parameter"),
        (
            [dense(ONE, {k: v for k, v in alif().items() if k != "thDecay"})],
            ModelError,
            "a field is missing",
        ),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, layers: list[Any], kind: type[SnncError], match: str
) -> None:
    with pytest.raises(kind, match=match) as caught:
        netx.read(write(tmp_path / "a.net", *layers))
    assert "layer" in caught.value.where


def test_exponents_beyond_lavas_three_bits_are_refused(tmp_path: Path) -> None:
    for exponent in (-1, 8):
        with pytest.raises(OptionError, match="three bits"):
            NetxOptions(spike_exponent=exponent)


def lavas_steps(network: IntegerNetwork) -> IntegerNetwork:
    """The same layers with the step that each takes in Lava, where biases do not wait for it."""
    nodes: list[Any] = []
    for node in network.nodes:
        if isinstance(node, Linear):
            nodes.append(Delay(f"{node.name}.step", node.inputs, 1))
            node = replace(node, inputs=(f"{node.name}.step",))
        nodes.append(node)
    return IntegerNetwork(network.name, tuple(nodes))


def test_the_output_of_pilotnet_sdnn_is_what_intel_recorded() -> None:
    folder = require_data("lava_dl", "pilotnet_sdnn")
    network = lavas_steps(netx.read(folder / "network.net"))
    image = np.load(folder / "input.npy")[..., 0].T.astype(np.int64)
    wanted = np.load(folder / "output.npy")[0]
    inputs = {"input": np.broadcast_to(image, (1, len(wanted), *image.shape))}
    found = functional.run(network, inputs)
    np.testing.assert_array_equal(found.outputs["output"].reshape(-1), wanted)
    assert min(counts.sum() for counts in found.spike_counts.values()) > 0


def test_the_encoder_of_tinynet_sdnn_is_what_intel_recorded(tmp_path: Path) -> None:
    """Threshold 20; the recorded conv and dense blocks are not what Lava 0.10.0 computes."""
    folder = require_data("lava_dl", "tinynet_sdnn")
    path = write(
        tmp_path / "a.net", input_layer((3, 16, 16), neuron=sdnn(20)), flatten(768),
        dense(np.eye(2, 768) * 2, sdnn(1)),
    )  # fmt: skip
    wave = np.sin(2 * np.pi * np.arange(15) / 15)
    values = (np.load(folder / "input_bias.npy")[..., None] * wave).astype(int).T
    found = rasters(netx.read(path), {"input": values[None]})
    wanted = np.load(folder / "input.npy").T.reshape(15, -1)
    np.testing.assert_array_equal(found["layer0"], wanted)


@pytest.fixture(scope="module")
def lava_dl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks that lava-dl trained nothing into, exported and ran, or skip."""
    python = os.environ.get(LAVA_DL)
    if not python:
        pytest.skip(f"{LAVA_DL} names no interpreter with lava-dl 0.6.0 and PyTorch")
    folder = tmp_path_factory.mktemp("lava_dl")
    subprocess.run([python, str(SCRIPT), str(folder)], check=True, timeout=600)
    return folder


@pytest.mark.parametrize("kind", ["alif0", "alif1", "alif2", "sdnn0", "sdnn1"])
def test_layers_of_lava_dl_are_reproduced_from_its_files(lava_dl: Path, kind: str) -> None:
    """Dense, conv and recurrent blocks, delays, biases, decays per channel, both encoders."""
    compared = 0
    for path in sorted(lava_dl.glob(f"{kind}-*.net")):
        network = netx.read(path)
        with np.load(path.with_suffix(".npz")) as stored:
            x = stored["x"].reshape(1, len(stored["x"]), *network.of_type(Input)[0].shape)
            found = rasters(network, {"input": x})
            for name in set(found) & set(stored.files):
                wanted = stored[name].reshape(len(stored[name]), -1)
                np.testing.assert_array_equal(found[name], wanted, err_msg=f"{path.name} {name}")
                compared += int(np.count_nonzero(wanted))
    assert compared > 100
