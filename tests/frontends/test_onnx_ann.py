"""Float networks: every operator as onnxruntime computes it, and what their spikes add up to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from support import onnx_files as files
from support.onnx_files import node

from snnc.compiler.frontends import onnx as frontend
from snnc.compiler.frontends.onnx import OnnxOptions, Samples, ann
from snnc.compiler.frontends.onnx.ann.evaluate import evaluate
from snnc.compiler.frontends.onnx.ann.graph import Activation
from snnc.compiler.frontends.onnx.ann.thresholds import scale_of
from snnc.ir.network import Network
from snnc.ir.nodes import Output
from snnc.ir.real_neuron import RealNeuron
from snnc.simulators.reference.real import run_real

RANDOM = np.random.default_rng(3)
I64 = np.int64


def _w(*shape: int) -> Any:
    return RANDOM.normal(size=shape)


ONE = {
    "conv": ([node("Conv", "x w b", "y", strides=[2, 1], pads=[1, 0, 2, 1], dilations=[1, 2])],
             {"w": _w(4, 3, 3, 2), "b": _w(4)}),
    "grouped conv": ([node("Conv", "x w", "y", group=3)], {"w": _w(6, 1, 3, 3)}),
    "conv same lower": ([node("Conv", "x w", "y", auto_pad="SAME_LOWER", strides=[2, 2])],
                        {"w": _w(2, 3, 4, 4)}),
    "average, padded": ([node("AveragePool", "x", "y", kernel_shape=[3, 3], strides=[2, 2],
                              pads=[1, 1, 1, 1])], {}),
    "average, pads counted": ([node("AveragePool", "x", "y", kernel_shape=[3, 3], strides=[2, 2],
                                    pads=[1, 1, 1, 1], count_include_pad=1)], {}),
    "average, ceil": ([node("AveragePool", "x", "y", kernel_shape=[2, 2], strides=[4, 4],
                            ceil_mode=1)], {}),
    "global average": ([node("GlobalAveragePool", "x", "y")], {}),
    "mean over space": ([node("ReduceMean", "x", "y", axes=[2, 3], keepdims=0)], {}),
    "norm": ([node("BatchNormalization", "x a b c d", "y")],
             {"a": _w(3), "b": _w(3), "c": _w(3), "d": np.abs(_w(3)) + 0.1}),
    "constants": ([node("Sub", "x m", "s"), node("Div", "s d", "q"), node("Mul", "k q", "p"),
                   node("Sub", "k p", "y")],
                  {"m": _w(3, 1, 1), "d": np.array(2.5), "k": _w(1, 3, 1, 1)}),
    "sum of two": ([node("Relu", "x", "r"), node("Neg", "x", "n"), node("Add", "r n", "y")], {}),
    "difference of two": ([node("Relu", "x", "r"), node("Sub", "r x", "y")], {}),
    "flatten gemm": ([node("Flatten", "x", "f"), node("Gemm", "f w b", "y", alpha=0.5, beta=2.0)],
                     {"w": _w(108, 5), "b": _w(5)}),
    "reshape matmul": ([node("Reshape", "x s", "f"), node("MatMul", "f w", "y")],
                       {"s": np.array([-1, 108], I64), "w": _w(108, 5)}),
    "transpose": ([node("Transpose", "x", "y", perm=[0, 3, 1, 2])], {}),
    "squeeze": ([node("Unsqueeze", "x a", "u"), node("Squeeze", "u a", "y")],
                {"a": np.array([2], I64)}),
    "concat": ([node("Relu", "x", "r"), node("Concat", "x r x", "y", axis=1)], {}),
    "slice": ([node("Slice", "x s e a t", "y")],
              {"s": np.array([1, -1], I64), "e": np.array([3, -7], I64),
               "a": np.array([1, 3], I64), "t": np.array([1, -2], I64)}),
    "pad": ([node("Pad", "x p", "y")], {"p": np.array([0, 0, 1, 2, 0, 1, 0, 3], I64)}),
    "resize": ([node("Resize", "x  s", "y", mode="nearest", nearest_mode="floor",
                     coordinate_transformation_mode="asymmetric")],
               {"s": np.array([1, 1, 2, 3], np.float32)}),
    "resize half pixel": ([node("Resize", "x   z", "y", mode="nearest")],
                          {"z": np.array([1, 3, 4, 9], I64)}),
    "max pool": ([node("Relu", "x", "r"), node("MaxPool", "r", "y", kernel_shape=[3, 2],
                                               strides=[2, 2], pads=[1, 0, 1, 1])], {}),
    "max before relu": ([node("MaxPool", "x", "p", kernel_shape=[2, 2], strides=[1, 1]),
                         node("Relu", "p", "y")], {}),
    "max of a sum": ([node("Relu", "x", "r"), node("Add", "r r", "s"),
                      node("MaxPool", "s", "p", kernel_shape=[2, 2]), node("Add", "p p", "y")], {}),
    "clip": ([node("Clip", "x a b", "y")], {"a": np.float32(0), "b": np.float32(0.7)}),
    "clip and max": ([node("Clip", "x a b", "r"), node("MaxPool", "r", "y", kernel_shape=[2, 2])],
                     {"a": np.float32(0), "b": np.float32(0.7)}),
    "identity": ([node("Identity", "x", "i"), node("Dropout", "i", "y")], {}),
    "shape as a graph": ([node("Shape", "x", "s"), node("Gather", "s z", "g"),
                          node("Unsqueeze", "g a", "u"), node("Concat", "u m", "t", axis=0),
                          node("Reshape", "x t", "y")],
                         {"z": np.array(0, I64), "a": np.array([0], I64),
                          "m": np.array([-1], I64)}),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE)
def test_an_operator_is_what_onnxruntime_computes(name: str, tmp_path: Path) -> None:
    nodes, constants = ONE[name]
    path = files.write(tmp_path / "m.onnx", files.model(nodes, constants))
    x = np.random.default_rng(0).normal(size=(3, 3, 6, 6))
    expected = files.runtime(path, x)
    graph = ann.build(frontend.read_file(path))
    (found,) = evaluate(graph, {"x": x}).values()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    # The spiking network has the same operators; with many levels it computes the same numbers.
    network = frontend.preview(frontend.read_file(path), OnnxOptions(levels=4000, timesteps=1))
    assert isinstance(network, Network)
    assert network.shapes[network.of_type(Output)[0].name] == found.shape[1:]


def test_a_whole_network_is_what_onnxruntime_computes(tmp_path: Path) -> None:
    path = files.write(tmp_path / "cnn.onnx", files.cnn())
    x = np.random.default_rng(1).normal(size=(8, 3, 6, 6))
    graph = ann.build(frontend.read_file(path))
    (logits,) = evaluate(graph, {"x": x}).values()
    found = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, files.runtime(path, x), rtol=1e-4, atol=1e-5)
    assert graph.notes["n_y"] == "Softmax left out; the largest output is the same"
    assert len(graph.of_type(Activation)) == 2


@pytest.mark.parametrize("method", ["error", "percentile", "max"])
def test_many_levels_in_one_step_are_the_ann(method: Any, tmp_path: Path) -> None:
    """Max pools of counts are exact in one step, and rounding errors fall with the levels."""
    path = files.write(tmp_path / "cnn.onnx", files.cnn())
    x = np.random.default_rng(1).normal(size=(24, 3, 6, 6))
    (logits,) = evaluate(ann.build(frontend.read_file(path)), {"x": x}).values()
    errors = []
    for levels in (3, 4095):
        options = OnnxOptions(method, 100.0, levels, timesteps=1)
        network = frontend.read(path, options, lambda _: Samples({"x": x}))
        assert isinstance(network, Network)
        (out,) = run_real(network, {"x": x[:, None]}).outputs.values()
        errors.append(float(np.abs(out[:, -1] - logits).max()))
    assert errors[1] < 0.01 < errors[0]


def test_spikes_add_up_to_the_ann_and_the_report_says_how_well(tmp_path: Path) -> None:
    path = files.write(tmp_path / "cnn.onnx", files.cnn())
    x = np.random.default_rng(1).normal(size=(64, 3, 6, 6))
    graph = frontend.read_file(path)
    (logits,) = evaluate(ann.build(graph), {"x": x}).values()
    labels = logits.argmax(axis=1)
    errors = []
    for steps in (1, 8, 64):
        samples = Samples({"x": x}, labels, steps)
        lowered = frontend.lower(graph, OnnxOptions(), lambda _, s=samples: s)
        assert isinstance(lowered.network, Network)
        inputs = {"x": np.repeat(x[:, None], steps, axis=1)}
        (out,) = run_real(lowered.network, inputs, ()).outputs.values()
        errors.append(float(np.abs(out[:, -1] - logits).mean()))
        report = lowered.conversion
        assert report is not None
        assert report["converted_accuracy"] == (out[:, -1].argmax(axis=1) == labels).mean()
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert report["ann_accuracy"] == 1.0
    assert report["same_class"] == report["converted_accuracy"] >= 0.95
    assert set(report["layers"]) == {"n_p1", "n_r2"}
    assert report["timesteps"] == 64
    assert report["calibration_samples"] == 64


def test_neurons_start_at_half_their_threshold(tmp_path: Path) -> None:
    path = files.write(tmp_path / "cnn.onnx", files.cnn())
    x = np.random.default_rng(1).normal(size=(16, 3, 6, 6))
    network = frontend.read(path, OnnxOptions(timesteps=4), lambda _: Samples({"x": x}))
    spiking = [n for n in network.of_type(RealNeuron) if n.threshold is not None]
    assert len(spiking) == 5  # two activations; a maximum of four takes three more
    for neuron in spiking:
        assert (neuron.initial == neuron.threshold / 2).all()
        assert neuron.reset == "subtract"
    (mean,) = [n for n in network.of_type(RealNeuron) if n.threshold is None]
    assert mean.gain == 1 / 4
    first = next(n for n in spiking if n.name == "n_p1")
    assert first.threshold is not None
    assert first.threshold.shape == (5, 1, 1)  # one per channel


def test_scales_by_method() -> None:
    rows = np.sort(np.vstack([np.r_[np.linspace(0, 1, 999), 100.0], np.zeros(1000)]), axis=1)
    largest = scale_of(rows, OnnxOptions("max"), 8)
    assert largest.tolist() == [100, 100]  # a silent channel gets the scale of the others
    quantile = scale_of(rows, OnnxOptions("percentile", 99.0), 8)
    assert quantile[0] == pytest.approx(np.percentile(rows[0][rows[0] > 0], 99.0))
    least = scale_of(rows, OnnxOptions("error"), 8)
    errors = [((np.clip(np.floor(rows[0] / (s / 8) + 0.5), 0, 8) * s / 8 - rows[0]) ** 2).sum()
              for s in (least[0], 100.0, quantile[0])]  # fmt: skip
    assert errors[0] <= min(errors[1:])


def test_old_files_mean_what_their_version_says(tmp_path: Path) -> None:
    """Opset 6: broadcasting by attribute, the new shape as an attribute."""
    nodes = [node("Add", "x b", "a", broadcast=1, axis=1),
             node("Relu", "a", "r"), node("Reshape", "r s", "y")]  # fmt: skip
    made = files.model(nodes, {"b": np.array([1.0, -1, 2]), "s": np.array([1, -1], I64)}, opset=6)
    path = files.write(tmp_path / "old.onnx", made)
    x = np.random.default_rng(1).normal(size=(2, 3, 6, 6))
    (found,) = evaluate(ann.build(frontend.read_file(path)), {"x": x}).values()
    expected = np.maximum(x + np.array([1, -1, 2]).reshape(3, 1, 1), 0).reshape(2, -1)
    np.testing.assert_allclose(found, expected)


def test_a_dynamic_batch_is_one_sample(tmp_path: Path) -> None:
    made = files.model([node("Relu", "x", "y")], {}, shape=("batch", 3, 2, 2))
    graph = frontend.read_file(files.write(tmp_path / "m.onnx", made))
    assert graph.inputs[0].shape == (1, 3, 2, 2)
