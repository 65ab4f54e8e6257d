"""Which populations may take the fast path, and in which integer type: a proof per population.

The fast path is one threshold, no negative one, no current, adaptation or refractory time, and a
reset that is not a product.  Over T steps such a membrane stays within

    B = max |initial| + T (x + |reset|) + |reset|,    x = largest |input << shift| + sum of |bias|

when the leak does not grow, because rounding keeps ``|round(m v / 2^s)| <= |v|`` for m <= 2^s.
A range that contains [-B, B] is never reached; a saturating range is a bound itself.  A
population that could leave a wrapping range goes the general way (``neuron_kernel``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.neuron import Neuron, flat
from snnc.simulators.functional.program import POPULATION, Program
from snnc.simulators.neuron_kernel import Int64

# Columns of a plan.  FIRST: first neuron; PROJECTIONS: first incoming projection; EVENT_DRIVEN:
# a neuron without input does not change; PENDING: ... except in the first step; KEEP: -1 when a
# spike subtracts from the membrane, 0 when it replaces it; TRUNCATE, EVEN: rounding of the leak.
(
    FIRST, PROJECTIONS, MODE, EVENT_DRIVEN, PENDING, SHIFT, KEEP, LOW, HIGH,
    LEAK_SHIFT, TRUNCATE, EVEN, BIASED, COLUMNS,
) = range(14)  # fmt: skip

GENERAL, INTEGRATE, LEAKY = range(3)
_INT32 = 2**31 - 1
_UNUSED = (np.array(0),) * 4


@dataclass(frozen=True, eq=False)
class Plan:
    """How each population is advanced when a sample has a given number of steps.

    Attributes:
        table: int64 [populations + 1, COLUMNS]; the last row only closes ranges.
        dtype: of input sums and fast membranes: int32 where every bound allows it, else int64.
    """

    table: Int64
    dtype: Any


@dataclass(frozen=True, eq=False)
class FastParameters:
    """Per neuron, in the type of the plan; ``added`` is what a spike adds after KEEP."""

    threshold: IntArray
    added: IntArray
    multiplier: IntArray
    initial: IntArray


def make_plan(program: Program, steps: int) -> Plan:
    """Prove bounds for ``steps`` steps and choose a path for every population."""
    table = np.zeros((len(program.populations) + 1, COLUMNS), np.int64)
    need = 0
    for k, (neuron, bound) in enumerate(zip(program.populations, program.input_bound, strict=True)):
        membrane = _membrane_bound(neuron, bound, steps) if _is_simple(neuron) else None
        table[k] = _row(neuron, membrane is not None)
        need = max(need, bound, membrane or 0)
    table[:, FIRST] = program.first
    targets = program.network.projections[:, POPULATION]
    table[:, PROJECTIONS] = np.searchsorted(targets, np.arange(len(table)))
    dtype = np.int32 if need < _INT32 else np.int64
    if dtype is np.int32:
        table[:, LOW] = np.clip(table[:, LOW], -_INT32 - 1, _INT32)
        table[:, HIGH] = np.clip(table[:, HIGH], -_INT32 - 1, _INT32)
    return Plan(table, dtype)


def fast_parameters(program: Program, plan: Plan) -> FastParameters:
    """Flat parameters; a threshold beyond the type is never, or always, reached."""
    limits = np.iinfo(plan.dtype)
    columns: list[list[IntArray]] = [[], [], [], []]
    for k, neuron in enumerate(program.populations):
        values = _fast_values(neuron) if plan.table[k, MODE] != GENERAL else _UNUSED
        for column, value in zip(columns, values, strict=True):
            clipped = np.clip(flat(value, neuron.shape), limits.min, limits.max)
            order = program.order[k]
            column.append((clipped if order is None else clipped[order]).astype(plan.dtype))
    return FastParameters(*(np.concatenate(column) for column in columns))


def _fast_values(neuron: Neuron) -> tuple[IntArray, ...]:
    """Threshold, what a spike adds, leak multiplier, initial membrane."""
    amount = neuron.reset.amount
    added = {"subtract": -amount, "value": amount, "none": np.zeros_like(amount)}
    return (
        neuron.thresholds[0],
        added[neuron.reset.kind],
        neuron.leak.multiplier,
        neuron.initial,
    )


def _is_simple(neuron: Neuron) -> bool:
    return (
        neuron.emit == "count"
        and neuron.levels == 1
        and neuron.negative_levels == 0
        and neuron.current is None
        and neuron.adaptation is None
        and neuron.recovery is None
        and neuron.refractory == 0
        and neuron.emission is None
        and neuron.reset.kind != "multiply"
    )


def _largest(values: IntArray) -> int:
    return max(int(values.max()), -int(values.min()))


def _membrane_bound(neuron: Neuron, input_bound: int, steps: int) -> int | None:
    """Largest number met in ``steps`` steps; None when wrapping cannot be excluded."""
    amount = _largest(neuron.reset.amount) if neuron.reset.kind != "none" else 0
    arriving = (input_bound << neuron.input_shift) + sum(_largest(b.value) for b in neuron.bias)
    start, bounds = _largest(neuron.initial), neuron.state_range
    multiplier = int(neuron.leak.multiplier.max())
    growing = multiplier > 1 << neuron.leak.shift
    free = start + steps * (arriving + amount) + amount
    if not growing and free <= min(-bounds.low, bounds.high):
        return max(free, multiplier)
    if bounds.overflow == "wrap":
        return None
    held = max(start, bounds.high, -bounds.low)
    peak = max(held, multiplier * held if growing else 0) + arriving + amount
    return max(peak, multiplier) if multiplier * held + peak < 2**62 else None


def _row(neuron: Neuron, fast: bool) -> list[int]:
    """One population's row, but for FIRST and PROJECTIONS."""
    row = [0] * COLUMNS
    row[BIASED] = len(neuron.bias)
    if not fast:
        return row
    bounds, leak = neuron.state_range, neuron.leak
    row[MODE] = INTEGRATE if leak.is_identity else LEAKY
    silent_bias = all(not b.value.any() for b in neuron.bias)
    row[EVENT_DRIVEN] = leak.is_identity and silent_bias
    row[PENDING] = bool(
        (neuron.initial >= neuron.thresholds[0]).any()
        or neuron.initial.min() < bounds.low
        or neuron.initial.max() > bounds.high
    )
    row[SHIFT] = neuron.input_shift
    row[KEEP] = 0 if neuron.reset.kind == "value" else -1
    row[LOW], row[HIGH] = bounds.low, bounds.high
    row[LEAK_SHIFT] = leak.shift
    row[TRUNCATE] = (1 << leak.shift) - 1 if leak.rounding == "toward_zero" else 0
    row[EVEN] = leak.rounding == "half_even" and leak.shift > 0
    return row
