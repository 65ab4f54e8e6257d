"""Costs of all swaps of two facilities, brought up to date and compared in one pass of vector code.

The table of pairs is square, a row per facility; only entries (i, j) with i < j mean a pair, all
others are infinite.  Rows are padded to a whole number of vectors, and tables begin where a cache
line does.  Loads and stores without further ado are of vectors aligned to their size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from snnc.ir.arrays import RealArray
from snnc.ir.jit import inner_kernel, lowest_bit

LINE = 64  # bytes of a cache line, and of a vector
ROWS = 4  # rows that share what is loaded of their columns: a block
LATE = 8  # products that are added at a time
_WORD = ir.IntType(32)
_room: Any = cgutils.alloca_once  # a variable of generated code


def lanes(real: npt.DTypeLike) -> int:
    """Numbers of a vector."""
    return LINE // np.dtype(real).itemsize


def padded(n: int, real: npt.DTypeLike) -> int:
    """Row length of a table of n facilities or sites."""
    return -(-n // lanes(real)) * lanes(real)


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Zeros that begin where a cache line does."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.zeros(size + LINE, np.uint8)
    first = -room.ctypes.data % LINE
    return room[first : first + size].view(dtype).reshape(shape)


class _Table:
    """A two-dimensional argument of generated code."""

    def __init__(self, context: Any, builder: Any, signature: Any, values: Any, k: int) -> None:
        array = context.make_array(signature.args[k])(context, builder, values[k])
        self._builder, self._data = builder, array.data
        self._wide = _vector_of(context, signature.args[k].dtype).as_pointer()
        self.columns = builder.extract_value(array.shape, 1)

    def place(self, row: Any, column: Any) -> Any:
        """Address of an entry."""
        at = self._builder.add(self._builder.mul(row, self.columns), column)
        return self._builder.gep(self._data, [at])

    def vector(self, row: Any, column: Any) -> Any:
        """Address of a vector, which is aligned to its size."""
        return self._builder.bitcast(self.place(row, column), self._wide)


def _vector_of(context: Any, kind: Any) -> Any:
    return ir.VectorType(context.get_data_type(kind), lanes(np.dtype(kind.name)))


def _splat(builder: Any, scalar: Any, width: int) -> Any:
    lane = builder.insert_element(
        ir.Constant(ir.VectorType(scalar.type, width), ir.Undefined), scalar, _WORD(0)
    )
    order = ir.Constant(ir.VectorType(_WORD, width), [_WORD(0)] * width)
    return builder.shuffle_vector(lane, lane, order)


def _least(builder: Any, one: Any, two: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", one, two), one, two)


def _least_lane(builder: Any, vector: Any) -> Any:
    width = vector.type.count
    while width > 1:
        width //= 2
        halves = [
            ir.Constant(ir.VectorType(_WORD, width), [_WORD(begin + k) for k in range(width)])
            for begin in (0, width)
        ]
        vector = _least(builder, *(builder.shuffle_vector(vector, vector, h) for h in halves))
    return builder.extract_element(vector, _WORD(0))


def _scan(_context: Any, change: Any, last: Any, halves: Any, blocks: Any, least: Any) -> Any:
    if not isinstance(halves, types.IntegerLiteral):
        return None
    terms = halves.literal_value
    kind = change.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = _vector_of(context, kind)
        width, index = wide.count, context.get_value_type(types.intp)
        pairs, vectors, lowest = (
            _Table(context, builder, signature, arguments, k) for k in (0, 1, 4)
        )
        infinite = _splat(builder, ir.Constant(wide.element, float("inf")), width)
        best, of_all = (_room(builder, wide) for _ in range(2))
        builder.store(infinite, of_all)
        with cgutils.for_range(builder, arguments[3]) as block:
            first = builder.mul(block.index, index(ROWS))
            rows = [builder.add(first, index(k)) for k in range(ROWS)]
            own = [
                [_splat(builder, builder.load(vectors.place(index(v), row)), width) for row in rows]
                for v in range(2 * terms)
            ]
            builder.store(infinite, best)
            begin = builder.and_(first, index(-width))
            bounds = begin, pairs.columns, index(width), index
            with cgutils.for_range_slice(builder, *bounds) as (at, _):
                others = [builder.load(vectors.vector(index(v), at)) for v in range(2 * terms)]
                values = []
                for k, row in enumerate(rows):
                    pointer = pairs.vector(row, at)
                    value = builder.load(pointer)
                    for term in range(terms):
                        u = builder.fsub(own[2 * term][k], others[2 * term])
                        w = builder.fsub(own[2 * term + 1][k], others[2 * term + 1])
                        product = builder.fmul(u, w, flags=("contract",))
                        value = builder.fsub(value, product, flags=("contract",))
                    builder.store(value, pointer)
                    values.append(value)
                while len(values) > 1:
                    values = [_least(builder, *values[k : k + 2]) for k in range(0, len(values), 2)]
                builder.store(_least(builder, builder.load(best), values[0]), best)
            found = builder.load(best)
            builder.store(found, lowest.vector(block.index, index(0)))
            builder.store(_least(builder, builder.load(of_all), found), of_all)
        return _least_lane(builder, builder.load(of_all))

    return kind(change, last, halves, types.intp, least), generate


scan = cast(Callable[[RealArray, RealArray, int, int, RealArray], float], intrinsic(_scan))
"""Bring all swaps up to date; returns the least change.

