"""When cores and the host want to send: the time of every packet, had it never to wait."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from snnc.ir.arrays import AnyArray
from snnc.ir.deployment import Deployment
from snnc.ir.jit import inner_kernel
from snnc.simulators.cycle.axons import packets_of
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
        send_ptr: [sources + 1] slice of sends.
        neuron_source: [neurons] source id.
        spikes: uint8 [neurons], whether what the neuron emits are spikes, not states.
        sends: [sources] nets per source.
        packet_limit: [sources] largest value one packet can carry.
        send_sender: [sends] core number, or cores + host port.
        start: [cores] units after the tick's beginning at which the sweep begins.
    """

    core_ptr: Int64
    send_ptr: Int64
    neuron_source: Int32
    spikes: AnyArray
    sends: Int32
    packet_limit: Int64
    send_sender: Int32
    start: Float64


def senders_of(
    deployment: Deployment, program: Program, send_sender: Int32, resolution: int
) -> Senders:
    """Tables of all cores."""
    start = deployment.schedule.core_start or (0,) * deployment.cores.count
    parameters = program.neurons
    spikes = parameters.table[parameters.kind, EMIT_STATE] == 0
    return Senders(
        deployment.cores.neuron_ptr.astype(np.int64),
        deployment.routes.send_ptr.astype(np.int64),
        program.neuron_source,
        spikes.astype(np.uint8),
        program.sends,
        program.packet_limit,
        send_sender,
        np.array(start, np.float64) * resolution,
    )


@inner_kernel
def packets_needed(senders: Senders, source: Int32, value: Int64, first: int, last: int) -> int:
    """Packets that the values from ``first`` until ``last`` take on all nets of their sources."""
    total = 0
    for i in range(first, last):
        sends = senders.sends[source[i]]
        if sends > 0:
            total += sends * packets_of(value[i], senders.packet_limit[source[i]])
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
    pulse, packets = first, 0
    for core in range(senders.core_ptr.size - 1):
        begin, stop = senders.core_ptr[core], senders.core_ptr[core + 1]
        start = cost.started * senders.start[core]
        releases.ptr[core] = packets
        before, spikes = packets, 0
        while pulse < last and pulses.neuron[pulse] < stop:
            neuron, source = pulses.neuron[pulse], pulses.source[pulse]
            spikes += senders.spikes[neuron]
            now = start + cost.access * (neuron - begin + 1) + cost.update * pulses.updates[pulse]
            now += cost.spike * spikes
            copies = 0
            if senders.sends[source] > 0:  # a potential that only the host reads may be huge
                copies = packets_of(pulses.value[pulse], senders.packet_limit[source])
            for _ in range(copies):
                for send in range(senders.send_ptr[source], senders.send_ptr[source + 1]):
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
    for sender in range(senders.core_ptr.size - 1, releases.ptr.size - 1):
        releases.ptr[sender] = packets
        now = 0.0
        for i in range(first, last):
            begin, end = senders.send_ptr[source[i]], senders.send_ptr[source[i] + 1]
            if begin == end:
                continue
            for _ in range(packets_of(value[i], senders.packet_limit[source[i]])):
                for send in range(begin, end):
                    if senders.send_sender[send] == sender:
                        now += cost.host
                        releases.send[packets] = send
                        releases.time[packets] = now
                        packets += 1
    releases.ptr[releases.ptr.size - 1] = packets
