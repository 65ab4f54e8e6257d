"""The network-on-chip of a deployment as flat tables: ports, queues and multicast trees.

A *port* is what a packet leaves a router through: first the directed mesh channels that some net
uses, then one ejection port per used core.  A *queue* is where it waits: queue i < channels is
the input queue at the far end of channel i; then one injection queue per *sender*, which is a
core or a host port.  Where routes use several classes of virtual channels ("lanes"), every channel
has one queue per lane: queue ``channel * lanes + lane``.  Times are in units of
``cycle / resolution``, so that a router that passes several packets per cycle still has whole
times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from snnc.ir.arrays import AnyArray
from snnc.ir.deployment import Deployment, RouteTables
from snnc.ir.errors import TargetError
from snnc.ir.target import EventKind, Quantity, Target
from snnc.ir.topology import Mesh

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

ROOT, REACH = range(2)
"""Columns of ``NocTables.send``."""

HOP_KINDS: tuple[EventKind, ...] = ("hop_ew", "hop_ns", "hop_chip")


class NocTables(NamedTuple):
    """What does not change while packets move; a named tuple because kernels take it.

    Attributes:
        channels: number of mesh channels used.
        lanes: classes of virtual channels that the routes use.
        refusing: 1 where a core refuses packets while its sender waits, else 0.
        bits: width of the event code in an event key.
        interval: units between two packets that leave one queue.
        receive_capacity: packets that fit in a core's receive queue.
        out_ptr: [tree nodes + 1] slice of the outputs of a tree node (numbered over all nets).
        out: [outputs, 4] port, next tree node (-1 at a core), position among the net's deliveries
            (-1 on a channel), and lane.
        send: [sends, 2] root tree node of a send (``RouteTables.send_net``) and its first reach;
            a reach is one (send, delivery) pair.
        service: [reaches] units the receiving core needs for one packet.
    """

    channels: int
    lanes: int
    refusing: int
    bits: int
    interval: int
    receive_capacity: int
    out_ptr: Int64
    out: Int64
    send: Int32
    service: Float64


class Buffers(NamedTuple):
    """Sizes and speeds that an empty network starts from.

    Attributes:
        capacity: [channels, then senders] packets that fit in a queue.
        contenders: [ports] queues that can wait for the port.
        latency, spacing: [ports] units until arrival and until the port is free again.
    """

    capacity: Int64
    contenders: Int64
    latency: Int64
    spacing: Int64


@dataclass(frozen=True, eq=False)
class Machine:
    """Channels of the machine that the deployment uses, and how fast they are.

    Attributes:
        channels: [channels, 2] from-router, to-router.
        kind: [channels] index into ``HOP_KINDS``.
        branch_channel: [tree nodes] channel that leads to the node, -1 for roots.
        host_routers: router of every host port, rising.
        net_sender: [nets] core number, or cores + host port.
        senders: number of cores and host ports.
        resolution: units per cycle.
        notes: what the target does not say, and what was assumed instead.
    """

    channels: Int64
    kind: Int64
    branch_channel: Int64
    host_routers: Int64
    net_sender: Int32
    senders: int
    resolution: int
    notes: tuple[str, ...]


def known(quantity: Quantity, where: str) -> float:
    """The number of a quantity without which there is no timing; raises ``TargetError``."""
    if quantity.v is None or quantity.v <= 0:
        raise TargetError(
            "timing needs a positive number here",
            where=where,
            found=quantity.v,
            allowed="a positive number",
            remedy="run without timing, or complete the target file",
        )
    return float(quantity.v)


def describe(deployment: Deployment) -> Machine:
    """Collect the channels and senders that the deployment's routes use."""
    routes, mesh = deployment.routes, deployment.mesh
    hops = tree_hops(routes)
    pairs, number = np.unique(hops[hops[:, 0] >= 0], axis=0, return_inverse=True)
    branch_channel = np.full(routes.branch_router.size, -1, np.int64)
    branch_channel[hops[:, 0] >= 0] = number.reshape(-1)
    roots = routes.branch_router[routes.branch_ptr[:-1]]
    host_nets = routes.net_core < 0
    host_routers = np.unique(roots[host_nets]).astype(np.int64)
    cores = deployment.cores.count
    net_sender = np.where(host_nets, cores + np.searchsorted(host_routers, roots), routes.net_core)
    rate = known(deployment.target.noc.packets_per_cycle, "noc.packets_per_cycle")
    return Machine(
        pairs.astype(np.int64).reshape(-1, 2),
        hop_kinds(mesh, pairs),
        branch_channel,
        host_routers,
        net_sender.astype(np.int32),
        cores + host_routers.size,
        math.ceil(rate),
        _notes(deployment, pairs),
    )


