"""Validation of input data, the same for every simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.errors import InputError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input


def check_inputs(
    network: IntegerNetwork, inputs: Mapping[str, IntArray]
) -> tuple[dict[str, IntArray], int, int]:
    """Check names, shapes, integer dtype and range; return (data, samples, steps)."""
    nodes = network.of_type(Input)
    samples, steps = check_extents(network.name, nodes, inputs)
    if network.steps not in (None, steps):
        raise InputError(
            "the network sums over all time steps of a sample, and the data has another number",
            where=network.name,
            found=f"{steps} steps",
            allowed=f"{network.steps} steps",
        )
    for node in nodes:
        array = inputs[node.name]
        if array.dtype.kind not in "iub":
            raise InputError(
                "input values must be integers on the input's grid",
                where=node.name,
                found=array.dtype,
                remedy="encode real values first (--encode direct, poisson or latency)",
            )
        check_range(node, array)
    return {name: np.asarray(array) for name, array in inputs.items()}, samples, steps


def check_extents(
    network: str, nodes: Sequence[Input], inputs: Mapping[str, AnyArray]
) -> tuple[int, int]:
    """Check names and shapes [samples, steps, *shape]; return (samples, steps)."""
    names = {node.name for node in nodes}
    if set(inputs) != names:
        raise InputError(
            "the inputs do not match the network's",
            where=network,
            found=", ".join(sorted(inputs)),
            allowed=", ".join(sorted(names)),
        )
    extents = set()
    for node in nodes:
        array = inputs[node.name]
        if array.ndim != len(node.shape) + 2 or array.shape[2:] != node.shape or 0 in array.shape:
            raise InputError(
                "input data has the wrong shape",
                where=node.name,
                found=array.shape,
                allowed=f"[samples, steps, {', '.join(map(str, node.shape))}]",
            )
        extents.add(array.shape[:2])
    if len(extents) != 1:
        raise InputError("inputs differ in samples or steps", found=sorted(extents))
    samples, steps = extents.pop()
    return samples, steps


def check_range(node: Input, values: IntArray) -> None:
    """Raise ``InputError`` where an integer leaves the input's type."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if low < node.type.low or high > node.type.high:
        raise InputError(
            "input values leave the range the network was compiled for",
            where=node.name,
            found=f"[{low}, {high}]",
            allowed=f"{node.type} = [{node.type.low}, {node.type.high}]",
            remedy="compile with --calibration data that covers this range",
        )
