"""Kernels: how many packets a cluster saves by being on a core rather than on another.

Affinity of a cluster and a core: the packets of nets to the cluster that arrive there anyway
(another destination is there) or begin there, and of nets from the cluster with destinations there.
A step saves the affinity it gains less the affinity it loses.
"""

from __future__ import annotations

from snnc.compiler.partition.share import ROOM
from snnc.ir.arrays import AnyArray, IntArray, RealArray
from snnc.ir.jit import inner_kernel, lean_kernel

ABSENT = -1


@lean_kernel
def steps_of(
    k: int, core: IntArray, weight: RealArray, home: IntArray, ptr: IntArray, dest: IntArray,
    sent_ptr: IntArray, sent: IntArray, heard_ptr: IntArray, heard: IntArray, usage: RealArray,
    load: RealArray, kind: IntArray, head: IntArray, following: IntArray, bonus: RealArray,
    touched: IntArray, mark: IntArray, clock: IntArray, place: IntArray, other: IntArray,
    saved: RealArray,
) -> None:  # fmt: skip
    """The best steps of cluster ``k`` as far as limits that add up are concerned.

    Args:
        head, following: chains of the clusters of every core.
        bonus, touched, mark, clock: scratch; ``bonus`` [cores] is zero before and after.
        place, other, saved: results, best first: core to go to, cluster of it that comes back or
            ``ABSENT``, packets saved (0 where there is no step).
    """
    here = core[k]
    count = 0
    for role in range(2):
        begin, end = (heard_ptr[k], heard_ptr[k + 1]) if role else (sent_ptr[k], sent_ptr[k + 1])
        for i in range(begin, end):
            n = heard[i] if role else sent[i]
            if role and home[n] == k:
                continue
            clock[0] += 1
            for j in range(ptr[n] - role, ptr[n + 1]):
                x = home[n] if j < ptr[n] else dest[j]
                if x in (ABSENT, k):
                    continue
                c = core[x]
                if mark[c] != clock[0]:
                    mark[c] = clock[0]
                    if bonus[c] == 0.0:
                        touched[count] = c
                        count += 1
                    bonus[c] += weight[n]
    lone = following[head[here]] == ABSENT
    for i in range(count):
        there = touched[i]
        if there == here or kind[head[there]] != kind[k]:
            continue
        gain = bonus[there] - bonus[here]
        if gain <= 0.0 and not lone:
            continue
        if _fits(k, ABSENT, usage, load, there):
            _insert(there, ABSENT, gain, place, other, saved)
            continue
        q = head[there]
        while q != ABSENT:
            if _fits(k, q, usage, load, there) and _fits(q, k, usage, load, here):
                _insert(there, q, _swap(k, q, core, weight, home, ptr, dest, sent_ptr, sent,
                        heard_ptr, heard), place, other, saved)  # fmt: skip
            q = following[q]
    for i in range(count):
        bonus[touched[i]] = 0.0


@inner_kernel
def _fits(k: int, q: int, usage: RealArray, load: RealArray, place: int) -> bool:
    """``k`` instead of ``q`` is not more than a core holds, or than it has held before."""
    for w in range(usage.shape[1]):
        change = usage[k, w] - (0.0 if q == ABSENT else usage[q, w])
        if change > 0.0 and load[place, w] + change > ROOM:
            return False
    return True


@inner_kernel
def _swap(
    k: int, q: int, core: IntArray, weight: RealArray, home: IntArray, ptr: IntArray,
    dest: IntArray, sent_ptr: IntArray, sent: IntArray, heard_ptr: IntArray, heard: IntArray,
) -> float:  # fmt: skip
    """Packets saved if two clusters change places: each as if the other were nowhere."""
    saved = 0.0
    for side in range(2):
        a, b = (q, k) if side else (k, q)
        here, there = core[a], core[b]
        for role in range(2):
            ends = heard_ptr if role else sent_ptr
            for i in range(ends[a], ends[a + 1]):
                n = heard[i] if role else sent[i]
                if role and home[n] == a:
                    continue
                at_here, at_there = False, False
                for j in range(ptr[n] - role, ptr[n + 1]):
                    x = home[n] if j < ptr[n] else dest[j]
                    if x != ABSENT and x != a and x != b:
                        at_here = at_here or core[x] == here
                        at_there = at_there or core[x] == there
                if at_there:
                    saved += weight[n]
                if at_here:
                    saved -= weight[n]
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
