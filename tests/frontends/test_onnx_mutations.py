"""Damaged quantized and stateful files end in typed errors, quickly, and never in a traceback."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from support.onnx_quantized import MICROSOFT, Graph
from support.real_random import random_real_network

from snnc.compiler.frontends import onnx as frontend
from snnc.compiler.frontends.onnx.stateful import model_proto
from snnc.ir.errors import SnncError

OPERATORS = (
    "QuantizeLinear", "DequantizeLinear", "QLinearConv", "QGemm", "QLinearAdd", "QLinearConcat",
    "Quant", "BipolarQuant", "Trunc", "LIF", "LI", "CubaLIF", "Input", "Output", "Conv", "Gemm",
    "MatMul", "MaxPool", "GlobalAveragePool", "Concat", "Transpose", "Clip", "Relu", "Sub",
    "Gather",
)  # fmt: skip
HANGS_S = 300.0
"""Processor time of a file that is never read to its end; each takes hundredths of a second."""
DOMAINS = ("", "snnc", MICROSOFT, "qonnx.custom_op.general")


def quantized(folder: Path) -> Any:
    g = Graph(3, (3, 6, 5))
    s, z = g.scale(0.02), g.const(30, np.uint8)
    x = g.q("x", s, z)
    y = g.op("QLinearConv", x, s, z, g.weight((4, 3, 3, 3)), g.scale(0.01), g.const(0, np.int8),
             s, z, kernel_shape=[3, 3], pads=[1, 1, 1, 1])  # fmt: skip
    y = g.op("AveragePool", g.dq(y, s, z), kernel_shape=[2, 2])
    y = g.op("Flatten", g.op("Relu", y))
    w = g.dq(g.weight((5, 80)), g.scale(0.01), g.const(0, np.int8))
    return onnx.load(g.save(folder, g.op("Gemm", g.dq(g.q(y, s, z), s, z), w, transB=1)))


def mutate(model: Any, rng: random.Random) -> None:
    graph = model.graph
    node = rng.choice(graph.node)
    kind = rng.randrange(8)
    names = [i.name for i in graph.initializer] + [o for n in graph.node for o in n.output] + [""]
    if kind == 0 and node.attribute:
        attribute = rng.choice(node.attribute)
        attribute.i = rng.choice([0, -1, 3, 2**40])
        attribute.f = rng.choice([0.0, -1.0, float("nan"), 1e30])
        for k in range(len(attribute.ints)):
            attribute.ints[k] = rng.choice([0, -1, 2, 2**33])
    elif kind == 1 and node.attribute:
        del node.attribute[rng.randrange(len(node.attribute))]
    elif kind == 2:
        node.input[rng.randrange(len(node.input))] = rng.choice(names)
    elif kind == 3:
        del node.input[rng.randrange(len(node.input))]
    elif kind == 4:
        node.op_type = rng.choice(OPERATORS)
    elif kind == 5:
        node.domain = rng.choice(DOMAINS)
    elif kind == 6 and graph.initializer:
        tensor = rng.choice(graph.initializer)
        values = onnx.numpy_helper.to_array(tensor)
        changed = rng.choice(
            [values.reshape(-1)[:1], values[..., None], values * 0, -values.astype(np.float32),
             values.astype(np.int8)]
        )  # fmt: skip
        tensor.CopyFrom(onnx.numpy_helper.from_array(changed, tensor.name))
    elif kind == 7:
        shape = rng.choice(graph.input).type.tensor_type.shape
        shape.dim[rng.randrange(len(shape.dim))].dim_value = rng.choice([0, 1, 5, 10**6])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("form", ["quantized", "stateful"])
def test_mutated_files_end_in_typed_errors(tmp_path: Path, form: str) -> None:
    rng = random.Random(form)
    path, found = tmp_path / "mutated.onnx", Counter[str]()
    for round_ in range(250):
        if form == "quantized":
            model = quantized(tmp_path)
        else:
            model = model_proto(random_real_network(np.random.default_rng(round_)))
        mutate(model, rng)
        path.write_bytes(model.SerializeToString())
        started = time.process_time()
        try:
            frontend.read(path)
            found["read"] += 1
        except SnncError as error:
            found[type(error).__name__] += 1
        assert time.process_time() - started < HANGS_S
    assert found["read"] < 200
    assert found["ModelError"] > 10
    assert found["UnsupportedError"] > 10
