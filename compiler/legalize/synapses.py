"""Can a target's packets and synapses hold what the network sends and weighs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from snnc.backends.targets.capacity import weight_bits
from snnc.compiler.legalize.findings import Finding, assumed, refused
from snnc.ir.expand import Projection, expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input, Output
from snnc.ir.target import Target


def packets(node: Input, target: Target) -> Iterator[Finding]:
    """What an input sends, against what a packet says."""
    if node.type.kind in ("frame", "int"):
        yield refused(node, f"values of type {node.type} are not spikes", "encode the input")
    elif node.type.low < 0 and not target.spike.signed:
        yield refused(
            node,
            f"signed input {node.type}, but packets of {target.id} carry no sign",
            "split the input into a positive and a negative channel",
        )
    elif target.spike.payload_bits and node.type.magnitude >= 1 << (
        target.spike.payload_bits - int(target.spike.signed)
    ):
        yield refused(
            node,
            f"values of type {node.type}, and packets of {target.id} carry "
            f"{target.spike.payload_bits} bits",
            "scale the input down, or split it",
        )
    elif node.type.high > 1 and not target.spike.payload_bits:
        yield assumed(node, f"{node.type}: up to {node.type.high} packets per element and step")


def synapses(network: IntegerNetwork, target: Target) -> Iterator[Finding]:
    """Weights as the synapses see them, after pools and sums are multiplied out."""
    if any(not isinstance(network.node[o.inputs[0]], Neuron) for o in network.of_type(Output)):
        return  # legalize adds the readouts first
    projections = expand(network).projections
    for node in network.populations:
        mine = [p for p in projections if p.population == node.name]
        yield from _width(node, mine, target)
        yield from _distinct(node, mine, target)


def _width(node: Neuron, mine: list[Projection], target: Target) -> Iterator[Finding]:
    form = target.core.weight
    largest = (1 << (max(form.bits) - int(form.signed))) - 1
    for projection in mine:
        low, high = projection.weight.min(initial=0), projection.weight.max(initial=0)
        if max(-low, high) > largest:
            yield refused(
                node,
                f"a synapse from {projection.source} of weight {max(-low, high)} after pooling, "
                f"at most {largest} on {target.id}",
                "lower --weight-bits, or use pools that do not overlap",
            )
        if low < 0 and not form.signed:
            yield refused(
                node,
                f"a synapse from {projection.source} of weight {low}, "
                f"and weights of {target.id} have no sign",
                "train with weights that are not negative, or choose another target",
            )
    most = max((int(np.abs(p.weight).max(initial=0)) for p in mine), default=0)
    if most <= largest and weight_bits(target, most, node.input_shift) is None:
        yield refused(
            node,
            f"no weight format of {target.id} reaches an input shift of {node.input_shift}",
            "raise --weight-bits",
        )


def _distinct(node: Neuron, mine: list[Projection], target: Target) -> Iterator[Finding]:
    """A neuron has few weight registers on some chips; all its synapses share them."""
    form = target.core.weight
    limit = form.axon_types or form.distinct_per_neuron
    if limit is None or not mine:
        return
    pairs = np.concatenate([np.stack([p.target.astype(np.int64), p.weight]) for p in mine], axis=1)
    distinct = np.bincount(np.unique(pairs, axis=1)[0], minlength=1)
    if distinct.max() > limit:
        yield refused(
            node,
            f"{distinct.max()} different weights per neuron from "
            f"{', '.join(sorted({p.source for p in mine}))}, {target.id} has {limit}",
            "lower --weight-bits (2 bits have 3 values)",
        )
