"""When cores and the host want to send: the time of every packet, had it never to wait."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from snnc.ir.arrays import AnyArray
from snnc.ir.deployment import Deployment
from snnc.ir.jit import inner_kernel
from snnc.simulators.cycle.axons import Packets, packets_of
from snnc.simulators.cycle.ends import Releases
from snnc.simulators.cycle.noc_tables import Float64, Int32, Int64
from snnc.simulators.cycle.program import Program
from snnc.simulators.neuron_kernel import EMIT_STATE


class Pulses(NamedTuple):
    """What leaves the cores in one tick or several, in the order of sweeps.

    Attributes:
        source, value: who sends what.
        neuron: number in sweep order.
        updates: updates of the neuron's core up to the neuron, itself included.
    """

    source: Int32
    value: Int64
    neuron: Int32
    updates: Int32


class SomaCost(NamedTuple):
    """Units per event of a core's sweep, and per packet of the host.

    ``started`` is 1, or 0 when cores do not wait for their start (the load phase).
    """

    access: float
    update: float
    spike: float
    message: float
    host: float
    started: float


class Senders(NamedTuple):
    """What the planning of sweeps needs to know of a program; few arrays compile faster.

    Attributes:
        core_ptr: [cores + 1] slice of neurons.
        spikes: uint8 [inputs and populations], whether what they emit are spikes, not states.
        packets: how many packets a value is.
        send_net: [sends] net.
        net_sender: [nets] core number, or cores + host port.
        start: [cores] units after the tick's beginning at which the sweep begins.
    """

    core_ptr: Int64
    spikes: AnyArray
    packets: Packets
    send_net: Int64
    net_sender: Int32
    start: Float64


def senders_of(
    deployment: Deployment, program: Program, net_sender: Int32, resolution: int
) -> Senders:
    """Tables of all cores."""
    start = deployment.schedule.core_start or (0,) * deployment.cores.count
    spikes = np.zeros(program.packets.limit.size, np.uint8)
    table = program.neurons.table  # of the populations, which follow the inputs
    spikes[spikes.size - len(table) :] = table[:, EMIT_STATE] == 0
    return Senders(
        np.asarray(deployment.cores.neuron_ptr, np.int64),
        spikes,
        program.packets,
        np.asarray(deployment.routes.send_net, np.int64),
        net_sender,
        np.array(start, np.float64) * resolution,
    )


@inner_kernel
def packets_needed(senders: Senders, source: Int32, value: Int64, first: int, last: int) -> int:
    """Packets that the values from ``first`` until ``last`` take on all nets of their sources."""
    total, ptr = 0, senders.packets.send_ptr
    for i in range(first, last):
        sends = ptr[source[i] + 1] - ptr[source[i]]
        if sends > 0:
            total += sends * packets_of(senders.packets, source[i], value[i])
    return total


@inner_kernel
def plan_sweeps(
    senders: Senders,
    cost: SomaCost,
    pulses: Pulses,
    first: int,
    last: int,
    core_updates: Int32,
    releases: Releases,
    end: Float64,
) -> int:
    """Time at which every packet leaves its core when nothing makes the sweep wait.

    A core looks at its neurons in order: access, update where needed, spike, packets.

    Args:
        senders, cost: tables and units.
        pulses: what leaves the cores, of this tick those from ``first`` until ``last``.
        core_updates: [cores] neurons that needed an update.
        releases: filled for all cores.
        end: [cores] receives the units of the whole sweep.

    Returns:
        Number of packets written.
    """
    pulse, packets, send_ptr = first, 0, senders.packets.send_ptr
    for core in range(senders.core_ptr.size - 1):
        begin, stop = senders.core_ptr[core], senders.core_ptr[core + 1]
        start = cost.started * senders.start[core]
        releases.ptr[core] = packets
        before, spikes = packets, 0
        while pulse < last and pulses.neuron[pulse] < stop:
            neuron, source = pulses.neuron[pulse], pulses.source[pulse]
            spikes += senders.spikes[senders.packets.owner[source]]
            now = start + cost.access * (neuron - begin + 1) + cost.update * pulses.updates[pulse]
            now += cost.spike * spikes
            copies = 0
            begin_send, end_send = send_ptr[source], send_ptr[source + 1]
            if begin_send < end_send:  # a potential that only the host reads may be huge
                copies = packets_of(senders.packets, source, pulses.value[pulse])
            for _ in range(copies):
                for send in range(begin_send, end_send):
                    releases.send[packets] = send
                    packets += 1
                    releases.time[packets - 1] = now + cost.message * (packets - before)
            pulse += 1
        sweep = start + cost.access * (stop - begin) + cost.update * core_updates[core]
        end[core] = sweep + cost.spike * spikes + cost.message * (packets - before)
    return packets


@inner_kernel
def plan_host(
    senders: Senders,
    cost: SomaCost,
    source: Int32,
    value: Int64,
    first: int,
    last: int,
    releases: Releases,
    packets: int,
) -> None:
    """Append the packets of every host port behind those of the cores.

    Args:
        senders, cost: tables and units.
        source, value: what the host sends; of this tick those from ``first`` until ``last``.
        releases: filled for all host ports.
        packets: number of packets written.
    """
    ptr, ports, send_ptr = releases.ptr, senders.core_ptr.size - 1, senders.packets.send_ptr
    packets_before = packets
    for port in range(ports, ptr.size):
        ptr[port] = 0
    for i in range(first, last):
        begin, end = send_ptr[source[i]], send_ptr[source[i] + 1]
        copies = packets_of(senders.packets, source[i], value[i]) if begin < end else 0
        for send in range(begin, end):
            ptr[senders.net_sender[senders.send_net[send]]] += copies
    for port in range(ports, ptr.size):  # from how many there are to where they begin
        mine = ptr[port]
        ptr[port] = packets
        packets += mine
    for i in range(first, last):
        begin, end = send_ptr[source[i]], send_ptr[source[i] + 1]
        copies = packets_of(senders.packets, source[i], value[i]) if begin < end else 0
        for _ in range(copies):
            for send in range(begin, end):
                port = senders.net_sender[senders.send_net[send]]
                releases.send[ptr[port]] = send
                ptr[port] += 1
    for port in range(ptr.size - 1, ports, -1):  # every slice begins where the one before ends
        ptr[port] = ptr[port - 1]
    ptr[ports] = packets_before
    for port in range(ports, ptr.size - 1):
        now = 0.0
        for packet in range(ptr[port], ptr[port + 1]):
            now += cost.host
            releases.time[packet] = now
