"""How the membranes of the fast path advance: all of a population, or the touched ones.

A sweep goes part by part, so that several simple loops, each vector code, find the membranes in
the cache.  Parameters that repeat (one for all neurons, or one per channel) are stored for one
part only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.jit import inlined
from snnc.ir.jit import inner_kernel as kernel
from snnc.simulators.functional.layouts import RUNS, SHARED, TARGET_MASK, WIDE
from snnc.simulators.functional.plan import (
    CHUNK,
    CURRENT,
    CURRENT_EVEN,
    CURRENT_HIGH,
    CURRENT_LOW,
    CURRENT_SHIFT,
    CURRENT_TRUNCATE,
    CURRENT_WRAP,
    EVEN,
    FIRST,
    HIGH,
    KEEP,
    LEAK_SHIFT,
    LEAKY,
    LOW,
    MODE,
    PARAMETER,
    PERIOD,
    SHIFT,
    TRUNCATE,
)
from snnc.simulators.functional.program import LAYOUT, ROW, Synapses
from snnc.simulators.functional.vector import lowest_byte
from snnc.simulators.neuron_kernel import Int32, Int64

# Bits 0 and 1 of the flags of eight neurons, see ``_fire``.
_FIRED, _AGAIN = np.uint64(0x0101010101010101), np.uint64(0x0202020202020202)


class Fast(NamedTuple):
    """State and parameters of the fast path, all of the plan's type.

    Attributes:
        v, current: [neurons]; no currents where no population has them.
        threshold, added, multiplier, current_multiplier, bias: [parameters]; neuron i of a
            population has those at PARAMETER + i mod PERIOD.
    """

    v: IntArray
    current: IntArray
    threshold: IntArray
    added: IntArray
    multiplier: IntArray
    current_multiplier: IntArray
    bias: IntArray


@kernel
def touch(
    k: Int64,
    touching: tuple[Int64, Int32],
    synapses: Synapses,
    sums: IntArray,
    fast: Fast,
    index: Int32,
    n: int,
) -> tuple[int, int]:
    """Advance the neurons that (projection, spikes) reach; exact for event-driven populations.

    A sum of zero leaves the neuron as it is; a neuron reached twice is advanced the first time,
    when its sum is taken.  ``n`` have fired before; returns how many have then, and whether any
    will again without input.
    """
    projection, spikes = touching
    again, layout, row = 0, projection[LAYOUT], projection[ROW]
    membranes, threshold, added = fast.v, fast.threshold, fast.added
    for source in spikes:
        entries = _entries(layout, row + source, synapses)
        for entry in range(entries[0], entries[1]):
            first, many = _targets(layout, row + source, entry, synapses)
            for i in range(first, first + many):
                if sums[i] != 0:
                    fires, over = _integrate(k, membranes, threshold, added, sums, i)
                    if fires:
                        index[n] = i
                        n += 1
                        again |= over
    return n, again


@inlined
def _entries(layout: int, row: int, synapses: Synapses) -> Any:
    """First stored entry of a row, and the one behind its last."""
    if layout == RUNS:
        shape = synapses.shape[row]
        return np.int64(synapses.shape_ptr[shape]), np.int64(synapses.shape_ptr[shape + 1])
    stored = np.int64(synapses.shape[row]) if layout == SHARED else row
    return synapses.row_ptr[stored], synapses.row_ptr[stored + 1]


@inlined
def _targets(layout: int, row: int, entry: int, synapses: Synapses) -> Any:
    """First target and number of targets of one stored entry."""
    if layout == RUNS:
        first = np.int64(synapses.base[row]) + synapses.run_offset[entry]
        return first, np.int64(synapses.run_length[entry])
    if layout == WIDE:
        return np.int64(synapses.target[entry]), np.int64(1)
    if layout == SHARED:
        return np.int64(synapses.base[row]) + synapses.target[entry], np.int64(1)
    return np.int64(synapses.words[entry] & TARGET_MASK), np.int64(1)


@inlined
def _integrate(
    k: Int64, membranes: IntArray, threshold: IntArray, added: IntArray, sums: IntArray, i: int
) -> tuple[int, int]:
    """Advance one neuron without leak and bias; returns (fires, still at the threshold)."""
    g, low, high = k[FIRST] + i, k[LOW], k[HIGH]
    own = k[PARAMETER] + i % k[PERIOD]
    v = min(max(membranes[g] + (np.int64(sums[i]) << k[SHIFT]), low), high)
    sums[i] = 0
    fires = v >= threshold[own]
    if fires:
        v = min(max((v & k[KEEP]) + added[own], low), high)
    membranes[g] = v
    return int(fires), int(v >= threshold[own])


@kernel
def sweep(
    k: Int64, fast: Fast, fired: Any, words: Any, sums: IntArray, index: Int32
) -> tuple[int, int]:
    """Advance all neurons of a fast population; returns how many fire, and if any will again."""
    n, again = 0, 0
    part = min(k[PERIOD], CHUNK)
    for begin in range(0, sums.size, part):
        end = min(begin + part, sums.size)
        first, last = k[FIRST] + begin, k[FIRST] + end
        # A period is a part, or all of the population.
        own = k[PARAMETER] + (begin if k[PERIOD] == sums.size else 0)
        own_end = own + end - begin
        v, bias, arriving = fast.v[first:last], fast.bias[own:own_end], sums[begin:end]
        if k[MODE] == LEAKY:
            multiplier = fast.multiplier[own:own_end]
            _leak(v, multiplier, k[LEAK_SHIFT], k[TRUNCATE], k[EVEN])
        if k[CURRENT]:
            current, multiplier = fast.current[first:last], fast.current_multiplier[own:own_end]
            _leak(current, multiplier, k[CURRENT_SHIFT], k[CURRENT_TRUNCATE], k[CURRENT_EVEN])
            bounds = k[CURRENT_LOW], k[CURRENT_HIGH], k[CURRENT_WRAP]
            _charge(v, current, arriving, bias, k[SHIFT], bounds)
        else:
            _add(v, arriving, bias, k[SHIFT])
        parameters = fast.threshold[own:own_end], fast.added[own:own_end]
        _fire(v, parameters[0], parameters[1], k[LOW], k[HIGH], k[KEEP], fired)
        n, more = _collect(fired, words, begin, end, index, n)
        again |= more
    return n, again


@inlined
def _add(v: IntArray, sums: IntArray, bias: IntArray, shift: int) -> None:
    """Integrate and consume the input sums."""
    for i in range(v.size):
        v[i] += (sums[i] << shift) + bias[i]
        sums[i] = 0


@kernel
def _charge(
    v: Any, current: Any, sums: Any, bias: IntArray, shift: int, bounds: tuple[int, int, int]
) -> None:
    """Add the input sums to the currents, and the currents to the membranes."""
    kind = v.dtype.type
    low, high, wrap = kind(bounds[0]), kind(bounds[1]), kind(bounds[2])
    factor = kind(1 << shift)
    if wrap != 0:
        for i in range(v.size):
            x = kind(((current[i] + sums[i] * factor - low) & wrap) + low)
            current[i] = x
            v[i] += x + bias[i]
            sums[i] = 0
    else:
        for i in range(v.size):
            x = min(max(kind(current[i] + sums[i] * factor), low), high)
            current[i] = x
            v[i] += x + bias[i]
            sums[i] = 0


@kernel
def _leak(v: IntArray, multiplier: IntArray, shift: int, truncate: int, even: int) -> None:
    """``v = round(multiplier v / 2^shift)`` without branches, so that it becomes vector code.

    Toward zero: a negative product is first raised by 2^shift - 1.  Half to even: one more when
    the rest, plus one if the floor is odd, exceeds one half.
    """
    mask, half = (1 << shift) - 1, (1 << shift) >> 1
    for i in range(v.size):
        product = np.int64(multiplier[i]) * np.int64(v[i])
        product += (product >> 63) & truncate
        floor = product >> shift
        v[i] = floor + (((product & mask) + (floor & 1) > half) & even)


@kernel
def _fire(v: Any, threshold: Any, added: Any, low: int, high: int, keep: int, fired: Any) -> None:
    """Clip, compare, reset, clip; bit 0 of ``fired``: a spike, bit 1: still at the threshold."""
    kind = v.dtype.type
    lowest, highest, mask = kind(low), kind(high), kind(keep)
    for i in range(v.size):
        u = min(max(v[i], lowest), highest)
        hit = u >= threshold[i]
        after = min(max(kind((u & mask) + added[i]), lowest), highest)
        u = after if hit else u
        v[i] = u
        fired[i] = hit | ((u >= threshold[i]) << 1)


@inlined
def _collect(fired: Any, words: Any, begin: int, end: int, index: Int32, n: int) -> tuple[int, int]:
    """List the neurons begin .. end - 1 that fire after ``n`` others, eight flags at a time.

    Returns how many are listed then, and whether any would fire again.
    """
    size, again = end - begin, np.uint64(0)
    for i in range(size, (size + 7) & -8):
        fired[i] = 0
    for w in range((size + 7) >> 3):
        spikes = words[w] & _FIRED
        again |= words[w]
        # One turn per spike: whether a neuron fires is nothing a processor can guess.
        while spikes != 0:
            index[n] = begin + 8 * w + lowest_byte(spikes)
            n += 1
            spikes &= spikes - np.uint64(1)
    return n, int((again & _AGAIN) != 0)
