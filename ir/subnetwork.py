"""The networks of the phases: each an ordinary ``IntegerNetwork`` of the members of one phase.

Nodes keep their names.  A population that an earlier phase has run is an ``Input`` of the same name
and value type.  Of a population that lies partly in an earlier phase, the rest is put together with
an ``Index``.  What the host must hear has an ``Output``.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from snnc.ir.arrays import AnyArray, size_of
from snnc.ir.errors import ModelError
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.neuron import Leak, Neuron
from snnc.ir.nodes import Index, Input, Output
from snnc.ir.phased import Box, Member, Phases, check_phases, readers

EARLIER = "~"
"""Appended to the name of a population: its neurons of earlier phases, where one holds others."""


def subnetworks(network: IntegerNetwork, phases: Phases) -> tuple[IntegerNetwork, ...]:
    """The network of every phase.

    Raises:
        ModelError: as ``check_phases``.
    """
    check_phases(network, phases)
    reads = readers(network)
    heard = _heard(network, phases, reads)
    return tuple(
        _Builder(network, members, heard[number], f"{network.name}, phase {number + 1}").build()
        for number, members in enumerate(phases)
    )


def group_network(network: IntegerNetwork, members: tuple[Member, ...]) -> IntegerNetwork:
    """The network of a phase, as if everything else were in earlier ones and all were heard."""
    return _Builder(network, members, set(members), network.name).build()


def replayed(network: IntegerNetwork, phase: IntegerNetwork) -> dict[str, str]:
    """By input of a phase that is no input of the network: the population it plays in."""
    result = {}
    for node in phase.of_type(Input):
        known = network.node.get(node.name)
        if not isinstance(known, Input):
            result[node.name] = node.name if known else node.name.removesuffix(EARLIER)
    return result


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


def sliced(neuron: Neuron, member: Member, inputs: tuple[str, ...]) -> Neuron:
    """The neurons of a member of the population, with their parameters."""
    whole, box = neuron.shape, member.box(neuron.shape)

    def cut(array: AnyArray) -> Any:
        """Slice the axes on which a parameter differs; an axis of extent 1 broadcasts."""
        if array.size == 1:
            return array.reshape(())
        if box is None:
            return np.broadcast_to(array, whole).reshape(-1)[member.neurons(whole)]
        ends = zip(array.shape, box[len(box) - array.ndim :], strict=True)
        return array[tuple(slice(None) if n == 1 else slice(*ab) for n, ab in ends)]

    def ladder(levels: AnyArray) -> Any:
        if not len(levels):
            return levels.reshape(0)
        parts = np.stack([cut(level) for level in levels])
        return parts.reshape(len(levels), *(1,) * (len(shape) + 1 - parts.ndim), *parts.shape[1:])

    def leak(value: Leak) -> Leak:
        return dataclasses.replace(value, multiplier=cut(value.multiplier))

    shape = member.shape(whole)
    adaptation = neuron.adaptation
    if adaptation is not None:
        adaptation = dataclasses.replace(
            adaptation, gain=cut(adaptation.gain), leak=leak(adaptation.leak)
        )
    return dataclasses.replace(
        neuron,
        name=member.name,
        inputs=inputs,
        shape=shape,
        thresholds=ladder(neuron.thresholds),
        negative_thresholds=ladder(neuron.negative_thresholds),
        reset=dataclasses.replace(neuron.reset, amount=cut(neuron.reset.amount)),
        leak=leak(neuron.leak),
        current=None if neuron.current is None else leak(neuron.current),
        bias=tuple(dataclasses.replace(b, value=cut(b.value)) for b in neuron.bias),
        adaptation=adaptation,
        initial=cut(neuron.initial),
        grid=_grid(neuron, box, member),
    )


def _grid(neuron: Neuron, box: Box | None, member: Member) -> tuple[float, ...]:
    """One step, or one per channel of the part; per neuron where the part is flat."""
    if len(neuron.grid) == 1:
        return neuron.grid
    if box is not None:
        return neuron.grid[slice(*box[0])]
    each = np.repeat(np.array(neuron.grid), size_of(neuron.shape[1:]))
    return tuple(each[member.neurons(neuron.shape)].tolist())
