"""Outputs that read a weighted sum: which state shows it, and the population that holds it."""

from __future__ import annotations

from snnc.compiler.legalize.findings import Finding, assumed, refused
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.lower import with_readouts
from snnc.ir.neuron import Neuron, StateRange
from snnc.ir.nodes import Output
from snnc.ir.target import Target


def add_readouts(network: IntegerNetwork, target: Target) -> IntegerNetwork:
    """Every output reads a population: memoryless neurons that emit their potential."""
    half = 1 << (target.neuron.state_bits - 1)
    held = StateRange(-half, half - 1, target.neuron.state_overflow)
    return with_readouts(network, held, target.neuron.input_shift[0])


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
