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
)


class Plain(NamedTuple):
    """Parameters of plain neurons, [neurons] each in sweep order; of others they mean nothing.

    Attributes:
        kind: [segments] row of the table of scalars, -1: the segment is not plain.
        leaks: [segments] whether any membrane changes by itself.
        multiplier, bias, threshold, amount: of the neuron normal form.
    """

    kind: Int64
    leaks: Int64
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
    row = neurons.row
    biases = neurons.table[:, BIASES][neurons.kind]
    bias = np.zeros(neurons.size, np.int64)
    for number in range(int(biases.max(initial=0))):
        mine = number < biases
        bias[mine] += neurons.values[row[mine] + LADDERS + number]
    threshold = np.zeros(neurons.size, np.int64)
    has = neurons.table[:, LEVELS][neurons.kind] > 0
    threshold[has] = neurons.values[(row + LADDERS + biases)[has]]
    multiplier = neurons.values[row + MULTIPLIER]
    moving = multiplier != np.left_shift(1, neurons.table[:, LEAK_SHIFT])[neurons.kind]
    leaks = np.add.reduceat(moving, first) > 0 if first.size else np.zeros(0, bool)
    return Plain(
        kinds,
        leaks.astype(np.int64),
        multiplier,
        bias,
        threshold,
        neurons.values[row + AMOUNT],
    )


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
    k = program.neurons.table[plain.kind[segment]]
    low, high, shift = k[LOW], k[HIGH], k[INPUT_SHIFT]
    leak_shift, subtracts = k[LEAK_SHIFT], k[RESET] == SUBTRACT
    # Rounding toward zero is rounding down after adding this to a negative product.
    lift = ((1 << leak_shift) - 1) * int(k[LEAK_ROUNDING] == TOWARD_ZERO)
    flag_bits = program.flag_bits
    leaks = plain.leaks[segment]
    charged, unit = flag_bits > 0, 1 << leak_shift
    paid = 0
    for j in range(size):
        i = first + j
        heard, before, bias = arrived[i], v[i], plain.bias[i]
        arrived[i] = 0
        kept, moves = before, charged
        if leaks:
            moves = charged or plain.multiplier[i] != unit
            product = plain.multiplier[i] * before
            kept = (product + (lift & (product >> 63))) >> leak_shift
        after = kept + ((heard >> flag_bits) << shift) + bias
        after = min(max(after, low), high)
        fires = after >= plain.threshold[i]
        rest = after - plain.amount[i] if subtracts else plain.amount[i]
        v[i] = min(max(rest, low), high) if fires else after
        needed = int((heard != 0) | (bias != 0) | ((before != 0) & moves) | fires)
        touched[i] = needed
        flags[j] = fires
        paid += needed
    return paid