def tree_hops(routes: RouteTables) -> Int64:
    """[tree nodes, 2] routers of the hop that leads to each node; (-1, -1) for roots."""
    nodes = np.diff(routes.branch_ptr)
    first = np.repeat(routes.branch_ptr[:-1], nodes)
    inner = routes.branch_parent >= 0
    hops = np.full((routes.branch_router.size, 2), -1, np.int64)
    hops[inner, 0] = routes.branch_router[(first + routes.branch_parent)[inner]]
    hops[inner, 1] = routes.branch_router[inner]
    return hops


def hop_kinds(mesh: Mesh, pairs: AnyArray) -> Int64:
    """Index into ``HOP_KINDS`` of every channel [channels, 2]; chip boundaries come first.

    Diagonal links count as vertical ones.
    """
    y, chip = pairs // mesh.width, mesh.chip(pairs)
    vertical = y[:, 0] != y[:, 1]
    kinds: Int64 = np.where(chip[:, 0] != chip[:, 1], 2, vertical).astype(np.int64)
    return kinds


def _notes(deployment: Deployment, pairs: AnyArray) -> tuple[str, ...]:
    crossing = (hop_kinds(deployment.mesh, pairs) == 2).any()
    if crossing and deployment.target.noc.chip_link_cycles.v is None:
        return ("noc.chip_link_cycles is unknown: chip-boundary channels are as fast as others",)
    return ()


def build(deployment: Deployment, machine: Machine, service: Float64) -> tuple[NocTables, Buffers]:
    """Flat tables for the kernels of ``noc``.

    Args:
        deployment: gives the trees, the machine and its buffers.
        machine: from ``describe``.
        service: [reaches] units a core needs for one packet, sends in order, deliveries inside.
    """
    routes, noc = deployment.routes, deployment.target.noc
    channels, cores = len(machine.channels), deployment.cores.count
    lanes, inputs = routes.lanes, channels + machine.senders
    capacity = np.full(inputs, int(known(noc.buffer_packets, "noc.buffer_packets")), np.int64)
    capacity[channels:] = int(known(noc.injection_packets, "noc.injection_packets"))
    latency, spacing = _speeds(deployment, machine)
    send = np.empty((routes.send_net.size, 2), np.int32)
    send[:, ROOT] = routes.branch_ptr[routes.send_net]
    copies = np.diff(routes.delivery_ptr).astype(np.int32)[routes.send_net]
    np.cumsum(copies, out=send[:, REACH])
    send[:, REACH] -= copies
    queues = channels * lanes + machine.senders
    codes = queues + channels + cores + machine.senders + cores
    lanes_of = np.where(np.arange(inputs) < channels, lanes, 1)
    tables = NocTables(
        channels,
        lanes,
        int(noc.consumption == "after_sending"),
        codes.bit_length(),
        int(spacing[-1]),
        int(known(noc.receive_packets, "noc.receive_packets")),
        *_outputs(routes, machine),
        send,
        service,
    )
    return tables, Buffers(capacity, contenders(deployment, machine, lanes_of), latency, spacing)


