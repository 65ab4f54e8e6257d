"""Kernels: how many packet hops a step of a cluster from core to core saves.

What a cluster costs on a core: packets to it, times the way from their sender, where they do not
arrive there anyway (no other destination is there, nor the sender); and the way of its own packets
to all cores with destinations.  A step saves the difference.
"""

from __future__ import annotations

from snnc.compiler.partition.share import ROOM
from snnc.ir.arrays import AnyArray, IntArray, RealArray
from snnc.ir.jit import inner_kernel, lean_kernel

ABSENT = -1


@inner_kernel
def _way(a: int, b: int, x: RealArray, y: RealArray, parcel: float) -> float:
    """What a packet between two cores costs; nothing within a core."""
    if a == b:
        return 0.0
    return float(parcel + abs(x[a] - x[b]) + abs(y[a] - y[b]))


@lean_kernel
def steps_of(
    k: int, core: IntArray, weight: RealArray, home: IntArray, ptr: IntArray, dest: IntArray,
    sent_ptr: IntArray, sent: IntArray, heard_ptr: IntArray, heard: IntArray, usage: RealArray,
    load: RealArray, kind: IntArray, head: IntArray, following: IntArray, x: RealArray,
    y: RealArray, parcel: float, flow: RealArray, bonus: RealArray, touched: IntArray,
    mark: IntArray, clock: IntArray, place: IntArray, other: IntArray, saved: RealArray,
) -> None:  # fmt: skip
    """The best steps of cluster ``k`` as far as limits that add up are concerned.

    Args:
        head, following: chains of the clusters of every core.
        x, y: [cores + 1] where cores are, and the host.
        parcel: what a packet costs beside its way.
        flow, bonus, touched, mark, clock: scratch; flow and bonus [cores + 1] are zero before and
            after; a mark [cores + 1] is that of a core when equal to the clock.
        place, other, saved: results, best first: core to go to, cluster of it that comes back or
            ``ABSENT``, what is saved (0 where there is no step).
    """
    here, host = core[k], head.size
    clock[0] += 1
    listed, count = clock[0], 0
    for role in range(2):
        begin, end = (heard_ptr[k], heard_ptr[k + 1]) if role else (sent_ptr[k], sent_ptr[k + 1])
        for i in range(begin, end):
            n = heard[i] if role else sent[i]
            if role and home[n] == k:
                continue
            sender = host
            if role and home[n] != ABSENT:
                sender = core[home[n]]
            clock[0] += 1
            for j in range(ptr[n] - role, ptr[n + 1]):
                if j < ptr[n]:
                    c = sender
                elif dest[j] == k:
                    continue
                else:
                    c = core[dest[j]]
                if mark[0, c] == clock[0]:
                    continue
                mark[0, c] = clock[0]
                if mark[1, c] != listed:
                    mark[1, c] = listed
                    touched[count] = c
                    count += 1
                if not role or j < ptr[n]:
                    flow[c] += weight[n]
                else:
                    bonus[c] += weight[n] * _way(sender, c, x, y, parcel)
    now = _cost(here, flow, bonus, touched, count, x, y, parcel)
    lone = following[head[here]] == ABSENT
    for i in range(count):
        there = touched[i]
        if there in (here, host) or head[there] == ABSENT or kind[head[there]] != kind[k]:
            continue
        gain = now - _cost(there, flow, bonus, touched, count, x, y, parcel)
        if gain <= 0.0:
            continue
        if _fits(k, ABSENT, usage, load, there):
            _insert(there, ABSENT, gain, place, other, saved)
            continue
        q = head[there]
        if lone and following[q] == ABSENT:
            continue  # two cores would change names
        while q != ABSENT:
            if _fits(k, q, usage, load, there) and _fits(q, k, usage, load, here):
                gain = 0.0
                for side in range(2):
                    a, b = (q, k) if side else (k, q)
                    gain += _saved(a, b, core, weight, home, ptr, dest, sent_ptr, sent, heard_ptr,
                                   heard, x, y, parcel, mark, clock)  # fmt: skip
                _insert(there, q, gain, place, other, saved)
            q = following[q]
    for i in range(count):
        flow[touched[i]] = 0.0
        bonus[touched[i]] = 0.0


