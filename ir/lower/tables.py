"""Lookup tables and rescales of bounded integers as ladders."""

from __future__ import annotations

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.lower.builder import Builder, RewriteError
from snnc.ir.lower.products import lookup
from snnc.ir.lower.staircase import MOST_LEVELS, counted, function
from snnc.ir.nodes import Lut, Rescale, Rounding

WIDEST = 1 << 20
"""Largest range of inputs whose function is tabulated."""


def lut(b: Builder, node: Lut) -> None:
    """A table: one level per change of value."""
    x = node.inputs[0]
    low, high = b.extent(x)
    if high - low > WIDEST:
        raise RewriteError(
            f"its input spans {high - low} values, at most {WIDEST} are tabulated",
            "narrow its input",
        )
    values = lookup(node, np.arange(low, high + 1))
    terms = function(b, "lut", x, values, low)
    size = b.bounds(x)[0].size
    bounds = np.full(size, values.min()), np.full(size, values.max())
    b.finish(terms or [b.zero(x, b.shape(x))], bounds)


def rescale(b: Builder, node: Rescale) -> None:
    """One level per unit of the result; a negative multiplier turns the input around."""
    x = node.inputs[0]
    below, above = b.bounds(x)
    limit = 1 << (node.bits - 1)
    multiplier = np.broadcast_to(node.multiplier, b.shape(x)).reshape(-1)
    reach = (np.maximum(above, -below) * np.abs(multiplier)).max(initial=0)
    if node.shift == 0 and reach < limit:
        b.finish([b.scale(x, node.multiplier)])
        return
    turned = b.scale(x, np.sign(node.multiplier) + (node.multiplier == 0))
    low, high = b.extent(turned)
    factor = np.abs(node.multiplier)
    factor = factor.reshape((1,) * (len(b.shape(x)) - factor.ndim) + factor.shape)
    up = _levels(factor, node.shift, node.rounding, 1, high, limit - 1)
    down = _levels(factor, node.shift, node.rounding, -1, -low, limit)
    bounds = _counts(down, -low, -1, b, x), _counts(up, high, 1, b, x)
    b.finish(_staircases(b, turned, up, down) or [b.zero(x, b.shape(x))], bounds)


def _staircases(b: Builder, x: str, up: IntArray, down: IntArray) -> list[str]:
    """Terms of (levels of ``up`` reached by x) - (levels of ``down`` reached by -x)."""
    lim = b.limits
    if lim.signed and up.shape[0] <= lim.levels and 0 < down.shape[0] <= lim.negative_levels:
        return [b.population("rescale", x, up, negative=down)]
    below = counted(b, "rescale", b.scale(x, -1), down) if down.shape[0] else []
    return counted(b, "rescale", x, up) + [b.scale(term, -1) for term in below]


def _levels(
    factor: IntArray, shift: int, rounding: Rounding, sign: int, reach: int, most: int
) -> IntArray:
    """[K, ...] smallest |x| <= ``reach`` such that the result is k, or -k for sign -1; rising.

    A level that an element never reaches lies above ``reach``.
    """
    top = min(int(factor.max(initial=0)) * reach + (1 << shift) >> shift, most)
    if top > MOST_LEVELS:
        raise RewriteError(
            f"its result has up to {top} levels, at most {MOST_LEVELS} are rewritten",
            "round its output more coarsely",
        )
    k = np.arange(1, top + 1).reshape(-1, *(1,) * factor.ndim)
    unit = 1 << shift
    # The smallest |product| that gives k: first a multiple of one half, then exact.
    if rounding == "floor":
        product = k * unit if sign > 0 else (k - 1) * unit + 1
    elif rounding == "toward_zero" or shift == 0:
        product = k * unit
    else:
        product = (2 * k - 1) * (unit // 2) + k % 2  # ties go to the even neighbour
    smallest = -(-product // np.maximum(factor, 1))
    levels = np.where((factor > 0) & (smallest <= reach), smallest, reach + 1)
    used = int((levels <= reach).any(axis=tuple(range(1, levels.ndim))).sum())
    result: IntArray = levels[:used]
    return result


def _counts(levels: IntArray, reach: int, sign: int, b: Builder, x: str) -> IntArray:
    """Largest number of levels reached, with its sign, per element."""
    reached = (levels <= reach).sum(axis=0)
    return sign * np.broadcast_to(reached, b.shape(x)).reshape(-1)