def _starts(lengths: AnyArray) -> Int64:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _outputs(routes: RouteTables, machine: Machine) -> tuple[Int64, Int64]:
    """Outputs of every tree node: its deliveries, then its children."""
    first = np.repeat(routes.branch_ptr[:-1], np.diff(routes.branch_ptr))
    child = np.flatnonzero(routes.branch_parent >= 0)
    net = np.repeat(np.arange(routes.nets), np.diff(routes.delivery_ptr))
    position = np.arange(routes.delivery_core.size) - routes.delivery_ptr[net]
    node = np.concatenate(
        [routes.branch_ptr[net] + routes.delivery_branch, (first + routes.branch_parent)[child]]
    )
    port = np.concatenate(
        [len(machine.channels) + routes.delivery_core, machine.branch_channel[child]]
    )
    following = np.concatenate([np.full(net.size, -1), child])
    delivery = np.concatenate([position, np.full(child.size, -1)])
    lane = np.concatenate([np.zeros(net.size), routes.branch_lane[child]])
    order = np.argsort(node, kind="stable")
    counts = np.bincount(node, minlength=routes.branch_router.size)
    rows = np.stack([port, following, delivery, lane], axis=1)
    return _starts(counts), rows[order].astype(np.int64)


def _speeds(deployment: Deployment, machine: Machine) -> tuple[Int64, Int64]:
    """Latency and spacing of every port in units."""
    target = deployment.target
    rate = known(target.noc.packets_per_cycle, "noc.packets_per_cycle")
    ordinary = math.ceil(machine.resolution / rate)
    horizontal, vertical = (hop_cycles(target, kind) for kind in HOP_KINDS[:2])
    row = machine.channels // deployment.mesh.width
    latency = np.where(row[:, 0] == row[:, 1], horizontal, vertical)
    spacing = np.full(latency.size, ordinary)
    boundary = machine.kind == 2
    crossing = target.costs.events.get("hop_chip")
    if crossing is not None and crossing.latency is not None:
        latency = np.where(boundary, hop_cycles(target, "hop_chip"), latency)
    link = target.noc.chip_link_cycles.v
    if link is not None:
        # A packet has crossed a serial link when its last bit has.
        latency = np.where(boundary, np.maximum(latency, math.ceil(link)), latency)
        spacing[boundary] = np.maximum(ordinary, math.ceil(link * machine.resolution))
    at_core = np.zeros(deployment.cores.count, np.int64)
    return (
        np.concatenate([latency * machine.resolution, at_core]).astype(np.int64),
        np.concatenate([spacing, at_core + ordinary]).astype(np.int64),
    )


def hop_cycles(target: Target, kind: EventKind) -> int:
    """Cycles of one hop, rounded up; at least 1, and 1 when the latency is unknown."""
    cost = target.costs.events.get(kind)
    seconds = cost.latency if cost is not None else None
    if not seconds:
        return 1
    # The tolerance keeps 4e-9 s at 1e-9 s per cycle at 4 cycles.
    return max(1, math.ceil(seconds / known(target.execution.cycle_s, "execution.cycle_s") - 1e-9))


def input_routers(deployment: Deployment, machine: Machine) -> Int64:
    """Router at which each queue ends: of channels, cores, host ports."""
    location = deployment.cores.location
    core_router = location[:, 1] * deployment.mesh.width + location[:, 0]
    ends = np.concatenate([machine.channels[:, 1], core_router, machine.host_routers])
    return ends.astype(np.int64)


def port_routers(deployment: Deployment, machine: Machine) -> Int64:
    """Router that each port leaves: of channels, cores."""
    location = deployment.cores.location
    core_router = location[:, 1] * deployment.mesh.width + location[:, 0]
    return np.concatenate([machine.channels[:, 0], core_router]).astype(np.int64)


def contenders(deployment: Deployment, machine: Machine, copies: AnyArray) -> Int64:
    """[ports] queues that can wait for each port: ``copies`` [inputs] of those at its router."""
    at_router = np.zeros(deployment.mesh.routers, np.int64)
    np.add.at(at_router, input_routers(deployment, machine), copies)
    counts: Int64 = at_router[port_routers(deployment, machine)]
    return counts
