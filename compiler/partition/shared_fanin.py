"""Axons into a population whose rows share shapes, and their cuts without writing rows out.

Input channels of a convolution reach the same neurons with different weights.  Axons that reach
the same neurons with the same delay form a *group*, and whatever is counted is counted once per
group: a pixel instead of all its channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.jit import lean_kernel
from snnc.ir.row_shapes import pointers
from snnc.ir.rows import Rows, shared_rows
from snnc.ir.shared_expansion import Kernels


@dataclass(frozen=True)
class Connection:
    """Successive axons of a fan-in that are of one projection.

    Attributes:
        first, elements: source ids of the sender, from the first one on.
        delay, negative: as those of the axons.
        axons: how many.
        kernels: what the projection is made of; None: it is no convolution.
    """

    first: int
    elements: int
    delay: int
    negative: int
    axons: int
    kernels: Kernels | None


@dataclass(frozen=True, eq=False)
class SharedFanin:
    """As ``Fanin``, with the axons' rows in ``rows``; no row is empty."""

    source: IntArray
    delay: IntArray
    negative: IntArray
    rows: Rows
    connections: tuple[Connection, ...] = ()

    @property
    def axons(self) -> int:
        """Number of axons."""
        return self.rows.count

    @cached_property
    def synapses(self) -> int:
        """Number of synapses."""
        return self.rows.synapses

    @property
    def lengths(self) -> IntArray:
        """[axons] synapses."""
        return self.rows.lengths

    @property
    def largest(self) -> int:
        """Largest absolute weight."""
        weight = self.rows.weight
        return max(int(weight.max(initial=0)), -int(weight.min(initial=0)))

    @cached_property
    def groups(self) -> Groups:
        """Axons that reach the same neurons with the same delay."""
        return _groups(self)

    @property
    def piece_delay(self) -> IntArray:
        """[groups] extra ticks."""
        return self.groups.delay

    def fan_in(self, size: int) -> IntArray:
        """[neurons] synapses per neuron."""
        return self._reached(np.diff(self.groups.ptr), size)

    def fan_in_by_delay(self, size: int) -> dict[int, IntArray]:
        """[neurons] synapses per neuron, by extra delay."""
        times, delay = np.diff(self.groups.ptr), self.groups.delay
        return {int(d): self._reached(times * (delay == d), size) for d in np.unique(delay)}

    def _reached(self, times: IntArray, size: int) -> IntArray:
        groups = self.groups
        total = np.zeros(size, np.int64)
        _reach(groups.support, groups.first, groups.offset_ptr, groups.offset, times, total)
        return total

    def members(self, groups: IntArray) -> tuple[IntArray, IntArray]:
        """(axons of these groups, position of its group in the argument for each)."""
        first, size = self.groups.ptr[groups], self.groups.size[groups]
        which = np.repeat(np.arange(groups.size), size)
        inner = np.arange(which.size) - np.repeat(np.cumsum(size) - size, size)
        return self.groups.axon[first[which] + inner], which


@dataclass(frozen=True, eq=False)
class Groups:
    """Axons by what they reach.

    Attributes:
        ptr: [groups + 1] slice of ``axon`` per group.
        axon: [axons] rising within a group; groups are numbered by support, target, delay.
        of: [axons] group.
        support: [groups] which set of offsets.
        first: [groups] target at offset 0.
        delay: [groups] extra ticks.
        offset_ptr, offset: the sets of offsets.
    """

    ptr: IntArray
    axon: IntArray
    of: IntArray
    support: IntArray
    first: IntArray
    delay: IntArray
    offset_ptr: IntArray
    offset: IntArray

    @cached_property
    def size(self) -> IntArray:
        """[groups] axons."""
        size: IntArray = np.diff(self.ptr)
        return size


