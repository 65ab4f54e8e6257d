"""What kind of network an ONNX graph is, from its operators alone."""

from __future__ import annotations

from typing import Literal

from snnc.compiler.frontends.onnx.graph import OnnxGraph, OnnxNode
from snnc.ir.errors import UnsupportedError

Kind = Literal["ann", "quantized", "stateful"]

STATEFUL_DOMAIN = "snnc"
QONNX_DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
QUANTIZED_OPERATORS = frozenset(
    {
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "ConvInteger",
        "MatMulInteger",
        "QLinearConv",
        "QLinearMatMul",
    }
)
MICROSOFT_QUANTIZED = ("QLinear", "QGemm", "QAttention")
COMPARISONS = frozenset({"Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
RECURRENT = frozenset({"LSTM", "GRU", "RNN", "If", "Loop", "Scan", "SequenceMap"})


def kind_of(graph: OnnxGraph) -> Kind:
    """The kind that decides which subpackage reads the graph.

    Raises:
        UnsupportedError: a spiking network taken apart into arithmetic, or control flow.
    """
    for node in graph.nodes:
        if node.op in RECURRENT and not node.domain:
            raise UnsupportedError(
                "recurrence and control flow inside one call of the network",
                where=node.where(),
                remedy="export one time step with explicit state: docs/onnx.md, 'stateful'",
            )
    if any(node.domain == STATEFUL_DOMAIN for node in graph.nodes):
        return "stateful"
    for node in graph.nodes:
        if not node.domain and node.op in COMPARISONS:
            raise UnsupportedError(
                "a comparison, which is what remains of a spiking neuron taken apart by its export",
                where=node.where(),
                found="a neuron as arithmetic, whose state and reset would have to be guessed",
                remedy="export the spiking network to NIR, or with the operator snnc::LIF for one "
                "time step (docs/onnx.md)",
            )
    return "quantized" if any(map(is_quantized, graph.nodes)) else "ann"


def is_quantized(node: OnnxNode) -> bool:
    """Whether the operator carries a grid of its own."""
    if node.domain in QONNX_DOMAINS:
        return True
    if node.domain == "com.microsoft":
        return node.op.startswith(MICROSOFT_QUANTIZED) or node.op in (
            "QuantizeLinear",
            "DequantizeLinear",
        )
    return not node.domain and node.op in QUANTIZED_OPERATORS
