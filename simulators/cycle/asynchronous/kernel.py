"""One asynchronous sample as a compiled kernel over flat tables.

Functions are named as the methods of ``snnc.simulators.reference.event_order``, whose rules they
follow; nothing is decided here.
"""

from __future__ import annotations

from typing import NamedTuple

from snnc.ir.jit import inlined, inner_kernel, lean_kernel
from snnc.simulators.cycle.noc_tables import Int32, Int64
from snnc.simulators.neuron_kernel import PackedNeurons, State, update

ARRIVE, GO_ON = 0, 1
DONE, MORE_ROOM = 0, 1

# Columns and entries of the tables below; COSTS, NOW, ... are their numbers.
STEP, HOST, LOOK_UP, SPIKE, SEND, HOP, QUEUE, DROPS, COSTS = range(9)
HEAP, SENT, LOGGED, PRESENTED, END, NOW = range(6)
TIME, KEY, NUMBER, REACH, CARRIED, HAPPENING = range(6)
HEAD, FILL, PROMISED, BUSY, FIRST, LAST, PLACES = range(7)
SOURCE, LEFT, NEXT, DUE, VALUE, COPY, LAST_COPY, WAITS_FOR, SINCE, SENDER = range(10)
TAKEN, DROPPED = range(2)
HIGH, WORKED, STALLED = range(3)


class Tables(NamedTuple):
    """What does not change; reaches are the copies of a packet, by source, send and delivery.

    Attributes:
        neurons, neuron_source: [neurons] in the order of the cores.
        core_ptr: [cores + 1] slice of neurons.
        send_ptr: [sources + 1] slice of sends.
        copy_ptr: [sends + 1] slice of reaches.
        reach_core: [reaches].
        reach_first, reach_last: [reaches] axons that a copy reads.
        synapse_ptr, synapse_target, synapse_weight: rows.
        limit: [sources] largest value of one packet.
        synop: [cores] units per entry.
        costs: [COSTS] units.
    """

    neurons: PackedNeurons
    neuron_source: Int32
    core_ptr: Int64
    send_ptr: Int64
    copy_ptr: Int64
    reach_core: Int32
    reach_first: Int32
    reach_last: Int32
    synapse_ptr: Int64
    synapse_target: Int32
    synapse_weight: Int32
    limit: Int64
    synop: Int64
    costs: Int64


class Chip(NamedTuple):
    """State and tally of a sample, int64; senders are the cores and, last, the host.

    Few arrays, because every one that a kernel takes costs time to compile.

    Attributes:
        events: [events, 3] step, source id and value of the input, in order.
        now: [NOW] sizes of heap and log, happenings and events so far, time.
        heap: [room, HAPPENING] happenings to come, the next one first; KEY is kind and who.
        log: [room, 3] spikes: time, source id, count.
        queue: [cores, queue, 2] rings of (reach, value).
        places: [cores, PLACES] of the ring; packets promised to it; whether the core is busy; slice
            of ``fired``.
        fired: [neurons, 2] at a core's own slots: (neuron, count) that fired, not yet sent.
        senders: [senders, SENDER] count being sent: who, what is left, next send, not before;
            packet that is leaving: value, copies that have not left; core whose queue is full
            (-1: none), and since when.
        packets: [sources] packets sent, per net.
        spikes: [neurons] times that a neuron fired.
        reaches: [reaches, 2] packets taken and dropped.
        work: [senders, 3] most packets that waited, units at work, units waiting.
        demand: [cores, steps] synaptic operations of the packets that came in each step's time.
    """

    events: Int64
    now: Int64
    heap: Int64
    log: Int64
    queue: Int64
    places: Int64
    fired: Int64
    senders: Int64
    packets: Int64
    spikes: Int64
    reaches: Int64
    work: Int64
    demand: Int64


