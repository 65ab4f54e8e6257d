"""Products of two event tensors, or of an event tensor and integers, as gates and ladders."""

from __future__ import annotations

import numpy as np

from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.lower.builder import Bounds, Builder, product_bounds, selection
from snnc.ir.lower.staircase import MOST_LEVELS, digits, function, gated, positive_part
from snnc.ir.nodes import Lut, MatMul, Mul


def multiply(b: Builder, node: Mul) -> None:
    """Elementwise product."""
    a, c = node.inputs
    every = np.arange(size_of(b.shape(a)))
    terms = products(b, a, every, c, every, b.shape(a))
    b.finish(terms or [b.zero(a, b.shape(a))], product_bounds(b.bounds(a), b.bounds(c)))


def multiply_by_table(b: Builder, x: str, table: Lut) -> None:
    """``x * f(y)`` for a y of 0 or 1: ``f(0) x + (f(1) - f(0)) x y``; IAND when f is NOT."""
    y, shape = table.inputs[0], b.shape(x)
    off, on = (int(v) for v in lookup(table, np.array([0, 1])))
    low, high = b.bounds(x)
    factor = np.full_like(low, min(off, on)), np.full_like(high, max(off, on))
    bounds = product_bounds((low, high), factor)
    if (off, on) == (1, 0) and b.extent(x) == (0, 1):
        iand = positive_part(b, "iand", b.add([x, b.scale(y, -1)]), 0, 1)
        assert iand is not None
        b.finish([iand], bounds)
        return
    every = np.arange(size_of(shape))
    terms = [b.scale(x, off)] if off else []
    if on != off:
        terms += [b.scale(t, on - off) for t in products(b, x, every, y, every, shape)]
    b.finish(terms or [b.zero(x, shape)], bounds)


def lookup(node: Lut, x: IntArray) -> IntArray:
    """Values of the table for integers ``x``."""
    result: IntArray = node.table[np.clip(x - node.first, 0, node.table.size - 1)]
    return result


def matmul(b: Builder, node: MatMul) -> None:
    """Batched matrix product: all elementary products, then sums over synapses."""
    a, c = node.inputs
    left, right = _indices(b, a, node.transpose_a), _indices(b, c, node.transpose_b)
    rows, inner, columns = left.shape[-2], left.shape[-1], right.shape[-1]
    shape = (*left.shape[:-2], rows, inner, columns)
    ia = np.broadcast_to(left[..., None], shape)
    ic = np.broadcast_to(right[..., None, :, :], shape)
    result = (*left.shape[:-2], rows, columns)
    target = np.arange(size_of(result)).reshape(*left.shape[:-2], rows, 1, columns)
    sums = selection(
        np.arange(size_of(shape)),
        np.broadcast_to(target, shape).reshape(-1),
        (size_of(result), size_of(shape)),
    )
    low, high = product_bounds(_picked(b, a, ia), _picked(b, c, ic))
    terms = products(b, a, ia, c, ic, shape)
    added = [b.matrix(term, sums, result) for term in terms]
    b.finish(added or [b.zero(a, result)], (sums @ low, sums @ high))


def _indices(b: Builder, x: str, transposed: bool) -> IntArray:
    index = np.arange(size_of(b.shape(x))).reshape(b.shape(x))
    return np.swapaxes(index, -1, -2) if transposed else index


def _picked(b: Builder, x: str, index: IntArray) -> Bounds:
    low, high = b.bounds(x)
    flat = index.reshape(-1)
    return low[flat], high[flat]


def products(b: Builder, a: str, ia: IntArray, c: str, ic: IntArray, shape: Shape) -> list[str]:
    """Terms of ``a.flat[ia] * c.flat[ic]``, by the first way that applies.

    1. An operand is 0 or 1: it gates the other one.
    2. Both are small: one ladder over the pair ``a * (range of c + 1) + c``, with a table.
    3. Quarter squares, ``a c = floor((a + c)^2 / 4) - floor((a - c)^2 / 4)``: two ladders.
    4. The narrower operand is split into bits, and each gates the other one.
    """
    (la, ha), (lc, hc) = b.extent(a), b.extent(c)
    if (la, ha) == (0, 0) or (lc, hc) == (0, 0):
        return []
    if (lc, hc) == (0, 1):
        return gated(b, _gate_name(la, ha), b.gather(a, ia, shape), b.gather(c, ic, shape))
    if (la, ha) == (0, 1):
        return products(b, c, ic, a, ia, shape)
    if b.limits.emission and b.limits.signed:
        if (ha - la + 1) * (hc - lc + 1) <= b.limits.levels:
            return _paired(b, b.gather(a, ia, shape), b.gather(c, ic, shape))
        square = max((ha + hc) ** 2, (la + lc) ** 2, (ha - lc) ** 2, (hc - la) ** 2) // 4
        if square <= b.limits.payload and ha + hc - la - lc <= MOST_LEVELS:
            return _quarter_squares(b, b.gather(a, ia, shape), b.gather(c, ic, shape))
    if ha - la < hc - lc:
        a, ia, c, ic = c, ic, a, ia
    return _by_bits(b, a, ia, c, ic, shape)


def _gate_name(low: int, high: int) -> str:
    return "and" if (low, high) == (0, 1) else "gate"


def _paired(b: Builder, a: str, c: str) -> list[str]:
    (la, ha), (lc, hc) = b.extent(a), b.extent(c)
    width = hc - lc + 1
    low, high = la * width + lc, ha * width + hc
    code = np.arange(low, high + 1)
    second = (code - lc) % width + lc
    return function(
        b, "product", b.add([b.scale(a, width), c]), (code - second) // width * second, low
    )


def _quarter_squares(b: Builder, a: str, c: str) -> list[str]:
    (la, ha), (lc, hc) = b.extent(a), b.extent(c)
    plus, minus = np.arange(la + lc, ha + hc + 1), np.arange(la - hc, ha - lc + 1)
    negated = b.scale(c, -1)
    first = function(b, "plus", b.add([a, c]), plus**2 // 4, int(plus[0]))
    second = function(b, "minus", b.add([a, negated]), minus**2 // 4, int(minus[0]))
    return first + [b.scale(term, -1) for term in second]


def _by_bits(b: Builder, a: str, ia: IntArray, c: str, ic: IntArray, shape: Shape) -> list[str]:
    """Every bit of |c| gates a; a negative part counts negatively."""
    terms = []
    low, high = b.extent(c)
    x = b.gather(a, ia, shape)
    for sign, top in ((1, high), (-1, -low)):
        for bit in digits(b, "bit", b.scale(c, sign), 0, top, bits=True):
            gate = b.gather(bit.population, ic, shape)
            terms += [b.scale(t, sign * bit.unit) for t in gated(b, "gate", x, gate)]
    return terms
