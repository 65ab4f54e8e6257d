"""Dense input samples as event lists, a window of steps at a time, in memory that is used again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.jit import lean_kernel as kernel
from snnc.simulators.neuron_kernel import Int32, Int64

# Input elements of a window: its events stay in the second cache until they are delivered.
WINDOW = 1 << 16
_BLOCK = 64

# Entries of ``Arriving.span``: first moment of the window, moment behind it, steps of the sample.
BEGIN, END, STEPS = range(3)


class Arriving(NamedTuple):
    """Nonzero inputs of a window of a sample.

    Attributes:
        pointer: int64 [inputs, moments + 1]; events of input i in moment BEGIN + m are
            ``pointer[i, m]`` to ``pointer[i, m + 1]``.
        element, amount: place and value of the events.
        span: int64 [3].
    """

    pointer: Int64
    element: Int32
    amount: Int64
    span: Int64


class Feed:
    """The inputs of one sample after the other.

    Args:
        sizes: elements of every input.
    """

    def __init__(self, sizes: list[int]) -> None:
        self._sizes, self._rasters = sizes, list[AnyArray]()
        self._moments = max(1, WINDOW // max(1, sum(sizes)))
        room = self._moments * sum(sizes)
        self._arriving = Arriving(
            np.zeros((len(sizes), self._moments + 1), np.int64),
            np.empty(room, np.int32),
            np.empty(room, np.int64),
            np.zeros(3, np.int64),
        )

    def begin(self, samples: list[IntArray]) -> None:
        """Take a sample of every input, [steps, elements] each."""
        self._rasters = [_raw(sample) for sample in samples]
        self._arriving.span[:] = 0, 0, len(samples[0])

    def at(self, moment: int) -> Arriving:
        """The window that holds a moment; behind the last step there is one without an end."""
        _, end, steps = self._arriving.span
        if moment >= end:
            self._show(moment, min(moment + self._moments, steps) if moment < steps else 1 << 62)
        return self._arriving

    def _show(self, begin: int, end: int) -> None:
        pointer, element, amount, span = self._arriving
        span[BEGIN], span[END] = begin, end
        first = 0
        for row, raster in zip(pointer, self._rasters, strict=True):
            row[:] = first
            if begin < len(raster):
                _scan(raster[begin:end], row, element, amount)
                first = row[end - begin]


def _raw(sample: IntArray) -> AnyArray:
    whole = np.ascontiguousarray(sample)
    return whole.view(np.uint8) if whole.dtype == np.bool_ else whole


@kernel
def _scan(raster: AnyArray, pointer: Int64, index: Int32, value: Int64) -> None:
    """Write events from place ``pointer[0]`` on."""
    steps, elements = raster.shape
    n = pointer[0]
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
