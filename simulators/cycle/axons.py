"""Synapses by source, packed into words, and the kernels that spikes pass.

All rows that a source reaches at the same delay lie one behind the other, whatever core they
belong to: one run of words ``weight << target_bits | target``, 4 bytes each as long as neurons and
weights fit 32 bits, else 8.

Where a core pays for an update of every neuron that heard something (``flag_bits``), sums are kept
shifted left by so many bits and every word adds one below: the low bits count what arrived.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from snnc.ir.deployment import CoreTables
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
        word_ptr: [groups + 1] slice of words.
        word: int32 or int64 [words].
        target_bits: width of the target in a word.
        flag_bits: low bits of a sum that count what arrived.
        sends: [sources] nets per source.
        packet_limit: [sources] largest value one packet can carry.
    """

    group_ptr: Int64
    group_delay: Int64
    group_sign: Int64
    word_ptr: Int64
    word: Any
    target_bits: int
    flag_bits: int
    sends: Int64
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
        # Unsigned numbers spare the test for indices that count from the end.
        first, last = np.uint64(axons.word_ptr[group]), np.uint64(axons.word_ptr[group + 1])
        if pulse == 1:
            for i in range(first, last):
                word = np.int64(words[i])
                row[np.uint64(word & mask)] += ((word >> target_bits) << flag_bits) + heard
        else:
            factor = pulse << flag_bits
            for i in range(first, last):
                word = np.int64(words[i])
                row[np.uint64(word & mask)] += (word >> target_bits) * factor + heard


class Reaches(NamedTuple):
    """Which axons hear a source: one range of axons per net and core reached.

    Attributes:
        ptr: [sources + 1] slice of reaches.
        first, last: [reaches] range of axons.
    """

    ptr: Int64
    first: Int64
    last: Int64


def build(
    cores: CoreTables, reaches: Reaches, sends: Int64, packet_limit: Int64, charged: bool
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
    length = reaches.last - reaches.first
    reach = np.repeat(np.arange(length.size), length)
    within = np.arange(reach.size) - np.repeat(np.cumsum(length) - length, length)
    axon = reaches.first[reach] + within
    source = np.repeat(np.arange(reaches.ptr.size - 1), np.diff(reaches.ptr))[reach]
    delay, sign = cores.axon_delay[axon].astype(np.int64), cores.axon_sign[axon].astype(np.int64)
    order = np.lexsort((sign, delay, source))
    axon, key = axon[order], np.stack([source, delay, sign], axis=1)[order]
    new = np.flatnonzero(
        np.concatenate([[True], (np.diff(key, axis=0) != 0).any(axis=1)])[: len(key)]
    )
    row = np.diff(cores.synapse_ptr)[axon]
    row_ptr = np.concatenate([[0], np.cumsum(row)]).astype(np.int64)
    target_bits, dtype = _widths(cores)
    word = np.empty(int(row_ptr[-1]), dtype)
    core_of_axon = np.repeat(np.arange(cores.count), np.diff(cores.axon_ptr))
    base = cores.neuron_ptr.astype(np.int64)[core_of_axon]
    _fill(
        axon, row_ptr, cores.synapse_ptr.astype(np.int64), base,
        np.ascontiguousarray(cores.synapse_target), np.ascontiguousarray(cores.synapse_weight),
        target_bits, word,
    )  # fmt: skip
    return Axons(
        np.searchsorted(key[new, 0], np.arange(reaches.ptr.size)).astype(np.int64),
        key[new, 1].astype(np.int64),
        key[new, 2].astype(np.int64),
        np.append(row_ptr[new], row_ptr[-1]).astype(np.int64),
        word,
        target_bits,
        _flag_bits(cores, packet_limit) if charged else 0,
        sends,
        packet_limit,
    )


def _widths(cores: CoreTables) -> tuple[int, npt.DTypeLike]:
    """Bits of a target in a word, and the type of words."""
    weight = cores.synapse_weight
    low, high = int(weight.min(initial=0)), int(weight.max(initial=0))
    bits = max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + 1
    target_bits = cores.neuron_source.size.bit_length()
    return (target_bits, np.int32) if bits + target_bits <= 32 else (31, np.int64)


@lean_kernel
def _fill(
    axon: Int64,
    row_ptr: Int64,
    synapse_ptr: Int64,
    base: Int64,
    target: Any,
    weight: Any,
    target_bits: int,
    word: Any,
) -> None:
    """Write the words of every row; ``base`` [axons] is the first neuron of the axon's core."""
    for k in range(axon.size):
        first = synapse_ptr[axon[k]]
        for i in range(row_ptr[k + 1] - row_ptr[k]):
            place = base[axon[k]] + np.int64(target[first + i])
            word[row_ptr[k] + i] = (np.int64(weight[first + i]) << target_bits) | place


def _flag_bits(cores: CoreTables, packet_limit: Int64) -> int:
    """Bits that count everything a neuron can hear in one tick."""
    most, largest = 1, 1.0
    for first, last in itertools.pairwise(cores.synapse_ptr[cores.axon_ptr]):
        target = cores.synapse_target[first:last]
        weight = np.abs(cores.synapse_weight[first:last].astype(np.float64))
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
