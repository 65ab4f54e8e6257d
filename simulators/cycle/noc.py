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

from snnc.ir.jit import lean_kernel as kernel
from snnc.simulators.cycle.noc_tables import Float64, Int32, Int64, NocTables

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
    """What changes while packets move.

    Attributes:
        heap: event keys; ``heap_size`` [1] of them are in use.
        fill, head, next_read, pending: [queues] packets inside, ring position of the head, when
            the next head may be read, copies of the head that still wait.
        entry_node, entry_send, entry_ready: rings of the queues.
        port_free, waiting, wait_head, scheduled: [ports] time, waiters, ring position, whether an
            event is outstanding.
        waiter_queue, waiter_out: rings of the ports.
        released, stalled, shift: [senders] packets handed over, whether the next one waits, and
            units lost by waiting.
        receive_fill, receive_head, busy, receive_end: [cores]; ``receive_reach`` and
            ``receive_time`` are the rings.
        load: [ports] packets sent since the beginning of the run.
        total: counters by the constants above.
    """

    heap: Int64
    heap_size: Int64
    fill: Int64
    head: Int64
    next_read: Int64
    pending: Int64
    entry_node: Int32
    entry_send: Int32
    entry_ready: Int64
    port_free: Int64
    waiting: Int64
    wait_head: Int64
    scheduled: Int64
    waiter_queue: Int32
    waiter_out: Int32
    released: Int64
    stalled: Int64
    shift: Float64
    receive_fill: Int64
    receive_head: Int64
    busy: Int64
    receive_end: Float64
    receive_reach: Int64
    receive_time: Int64
    load: Int64
    total: Int64


def new_state(noc: NocTables) -> NocState:
    """An empty network."""
    queues, ports = noc.capacity.size, noc.latency.size
    senders, cores = queues - noc.channels, ports - noc.channels
    slots, waiters = int(noc.entry_ptr[-1]), int(noc.wait_ptr[-1])
    received = cores * noc.receive_capacity

    def zeros(size: int) -> Int64:
        return np.zeros(size, np.int64)

    return NocState(
        heap=zeros(queues + ports + senders + cores),
        heap_size=zeros(1),
        fill=zeros(queues),
        head=zeros(queues),
        next_read=zeros(queues),
        pending=zeros(queues),
        entry_node=np.zeros(slots, np.int32),
        entry_send=np.zeros(slots, np.int32),
        entry_ready=zeros(slots),
        port_free=zeros(ports),
        waiting=zeros(ports),
        wait_head=zeros(ports),
        scheduled=zeros(ports),
        waiter_queue=np.zeros(waiters, np.int32),
        waiter_out=np.zeros(waiters, np.int32),
        released=zeros(senders),
        stalled=zeros(senders),
        shift=np.zeros(senders),
        receive_fill=zeros(cores),
        receive_head=zeros(cores),
        busy=zeros(cores),
        receive_end=np.zeros(cores),
        receive_reach=zeros(received),
        receive_time=zeros(received),
        load=zeros(ports),
        total=zeros(8),
    )


@kernel
def drain(noc: NocTables, state: NocState, releases: Releases) -> int:
    """Move all packets of one tick from an empty network to an empty network.

    Returns:
        Units until the last packet has entered its last core's receive queue, or -1 when packets
        are left but nothing can move any more.
    """
    queues, ports = noc.capacity.size, noc.latency.size
    senders = queues - noc.channels
    state.total[LAST] = 0
    state.port_free[:] = 0
    state.next_read[:] = 0
    state.receive_end[:] = 0.0
    state.shift[:] = 0.0
    for sender in range(senders):
        state.released[sender] = releases.ptr[sender]
        _schedule_release(noc, state, releases, sender, 0)
    mask = (1 << noc.bits) - 1
    while state.heap_size[0] > 0:
        key = _pop(state.heap, state.heap_size)
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


@kernel
def _stuck(state: NocState, releases: Releases) -> bool:
    for sender in range(state.released.size):
        if state.released[sender] < releases.ptr[sender + 1]:
            return True
    return bool(state.fill.sum() > 0)


