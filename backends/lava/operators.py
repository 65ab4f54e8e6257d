"""Operators that are not linear, as snnc's ``Operator`` process."""

from __future__ import annotations

from typing import Any

from snnc.backends.lava.plan import Process
from snnc.ir.arrays import AnyArray, size_of
from snnc.ir.errors import UnsupportedError
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.nodes import Lut, MatMul, Mul, Pool, Reduce, Rescale


def operator_process(node: IntegerNode, network: IntegerNetwork) -> Process:
    """The process of a stateless operator.

    Raises:
        UnsupportedError: an operator unknown here.
    """
    spec, arrays = _spec(node, network)
    spec["shapes"] = [list(network.shapes[source]) for source in node.inputs]
    parameters = {"spec": spec, "size": size_of(network.shapes[node.name])}
    named = {f"spec.{label}": array for label, array in arrays.items()}
    return Process(node.name, "Operator", parameters, named)


def _spec(node: IntegerNode, network: IntegerNetwork) -> tuple[dict[str, Any], dict[str, AnyArray]]:
    if isinstance(node, Pool):
        window = {
            "kernel": list(node.kernel),
            "stride": list(node.stride),
            "padding": [list(pair) for pair in node.padding],
        }
        return {"op": "max_pool", **window}, {}
    if isinstance(node, Reduce) and not node.steps:
        return {"op": "reduce", "function": node.op, "axes": list(node.axes)}, {}
    if isinstance(node, Mul):
        return {"op": "mul"}, {}
    if isinstance(node, MatMul):
        turned = {"transpose_a": node.transpose_a, "transpose_b": node.transpose_b}
        return {"op": "matmul", **turned}, {}
    if isinstance(node, Lut):
        return {"op": "lookup", "first": node.first}, {"table": node.table}
    if isinstance(node, Rescale):
        spec = {"op": "rescale", "shift": node.shift, "rounding": node.rounding, "bits": node.bits}
        return spec, {"multiplier": node.multiplier}
    raise UnsupportedError(
        f"{type(node).__name__} has no Lava process",
        where=node.name,
        remedy="run it on another backend",
    )
