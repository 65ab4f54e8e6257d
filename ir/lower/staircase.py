"""Functions of one integer as populations that forget: digits, gates and step functions.

A neuron that forgets compares one sum with a ladder.  With ``u`` an integer that never exceeds
``top``, ``max(u, 0)`` is written in base r, highest digit first::

    p_i = #{k = 1 .. r - 1 : u - sum of r^j p_j over j > i  >=  k r^i}

so one population per digit computes it exactly; one digit suffices when the ladder has ``top``
levels, and with single thresholds the digits are bits.  A function f of an integer is the sum of
its jumps ``f(x_j) - f(x_j - 1)`` over all x_j that are reached.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.lower.builder import Builder, RewriteError

MOST_LEVELS = 4096
"""Levels of a step function per element, over all its populations."""


@dataclass(frozen=True)
class Digit:
    """One digit: the population that counts it, and a tensor that holds ``unit`` x digit."""

    population: str
    tensor: str
    unit: int
    most: int


def radix(top: int, levels: int) -> int:
    """Smallest base whose digits, with as few as a ladder of ``levels`` allows, reach ``top``."""
    count, power = 1, levels + 1
    while power <= top:
        count, power = count + 1, power * (levels + 1)
    base = 2
    while base**count <= top:
        base += 1
    return base


def positive_part(b: Builder, label: str, x: str, offset: int, top: int) -> str | None:
    """``max(x - offset, 0)``, which never exceeds ``top``; None where that is always 0."""
    parts = digits(b, label, x, offset, top)
    if not parts:
        return None
    tensor = b.add([digit.tensor for digit in parts])
    size = b.bounds(tensor)[0].size
    b.claim(tensor, (np.zeros(size, np.int64), np.full(size, top, np.int64)))
    return tensor


def digits(
    b: Builder,
    label: str,
    x: str,
    offset: int,
    top: int,
    *,
    sample: tuple[int, int] | None = None,
    bits: bool = False,
) -> list[Digit]:
    """The digits of ``max(x - offset, 0) <= top``, highest first.

    Args:
        b: receives the nodes.
        label: of the populations.
        x: the tensor.
        offset, top: see above.
        sample: (last step, bound of |sum|): the digits of the sum over a sample, sent in its
            last step; None: of every step.
        bits: in base 2, and the populations send the bits themselves.
    """
    if top < 1:
        return []
    base = 2 if bits else radix(top, b.limits.levels)
    unit = base
    while unit <= top:
        unit *= base
    parts: list[Digit] = []
    while unit > 1:
        unit //= base
        most = top // unit if not parts else base - 1
        rest = b.add([x, *(b.scale(digit.tensor, -1) for digit in parts)])
        levels = offset + unit * np.arange(1, most + 1)
        tabled = unit > 1 and not bits and _tabled(b, unit * most)
        table = unit * np.arange(most + 1) if tabled else None
        if sample is None:
            name = b.population(label, rest, levels, emission=table)
        else:
            name = b.integrators(label, rest, levels, table, *sample)
        parts.append(Digit(name, name if tabled else _weighted(b, name, unit), unit, most))
    return parts


def held(b: Builder, label: str, part: Digit) -> str:
    """A digit that comes in the first step only, repeated in every step: ``unit`` x digit."""
    levels = part.unit * np.arange(1, part.most + 1)
    tabled = part.unit > 1 and _tabled(b, part.unit * part.most)
    table = joined_zero(levels) if tabled else None
    name = b.integrators(label, part.tensor, levels, table, -1, part.unit * part.most)
    return name if tabled else _weighted(b, name, part.unit)


def _tabled(b: Builder, largest: int) -> bool:
    return b.limits.emission and largest <= b.limits.payload


def _weighted(b: Builder, x: str, unit: int) -> str:
    if unit > b.limits.weight:
        raise RewriteError(
            f"it adds digits of weight {unit}, and synapses weigh {b.limits.weight} at most",
            "quantize with fewer weight bits",
        )
    return b.scale(x, unit)


def gated(b: Builder, label: str, x: str, gate: str) -> list[str]:
    """Terms of ``x * gate`` for a gate that is 0 or 1.

    The gate lifts x by a step beyond everything that x reaches alone.
    """
    low, high = b.extent(x)
    values = np.arange(low, high + 1)
    if low < 0 and values.size <= b.limits.levels and _tables_fit(b, joined_zero(values)):
        # One ladder from the lowest value on; what it sends is the value itself.
        raised = b.add([x, _lifted(b, gate, values.size)])
        levels = values + values.size
        return [b.population(label, raised, levels, emission=joined_zero(values))]
    terms = []
    for sign, top in ((1, high), (-1, -low)):
        if top > 0:
            raised = b.add([b.scale(x, sign), _lifted(b, gate, top)])
            part = positive_part(b, label, raised, top, top)
            assert part is not None
            terms.append(b.scale(part, sign))
    return terms


def _lifted(b: Builder, gate: str, step: int) -> str:
    """``step * gate``, by a synapse, or by a population that sends it where synapses cannot."""
    if step <= b.limits.weight:
        return b.scale(gate, step)
    if not b.limits.emission or step > b.limits.payload:
        raise RewriteError(
            f"it gates numbers up to {step}, and synapses weigh {b.limits.weight} at most",
            "quantize with fewer weight bits",
        )
    return b.population("lift", gate, np.array([1]), emission=np.array([0, step]))


def joined_zero(values: IntArray) -> IntArray:
    """A table that sends nothing for the count 0."""
    return np.concatenate([[0], values])


def function(b: Builder, label: str, x: str, values: IntArray, low: int) -> list[str]:
    """Terms of f(x) with ``f(low + k) = values[k]`` and x within the values' range.

    A function with f(0) = 0 is silent at rest: the part above 0 and the part below have their
    own ladders.  Otherwise everything counts from ``low`` on, and a bias lifts it.
    """
    high = low + values.size - 1
    if low <= 0 <= high and values[-low] == 0:
        if _is_straight(values, low):
            slope = int(values[1 - low]) if high > 0 else -int(values[-low - 1]) if low < 0 else 0
            return [b.scale(x, slope)] if slope else []
        above, below = values[-low:], values[-low::-1]
        if _two_sided(b, above, below):
            return [_both_sides(b, label, x, above, below)]
        terms = _one_sided(b, label, x, above, 0)
        return terms + _one_sided(b, label, b.scale(x, -1), below, 0) if low < 0 else terms
    return _one_sided(b, label, x, joined_zero(values), low - 1)


def _is_straight(values: IntArray, low: int) -> bool:
    slopes = np.diff(values)
    return bool(slopes.size == 0 or (slopes == slopes[0]).all()) and values[-low] == 0


def _two_sided(b: Builder, above: IntArray, below: IntArray) -> bool:
    """Whether one population with a table does it."""
    up, down = _jumps(above).size, _jumps(below).size
    short = up <= b.limits.levels and 0 < down <= b.limits.negative_levels
    return short and _tables_fit(b, above) and _tables_fit(b, below)


def _both_sides(b: Builder, label: str, x: str, above: IntArray, below: IntArray) -> str:
    up, down = _jumps(above), _jumps(below)
    table = np.concatenate([below[down][::-1], [0], above[up]])
    return b.population(label, x, up, emission=table, negative=down)


def _jumps(values: IntArray) -> IntArray:
    """Positions where the values change."""
    result: IntArray = np.flatnonzero(np.diff(values)) + 1
    return result


def _one_sided(b: Builder, label: str, x: str, values: IntArray, offset: int) -> list[str]:
    """Terms of f with ``f(offset + k) = values[k]`` and ``values[0] = 0``, from 0 upwards."""
    jumps = _jumps(values)
    if jumps.size > MOST_LEVELS:
        raise RewriteError(
            f"its function changes {jumps.size} times, at most {MOST_LEVELS} are rewritten",
            "narrow its input, or round its output more coarsely",
        )
    height, step = np.diff(values)[jumps - 1], b.limits.levels
    chunks = [slice(first, first + step) for first in range(0, jumps.size, step)]
    tables = [joined_zero(np.cumsum(height[chunk])) for chunk in chunks]
    if all(_tables_fit(b, table) for table in tables):
        return [
            b.population(label, x, offset + jumps[chunk], emission=table)
            for chunk, table in zip(chunks, tables, strict=True)
        ]
    return [
        b.scale(name, int(each))
        for each in np.unique(height)
        for name in _equal_jumps(b, label, x, offset + jumps[height == each], int(each))
    ]


def _equal_jumps(b: Builder, label: str, x: str, levels: IntArray, height: int) -> list[str]:
    """Populations that count levels at which the function changes by the same amount."""
    if abs(height) > b.limits.weight:
        raise RewriteError(
            f"its function jumps by {height}, and synapses weigh {b.limits.weight} at most",
            "scale its output down",
        )
    return counted(b, label, x, levels)


def _tables_fit(b: Builder, table: IntArray) -> bool:
    """Whether populations may send what is looked up in a table."""
    lim = b.limits
    fits = np.abs(table).max() <= lim.payload and (lim.signed or table.min() >= 0)
    return bool(lim.emission and fits)


def counted(b: Builder, label: str, x: str, levels: IntArray) -> list[str]:
    """Terms of the number of ``levels`` [K, ...] that are reached."""
    if levels.shape[0] > MOST_LEVELS:
        raise RewriteError(
            f"its result has {levels.shape[0]} levels, at most {MOST_LEVELS} are rewritten",
            "round its output more coarsely",
        )
    step = b.limits.levels
    chunks = range(0, levels.shape[0], step)
    return [b.population(label, x, levels[k : k + step]) for k in chunks]