@kernel
def _push(heap: Int64, size: Int64, key: int) -> None:
    """Insert into a binary min-heap."""
    i = size[0]
    size[0] = i + 1
    while i > 0:
        parent = (i - 1) >> 1
        if heap[parent] <= key:
            break
        heap[i] = heap[parent]
        i = parent
    heap[i] = key


@kernel
def _pop(heap: Int64, size: Int64) -> int:
    """Remove the smallest key of a binary min-heap."""
    top = heap[0]
    n = size[0] - 1
    size[0] = n
    key = heap[n]
    i = 0
    child = 1
    while child < n:
        if child + 1 < n and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= key:
            break
        heap[i] = heap[child]
        i = child
        child = 2 * i + 1
    heap[i] = key
    return int(top)


@kernel
def _schedule(noc: NocTables, state: NocState, time: int, code: int) -> None:
    _push(state.heap, state.heap_size, (time << noc.bits) | code)


@kernel
def _has_room(noc: NocTables, state: NocState, port: int) -> bool:
    if port < noc.channels:
        return bool(state.fill[port] < noc.capacity[port])
    return bool(state.receive_fill[port - noc.channels] < noc.receive_capacity)


@kernel
def _wake(noc: NocTables, state: NocState, port: int, now: int) -> None:
    """Let the port serve its first waiter as soon as it can, unless that is already planned."""
    if state.waiting[port] > 0 and not state.scheduled[port] and _has_room(noc, state, port):
        state.scheduled[port] = 1
        _schedule(noc, state, max(now, state.port_free[port]), noc.capacity.size + port)


@kernel
def _head(noc: NocTables, state: NocState, releases: Releases, queue: int, now: int) -> None:
    """The packet at the head of a queue asks for all its outputs."""
    slot = noc.entry_ptr[queue] + state.head[queue]
    node, send = state.entry_node[slot], state.entry_send[slot]
    blocked = 0
    for out in range(noc.out_ptr[node], noc.out_ptr[node + 1]):
        port = noc.out_port[out]
        free = state.port_free[port] <= now and state.waiting[port] == 0
        if free and _has_room(noc, state, port):
            _transmit(noc, state, out, send, now)
        else:
            first = noc.wait_ptr[port]
            size = noc.wait_ptr[port + 1] - first
            place = first + (state.wait_head[port] + state.waiting[port]) % size
            state.waiter_queue[place] = queue
            state.waiter_out[place] = out
            state.waiting[port] += 1
            blocked += 1
            _wake(noc, state, port, now)
    state.pending[queue] = blocked
    if blocked == 0:
        _leave(noc, state, releases, queue, now)


@kernel
def _port(noc: NocTables, state: NocState, releases: Releases, port: int, now: int) -> None:
    """A port that is free and has room sends the copy that has waited longest."""
    state.scheduled[port] = 0
    first = noc.wait_ptr[port]
    place = first + state.wait_head[port]
    queue, out = state.waiter_queue[place], state.waiter_out[place]
    state.wait_head[port] = (state.wait_head[port] + 1) % (noc.wait_ptr[port + 1] - first)
    state.waiting[port] -= 1
    send = state.entry_send[noc.entry_ptr[queue] + state.head[queue]]
    _transmit(noc, state, out, send, now)
    state.pending[queue] -= 1
    if state.pending[queue] == 0:
        _leave(noc, state, releases, queue, now)
    _wake(noc, state, port, now)


@kernel
def _transmit(noc: NocTables, state: NocState, out: int, send: int, now: int) -> None:
    """Send one copy through its port."""
    port = noc.out_port[out]
    state.port_free[port] = now + noc.spacing[port]
    state.load[port] += 1
    if port >= noc.channels:
        reach = noc.reach_ptr[send] + noc.out_delivery[out]
        _receive(noc, state, port - noc.channels, reach, now)
        return
    state.total[HOPS] += 1
    ready = now + noc.latency[port]
    _enqueue(noc, state, port, noc.out_node[out], send, ready)
    state.total[PEAK_CHANNEL] = max(state.total[PEAK_CHANNEL], state.fill[port])


