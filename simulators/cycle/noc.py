"""Event-driven network-on-chip with finite buffers, in global time order.

Every directed channel ends in an input queue of a router, or in one per lane.  The packet at the
head of a queue asks for all the outputs its multicast tree has at this router; each copy leaves on
its own as soon as its port is free and there is room behind it, and the packet leaves the queue
when the last copy has.  Room is counted when a packet is sent, so a queue can never overflow, and
given back without delay.  Waiting queues are served in the order in which they asked, but one whose
lane has no room does not hold back those of other lanes.

There are two kinds of events, at most one outstanding per place: the head of a queue is ready,
and a port may send.  Equal times have one order, queues first, so a run is reproducible.  Events
lie in a wheel of buckets, one per unit of time; those too far ahead wait in a heap.  Those of the
present time are bits, of which the lowest is the next: a large machine has many.

Senders and receivers need no events, because both are served first come, first served.  When a
packet gets to the head of an injection queue, it is known when all before it left, so also when
there was room for it and how long its sender had to wait.  When a packet enters a core, it is
known when the core will begin with it, and give back its place.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from snnc.ir.jit import inlined, inner_kernel, lean_kernel, lowest_bit
from snnc.simulators.cycle.ends import (
    ARRIVALS,
    COUNTERS,
    DELIVERED,
    EVENTS,
    HOPS,
    INJECTED,
    LAST,
    PEAK_CHANNEL,
    PEAK_INJECTION,
    PEAK_RECEIVE,
    Releases,
    pop,
    push,
    wrapped,
)
from snnc.simulators.cycle.noc_tables import REACH, ROOT, Buffers, Float64, Int64, NocTables


class NocState(NamedTuple):
    """What changes while packets move: few arrays with one row per place, because every array
    of a kernel's argument costs compile time.

    Attributes:
        heap: keys of events beyond the wheel, ``time << bits | code``; ``heap[0]`` is how many.
        wheel: [buckets] first event of this unit of time, -1: none.
        link: [queues + ports] next event of the bucket, by code.
        due: [3, (queues + ports) / 64] the events of the present time: a bit per code; a bit per
            word of these that is not 0; a bit per word of those.
        now: time; events in the wheel and due; how many are in ``todo``, of events and of ports.
        todo: [copies of one packet + 4, 3] events to plan (time, code); ports to wake.
        queue: [queues, 6] packets inside, ring position of the head, when the next head may be
            read, copies of the head that still wait; first entry and capacity of its ring.  Of an
            injection queue only the head is inside.
        entry: [entries, 3] tree node, send, time from which it may be read.
        port: [ports, 8] time from which it is free, waiters, ring position, whether an event is
            outstanding; first waiter and capacity of its ring; latency, spacing.
        waiter: [waiters, 2] queue and output that wait.
        sender: [senders, 2] packets that got to the head, and how many of them had left when the
            last one was handed over.
        left: [senders, injection capacity] when the last packets left their injection queue.
        shift: [senders] units lost by waiting.
        core: [cores, 2] packets in the receive queue, ring position.
        begin: [cores, receive capacity] when the core begins with each of them.
        receive_end: [cores] units until the core is done.
        work: [cores] units the core was looking up and accumulating.
        load: [ports] packets sent since the beginning of the run.
        total: counters by the constants of ``ends``.
    """

    heap: Int64
    wheel: Int64
    link: Int64
    due: npt.NDArray[np.uint64]
    now: Int64
    todo: Int64
    queue: Int64
    entry: Int64
    port: Int64
    waiter: Int64
    sender: Int64
    left: Int64
    shift: Float64
    core: Int64
    begin: Int64
    receive_end: Float64
    work: Float64
    load: Int64
    total: Int64


FILL, HEAD, NEXT_READ, PENDING, ENTRIES, CAPACITY = range(6)
NODE, SEND, READY = range(3)
FREE, WAITING, WAIT_HEAD, SCHEDULED, WAITERS, WAIT_SIZE, LATENCY, SPACING = range(8)
PORT, NEXT, DELIVERY, LANE = range(4)
TIME, PLANNED, TODO, WAKES = range(4)
AT, CODE, WOKEN = range(3)
REACHED, GONE = range(2)
CORE_FILL, CORE_HEAD = range(2)
BUCKETS = 1024
NEVER = 1 << 60


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
    queue[noc.channels * noc.lanes :, CAPACITY] = 1
    queue[1:, ENTRIES] = np.cumsum(queue[:-1, CAPACITY])
    port[1:, WAITERS] = np.cumsum(buffers.contenders)[:-1]
    port[:, LATENCY], port[:, SPACING] = buffers.latency, buffers.spacing
    return NocState(
        heap=zeros(queues + ports + 1),
        wheel=np.full(BUCKETS, -1, np.int64),
        link=zeros(queues + ports),
        due=np.zeros((3, -(-(queues + ports) // 64)), np.uint64),
        now=zeros(4),
        todo=zeros(int(np.diff(noc.out_ptr).max(initial=1)) + 4, 3),
        queue=queue,
        entry=zeros(int(queue[:, CAPACITY].sum()), 3),
        port=port,
        waiter=zeros(int(buffers.contenders.sum()), 2),
        sender=zeros(senders, 2),
        left=zeros(senders, int(buffers.capacity[noc.channels :].max(initial=1))),
        shift=np.zeros(senders),
        core=zeros(cores, 2),
        begin=zeros(cores, noc.receive_capacity),
        receive_end=np.zeros(cores),
        work=np.zeros(cores),
        load=zeros(ports),
        total=zeros(COUNTERS),
    )


@lean_kernel
def drain(noc: NocTables, state: NocState, releases: Releases) -> int:
    """Move all packets of one tick from an empty network to an empty network.

    One function with its parts inlined: a call with a state of so many arrays costs more than an
    event.

    Returns:
        Units until the last packet has entered its last core's receive queue, or -1 when packets
        are left but nothing can move any more.
    """
    _restart(noc, state, releases)
    queue, port, clock, total = state.queue, state.port, state.now, state.total
    queues, injection = len(queue), noc.channels * noc.lanes
    while _seek(noc, state):
        now = clock[TIME]
        _fall_due(state, now & (BUCKETS - 1))
        while True:
            code = _next_due(state)
            if code < 0:
                break
            clock[PLANNED] -= 1
            total[EVENTS] += 1
            # What this event plans, and the ports that may have to be woken.
            clock[TODO] = 0
            clock[WAKES] = 0
            served = code - queues
            if served >= 0:  # the copy that has waited longest at this port
                waits = port[np.uint64(served)]
                waits[SCHEDULED] = 0
                if noc.lanes > 1:
                    _bring_forward(noc, state, served)
                place = waits[WAITERS] + waits[WAIT_HEAD]
                waits[WAIT_HEAD] = wrapped(waits[WAIT_HEAD] + 1, waits[WAIT_SIZE])
                waits[WAITING] -= 1
                waiter = state.waiter[np.uint64(place)]
                here, first = waiter[0], waiter[1]
                last, left = first + 1, queue[here, PENDING] - 1
            elif queue[code, FILL] == 0:  # a sender begins
                here, first, last, left = code, 0, 0, 1
                _hand_over(noc, state, releases, code - injection, now)
            else:  # all copies of a head
                here, left = code, 0
                node = state.entry[queue[code, ENTRIES] + queue[code, HEAD], NODE]
                first, last = noc.out_ptr[node], noc.out_ptr[node + 1]
            # Unsigned numbers spare the test for indices that count from the end.
            row = queue[np.uint64(here)]
            head = state.entry[np.uint64(row[ENTRIES] + row[HEAD])]
            for out in range(first, last):
                number = noc.out[np.uint64(out), PORT]
                way = port[np.uint64(number)]
                # A port without an event has no waiter that could send.
                free = way[FREE] <= now and (served >= 0 or way[SCHEDULED] == 0)
                if free and _has_room(noc, state, number, noc.out[np.uint64(out), LANE], now):
                    _transmit(noc, state, out, number, head[SEND], now)
                else:
                    place = way[WAITERS] + wrapped(way[WAIT_HEAD] + way[WAITING], way[WAIT_SIZE])
                    waiter = state.waiter[np.uint64(place)]
                    waiter[0] = here
                    waiter[1] = out
                    way[WAITING] += 1
                    left += 1
                    _note_wake(state, number)
            if last > first:
                row[PENDING] = left
            if served >= 0:
                _note_wake(state, served)
            if left == 0:
                _leave(noc, state, releases, here, now)
            for i in range(clock[WAKES]):
                _wake(noc, state, state.todo[i, WOKEN], now)
            for i in range(clock[TODO]):
                _plan(noc, state, state.todo[i, AT], state.todo[i, CODE])
        clock[TIME] = now + 1
    return -1 if _stuck(state) else int(total[LAST])


@inlined
def _restart(noc: NocTables, state: NocState, releases: Releases) -> None:
    """Begin a tick: forget the times of the one before; senders with packets begin."""
    # Loops, because an assignment to a slice takes Numba much longer to compile.
    state.now[TIME] = 0
    state.total[LAST] = 0
    for port in range(len(state.port)):
        state.port[port, FREE] = 0
    for queue in range(len(state.queue)):
        state.queue[queue, NEXT_READ] = 0
    for core in range(state.receive_end.size):
        state.receive_end[core] = 0.0
        state.work[core] = 0.0
        state.core[core, CORE_FILL] = 0
    for sender in range(len(state.sender) - 1, -1, -1):
        state.shift[sender] = 0.0
        state.sender[sender, REACHED] = 0
        state.sender[sender, GONE] = 0
        if releases.ptr[sender] < releases.ptr[sender + 1]:
            code = noc.channels * noc.lanes + sender
            state.link[code] = state.wheel[0]
            state.wheel[0] = code
            state.now[PLANNED] += 1


@inlined
def _stuck(state: NocState) -> bool:
    """Whether packets are left; of an injection queue the head is, as long as it has any."""
    inside = 0
    for queue in range(len(state.queue)):
        inside += state.queue[queue, FILL]
    return inside > 0


@inlined
def _seek(noc: NocTables, state: NocState) -> bool:
    """Go to the time of the next events; False when there are none."""
    clock, heap, wheel = state.now, state.heap, state.wheel
    far = heap[1] >> noc.bits if heap[0] > 0 else NEVER
    now = clock[TIME]
    if clock[PLANNED] == 0:
        now = far
    while now < far and wheel[now & (BUCKETS - 1)] < 0:
        now += 1
    clock[TIME] = now
    mask = (1 << noc.bits) - 1
    while heap[0] > 0 and heap[1] >> noc.bits == now:
        key = pop(heap)
        _plan(noc, state, now, key & mask)
    return bool(now < NEVER)


@inlined
def _plan(noc: NocTables, state: NocState, time: int, code: int) -> None:
    """Put an event into its bucket, or among those that are due, or into the heap."""
    ahead = time - state.now[TIME]
    if ahead >= BUCKETS:
        push(state.heap, (time << noc.bits) | code)
    else:
        state.now[PLANNED] += 1
        if ahead == 0:
            _mark(state, code)
        else:
            bucket = np.uint64(time & (BUCKETS - 1))
            state.link[code] = state.wheel[bucket]
            state.wheel[bucket] = code


@inlined
def _mark(state: NocState, code: int) -> None:
    """Put an event among those that are due."""
    place = np.uint64(code)
    for level in range(3):
        word = place >> np.uint64(6)
        state.due[level, word] |= np.uint64(1) << (place & np.uint64(63))
        place = word


@inlined
def _fall_due(state: NocState, bucket: int) -> None:
    """Put all events of a bucket among those that are due."""
    code = state.wheel[bucket]
    state.wheel[bucket] = -1
    while code >= 0:
        _mark(state, code)
        code = state.link[code]


@inlined
def _next_due(state: NocState) -> int:
    """Take out the lowest code of those that are due; -1: there are none."""
    due, code = state.due, int(np.int64(-1))
    for top in range((due.shape[1] >> 12) + 1):
        if due[2, top] != 0:
            middle = (np.uint64(top) << np.uint64(6)) | lowest_bit(due[2, top])
            word = (middle << np.uint64(6)) | lowest_bit(due[1, middle])
            bits = due[0, word]
            code = int(np.int64((word << np.uint64(6)) | lowest_bit(bits)))
            due[0, word] = bits & (bits - np.uint64(1))
            if due[0, word] == 0:
                due[1, middle] &= due[1, middle] - np.uint64(1)
                if due[1, middle] == 0:
                    due[2, top] &= due[2, top] - np.uint64(1)
            break
    return code


@inlined
def _note_wake(state: NocState, port: int) -> None:
    """Someone may wait at this port, and may go on."""
    way = state.port[np.uint64(port)]
    if way[WAITING] > 0 and not way[SCHEDULED]:
        state.todo[state.now[WAKES], WOKEN] = port
        state.now[WAKES] += 1


@inlined
def _note_event(state: NocState, time: int, code: int) -> None:
    state.todo[state.now[TODO], AT] = time
    state.todo[state.now[TODO], CODE] = code
    state.now[TODO] += 1


@inlined
def _has_room(noc: NocTables, state: NocState, port: int, lane: int, now: int) -> bool:
    if port < noc.channels:
        queue = port * noc.lanes + lane
        return bool(state.queue[queue, FILL] < state.queue[queue, CAPACITY])
    return _waiting(noc, state, port - noc.channels, now) < noc.receive_capacity


@inner_kernel
def _first_with_room(noc: NocTables, state: NocState, port: int) -> int:
    """How many waiters of a channel come before the first whose lane has room; -1: none has."""
    way = state.port[port]
    waiting = way[WAITING] if noc.lanes > 1 else min(way[WAITING], 1)
    for k in range(waiting):
        out = state.waiter[way[WAITERS] + wrapped(way[WAIT_HEAD] + k, way[WAIT_SIZE]), 1]
        queue = port * noc.lanes + noc.out[out, LANE]
        if state.queue[queue, FILL] < state.queue[queue, CAPACITY]:
            return k
    return -1


@inner_kernel
def _bring_forward(noc: NocTables, state: NocState, port: int) -> None:
    """Put the first waiter whose lane has room ahead of the others, which keep their order."""
    if port >= noc.channels:
        return
    way = state.port[port]
    k = _first_with_room(noc, state, port)
    while k > 0:
        here = way[WAITERS] + wrapped(way[WAIT_HEAD] + k, way[WAIT_SIZE])
        ahead = way[WAITERS] + wrapped(way[WAIT_HEAD] + k - 1, way[WAIT_SIZE])
        for column in range(2):
            kept = state.waiter[here, column]
            state.waiter[here, column] = state.waiter[ahead, column]
            state.waiter[ahead, column] = kept
        k -= 1


@inlined
def _waiting(noc: NocTables, state: NocState, core: int, now: int) -> int:
    """Packets in the receive queue: those the core has not begun with."""
    row, begin = state.core[np.uint64(core)], state.begin[np.uint64(core)]
    while row[CORE_FILL] > 0 and begin[np.uint64(row[CORE_HEAD])] <= now:
        row[CORE_FILL] -= 1
        row[CORE_HEAD] = wrapped(row[CORE_HEAD] + 1, noc.receive_capacity)
    return int(row[CORE_FILL])


@inlined
def _wake(noc: NocTables, state: NocState, port: int, now: int) -> None:
    """Let the port serve its first waiter as soon as it can, unless that is already planned.

    When a core will have room is known now; a queue will tell.
    """
    way = state.port[np.uint64(port)]
    at = max(now, way[FREE])
    if port < noc.channels:
        room = _first_with_room(noc, state, port) >= 0
    else:
        room = _has_room(noc, state, port, int(np.int64(0)), now)
    if not room and port >= noc.channels:
        core = port - noc.channels
        at = max(at, state.begin[core, state.core[core, CORE_HEAD]])
    if (room or port >= noc.channels) and not way[SCHEDULED]:
        way[SCHEDULED] = 1
        _note_event(state, at, len(state.queue) + port)


@inlined
def _transmit(noc: NocTables, state: NocState, out: int, port: int, send: int, now: int) -> None:
    """Send one copy through its port."""
    way, total = state.port[np.uint64(port)], state.total
    way[FREE] = now + way[SPACING]
    state.load[port] += 1
    if port >= noc.channels:
        _receive(
            noc, state, port - noc.channels, noc.send[send, REACH] + noc.out[out, DELIVERY], now
        )
    else:
        total[HOPS] += 1
        queue = port * noc.lanes + noc.out[out, LANE]
        _enqueue(state, queue, noc.out[out, NEXT], send, now + way[LATENCY])
        total[PEAK_CHANNEL] = max(total[PEAK_CHANNEL], state.queue[queue, FILL])


@inlined
def _receive(noc: NocTables, state: NocState, core: int, reach: int, now: int) -> None:
    """A packet enters a core with room: the core begins with it when all before it are done."""
    total, service = state.total, noc.service[reach]
    total[DELIVERED] += 1
    total[LAST] = max(total[LAST], now)
    total[ARRIVALS] += now
    begin = max(state.receive_end[core], float(now))
    state.receive_end[core] = begin + service
    state.work[core] += service
    if begin > now:
        row = state.core[core]
        fill = _waiting(noc, state, core, now)
        state.begin[core, wrapped(row[CORE_HEAD] + fill, noc.receive_capacity)] = math.ceil(begin)
        row[CORE_FILL] = fill + 1
        total[PEAK_RECEIVE] = max(total[PEAK_RECEIVE], fill + 1)


@inlined
def _enqueue(state: NocState, queue: int, node: int, send: int, ready: int) -> None:
    """Put a packet into a queue with room; it may be read from ``ready`` on."""
    row = state.queue[np.uint64(queue)]
    slot = row[ENTRIES] + wrapped(row[HEAD] + row[FILL], row[CAPACITY])
    entry = state.entry[np.uint64(slot)]
    entry[NODE] = node
    entry[SEND] = send
    entry[READY] = ready
    if row[FILL] == 0:
        _note_event(state, max(ready, row[NEXT_READ]), queue)
    row[FILL] += 1


@inlined
def _leave(noc: NocTables, state: NocState, releases: Releases, queue: int, now: int) -> None:
    """All copies of the head are on their way: free its place and tell who waits for it."""
    row = state.queue[np.uint64(queue)]
    row[HEAD] = wrapped(row[HEAD] + 1, row[CAPACITY])
    row[FILL] -= 1
    row[NEXT_READ] = now + noc.interval
    if queue >= noc.channels * noc.lanes:
        sender = queue - noc.channels * noc.lanes
        state.left[sender, (state.sender[sender, REACHED] - 1) % state.left.shape[1]] = now
        _hand_over(noc, state, releases, sender, now)
    else:
        if row[FILL] > 0:
            ready = state.entry[np.uint64(row[ENTRIES] + row[HEAD]), READY]
            _note_event(state, max(ready, row[NEXT_READ]), queue)
        _note_wake(state, queue // noc.lanes)


@inlined
def _hand_over(noc: NocTables, state: NocState, releases: Releases, sender: int, now: int) -> None:
    """The sender's next packet gets to the head of its injection queue, if there is one.

    It was handed over when it was ready and there was room: the packet that had been the first of
    a full queue had left.  The sender waited in between, and all it does later is late by that.
    """
    mine, left = state.sender[sender], state.left[sender]
    number, capacity = mine[REACHED], state.left.shape[1]
    i = releases.ptr[sender] + number
    if i < releases.ptr[sender + 1]:
        planned = releases.time[i] + state.shift[sender]
        ready = math.ceil(planned)
        room = left[number % capacity] if number >= capacity else 0
        if room > ready:
            ready = room
            state.shift[sender] += room - planned
        while mine[GONE] < number and left[mine[GONE] % capacity] <= ready:
            mine[GONE] += 1
        state.total[PEAK_INJECTION] = max(state.total[PEAK_INJECTION], number - mine[GONE] + 1)
        mine[REACHED] = number + 1
        state.total[INJECTED] += 1
        send = int(np.int64(releases.send[i]))
        _enqueue(
            state, noc.channels * noc.lanes + sender, noc.send[send, ROOT], send, max(ready, now)
        )


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
