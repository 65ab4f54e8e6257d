"""Random numbers for compiled searches: the same on every machine and with every library."""

from __future__ import annotations

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.jit import inner_kernel


@inner_kernel
def draw(state: IntArray, below: int) -> int:
    """A whole number in [0, below), below < 2^31, by xorshift64* (Vigna 2016)."""
    x = np.uint64(state[0])
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    high = (x * np.uint64(2685821657736338717)) >> np.uint64(33)
    return int(np.int64((high * np.uint64(below)) >> np.uint64(31)))


def started(seed: int) -> IntArray:
    """[1] state of ``draw``; it is never 0."""
    words = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    return words | np.uint64(1)
