"""Network-on-chip cycle by cycle: input-buffered routers, credits, virtual channels.

A packet is one flit.  In every cycle each router

1. lets the head of every queue ask for those outputs of its multicast tree that it still lacks,
   whose port is free and behind which there is a credit (room at the beginning of the cycle);
2. grants each output to one of the queues that ask, round robin, and accepts the grants unless
   another virtual channel of the same input was faster (output-first allocation, one iteration);
3. sends the flits, each into the emptiest virtual channel of its class at the far end; it may be
   read there after the hop's latency, and its own place is free from the next cycle on.

Trees and classes of virtual channels are the deployment's.  Queues whose head is still on the wire
sleep in a wheel of buckets, one per unit of time; stretches of time in which nothing can change
are skipped.  When nothing can ever change and flits are left, the routing has deadlocked.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from snnc.ir.jit import inlined, inner_kernel, lean_kernel
from snnc.simulators.cycle.ends import (
    CORE_FILL,
    EVENTS,
    HOPS,
    INJECTED,
    LAST,
    PEAK_CHANNEL,
    PEAK_INJECTION,
    RELEASED,
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
from snnc.simulators.cycle.noc_tables import REACH, ROOT, Float64, Int64, NocTables

FILL, HEAD, ENTRIES, CAPACITY, LEFT, PLACE, LINK, RANK, INPUT = range(9)
NODE, SEND, READY = range(3)
FREE, LATENCY, SPACING, POINTER, CONTENDERS, ASKED, BEST, BEST_OUT, BEST_TURN = range(9)
PORT, NEXT, DELIVERY, LANE = range(4)
LAST_READ, LAST_QUEUE = range(2)
ACTIVE, TOUCHED, ASLEEP = range(3)
NEVER = 1 << 60


class FlitState(NamedTuple):
    """What changes while flits move; ``ends.Ends`` explains the arrays not listed here.

    Queue ``channel * lanes + v`` is virtual channel v at the far end of a channel;
    the injection queues of the senders follow.  Inputs are channels, then senders.

    Attributes:
        lanes: virtual channels per channel.
        share: of those, how many a class of virtual channels has.
        queue: [queues, 9] flits inside; ring position of the head; first entry and capacity of
            its ring; outputs the head lacks; place among the active (-1: none); next queue in its
            bucket of the wheel; turn at its router; input it belongs to.
        sent: [queues, outputs of one node] whether the head has left through this output.
        entry: [entries, 3] tree node, send, time from which it may be read.
        port: [ports, 9] time from which it is free; latency, spacing; turn that comes first and
            number of turns; time at which it was last asked, by which queue, for which output,
            and how late that queue's turn is.
        input: [inputs, 2] when it was last read, and which of its queues.
        active: [queues] queues whose head may be read, in any order.
        touched: [ports] ports asked in this cycle.
        wheel: [buckets] first queue that wakes in this unit of time, -1: none.
        length: active queues, touched ports, sleeping queues.
    """

    lanes: int
    share: int
    heap: Int64
    queue: Int64
    sent: Int64
    entry: Int64
    port: Int64
    input: Int64
    active: Int64
    touched: Int64
    wheel: Int64
    length: Int64
    sender: Int64
    shift: Float64
    core: Int64
    received: Int64
    receive_end: Float64
    work: Float64
    load: Int64
    total: Int64


@lean_kernel
def drain(noc: NocTables, state: FlitState, releases: Releases) -> int:
    """Move all packets of one tick from an empty network to an empty network.

    Returns:
        Units until the last packet has entered its last core's receive queue, or -1 when packets
        are left but nothing can move any more.
    """
    _restart(state, releases)
    for sender in range(len(state.sender)):
        schedule_release(noc, state, releases, sender, int(np.int64(0)))
    now = int(np.int64(0))
    while now < NEVER:
        _events(noc, state, releases, now)
        _wake(noc, state, releases, now)
        soonest = _request(noc, state, now)
        granted = _grant(noc, state, releases, now)
        now = now + 1 if granted > 0 else _next(noc, state, soonest, now)
    if releases.send.size and _stuck(state, releases):
        return -1
    return int(state.total[LAST])


@inlined
def _restart(state: FlitState, releases: Releases) -> None:
    """Begin a tick; see ``restart_ends``."""
    for port in range(len(state.port)):
        state.port[port, FREE] = 0
        state.port[port, ASKED] = -1
    for i in range(len(state.input)):
        state.input[i, LAST_READ] = -NEVER
    restart_ends(state, releases)


@inlined
def _stuck(state: FlitState, releases: Releases) -> bool:
    return state.length[ACTIVE] > 0 or unsent(state, releases)


@inlined
def _next(noc: NocTables, state: FlitState, soonest: int, now: int) -> int:
    """The first time after ``now`` at which anything can change."""
    if state.heap[0] > 0:
        soonest = min(soonest, max(now + 1, state.heap[1] >> noc.bits))
    if state.length[ASLEEP] > 0:
        mask, later = state.wheel.size - 1, now + 1
        while later < soonest and state.wheel[later & mask] < 0:
            later += 1
        soonest = later
    return soonest


@inlined
def _events(noc: NocTables, state: FlitState, releases: Releases, now: int) -> None:
    """Senders hand over what is due, cores take their next packet, far flits arrive."""
    first_sender = len(state.queue) + len(state.port)
    first_core = first_sender + len(state.sender)
    mask = (1 << noc.bits) - 1
    while state.heap[0] > 0 and state.heap[1] >> noc.bits <= now:
        code = pop(state.heap) & mask
        state.total[EVENTS] += 1
        if code < len(state.queue):
            _sleep(noc, state, code, now, now)
        elif code >= first_core:
            finish(noc, state, code - first_core)
        else:
            _release(noc, state, releases, code - first_sender, now)


@inlined
def _release(noc: NocTables, state: FlitState, releases: Releases, sender: int, now: int) -> None:
    """Hand the sender's next packet to its injection queue, or stall the sender."""
    queue = len(state.queue) - len(state.sender) + sender
    if state.queue[queue, FILL] >= state.queue[queue, CAPACITY]:
        state.sender[sender, STALLED] = 1
        return
    send = int(np.int64(releases.send[state.sender[sender, RELEASED]]))
    state.sender[sender, RELEASED] += 1
    state.total[INJECTED] += 1
    _enqueue(noc, state, queue, noc.send[send, ROOT], send, now, now)
    state.total[PEAK_INJECTION] = max(state.total[PEAK_INJECTION], state.queue[queue, FILL])
    schedule_release(noc, state, releases, sender, now)


