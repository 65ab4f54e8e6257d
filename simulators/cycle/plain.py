"""Segments whose neurons are simple enough for a sweep without a branch per neuron.

A *plain* neuron integrates, leaks, fires at one threshold and resets: no current, adaptation,
refractory time, recovery, ladder, table or sigma-delta, one tick per count, and its bias is always
on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from snnc.ir.jit import inner_kernel
from snnc.simulators.cycle.axons import Int32, Int64
from snnc.simulators.cycle.program import REFIRE, SLOTS, WINDOW, Sweeps
from snnc.simulators.neuron_kernel import (
    ADAPTATION,
    AMOUNT,
    BIASES,
    DELTA,
    EMIT_STATE,
    HALF_EVEN,
    HAS_CURRENT,
    HAS_EMISSION,
    HIGH,
    INPUT_SHIFT,
    LADDERS,
    LEAK_ROUNDING,
    LEAK_SHIFT,
    LEVELS,
    LOW,
    MULTIPLIER,
    NEGATIVE_LEVELS,
    NO_ADAPTATION,
    ONSETS,
    RECOVERY,
    REFRACTORY,
    RESET,
    SUBTRACT,
    TOWARD_ZERO,
    VALUE,
    WRAP,
    PackedNeurons,
)

MIXER = np.int64(0x9E3779B97F4A7C15 - (1 << 64))
"""An odd number without pattern; products wrap around."""


class Plain(NamedTuple):
    """Parameters of the neurons of plain segments; of others they mean nothing.

    Attributes:
        kind: [segments] row of the table of scalars, -1: the segment is not plain.
        leaks: [segments] whether any membrane changes by itself.
        at: [segments] where the parameters of a segment's neurons begin in the other arrays.
            Segments with the same parameters, neuron by neuron, share them: most cores of a layer.
        multiplier, bias, threshold, amount: of the neuron normal form.
    """

    kind: Int64
    leaks: Int64
    at: Int64
    multiplier: Int64
    bias: Int64
    threshold: Int64
    amount: Int64


def build(program: Sweeps) -> Plain:
    """Find the plain segments."""
    neurons = program.neurons
    first = program.segment_ptr[:-1]
    kind = neurons.kind[first].astype(np.int64)
    table, codes = neurons.table[kind], program.segment_code
    plain = (table[:, LEVELS] == 1) & (table[:, LEAK_ROUNDING] != HALF_EVEN)
    plain &= (table[:, RESET] == VALUE) | (table[:, RESET] == SUBTRACT)
    plain &= table[:, ADAPTATION] == NO_ADAPTATION
    for column in (
        HAS_CURRENT, WRAP, NEGATIVE_LEVELS, EMIT_STATE, REFRACTORY, RECOVERY, DELTA, HAS_EMISSION,
    ):  # fmt: skip
        plain &= table[:, column] == 0
    plain &= (codes[:, SLOTS] == 1) & (codes[:, WINDOW] == 1) & (codes[:, REFIRE] == 0)
    always = [
        not neurons.onsets[onset : onset + count].any()
        for onset, count in table[:, [ONSETS, BIASES]]
    ]
    plain &= np.array(always, bool)
    kinds = np.where(plain, kind, -1)
    at, row, owner = _shared(neurons, program.segment_ptr)
    biases = neurons.table[:, BIASES][owner]
    bias = np.zeros(row.size, np.int64)
    for number in range(int(biases.max(initial=0))):
        mine = number < biases
        bias[mine] += neurons.values[row[mine] + LADDERS + number]
    threshold = np.zeros(row.size, np.int64)
    has = neurons.table[:, LEVELS][owner] > 0
    threshold[has] = neurons.values[(row + LADDERS + biases)[has]]
    multiplier = neurons.values[row + MULTIPLIER]
    moving = multiplier != np.left_shift(1, neurons.table[:, LEAK_SHIFT])[owner]
    begin, where = np.unique(at, return_inverse=True)
    leaks = (np.add.reduceat(moving, begin) > 0)[where.reshape(-1)] if at.size else at
    return Plain(
        kinds,
        leaks.astype(np.int64),
        at,
        multiplier,
        bias,
        threshold,
        neurons.values[row + AMOUNT],
    )


def _shared(neurons: PackedNeurons, ptr: Int64) -> tuple[Int64, Int64, Int32]:
    """Rows of values of neurons, segments with equal ones once.

    Returns:
        at: [segments] where a segment's begin among
        row, kind: as in ``PackedNeurons``.
    """
    size, starts, row = np.diff(ptr), ptr[:-1], neurons.row
    if not starts.size:
        return starts, np.zeros(0, np.int64), np.zeros(0, np.int32)
    # Equal segments have equal signatures; whether the others are equal is looked at.
    sums = np.add.reduceat(row, starts, dtype=np.int64)
    signature = sums
    for part in (size, row[starts], row[ptr[1:] - 1]):
        signature = signature * MIXER + part
    _, first, number = np.unique(signature, return_index=True, return_inverse=True)
    model = first[number.reshape(-1)]
    alone = size[model] != size
    model[alone] = np.flatnonzero(alone)
    same = row == row[np.arange(row.size) + np.repeat(starts[model] - starts, size)]
    alone = ~np.logical_and.reduceat(same, starts)
    model[alone] = np.flatnonzero(alone)
    kept = np.unique(model)
    begin = np.cumsum(size[kept]) - size[kept]
    chosen = np.arange(size[kept].sum()) + np.repeat(starts[kept] - begin, size[kept])
    kind = np.repeat(neurons.kind[starts[kept]], size[kept])
    return begin[np.searchsorted(kept, model)], row[chosen].astype(np.int64), kind


@inner_kernel
def sweep_plain(
    program: Sweeps,
    plain: Plain,
    v: Int64,
    arrived: Int64,
    segment: int,
    touched: Int32,
    flags: npt.NDArray[np.uint8],
) -> int:
    """Advance a plain segment by one step; returns how many of its neurons needed an update.

    ``flags`` then tells who fired, beginning with the segment's first neuron.
    """
    first = np.uint64(program.segment_ptr[segment])
    size = np.uint64(program.segment_ptr[segment + 1] - program.segment_ptr[segment])
    scalars = program.neurons.table[plain.kind[segment]]
    low, high, shift = scalars[LOW], scalars[HIGH], scalars[INPUT_SHIFT]
    leak_shift, subtracts = scalars[LEAK_SHIFT], scalars[RESET] == SUBTRACT
    # Rounding toward zero is rounding down after adding this to a negative product.
    lift = ((1 << leak_shift) - 1) * int(scalars[LEAK_ROUNDING] == TOWARD_ZERO)
    flag_bits, at = program.flag_bits, np.uint64(plain.at[segment])
    leaks = plain.leaks[segment]
    charged, unit = flag_bits > 0, 1 << leak_shift
    paid = 0
    for j in range(size):
        i, k = first + j, at + j
        heard, before, bias = arrived[i], v[i], plain.bias[k]
        arrived[i] = 0
        kept, moves = before, charged
        if leaks:
            moves = charged or plain.multiplier[k] != unit
            product = plain.multiplier[k] * before
            kept = (product + (lift & (product >> 63))) >> leak_shift
        after = kept + ((heard >> flag_bits) << shift) + bias
        after = min(max(after, low), high)
        fires = after >= plain.threshold[k]
        rest = after - plain.amount[k] if subtracts else plain.amount[k]
        v[i] = min(max(rest, low), high) if fires else after
        needed = int((heard != 0) | (bias != 0) | ((before != 0) & moves) | fires)
        touched[i] = needed
        flags[j] = fires
        paid += needed
    return paid
