"""Which cores every source reaches, known from the partition alone: no tables are needed."""

from __future__ import annotations

import numpy as np

from snnc.compiler.partition import Partition
from snnc.compiler.partition.shared_fanin import SharedFanin, cut_groups
from snnc.compiler.partition.wiring import Wiring
from snnc.compiler.traffic import Traffic, nets_of
from snnc.ir.arrays import IntArray
from snnc.ir.jit import lean_kernel
from snnc.ir.row_shapes import pointers


def traffic_of(wiring: Wiring, division: Partition, multicast: bool) -> Traffic:
    """The nets between the cores of a partition, as the finished tables give them.

    Args:
        wiring: the expanded network; all of its fan-ins are shared.
        division: core of every neuron.
        multicast: one net per set of destinations instead of one per destination.
    """
    core_of = np.full(wiring.sources.total, -1, np.int64)
    core_of[wiring.first_neuron :] = division.core
    start, dest = reached(wiring, division)
    return nets_of(start, dest, core_of, division.cores, wiring.rate, multicast)


def reached(wiring: Wiring, division: Partition) -> tuple[IntArray, IntArray]:
    """([sources + 1] slices of, int32 cores that each source reaches, rising); all are shared."""
    cores, first = division.cores, 0
    ptrs, places = [], []
    for fanin, node in zip(wiring.fanin, wiring.populations, strict=True):
        assert isinstance(fanin, SharedFanin)
        part = division.core[first : first + node.size]
        ptr, group, *_ = cut_groups(fanin.groups, part, np.zeros((0, node.size), np.int32), cores)
        where = np.repeat(np.arange(cores, dtype=np.int32), np.diff(ptr))
        places.append(where[np.argsort(group, kind="stable")])
        ptrs.append(np.bincount(group, minlength=fanin.groups.support.size))
        first += node.size
    order, group = by_key(wiring)[1:]
    source = np.concatenate([f.source for f in wiring.fanin])[order]
    axons = pointers(np.bincount(source, minlength=wiring.sources.total))
    table = axons, group, pointers(np.concatenate(ptrs)), np.concatenate(places)
    start = np.zeros(wiring.sources.total + 1, np.int64)
    _count_cores(*table, np.full(cores, -1, np.int32), start)
    np.cumsum(start, out=start)
    dest = np.empty(int(start[-1]), np.int32)
    _list_cores(*table, np.full(cores, -1, np.int32), start, dest)
    return start, dest


def by_key(wiring: Wiring) -> tuple[IntArray, IntArray, IntArray]:
    """The axons of all populations by source, sign and delay; all fan-ins are shared.

    Returns:
        [axons] key, rising; number over all populations; group over all populations.
    """
    keys, groups, before = [], [], 0
    for fanin in wiring.fanin:
        assert isinstance(fanin, SharedFanin)
        keys.append(wiring.axon_key(fanin))
        groups.append(fanin.groups.of + np.int32(before))
        before += fanin.groups.support.size
    key = np.concatenate(keys)
    order = np.argsort(key, kind="stable")
    return key[order], order, np.concatenate(groups)[order]


@lean_kernel
def _count_cores(
    axons: IntArray, group: IntArray, ptr: IntArray, core: IntArray, latest: IntArray,
    start: IntArray,
) -> None:  # fmt: skip
    """Add the cores of source s to ``start[s + 1]``; ``latest`` [cores] begins at -1."""
    for source in range(axons.size - 1):
        for a in range(axons[source], axons[source + 1]):
            for p in range(ptr[group[a]], ptr[group[a] + 1]):
                if latest[core[p]] != source:
                    latest[core[p]] = source
                    start[source + 1] += 1


@lean_kernel
def _list_cores(
    axons: IntArray, group: IntArray, ptr: IntArray, core: IntArray, latest: IntArray,
    start: IntArray, dest: IntArray,
) -> None:  # fmt: skip
    """Fill ``dest`` source by source; the cores of a group rise, those of groups are merged."""
    for source in range(axons.size - 1):
        first = written = start[source]
        for a in range(axons[source], axons[source + 1]):
            for p in range(ptr[group[a]], ptr[group[a] + 1]):
                c = core[p]
                if latest[c] == source:
                    continue
                latest[c] = source
                at = written
                while at > first and dest[at - 1] > c:
                    dest[at] = dest[at - 1]
                    at -= 1
                dest[at] = c
                written += 1
