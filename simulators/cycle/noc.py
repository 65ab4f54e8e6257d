"""Event-driven network-on-chip with finite buffers, in global time order.

Every directed channel ends in an input queue of a router.  The packet at the head of a queue
asks for all the outputs its multicast tree has at this router; each copy leaves on its own as
soon as its port is free and there is room behind it, and the packet leaves the queue when the
last copy has.  Room is counted when a packet is sent, so a queue can never overflow, and given
back without delay.  Waiting queues are served in the order in which they asked.

At most one event per kind and place is outstanding; its key is ``time << bits | code``, so that
equal times have one order and a run is reproducible.  The event codes are, in this order: the
head of a queue is ready; a port may send; a sender's next packet is ready; a core has finished
a packet.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from snnc.ir.jit import inlined, inner_kernel, lean_kernel
from snnc.simulators.cycle.noc_tables import Buffers, Float64, Int32, Int64, NocTables

(INJECTED, DELIVERED, HOPS, LAST, PEAK_CHANNEL, PEAK_INJECTION, PEAK_RECEIVE, EVENTS) = range(8)


class Releases(NamedTuple):
    """Packets that senders want to send in one tick, in order.

    Attributes:
        ptr: [senders + 1] slice per sender.
        send: [packets] index into ``RouteTables.send_net``.
        time: [packets] units after the start of the tick, if the sender never has to wait.
    """

    ptr: Int64
    send: Int32
    time: Float64


class NocState(NamedTuple):
    """What changes while packets move: few arrays with one row per place, because every array
    of a kernel's argument costs compile time.

    Attributes:
        heap: event keys; ``heap[0]`` is how many follow.
        queue: [queues, 6] packets inside, ring position of the head, when the next head may be
            read, copies of the head that still wait; first entry and capacity of its ring.
        entry: [entries, 3] tree node, send, time from which it may be read.
        port: [ports, 8] time from which it is free, waiters, ring position, whether an event is
            outstanding; first waiter and capacity of its ring; latency, spacing.
        waiter: [waiters, 2] queue and output that wait.
        sender: [senders, 2] packets handed over, whether the next one waits.
        shift: [senders] units lost by waiting.
        core: [cores, 3] packets in the receive queue, ring position, whether one is being served.
        received: [cores * receive capacity, 2] reach and time of arrival.
        receive_end: [cores] units until the core is done.
        load: [ports] packets sent since the beginning of the run.
        total: counters by the constants above.
    """

    heap: Int64
    queue: Int64
    entry: Int64
    port: Int64
    waiter: Int64
    sender: Int64
    shift: Float64
    core: Int64
    received: Int64
    receive_end: Float64
    load: Int64
    total: Int64


FILL, HEAD, NEXT_READ, PENDING, ENTRIES, CAPACITY = range(6)
NODE, SEND, READY = range(3)
FREE, WAITING, WAIT_HEAD, SCHEDULED, WAITERS, WAIT_SIZE, LATENCY, SPACING = range(8)
PORT, NEXT, DELIVERY = range(3)
ROOT, REACH = range(2)
RELEASED, STALLED = range(2)
CORE_FILL, CORE_HEAD, BUSY = range(3)


def new_state(noc: NocTables, buffers: Buffers) -> NocState:
    """An empty network."""
    queues, ports = buffers.capacity.size, buffers.latency.size
    senders, cores = queues - noc.channels, ports - noc.channels

    def zeros(*shape: int) -> Int64:
        return np.zeros(shape, np.int64)

    queue, port = zeros(queues, 6), zeros(ports, 8)
    queue[:, CAPACITY], port[:, WAIT_SIZE] = buffers.capacity, buffers.contenders
    queue[1:, ENTRIES] = np.cumsum(buffers.capacity)[:-1]
    port[1:, WAITERS] = np.cumsum(buffers.contenders)[:-1]
    port[:, LATENCY], port[:, SPACING] = buffers.latency, buffers.spacing
    return NocState(
        heap=zeros(queues + ports + senders + cores + 1),
        queue=queue,
        entry=zeros(int(buffers.capacity.sum()), 3),
        port=port,
        waiter=zeros(int(buffers.contenders.sum()), 2),
        sender=zeros(senders, 2),
        shift=np.zeros(senders),
        core=zeros(cores, 3),
        received=zeros(cores * noc.receive_capacity, 2),
        receive_end=np.zeros(cores),
        load=zeros(ports),
        total=zeros(8),
    )


@lean_kernel
def drain(noc: NocTables, state: NocState, releases: Releases) -> int:
    """Move all packets of one tick from an empty network to an empty network.

    Returns:
        Units until the last packet has entered its last core's receive queue, or -1 when packets
        are left but nothing can move any more.
    """
    queues, ports, senders = len(state.queue), len(state.port), len(state.sender)
    _restart(state, releases)
    for sender in range(senders):
        _schedule_release(noc, state, releases, sender, int(np.int64(0)))
    mask = (1 << noc.bits) - 1
    while state.heap[0] > 0:
        key = _pop(state.heap)
        now, code = key >> noc.bits, key & mask
        state.total[EVENTS] += 1
        if code < queues:
            _head(noc, state, releases, code, now)
        elif code < queues + ports:
            _port(noc, state, releases, code - queues, now)
        elif code < queues + ports + senders:
            _release(noc, state, releases, code - queues - ports, now)
        else:
            _finish(noc, state, code - queues - ports - senders, now)
    if releases.send.size and _stuck(state, releases):
        return -1
    return int(state.total[LAST])


@inlined
def _restart(state: NocState, releases: Releases) -> None:
    """Begin a tick: forget the times of the one before, hand over new packets."""
    # Loops, because an assignment to a slice takes Numba much longer to compile.
    state.total[LAST] = 0
    for port in range(len(state.port)):
        state.port[port, FREE] = 0
    for queue in range(len(state.queue)):
        state.queue[queue, NEXT_READ] = 0
    for core in range(state.receive_end.size):
        state.receive_end[core] = 0.0
    for sender in range(len(state.sender)):
        state.shift[sender] = 0.0
        state.sender[sender, RELEASED] = releases.ptr[sender]


@inlined
def _stuck(state: NocState, releases: Releases) -> bool:
    for sender in range(len(state.sender)):
        if state.sender[sender, RELEASED] < releases.ptr[sender + 1]:
            return True
    inside = 0
    for queue in range(len(state.queue)):
        inside += state.queue[queue, FILL]
    return inside > 0


@inner_kernel
def _push(heap: Int64, key: int) -> None:
    """Insert into a binary min-heap whose root is entry 1."""
    heap[0] += 1
    i = heap[0]
    while i > 1 and heap[i >> 1] > key:
        heap[i] = heap[i >> 1]
        i >>= 1
    heap[i] = key


@inlined
def _pop(heap: Int64) -> int:
    """Remove the smallest key of a binary min-heap whose root is entry 1."""
    top, last = heap[1], heap[0]
    key = heap[last]
    heap[0] = last - 1
    i, child = 1, 2
    while child < last:
        if child + 1 < last and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= key:
            break
        heap[i] = heap[child]
        i, child = child, 2 * child
    heap[i] = key
    return int(top)


@inlined
def _wrapped(place: int, size: int) -> int:
    """Place in a ring, for places below twice its size; a division would cost more."""
    return place - size if place >= size else place


@inlined
def _schedule(noc: NocTables, state: NocState, time: int, code: int) -> None:
    _push(state.heap, (time << noc.bits) | code)


@inlined
def _has_room(noc: NocTables, state: NocState, port: int) -> bool:
    if port < noc.channels:
        return bool(state.queue[port, FILL] < state.queue[port, CAPACITY])
    return bool(state.core[port - noc.channels, CORE_FILL] < noc.receive_capacity)


@inner_kernel
def _wake(noc: NocTables, state: NocState, port: int, now: int) -> None:
    """Let the port serve its first waiter as soon as it can, unless that is already planned."""
    if (
        state.port[port, WAITING] > 0
        and not state.port[port, SCHEDULED]
        and _has_room(noc, state, port)
    ):
        state.port[port, SCHEDULED] = 1
        _schedule(noc, state, max(now, state.port[port, FREE]), len(state.queue) + port)


@inner_kernel
def _head(noc: NocTables, state: NocState, releases: Releases, queue: int, now: int) -> None:
    """The packet at the head of a queue asks for all its outputs."""
    slot = state.queue[queue, ENTRIES] + state.queue[queue, HEAD]
    node, send = state.entry[slot, NODE], state.entry[slot, SEND]
    blocked = 0
    for out in range(noc.out_ptr[node], noc.out_ptr[node + 1]):
        port = noc.out[out, PORT]
        free = state.port[port, FREE] <= now and state.port[port, WAITING] == 0
        if free and _has_room(noc, state, port):
            _transmit(noc, state, out, send, now)
        else:
            first, size = state.port[port, WAITERS], state.port[port, WAIT_SIZE]
            place = first + _wrapped(state.port[port, WAIT_HEAD] + state.port[port, WAITING], size)
            state.waiter[place, 0] = queue
            state.waiter[place, 1] = out
            state.port[port, WAITING] += 1
            blocked += 1
            _wake(noc, state, port, now)
    state.queue[queue, PENDING] = blocked
    if blocked == 0:
        _leave(noc, state, releases, queue, now)


@inlined
def _port(noc: NocTables, state: NocState, releases: Releases, port: int, now: int) -> None:
    """A port that is free and has room sends the copy that has waited longest."""
    state.port[port, SCHEDULED] = 0
    first = state.port[port, WAITERS]
    place = first + state.port[port, WAIT_HEAD]
    queue, out = state.waiter[place, 0], state.waiter[place, 1]
    state.port[port, WAIT_HEAD] = _wrapped(
        state.port[port, WAIT_HEAD] + 1, state.port[port, WAIT_SIZE]
    )
    state.port[port, WAITING] -= 1
    send = state.entry[state.queue[queue, ENTRIES] + state.queue[queue, HEAD], SEND]
    _transmit(noc, state, out, send, now)
    state.queue[queue, PENDING] -= 1
    if state.queue[queue, PENDING] == 0:
        _leave(noc, state, releases, queue, now)
    _wake(noc, state, port, now)


@inner_kernel
def _transmit(noc: NocTables, state: NocState, out: int, send: int, now: int) -> None:
    """Send one copy through its port."""
    port = noc.out[out, PORT]
    state.port[port, FREE] = now + state.port[port, SPACING]
    state.load[port] += 1
    if port >= noc.channels:
        reach = noc.send[send, REACH] + noc.out[out, DELIVERY]
        _receive(noc, state, port - noc.channels, reach, now)
        return
    state.total[HOPS] += 1
    ready = now + state.port[port, LATENCY]
    _enqueue(noc, state, port, noc.out[out, NEXT], send, ready)
    state.total[PEAK_CHANNEL] = max(state.total[PEAK_CHANNEL], state.queue[port, FILL])


@inner_kernel
def _enqueue(noc: NocTables, state: NocState, queue: int, node: int, send: int, ready: int) -> None:
    """Put a packet into a queue with room; it may be read from ``ready`` on."""
    place = _wrapped(
        state.queue[queue, HEAD] + state.queue[queue, FILL], state.queue[queue, CAPACITY]
    )
    slot = state.queue[queue, ENTRIES] + place
    state.entry[slot, NODE] = node
    state.entry[slot, SEND] = send
    state.entry[slot, READY] = ready
    if state.queue[queue, FILL] == 0:
        _schedule(noc, state, max(ready, state.queue[queue, NEXT_READ]), queue)
    state.queue[queue, FILL] += 1


@inner_kernel
def _leave(noc: NocTables, state: NocState, releases: Releases, queue: int, now: int) -> None:
    """All copies of the head are on their way: free its place and tell who waits for it."""
    state.queue[queue, HEAD] = _wrapped(state.queue[queue, HEAD] + 1, state.queue[queue, CAPACITY])
    state.queue[queue, FILL] -= 1
    state.queue[queue, NEXT_READ] = now + noc.interval
    if state.queue[queue, FILL] > 0:
        ready = state.entry[state.queue[queue, ENTRIES] + state.queue[queue, HEAD], READY]
        _schedule(noc, state, max(ready, state.queue[queue, NEXT_READ]), queue)
    if queue < noc.channels:
        _wake(noc, state, queue, now)
        return
    sender = queue - noc.channels
    if state.sender[sender, STALLED]:
        state.sender[sender, STALLED] = 0
        planned = releases.time[state.sender[sender, RELEASED]] + state.shift[sender]
        state.shift[sender] += max(0.0, now - planned)
        _schedule_release(noc, state, releases, sender, now)


@inner_kernel
def _schedule_release(
    noc: NocTables, state: NocState, releases: Releases, sender: int, now: int
) -> None:
    i = state.sender[sender, RELEASED]
    if i < releases.ptr[sender + 1]:
        ready = math.ceil(releases.time[i] + state.shift[sender])
        code = len(state.queue) + len(state.port) + sender
        _schedule(noc, state, max(now, ready), code)


@inlined
def _release(noc: NocTables, state: NocState, releases: Releases, sender: int, now: int) -> None:
    """Hand the sender's next packet to its injection queue, or stall the sender."""
    queue = noc.channels + sender
    if state.queue[queue, FILL] >= state.queue[queue, CAPACITY]:
        state.sender[sender, STALLED] = 1
        return
    send = int(np.int64(releases.send[state.sender[sender, RELEASED]]))
    state.sender[sender, RELEASED] += 1
    state.total[INJECTED] += 1
    _enqueue(noc, state, queue, noc.send[send, ROOT], send, now)
    state.total[PEAK_INJECTION] = max(state.total[PEAK_INJECTION], state.queue[queue, FILL])
    _schedule_release(noc, state, releases, sender, now)


