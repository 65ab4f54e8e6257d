"""``Deployment``: an integer program placed on a machine, ready to run.

Global *source ids* number everything that can send: first the elements of every input (in
``network`` execution order), then the neurons of every population.  All tables are flat arrays
over cores, neurons, axons or synapses, so that simulators never touch Python objects per spike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from snnc.ir.arrays import IntArray, frozen, size_of
from snnc.ir.core_tables import AnyCoreTables, CoreTables, SharedCoreTables, share
from snnc.ir.errors import ModelError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input
from snnc.ir.target import Target
from snnc.ir.topology import Mesh, mesh_of
from snnc.ir.wire import WireCode

__all__ = [
    "Certificate",
    "CoreTables",
    "Deployment",
    "KeyTables",
    "RouteTables",
    "Schedule",
    "SharedCoreTables",
    "SourceSpace",
    "share",
]

LATEST_START = 1 << 31
"""Cycles; a core that begins its sweep so late is a damaged file."""


@dataclass(frozen=True)
class SourceSpace:
    """Numbering of senders: ``first[name]`` is the id of element 0 of an input or population."""

    first: Mapping[str, int]
    size: Mapping[str, int]
    total: int

    @staticmethod
    def of(network: IntegerNetwork) -> SourceSpace:
        """The numbering of a network's inputs and populations."""
        first: dict[str, int] = {}
        size: dict[str, int] = {}
        total = 0
        senders: tuple[Input | Neuron, ...] = (*network.of_type(Input), *network.populations)
        for node in senders:
            first[node.name] = total
            size[node.name] = size_of(node.shape)
            total += size[node.name]
        return SourceSpace(first, size, total)


@dataclass(frozen=True)
class Schedule:
    """Logical to physical time.

    Logical step ``s`` of population ``p`` happens in tick ``period * s + offset[p]``; inputs have
    offset 0 unless listed.  A spike sent in tick t is integrated in tick ``t + min_delay + extra``
    with the extra delay of the axon it arrives on (inputs: ``t + extra``).  A population updates
    its state only in its own ticks of the window [offset, offset + period * timesteps).

    ``codes`` names the wire code of senders (inputs, populations); slot ``d`` of a count leaves
    ``d`` ticks after the update.  Without one, a count is as many packets as it takes, in one tick.

    ``core_start`` [cores] is how many cycles after the beginning of a tick each core begins its
    sweep; empty: all at once.  It moves packets within a tick, never from one to another.
    """

    timesteps: int
    period: int
    offset: Mapping[str, int]
    codes: Mapping[str, WireCode] = field(default_factory=dict)
    core_start: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not all(type(at) is int and 0 <= at < LATEST_START for at in self.core_start):
            raise ModelError(
                "a core begins its sweep a whole number of cycles after the tick's beginning",
                where="core_start",
                allowed=f"0 to {LATEST_START - 1}",
            )
        if self.timesteps < 1 or self.period < 1 or min(self.offset.values(), default=0) < 0:
            raise ModelError("timesteps and period are positive, offsets not negative", found=self)
        for name, code in self.codes.items():
            if not isinstance(code, WireCode) or code.slots > self.period:
                raise ModelError(
                    "the slots of a wire code end before the next step",
                    where=name,
                    found=code,
                    allowed=f"up to {self.period} slots",
                )

    def slots(self, name: str) -> int:
        """Ticks over which a sender spreads one count."""
        code = self.codes.get(name)
        return 1 if code is None else code.slots

    @property
    def ticks(self) -> int:
        """Ticks of one sample, from the first input to the last output or slot."""
        last = max((at + self.slots(name) - 1 for name, at in self.offset.items()), default=0)
        return self.period * (self.timesteps - 1) + 1 + last


@dataclass(frozen=True, eq=False)
class KeyTables:
    """Tables of routers that look packets up by key; the first entry that matches decides.

    A packet that matches no entry goes straight on, out of the side opposite to its arrival.

    Attributes:
        source_key: [sources] key that a source's packets carry, -1 for those that send none.
        entry_ptr: [routers + 1] slice of the entries per router, in order.
        entry_key, entry_mask: [entries] matches where ``key & mask == entry_key``.
        entry_links: [entries] bits of the links to take: 1 for +x, 2 for -x, 4 for +y, 8 for -y;
            on a hexagonal torus also 16 for (+x, +y) and 32 for (-x, -y).
        core_ptr, entry_core: [entries + 1], [copies]: cores at this router that get a copy.
    """

    source_key: IntArray
    entry_ptr: IntArray
    entry_key: IntArray
    entry_mask: IntArray
    entry_links: IntArray
    core_ptr: IntArray
    entry_core: IntArray

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            array = frozen(getattr(self, name))
            if array.dtype.kind not in "iu":
                raise ModelError("key tables hold integers", where=name, found=array.dtype)
            object.__setattr__(self, name, array)


