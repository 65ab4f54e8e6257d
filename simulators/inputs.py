"""Validation of input data, the same for every simulator."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.errors import InputError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input


def check_inputs(
    network: IntegerNetwork, inputs: Mapping[str, IntArray]
) -> tuple[dict[str, IntArray], int, int]:
    """Check names, shapes, integer dtype and range; return (data, samples, steps)."""
    nodes = network.of_type(Input)
    names = {node.name for node in nodes}
    if set(inputs) != names:
        raise InputError(
            "the inputs do not match the network's",
            where=network.name,
            found=", ".join(sorted(inputs)),
            allowed=", ".join(sorted(names)),
        )
    lengths = set()
    for node in nodes:
        array = inputs[node.name]
        if array.dtype.kind not in "iub":
            raise InputError(
                "input values must be integers on the input's grid",
                where=node.name,
                found=array.dtype,
                remedy="encode real values first (--encode direct, poisson or latency)",
            )
        if array.ndim != len(node.shape) + 2 or array.shape[2:] != node.shape or 0 in array.shape:
            raise InputError(
                "input data has the wrong shape",
                where=node.name,
                found=array.shape,
                allowed=f"[samples, steps, {', '.join(map(str, node.shape))}]",
            )
        low, high = int(array.min()), int(array.max())
        if low < node.type.low or high > node.type.high:
            raise InputError(
                "input values leave the range the network was compiled for",
                where=node.name,
                found=f"[{low}, {high}]",
                allowed=f"{node.type} = [{node.type.low}, {node.type.high}]",
                remedy="compile with --calibration data that covers this range",
            )
        lengths.add(array.shape[:2])
    if len(lengths) != 1:
        raise InputError("inputs differ in samples or steps", found=sorted(lengths))
    samples, steps = lengths.pop()
    return {name: np.asarray(array) for name, array in inputs.items()}, samples, steps
