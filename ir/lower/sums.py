"""Sums over axes are synapses; sums over the whole sample are integrators and a barrier."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnc.ir.arrays import Shape, size_of
from snnc.ir.lower.builder import Builder, RewriteError, selection
from snnc.ir.lower.maxima import axes_last
from snnc.ir.lower.staircase import digits, held
from snnc.ir.nodes import Barrier, Reduce

MOST_UNARY = 64
"""Largest count whose maximum over time is taken level by level."""


def reduce_sum(b: Builder, node: Reduce) -> None:
    """A sum over axes of one step."""
    b.finish([_axis_sum(b, node.inputs[0], node.axes)])


def _axis_sum(b: Builder, x: str, axes: Shape) -> str:
    index, shape = axes_last(b.shape(x), axes)
    if shape == b.shape(x):
        return x
    rows = np.repeat(np.arange(index.shape[0]), index.shape[1])
    return b.matrix(x, selection(index.reshape(-1), rows, (index.shape[0], index.size)), shape)


def reduce_over_time(b: Builder, node: Reduce) -> None:
    """The sum over axes and all steps, or the maximum, seen by every step.

    Integrators add up what comes and send the sum, digit by digit, in the last step.  Behind the
    barrier, where the sample begins anew, further integrators hold the digits and repeat them in
    every step.
    """
    x = node.inputs[0]
    if node.op == "max":
        b.finish([_maximum(b, x, node)])
        return
    x = _axis_sum(b, x, node.axes)
    (low, high), bounds = b.extent(x), b.bounds(x)
    terms = []
    for sign, top in ((1, high), (-1, -low)):
        if top > 0:
            parts = _sample_sum(b, b.scale(x, sign), top * node.steps, node.steps)
            terms += [b.scale(part, sign) for part in parts]
    b.finish(terms or [b.zero(x, b.shape(x))], (bounds[0] * node.steps, bounds[1] * node.steps))


def _sample_sum(b: Builder, x: str, top: int, steps: int) -> list[str]:
    """Terms of ``max(sum of x over the sample, 0)``, or of its minimum with 1 for ``top`` 1."""
    low, high = b.extent(x)
    terms = []
    for part in digits(b, "integral", x, 0, top, sample=(steps - 1, steps * max(high, -low))):
        last = b.keep(Barrier(b.name("last"), (part.tensor,), steps))
        terms.append(held(b, "hold", replace(part, tensor=last)))
    return terms


def _maximum(b: Builder, x: str, node: Reduce) -> str:
    """Level by level, whether any step reaches it; the levels are a new first axis."""
    low, high = b.extent(x)
    if low < 0 or high > MOST_UNARY:
        raise RewriteError(
            f"it is the largest of all steps of values in {low}..{high}, "
            f"and only 0..{MOST_UNARY} are rewritten",
            "take the maximum of spikes",
        )
    if high == 0:
        return _axis_sum(b, x, node.axes)
    shape = b.shape(x)
    levels = b.gather(x, np.tile(np.arange(size_of(shape)), high), (high, *shape))
    if high > 1:
        ladder = np.arange(1, high + 1).reshape(1, -1, *(1,) * len(shape))
        levels = b.population("level", levels, ladder)
    met = _axis_sum(b, levels, tuple(axis + 1 for axis in node.axes))
    (any_,) = _sample_sum(b, met, 1, node.steps)
    kept = b.shape(any_)[1:]
    size = size_of(kept)
    rows = np.tile(np.arange(size), high)
    return b.matrix(any_, selection(np.arange(high * size), rows, (size, high * size)), kept)
