"""Outputs that read a weighted sum: which state shows it, and the population that holds it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnc.compiler.legalize.findings import Finding, assumed, refused
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.neuron import MEMORYLESS, Neuron, Reset, StateRange
from snnc.ir.nodes import Output
from snnc.ir.target import Target


def add_readouts(network: IntegerNetwork, target: Target) -> IntegerNetwork:
    """Every output reads a population: memoryless neurons that emit their potential."""
    nodes: list[IntegerNode] = []
    half = 1 << (target.neuron.state_bits - 1)
    for node in network.nodes:
        source = node.inputs[0] if isinstance(node, Output) else ""
        if source and not isinstance(network.node[source], Neuron):
            shape = network.shapes[source]
            readout = Neuron(
                f"{node.name}.readout", (source,), shape, np.zeros((0, *(1,) * len(shape)), int),
                Reset("none"), leak=MEMORYLESS, emit="state",
                state_range=StateRange(-half, half - 1, target.neuron.state_overflow),
                input_shift=target.neuron.input_shift[0],
                grid=_grid(network, source, shape),
            )  # fmt: skip
            nodes += [readout, replace(node, inputs=(readout.name,))]
        else:
            nodes.append(node)
    return IntegerNetwork(network.name, tuple(nodes), network.assumptions)


def _grid(network: IntegerNetwork, source: str, shape: tuple[int, ...]) -> tuple[float, ...]:
    grid = network.types[source].grid
    return grid if len(grid) in (1, shape[0] if shape else 1) else (1.0,)


def forgetful(node: Neuron | Output, target: Target) -> Finding:
    """A weighted sum that is read in every step: some state must hold one step and no more."""
    model = target.neuron
    forgets = model.leak == "multiplicative" and (model.leak_multiplier or (0, 0))[0] == 0
    if model.current and (model.current_multiplier or (0, 0))[0] == 0:
        return assumed(node, "a readout of one step's input: the host probes the current")
    if forgets:
        return assumed(node, "a readout of one step's input: the host probes the potential")
    return refused(
        node,
        f"the output reads a weighted sum, and no state of {target.id} forgets in one step",
        "end the network with a spiking population",
    )