For kernels only; places are not checked.  Tables are C-contiguous and aligned to a cache line.

Args:
    change: [padded, padded] of a swap of i and j, less the sum over h of
        ``(last[2 h, i] - last[2 h, j]) * (last[2 h + 1, i] - last[2 h + 1, j])`` afterwards.
    last: [2 halves, padded] vectors of the last swap made.
    halves: 1 or 2, written as a number.
    blocks: of ROWS rows each, to be looked at.
    least: [blocks, lanes] receives the least change of every lane of a block.
"""


def _add_products(_context: Any, out: Any, begin: Any, end: Any, factor: Any, vector: Any) -> Any:
    kind = out.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = _vector_of(context, kind)
        width, index = wide.count, context.get_value_type(types.intp)
        sums, factors, vectors = (
            _Table(context, builder, signature, arguments, k) for k in (0, 3, 4)
        )
        bounds = index(0), sums.columns, index(width), index
        with cgutils.for_range_slice(builder, *bounds) as (at, _):
            late = [builder.load(vectors.vector(index(m), at)) for m in range(LATE)]
            with cgutils.for_range(builder, arguments[2], arguments[1]) as row:
                pointer = sums.vector(row.index, at)
                total = builder.load(pointer)
                for m, one in enumerate(late):
                    own = builder.load(factors.place(index(m), row.index))
                    product = builder.fmul(_splat(builder, own, width), one, flags=("contract",))
                    total = builder.fadd(total, product, flags=("contract",))
                builder.store(total, pointer)
        return context.get_dummy_value()

    return types.void(out, types.intp, types.intp, factor, vector), generate


add_products = cast(
    Callable[[RealArray, int, int, RealArray, RealArray], None], intrinsic(_add_products)
)
"""``out[i] += sum over m < LATE of factor[m, i] * vector[m]`` for begin <= i < end.

For kernels only; arrays are C-contiguous, ``out`` and ``vector`` aligned to a cache line.
"""


def _lanes_where(relation: str) -> Any:
    """``intrinsic`` for the lanes of ``table[row, column:]`` that are so related to a value."""

    def _lanes(_context: Any, table: Any, row: Any, column: Any, value: Any) -> Any:
        kind = table.dtype

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            source = _Table(context, builder, signature, arguments, 0)
            vector = builder.load(source.vector(*arguments[1:3]))
            other = _splat(builder, arguments[3], vector.type.count)
            ordered = builder.fcmp_ordered if isinstance(kind, types.Float) else builder.icmp_signed
            bits = builder.bitcast(ordered(relation, vector, other), ir.IntType(vector.type.count))
            return builder.zext(bits, ir.IntType(64))

        return types.int64(table, types.intp, types.intp, kind), generate

    return intrinsic(_lanes)


lanes_equal = cast(Callable[[Any, int, int, Any], int], _lanes_where("=="))
"""Bits of the lanes of the vector at ``table[row, column]`` that are equal to a value."""
lanes_above = cast(Callable[[Any, int, int, Any], int], _lanes_where(">"))
"""Bits of the lanes of the vector at ``table[row, column]`` that are larger than a value."""


@inner_kernel
def first_of(lowest: float, b: int, change: RealArray, least: RealArray) -> tuple[int, int]:
    """The first swap of this change, from block b on."""
    bits = lanes_equal(least, b, 0, lowest)
    while bits == 0:
        b = b + 1 if b + 1 < least.shape[0] else 0
        bits = lanes_equal(least, b, 0, lowest)
    r, first = ROWS * b, lowest_bit(bits)
    s = first
    while change[r, s] != lowest:
        s += least.shape[1]
        if s >= change.shape[1]:
            r += 1
            s = first
    return r, s
