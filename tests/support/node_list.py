"""Networks in the making: nodes with the shapes of their values, and draws of what they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.ir.arrays import Shape


class NodeList:
    """Collects nodes; a tensor is the name of the node that makes it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.nodes: list[Any] = []
        self.shapes: dict[str, Shape] = {}

    def put(self, node: Any, shape: Shape) -> str:
        """Append a node."""
        self.nodes.append(node)
        self.shapes[node.name] = shape
        return str(node.name)

    def flag(self, probability: float = 0.5) -> bool:
        return bool(self.rng.random() < probability)

    def draw(self, low: int, high: int) -> int:
        """Both included."""
        return int(self.rng.integers(low, high + 1))