@inner_kernel
def _enqueue(
    noc: NocTables, state: FlitState, queue: int, node: int, send: int, ready: int, now: int
) -> None:
    """Put a flit into a queue with room; it may be read from ``ready`` on."""
    row = state.queue[queue]
    slot = row[ENTRIES] + wrapped(row[HEAD] + row[FILL], row[CAPACITY])
    state.entry[slot, NODE] = node
    state.entry[slot, SEND] = send
    state.entry[slot, READY] = ready
    row[FILL] += 1
    if row[FILL] == 1:
        last = state.input[row[INPUT], LAST_READ]
        own = state.input[row[INPUT], LAST_QUEUE] == queue
        _sleep(noc, state, queue, max(ready, last + noc.interval) if own else ready, now)


@inner_kernel
def _sleep(noc: NocTables, state: FlitState, queue: int, until: int, now: int) -> None:
    """Wake the queue at this time: by the wheel, or by an event when one turn is too short."""
    if until - now >= state.wheel.size:
        schedule(noc, state, until, queue)
        return
    bucket = until & (state.wheel.size - 1)
    state.queue[queue, LINK] = state.wheel[bucket]
    state.wheel[bucket] = queue
    state.length[ASLEEP] += 1


@inlined
def _wake(noc: NocTables, state: FlitState, releases: Releases, now: int) -> None:
    """Heads that may be read from now on."""
    bucket = now & (state.wheel.size - 1)
    queue = state.wheel[bucket]
    state.wheel[bucket] = -1
    while queue >= 0:
        row = state.queue[queue]
        following = row[LINK]
        state.length[ASLEEP] -= 1
        node = state.entry[row[ENTRIES] + row[HEAD], NODE]
        outputs = noc.out_ptr[node + 1] - noc.out_ptr[node]
        for out in range(outputs):
            state.sent[queue, out] = 0
        row[LEFT] = outputs
        row[PLACE] = state.length[ACTIVE]
        state.active[state.length[ACTIVE]] = queue
        state.length[ACTIVE] += 1
        if outputs == 0:
            _leave(noc, state, releases, queue, now)
        queue = following


@inlined
def _request(noc: NocTables, state: FlitState, now: int) -> int:
    """Every active head asks for its outputs; returns when the first busy port is free again."""
    soonest = NEVER
    state.length[TOUCHED] = 0
    for k in range(state.length[ACTIVE]):
        queue = state.active[k]
        row = state.queue[queue]
        again = _again(noc, state, row[INPUT], queue)
        if again > now:
            soonest = min(soonest, again)
            continue
        node = state.entry[row[ENTRIES] + row[HEAD], NODE]
        first = noc.out_ptr[node]
        for out in range(first, noc.out_ptr[node + 1]):
            if state.sent[queue, out - first]:
                continue
            number = noc.out[out, PORT]
            port = state.port[number]
            if port[FREE] > now:
                soonest = min(soonest, port[FREE])
            elif has_room(noc, state, number, noc.out[out, LANE]):
                turn = row[RANK] - port[POINTER]
                if turn < 0:
                    turn += port[CONTENDERS]
                if port[ASKED] != now:
                    state.touched[state.length[TOUCHED]] = number
                    state.length[TOUCHED] += 1
                elif turn >= port[BEST_TURN]:
                    continue
                port[ASKED] = now
                port[BEST] = queue
                port[BEST_OUT] = out
                port[BEST_TURN] = turn
    return soonest


