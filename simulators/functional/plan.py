"""Which populations may take the fast path, and in which integer type: a proof per population.

The fast path is one threshold, no negative one, no adaptation or refractory time, and a reset
that is not a product.  Over T steps such a membrane stays within

    B = max |initial| + T (x + |reset|) + |reset|,    x = largest |input << shift| + sum of |bias|

when the leak does not grow, because rounding keeps ``|round(m v / 2^s)| <= |v|`` for m <= 2^s.
A range that contains [-B, B] is never reached; a saturating range is a bound itself.  A
population that could leave a wrapping range goes the general way (``neuron_kernel``).

A current is bounded alike, by T times the largest input; the largest current takes the place of
the input of the membrane.  It may wrap where its range has 2^n integers: that is a mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.neuron import NO_LEAK, Leak, Neuron, StateRange, flat
from snnc.simulators import neuron_kernel
from snnc.simulators.functional.program import POPULATION, Program
from snnc.simulators.neuron_kernel import Int64, PackedNeurons

# Columns of a plan.  FIRST: first neuron, among those that go the same way; PROJECTIONS: first
# incoming projection; EVENT_DRIVEN: a neuron without input does not change; PENDING: ... except in
# the first step; KEEP: -1 when a spike subtracts from the membrane, 0 when it replaces it;
# TRUNCATE, EVEN: rounding of the leak; CURRENT: inputs charge a current first; CURRENT_WRAP: mask
# of its range, 0: it saturates; PARAMETER: first parameters; PERIOD: number of neurons after which
# they repeat.
(
    FIRST, PROJECTIONS, MODE, EVENT_DRIVEN, PENDING, SHIFT, KEEP, LOW, HIGH,
    LEAK_SHIFT, TRUNCATE, EVEN, BIASED,
    CURRENT, CURRENT_SHIFT, CURRENT_TRUNCATE, CURRENT_EVEN,
    CURRENT_LOW, CURRENT_HIGH, CURRENT_WRAP,
    PARAMETER, PERIOD, COLUMNS,
) = range(23)  # fmt: skip

GENERAL, INTEGRATE, LEAKY = range(3)
# Neurons swept at a time: their state and parameters fit the first cache.
CHUNK = 1024
_INT32 = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Plan:
    """How each population is advanced when a sample has a given number of steps.

    Attributes:
        table: int64 [populations + 1, COLUMNS]; the last row only closes ranges.
        dtype: of input sums and fast membranes: int32 where every bound allows it, else int64.
        general: the neurons that go the general way, in normal form; None: none does.
        gates: by moment, the (parameters, biases) of fast populations that begin in it.
        initial: [fast neurons], first membranes of the fast path.
        threshold, added, multiplier, current_multiplier: [parameters], see ``Fast``; ``added`` is
            what a spike adds after KEEP.
    """

    table: Int64
    dtype: Any
    general: PackedNeurons | None
    gates: dict[int, list[tuple[slice, IntArray]]]
    initial: IntArray
    threshold: IntArray
    added: IntArray
    multiplier: IntArray
    current_multiplier: IntArray


def make_plan(program: Program, steps: int) -> Plan:
    """Prove bounds for ``steps`` steps, choose a path for every population, lay out parameters."""
    table, dtype = _table(program, steps)
    limits = np.iinfo(dtype)
    columns: list[list[IntArray]] = [[np.zeros(0, dtype)] for _ in range(5)]
    gates: dict[int, list[tuple[slice, IntArray]]] = {}
    for k, (neuron, order) in enumerate(zip(program.populations, program.order, strict=True)):
        if table[k, MODE] == GENERAL:
            continue
        own, period = table[k, [PARAMETER, PERIOD]]
        for column, value in zip(columns, _fast_values(neuron), strict=True):
            # A threshold beyond the type is never, or always, reached.
            clipped = np.clip(value, limits.min, limits.max).astype(dtype)
            whole = _ordered(clipped, neuron, order)
            column.append(whole if column is columns[0] else whole[:period])
        for bias in neuron.bias:
            values = _ordered(bias.value, neuron, order)[:period]
            begin = gates.setdefault(bias.onset + program.lags[k], [])
            begin.append((slice(own, own + period), values))
    initial, *parameters = (np.concatenate(column) for column in columns)
    return Plan(table, dtype, _general(program, table), gates, initial, *parameters)


def _table(program: Program, steps: int) -> tuple[Int64, Any]:
    """(table, dtype) of a plan."""
    table = np.zeros((len(program.populations) + 1, COLUMNS), np.int64)
    table[:, PERIOD] = 1
    need = parameters = 0
    neurons = {True: 0, False: 0}
    for k, (neuron, bound) in enumerate(zip(program.populations, program.input_bound, strict=True)):
        largest = _largest_number(neuron, bound, steps) if _is_simple(neuron) else None
        fast = largest is not None
        table[k] = _row(neuron, fast)
        table[k, FIRST] = neurons[fast]
        neurons[fast] += neuron.size
        need = max(need, bound, largest or 0)
        if fast:
            table[k, PARAMETER] = parameters
            table[k, PERIOD] = _period(neuron, program.order[k])
            parameters += table[k, PERIOD]
    targets = program.network.projections[:, POPULATION]
    table[:, PROJECTIONS] = np.searchsorted(targets, np.arange(len(table)))
    dtype = np.int32 if need < _INT32 else np.int64
    if dtype is np.int32:
        for bound in (LOW, HIGH, CURRENT_LOW, CURRENT_HIGH):
            table[:, bound] = np.clip(table[:, bound], -_INT32 - 1, _INT32)
    return table, dtype


def _general(program: Program, table: Int64) -> PackedNeurons | None:
    """The populations of the general way one after the other, each in internal order."""
    chosen = np.flatnonzero(table[:-1, MODE] == GENERAL)
    if not chosen.size:
        return None
    packed = neuron_kernel.pack([program.populations[k] for k in chosen])
    whole = []
    for k in chosen:
        order = program.order[k]
        natural = np.arange(program.populations[k].size) if order is None else order
        whole.append(table[k, FIRST] + natural)
    return packed.take(np.concatenate(whole))


def _ordered(parameter: IntArray, neuron: Neuron, order: Int64 | None) -> IntArray:
    """One entry per neuron, in internal order."""
    natural = flat(parameter, neuron.shape)
    return natural if order is None else natural[order]


def _fast_values(neuron: Neuron) -> tuple[IntArray, ...]:
    """Initial membrane, threshold, what a spike adds, leak multipliers."""
    amount = neuron.reset.amount
    added = {"subtract": -amount, "value": amount, "none": np.zeros_like(amount)}
    return (
        neuron.initial,
        neuron.thresholds[0],
        added[neuron.reset.kind],
        neuron.leak.multiplier,
        (neuron.current or NO_LEAK).multiplier,
    )


def _period(neuron: Neuron, order: Int64 | None) -> int:
    """After how many neurons, in internal order, all parameters repeat; at most ``CHUNK`` or all.

    One value for all and one per channel are what there is to find; the period is as many
    repetitions as fit a chunk.
    """
    values = [*_fast_values(neuron)[1:], *(b.value for b in neuron.bias)]
    channels = 1 if order is None else neuron.shape[0]
    unit = neuron.size
    for wanted in (1, channels):
        if all(_repeats(_ordered(value, neuron, order), wanted) for value in values):
            unit = wanted
            break
    return min(neuron.size, unit * (CHUNK // unit) if unit <= CHUNK else neuron.size)


def _repeats(values: IntArray, unit: int) -> bool:
    """Whether the values are the first ``unit`` again and again."""
    return bool((values.reshape(-1, unit) == values[:unit]).all())


def _is_simple(neuron: Neuron) -> bool:
    return (
        neuron.emit == "count"
        and neuron.levels == 1
        and neuron.negative_levels == 0
        and neuron.adaptation is None
        and neuron.recovery is None
        and neuron.refractory == 0
        and neuron.emission is None
        and neuron.reset.kind != "multiply"
    )


def _largest(values: IntArray) -> int:
    return max(int(values.max()), -int(values.min()))


def _largest_number(neuron: Neuron, input_bound: int, steps: int) -> int | None:
    """Largest number met in ``steps`` steps; None when wrapping is not excluded, nor a mask."""
    arriving = largest = input_bound << neuron.input_shift
    if neuron.current is not None:
        bounds = neuron.current_range
        found = _state_bounds(neuron.current, bounds, 0, steps * arriving, arriving, _mask(bounds))
        if found is None:
            return None
        arriving, largest = found
    amount = _largest(neuron.reset.amount) if neuron.reset.kind != "none" else 0
    arriving += sum(_largest(b.value) for b in neuron.bias)
    start = _largest(neuron.initial)
    free = start + steps * (arriving + amount) + amount
    membrane = _state_bounds(
        neuron.leak, neuron.state_range, start, free, arriving + amount, wraps=0
    )
    return None if membrane is None else max(largest, *membrane)


def _state_bounds(
    leak: Leak, bounds: StateRange, start: int, free: int, arriving: int, wraps: int
) -> tuple[int, int] | None:
    """(largest state, largest number met): with no range ``free``, else what the range allows.

    ``arriving`` is added per step to a state that begins at ``start``.  None: the state may leave
    a range that wraps otherwise than by a mask, or 63 bits.
    """
    multiplier = int(leak.multiplier.max())
    growing = multiplier > 1 << leak.shift
    if not growing and free <= min(-bounds.low, bounds.high):
        return free, max(free, multiplier)
    if bounds.overflow == "wrap" and not wraps:
        return None
    held = max(start, bounds.high, -bounds.low)
    peak = max(held, multiplier * held if growing else 0) + arriving
    return (held, max(peak, multiplier)) if multiplier * held + peak < 2**62 else None


def _mask(bounds: StateRange) -> int:
    """What keeps a wrapping number in its range, counted from ``low``; 0: no mask does."""
    span = bounds.high - bounds.low + 1
    return span - 1 if bounds.overflow == "wrap" and span & (span - 1) == 0 else 0


def _row(neuron: Neuron, fast: bool) -> list[int]:
    """One population's row, but for its place among neurons, projections and parameters."""
    row = [0] * COLUMNS
    row[BIASED], row[PERIOD] = len(neuron.bias), 1
    if not fast:
        return row
    bounds, leak = neuron.state_range, neuron.leak
    row[MODE] = INTEGRATE if leak.is_identity else LEAKY
    silent_bias = all(not b.value.any() for b in neuron.bias)
    row[EVENT_DRIVEN] = leak.is_identity and silent_bias and neuron.current is None
    row[PENDING] = bool(
        (neuron.initial >= neuron.thresholds[0]).any()
        or neuron.initial.min() < bounds.low
        or neuron.initial.max() > bounds.high
    )
    row[SHIFT] = neuron.input_shift
    row[KEEP] = 0 if neuron.reset.kind == "value" else -1
    row[LOW], row[HIGH] = bounds.low, bounds.high
    row[LEAK_SHIFT], row[TRUNCATE], row[EVEN] = _rounding(leak)
    if neuron.current is not None:
        bounds = neuron.current_range
        row[CURRENT] = 1
        row[CURRENT_SHIFT], row[CURRENT_TRUNCATE], row[CURRENT_EVEN] = _rounding(neuron.current)
        row[CURRENT_LOW], row[CURRENT_HIGH] = bounds.low, bounds.high
        row[CURRENT_WRAP] = _mask(bounds)
    return row


def _rounding(leak: Leak) -> tuple[int, int, int]:
    """(shift, what is added to negative products, whether halves go to even)."""
    truncate = (1 << leak.shift) - 1 if leak.rounding == "toward_zero" else 0
    return leak.shift, truncate, leak.rounding == "half_even" and leak.shift > 0
