"""Published and generated ONNX files: read with the accuracy their README names, or refused.

Float networks and those that must be refused; quantized and stateful ones have tests of their own.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from support.paths import require_data

pytest.importorskip("onnx")

from support import onnx_files as files

from snnc.compiler.frontends import onnx as frontend
from snnc.compiler.frontends.onnx import OnnxOptions, Samples, ann
from snnc.compiler.frontends.onnx.ann.evaluate import evaluate
from snnc.ir.arrays import AnyArray
from snnc.ir.errors import UnsupportedError

FOLDERS = ("onnx", "onnx_generated")
# Percent of the 10 000 MNIST test images, and what pixels are divided by; None: not trained.
FLOAT: dict[str, tuple[float | None, float]] = {
    "mnist-8.onnx": (98.91, 1.0),
    "onnxzoo_mnist_model.onnx": (98.91, 1.0),  # opset 1, the same weights
    "sinabs_mnist_params.onnx": (97.88, 255.0),
    "mnist_cnn.onnx": (98.28, 255.0),
    "mnist_cnn_ts.onnx": (98.28, 255.0),
    "ann_dynamo.onnx": (None, 255.0),
    "ann_ts.onnx": (None, 255.0),
}
DECOMPOSED = (
    "lif_step_decomposed.onnx",
    "sj_step_dynamo.onnx",
    "sj_multi_dynamo.onnx",
    "snntorch_step_ts.onnx",
    "snntorch_unrolled4_ts.onnx",
)
OTHERS = ("qdq", "qop", "qonnx", "snnc_lif")
NOT_IN_ONNXRUNTIME = ("onnxzoo_mnist_model.onnx",)


def find(name: str) -> Path:
    for folder in FOLDERS:
        if (require_data(folder) / name).exists():
            return require_data(folder, name)
    pytest.skip(f"optional data not present: {name}")


def digits(part: str, count: int | None = None) -> tuple[AnyArray, AnyArray]:
    def idx(kind: str, header: int) -> AnyArray:
        path = require_data("mnist") / f"{part}-{kind}-ubyte.gz"
        return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)

    x = idx("images-idx3", 16).reshape(-1, 1, 28, 28)[:count]
    return x.astype(np.float64), idx("labels-idx1", 8)[:count].astype(np.int64)


def test_every_file_has_a_test() -> None:
    present = {p.name for folder in FOLDERS for p in require_data(folder).glob("*.onnx")}
    known = {*FLOAT, *DECOMPOSED}
    unknown = {n for n in present - known if not any(part in n for part in OTHERS)}
    assert not unknown


@pytest.mark.parametrize("name", sorted(FLOAT))
def test_a_float_network_is_what_onnxruntime_computes(name: str) -> None:
    path = find(name)
    scale = FLOAT[name][1]
    x = digits("t10k", 24)[0] / scale
    graph = ann.build(frontend.read_file(path))
    (found,) = evaluate(graph, {graph.nodes[0].name: x}).values()
    reference = find("mnist-8.onnx") if name in NOT_IN_ONNXRUNTIME else path
    np.testing.assert_allclose(found, files.runtime(reference, x), rtol=1e-3, atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(n for n, (percent, _) in FLOAT.items() if percent))
def test_a_float_network_has_its_accuracy(name: str) -> None:
    path, (percent, scale) = find(name), FLOAT[name]
    x, y = digits("t10k")
    graph = ann.build(frontend.read_file(path))
    (found,) = evaluate(graph, {graph.nodes[0].name: x / scale}).values()
    assert 100 * (found.argmax(axis=1) == y).mean() == pytest.approx(percent, abs=0.011)


@pytest.mark.parametrize("name", DECOMPOSED)
def test_a_spiking_network_taken_apart_is_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(UnsupportedError, match="comparison") as caught:
        frontend.read(find(name))
    assert name in caught.value.where
    assert "snnc::LIF" in caught.value.remedy
    assert "NIR" in caught.value.remedy


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "lost"), [(8, 0.5), (16, 0.2)])
@pytest.mark.parametrize("name", ["mnist-8.onnx", "sinabs_mnist_params.onnx"])
def test_few_steps_cost_little_accuracy(name: str, steps: int, lost: float) -> None:
    """On all test images, as integers of Loihi 1 on the functional simulator."""
    from snnc.backends import targets
    from snnc.compiler.quantize import QuantizeOptions, quantize
    from snnc.inputs import integer_batch
    from snnc.ir.nodes import Input
    from snnc.simulators import functional

    scale = FLOAT[name][1]
    train, labels = digits("train", 256)
    x, y = digits("t10k")
    graph = frontend.read_file(find(name))
    key = ann.build(graph).nodes[0].name
    samples = Samples({key: train / scale}, labels, steps)
    network = ann.lower(graph, OnnxOptions(), lambda _: samples).network
    data = {key: np.repeat(train[:, None] / scale, steps, axis=1)}
    made = quantize(network, targets.load("loihi1"), QuantizeOptions(timesteps=steps), data)
    simulator, correct = functional.Functional(made.network), 0
    for k in range(0, len(x), 200):
        batch = {key: np.repeat(x[k : k + 200, None] / scale, steps, axis=1)}
        inputs = integer_batch(batch, made.network.of_type(Input))
        (out,) = simulator.run(inputs, (), 2).outputs.values()
        correct += int((out[:, -1].argmax(axis=1) == y[k : k + 200]).sum())
    percent = FLOAT[name][0]
    assert percent is not None
    assert 100 * correct / len(x) >= percent - lost