@inlined
def _again(noc: NocTables, state: FlitState, i: int, queue: int) -> int:
    """When this queue may use its input, which passes one flit at a time of one queue."""
    if state.input[i, LAST_QUEUE] == queue:
        return int(np.int64(0))
    return int(state.input[i, LAST_READ] + noc.interval)


@inner_kernel
def has_room(noc: NocTables, state: FlitState, port: int, lane: int) -> bool:
    """Whether there is a credit for this class of the port."""
    if port >= noc.channels:
        core = port - noc.channels
        if noc.refusing and state.sender[core, STALLED]:
            return False
        return bool(state.core[core, CORE_FILL] < noc.receive_capacity)
    first = port * state.lanes + lane * state.share
    for queue in range(first, first + state.share):
        if state.queue[queue, FILL] < state.queue[queue, CAPACITY]:
            return True
    return False


@inlined
def _grant(noc: NocTables, state: FlitState, releases: Releases, now: int) -> int:
    """Every asked port takes the flit whose turn is next; returns how many moved."""
    moved = 0
    for k in range(state.length[TOUCHED]):
        number = state.touched[k]
        port = state.port[number]
        queue, out = port[BEST], port[BEST_OUT]
        row = state.queue[queue]
        if _again(noc, state, row[INPUT], queue) > now:
            continue
        moved += 1
        slot = row[ENTRIES] + row[HEAD]
        node, send = state.entry[slot, NODE], state.entry[slot, SEND]
        state.input[row[INPUT], LAST_READ] = now
        state.input[row[INPUT], LAST_QUEUE] = queue
        port[POINTER] = wrapped(row[RANK] + 1, port[CONTENDERS])
        port[FREE] = now + port[SPACING]
        _transmit(noc, state, number, out, send, now)
        state.sent[queue, out - noc.out_ptr[node]] = 1
        row[LEFT] -= 1
        if row[LEFT] == 0:
            _leave(noc, state, releases, queue, now)
    return moved


@inlined
def _transmit(noc: NocTables, state: FlitState, port: int, out: int, send: int, now: int) -> None:
    """Send one copy through its port."""
    state.load[port] += 1
    if port >= noc.channels:
        reach = noc.send[send, REACH] + noc.out[out, DELIVERY]
        receive(noc, state, port - noc.channels, reach, now)
        return
    state.total[HOPS] += 1
    first = port * state.lanes + noc.out[out, LANE] * state.share
    queue = first
    for other in range(first + 1, first + state.share):
        if state.queue[other, FILL] < state.queue[queue, FILL]:
            queue = other
    _enqueue(noc, state, queue, noc.out[out, NEXT], send, now + state.port[port, LATENCY], now)
    state.total[PEAK_CHANNEL] = max(state.total[PEAK_CHANNEL], state.queue[queue, FILL])


@inner_kernel
def _leave(noc: NocTables, state: FlitState, releases: Releases, queue: int, now: int) -> None:
    """All copies of the head are on their way: free its place, let a stalled sender go on."""
    row = state.queue[queue]
    row[HEAD] = wrapped(row[HEAD] + 1, row[CAPACITY])
    row[FILL] -= 1
    state.length[ACTIVE] -= 1
    moved = state.active[state.length[ACTIVE]]
    state.active[row[PLACE]] = moved
    state.queue[moved, PLACE] = row[PLACE]
    if row[FILL] > 0:
        ready = state.entry[row[ENTRIES] + row[HEAD], READY]
        _sleep(noc, state, queue, max(ready, now + noc.interval), now)
    sender = queue - len(state.queue) + len(state.sender)
    if sender >= 0 and state.sender[sender, STALLED]:
        state.sender[sender, STALLED] = 0
        planned = releases.time[state.sender[sender, RELEASED]] + state.shift[sender]
        state.shift[sender] += max(0.0, now + 1 - planned)
        schedule_release(noc, state, releases, sender, now + 1)


def waits(noc: NocTables, state: FlitState) -> dict[int, list[int]]:
    """For every channel with a blocked head, the channels that it waits for."""
    found: dict[int, list[int]] = {}
    for queue in sorted(state.active[: state.length[ACTIVE]].tolist()):
        channel = queue // state.lanes
        row = state.queue[queue]
        node = state.entry[row[ENTRIES] + row[HEAD], NODE]
        first, last = noc.out_ptr[node : node + 2]
        lacking = np.flatnonzero(state.sent[queue, : last - first] == 0) + first
        ports = noc.out[lacking, PORT]
        if queue < noc.channels * state.lanes:
            found.setdefault(channel, []).extend(ports[ports < noc.channels].tolist())
    return {channel: ports for channel, ports in found.items() if ports}