@dataclass(frozen=True, eq=False)
class RouteTables:
    """Multicast trees ("nets") and who sends on which.

    A net starts at a router (of the sending core, or of the host port) and covers a tree of
    routers.  On a machine without multicast every net is one path to one core.

    Attributes:
        net_core: [nets] sending core, or -1 for the host port.
        branch_ptr: [nets + 1] slice of the tree nodes per net.
        branch_router: [branches] router of a tree node; the first of a net is its root.
        branch_parent: [branches] index within the net of the parent node, -1 for the root.
        delivery_ptr: [nets + 1] slice of the deliveries per net.
        delivery_branch: [deliveries] tree node (index within the net) where a copy leaves.
        delivery_core: [deliveries] core that receives it.
        send_ptr: [sources + 1] slice of ``send_net`` per source id.
        send_net: [sends] nets on which one spike of the source is sent, one packet each.
        branch_lane: [branches] class of virtual channels of the link that leads to a tree node,
            0 for roots.  With n classes in use, class c may take the c-th n-th of a link's virtual
            channels; with one, any of them.
        keys: the same trees as tables of the routers, where the target's routers have them.
    """

    net_core: IntArray
    branch_ptr: IntArray
    branch_router: IntArray
    branch_parent: IntArray
    delivery_ptr: IntArray
    delivery_branch: IntArray
    delivery_core: IntArray
    send_ptr: IntArray
    send_net: IntArray
    branch_lane: IntArray = field(default_factory=lambda: np.zeros(0, np.int8))
    keys: KeyTables | None = None

    def __post_init__(self) -> None:
        if not self.branch_lane.size:
            object.__setattr__(self, "branch_lane", np.zeros(self.branch_router.size, np.int8))
        for name in self.__dataclass_fields__:
            if name != "keys":
                object.__setattr__(self, name, frozen(getattr(self, name)))
        if self.keys is not None and not isinstance(self.keys, KeyTables):
            raise ModelError("not a record of key tables", where="keys", found=type(self.keys))

    @property
    def nets(self) -> int:
        """Number of nets."""
        return int(self.net_core.size)

    @property
    def lanes(self) -> int:
        """Classes of virtual channels in use, at least 1."""
        return int(self.branch_lane.max(initial=0)) + 1


@dataclass(frozen=True, eq=False)
class Certificate:
    """Proof that routing cannot deadlock: a topological order of the channel-dependency graph.

    Attributes:
        channels: [channels, 3] from-router, to-router, class of virtual channels, in an order in
            which every packet's path only ever goes forward (Dally & Seitz, IEEE ToC 36(5),
            1987).  Where cores may refuse packets (``Noc.consumption``) their ports are listed
            too, as (router, router, 2 * core) into the core and 2 * core + 1 out of it.
        assumptions: facts about the machine the proof rests on.
    """

    channels: IntArray
    assumptions: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", frozen(self.channels))


@dataclass(frozen=True, eq=False)
class Deployment:
    """Everything needed to run, check and explain a compiled network.

    Attributes:
        provenance: versions, model and target hashes, options, seed, dialect assumptions.
        report: what the compiler measured and decided (see ``docs/report.md``); JSON values only.
    """

    network: IntegerNetwork
    target: Target
    chips: int
    schedule: Schedule
    cores: AnyCoreTables
    routes: RouteTables
    certificate: Certificate
    provenance: Mapping[str, Any]
    report: Mapping[str, Any]

    @property
    def timesteps(self) -> int:
        """Logical steps of a sample."""
        return self.schedule.timesteps

    @property
    def ticks(self) -> int:
        """Ticks of a sample."""
        return self.schedule.ticks

    @cached_property
    def sources(self) -> SourceSpace:
        """Numbering of senders."""
        return SourceSpace.of(self.network)

    @cached_property
    def mesh(self) -> Mesh:
        """The joined router mesh."""
        return mesh_of(self.target, self.chips)
