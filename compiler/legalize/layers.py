"""Can cores that hold one layer each hold the layers of this network, and do without steps."""

from __future__ import annotations

from collections.abc import Iterator

from snnc.compiler.legalize.findings import Finding, refused
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.layers import layers_of
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Barrier, Delay
from snnc.ir.target import Target


def layer_findings(network: IntegerNetwork, target: Target) -> Iterator[Finding]:
    """Refusals of layers by shape, and of what needs time steps on an asynchronous machine."""
    if target.execution.sync == "async":
        yield from _without_steps(network, target)
    if target.layers is None:
        return
    limits, heard = target.layers.limits, dict.fromkeys((p.name for p in network.populations), 0)
    for layer in layers_of(network):
        node = network.node[layer.population]
        assert isinstance(node, Neuron)
        for problem in layer.problems or layer.beyond(limits):
            yield refused(
                node, f"{problem}; a core of {target.id} holds one layer of sum pool, kernel and "
                "neurons", "train a plain chain of convolutions and sum pools",
            )  # fmt: skip
        for source in set(layer.sources) & set(heard):
            heard[source] += 1
    most = target.layers.max_destinations.v
    for name, count in heard.items():
        if most is not None and count > most:
            node = network.node[name]
            assert isinstance(node, Neuron)
            yield refused(node, f"{count} layers hear it, at most {most} can",
                          "train without so many branches")  # fmt: skip


def _without_steps(network: IntegerNetwork, target: Target) -> Iterator[Finding]:
    for node in network.order:
        if isinstance(node, Delay | Barrier):
            yield refused(
                node,
                f"it waits for time steps, and {target.id} has none",
                "train a network without recurrence, or choose another target",
            )
        if isinstance(node, Neuron) and node.emit == "state":
            yield refused(
                node,
                f"its potential is read, and {target.id} sends events only",
                "end the network with spiking neurons and count them",
            )
