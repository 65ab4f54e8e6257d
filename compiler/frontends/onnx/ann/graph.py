"""``ActivationGraph``: a trained ANN as linear operators and rectified activations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.nodes import Add, Bias, Index, Input, Linear, Output, Pool, Scale

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Activation:
    """``y = max over a window of min(relu(x), ceiling)``; what becomes a population.

    A maximum and a rectifier may change places, so a max pool beside a rectifier is one activation
    with a window.  Padded positions of the window count as 0, which no rectified maximum is below.

    Attributes:
        shape: of the output.
        ceiling: largest value, e.g. 6 for ReLU6; infinity for ReLU.
        window: the max pool, or None; its name and inputs are not looked at.
        rectified: x has no negative values, so that only the maximum is left to compute.
    """

    name: str
    inputs: tuple[str, ...]
    shape: Shape
    ceiling: float = float("inf")
    window: Pool | None = None
    rectified: bool = False

    def taps(self, source: Shape) -> list[IntArray]:
        """For every place in the window, the source positions that lie there (-1: padding)."""
        assert self.window is not None
        pool = self.window
        pads = ((0, 0), *pool.padding)
        positions = np.pad(np.arange(size_of(source)).reshape(source), pads, constant_values=-1)
        found: list[IntArray] = []
        for tap in np.ndindex(*pool.kernel):
            lines = tuple(
                slice(k, k + (n - 1) * s + 1, s)
                for k, n, s in zip(tap, self.shape[1:], pool.stride, strict=True)
            )
            found.append(positions[(slice(None), *lines)].reshape(-1))
        return found


AnnNode = Input | Output | Linear | Bias | Scale | Add | Pool | Index | Activation


@dataclass(frozen=True, eq=False)
class ActivationGraph:
    """A validated ANN for one sample; nodes are in execution order, shapes have no batch.

    Attributes:
        notes: what was left out or assumed while reading.
    """

    name: str
    nodes: tuple[AnnNode, ...]
    shapes: Mapping[str, Shape]
    notes: Mapping[str, str] = field(default_factory=dict)

    def of_type(self, kind: type[T]) -> tuple[T, ...]:
        """All nodes of one class, in execution order."""
        return tuple(node for node in self.nodes if isinstance(node, kind))

    @property
    def macs(self) -> int:
        """Multiplications of one pass, of linear operators."""
        total = 0
        for node in self.of_type(Linear):
            rows = self.shapes[node.name]
            per_row = node.weights.values[0].size if node.weights.values.ndim > 1 else 1
            total += size_of(rows) * per_row
        return total
