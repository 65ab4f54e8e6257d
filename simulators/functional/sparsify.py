"""Dense input samples as event lists, in one pass over the data."""

from __future__ import annotations

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.jit import kernel
from snnc.simulators.functional.kernels import Arriving
from snnc.simulators.neuron_kernel import Int32, Int64

_BLOCK = 64


def sparsify(samples: list[IntArray]) -> Arriving:
    """Nonzero entries of one sample of every input, each [steps, elements].

    ``pointer[i, t]`` is where the events of input i in step t begin.
    """
    pointers, indices, values = [], [], []
    first = 0
    for sample in samples:
        raw = np.ascontiguousarray(sample)
        pointer, index, value = _scan(raw.view(np.uint8) if raw.dtype == np.bool_ else raw)
        pointers.append(pointer + first)
        indices.append(index)
        values.append(value)
        first += index.size
    return Arriving(np.stack(pointers), np.concatenate(indices), np.concatenate(values))


@kernel
def _scan(raster: AnyArray) -> tuple[Int64, Int32, Int64]:
    steps, elements = raster.shape
    pointer = np.zeros(steps + 1, np.int64)
    index, value = np.empty(elements, np.int32), np.empty(elements, np.int64)
    n = 0
    for t in range(steps):
        if n + elements > index.size:
            index, value = _doubled(index, n + elements), _doubled(value, n + elements)
        row = raster[t]
        for begin in range(0, elements, _BLOCK):
            block = row[begin : begin + _BLOCK]
            # Most blocks are silent: a vector OR decides without looking at elements.
            seen = row[0] ^ row[0]
            for x in block:
                seen |= x
            if seen != 0:
                for i in range(block.size):
                    if block[i] != 0:
                        index[n] = begin + i
                        value[n] = block[i]
                        n += 1
        pointer[t + 1] = n
    return pointer, index[:n], value[:n]


@kernel
def _doubled(array: AnyArray, need: int) -> AnyArray:
    """A larger array with the same beginning."""
    more = np.empty(max(need, 2 * array.size), array.dtype)
    more[: array.size] = array
    return more
