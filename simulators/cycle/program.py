"""A deployment as the flat tables that the function kernels run over.

Nothing here looks at the logical network's operators: what a neuron hears is decided only by the
core images and by the nets that really deliver to its core.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from snnc.ir.arrays import AnyArray
from snnc.ir.core_tables import AnyCoreTables
from snnc.ir.deployment import Deployment, RouteTables, Schedule
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input
from snnc.ir.wire import packet_limit
from snnc.simulators.cycle import axons, reaches
from snnc.simulators.cycle.axons import Axons, Packets
from snnc.simulators.cycle.reaches import Reaches, check_number, copies_of
from snnc.simulators.neuron_kernel import PackedNeurons, pack

# Columns of ``Program.segment_code``.  SLOTS: ticks over which a count is sent.  PLANES: slots are
# bits of the count.  REFIRE: it counts by firing again.  WINDOW: ticks in which inputs of one
# update arrive, the update's own the last.
SLOTS, PLANES, REFIRE, WINDOW, CODE_COLUMNS = range(5)
SYNAPSES_AT_ONCE = 1 << 22
ANY = 1 << 62  # a packet limit that no value exceeds

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


class Sweeps(NamedTuple):
    """The part of a ``Program`` that updates neurons; its attributes have the same names."""

    neurons: PackedNeurons
    neuron_source: Int32
    segment_ptr: Int64
    segment_offset: Int64
    segment_code: Int64
    period: int
    flag_bits: int


class Program(NamedTuple):
    """Tables of all used cores; a named tuple because kernels take it.

    Neurons are numbered through all cores in the order in which the cores sweep them; a
    *segment* is a run of neurons of one core and one population.

    Attributes:
        neurons: parameters in sweep order.
        neuron_source: [neurons] global source id.
        segment_ptr: [segments + 1] slice of neurons.
        segment_offset: [segments] first tick of the population's window.
        segment_code: [segments, CODE_COLUMNS] wire code of the population, and how long before an
            update its inputs may arrive.
        reaches: the input axons that hear a source.
        axons: the same rows and their delays as spikes pass them.
        packets: how many packets a value is; pulses of a slotted wire code are one packet each.
        min_delay, period: ticks.
        flag_bits: as in ``Axons``; not 0 where everything that arrives costs an update, and every
            membrane that is not zero.
    """

    neurons: PackedNeurons
    neuron_source: Int32
    segment_ptr: Int64
    segment_offset: Int64
    segment_code: Int64
    reaches: Reaches
    axons: Axons
    packets: Packets
    min_delay: int
    period: int
    flag_bits: int

    @property
    def sweeps(self) -> Sweeps:
        """The tables for sweeps; kernels of few arrays compile faster."""
        return Sweeps(*(getattr(self, name) for name in Sweeps._fields))

    @property
    def sources(self) -> int:
        """Number of sources."""
        return int(self.packets.owner.size)


@dataclass(frozen=True, eq=False)
class Layout:
    """Who is who, for everything that is not a kernel.

    Attributes:
        names: inputs and populations in the order of their source ids.
        owner: [sources] index into ``names``.
        inputs: number of names that are inputs.
        segment_core, segment_owner: [segments].
        depth: ticks the delay ring holds.
        routes: of the deployment.
    """

    names: tuple[str, ...]
    owner: Int32
    inputs: int
    segment_core: Int64
    segment_owner: Int32
    depth: int
    routes: RouteTables

    @property
    def reach_send(self) -> Int32:
        """[reaches] send (index into ``send_net``)."""
        return self._copies[0]

    @property
    def reach_core(self) -> Int32:
        """[reaches] receiving core."""
        return self._copies[1]

    @cached_property
    def _copies(self) -> tuple[Int32, Int32]:
        return copies_of(self.routes)

    @cached_property
    def send_source(self) -> Int32:
        """[sends] source id of a send."""
        sends = np.diff(self.routes.send_ptr)
        return np.repeat(np.arange(sends.size, dtype=np.int32), sends)


def build(deployment: Deployment) -> tuple[Program, Layout]:
    """Flatten a deployment whose tables ``check.check_tables`` has accepted.

    Raises:
        UnsupportedError: as ``axons.build``.
    """
    cores, routes, sources = deployment.cores, deployment.routes, deployment.sources
    network, schedule = deployment.network, deployment.schedule
    check_number("sources", sources.total)
    check_number("axons", cores.axon_source.size)
    check_number("copies of packets at their senders", routes.send_net.size)
    names = tuple(sources.first)
    owner = np.repeat(np.arange(len(names), dtype=np.int32), [sources.size[name] for name in names])
    inputs = len(network.of_type(Input))
    first_neuron = sum(sources.size[name] for name in names[:inputs])

    neuron_source = cores.neuron_source.astype(np.int32, copy=False)
    starts = _segment_starts(cores.neuron_ptr, owner[neuron_source])
    segment_owner = owner[neuron_source[starts]]
    offsets = np.array([schedule.offset.get(name, 0) for name in names], np.int64)
    min_delay = deployment.target.execution.min_delay
    charged = deployment.target.neuron.update_when == "nonzero"
    found = reaches.find(deployment)
    packed = axons.build(cores, found, charged)
    program = Program(
        pack([_as_run(p, schedule) for p in network.populations]).take(
            neuron_source - first_neuron
        ),
        neuron_source,
        np.concatenate([starts, [neuron_source.size]]).astype(np.int64),
        offsets[segment_owner],
        _codes(deployment, names)[segment_owner],
        found,
        packed,
        Packets(np.asarray(routes.send_ptr, np.int64), owner, packet_limits(deployment)),
        min_delay,
        schedule.period,
        packed.flag_bits,
    )
    layout = Layout(
        names,
        owner,
        inputs,
        np.searchsorted(cores.neuron_ptr, starts, side="right") - 1,
        segment_owner,
        min_delay + int(cores.axon_delay.max(initial=0)) + 1,
        routes,
    )
    return program, layout


def _segment_starts(neuron_ptr: AnyArray, owner: Int32) -> Int64:
    """First neuron of every run of one core and one population."""
    changes = np.ones(owner.size, bool)
    changes[1:] = owner[1:] != owner[:-1]
    changes[neuron_ptr[:-1][np.diff(neuron_ptr) > 0]] = True
    return np.flatnonzero(changes)


def _as_run(neuron: Neuron, schedule: Schedule) -> Neuron:
    """The neuron as the core holds it: one that counts by firing again has one threshold."""
    code = schedule.codes.get(neuron.name)
    if code is None or not code.refire:
        return neuron
    return replace(neuron, thresholds=neuron.thresholds[:1])


def _codes(deployment: Deployment, names: tuple[str, ...]) -> Int64:
    """[names, CODE_COLUMNS]; the window of a population is that of its slowest sender."""
    schedule = deployment.schedule
    result = np.zeros((len(names), CODE_COLUMNS), np.int64)
    result[:, SLOTS] = [schedule.slots(name) for name in names]
    for row, name in zip(result, names, strict=True):
        code = schedule.codes.get(name)
        row[PLANES] = code is not None and code.kind == "bitplane"
        row[REFIRE] = code is not None and code.refire
    result[:, WINDOW] = 1
    if (result[:, SLOTS] == 1).all():
        return result
    owner = np.repeat(np.arange(len(names)), [deployment.sources.size[name] for name in names])
    cores = deployment.cores
    for some, axon, neuron in synapses_in_parts(cores):
        target, source = cores.neuron_source[neuron], cores.axon_source[some][axon]
        np.maximum.at(result[:, WINDOW], owner[target], result[owner[source], SLOTS])
    return result


def synapses_in_parts(cores: AnyCoreTables) -> Iterator[tuple[slice, Int64, Int64]]:
    """All synapses, a part of the axons at a time: (axons, [synapses] axon of these, neuron)."""
    ends = np.cumsum(cores.rows.lengths, dtype=np.int64)
    blocks = -(-int(ends[-1]) // SYNAPSES_AT_ONCE) if ends.size else 0
    cuts = np.searchsorted(ends, np.arange(1, blocks) * SYNAPSES_AT_ONCE, side="right")
    core, base = cores.axon_core, cores.neuron_ptr.astype(np.int64)
    for first, last in itertools.pairwise([0, *cuts.tolist(), ends.size]):
        axons = slice(first, last)
        row_ptr, target, _ = cores.rows.plain(axons)
        axon = np.repeat(np.arange(last - first), np.diff(row_ptr))
        yield axons, axon, base[core[axons]][axon] + target


def packet_limits(deployment: Deployment) -> Int64:
    """[names] largest magnitude one packet of an input or population can say.

    A larger count is several packets; every pulse of a slotted code is one.
    """
    spike, codes = deployment.target.spike, deployment.schedule.codes
    usual = packet_limit(spike.payload_bits, spike.signed)
    kinds = [codes.get(name) for name in deployment.sources.first]
    return np.array([ANY if code is not None and code.slotted else usual for code in kinds])


def senders_of_negative(deployment: Deployment) -> tuple[str, ...]:
    """Inputs and populations that send negative counts in packets that need a sign."""
    network, routes, sources = deployment.network, deployment.routes, deployment.sources
    names = []
    nodes: tuple[Input | Neuron, ...] = (*network.of_type(Input), *network.populations)
    for node in nodes:
        first = sources.first[node.name]
        sent = routes.send_ptr[first + sources.size[node.name]] > routes.send_ptr[first]
        if isinstance(node, Neuron):
            negative = node.emit == "state" or node.emitted[0] < 0
        else:
            negative = node.type.low < 0
        code = deployment.schedule.codes.get(node.name)
        if sent and negative and not (code is not None and code.pair):
            names.append(node.name)
    return tuple(names)
