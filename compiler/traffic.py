"""Traffic between cores: which core sends to which set of cores, and how often.

A *net* is one packet's journey: on a multicast machine from a core to the set of cores that hold
targets of its neurons, on a unicast machine to one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.errors import CompilerBugError
from snnc.ir.jit import lean_kernel

Codes = npt.NDArray[np.uint64]
LARGE = 1 << 24
"""Pairs from which on their nets are kept in 32 bits."""


@dataclass(frozen=True, eq=False)
class Traffic:
    """Nets between cores.

    Attributes:
        cores: number of cores.
        net_core: [nets] sending core, or -1 for the host port.
        rate: [nets] expected packets per sample.
        dest_ptr: [nets + 1] slice of ``dest`` per net.
        dest: [destinations] receiving cores, rising within a net.
        send_ptr: [sources + 1] slice of ``send_net`` per source id.
        send_net: [sends] nets one spike of the source is sent on.
    """

    cores: int
    net_core: IntArray
    rate: RealArray
    dest_ptr: IntArray
    dest: IntArray
    send_ptr: IntArray
    send_net: IntArray

    @property
    def nets(self) -> int:
        """Number of nets."""
        return int(self.net_core.size)

    def pairs(self) -> tuple[IntArray, IntArray, RealArray]:
        """(sending core, receiving core, rate) of every net and destination."""
        size = np.diff(self.dest_ptr)
        return np.repeat(self.net_core, size), self.dest, np.repeat(self.rate, size)


def weighted(index: IntArray, weight: RealArray, size: int) -> RealArray:
    """Sum of the weights of every index: ``np.bincount`` that stays real when empty."""
    return np.bincount(index, weights=weight, minlength=size).astype(np.float64)


def traffic(
    source: IntArray,
    dest: IntArray,
    core_of: IntArray,
    cores: int,
    rate: RealArray,
    multicast: bool,
) -> Traffic:
    """Group sources into nets.

    Args:
        source: [pairs] source id, rising.
        dest: [pairs] destination core, rising within a source.
        core_of: [sources] sending core of every source, -1 for inputs.
        cores: number of cores.
        rate: [sources] expected packets per sample.
        multicast: one net per set of destinations instead of one per destination.
    """
    start = np.searchsorted(source, np.arange(core_of.size + 1))
    return nets_of(start, dest, core_of, cores, rate, multicast)


def nets_of(
    start: IntArray,
    dest: IntArray,
    core_of: IntArray,
    cores: int,
    rate: RealArray,
    multicast: bool,
) -> Traffic:
    """``traffic`` of pairs whose sources are told by [sources + 1] slices of ``dest``."""
    if multicast:
        return _trees(start, dest, core_of, cores, rate)
    return _paths(start, dest, core_of, cores, rate)


def _paths(
    start: IntArray, dest: IntArray, core_of: IntArray, cores: int, rate: RealArray
) -> Traffic:
    """One net per (sending core, destination), in this order."""
    order = np.argsort(core_of, kind="stable")
    sender_ptr = np.searchsorted(core_of[order], np.arange(-1, cores + 1))
    stamp, count = np.full(cores, -1, np.int64), np.zeros(cores + 1, np.int64)
    _count_partners(order, sender_ptr, start, dest, stamp, count)
    key = np.empty(int(count.sum()), np.int64)
    stamp[:] = -1
    _list_partners(order, sender_ptr, start, dest, stamp, key)
    key.sort()
    net_ptr = np.concatenate([[0], np.cumsum(count)])
    net: IntArray = np.empty(dest.size, np.int64 if dest.size < LARGE else np.int32)
    total = np.zeros(key.size)
    _assign_nets(order, sender_ptr, start, dest, net_ptr, key, stamp, rate, net, total)
    return Traffic(cores, key // cores - 1, total, np.arange(key.size + 1), key % cores, start, net)


@lean_kernel
def _count_partners(
    order: IntArray, sender_ptr: IntArray, start: IntArray, dest: IntArray, stamp: IntArray,
    count: IntArray,
) -> None:  # fmt: skip
    """Destinations of every sender (of the host first); ``stamp`` begins at -1."""
    for sender in range(sender_ptr.size - 1):
        for i in range(sender_ptr[sender], sender_ptr[sender + 1]):
            for k in range(start[order[i]], start[order[i] + 1]):
                if stamp[dest[k]] != sender:
                    stamp[dest[k]] = sender
                    count[sender] += 1


@lean_kernel
def _list_partners(
    order: IntArray, sender_ptr: IntArray, start: IntArray, dest: IntArray, stamp: IntArray,
    key: IntArray,
) -> None:  # fmt: skip
    """sender x cores + destination, once each."""
    written = 0
    for sender in range(sender_ptr.size - 1):
        for i in range(sender_ptr[sender], sender_ptr[sender + 1]):
            for k in range(start[order[i]], start[order[i] + 1]):
                if stamp[dest[k]] != sender:
                    stamp[dest[k]] = sender
                    key[written] = sender * stamp.size + dest[k]
                    written += 1


@lean_kernel
def _assign_nets(
    order: IntArray, sender_ptr: IntArray, start: IntArray, dest: IntArray, net_ptr: IntArray,
    key: IntArray, place: IntArray, rate: RealArray, net: IntArray, total: RealArray,
) -> None:  # fmt: skip
    """The net of every pair, and the packets of every net; ``place`` is scratch per core."""
    for sender in range(sender_ptr.size - 1):
        for n in range(net_ptr[sender], net_ptr[sender + 1]):
            place[key[n] - sender * place.size] = n
        for i in range(sender_ptr[sender], sender_ptr[sender + 1]):
            for k in range(start[order[i]], start[order[i] + 1]):
                n = place[dest[k]]
                net[k] = n
                total[n] += rate[order[i]]


def _trees(
    start: IntArray, dest: IntArray, core_of: IntArray, cores: int, rate: RealArray
) -> Traffic:
    """One net per (sending core, destination set); equal sets are found by a 64-bit sum."""
    senders = np.flatnonzero(np.diff(start))
    code = np.random.default_rng(0).integers(0, 2**64, cores, np.uint64)
    total = np.zeros(senders.size, np.uint64)
    _add_codes(start, dest, senders, code, total)
    home = core_of[senders]
    order = np.lexsort((total, home))  # stable: the first of a set is its first sender
    new = np.ones(order.size, bool)
    new[1:] = (total[order[1:]] != total[order[:-1]]) | (home[order[1:]] != home[order[:-1]])
    net = np.empty(order.size, np.int64)
    net[order] = np.cumsum(new) - 1
    chosen = senders[order[new]]
    size = np.diff(start)[chosen]
    dest_ptr = np.concatenate([[0], np.cumsum(size)])
    flat = dest[np.repeat(start[chosen] - dest_ptr[:-1], size) + np.arange(dest_ptr[-1])]
    if not _same_sets(start, dest, senders, chosen[net]):
        raise CompilerBugError("two destination sets have the same code")
    sends = np.zeros(core_of.size, np.int64)
    sends[senders] = 1
    return Traffic(
        cores,
        core_of[chosen],
        weighted(net, rate[senders], chosen.size),
        dest_ptr,
        flat.astype(np.int64),
        np.concatenate([[0], np.cumsum(sends)]),
        net,
    )


@lean_kernel
def _add_codes(
    start: IntArray, dest: IntArray, senders: IntArray, code: Codes, total: Codes
) -> None:
    for i in range(senders.size):
        for k in range(start[senders[i]], start[senders[i] + 1]):
            total[i] += code[dest[k]]


@lean_kernel
def _same_sets(start: IntArray, dest: IntArray, senders: IntArray, model: IntArray) -> bool:
    """Every sender's destinations equal those of its net's first sender."""
    for i in range(senders.size):
        mine, other = start[senders[i]], start[model[i]]
        length = start[senders[i] + 1] - mine
        if start[model[i] + 1] - other != length:
            return False
        for k in range(length):
            if dest[mine + k] != dest[other + k]:
                return False
    return True