@kernel
def _enqueue(noc: NocTables, state: NocState, queue: int, node: int, send: int, ready: int) -> None:
    """Put a packet into a queue with room; it may be read from ``ready`` on."""
    slot = noc.entry_ptr[queue] + (state.head[queue] + state.fill[queue]) % noc.capacity[queue]
    state.entry_node[slot] = node
    state.entry_send[slot] = send
    state.entry_ready[slot] = ready
    if state.fill[queue] == 0:
        _schedule(noc, state, max(ready, state.next_read[queue]), queue)
    state.fill[queue] += 1


@kernel
def _leave(noc: NocTables, state: NocState, releases: Releases, queue: int, now: int) -> None:
    """All copies of the head are on their way: free its place and tell who waits for it."""
    state.head[queue] = (state.head[queue] + 1) % noc.capacity[queue]
    state.fill[queue] -= 1
    state.next_read[queue] = now + noc.interval
    if state.fill[queue] > 0:
        ready = state.entry_ready[noc.entry_ptr[queue] + state.head[queue]]
        _schedule(noc, state, max(ready, state.next_read[queue]), queue)
    if queue < noc.channels:
        _wake(noc, state, queue, now)
        return
    sender = queue - noc.channels
    if state.stalled[sender]:
        state.stalled[sender] = 0
        planned = releases.time[state.released[sender]] + state.shift[sender]
        state.shift[sender] += max(0.0, now - planned)
        _schedule_release(noc, state, releases, sender, now)


@kernel
def _schedule_release(
    noc: NocTables, state: NocState, releases: Releases, sender: int, now: int
) -> None:
    i = state.released[sender]
    if i < releases.ptr[sender + 1]:
        ready = math.ceil(releases.time[i] + state.shift[sender])
        code = noc.capacity.size + noc.latency.size + sender
        _schedule(noc, state, max(now, ready), code)


@kernel
def _release(noc: NocTables, state: NocState, releases: Releases, sender: int, now: int) -> None:
    """Hand the sender's next packet to its injection queue, or stall the sender."""
    queue = noc.channels + sender
    if state.fill[queue] >= noc.capacity[queue]:
        state.stalled[sender] = 1
        return
    send = releases.send[state.released[sender]]
    state.released[sender] += 1
    state.total[INJECTED] += 1
    _enqueue(noc, state, queue, noc.send_node[send], send, now)
    state.total[PEAK_INJECTION] = max(state.total[PEAK_INJECTION], state.fill[queue])
    _schedule_release(noc, state, releases, sender, now)


@kernel
def _receive(noc: NocTables, state: NocState, core: int, reach: int, now: int) -> None:
    """A packet enters a core: it is looked up at once, or waits in the receive queue."""
    state.total[DELIVERED] += 1
    state.total[LAST] = max(state.total[LAST], now)
    if not state.busy[core]:
        _serve(noc, state, core, reach, now)
        return
    first = core * noc.receive_capacity
    place = first + (state.receive_head[core] + state.receive_fill[core]) % noc.receive_capacity
    state.receive_reach[place] = reach
    state.receive_time[place] = now
    state.receive_fill[core] += 1
    state.total[PEAK_RECEIVE] = max(state.total[PEAK_RECEIVE], state.receive_fill[core])


@kernel
def _serve(noc: NocTables, state: NocState, core: int, reach: int, arrived: int) -> None:
    state.busy[core] = 1
    state.receive_end[core] = max(state.receive_end[core], arrived) + noc.service[reach]
    code = noc.capacity.size * 2 - noc.channels + noc.latency.size + core
    _schedule(noc, state, math.ceil(state.receive_end[core]), code)


@kernel
def _finish(noc: NocTables, state: NocState, core: int, now: int) -> None:
    """A core has accumulated a packet and takes the next one from its receive queue."""
    state.busy[core] = 0
    if state.receive_fill[core] == 0:
        return
    place = core * noc.receive_capacity + state.receive_head[core]
    state.receive_head[core] = (state.receive_head[core] + 1) % noc.receive_capacity
    state.receive_fill[core] -= 1
    _serve(noc, state, core, state.receive_reach[place], state.receive_time[place])
    _wake(noc, state, noc.channels + core, now)
