"""The synthetic networks of Jin et al. (ASPLOS 2023), exactly regenerated; see ``asplos23.py``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from snnc.compiler.place import Flows, Sites
from snnc.compiler.place.flows import Block
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import kernel

KERNEL = 4
KINDS = ("DNN", "CNN", "RES")
SPAN = 2147483646.0  # values of the generator


@kernel
def draw(state: int, out: RealArray) -> int:
    """Fill ``out`` with uniform numbers; returns the next state."""
    for k in range(out.size):
        state = state * 48271 % 2147483647
        low = float(state - 1)
        state = state * 48271 % 2147483647
        out[k] = (low + float(state - 1) * SPAN) / (SPAN * SPAN)
    return state


@kernel
def stream_cost(kind: int, side: int, x: IntArray, y: IntArray) -> float:
    """Weighted hops of cores at (x, y) [side * side], with the weights drawn on the way."""
    state, total = 1, 0.0
    weight = np.zeros(1)
    for layer in range(side - 2):
        for skip in range(1, 3 if kind == 2 else 2):
            if layer + skip >= side:
                continue
            for j in range(side):
                a = layer * side + j
                first, last = 0, side
                if kind == 1:
                    first, last = j, min(side, j + KERNEL)
                for b in range((layer + skip) * side + first, (layer + skip) * side + last):
                    state = draw(state, weight)
                    total += weight[0] * (abs(x[a] - x[b]) + abs(y[a] - y[b]))
    return total


def mesh(side: int) -> Sites:
    """A square mesh with one core at every router."""
    count = side * side
    return Sites(np.arange(count), np.zeros(count, np.int64), side, count, 1)


def network(kind: str, side: int) -> Flows:
    """The flows of a network."""
    if kind == "CNN":
        layer, j, k = np.indices((side - 2, side, KERNEL)).reshape(3, -1)
        inside = j + k < side
        a = (layer * side + j)[inside]
        weight = np.empty(a.size)
        draw(1, weight)
        nowhere = np.zeros((0, 2), np.int64)
        return Flows.of_pairs(mesh(side), side**2, nowhere, a, a + side + k[inside], weight)

    def blocks() -> Iterator[Block]:
        state = 1
        for layer in range(side - 2):
            for skip in range(1, 3 if kind == "RES" else 2):
                weight = np.empty(side * side)
                state = draw(state, weight)
                yield layer * side, (layer + skip) * side, weight.reshape(side, side)

    return Flows.of_blocks(mesh(side), side**2, blocks(), 1.0)


def zigzag(side: int) -> tuple[IntArray, IntArray]:
    """Rows there and back."""
    y, x = np.divmod(np.arange(side * side), side)
    return np.where(y % 2, side - 1 - x, x), y
