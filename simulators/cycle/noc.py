"""Event-driven network-on-chip with finite buffers, in global time order.

Every directed channel ends in an input queue of a router, or in one per lane.  The packet at the
head of a queue asks for all the outputs its multicast tree has at this router; each copy leaves on
its own as soon as its port is free and there is room behind it, and the packet leaves the queue
when the last copy has.  Room is counted when a packet is sent, so a queue can never overflow, and
given back without delay.  Waiting queues are served in the order in which they asked, but one whose
lane has no room does not hold back those of other lanes.

At most one event per kind and place is outstanding: the head of a queue is ready; a port may
send; a sender's next packet is ready; a core has finished a packet (see ``ends``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from snnc.ir.jit import inlined, inner_kernel, lean_kernel
from snnc.simulators.cycle.ends import (
    CORE_FILL,
    COUNTERS,
    EVENTS,
    HOPS,
    INJECTED,
    LAST,
    PEAK_CHANNEL,
    PEAK_INJECTION,
    REACH,
    RELEASED,
    ROOT,
    STALLED,
    Releases,
    finish,
    pop,
    receive,
    restart_ends,
    schedule,
    schedule_release,
    unsent,
    wrapped,
)
from snnc.simulators.cycle.noc_tables import Buffers, Float64, Int64, NocTables


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
        work: [cores] units the core was looking up and accumulating.
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
    work: Float64
    load: Int64
    total: Int64


FILL, HEAD, NEXT_READ, PENDING, ENTRIES, CAPACITY = range(6)
NODE, SEND, READY = range(3)
FREE, WAITING, WAIT_HEAD, SCHEDULED, WAITERS, WAIT_SIZE, LATENCY, SPACING = range(8)
PORT, NEXT, DELIVERY, LANE = range(4)


def new_state(noc: NocTables, buffers: Buffers) -> NocState:
    """An empty network."""
    senders = buffers.capacity.size - noc.channels
    copies = np.where(np.arange(buffers.capacity.size) < noc.channels, noc.lanes, 1)
    capacity = np.repeat(buffers.capacity, copies)
    queues, ports = capacity.size, buffers.latency.size
    cores = ports - noc.channels

    def zeros(*shape: int) -> Int64:
        return np.zeros(shape, np.int64)

    queue, port = zeros(queues, 6), zeros(ports, 8)
    queue[:, CAPACITY], port[:, WAIT_SIZE] = capacity, buffers.contenders
    queue[1:, ENTRIES] = np.cumsum(capacity)[:-1]
    port[1:, WAITERS] = np.cumsum(buffers.contenders)[:-1]
    port[:, LATENCY], port[:, SPACING] = buffers.latency, buffers.spacing
    return NocState(
        heap=zeros(queues + ports + senders + cores + 1),
        queue=queue,
        entry=zeros(int(capacity.sum()), 3),
        port=port,
        waiter=zeros(int(buffers.contenders.sum()), 2),
        sender=zeros(senders, 2),
        shift=np.zeros(senders),
        core=zeros(cores, 3),
        received=zeros(cores * noc.receive_capacity, 2),
        receive_end=np.zeros(cores),
        work=np.zeros(cores),
        load=zeros(ports),
        total=zeros(COUNTERS),
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
        schedule_release(noc, state, releases, sender, int(np.int64(0)))
    mask = (1 << noc.bits) - 1
    while state.heap[0] > 0:
        key = pop(state.heap)
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
    """Begin a tick; see ``restart_ends``."""
    for port in range(len(state.port)):
        state.port[port, FREE] = 0
    for queue in range(len(state.queue)):
        state.queue[queue, NEXT_READ] = 0
    restart_ends(state, releases)


@inlined
def _stuck(state: NocState, releases: Releases) -> bool:
    inside = 0
    for queue in range(len(state.queue)):
        inside += state.queue[queue, FILL]
    return inside > 0 or unsent(state, releases)


@inlined
def _has_room(noc: NocTables, state: NocState, port: int, lane: int) -> bool:
    if port < noc.channels:
        queue = port * noc.lanes + lane
        return bool(state.queue[queue, FILL] < state.queue[queue, CAPACITY])
    core = port - noc.channels
    if noc.refusing and state.sender[core, STALLED]:
        return False
    return bool(state.core[core, CORE_FILL] < noc.receive_capacity)


@inner_kernel
def _first(noc: NocTables, state: NocState, port: int) -> int:
    """How many waiters of the port come before the first whose lane has room; -1: none has."""
    row = state.port[port]
    waiting = row[WAITING]
    if noc.lanes == 1 or port >= noc.channels:
        waiting = min(waiting, 1)  # all of them wait for the same room
    for k in range(waiting):
        out = state.waiter[row[WAITERS] + wrapped(row[WAIT_HEAD] + k, row[WAIT_SIZE]), 1]
        if _has_room(noc, state, port, noc.out[out, LANE]):
            return k
    return -1


@inner_kernel
def _wake(noc: NocTables, state: NocState, port: int, now: int) -> None:
    """Let the port serve a waiter as soon as it can, unless that is already planned."""
    if not state.port[port, SCHEDULED] and _first(noc, state, port) >= 0:
        state.port[port, SCHEDULED] = 1
        schedule(noc, state, max(now, state.port[port, FREE]), len(state.queue) + port)


@inner_kernel
def _head(noc: NocTables, state: NocState, releases: Releases, queue: int, now: int) -> None:
    """The packet at the head of a queue asks for all its outputs."""
    slot = state.queue[queue, ENTRIES] + state.queue[queue, HEAD]
    node, send = state.entry[slot, NODE], state.entry[slot, SEND]
    blocked = 0
    for out in range(noc.out_ptr[node], noc.out_ptr[node + 1]):
        port = noc.out[out, PORT]
        # A port without an event has no waiter that could send.
        free = state.port[port, FREE] <= now and not state.port[port, SCHEDULED]
        if free and _has_room(noc, state, port, noc.out[out, LANE]):
            _transmit(noc, state, out, send, now)
        else:
            first, size = state.port[port, WAITERS], state.port[port, WAIT_SIZE]
            place = first + wrapped(state.port[port, WAIT_HEAD] + state.port[port, WAITING], size)
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
    """A free port sends the copy that has waited longest of those with room."""
    row = state.port[port]
    row[SCHEDULED] = 0
    ahead = _first(noc, state, port)
    if ahead < 0:  # a core that refuses packets since
        return
    place = row[WAITERS] + wrapped(row[WAIT_HEAD] + ahead, row[WAIT_SIZE])
    queue, out = state.waiter[place, 0], state.waiter[place, 1]
    while ahead > 0:  # those ahead stay in their order
        ahead -= 1
        before = row[WAITERS] + wrapped(row[WAIT_HEAD] + ahead, row[WAIT_SIZE])
        state.waiter[place, 0] = state.waiter[before, 0]
        state.waiter[place, 1] = state.waiter[before, 1]
        place = before
    row[WAIT_HEAD] = wrapped(row[WAIT_HEAD] + 1, row[WAIT_SIZE])
    row[WAITING] -= 1
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
        receive(noc, state, port - noc.channels, reach, now)
        return
    state.total[HOPS] += 1
    ready = now + state.port[port, LATENCY]
    queue = port * noc.lanes + noc.out[out, LANE]
    _enqueue(noc, state, queue, noc.out[out, NEXT], send, ready)
    state.total[PEAK_CHANNEL] = max(state.total[PEAK_CHANNEL], state.queue[queue, FILL])


@inner_kernel
def _enqueue(noc: NocTables, state: NocState, queue: int, node: int, send: int, ready: int) -> None:
    """Put a packet into a queue with room; it may be read from ``ready`` on."""
    place = wrapped(
        state.queue[queue, HEAD] + state.queue[queue, FILL], state.queue[queue, CAPACITY]
    )
    slot = state.queue[queue, ENTRIES] + place
    state.entry[slot, NODE] = node
    state.entry[slot, SEND] = send
    state.entry[slot, READY] = ready
    if state.queue[queue, FILL] == 0:
        schedule(noc, state, max(ready, state.queue[queue, NEXT_READ]), queue)
    state.queue[queue, FILL] += 1


@inner_kernel
def _leave(noc: NocTables, state: NocState, releases: Releases, queue: int, now: int) -> None:
    """All copies of the head are on their way: free its place and tell who waits for it."""
    state.queue[queue, HEAD] = wrapped(state.queue[queue, HEAD] + 1, state.queue[queue, CAPACITY])
    state.queue[queue, FILL] -= 1
    state.queue[queue, NEXT_READ] = now + noc.interval
    if state.queue[queue, FILL] > 0:
        ready = state.entry[state.queue[queue, ENTRIES] + state.queue[queue, HEAD], READY]
        schedule(noc, state, max(ready, state.queue[queue, NEXT_READ]), queue)
    sender = queue - noc.channels * noc.lanes
    if sender < 0:
        _wake(noc, state, queue // noc.lanes, now)
        return
    if state.sender[sender, STALLED]:
        state.sender[sender, STALLED] = 0
        planned = releases.time[state.sender[sender, RELEASED]] + state.shift[sender]
        state.shift[sender] += max(0.0, now - planned)
        schedule_release(noc, state, releases, sender, now)
        if noc.refusing and noc.channels + sender < len(state.port):
            _wake(noc, state, noc.channels + sender, now)


@inlined
def _release(noc: NocTables, state: NocState, releases: Releases, sender: int, now: int) -> None:
    """Hand the sender's next packet to its injection queue, or stall the sender."""
    queue = noc.channels * noc.lanes + sender
    if state.queue[queue, FILL] >= state.queue[queue, CAPACITY]:
        state.sender[sender, STALLED] = 1
        return
    send = int(np.int64(releases.send[state.sender[sender, RELEASED]]))
    state.sender[sender, RELEASED] += 1
    state.total[INJECTED] += 1
    _enqueue(noc, state, queue, noc.send[send, ROOT], send, now)
    state.total[PEAK_INJECTION] = max(state.total[PEAK_INJECTION], state.queue[queue, FILL])
    schedule_release(noc, state, releases, sender, now)


@inlined
def _finish(noc: NocTables, state: NocState, core: int, now: int) -> None:
    """A core has accumulated a packet; the next one leaves room in its receive queue."""
    if finish(noc, state, core):
        _wake(noc, state, noc.channels + core, now)


def waits(noc: NocTables, state: NocState) -> dict[int, list[int]]:
    """For every full channel queue, the channels its head waits for."""
    found: dict[int, list[int]] = {}
    for port in range(noc.channels):
        row = state.port[port]
        for k in range(int(row[WAITING])):
            place = row[WAITERS] + (row[WAIT_HEAD] + k) % row[WAIT_SIZE]
            channel = int(state.waiter[place, 0]) // noc.lanes
            if channel < noc.channels:
                found.setdefault(channel, []).append(port)
    return found
