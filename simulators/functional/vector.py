"""Instructions of the processor that Numba does not offer: prefetch, and a vector of additions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 8
"""Entries that ``add_lanes`` handles at a time."""

_READ, _KEEP, _DATA = 0, 3, 1
_BYTE, _WORD = ir.IntType(8), ir.IntType(32)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, place: Any, to: Any) -> Any:
    """Address of an entry of an array as a pointer to ``to``."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [place]), to.as_pointer())


def _prefetch(_context: Any, array: Any, place: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _pointer(context, builder, signature.args[0], arguments[0], arguments[1], _BYTE)
        kind = ir.FunctionType(ir.VoidType(), [address.type, _WORD, _WORD, _WORD])
        instruction = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(instruction, [address, *(_WORD(n) for n in (_READ, _KEEP, _DATA))])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


prefetch = cast(Callable[[Any, int], None], intrinsic(_prefetch))
"""Ask for the cache line of ``array[place]`` without waiting for it; nothing else happens.

The place is not checked: to prefetch memory that is not there is no fault.
"""


def _add_lanes(_context: Any, sums: Any, target: Any, weight: Any, source: Any, factor: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        wide = ir.VectorType(context.get_data_type(kinds[0].dtype), LANES)
        narrow = ir.VectorType(context.get_data_type(kinds[2].dtype), LANES)
        first, second = arguments[:2], arguments[2:4]
        total = _pointer(context, builder, kinds[0], first[0], first[1], wide)
        stored = _pointer(context, builder, kinds[2], second[0], second[1], narrow)
        one = kinds[2].dtype.bitwidth // 8
        added = builder.sext(builder.load(stored, align=one), wide)
        if not isinstance(kinds[4], types.NoneType):
            scalar = context.cast(builder, arguments[4], kinds[4], kinds[0].dtype)
            lane = builder.insert_element(ir.Constant(wide, ir.Undefined), scalar, _WORD(0))
            order = ir.Constant(ir.VectorType(_WORD, LANES), [_WORD(0)] * LANES)
            added = builder.mul(added, builder.shuffle_vector(lane, lane, order))
        align = kinds[0].dtype.bitwidth // 8
        builder.store(builder.add(builder.load(total, align=align), added), total, align=align)
        return context.get_dummy_value()

    return types.void(sums, types.uintp, weight, types.uintp, factor), generate


add_lanes = cast(Callable[[Any, Any, Any, Any, Any], None], intrinsic(_add_lanes))
"""``sums[target + i] += weight[source + i] * factor`` for i < LANES; factor None: 1.

Compilers do not find this vector code in runs of a few dozen weights: they make a loop of many
vectors and leave such runs to its scalar rest.  Places are not checked.
"""


def _lowest_byte(_context: Any, word: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        zeros = builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))
        return builder.lshr(zeros, ir.Constant(zeros.type, 3))

    return types.int64(types.uint64), generate


lowest_byte = cast(Callable[[Any], int], intrinsic(_lowest_byte))
"""Number of the lowest byte of a uint64 other than zero that is not zero."""
