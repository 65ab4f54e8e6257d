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
from snnc.simulators.functional.layouts import RUNS, TARGET_BITS, TARGET_MASK, WORDS
from snnc.simulators.functional.prefetch import prefetch
from snnc.simulators.functional.program import COUNT, LAYOUT, ROW, Synapses
from snnc.simulators.neuron_kernel import Int32, Int64

# Rows that are asked for ahead, and words in a cache line.
AHEAD, LINE = 3, 16


@kernel
def deliver(k: Int64, synapses: Synapses, spikes: tuple[Int32, Int64, int], sums: IntArray) -> int:
    """Add the synapses of spikes (index, value, unit); returns the number of events."""
    index, value, unit = spikes
    row = synapses.row_ptr[k[ROW] :]
    if k[LAYOUT] == RUNS:
        runs = synapses.run_start, synapses.run_first, synapses.run_length, synapses.run_weight
        if unit:
            scatter_runs(row, runs, index, sums)
        else:
            scatter_scaled_runs(row, runs, index, value, sums)
        return _fan_out(synapses.fan_out[k[COUNT] :], index)
    if k[LAYOUT] == WORDS and unit:
        return scatter_words(row, synapses.words, index, sums)
    if k[LAYOUT] == WORDS:
        return scatter_scaled_words(row, synapses.words, index, value, sums)
    return scatter(row, synapses.target, synapses.weight, spikes, sums)


@inlined
def _fan_out(fan_out: Int32, index: Int32) -> int:
    """Number of synapses of all spikes."""
    events = 0
    for i in index:
        events += fan_out[i]
    return events


@kernel
def scatter_runs(
    row: Int64, runs: tuple[Int32, Int64, Int32, Any], index: Int32, sums: Any
) -> None:
    """Binary spikes through runs; unsigned indices let the inner loop become vector code."""
    start, first, length, weight = runs
    for i in index:
        for r in range(row[i], row[i + 1]):
            target, source = np.uintp(start[r]), np.uintp(first[r])
            for k in range(length[r]):
                sums[target + np.uintp(k)] += weight[source + np.uintp(k)]


@kernel
def scatter_scaled_runs(
    row: Int64, runs: tuple[Int32, Int64, Int32, Any], index: Int32, value: Int64, sums: Any
) -> None:
    """Counts through runs: a count multiplies the weight."""
    start, first, length, weight = runs
    for s in range(index.size):
        factor = value[s]
        for r in range(row[index[s]], row[index[s] + 1]):
            target, source = np.uintp(start[r]), np.uintp(first[r])
            for k in range(length[r]):
                sums[target + np.uintp(k)] += weight[source + np.uintp(k)] * factor


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
