"""Sigma-delta neurons on a target: which can compute them, and in which widths.

Lava's sums are 32 bits wide and its messages as wide as they come out, so a network read from
lava-dl says the same.  A chip has fewer: ``fit`` gives its ranges to every sigma-delta population
and sigma readout, and lets messages clip where packets end.  What that changes is said; nothing
does as long as no sum leaves the chip's registers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from snnc.compiler.legalize.findings import Finding, assumed, refused
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, StateRange
from snnc.ir.target import NeuronModel, Target
from snnc.ir.wire import packet_limit


def fit(network: IntegerNetwork, target: Target) -> IntegerNetwork:
    """The network with the target's ranges and messages, where those of the network are wider."""
    if not target.neuron.sigma_delta or not any(n.delta for n in network.populations):
        return network
    nodes, notes = [], dict(network.assumptions)
    for node in network.nodes:
        fitted = _fitted(node, target) if isinstance(node, Neuron) else node
        if isinstance(fitted, Neuron) and fitted is not node:
            change = describe(node, fitted)  # type: ignore[arg-type]
            notes[node.name] = "; ".join(filter(None, (notes.get(node.name), change)))
        nodes.append(fitted)
    return IntegerNetwork(network.name, tuple(nodes), notes)


def describe(before: Neuron, after: Neuron) -> str:
    """What a fitted population may do otherwise than the one it was made of."""
    parts = []
    if (before.state_range, before.current_range) != (after.state_range, after.current_range):
        kept = after.current_range if after.accumulates else after.state_range
        verb = "wrap" if kept.overflow == "wrap" else "clip"
        parts.append(f"sums {verb} beyond {kept.low}..{kept.high}")
    if before.delta is not None and after.delta is not None and before.delta != after.delta:
        parts.append(f"messages clip beyond +-{after.delta.limit}")
    return ", ".join(parts)


def _fitted(node: Neuron, target: Target) -> Neuron:
    model = target.neuron
    if node.delta is None and not node.accumulates:
        return node
    half, current = 1 << (model.state_bits - 1), 1 << (model.current_bits - 1)
    states = StateRange(-half, half - 1, model.state_overflow)
    currents = StateRange(-current, current - 1, model.current_overflow)
    changes: dict[str, Any] = {}
    if not _holds(states, node.state_range):
        changes["state_range"] = states
    if node.current is not None and not _holds(currents, node.current_range):
        changes["current_range"] = currents
    result = replace(node, **changes) if changes else node
    if result.delta is None:
        return result
    limit = packet_limit(target.spike.payload_bits, target.spike.signed)
    if target.spike.payload_bits and max(result.emitted[1], -result.emitted[0]) > limit:
        code = replace(result.delta, message_bits=limit.bit_length() + 1)
        result = replace(result, delta=code)
    return result


def _holds(register: StateRange, stated: StateRange) -> bool:
    """Whether a register of the chip behaves as the stated range at its ends."""
    inside = register.low <= stated.low and stated.high <= register.high
    end = register.overflow == "saturate" or stated.low == register.low
    return inside and stated.overflow == register.overflow and end


def fitted_findings(before: IntegerNetwork, after: IntegerNetwork) -> Iterator[Finding]:
    """One ``assumed`` for every population that ``fit`` changed."""
    for node in before.populations:
        fitted = after.node[node.name]
        if isinstance(fitted, Neuron) and (change := describe(node, fitted)):
            yield assumed(node, change)


def sigma_delta(node: Neuron, model: NeuronModel) -> Iterator[Finding]:
    """What a sigma-delta population asks of the registers that it shares with its state."""
    half = 1 << (model.state_bits - 1)
    bias = sum((np.abs(b.value) for b in node.bias), start=np.zeros(1, np.int64))
    if node.thresholds.max() >= half or bias.max() >= half:
        yield refused(
            node,
            f"a threshold of {node.thresholds.max()} and a bias of up to {bias.max()}, "
            f"registers are {model.state_bits} bits",
            "read the file with a lower --spike-exponent",
        )
    for gated in node.bias:
        if gated.onset:
            yield assumed(node, f"a bias that the host switches on in step {gated.onset}")
