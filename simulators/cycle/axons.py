"""Synapses by source, packed into words, and the kernels that spikes pass.

All rows that a source reaches at the same delay lie one behind the other, whatever core they
belong to: one run of words ``weight << target_bits | target``, 4 bytes each as long as neurons and
weights fit 32 bits, else 8.  Rows that share their shapes stay shared: a run per shape, and as many
segments as there are rows, each with the neuron from which its targets count.

Where a core pays for an update of every neuron that heard something (``flag_bits``), sums are kept
shifted left by so many bits and every word adds one below: the low bits count what arrived.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from snnc.ir.core_tables import AnyCoreTables, CoreTables
from snnc.ir.errors import UnsupportedError
from snnc.ir.jit import inlined, inner_kernel, lean_kernel
from snnc.ir.rows import AT_ONCE, Rows
from snnc.simulators.cycle.reaches import Reaches, check_number

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

LARGEST_SUM = 1 << 62


class Axons(NamedTuple):
    """What spikes pass; a *group* is what one source reaches at one delay with one sign.

    Attributes:
        group_ptr: [sources + 1] slice of groups.
        group_delay: [groups] ticks beyond the minimum.
        group_sign: [groups] 1 or -1: hears only positive or negative pulses; 0: all.
        segment_ptr: [groups + 1] slice of segments.
        segment_run, segment_base: [segments] which run of words, and what is added to its targets.
        word_ptr: [runs + 1] slice of words.
        word: int32 or int64 [words].
        target_bits: width of the target in a word.
        flag_bits: low bits of a sum that count what arrived.
    """

    group_ptr: Int32
    group_delay: Int32
    group_sign: npt.NDArray[np.int8]
    segment_ptr: Int32
    segment_run: Int32
    segment_base: Int32
    word_ptr: Int64
    word: Any
    target_bits: int
    flag_bits: int


class Packets(NamedTuple):
    """What a source's value is on the network.

    Attributes:
        send_ptr: [sources + 1] slice of the nets on which a source sends.
        owner: [sources] input or population.
        limit: [inputs and populations] largest value one packet can carry.
    """

    send_ptr: Int64
    owner: Int32
    limit: Int64


@inlined
def packets_of(packets: Packets, source: int, value: int) -> int:
    """Packets per net that say ``value``."""
    limit = packets.limit[packets.owner[source]]
    return int((abs(value) + limit - 1) // limit)


@inner_kernel
def send(axons: Axons, ring: Int64, source: int, value: int, tick: int) -> None:
    """Accumulate a source's value on every axon it reaches.

    ``ring`` is [depth, neurons]; row ``t % depth`` collects what is integrated in tick t.  The
    axon's own delay comes on top of ``tick``.  Of a pair of axons the one of the value's sign
    adds the magnitude: its row holds the weights with that sign.
    """
    target_bits, flag_bits, words = axons.target_bits, axons.flag_bits, axons.word
    mask, heard = (1 << target_bits) - 1, int(flag_bits > 0)
    for group in range(axons.group_ptr[source], axons.group_ptr[source + 1]):
        sign = axons.group_sign[group]
        if sign * value < 0:
            continue
        row = ring[(tick + axons.group_delay[group]) % ring.shape[0]]
        pulse = abs(value) if sign != 0 else value
        factor = pulse << flag_bits
        for segment in range(axons.segment_ptr[group], axons.segment_ptr[group + 1]):
            run, base = axons.segment_run[segment], axons.segment_base[segment]
            # Unsigned numbers spare the test for indices that count from the end.
            first, last = np.uint64(axons.word_ptr[run]), np.uint64(axons.word_ptr[run + 1])
            if pulse == 1:
                for i in range(first, last):
                    word = np.int64(words[i])
                    place = np.uint64(base + (word & mask))
                    row[place] += ((word >> target_bits) << flag_bits) + heard
            else:
                for i in range(first, last):
                    word = np.int64(words[i])
                    row[np.uint64(base + (word & mask))] += (word >> target_bits) * factor + heard


def build(cores: AnyCoreTables, reaches: Reaches, charged: bool) -> Axons:
    """Pack the rows of a deployment.

    Args:
        cores: memory images.
        reaches: who hears whom.
        charged: whether sums must tell that something arrived.

    Raises:
        UnsupportedError: sums of this network are too large to carry such a flag, or there is more
            than 32 bits can number.
    """
    count = int((reaches.last - reaches.first).sum(dtype=np.int64))
    check_number("rows that all sources read", count)
    parts = [_sorted(cores, reaches, some) for some in _parts(reaches)]
    axon, delay, sign = (np.concatenate(column) for column in list(zip(*parts, strict=True))[:3])
    sizes, groups = (np.concatenate([part[i] for part in parts]) for i in (3, 4))
    del parts
    pack = _merged if isinstance(cores, CoreTables) else _segments
    return Axons(
        _starts(groups),
        delay,
        sign,
        *pack(cores, axon, _starts(sizes)),
        _flag_bits(cores) if charged else 0,
    )


def _starts(sizes: Int32) -> Int32:
    """[n + 1] where each of n runs begins, and the end; at most 32 bits."""
    ptr = np.zeros(sizes.size + 1, np.int32)
    np.cumsum(sizes, out=ptr[1:])
    return ptr


def _parts(reaches: Reaches) -> Iterator[slice]:
    """All sources, so many at a time that their reaches stay few."""
    ptr, sources = reaches.ptr, reaches.ptr.size - 1
    cuts = np.searchsorted(ptr, np.arange(1, -(-int(ptr[-1]) // AT_ONCE)) * AT_ONCE)
    for first, last in itertools.pairwise([0, *cuts.tolist(), sources]):
        yield slice(first, last)


Part = tuple[Int32, Int32, npt.NDArray[np.int8], Int32, Int32]


def _sorted(cores: AnyCoreTables, reaches: Reaches, sources: slice) -> Part:
    """What some sources reach, by (source, delay, sign): axons; delay, sign and size of groups;
    number of groups per source.
    """
    ptr = reaches.ptr[sources.start : sources.stop + 1]
    mine = slice(int(ptr[0]), int(ptr[-1]))
    first, length = reaches.first[mine], reaches.last[mine] - reaches.first[mine]
    axon = np.repeat(first - (np.cumsum(length) - length), length) + np.arange(length.sum())
    owner = np.repeat(np.repeat(np.arange(ptr.size - 1), np.diff(ptr)), length)
    signs = range(-1, 2)
    delays = int(cores.axon_delay.max(initial=0)) + 1
    key = owner * np.int64(delays)
    del owner
    key += cores.axon_delay[axon]
    key *= len(signs)
    key += cores.axon_sign[axon]
    key -= signs.start
    if not (key[1:] >= key[:-1]).all():
        order = np.argsort(key, kind="stable")
        axon, key = axon[order], key[order]
    new = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])[: key.size])
    size, key = np.diff(np.append(new, axon.size)), key[new]
    source, rest = np.divmod(key, delays * len(signs))
    return (
        axon.astype(np.int32),
        (rest // len(signs)).astype(np.int32),
        (rest % len(signs) + signs.start).astype(np.int8),
        size.astype(np.int32),
        np.bincount(source, minlength=ptr.size - 1).astype(np.int32),
    )


Packed = tuple[Int32, Int32, Int32, Int64, Any, int]
"""The attributes of ``Axons`` from ``segment_ptr`` to ``target_bits``."""


def _merged(cores: AnyCoreTables, axon: Int32, group_ptr: Int32) -> Packed:
    """One run of words per group of axons, its only segment."""
    rows, groups = cores.rows, group_ptr.size - 1
    row_ptr = np.concatenate([[0], np.cumsum(rows.lengths[axon])]).astype(np.int64)
    target_bits, dtype = _widths(rows, cores.neuron_source.size)
    word = np.empty(int(row_ptr[-1]), dtype)
    base = cores.neuron_ptr.astype(np.int64)[cores.axon_core]
    _fill(axon, row_ptr, rows.shape_ptr.astype(np.int64), base, rows.offset, rows.weight,
          target_bits, word)  # fmt: skip
    only = np.arange(groups, dtype=np.int32)
    ends = np.arange(groups + 1, dtype=np.int32)
    return ends, only, np.zeros(groups, np.int32), row_ptr[group_ptr], word, target_bits


def _segments(cores: AnyCoreTables, axon: Int32, group_ptr: Int32) -> Packed:
    """One run of words per shape, one segment per axon."""
    rows, shapes = cores.rows, cores.rows.shape_ptr.size - 1
    ptr = rows.shape_ptr.astype(np.int64)
    least, most = np.zeros(shapes, np.int32), np.zeros(shapes, np.int32)
    filled = np.flatnonzero(np.diff(ptr))
    if filled.size:
        least[filled] = np.minimum.reduceat(rows.offset, ptr[:-1][filled])
        most[filled] = np.maximum.reduceat(rows.offset, ptr[:-1][filled])
    target_bits, dtype = _widths(rows, int((most - least).max(initial=0)) + 1)
    word = np.empty(int(ptr[-1]), dtype)
    _fill(
        np.arange(shapes, dtype=np.int32),
        ptr,
        ptr,
        -least.astype(np.int64),
        rows.offset,
        rows.weight,
        target_bits,
        word,
    )
    run = rows.shape[axon].astype(np.int32, copy=False)
    base = rows.shift[axon].astype(np.int32)
    base += least[run]
    base += cores.neuron_ptr.astype(np.int32)[cores.axon_core][axon]
    return group_ptr, run, base, ptr, word, target_bits


def _widths(rows: Rows, targets: int) -> tuple[int, npt.DTypeLike]:
    """Bits of one of so many targets in a word, and the type of words."""
    low, high = int(rows.weight.min(initial=0)), int(rows.weight.max(initial=0))
    bits = max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + 1
    target_bits = targets.bit_length()
    return (target_bits, np.int32) if bits + target_bits <= 32 else (31, np.int64)


@lean_kernel
def _fill(
    axon: Int32,
    row_ptr: Int64,
    synapse_ptr: Int64,
    base: Int64,
    target: Any,
    weight: Any,
    target_bits: int,
    word: Any,
) -> None:
    """Write the words of every row; ``base`` [axons] is added to its targets."""
    for k in range(axon.size):
        first = synapse_ptr[axon[k]]
        for i in range(row_ptr[k + 1] - row_ptr[k]):
            place = base[axon[k]] + np.int64(target[first + i])
            word[row_ptr[k] + i] = (np.int64(weight[first + i]) << target_bits) | place


def _flag_bits(cores: AnyCoreTables) -> int:
    """Bits that count everything a neuron can hear in one tick."""
    most, largest = 1, 1.0
    for first, last in itertools.pairwise(cores.axon_ptr.tolist()):
        _, target, value = cores.rows.plain(slice(first, last))
        weight = np.abs(value.astype(np.float64))
        most = max(most, int(np.bincount(target).max(initial=1)))
        largest = max(largest, float(np.bincount(target, weight).max(initial=1)))
    bits = most.bit_length()
    if largest * 2.0 ** (bits + 16) > LARGEST_SUM:
        raise UnsupportedError(
            "sums of this network are too large to tell what arrived from what did not",
            found=f"up to {largest:.3g} in one tick",
            allowed=f"below {LARGEST_SUM >> (bits + 16)}",
            remedy="use a target with neuron.update_when: changing",
        )
    return bits