@lean_kernel
def run_sample(tables: Tables, state: State, chip: Chip) -> int:
    """Go on until nothing is left to happen, or until heap or log might not have room.

    Args:
        tables, state: the machine and its neurons.
        chip: state of the sample, and what happened.

    Returns:
        ``DONE``, or ``MORE_ROOM``: call again with larger copies.
    """
    cores = tables.synop.size
    widest = 0
    for core in range(cores):
        widest = max(widest, tables.core_ptr[core + 1] - tables.core_ptr[core])
    if chip.now[SENT] == 0:
        _proceed(tables, chip, cores, 0)
    while chip.now[HEAP] > 0:
        room = chip.heap.shape[0] - chip.now[HEAP]
        if room < 2 * cores + 4 or chip.log.shape[0] - chip.now[LOGGED] < 2 * widest + 2:
            return MORE_ROOM
        time, key, reach, value = _pop(chip.now, chip.heap)
        chip.now[END] = time
        kind = key // (cores + 1)
        who = key - kind * (cores + 1)
        core, sender = -1, -1
        if kind == ARRIVE:
            core = _arrive(tables, chip, who, reach, value, time)
        elif chip.senders[who, LEFT] != 0:
            _leave(tables, chip, who)
            sender = who
        else:
            chip.places[who, BUSY] = 0
            core = who if chip.places[who, FILL] > 0 else -1
        if core >= 0:
            if tables.costs[DROPS] == 0:
                sender = _free(tables, chip, core, time)
            work = _take(tables, state, chip, core)
            _proceed(tables, chip, core, time + work)
        if sender >= 0 and _deliver(tables, chip, sender, time):
            _proceed(tables, chip, sender, time)
    return DONE


@inner_kernel
def _proceed(tables: Tables, chip: Chip, who: int, now: int) -> None:
    costs, host, mine = tables.costs, tables.synop.size, chip.senders[who]
    if who == host:
        while mine[LEFT] == 0 and chip.now[PRESENTED] < chip.events.shape[0]:
            event = chip.events[chip.now[PRESENTED]]
            chip.now[PRESENTED] += 1
            if tables.send_ptr[event[1] + 1] > tables.send_ptr[event[1]]:
                mine[SOURCE] = event[1]
                mine[LEFT] = event[2]
                mine[NEXT] = tables.send_ptr[event[1]]
                mine[DUE] = event[0] * costs[STEP]
        if mine[LEFT] != 0:
            time = max(now, mine[DUE]) + costs[HOST]
            _push(chip.now, chip.heap, time, GO_ON * (host + 1) + who, 0, 0)
        return
    begin, place = now, chip.places[who]
    while mine[LEFT] == 0 and place[FIRST] < place[LAST]:
        neuron, count = chip.fired[place[FIRST], 0], chip.fired[place[FIRST], 1]
        place[FIRST] += 1
        now += costs[SPIKE]
        source = tables.neuron_source[neuron]
        entry = chip.log[chip.now[LOGGED]]
        chip.now[LOGGED] += 1
        entry[0] = now
        entry[1] = source
        entry[2] = count
        chip.spikes[neuron] += 1
        if tables.send_ptr[source + 1] > tables.send_ptr[source]:
            mine[SOURCE] = source
            mine[LEFT] = count
            mine[NEXT] = tables.send_ptr[source]
    if mine[LEFT] != 0:
        now += costs[SEND]
    chip.work[who, WORKED] += now - begin
    _push(chip.now, chip.heap, now, GO_ON * (host + 1) + who, 0, 0)


@inlined
def _leave(tables: Tables, chip: Chip, who: int) -> None:
    """The next packet of a sender stands ready to be copied."""
    mine = chip.senders[who]
    source, send = mine[SOURCE], mine[NEXT]
    size = min(abs(mine[LEFT]), tables.limit[source])
    mine[VALUE] = size if mine[LEFT] > 0 else -size
    mine[COPY] = tables.copy_ptr[send]
    mine[LAST_COPY] = tables.copy_ptr[send + 1]
    if send == tables.send_ptr[source]:
        chip.packets[source] += 1
    mine[NEXT] = send + 1
    if send + 1 == tables.send_ptr[source + 1]:
        mine[NEXT] = tables.send_ptr[source]
        mine[LEFT] -= mine[VALUE]


@inlined
def _deliver(tables: Tables, chip: Chip, who: int, now: int) -> bool:
    """Send the copies that have not left, as far as there is room; True when all have."""
    mine = chip.senders[who]
    while mine[COPY] < mine[LAST_COPY]:
        core = tables.reach_core[mine[COPY]]
        if tables.costs[DROPS] == 0:
            if chip.places[core, PROMISED] == tables.costs[QUEUE]:
                mine[WAITS_FOR] = core
                mine[SINCE] = now
                return False
            chip.places[core, PROMISED] += 1
        _push(chip.now, chip.heap, now + tables.costs[HOP], core, mine[COPY], mine[VALUE])
        mine[COPY] += 1
    return True


