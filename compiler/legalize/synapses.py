"""Can a target's packets and synapses hold what the network sends and weighs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

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
    elif node.type.high > 1 and not target.spike.payload_bits:
        yield assumed(node, f"{node.type}: up to {node.type.high} packets per element and step")


def synapses(network: IntegerNetwork, target: Target) -> Iterator[Finding]:
    """Weights as the synapses see them, after pools and sums are multiplied out."""
    format_ = target.core.weight
    largest = (1 << (max(format_.bits) - 1)) - 1
    if any(not isinstance(network.node[o.inputs[0]], Neuron) for o in network.of_type(Output)):
        return  # legalize adds the readouts first
    for projection in expand(network).projections:
        node = network.node[projection.population]
        most = int(np.abs(projection.weight).max(initial=0))
        if most > largest:
            yield refused(
                node,
                f"a synapse from {projection.source} of weight {most} after pooling, "
                f"at most {largest} on {target.id}",
                "lower --weight-bits, or use pools that do not overlap",
            )
        limit = format_.axon_types or format_.distinct_per_neuron
        if limit is not None and _most_distinct(projection) > limit:
            yield refused(
                node,
                f"{_most_distinct(projection)} different weights per neuron from "
                f"{projection.source}, {target.id} has {limit}",
                "lower --weight-bits (2 bits have 3 values)",
            )
        longest = target.core.max_delay.v
        if longest is not None and projection.delay > longest + target.execution.min_delay:
            yield refused(
                node,
                f"a connection from {projection.source} delayed by {projection.delay} steps, "
                f"axons hold {longest:g}",
                "shorten the delay",
            )


def _most_distinct(projection: Projection) -> int:
    target, weight = projection.target, projection.weight
    if not target.size:
        return 0
    pairs = np.unique(np.stack([target.astype(np.int64), weight]), axis=1)
    return int(np.bincount(pairs[0]).max())
