"""Quantized ANNs at their own grids, as integer networks: docs/onnx-quantized.md."""

from __future__ import annotations

from snnc.compiler.frontends.onnx.graph import OnnxGraph
from snnc.compiler.frontends.onnx.quantized.build import Builder
from snnc.compiler.frontends.onnx.quantized.outputs import output
from snnc.compiler.frontends.onnx.quantized.rules import rule_of
from snnc.compiler.frontends.onnx.quantized.values import Tensor
from snnc.compiler.frontends.onnx.wiring import sample_shape
from snnc.ir.errors import UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input, Output

__all__ = ["lower"]


def lower(graph: OnnxGraph) -> IntegerNetwork:
    """The network whose integers are those of the quantized graph; one step is one inference.

    Raises:
        ModelError: malformed scales, shapes or operands.
        UnsupportedError: parts in floating point, or operators without an integer form.
    """
    builder = Builder(graph)
    for value in graph.inputs:
        builder.values[value.name] = builder.enter(value.name, sample_shape(graph.file, value))
    for node in graph.nodes:
        builder.values[node.outputs[0]] = rule_of(node)(builder, node)
        if any(extra and extra in graph.consumers for extra in node.outputs[1:]):
            raise UnsupportedError("only the operator's first output is data", where=node.where())
    ends = []
    for value in graph.outputs:
        found = builder.values.get(value.name)
        if not isinstance(found, Tensor):
            raise UnsupportedError(
                "an output that is not data on one grid",
                where=f"{graph.file}: output '{value.name}'",
                remedy="end the network with a sum or with a QuantizeLinear",
            )
        ends.append(output(builder, value.name, found))
    nodes = [builder.typed(node) for node in _read(builder.wiring.nodes, ends)]
    name = graph.file.removesuffix(".onnx")
    builder.notes["time"] = "one step is one inference: run with 1 time step"
    return IntegerNetwork(name, (*nodes, *ends), builder.notes)


def _read(nodes: list[Input], ends: list[Output]) -> list[Input]:
    """The nodes that an output depends on, and all inputs."""
    wanted = {source for end in ends for source in end.inputs}
    kept = []
    for node in reversed(nodes):
        if node.name in wanted or isinstance(node, Input):
            wanted.update(node.inputs)
            kept.append(node)
    return kept[::-1]