@inlined
def _arrive(tables: Tables, chip: Chip, core: int, reach: int, value: int, now: int) -> int:
    """Queue a packet; returns the core when it has nothing else to do, else -1."""
    place, depth = chip.places[core], tables.costs[QUEUE]
    window = min(now // tables.costs[STEP], chip.demand.shape[1] - 1)
    first, last = tables.reach_first[reach], tables.reach_last[reach]
    chip.demand[core, window] += tables.synapse_ptr[last] - tables.synapse_ptr[first]
    if tables.costs[DROPS] != 0 and place[FILL] == depth:
        chip.reaches[reach, DROPPED] += 1
        return -1
    at = (place[HEAD] + place[FILL]) % depth
    chip.queue[core, at, 0] = reach
    chip.queue[core, at, 1] = value
    place[FILL] += 1
    if place[BUSY] == 0:
        return core
    chip.work[core, HIGH] = max(chip.work[core, HIGH], place[FILL])
    return -1


@inlined
def _take(tables: Tables, state: State, chip: Chip, core: int) -> int:
    """Work on the packet that came first; returns the units it takes to accumulate."""
    place = chip.places[core]
    reach, value = chip.queue[core, place[HEAD], 0], chip.queue[core, place[HEAD], 1]
    place[HEAD] = (place[HEAD] + 1) % tables.costs[QUEUE]
    place[FILL] -= 1
    place[BUSY] = 1
    chip.reaches[reach, TAKEN] += 1
    slot = tables.core_ptr[core]
    place[FIRST] = slot
    begin = tables.synapse_ptr[tables.reach_first[reach]]
    end = tables.synapse_ptr[tables.reach_last[reach]]
    for k in range(begin, end):
        neuron = tables.synapse_target[k]
        count = update(tables.neurons, state, neuron, tables.synapse_weight[k] * value, 0)
        if count != 0:
            chip.fired[slot, 0] = neuron
            chip.fired[slot, 1] = count
            slot += 1
    place[LAST] = slot
    work: int = tables.costs[LOOK_UP] + (end - begin) * tables.synop[core]
    chip.work[core, WORKED] += work
    return work


@inlined
def _free(tables: Tables, chip: Chip, core: int, now: int) -> int:
    """Give the place of the packet that is taken to who waits longest; -1 when nobody does."""
    chosen = -1
    for who in range(chip.senders.shape[0]):
        if chip.senders[who, WAITS_FOR] == core and (
            chosen < 0 or chip.senders[who, SINCE] < chip.senders[chosen, SINCE]
        ):
            chosen = who
    if chosen < 0:
        chip.places[core, PROMISED] -= 1
        return chosen
    mine = chip.senders[chosen]
    mine[WAITS_FOR] = -1
    chip.work[chosen, STALLED] += now - mine[SINCE]
    _push(chip.now, chip.heap, now + tables.costs[HOP], core, mine[COPY], mine[VALUE])
    mine[COPY] += 1
    return chosen


@inlined
def _before(heap: Int64, a: int, b: int) -> bool:
    """Rule 6."""
    if heap[a, TIME] != heap[b, TIME]:
        return bool(heap[a, TIME] < heap[b, TIME])
    if heap[a, KEY] != heap[b, KEY]:
        return bool(heap[a, KEY] < heap[b, KEY])
    return bool(heap[a, NUMBER] < heap[b, NUMBER])


@inner_kernel
def _swap(heap: Int64, a: int, b: int) -> None:
    for column in range(HAPPENING):
        heap[a, column], heap[b, column] = heap[b, column], heap[a, column]


@inner_kernel
def _push(now: Int64, heap: Int64, time: int, key: int, reach: int, value: int) -> None:
    at = now[HEAP]
    now[HEAP] += 1
    now[SENT] += 1
    heap[at, TIME] = time
    heap[at, KEY] = key
    heap[at, NUMBER] = now[SENT]
    heap[at, REACH] = reach
    heap[at, CARRIED] = value
    while at > 0 and _before(heap, at, (at - 1) // 2):
        _swap(heap, at, (at - 1) // 2)
        at = (at - 1) // 2


@inner_kernel
def _pop(now: Int64, heap: Int64) -> tuple[int, int, int, int]:
    first = heap[0, TIME], heap[0, KEY], heap[0, REACH], heap[0, CARRIED]
    now[HEAP] -= 1
    size = now[HEAP]
    _swap(heap, 0, size)
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            return first
        if child + 1 < size and _before(heap, child + 1, child):
            child += 1
        if not _before(heap, child, at):
            return first
        _swap(heap, at, child)
        at = child
