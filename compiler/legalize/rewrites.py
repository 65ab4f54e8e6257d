"""Operators that are no synapses: what they are rewritten into for a target, or why not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from snnc.compiler.legalize.findings import Finding, assumed, refused
from snnc.compiler.legalize.integer import integer_neuron
from snnc.compiler.legalize.readouts import add_readouts
from snnc.compiler.legalize.synapses import synapses
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.lower import Lowered, limits_of
from snnc.ir.network import RealNode
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Reduce
from snnc.ir.target import Target


def rewrites(network: IntegerNetwork, lowered: Lowered, target: Target) -> Iterator[Finding]:
    """Verdicts on the operators; what helper populations lack is said of their operator."""
    for refusal in lowered.refusals:
        yield refused(network.node[refusal.node], refusal.reason, refusal.remedy)
    for rewrite in lowered.rewrites:
        node = network.node[rewrite.node]
        yield assumed(node, str(rewrite))
        for name in rewrite.populations:
            helper = lowered.network.node[name]
            assert isinstance(helper, Neuron)
            yield from (replace(f, node=node.name) for f in integer_neuron(helper, target))


def wired(lowered: Lowered, target: Target) -> Iterator[Finding]:
    """Verdicts on all synapses of a rewritten network, by original node."""
    owner = {name: rewrite.node for rewrite in lowered.rewrites for name in rewrite.populations}
    for finding in synapses(add_readouts(lowered.network, target), target):
        yield replace(finding, node=owner.get(finding.node, finding.node))


def to_be_rewritten(node: RealNode, target: Target) -> Iterator[Finding]:
    """An operator of a trained network: its integers decide how many neurons it becomes."""
    if isinstance(node, Reduce) and node.op == "sum" and not node.steps:
        return
    if limits_of(target).forget is None:
        yield refused(
            node,
            "it is not a sum over synapses, and its rewriting needs neurons that forget from step "
            f"to step, which {target.id} has not",
            "train with average pooling and without products, or choose another target",
        )
    else:
        yield assumed(node, "it becomes populations of helper neurons")