def _groups(fanin: SharedFanin) -> Groups:
    rows = fanin.rows
    supports = shared_rows(rows.shape_ptr, rows.offset, np.zeros(rows.offset.size, np.int8))
    support = supports.shape[rows.shape]
    delays = int(fanin.delay.max(initial=0)) + 1
    targets = int(rows.shift.max(initial=0)) + 1
    key = (support.astype(np.int64) * targets + rows.shift) * delays + fanin.delay
    _, first, of = np.unique(key, return_index=True, return_inverse=True)
    of = of.reshape(-1).astype(np.int32)
    ptr = pointers(np.bincount(of, minlength=first.size))
    return Groups(
        ptr,
        np.argsort(of, kind="stable").astype(np.int32),
        of,
        support[first],
        rows.shift[first],
        fanin.delay[first],
        supports.shape_ptr,
        supports.offset,
    )


@lean_kernel
def _reach(
    support: IntArray, first: IntArray, offset_ptr: IntArray, offset: IntArray, times: IntArray,
    total: IntArray,
) -> None:  # fmt: skip
    for group in range(support.size):
        for k in range(offset_ptr[support[group]], offset_ptr[support[group] + 1]):
            total[first[group] + offset[k]] += times[group]


@lean_kernel
def _count_pieces(
    support: IntArray, first: IntArray, offset_ptr: IntArray, offset: IntArray, label: IntArray,
    stamp: IntArray, ptr: IntArray,
) -> None:  # fmt: skip
    """Add the number of groups that reach cluster c to ``ptr[c + 1]``; ``stamp`` begins at -1."""
    for group in range(support.size):
        for k in range(offset_ptr[support[group]], offset_ptr[support[group] + 1]):
            c = label[first[group] + offset[k]]
            if stamp[c] != group:
                stamp[c] = group
                ptr[c + 1] += 1


@lean_kernel
def _fill_pieces(
    support: IntArray, first: IntArray, offset_ptr: IntArray, offset: IntArray, label: IntArray,
    slot: IntArray, stamp: IntArray, ptr: IntArray, place: IntArray, owner: IntArray,
    count: IntArray, low: IntArray, high: IntArray,
) -> None:  # fmt: skip
    """Fill the pairs cluster by cluster; ``stamp`` begins at -1, ``count`` at 0."""
    orders = slot.shape[0]
    for group in range(support.size):
        for k in range(offset_ptr[support[group]], offset_ptr[support[group] + 1]):
            neuron = first[group] + offset[k]
            c = label[neuron]
            p = place[c]
            if stamp[c] != group:
                stamp[c] = group
                p = ptr[c]
                place[c] = p
                ptr[c] += 1
                owner[p] = group
                for order in range(orders):
                    low[order, p] = slot[order, neuron]
                    high[order, p] = slot[order, neuron]
            count[p] += 1
            for order in range(orders):
                s = slot[order, neuron]
                low[order, p] = min(low[order, p], s)
                high[order, p] = max(high[order, p], s)


def cut_groups(
    groups: Groups, label: IntArray, slot: IntArray, clusters: int
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
    """(pieces before each cluster, group, synapses, lowest and highest slot per order) of all
    pairs of a group and a cluster that meet, by cluster, then group.

    Args:
        label: [neurons] cluster.
        slot: [orders, neurons] place within the cluster.
        clusters: number of clusters.
    """
    rows = groups.support, groups.first, groups.offset_ptr, groups.offset
    ptr = np.zeros(clusters + 1, np.int64)
    _count_pieces(*rows, label, np.full(clusters, -1, np.int64), ptr)
    ptr = np.cumsum(ptr)
    pairs, orders = int(ptr[-1]), slot.shape[0]
    owner, count = np.empty(pairs, np.int32), np.zeros(pairs, np.int32)
    low, high = np.empty((orders, pairs), np.int32), np.empty((orders, pairs), np.int32)
    stamp, place = np.full(clusters, -1, np.int64), np.zeros(clusters, np.int64)
    _fill_pieces(*rows, label, slot, stamp, ptr[:-1].copy(), place, owner, count, low, high)
    return ptr, owner, count, low, high
