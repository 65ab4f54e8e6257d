"""Rule "wires": every sender's code says all its counts, and the target can send and hear it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from snnc.compiler.verify.fanout import Link
from snnc.compiler.verify.report import Findings
from snnc.compiler.verify.subject import Subject
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input
from snnc.ir.target import Target
from snnc.ir.types import ValueType
from snnc.ir.wire import WireCode


def check_wires(subject: Subject, findings: Findings, links: Sequence[Link]) -> None:
    """Check the codes of all senders, and that signed axons belong to pairs."""
    deployment = subject.deployment
    codes, types = deployment.schedule.codes, deployment.network.types
    nodes: dict[str, Input | Neuron] = {p.name: p for p in subject.populations}
    nodes |= {node.name: node for node in deployment.network.of_type(Input)}
    for name in sorted(set(codes) - set(nodes)):
        findings.add("wires", name, "a code of something that does not send")
    senders = {link.source for link in links} | (set(codes) & set(nodes))
    findings.count("wires", len(senders))
    for name in sorted(senders):
        node = nodes[name]
        if isinstance(node, Neuron) and node.emit == "state":
            continue  # rule "neuron" says so
        for found, allowed in _problems(node, types[name], codes.get(name), deployment.target):
            findings.add("wires", name, found, allowed)
    sign = deployment.cores.axon_sign
    wanted = (subject.axon_pairs > 1).astype(np.int8)[deployment.cores.axon_source]
    findings.count("wires", sign.size)
    for axon in np.flatnonzero(np.abs(sign) != wanted)[:50]:
        core = subject.core_name(int(subject.axon_core[axon]))
        findings.add("wires", f"axon {axon} of {core}", f"sign {sign[axon]}", f"+-{wanted[axon]}")


def _problems(
    node: Input | Neuron, sent: ValueType, code: WireCode | None, target: Target
) -> list[tuple[str, str]]:
    """(found, allowed) of everything wrong with one sender."""
    spike = target.spike
    found = []
    if sent.low < 0 and not spike.signed and not (code is not None and code.pair):
        found.append((f"spikes of type {sent}", "unsigned spikes, or a pair of axons"))
    kind = code.kind if code is not None else "graded" if spike.payload_bits else "burst"
    if code is not None and code.slotted:
        if code.largest is not None and code.largest < sent.magnitude:
            found.append((f"spikes of type {sent} in {code.slots} slots", f"up to {code.largest}"))
        if code.slots > 1 and kind not in spike.codes:
            found.append((f"{kind} code", ", ".join(spike.codes)))
    elif kind == "graded":
        largest = (1 << (spike.payload_bits - int(spike.signed))) - 1
        if sent.magnitude > largest:
            found.append((f"spikes of type {sent}", f"up to {largest}"))
    elif sent.magnitude > 1 and isinstance(node, Neuron) and "burst" not in spike.codes:
        found.append((f"{sent} as several packets in one tick", ", ".join(spike.codes)))
    return found
