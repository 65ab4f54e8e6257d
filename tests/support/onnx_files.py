"""Small ONNX files, and what onnxruntime says about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference

IR = 9  # newer ones are refused by older runtimes
OPSET = 17


def model(
    nodes: Sequence[Any],
    constants: Mapping[str, Any],
    shape: Sequence[int | str] = (1, 3, 6, 6),
    outputs: Sequence[str] = ("y",),
    opset: int = OPSET,
    dtype: int = TensorProto.FLOAT,
) -> Any:
    """A model with one input ``x``; float constants are stored in float32."""
    stored = []
    for name, value in constants.items():
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        stored.append(numpy_helper.from_array(array, name))
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", dtype, list(shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        stored,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = IR
    return _with_output_shapes(made)


def _with_output_shapes(made: Any) -> Any:
    """The checker wants outputs of known rank; where nothing can be inferred, any rank will do."""
    try:
        inferred = shape_inference.infer_shapes(made)
    except (shape_inference.InferenceError, RuntimeError, ValueError):
        inferred = made
    for old, new in zip(made.graph.output, inferred.graph.output, strict=True):
        if new.type.tensor_type.HasField("shape"):
            old.CopyFrom(new)
        else:
            old.type.tensor_type.shape.dim.add().dim_param = "n"
    return made


def write(path: Path, made: Any) -> Path:
    """Store without checking."""
    path.write_bytes(made.SerializeToString())
    return path


def node(op: str, inputs: str, output: str, **attributes: Any) -> Any:
    """A node called as its output; ``inputs`` are names between blanks."""
    return helper.make_node(op, inputs.split(" "), [output], name=f"n_{output}", **attributes)


def runtime(path: Path, x: Any) -> Any:
    """First output of onnxruntime, one sample at a time."""
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: s[None].astype(np.float32)})[0] for s in x])


def cnn(seed: int = 0) -> Any:
    """Conv, batch norm, ReLU, max pool, residual sum, average, Gemm: 3 x 6 x 6 to 4 classes."""
    r = np.random.default_rng(seed)
    nodes = [
        node("Conv", "x w1 b1", "c1", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c1 g be mu va", "n1"),
        node("Relu", "n1", "r1"),
        node("MaxPool", "r1", "p1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p1 w2", "c2", auto_pad="SAME_UPPER"),
        node("Add", "c2 p1", "s2"),
        node("Clip", "s2 zero six", "r2"),
        node("GlobalAveragePool", "r2", "a2"),
        node("Flatten", "a2", "f"),
        node("Gemm", "f w3 b3", "l", transB=1),
        node("Softmax", "l", "y"),
    ]
    constants = {
        "w1": r.normal(size=(5, 3, 3, 3)) / 3, "b1": r.normal(size=5) / 5,
        "g": r.uniform(0.5, 1.5, 5), "be": r.normal(size=5) / 5, "mu": r.normal(size=5) / 5,
        "va": r.uniform(0.5, 2, 5), "w2": r.normal(size=(5, 5, 3, 3)) / 6,
        "zero": np.float32(0), "six": np.float32(6),
        "w3": 4 * r.normal(size=(4, 5)), "b3": -r.random(4),
    }  # fmt: skip
    return model(nodes, constants)
