"""Write random quantized ONNX graphs, and run them in onnxruntime or by their definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from snnc.compiler.frontends import onnx as frontend
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input, Output
from snnc.simulators import reference

MICROSOFT = "com.microsoft"


class Graph:
    """Collects nodes; methods return the name of the tensor they make."""

    def __init__(self, seed: int, shape: tuple[int, ...], dtype: Any = np.uint8) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.shape = shape
        self.dtype = dtype
        self.entry = ("", "")
        self.count = 0

    def const(self, values: Any, dtype: Any = None) -> str:
        self.count += 1
        name = f"k{self.count}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        self.count += 1
        name = f"t{self.count}"
        self.nodes.append(
            helper.make_node(
                kind, inputs, [name], name=f"n{self.count}", domain=domain, **attributes
            )
        )
        return name

    def scale(self, size: float) -> str:
        """A scale that is no round number."""
        return self.const(size * self.rng.uniform(0.8, 1.25), np.float32)

    def zero(self, dtype: Any = None) -> str:
        kind = np.dtype(dtype or self.dtype)
        info = np.iinfo(kind)
        return self.const(self.rng.integers(info.min, info.max + 1) // 2, kind)

    def value(self, name: str) -> Any:
        return numpy_helper.to_array(next(w for w in self.weights if w.name == name))

    def q(self, x: str, scale: str, zero: str, **attributes: Any) -> str:
        return self.op("QuantizeLinear", x, scale, zero, **attributes)

    def dq(self, x: str, scale: str, zero: str, **attributes: Any) -> str:
        return self.op("DequantizeLinear", x, scale, zero, **attributes)

    def weight(self, shape: tuple[int, ...], dtype: Any = np.int8) -> str:
        info = np.iinfo(dtype)
        return self.const(self.rng.integers(info.min + 1, info.max + 1, shape), dtype)

    def save(self, path: Path, output: str) -> Path:
        def value(name: str, kind: int, shape: Any) -> Any:
            return helper.make_tensor_value_info(name, kind, shape)

        graph = helper.make_graph(
            self.nodes,
            "g",
            [value("x", TensorProto.FLOAT, [1, *self.shape])],
            [value(output, TensorProto.FLOAT, [1])],
            self.weights,
        )
        domains = sorted({n.domain for n in self.nodes if n.domain})
        opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(d, 1) for d in domains)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        file = path / "q.onnx"
        file.write_bytes(model.SerializeToString())
        return file


def runtime(path: Path, x: Any, wanted: list[str], *, optimised: bool = True) -> dict[str, Any]:
    """Values of some tensors of a file in onnxruntime, one sample after the other."""
    import onnxruntime as ort

    model = onnx.load(path)
    del model.graph.output[:]
    for name in wanted:
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options)
    rows = [session.run(wanted, {"x": sample[None]}) for sample in x]
    return {name: np.concatenate([row[k] for row in rows]) for k, name in enumerate(wanted)}


def compiled(path: Path) -> IntegerNetwork:
    """The network of a file."""
    network = frontend.read(path)
    assert isinstance(network, IntegerNetwork)
    return network


def on_grid(network: IntegerNetwork, x: Any) -> Any:
    """Input integers [samples, 1, *shape], as a host with the runtime's arithmetic rounds them."""
    (node,) = network.of_type(Input)
    kind = node.type
    scaled = np.rint(x / np.float32(kind.grid[0]))
    return np.clip(scaled, kind.low, kind.high).astype(np.int64)[:, None]


def executed(network: IntegerNetwork, integers: Any) -> dict[str, Any]:
    """What every population and output emits, [samples, *shape]."""
    values: dict[str, Any] = {}
    (node,) = network.of_type(Input)
    reference.run(network, {node.name: integers}, (), observe=values.update)
    kept = [n.name for n in network.nodes if isinstance(n, Neuron | Output)]
    return {name: values[name] for name in kept}


def population_of(path: Path, tensor: str) -> str:
    """Name of the node that makes a tensor, which is that of its population."""
    graph = onnx.load(path).graph
    return str(next(n.name for n in graph.node if tensor in n.output))
