"""Can a target's packets and synapses hold what the network sends and weighs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from snnc.backends.targets.capacity import weight_bits
from snnc.compiler.intervals import interval
from snnc.compiler.legalize.findings import Finding, assumed, refused
from snnc.compiler.wire import Preference, choose
from snnc.ir.arrays import IntArray
from snnc.ir.expand import Projection
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input, Output
from snnc.ir.shared_expansion import SharedProjection, expand_large
from snnc.ir.target import Target
from snnc.ir.types import ValueType


def packets(
    node: Input | Neuron, sent: ValueType, target: Target, preference: Preference
) -> Iterator[Finding]:
    """What a sender sends, against what packets can say."""
    if not sent.is_event:
        if isinstance(node, Input):
            remedy = "encode the input (a .net file's input layer: --input-layer spikes)"
            yield refused(node, f"values of type {sent} are not spikes", remedy)
        return
    choice = choose(node, sent, target, preference)
    if choice.problem:
        yield refused(node, choice.problem, choice.remedy)
    elif choice.code is not None:
        if choice.code.kind == "burst":
            yield assumed(node, f"{sent}: up to {sent.magnitude} packets per element and step")
        if choice.code.pair:
            yield assumed(node, f"{sent}: the sign picks one of two axons with opposite weights")


def synapses(network: IntegerNetwork, target: Target) -> Iterator[Finding]:
    """Weights as the synapses see them, after pools and sums are multiplied out."""
    if any(not isinstance(network.node[o.inputs[0]], Neuron) for o in network.of_type(Output)):
        return  # legalize adds the readouts first
    projections = expand_large(network, kernels=target.core.stores_kernels).projections
    for node in network.populations:
        mine = [p for p in projections if p.population == node.name]
        yield from _width(node, mine, target)
        yield from _distinct(node, mine, target)
        yield from _sums(network, node, mine, target)


AnyProjection = Projection | SharedProjection


def _weights(projection: AnyProjection) -> IntArray:
    """All weights, those of shared rows once."""
    if isinstance(projection, SharedProjection):
        return projection.rows.weight.astype(np.int64)
    return projection.weight


def _width(node: Neuron, mine: list[AnyProjection], target: Target) -> Iterator[Finding]:
    form = target.core.weight
    largest = (1 << (max(form.bits) - int(form.signed))) - 1
    for projection in mine:
        weight = _weights(projection)
        low, high = weight.min(initial=0), weight.max(initial=0)
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
    most = max((int(np.abs(_weights(p)).max(initial=0)) for p in mine), default=0)
    if most <= largest and weight_bits(target, most, node.input_shift) is None:
        yield refused(
            node,
            f"no weight format of {target.id} reaches an input shift of {node.input_shift}",
            "raise --weight-bits",
        )


def _distinct(node: Neuron, mine: list[AnyProjection], target: Target) -> Iterator[Finding]:
    """A neuron has few weight registers on some chips; all its synapses share them."""
    form = target.core.weight
    limit = form.axon_types or form.distinct_per_neuron
    if limit is None or not mine:
        return
    plain = [p.plain() if isinstance(p, SharedProjection) else p for p in mine]
    pairs = np.concatenate([np.stack([p.target.astype(np.int64), p.weight]) for p in plain], axis=1)
    distinct = np.bincount(np.unique(pairs, axis=1)[0], minlength=1)
    if distinct.max() > limit:
        yield refused(
            node,
            f"{distinct.max()} different weights per neuron from "
            f"{', '.join(sorted({p.source for p in mine}))}, {target.id} has {limit}",
            "lower --weight-bits (2 bits have 3 values)",
        )


def _sums(
    network: IntegerNetwork, node: Neuron, mine: list[AnyProjection], target: Target
) -> Iterator[Finding]:
    """What arrives in a step, against the register in which it is added up."""
    bits = target.neuron.accumulator_bits
    # What only adds up and wraps is the same modulo its width, however the input came together.
    if bits is None or (node.accumulates and node.current_range.overflow == "wrap"):
        return
    limit = 1 << (bits - 1)
    low, high = interval(network.node, node.inputs[0], network.types)
    if _fits(low, high, node, limit):
        return
    # An element that comes on two ways counts twice above; synapse by synapse it does not.
    low, high = np.zeros(node.size, np.int64), np.zeros(node.size, np.int64)
    for projection in mine:
        sent, weight = network.types[projection.source], _weights(projection)
        ends = weight * np.int64(sent.low), weight * np.int64(sent.high)
        for total, value in ((low, np.minimum(*ends)), (high, np.maximum(*ends))):
            if isinstance(projection, SharedProjection):
                projection.rows.add(value, total)
            else:
                np.add.at(total, projection.target, value)
    if not _fits(low, high, node, limit):
        below, above = int(low.min()) << node.input_shift, int(high.max()) << node.input_shift
        yield refused(
            node,
            f"sums of {below} to {above} in one step, and {bits}-bit registers of {target.id} "
            f"hold {-limit} to {limit - 1}",
            "lower --weight-bits, or split the layer's inputs",
        )


def _fits(low: IntArray, high: IntArray, node: Neuron, limit: int) -> bool:
    shift = node.input_shift
    return int(low.min()) << shift >= -limit and int(high.max()) << shift < limit
