"""Which wire code every sender uses: the choice between what a target declares.

``auto`` takes a graded packet where one holds the count, several packets in one tick where the
target (or the host, for inputs) may send them, and otherwise the code with the fewest slots,
because the longest code sets the ticks of a logical step.  A named code is taken for every sender
of counts, or the sender is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input
from snnc.ir.target import Target
from snnc.ir.types import ValueType
from snnc.ir.wire import WireCode, WireKind, packet_limit, slots_for

Preference = Literal["auto", "unary", "bitplane", "graded"]
PREFERENCES: tuple[Preference, ...] = get_args(Preference)
_ORDER: tuple[WireKind, ...] = ("graded", "burst", "unary", "bitplane")
"""Which code is taken where several need equally many slots."""


@dataclass(frozen=True)
class Choice:
    """The code of one sender, or why it has none; senders of bare spikes have neither."""

    code: WireCode | None = None
    problem: str = ""
    remedy: str = ""


def wire_codes(
    network: IntegerNetwork, target: Target, preference: Preference = "auto"
) -> dict[str, WireCode]:
    """The code of every input and population that sends more than bare spikes.

    The network must be legal: senders that are refused are left out.
    """
    chosen = {n.name: choose(n, network.types[n.name], target, preference) for n in network.order}
    return {name: choice.code for name, choice in chosen.items() if choice.code is not None}


def choose(node: IntegerNode, sent: ValueType, target: Target, preference: Preference) -> Choice:
    """The code of one node of an integer network."""
    if not isinstance(node, Input | Neuron) or not sent.is_event:
        return Choice()
    spike = target.spike
    pair = sent.low < 0 and not spike.signed
    if sent.magnitude <= 1 and not pair:
        return Choice()
    if pair and not target.core.weight.signed:
        problem = f"signed spikes, but packets and weights of {target.id} have no sign"
        return Choice(problem=problem, remedy="choose another target")
    if sent.magnitude <= 1:
        return Choice(WireCode("unary", 1, pair))
    again = isinstance(node, Neuron) and counts_by_refiring(node, target)
    if again and isinstance(node, Neuron) and refire_problem(node, target):
        return Choice()  # refused for its levels
    kinds = ("unary",) if again else available(node, sent, target)
    if preference != "auto":
        kinds = tuple(kind for kind in kinds if kind == preference)
    if not kinds or (again and "unary" not in spike.codes):
        return _none(node, sent, target, preference)
    kind = min(kinds, key=lambda k: (slots_for(k, sent.magnitude), _ORDER.index(k)))
    return Choice(WireCode(kind, slots_for(kind, sent.magnitude), pair, again))


def available(node: Input | Neuron, sent: ValueType, target: Target) -> tuple[WireKind, ...]:
    """Codes the target declares for counts of this size; the host may always send bursts."""
    spike = target.spike
    kinds: list[WireKind] = []
    if spike.payload_bits:
        if sent.magnitude <= packet_limit(spike.payload_bits, spike.signed):
            kinds.append("graded")
    elif isinstance(node, Input) or "burst" in spike.codes:
        kinds.append("burst")
    kinds += [word for word in ("unary", "bitplane") if word in spike.codes]
    return tuple(kinds)


def _none(node: Input | Neuron, sent: ValueType, target: Target, preference: Preference) -> Choice:
    offered = ", ".join(available(node, sent, target)) or "no code"
    wanted = "" if preference == "auto" else f" by {preference} code"
    again = isinstance(node, Neuron) and counts_by_refiring(node, target)
    if again and "unary" in target.spike.codes:
        offered = "unary, because its neuron counts by firing again"
    problem = f"values of type {sent}{wanted}, and {target.id} can send them by {offered}"
    if preference != "auto":
        return Choice(problem=problem, remedy="leave --wire-code out, or choose another target")
    bits = target.spike.payload_bits
    if bits:
        problem = f"values of type {sent}, and packets of {target.id} carry {bits} bits"
        return Choice(problem=problem, remedy="scale the input down, or split it")
    return Choice(problem=problem, remedy="train with fewer spikes per step")


def largest_count(target: Target) -> int | None:
    """Most spikes per step that a neuron of the target can count; None = any number."""
    levels = target.neuron.levels
    return None if levels is None else max(levels, target.neuron.refire_slots)


def counts_by_refiring(node: Neuron, target: Target) -> bool:
    """Whether the population has more levels than the target's neuron, and only slots help."""
    return target.neuron.levels is not None and node.levels > target.neuron.levels


def refire_problem(node: Neuron, target: Target) -> str:
    """Why a neuron with one threshold cannot count by firing again; empty when it can.

    Firing again subtracts the reset each time, so it reaches level k exactly where
    ``thresholds[k] = thresholds[0] + k * reset amount`` (the expansion of integer spikes into
    binary ones, Luo et al., SpikeYOLO, ECCV 2024).
    """
    most = target.neuron.refire_slots
    if node.levels > most:
        return f"firing again reaches {most}" if most else "it cannot fire again between updates"
    if node.reset.kind != "subtract":
        return "firing again needs a reset by subtraction"
    if node.negative_levels or node.refractory or node.adaptation or node.emission is not None:
        return (
            "firing again needs a neuron without negative levels, refractory time, adaptation, "
            "emission table"
        )
    ladder = np.broadcast_to(node.thresholds, (node.levels, *node.shape))
    if (np.diff(ladder, axis=0) != node.reset.amount).any():
        return "firing again needs thresholds that are one reset apart"
    return ""
