"""The networks of the phases: each an ordinary ``IntegerNetwork`` of the members of one phase.

Nodes keep their names.  A population that an earlier phase has run is an ``Input`` of the same name
and value type.  Of a population that lies partly in an earlier phase, the rest is put together with
an ``Index``.  What the host must hear has an ``Output``.

Phases of a loop: see ``loop_network``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.ir.arrays import size_of
from snnc.ir.errors import ModelError
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Index, Input, Output
from snnc.ir.phased import EARLIER, Loop, Member, Phases, check_phases, origin, readers
from snnc.ir.slices import sliced


def subnetworks(
    network: IntegerNetwork, phases: Phases, loops: tuple[Loop, ...] = ()
) -> tuple[IntegerNetwork, ...]:
    """The network of every phase.

    Raises:
        ModelError: as ``check_phases``; a loop through which a sum over all steps goes.
        UnsupportedError: as ``expand``, of a loop.
    """
    check_phases(network, phases, loops)
    reads = readers(network)
    heard = _heard(network, phases, reads)
    result: dict[int, IntegerNetwork] = {}
    for loop in loops:
        # With SciPy and Numba, which reading a report does not need.
        from snnc.ir.loop_network import loop_network, synapses_of

        turns = range(loop.first, loop.last)
        synapses = synapses_of(network, [member for number in turns for member in phases[number]])
        for number in turns:
            name = f"{network.name}, phase {number + 1}"
            result[number] = loop_network(network, phases[number], synapses, name)
    for number, members in enumerate(phases):
        if number not in result:
            name = f"{network.name}, phase {number + 1}"
            result[number] = _Builder(network, members, heard[number], name).build()
    return tuple(result[number] for number in range(len(phases)))


def group_network(network: IntegerNetwork, members: tuple[Member, ...]) -> IntegerNetwork:
    """The network of a phase, as if everything else were in earlier ones and all were heard."""
    return _Builder(network, members, set(members), network.name).build()


def replayed(network: IntegerNetwork, phase: IntegerNetwork) -> dict[str, str]:
    """By input of a phase that plays in a population: that population."""
    found = {node.name: origin(network, node.name)[0] for node in phase.of_type(Input)}
    return {name: source for name, source in found.items()
            if not isinstance(network.node.get(source), Input)}  # fmt: skip


def _heard(
    network: IntegerNetwork, phases: Phases, reads: dict[str, tuple[str, ...]]
) -> list[set[Member]]:
    """By phase: the members whose spikes the host keeps, for later phases or as an output."""
    outputs = {source for o in network.of_type(Output) for source in reads[o.name]}
    last: dict[str, int] = {}
    for number, members in enumerate(phases):
        for member in members:
            whole = {m.population for m in members if m.part is None}
            last |= {s: number for s in reads[member.population] if s not in whole}
    result, made = [], set()
    for number, members in enumerate(phases):
        keep = set()
        for member in members:
            name = member.population
            fresh = member.part is not None or name not in made
            partial_output = member.part is not None and name in outputs
            if (fresh and last.get(name, -1) > number) or partial_output:
                keep.add(member)
        made |= {member.population for member in members}
        result.append(keep)
    return result


class _Builder:
    def __init__(
        self, network: IntegerNetwork, members: tuple[Member, ...], heard: set[Member], name: str
    ) -> None:
        self.whole, self.heard, self.name = network, heard, name
        self.members = {member.population: member for member in members}
        self.nodes: dict[str, IntegerNode] = {}

    def build(self) -> IntegerNetwork:
        for member in self.members.values():
            self._member(member)
        for member in self.members.values():
            if member in self.heard:
                self._add(Output(member.sent, (member.name,)))
        for output in self.whole.of_type(Output):
            held = self.members.get(output.inputs[0])
            if held is not None and held.part is None:
                self._add(output)
        if not any(isinstance(node, Output) for node in self.nodes.values()):
            last = list(self.members.values())[-1]  # nobody listens, and a network has an output
            self._add(Output(last.sent, (last.name,)))
        if not any(isinstance(node, Input) for node in self.nodes.values()):
            self._add(self.whole.of_type(Input)[0])  # unread: only biases drive these populations
        return IntegerNetwork(self.name, tuple(self.nodes.values()), self.whole.assumptions)

    def _add(self, node: IntegerNode) -> None:
        if self.nodes.setdefault(node.name, node) is not node:
            raise ModelError(
                "a name that phases need is taken",
                where=node.name,
                remedy="rename the layer of that name in the model",
            )

    def _member(self, member: Member) -> None:
        neuron: Any = self.whole.node[member.population]
        if member.part is None:
            self._add(neuron)
        else:
            chosen = f"{member.name} inputs"
            part = sliced(neuron, member, (chosen,))
            self._add(Index(chosen, neuron.inputs, part.shape, np.arange(*member.part)))
            self._add(part)
        self._reach(neuron.inputs[0])

    def _reach(self, name: str) -> None:
        """Add a node and what it needs, down to inputs and populations."""
        waiting = [name]
        while waiting:
            current = waiting.pop()
            if current in self.nodes or self._whole_member(current):
                continue
            node = self.whole.node[current]
            if isinstance(node, Neuron):
                self._source(node)
            else:
                self._add(node)
                waiting += node.inputs

    def _whole_member(self, name: str) -> bool:
        member = self.members.get(name)
        return member is not None and member.part is None

    def _source(self, neuron: Neuron) -> None:
        """A population of which at least a part is not here."""
        kind = self.whole.types[neuron.name]
        member = self.members.get(neuron.name)
        if member is None:
            self._add(Input(neuron.name, neuron.shape, kind))
            return
        earlier = neuron.name + EARLIER
        here = member.neurons(neuron.shape)
        index = np.arange(size_of(neuron.shape))
        index[here] = index.size + np.arange(here.stop - here.start)
        self._add(Input(earlier, neuron.shape, kind))
        self._add(Index(neuron.name, (earlier, member.name), neuron.shape, index))
