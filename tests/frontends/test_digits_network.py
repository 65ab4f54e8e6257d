"""The shipped digits network computes what PyTorch recorded, for all 360 test images."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from snnc.compiler.frontends.nir import NirOptions, read
from snnc.ir.network import Network
from snnc.ir.nodes import Input
from snnc.ir.real_neuron import RealNeuron
from snnc.simulators.reference.real import run_real
from snnc.simulators.result import predictions

DATA = files("snnc") / "demo_data"


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DATA / "digits_cnn.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def images() -> Any:
    with (DATA / "digits_test.npz").open("rb") as stream, np.load(stream) as data:
        return {name: data[name] for name in data.files}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    path = tmp_path_factory.mktemp("digits") / "digits_cnn.nir"
    path.write_bytes((DATA / "digits_cnn.nir").read_bytes())
    assert path.stat().st_size < 500_000
    return read(path, NirOptions())


def test_the_dialect_is_recognised_without_help(network: Network, truth: dict[str, Any]) -> None:
    neurons = network.of_type(RealNeuron)
    assert len(neurons) == 5
    for neuron in neurons:
        assert (neuron.comparator, neuron.reset) == (truth["comparator"], "zero")
        np.testing.assert_allclose(neuron.decay, truth["beta"], rtol=1e-12)
        np.testing.assert_allclose(neuron.gain, 1.0, rtol=1e-12)


def test_the_split_is_the_documented_one(images: Any, truth: dict[str, Any]) -> None:
    assert images["x"].shape == (360, 1, 8, 8)
    assert images["x"].dtype == np.uint8
    assert (images["x"].min(), images["x"].max()) == (0, 16)
    right = np.array(truth["predictions"]) == images["y"]
    assert int(right.sum()) == truth["correct"]


def test_the_import_reproduces_every_recorded_spike_count(
    network: Network, images: Any, truth: dict[str, Any]
) -> None:
    (source,) = network.of_type(Input)
    x = np.repeat(images["x"][:, None].astype(np.float64), truth["steps"], axis=1)
    result = run_real(network, {source.name: x}, record=[])
    (output,) = result.outputs.values()
    np.testing.assert_array_equal(output.sum(axis=1), truth["output_counts"])
    np.testing.assert_array_equal(predictions(output, "sum"), truth["predictions"])
    for name, per_image in truth["spikes_per_image"].items():
        np.testing.assert_array_equal(result.spike_counts[name], per_image, err_msg=name)
