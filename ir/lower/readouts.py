"""Populations for outputs that read operators: neurons that forget and show their potential."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.neuron import MEMORYLESS, WIDE, Neuron, Reset, StateRange
from snnc.ir.nodes import Output


def with_readouts(
    network: IntegerNetwork, state_range: StateRange = WIDE, input_shift: int = 0
) -> IntegerNetwork:
    """Every output reads a population, whose potential is the value of the operator."""
    nodes: list[IntegerNode] = []
    for node in network.nodes:
        source = node.inputs[0] if isinstance(node, Output) else ""
        if source and not isinstance(network.node[source], Neuron):
            shape = network.shapes[source]
            readout = Neuron(
                f"{node.name}.readout", (source,), shape, np.zeros((0, *(1,) * len(shape)), int),
                Reset("none"), leak=MEMORYLESS, emit="state", state_range=state_range,
                input_shift=input_shift, grid=_grid(network, source, shape),
            )  # fmt: skip
            nodes += [readout, replace(node, inputs=(readout.name,))]
        else:
            nodes.append(node)
    return IntegerNetwork(network.name, tuple(nodes), network.assumptions)


def _grid(network: IntegerNetwork, source: str, shape: tuple[int, ...]) -> tuple[float, ...]:
    grid = network.types[source].grid
    return grid if len(grid) in (1, shape[0] if shape else 1) else (1.0,)
