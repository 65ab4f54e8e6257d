"""Traffic between cores: which core sends to which set of cores, and how often.

A *net* is one packet's journey: on a multicast machine from a core to the set of cores that hold
targets of its neurons, on a unicast machine to one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.deployment import RouteTables
from snnc.ir.errors import CompilerBugError


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
    if multicast:
        return _trees(source, dest, core_of, cores, rate)
    key = (core_of[source] + 1) * cores + dest
    unique, net = np.unique(key, return_inverse=True)
    net = net.reshape(-1)
    return Traffic(
        cores,
        unique // cores - 1,
        weighted(net, rate[source], unique.size),
        np.arange(unique.size + 1),
        unique % cores,
        np.searchsorted(source, np.arange(core_of.size + 1)),
        net,
    )


def _trees(
    source: IntArray, dest: IntArray, core_of: IntArray, cores: int, rate: RealArray
) -> Traffic:
    """One net per (sending core, destination set); equal sets are found by a 64-bit sum."""
    start = np.searchsorted(source, np.arange(core_of.size + 1))
    senders = np.flatnonzero(np.diff(start))
    code = np.random.default_rng(0).integers(0, 2**64, cores, np.uint64)
    total = np.add.reduceat(code[dest], start[senders]) if senders.size else code[:0]
    key = np.stack([(core_of[senders] + 1).astype(np.uint64), total], axis=1)
    _, first, net = np.unique(key, axis=0, return_index=True, return_inverse=True)
    net = net.reshape(-1)
    chosen = senders[first]
    size = np.diff(start)[chosen]
    dest_ptr = np.concatenate([[0], np.cumsum(size)])
    flat = dest[np.repeat(start[chosen] - dest_ptr[:-1], size) + np.arange(dest_ptr[-1])]
    _check_sets(dest, start, senders, chosen[net])
    sends = np.zeros(core_of.size, np.int64)
    sends[senders] = 1
    return Traffic(
        cores,
        core_of[chosen],
        weighted(net, rate[senders], chosen.size),
        dest_ptr,
        flat,
        np.concatenate([[0], np.cumsum(sends)]),
        net,
    )


def _check_sets(dest: IntArray, start: IntArray, senders: IntArray, model: IntArray) -> None:
    """Every sender's destinations equal those of its net's first sender."""
    size = np.diff(start)
    same = np.array_equal(size[senders], size[model])
    if same:
        length = size[senders]
        offset = np.arange(int(length.sum())) - np.repeat(np.cumsum(length) - length, length)
        mine = dest[np.repeat(start[senders], length) + offset]
        same = np.array_equal(mine, dest[np.repeat(start[model], length) + offset])
    if not same:
        raise CompilerBugError("two destination sets have the same code")


def channel_loads(routes: RouteTables, rate: RealArray, routers: int) -> tuple[IntArray, RealArray]:
    """([channels, 2] from-router and to-router of every link used, [channels] packets over it).

    Args:
        routes: trees of all nets.
        rate: [nets] packets.
        routers: number of routers.
    """
    net = np.repeat(np.arange(routes.nets), np.diff(routes.branch_ptr))
    inner = np.flatnonzero(routes.branch_parent >= 0)
    parent = routes.branch_ptr[net[inner]] + routes.branch_parent[inner]
    key = routes.branch_router[parent].astype(np.int64) * routers + routes.branch_router[inner]
    unique, channel = np.unique(key, return_inverse=True)
    load = weighted(channel.reshape(-1), rate[net[inner]], unique.size)
    return np.stack([unique // routers, unique % routers], axis=1), load
