"""Counting kernels: what every cluster of a population needs, from its axons alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snnc.compiler.partition.kernel_links import KernelLinks
from snnc.compiler.partition.shared_fanin import SharedFanin, cut_groups
from snnc.compiler.partition.wiring import AnyFanin
from snnc.ir.arrays import IntArray, sorted_unique
from snnc.ir.jit import lean_kernel as kernel


@dataclass(frozen=True, eq=False)
class Heard:
    """Who the axons of pieces are from.

    Attributes:
        piece: [entries] piece.
        family: [entries] ``Wiring.family`` of its sender and delay.
        axons: [entries] axons of the piece from there.
    """

    piece: IntArray
    family: IntArray
    axons: IntArray


@dataclass(frozen=True, eq=False)
class UsedLinks:
    """Which kernels clusters need for the neurons of one population.

    Attributes:
        family: [connections of the population] ``Wiring.family``.
        cluster, link: [entries] by cluster.
    """

    links: KernelLinks
    family: IntArray
    cluster: IntArray
    link: IntArray

    def between(self, begin: int, end: int) -> UsedLinks:
        """Those of some clusters, numbered from the first of them."""
        mine = slice(*np.searchsorted(self.cluster, [begin, end]))
        return UsedLinks(self.links, self.family, self.cluster[mine] - begin, self.link[mine])


@dataclass(frozen=True, eq=False)
class Pieces:
    """Rows of axons cut at cluster borders; sorted by cluster, then axon.

    Attributes:
        cluster: [pieces] cluster index.
        axon: [pieces] index into the population's ``Fanin``; of a ``SharedFanin``, the group.
        count: [pieces] synapses of the row within the cluster.
        span: [pieces] neuron slots from the first to the last of them.
        first: [pieces] first slot.
        times: [pieces] axons that a piece stands for; None: one each.
        heard, used: what ``partition.kernels`` needs where cores may store kernels; the latter
            by population.
    """

    cluster: IntArray
    axon: IntArray
    count: IntArray
    span: IntArray
    first: IntArray
    times: IntArray | None = None
    heard: Heard | None = None
    used: tuple[UsedLinks, ...] = ()

    @cached_property
    def by_family(self) -> tuple[IntArray, IntArray, IntArray]:
        """(cluster, family, synapses) of all axons heard, by cluster, then family."""
        assert self.heard is not None
        family = self.heard.family
        width = int(family.max(initial=0)) + 1
        key = self.cluster[self.heard.piece].astype(np.int64) * width + family
        found, number = np.unique(key, return_inverse=True)
        times = self.heard.axons * self.count[self.heard.piece]
        synapses = np.bincount(number.reshape(-1), weights=times, minlength=found.size)
        return found // width, found % width, synapses.astype(np.int64)

    def per_cluster(self, clusters: int, value: IntArray | None = None) -> IntArray:
        """[clusters] sum of a value of every axon (1 if None)."""
        if self.times is not None:
            value = self.times if value is None else self.times * value
        if value is None:
            return np.bincount(self.cluster, minlength=clusters)
        return np.bincount(self.cluster, weights=value, minlength=clusters).astype(np.int64)


@kernel
def _count(
    row_ptr: IntArray, target: IntArray, label: IntArray, stamp: IntArray, ptr: IntArray
) -> None:
    """Add the number of axons that reach cluster c to ``ptr[c + 1]``; ``stamp`` begins at -1."""
    for axon in range(row_ptr.size - 1):
        for k in range(row_ptr[axon], row_ptr[axon + 1]):
            c = label[target[k]]
            if stamp[c] != axon:
                stamp[c] = axon
                ptr[c + 1] += 1


@kernel
def _fill(
    row_ptr: IntArray,
    target: IntArray,
    label: IntArray,
    slot: IntArray,
    stamp: IntArray,
    ptr: IntArray,
    place: IntArray,
    cluster: IntArray,
    owner: IntArray,
    count: IntArray,
    low: IntArray,
    high: IntArray,
) -> None:
    """Fill the (axon, cluster) pairs cluster by cluster; ``stamp`` begins at -1."""
    orders = slot.shape[0]
    for axon in range(row_ptr.size - 1):
        for k in range(row_ptr[axon], row_ptr[axon + 1]):
            neuron = target[k]
            c = label[neuron]
            if stamp[c] != axon:
                stamp[c] = axon
                place[c] = ptr[c]
                ptr[c] += 1
                p = place[c]
                cluster[p] = c
                owner[p] = axon
                for order in range(orders):
                    low[order, p] = slot[order, neuron]
                    high[order, p] = slot[order, neuron]
            p = place[c]
            count[p] += 1
            for order in range(orders):
                s = slot[order, neuron]
                low[order, p] = min(low[order, p], s)
                high[order, p] = max(high[order, p], s)


def _cut(
    row_ptr: IntArray, target: IntArray, label: IntArray, slot: IntArray, clusters: int
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
    """(cluster, axon, synapses, lowest and highest slot per order) of all pairs that meet."""
    ptr = np.zeros(clusters + 1, np.int64)
    _count(row_ptr, target, label, np.full(clusters, -1, np.int64), ptr)
    ptr = np.cumsum(ptr)
    pairs, orders = int(ptr[-1]), slot.shape[0]
    cluster, owner = np.empty(pairs, np.int32), np.empty(pairs, np.int32)
    count = np.zeros(pairs, np.int32)
    low, high = np.empty((orders, pairs), np.int32), np.empty((orders, pairs), np.int32)
    stamp, place = np.full(clusters, -1, np.int64), np.zeros(clusters, np.int64)
    _fill(row_ptr, target, label, slot, stamp, ptr, place, cluster, owner, count, low, high)
    return cluster, owner, count, low, high


def cut(fanin: AnyFanin, label: IntArray, clusters: int, ranks: IntArray) -> list[Pieces]:
    """Cut all rows of a population by a cluster label per neuron, for several slot orders.

    Args:
        fanin: rows of the population.
        label: [neurons] cluster.
        clusters: number of clusters.
        ranks: [orders, neurons] order of the slots within a cluster.
    """
    slot = np.stack([slots(label, clusters, rank) for rank in ranks])
    if isinstance(fanin, SharedFanin):
        return _cut_shared(fanin, label, clusters, slot)
    cluster, axon, count, low, high = _cut(fanin.row_ptr, fanin.target, label, slot, clusters)
    return [
        Pieces(cluster, axon, count, last - first + 1, first)
        for first, last in zip(low, high, strict=True)
    ]


def _cut_shared(fanin: SharedFanin, label: IntArray, clusters: int, slot: IntArray) -> list[Pieces]:
    ptr, group, count, low, high = cut_groups(fanin.groups, label, slot, clusters)
    cluster = np.repeat(np.arange(clusters, dtype=np.int32), np.diff(ptr))
    times = fanin.groups.size[group]
    return [
        Pieces(cluster, group, count, last - first + 1, first, times)
        for first, last in zip(low, high, strict=True)
    ]


def slots(label: IntArray, clusters: int, rank: IntArray) -> IntArray:
    """Position of every neuron within its cluster, by rising rank."""
    order = np.lexsort((rank, label))
    size = np.bincount(label, minlength=clusters)
    result = np.empty(label.size, np.int64)
    result[order] = np.arange(label.size) - np.repeat(np.cumsum(size) - size, size)
    return result


def distinct(label: IntArray, key: IntArray, clusters: int) -> IntArray:
    """Number of distinct ``key`` values per cluster."""
    width = int(key.max(initial=0)) + 1
    pairs = sorted_unique(label.astype(np.int64) * width + key)
    return np.bincount(pairs // width, minlength=clusters)