@inlined
def _receive(noc: NocTables, state: NocState, core: int, reach: int, now: int) -> None:
    """A packet enters a core: it is looked up at once, or waits in the receive queue."""
    state.total[DELIVERED] += 1
    state.total[LAST] = max(state.total[LAST], now)
    if not state.core[core, BUSY]:
        _serve(noc, state, core, reach, now)
        return
    first = core * noc.receive_capacity
    last = _wrapped(state.core[core, CORE_HEAD] + state.core[core, CORE_FILL], noc.receive_capacity)
    place = first + last
    state.received[place, 0] = reach
    state.received[place, 1] = now
    state.core[core, CORE_FILL] += 1
    state.total[PEAK_RECEIVE] = max(state.total[PEAK_RECEIVE], state.core[core, CORE_FILL])


@inner_kernel
def _serve(noc: NocTables, state: NocState, core: int, reach: int, arrived: int) -> None:
    state.core[core, BUSY] = 1
    state.receive_end[core] = max(state.receive_end[core], arrived) + noc.service[reach]
    code = len(state.queue) + len(state.port) + len(state.sender) + core
    _schedule(noc, state, math.ceil(state.receive_end[core]), code)


@inlined
def _finish(noc: NocTables, state: NocState, core: int, now: int) -> None:
    """A core has accumulated a packet and takes the next one from its receive queue."""
    state.core[core, BUSY] = 0
    if state.core[core, CORE_FILL] == 0:
        return
    place = core * noc.receive_capacity + state.core[core, CORE_HEAD]
    state.core[core, CORE_HEAD] = _wrapped(state.core[core, CORE_HEAD] + 1, noc.receive_capacity)
    state.core[core, CORE_FILL] -= 1
    _serve(noc, state, core, state.received[place, 0], state.received[place, 1])
    _wake(noc, state, noc.channels + core, now)
