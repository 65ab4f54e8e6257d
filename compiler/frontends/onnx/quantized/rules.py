"""Every operator of a quantized graph, by domain."""

from __future__ import annotations

from collections.abc import Mapping

from snnc.compiler.frontends.onnx.graph import OnnxNode
from snnc.compiler.frontends.onnx.kinds import QONNX_DOMAINS
from snnc.compiler.frontends.onnx.quantized.elementwise import ELEMENTWISE
from snnc.compiler.frontends.onnx.quantized.operators import FLOATING, FLOATING_MOVES, Rule
from snnc.compiler.frontends.onnx.quantized.qonnx import QONNX
from snnc.compiler.frontends.onnx.quantized.qoperators import MICROSOFT, QOPERATORS
from snnc.compiler.frontends.onnx.quantized.quantizers import ONNX
from snnc.ir.errors import UnsupportedError

RULES: Mapping[str, Mapping[str, Rule]] = {
    "": {**FLOATING_MOVES, **ELEMENTWISE, **ONNX, **FLOATING, **QOPERATORS},
    "com.microsoft": {**MICROSOFT, **ONNX},
    **dict.fromkeys(QONNX_DOMAINS, QONNX),
}


def rule_of(node: OnnxNode) -> Rule:
    """The rule of an operator.

    Raises:
        UnsupportedError: there is none.
    """
    known = RULES.get(node.domain, {})
    if node.op not in known:
        dynamic = node.op.startswith("Dynamic")
        raise UnsupportedError(
            "scales that are computed from the data"
            if dynamic
            else "an operator that a quantized network here does not have",
            where=node.where(),
            found=node.kind,
            allowed=", ".join(sorted(known)) if known else ", ".join(filter(None, RULES)),
            remedy="quantize statically, with calibration data"
            if dynamic
            else "replace the layer, or leave it to the host behind the network's output",
        )
    return known[node.op]
