"""Run an ``ActivationGraph`` on samples: the ANN itself, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx.ann.graph import Activation, ActivationGraph
from snnc.ir.arrays import RealArray
from snnc.ir.nodes import Input, Output
from snnc.simulators.reference.operators import pool
from snnc.simulators.reference.real import apply_real

BATCH = 32
Watch = Callable[[str, RealArray], None]


def _nothing(name: str, values: RealArray) -> None:
    del name, values


def evaluate(
    graph: ActivationGraph, values: Mapping[str, RealArray], watch: Watch = _nothing
) -> dict[str, RealArray]:
    """Outputs by name, [samples, *shape].

    Args:
        values: by input name, [samples, *shape].
        watch: called with the name of every activation and its values [batch, channels, ...]
            before the maximum.
    """
    samples = min(len(v) for v in values.values())
    found: dict[str, list[RealArray]] = {node.name: [] for node in graph.of_type(Output)}
    for start in range(0, samples, BATCH):
        batch = {name: v[start : start + BATCH] for name, v in values.items()}
        for name, result in _forward(graph, batch, watch).items():
            found[name].append(result)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _forward(
    graph: ActivationGraph, batch: Mapping[str, RealArray], watch: Watch
) -> dict[str, RealArray]:
    value: dict[str, Any] = {}
    last = {source: k for k, node in enumerate(graph.nodes) for source in node.inputs}
    for k, node in enumerate(graph.nodes):
        if isinstance(node, Input):
            value[node.name] = np.asarray(batch[node.name], np.float64)
            continue
        operands = [value[source] for source in node.inputs]
        if isinstance(node, Activation):
            x = np.clip(operands[0], 0, node.ceiling)
            watch(node.name, x)
            value[node.name] = x if node.window is None else pool(node.window, x)
        else:
            value[node.name] = apply_real(node, operands)
        for source in node.inputs:
            if last[source] == k:
                value.pop(source, None)
    return {node.name: value[node.name] for node in graph.of_type(Output)}
