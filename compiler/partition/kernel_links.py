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
from snnc.ir.arrays import IntArray
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
        size: neurons.
        outputs: neurons of an output channel.
        possible: [connections] bool: stored as kernels if that is cheaper.
        taps: [connections] weights of a kernel; 0 where that is not possible.
        operator: [connections] equal for those that share their kernels.
        heard_ptr, heard_connection, heard_axons: axons of every group, by connection.
        set_of: [groups] set.
        least: [groups] fewest axons of one of its input channels.
        set_ptr, member: what sets consist of: ``channel_first[connection] + input channel``.
        channel_first: [connections + 1]; what is no convolution has one channel.
    """

    fanin: SharedFanin
    size: int
    outputs: int
    possible: BoolArray
    taps: IntArray
    operator: IntArray
    heard_ptr: IntArray
    heard_connection: IntArray
    heard_axons: IntArray
    set_of: IntArray
    least: IntArray
    set_ptr: IntArray
    member: IntArray
    channel_first: IntArray

    @staticmethod
    def of(fanin: SharedFanin, size: int) -> KernelLinks:
        """Links of a population of so many neurons."""
        kernels = [c.kernels for c in fanin.connections]
        # One layout of the neurons in channels: that of the largest kernel.
        layouts = [(k.taps, k.outputs) for k in kernels if k is not None]
        outputs = max(layouts)[1] if layouts else size
        possible = np.array([k is not None and k.outputs == outputs for k in kernels], bool)
        taps = np.array([0 if k is None else k.taps for k in kernels], np.int64) * possible
        elements = np.array([c.elements for c in fanin.connections], np.int64)
        # What is no convolution counts as one input channel.
        pixels = np.where(possible, [1 if k is None else k.pixels for k in kernels], elements)
        channel_first = pointers(elements // pixels)
        connection = np.repeat(np.arange(possible.size), [c.axons for c in fanin.connections])
        groups = fanin.groups
        owner = np.repeat(np.arange(groups.size.size), groups.size)
        mine = connection[groups.axon]
        begin = np.flatnonzero(_changes(owner * possible.size + mine))
        first = np.array([c.first for c in fanin.connections], np.int64)
        code = channel_first[mine] + (fanin.source[groups.axon] - first[mine]) // pixels[mine]
        kept = np.flatnonzero(_changes(code) | _changes(owner))
        ptr = pointers(np.bincount(owner[kept], minlength=groups.size.size))
        each = np.diff(np.append(kept, code.size))
        set_of, set_ptr, member = _sets(ptr, code[kept])
        return KernelLinks(
            fanin=fanin,
            size=size,
            outputs=outputs,
            possible=possible,
            taps=taps,
            operator=_operators(fanin, possible),
            heard_ptr=pointers(np.bincount(owner[begin], minlength=groups.size.size)),
            heard_connection=mine[begin],
            heard_axons=np.diff(np.append(begin, owner.size)),
            set_of=set_of,
            least=np.minimum.reduceat(each, ptr[:-1]) if each.size else each,
            set_ptr=set_ptr,
            member=member,
            channel_first=channel_first,
        )

    @cached_property
    def member_connection(self) -> IntArray:
        """[members] connection."""
        return np.searchsorted(self.channel_first, self.member, side="right") - 1

    @cached_property
    def member_code(self) -> IntArray:
        """[members] equal for input channels that share kernels: those of one operator."""
        connection = self.member_connection
        return self.channel_first[self.operator[connection]] + (
            self.member - self.channel_first[connection]
        )

    @property
    def channels(self) -> int:
        """Output channels."""
        return -(-self.size // self.outputs)

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
        """(operator, synapses of a kernel, how many such kernels); of some kernels, too few.

        Too few where pixels of one channel reach the same neurons, some of them more of them.
        """
        number, place = self.table
        groups, total = self.fanin.groups, np.zeros(place.size, np.int64)
        _add_up(
            groups.support, groups.first, groups.offset_ptr, groups.offset, self.set_of,
            self.outputs, self.channels, number, self.least, total,
        )  # fmt: skip
        times = np.diff(self.set_ptr)[place // self.channels]
        link = np.repeat(np.arange(place.size), times)
        inner = np.arange(link.size) - np.repeat(np.cumsum(times) - times, times)
        at = self.set_ptr[place[link] // self.channels] + inner
        kernel = self.member_code[at] * self.channels + place[link] % self.channels
        kernel, number = np.unique(kernel, return_inverse=True)
        count = np.bincount(number.reshape(-1), weights=total[link], minlength=kernel.size)
        mine = np.searchsorted(self.channel_first, kernel // self.channels, side="right") - 1
        kept = self.possible[mine]
        most = int(count.max(initial=0)) + 1
        kinds = mine[kept] * most + count[kept].astype(np.int64)
        kinds, times = np.unique(kinds, return_counts=True)
        return kinds // most, kinds % most, times

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

    def kernels(
        self, cluster: IntArray, link: IntArray, clusters: int, wanted: BoolArray | None = None
    ) -> IntArray:
        """[clusters, connections] kernels that clusters need for links.

        Args:
            cluster, link: by cluster.
            wanted: [clusters, connections] count these only, and shared kernels once, in the
                column of their operator; None: all, for every connection of its own.
        """
        connections = self.possible.size
        total = np.zeros((clusters, connections), np.int64)
        everything = wanted is None
        _count(
            cluster, self.table[1][link], self.channels, self.set_ptr,
            self.member if everything else self.member_code, self.member_connection,
            np.arange(connections) if everything else self.operator,
            np.ones((clusters, connections), bool) if wanted is None else wanted,
            np.full(int(self.channel_first[-1]) * self.channels, -1, np.int32), total,
        )  # fmt: skip
        return total


def _operators(fanin: SharedFanin, possible: BoolArray) -> IntArray:
    """[connections] the first one with the same kernels."""
    known: dict[object, int] = {}
    result = np.arange(possible.size)
    for k, (connection, kernels) in enumerate(
        zip(fanin.connections, (c.kernels for c in fanin.connections), strict=True)
    ):
        if possible[k] and kernels is not None:
            result[k] = known.setdefault((kernels, connection.negative), k)
    return result


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


@lean_kernel
def _count(
    cluster: IntArray, place: IntArray, channels: int, set_ptr: IntArray, code: IntArray,
    connection: IntArray, column: IntArray, wanted: BoolArray, stamp: IntArray, total: IntArray,
) -> None:  # fmt: skip
    """Count different (code, output channel) per cluster, by column of the member's connection.

    Args:
        cluster, place: [links used] the latter in the table of sets and channels.
        code, connection: [members].
        stamp: [codes * channels], at first -1.
    """
    for k in range(cluster.size):
        c, channel = cluster[k], place[k] % channels
        kind = place[k] // channels
        for m in range(set_ptr[kind], set_ptr[kind + 1]):
            at = code[m] * channels + channel
            if wanted[c, connection[m]] and stamp[at] != c:
                stamp[at] = c
                total[c, column[connection[m]]] += 1
