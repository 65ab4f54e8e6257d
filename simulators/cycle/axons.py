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
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from snnc.ir.core_tables import AnyCoreTables, CoreTables
from snnc.ir.errors import UnsupportedError
from snnc.ir.jit import inner_kernel, lean_kernel

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
        sends: [sources] nets per source.
        packet_limit: [sources] largest value one packet can carry.
    """

    group_ptr: Int64
    group_delay: Int32
    group_sign: npt.NDArray[np.int8]
    segment_ptr: Int64
    segment_run: Int32
    segment_base: Int32
    word_ptr: Int64
    word: Any
    target_bits: int
    flag_bits: int
    sends: Int32
    packet_limit: Int64


@inner_kernel
def packets_of(value: int, limit: int) -> int:
    """Packets that say ``value``."""
    return (abs(value) + limit - 1) // limit


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


class Reaches(NamedTuple):
    """Which axons hear a source: one range of axons per net and core reached.

    Attributes:
        ptr: [sources + 1] slice of reaches.
        first, last: [reaches] range of axons.
    """

    ptr: Int64
    first: Int32
    last: Int32


def build(
    cores: AnyCoreTables, reaches: Reaches, sends: Int32, packet_limit: Int64, charged: bool
) -> Axons:
    """Pack the rows of a deployment.

    Args:
        cores: memory images.
        reaches: who hears whom.
        sends, packet_limit: [sources], as in ``Axons``.
        charged: whether sums must tell that something arrived.

    Raises:
        UnsupportedError: sums of this network are too large to carry such a flag.
    """
    axon, key, signs = _sorted(cores, reaches)
    new = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])[: key.size])
    group_ptr, key = np.append(new, axon.size), key[new]
    source, rest = np.divmod(key, int(cores.axon_delay.max(initial=0) + 1) * len(signs))
    pack = _merged if isinstance(cores, CoreTables) else _segments
    return Axons(
        np.searchsorted(source, np.arange(reaches.ptr.size)).astype(np.int64),
        (rest // len(signs)).astype(np.int32),
        (rest % len(signs) + signs.start).astype(np.int8),
        *pack(cores, axon, group_ptr),
        _flag_bits(cores, packet_limit) if charged else 0,
        sends,
        packet_limit,
    )


def _sorted(cores: AnyCoreTables, reaches: Reaches) -> tuple[Int32, Int64, range]:
    """(axons, keys, signs): what all sources reach by (source, delay, sign), which is the key.

    There are as many axons as a large network has neurons times what hears each: memory counts.
    """
    length = reaches.last - reaches.first
    reach = np.repeat(np.arange(length.size, dtype=np.int32), length)
    axon = np.arange(reach.size) - (np.cumsum(length) - length - reaches.first)[reach]
    axon = axon.astype(np.int32)
    owner = np.repeat(np.arange(reaches.ptr.size - 1, dtype=np.int32), np.diff(reaches.ptr))
    signs = range(-1, 2)
    key = owner[reach] * np.int64(cores.axon_delay.max(initial=0) + 1)
    del reach, owner
    key += cores.axon_delay[axon]
    key *= len(signs)
    key += cores.axon_sign[axon]
    key -= signs.start
    if not (key[1:] >= key[:-1]).all():
        order = np.argsort(key, kind="stable")
        axon, key = axon[order], key[order]
    return axon, key, signs


Packed = tuple[Int64, Int32, Int32, Int64, Any, int]
"""The attributes of ``Axons`` from ``segment_ptr`` to ``target_bits``."""


def _merged(cores: AnyCoreTables, axon: Int32, group_ptr: Int64) -> Packed:
    """One run of words per group of axons, its only segment."""
    rows, groups = cores.rows, group_ptr.size - 1
    row_ptr = np.concatenate([[0], np.cumsum(rows.lengths[axon])]).astype(np.int64)
    target_bits, dtype = _widths(cores)
    word = np.empty(int(row_ptr[-1]), dtype)
    base = cores.neuron_ptr.astype(np.int64)[cores.axon_core]
    _fill(axon, row_ptr, rows.shape_ptr.astype(np.int64), base, rows.offset, rows.weight,
          target_bits, word)  # fmt: skip
    only = np.arange(groups, dtype=np.int32)
    ends = np.arange(groups + 1)
    return ends, only, np.zeros(groups, np.int32), row_ptr[group_ptr], word, target_bits


def _segments(cores: AnyCoreTables, axon: Int32, group_ptr: Int64) -> Packed:
    """One run of words per shape, one segment per axon."""
    rows, shapes = cores.rows, cores.rows.shape_ptr.size - 1
    ptr = rows.shape_ptr.astype(np.int64)
    least, filled = np.zeros(shapes, np.int64), np.flatnonzero(np.diff(ptr))
    if filled.size:
        least[filled] = np.minimum.reduceat(rows.offset, ptr[:-1][filled])
    target_bits, dtype = _widths(cores)
    word = np.empty(int(ptr[-1]), dtype)
    _fill(
        np.arange(shapes, dtype=np.int32),
        ptr,
        ptr,
        -least,
        rows.offset,
        rows.weight,
        target_bits,
        word,
    )
    base = cores.neuron_ptr.astype(np.int64)[cores.axon_core[axon]]
    base += rows.shift[axon] + least[rows.shape[axon]]
    run = rows.shape[axon].astype(np.int32)
    return group_ptr.astype(np.int64), run, base.astype(np.int32), ptr, word, target_bits


def _widths(cores: AnyCoreTables) -> tuple[int, npt.DTypeLike]:
    """Bits of a target in a word, and the type of words."""
    weight = cores.rows.weight
    low, high = int(weight.min(initial=0)), int(weight.max(initial=0))
    bits = max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + 1
    target_bits = cores.neuron_source.size.bit_length()
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


def _flag_bits(cores: AnyCoreTables, packet_limit: Int64) -> int:
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
