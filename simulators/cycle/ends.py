"""The ends of the network-on-chip, which both fidelities share: events, senders, receivers.

Kernels are compiled for the state they are given, so ``Ends`` only says which arrays it needs.
An event is one integer, ``time << bits | code``; equal times have one order, so a run is
reproducible.  Codes are, in this order: queues, ports, senders (the next packet is ready), cores
(a packet is finished).
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

from snnc.ir.jit import inlined, inner_kernel
from snnc.simulators.cycle.noc_tables import Float64, Int32, Int64, NocTables

COUNTERS = 9
(
    INJECTED, DELIVERED, HOPS, LAST, PEAK_CHANNEL, PEAK_INJECTION, PEAK_RECEIVE, EVENTS, ARRIVALS,
) = range(COUNTERS)  # fmt: skip
RELEASED, STALLED = range(2)
CORE_FILL, CORE_HEAD, BUSY = range(3)


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


class Ends(Protocol):
    """What changes at senders and receivers."""

    @property
    def heap(self) -> Int64:
        """Event keys; ``heap[0]`` is how many follow."""

    @property
    def queue(self) -> Int64:
        """One row per queue; only their number counts here."""

    @property
    def port(self) -> Int64:
        """One row per port; only their number counts here."""

    @property
    def sender(self) -> Int64:
        """[senders, 2] packets handed over, whether the next one waits."""

    @property
    def shift(self) -> Float64:
        """[senders] units lost by waiting."""

    @property
    def core(self) -> Int64:
        """[cores, 3] packets in the receive queue, ring position, whether one is served."""

    @property
    def received(self) -> Int64:
        """[cores * receive capacity, 2] reach and time of arrival."""

    @property
    def receive_end(self) -> Float64:
        """[cores] units until the core is done."""

    @property
    def work(self) -> Float64:
        """[cores] units the core was looking up and accumulating."""

    @property
    def load(self) -> Int64:
        """[ports] packets sent since the beginning of the run."""

    @property
    def total(self) -> Int64:
        """Counters by the constants above; ``ARRIVALS`` adds the times of deliveries."""


@inner_kernel
def push(heap: Int64, key: int) -> None:
    """Insert into a binary min-heap whose root is entry 1."""
    heap[0] += 1
    i = heap[0]
    while i > 1 and heap[i >> 1] > key:
        heap[i] = heap[i >> 1]
        i >>= 1
    heap[i] = key


@inlined
def pop(heap: Int64) -> int:
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
def wrapped(place: int, size: int) -> int:
    """Place in a ring, for places below twice its size; a division would cost more."""
    return place - size if place >= size else place


@inlined
def schedule(noc: NocTables, state: Ends, time: int, code: int) -> None:
    """Note an event."""
    push(state.heap, (time << noc.bits) | code)


@inner_kernel
def schedule_release(
    noc: NocTables, state: Ends, releases: Releases, sender: int, now: int
) -> None:
    """Plan when the sender's next packet is ready, if it has one."""
    i = state.sender[sender, RELEASED]
    if i < releases.ptr[sender + 1]:
        ready = math.ceil(releases.time[i] + state.shift[sender])
        code = len(state.queue) + len(state.port) + sender
        schedule(noc, state, max(now, ready), code)


@inlined
def receive(noc: NocTables, state: Ends, core: int, reach: int, now: int) -> None:
    """A packet enters a core: it is looked up at once, or waits in the receive queue."""
    state.total[DELIVERED] += 1
    state.total[LAST] = max(state.total[LAST], now)
    state.total[ARRIVALS] += now
    if not state.core[core, BUSY]:
        serve(noc, state, core, reach, now)
        return
    first = core * noc.receive_capacity
    last = wrapped(state.core[core, CORE_HEAD] + state.core[core, CORE_FILL], noc.receive_capacity)
    place = first + last
    state.received[place, 0] = reach
    state.received[place, 1] = now
    state.core[core, CORE_FILL] += 1
    state.total[PEAK_RECEIVE] = max(state.total[PEAK_RECEIVE], state.core[core, CORE_FILL])


@inner_kernel
def serve(noc: NocTables, state: Ends, core: int, reach: int, arrived: int) -> None:
    """A core begins a packet."""
    state.core[core, BUSY] = 1
    state.work[core] += noc.service[reach]
    state.receive_end[core] = max(state.receive_end[core], arrived) + noc.service[reach]
    code = len(state.queue) + len(state.port) + len(state.sender) + core
    schedule(noc, state, math.ceil(state.receive_end[core]), code)


@inlined
def finish(noc: NocTables, state: Ends, core: int) -> bool:
    """A core has accumulated a packet and takes the next one; False when there is none."""
    state.core[core, BUSY] = 0
    if state.core[core, CORE_FILL] == 0:
        return False
    place = core * noc.receive_capacity + state.core[core, CORE_HEAD]
    state.core[core, CORE_HEAD] = wrapped(state.core[core, CORE_HEAD] + 1, noc.receive_capacity)
    state.core[core, CORE_FILL] -= 1
    serve(noc, state, core, state.received[place, 0], state.received[place, 1])
    return True


@inlined
def unsent(state: Ends, releases: Releases) -> bool:
    """Whether a sender still has packets to hand over."""
    for sender in range(len(state.sender)):
        if state.sender[sender, RELEASED] < releases.ptr[sender + 1]:
            return True
    return False


@inlined
def restart_ends(state: Ends, releases: Releases) -> None:
    """Begin a tick: forget the times of the one before, hand over new packets."""
    # Loops, because an assignment to a slice takes Numba much longer to compile.
    state.total[LAST] = 0
    for core in range(state.receive_end.size):
        state.receive_end[core] = 0.0
        state.work[core] = 0.0
    for sender in range(len(state.sender)):
        state.shift[sender] = 0.0
        state.sender[sender, RELEASED] = releases.ptr[sender]
