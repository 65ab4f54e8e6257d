"""How spikes reach the input sums: one loop per layout of the synapses.

A row is asked for while the rows before it are added: in a large network no row is in the cache,
and the wait for memory was two thirds of the time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.jit import inlined
from snnc.ir.jit import inner_kernel as kernel
from snnc.simulators.functional.layouts import (
    RUNS,
    SHARED,
    SINGLE,
    TARGET_BITS,
    TARGET_MASK,
    WORDS,
)
from snnc.simulators.functional.program import LAYOUT, ROW, Synapses
from snnc.simulators.functional.vector import LANES, add_lanes, prefetch
from snnc.simulators.neuron_kernel import Int32, Int64

# Rows that are asked for ahead, and words in a cache line.
AHEAD, LINE = 3, 16

Runs = tuple[Int32, Int64, Int32, Any]
"""(offset, first, length, weight) of ``RunTable``."""


@inlined
def deliver(k: Int64, synapses: Synapses, spikes: tuple[Int32, Int64, int], sums: IntArray) -> int:
    """Add the synapses of spikes (index, value, unit); returns the number of events."""
    index, value, unit = spikes
    if k[LAYOUT] == RUNS:
        rows = synapses.base[k[ROW] :], synapses.shape[k[ROW] :]
        shapes = synapses.shape_ptr, synapses.shape_events
        runs = synapses.run_offset, synapses.run_first, synapses.run_length, synapses.run_weight
        if unit:
            return scatter_runs(rows, shapes, runs, index, sums)
        return scatter_scaled_runs(rows, shapes, runs, spikes, sums)
    if k[LAYOUT] == SHARED:
        rows = synapses.base[k[ROW] :], synapses.shape[k[ROW] :]
        entries = synapses.row_ptr, synapses.target, synapses.weight
        return scatter_shared(rows, entries, spikes, sums)
    row = synapses.row_ptr[k[ROW] :]
    if k[LAYOUT] == WORDS and unit:
        return scatter_words(row, synapses.words, index, sums)
    if k[LAYOUT] == WORDS:
        return scatter_scaled_words(row, synapses.words, index, value, sums)
    if k[LAYOUT] == SINGLE:
        return scatter_single(synapses.words[row[0] :], spikes, sums)
    return scatter(row, synapses.target, synapses.weight, spikes, sums)


@kernel
def scatter_runs(
    rows: tuple[Int32, Int32], shapes: tuple[Int32, Int32], runs: Runs, index: Int32, sums: Any
) -> int:
    """Binary spikes through runs, whose weights are padded with zeros to whole vectors."""
    base, shape = rows
    pointer, events = shapes
    offset, first, length, weight = runs
    total = 0
    for i in index:
        begin, s = base[np.uint32(i)], np.uint32(shape[np.uint32(i)])
        total += events[s]
        for r in range(pointer[s], pointer[s + 1]):
            target, source = begin + offset[r], first[r]
            for k in range(0, length[r], LANES):
                add_lanes(sums, target + k, weight, source + k, None)
    return total


@kernel
def scatter_scaled_runs(
    rows: tuple[Int32, Int32],
    shapes: tuple[Int32, Int32],
    runs: Runs,
    spikes: tuple[Int32, Int64, int],
    sums: Any,
) -> int:
    """Counts through runs: a count multiplies the weight."""
    base, shape = rows
    pointer, events = shapes
    offset, first, length, weight = runs
    index, value, _ = spikes
    total = 0
    for j in range(index.size):
        begin, s = base[index[j]], shape[index[j]]
        total += events[s]
        for r in range(pointer[s], pointer[s + 1]):
            target, source = begin + offset[r], first[r]
            for k in range(0, length[r], LANES):
                add_lanes(sums, target + k, weight, source + k, value[j])
    return total


@inlined
def _ask_for(row: Int64, entries: Int32, index: Int32, s: int) -> None:
    """Prefetch the row of spike ``s``, if there is one."""
    if s < index.size:
        for j in range(row[index[s]], row[index[s] + 1], LINE):
            prefetch(entries, j)


@kernel
def scatter_words(row: Int64, words: Int32, index: Int32, sums: IntArray) -> int:
    """Binary spikes through packed words; returns the number of events."""
    events = 0
    for s in range(index.size):
        _ask_for(row, words, index, s + AHEAD)
        begin, end = row[index[s]], row[index[s] + 1]
        events += end - begin
        for j in range(begin, end):
            word = words[np.uintp(j)]
            sums[np.uint32(word & TARGET_MASK)] += word >> TARGET_BITS
    return events


@kernel
def scatter_scaled_words(
    row: Int64, words: Int32, index: Int32, value: Int64, sums: IntArray
) -> int:
    """Counts through packed words; returns the number of events."""
    events = 0
    for s in range(index.size):
        _ask_for(row, words, index, s + AHEAD)
        begin, end, factor = row[index[s]], row[index[s] + 1], value[s]
        events += end - begin
        for j in range(begin, end):
            word = words[np.uintp(j)]
            sums[np.uint32(word & TARGET_MASK)] += (word >> TARGET_BITS) * factor
    return events


@kernel
def scatter_single(words: Int32, spikes: tuple[Int32, Int64, int], sums: IntArray) -> int:
    """Any spikes of sources with one word each; returns the number of events."""
    index, value, unit = spikes
    for s in range(index.size):
        word = words[np.uint32(index[s])]
        weight = word >> TARGET_BITS
        sums[np.uint32(word & TARGET_MASK)] += weight if unit else weight * value[s]
    return index.size


@kernel
def scatter(
    row: Int64, target: Int32, weight: Int64, spikes: tuple[Int32, Int64, int], sums: IntArray
) -> int:
    """Any spikes through wide synapses; returns the number of events."""
    index, value, unit = spikes
    events = 0
    for s in range(index.size):
        _ask_for(row, target, index, s + AHEAD)
        begin, end, factor = row[index[s]], row[index[s] + 1], 1 if unit else value[s]
        events += end - begin
        for j in range(begin, end):
            sums[np.uint32(target[j])] += weight[j] * factor
    return events


@kernel
def scatter_shared(
    rows: tuple[Int32, Int32],
    entries: tuple[Int64, Int32, Int64],
    spikes: tuple[Int32, Int64, int],
    sums: IntArray,
) -> int:
    """Any spikes through wide rows that share shapes, which stay in the cache."""
    base, shape = rows
    pointer, offset, weight = entries
    index, value, unit = spikes
    events = 0
    for s in range(index.size):
        i = np.uint32(index[s])
        first, row, factor = base[i], np.uint32(shape[i]), 1 if unit else value[s]
        begin, end = pointer[row], pointer[row + 1]
        events += end - begin
        for j in range(begin, end):
            sums[np.uint32(first + offset[j])] += weight[j] * factor
    return events
