"""Which kernels a cluster needs, found from groups of axons instead of from synapses.

Axons of a group reach the same neurons, so a group needs the kernels from all of its input
channels to all output channels it reaches in a cluster.  A *set* is the input channels of a group;
a *link* is a set and an output channel.  In a convolution all channels of a pixel are one group,
so there is one set, and as many links as output channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from snnc.compiler.partition.shared_fanin import SharedFanin
from snnc.ir.arrays import IntArray, sorted_unique
from snnc.ir.jit import lean_kernel
from snnc.ir.row_shapes import pointers
from snnc.ir.rows import shared_rows

BoolArray = npt.NDArray[np.bool_]
MOST_MARKS = 1 << 28
"""Pairs of a cluster and a link that are looked at at a time."""


@dataclass(frozen=True, eq=False)
class KernelLinks:
    """The links of one population.

    Attributes:
        possible: [connections] bool: stored as kernels if that is cheaper.
        taps: [connections] weights of a kernel.
        heard_ptr, heard_connection, heard_axons: axons of every group, by connection.
        outputs: neurons of an output channel.
        set_of: [groups] set.
        set_ptr, member: what sets consist of: ``channel_first[connection] + input channel``.
        channel_first: [connections + 1]; what is no convolution has one channel.
        least: [groups] fewest axons of one of its input channels.
        size: neurons.
    """

    fanin: SharedFanin
    possible: BoolArray
    taps: IntArray
    heard_ptr: IntArray
    heard_connection: IntArray
    heard_axons: IntArray
    outputs: int
    set_of: IntArray
    set_ptr: IntArray
    member: IntArray
    channel_first: IntArray
    least: IntArray
    size: int

    @staticmethod
    def of(fanin: SharedFanin, size: int) -> KernelLinks:
        """Links of a population of so many neurons."""
        kernels = [c.kernels for c in fanin.connections]
        # One layout of the neurons in channels: that of the largest kernel.
        layouts = [(k.taps, k.outputs) for k in kernels if k is not None]
        outputs = max(layouts)[1] if layouts else size
        possible = np.array([k is not None and k.outputs == outputs for k in kernels], bool)
        taps = np.array([0 if k is None else k.taps for k in kernels], np.int64) * possible
        lengths = np.array([c.axons for c in fanin.connections], np.int64)
        connection = np.repeat(np.arange(lengths.size), lengths)
        groups = fanin.groups
        owner = np.repeat(np.arange(groups.size.size), groups.size)
        mine = connection[groups.axon]
        begin = np.flatnonzero(_changes(owner * lengths.size + mine))
        times = np.diff(np.append(begin, owner.size))
        heard_ptr = pointers(np.bincount(owner[begin], minlength=groups.size.size))
        elements = np.array([c.elements for c in fanin.connections], np.int64)
        # What is no convolution counts as one input channel.
        pixels = np.where(possible, [1 if k is None else k.pixels for k in kernels], elements)
        first = np.array([c.first for c in fanin.connections], np.int64)
        channel_first = pointers(elements // pixels)
        code = channel_first[mine] + (fanin.source[groups.axon] - first[mine]) // pixels[mine]
        kept = np.flatnonzero(_changes(code) | _changes(owner))
        ptr = pointers(np.bincount(owner[kept], minlength=groups.size.size))
        set_of, set_ptr, member = _sets(ptr, code[kept])
        each = np.diff(np.append(kept, code.size))
        least = np.minimum.reduceat(each, ptr[:-1]) if each.size else each
        return KernelLinks(
            fanin, possible, taps, heard_ptr, mine[begin], times, outputs, set_of, set_ptr, member,
            channel_first, least, size,
        )  # fmt: skip

    @property
    def channels(self) -> int:
        """Output channels."""
        return -(-self.size // self.outputs)

    @cached_property
    def sizes(self) -> IntArray:
        """[sets, connections] input channels."""
        sets, connections = self.set_ptr.size - 1, self.channel_first.size - 1
        owner = np.repeat(np.arange(sets), np.diff(self.set_ptr))
        mine = self._connection(self.member)
        count = np.bincount(owner * connections + mine, minlength=sets * connections)
        return count.reshape(sets, connections)

    @cached_property
    def disjoint(self) -> bool:
        """Whether every input channel is in one set only, as unless weights were pruned."""
        real = self.member[self.possible[self._connection(self.member)]]
        return bool(np.unique(real).size == real.size)

    @cached_property
    def table(self) -> tuple[IntArray, IntArray]:
        """([sets, channels] number of the link or -1, [links] place in that table)."""
        seen = np.zeros((1, (self.set_ptr.size - 1) * self.channels), np.uint8)
        self._mark(np.zeros(self.size, np.int64), 0, np.arange(seen.size), seen)
        place = np.flatnonzero(seen)
        number = np.full(seen.size, -1, np.int32)
        number[place] = np.arange(place.size)
        return number, place

    def _mark(self, label: IntArray, first: int, number: IntArray, seen: IntArray) -> None:
        groups = self.fanin.groups
        _mark(
            groups.support, groups.first, groups.offset_ptr, groups.offset, label, first,
            self.set_of, self.outputs, self.channels, number, seen,
        )  # fmt: skip

    @cached_property
    def synapses(self) -> tuple[IntArray, IntArray, IntArray]:
        """(connection, synapses of a kernel, how many such kernels); of some kernels, too few.

        Too few where pixels of one channel reach the same neurons, some of them more of them.
        """
        number, place = self.table
        groups, total = self.fanin.groups, np.zeros(place.size, np.int64)
        _add_up(
            groups.support, groups.first, groups.offset_ptr, groups.offset, self.set_of,
            self.outputs, self.channels, number, self.least, total,
        )  # fmt: skip
        pair, entry = self._pairs(np.arange(place.size))
        kernel, number = np.unique(pair, return_inverse=True)
        count = np.bincount(number.reshape(-1), weights=total[entry], minlength=kernel.size)
        mine = self._connection(kernel // self.channels)
        kept = self.possible[mine]
        most = int(count.max(initial=0)) + 1
        kinds, times = np.unique(mine[kept] * most + count[kept].astype(np.int64), return_counts=True)
        return kinds // most, kinds % most, times

    def _pairs(self, link: IntArray) -> tuple[IntArray, IntArray]:
        """(member * channels + channel, position of the link) of all kernels of some links."""
        _, place = self.table
        kind = place[link] // self.channels
        times = np.diff(self.set_ptr)[kind]
        entry = np.repeat(np.arange(link.size), times)
        inner = np.arange(entry.size) - np.repeat(np.cumsum(times) - times, times)
        source = self.member[self.set_ptr[kind[entry]] + inner]
        return source * self.channels + place[link[entry]] % self.channels, entry

    def _connection(self, member: IntArray) -> IntArray:
        return np.searchsorted(self.channel_first, member, side="right") - 1

    def used(self, label: IntArray, clusters: int) -> tuple[IntArray, IntArray]:
        """(cluster, link) of all links that clusters need, by cluster.

        Args:
            label: [neurons] cluster.
        """
        number, place = self.table
        step = max(1, MOST_MARKS // max(place.size, 1))
        parts = []
        for first in range(0, clusters, step):
            seen = np.zeros((min(step, clusters - first), place.size), np.uint8)
            self._mark(label, first, number, seen)
            cluster, link = np.nonzero(seen)
            parts.append((cluster + first, link))
        cluster, link = (np.concatenate(column) for column in zip(*parts, strict=True))
        return cluster, link

    def kernels(self, cluster: IntArray, link: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """(cluster, connection, kernels) of links that clusters need, none twice."""
        connections = self.channel_first.size - 1
        _, place = self.table
        kind = place[link] // self.channels
        if self.disjoint:
            count = self.sizes[kind]
            clusters = int(cluster.max(initial=-1)) + 1
            total = np.stack(
                [np.bincount(cluster, weights=c, minlength=clusters) for c in count.T], axis=1
            )
            at, connection = np.nonzero(total)
            return at, connection, total[at, connection].astype(np.int64)
        pair, entry = self._pairs(link)
        width = int(self.channel_first[-1]) * self.channels
        found = sorted_unique(cluster[entry] * width + pair)
        connection = self._connection(found % width // self.channels)
        key, times = np.unique(found // width * connections + connection, return_counts=True)
        return key // connections, key % connections, times


def _sets(ptr: IntArray, code: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """(set of every group, pointers, members), equal lists of rising codes being one set."""
    rows = shared_rows(ptr, code, np.zeros(code.size, np.int8))
    shifts = int(rows.shift.max(initial=0)) + 1
    key = rows.shape.astype(np.int64) * shifts + rows.shift
    _, model, number = np.unique(key, return_index=True, return_inverse=True)
    length = np.diff(ptr)[model]
    inner = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    member = code[np.repeat(ptr[model], length) + inner]
    return number.reshape(-1).astype(np.int32), pointers(length), member


def _changes(values: IntArray) -> BoolArray:
    """[values] bool: the first, or another one than the one before."""
    result: BoolArray = np.ones(values.size, bool)
    result[1:] = values[1:] != values[:-1]
    return result


@lean_kernel
def _mark(
    support: IntArray, first: IntArray, offset_ptr: IntArray, offset: IntArray, label: IntArray,
    begin: int, set_of: IntArray, outputs: int, channels: int, number: IntArray, seen: IntArray,
) -> None:  # fmt: skip
    """Mark [clusters from ``begin`` on, links] what the groups reach."""
    for group in range(support.size):
        base = set_of[group] * channels
        for k in range(offset_ptr[support[group]], offset_ptr[support[group] + 1]):
            neuron = first[group] + offset[k]
            c = label[neuron] - begin
            if 0 <= c < seen.shape[0]:
                seen[c, number[base + neuron // outputs]] = 1


@lean_kernel
def _add_up(
    support: IntArray, first: IntArray, offset_ptr: IntArray, offset: IntArray, set_of: IntArray,
    outputs: int, channels: int, number: IntArray, times: IntArray, total: IntArray,
) -> None:  # fmt: skip
    """Add to [links] the synapses of one input channel, given the axons of it per group."""
    for group in range(support.size):
        base = set_of[group] * channels
        for k in range(offset_ptr[support[group]], offset_ptr[support[group] + 1]):
            neuron = first[group] + offset[k]
            total[number[base + neuron // outputs]] += times[group]