@inner_kernel
def _cost(
    place: int, flow: RealArray, bonus: RealArray, touched: IntArray, count: int, x: RealArray,
    y: RealArray, parcel: float,
) -> float:  # fmt: skip
    """What a cluster costs on a core, given its flows and what arrives anyway."""
    total = -bonus[place]
    for i in range(count):
        total += flow[touched[i]] * _way(touched[i], place, x, y, parcel)
    return float(total)


@inner_kernel
def _fits(k: int, q: int, usage: RealArray, load: RealArray, place: int) -> bool:
    """``k`` instead of ``q`` is not more than a core holds, or than it has held before."""
    for w in range(usage.shape[1]):
        change = usage[k, w] - (0.0 if q == ABSENT else usage[q, w])
        if change > 0.0 and load[place, w] + change > ROOM:
            return False
    return True


@inner_kernel
def _saved(
    a: int, b: int, core: IntArray, weight: RealArray, home: IntArray, ptr: IntArray,
    dest: IntArray, sent_ptr: IntArray, sent: IntArray, heard_ptr: IntArray, heard: IntArray,
    x: RealArray, y: RealArray, parcel: float, mark: IntArray, clock: IntArray,
) -> float:  # fmt: skip
    """What ``a`` saves when it changes places with ``b``.

    Each is moved as if the other were nowhere; the way between them stays what it is.
    """
    saved = 0.0
    here, there = core[a], core[b]
    for role in range(2):
        begin, end = (heard_ptr[a], heard_ptr[a + 1]) if role else (sent_ptr[a], sent_ptr[a + 1])
        for i in range(begin, end):
            n = heard[i] if role else sent[i]
            if role and home[n] == a:
                continue
            clock[0] += 1
            at_here, at_there, ways = False, False, 0.0
            for j in range(ptr[n], ptr[n + 1]):
                c = core[dest[j]]
                if dest[j] == a or dest[j] == b or mark[0, c] == clock[0]:
                    continue
                mark[0, c] = clock[0]
                at_here = at_here or c == here
                at_there = at_there or c == there
                if not role:
                    ways += _way(here, c, x, y, parcel) - _way(there, c, x, y, parcel)
            if role:
                h = x.size - 1 if home[n] == ABSENT else core[home[n]]
                before, after = _way(h, here, x, y, parcel), _way(h, there, x, y, parcel)
                if home[n] == b:
                    before = after = _way(here, there, x, y, parcel)
                ways = (0.0 if at_here else before) - (0.0 if at_there else after)
            saved += weight[n] * ways
    return saved


@inner_kernel
def _insert(
    there: int, back: int, gain: float, place: IntArray, other: IntArray, saved: RealArray
) -> None:
    """Keep a step among the best ones."""
    at = saved.size - 1
    if gain <= saved[at]:
        return
    while at > 0 and saved[at - 1] < gain:
        place[at], other[at], saved[at] = place[at - 1], other[at - 1], saved[at - 1]
        at -= 1
    place[at], other[at], saved[at] = there, back, gain


@lean_kernel
def wake(
    k: int, home: IntArray, ptr: IntArray, dest: IntArray, sent_ptr: IntArray, sent: IntArray,
    heard_ptr: IntArray, heard: IntArray, waiting: AnyArray,
) -> None:  # fmt: skip
    """Mark all clusters that share a net with ``k``."""
    for i in range(sent_ptr[k], sent_ptr[k + 1]):
        for j in range(ptr[sent[i]], ptr[sent[i] + 1]):
            waiting[dest[j]] = True
    for i in range(heard_ptr[k], heard_ptr[k + 1]):
        n = heard[i]
        if home[n] != ABSENT:
            waiting[home[n]] = True
        for j in range(ptr[n], ptr[n + 1]):
            waiting[dest[j]] = True
