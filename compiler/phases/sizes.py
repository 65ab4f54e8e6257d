"""How many cores populations take: a quick estimate, and the partitioner's own answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snnc.compiler.chip_count import PLENTY, cores_per_chip
from snnc.compiler.map import MapOptions, Mapping, map_network
from snnc.compiler.partition import partition
from snnc.compiler.partition.bounds import core_bound
from snnc.compiler.partition.kernel_bound import least_counts, least_memory, least_words
from snnc.compiler.partition.limits import Limits
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.wiring import Wiring, wire
from snnc.compiler.retime import Retiming, retime
from snnc.compiler.wire import Preference, wire_codes
from snnc.ir.arrays import RealArray
from snnc.ir.deployment import SourceSpace
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.loop_network import Synapses, loop_network
from snnc.ir.phased import Member
from snnc.ir.shared_expansion import AnyExpansion, expand_large
from snnc.ir.subnetwork import group_network
from snnc.ir.target import KERNEL_COUNTS, Target
from snnc.ir.topology import mesh_of, usable_chips


@dataclass(frozen=True, eq=False)
class Machine:
    """What every phase is compiled for.

    Attributes:
        steps: logical steps per sample.
        wire_code: as in ``snnc.compiler.wire``.
    """

    target: Target
    chips: int
    steps: int
    wire_code: Preference = "auto"
    options: MapOptions = field(default_factory=MapOptions)

    @property
    def cores(self) -> int:
        """Cores of all chips that may be used."""
        reached = usable_chips(self.target, mesh_of(self.target, self.chips))
        return cores_per_chip(self.target) * len(reached)

    def expand(self, network: IntegerNetwork) -> AnyExpansion:
        """Its synapses, in rows that still tell their kernels where cores may store these."""
        if self.target.core.stores_kernels:
            return expand_large(network, kernels=True)
        return expand(network)

    def schedule(self, network: IntegerNetwork) -> tuple[Retiming, AnyExpansion]:
        """Schedule one network on its own."""
        parts = self.expand(network)
        codes = wire_codes(network, self.target, self.wire_code)
        return retime(network, self.target, self.steps, expansion=parts, codes=codes), parts

    def map(
        self, network: IntegerNetwork, rates: dict[str, RealArray] | None
    ) -> tuple[Retiming, Mapping]:
        """Schedule and map one network; raises ``CapacityError`` where it does not fit."""
        retiming, parts = self.schedule(network)
        return retiming, map_network(
            network, retiming, self.target, self.chips, rates, self.options, parts
        )


@dataclass(frozen=True, eq=False)
class Sizer:
    """Measures groups of one network for one machine, and remembers the answers."""

    network: IntegerNetwork
    machine: Machine
    _known: dict[tuple[bool, frozenset[Member]], int] = field(default_factory=dict)

    def cores(self, members: tuple[Member, ...], enough: int = PLENTY) -> int:
        """Cores that the partitioner needs for a group; beyond ``enough``, at least so many.

        Raises:
            CapacityError: a single neuron does not fit a core.
        """
        key = (False, frozenset(members))
        if key not in self._known:
            self._known[key] = self._measured(group_network(self.network, members), enough)
        return self._known[key]

    def loop_cores(self, members: tuple[Member, ...], synapses: Synapses, enough: int) -> int:
        """As ``cores``, for a phase of a loop; ``synapses`` lead to its populations."""
        key = (True, frozenset(members))
        if key not in self._known:
            group = loop_network(self.network, members, synapses, self.network.name)
            self._known[key] = self._measured(group, enough)
        return self._known[key]

    def _measured(self, group: IntegerNetwork, enough: int) -> int:
        retiming, parts = self.machine.schedule(group)
        pairs = {name for name, code in retiming.schedule.codes.items() if code.pair}
        wiring = wire(parts, SourceSpace.of(group), retiming.extra_delay, None, pairs)
        meter = Meter(wiring, Limits.of(self.machine.target))
        least, _ = core_bound(meter, range(len(wiring.populations)))
        if least > enough:
            return least
        return partition(meter, PLENTY, self.machine.options.seed).cores


@dataclass(frozen=True)
class Need:
    """Least that a population takes, whatever it is put together with.

    Attributes:
        cores: of its scarcest resource, in cores; not rounded.
        image: bytes of its synapses (or kernels), each in its own weight width.
    """

    cores: float
    image: int


def needs(network: IntegerNetwork, machine: Machine) -> tuple[dict[str, Need], int, str]:
    """Needs by population; and the least number of cores for all, with the resource that says so.

    Extra delays are left out, which only lowers the need: phases have schedules of their own.
    """
    parts = machine.expand(network)
    codes = wire_codes(network, machine.target, machine.wire_code)
    pairs = {name for name, code in codes.items() if code.pair}
    none = {(p.source, p.population, p.delay): 0 for p in parts.projections}
    wiring = wire(parts, SourceSpace.of(network), none, None, pairs)
    meter = Meter(wiring, Limits.of(machine.target))
    found = {node.name: _need(meter, number) for number, node in enumerate(wiring.populations)}
    least, binding = core_bound(meter, range(len(wiring.populations)))
    return found, least, binding


def _need(meter: Meter, number: int) -> Need:
    wiring: Wiring = meter.wiring
    fanin, node = wiring.fanin[number], wiring.populations[number]
    totals: dict[str, Any] = {
        "n_neurons": node.size,
        "n_compartments": node.size * int(meter.neuron_cost[number]),
        "n_synapses": fanin.synapses,
        "state_bytes": node.size * meter.limits.target.core.state_bytes,
        "n_axons_in": int(np.unique(fanin.source * 2 + fanin.negative).size),
    }
    counts = {name: np.array([value]) for name, value in totals.items()}
    cores = 0.0
    for wall in meter.limits.walls:
        used = 0.0
        if wall.per_axon:
            used = least_memory(meter, wall, number)
        elif wall.expression is not None and wall.names <= {*totals, *KERNEL_COUNTS}:
            stored = least_counts(meter, wall, number) if wall.names & set(KERNEL_COUNTS) else {}
            kernels = {name: np.array([value]) for name, value in stored.items()}
            used = float(meter.limits.use(wall, counts | kernels)[0])
        cores = max(cores, used / max(1, wall.capacity))
    return Need(cores, math.ceil(least_words(meter, number) * meter.bits[number] / 8))
