"""Drop what no output depends on, and bring sums into one form."""

from __future__ import annotations

from dataclasses import replace

from snnc.ir.network import Network, RealNode
from snnc.ir.nodes import Add, Input, Output


def prune(network: Network) -> Network:
    """Keep inputs, outputs and every node with a path to an output."""
    alive: set[str] = set()
    waiting = [node.name for node in network.of_type(Output)]
    while waiting:
        name = waiting.pop()
        if name not in alive:
            alive.add(name)
            waiting.extend(network.node[name].inputs)
    kept = tuple(n for n in network.nodes if n.name in alive or isinstance(n, Input))
    return Network(network.name, kept, network.assumptions)


def flatten_sums(network: Network) -> Network:
    """Sums of sums become one sum; a sum of one operand disappears."""
    forwarded: dict[str, tuple[str, ...]] = {}
    for node in network.order:
        if isinstance(node, Add):
            operands = tuple(s for name in node.inputs for s in forwarded.get(name, (name,)))
            forwarded[node.name] = operands
    alias = {name: ops[0] for name, ops in forwarded.items() if len(ops) == 1}
    nodes: list[RealNode] = []
    for node in network.nodes:
        if isinstance(node, Add):
            if node.name not in alias:
                nodes.append(Add(node.name, forwarded[node.name]))
        else:
            nodes.append(replace(node, inputs=tuple(alias.get(s, s) for s in node.inputs)))
    return Network(network.name, tuple(nodes), network.assumptions)
