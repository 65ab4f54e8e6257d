"""Dense input samples as event lists, in one pass over the data."""

from __future__ import annotations

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.jit import lean_kernel as kernel
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
        pointer, index, value = _events(np.ascontiguousarray(sample))
        pointers.append(pointer + first)
        indices.append(index)
        values.append(value)
        first += index.size
    return Arriving(np.stack(pointers), np.concatenate(indices), np.concatenate(values))


def _events(raster: AnyArray) -> tuple[Int64, Int32, Int64]:
    """(pointer, element, value) of one raster."""
    raw = raster.view(np.uint8) if raster.dtype == np.bool_ else raster
    pointer = np.zeros(len(raw) + 1, np.int64)
    # Room for a raster without zeros; memory that is never written costs nothing.
    index, value = np.empty(raw.size, np.int32), np.empty(raw.size, np.int64)
    _scan(raw, pointer, index, value)
    return pointer, index[: pointer[-1]].copy(), value[: pointer[-1]].copy()


@kernel
def _scan(raster: AnyArray, pointer: Int64, index: Int32, value: Int64) -> None:
    steps, elements = raster.shape
    n = 0
    for t in range(steps):
        for begin in range(0, elements, _BLOCK):
            end = min(begin + _BLOCK, elements)
            # Most blocks are silent: a vector OR decides without looking at elements.
            seen = raster[t, begin] ^ raster[t, begin]
            for i in range(begin, end):
                seen |= raster[t, i]
            if seen != 0:
                for i in range(begin, end):
                    if raster[t, i] != 0:
                        index[n] = i
                        value[n] = raster[t, i]
                        n += 1
        pointer[t + 1] = n
