"""Which integers a network's inputs hold: decided by the first operator that needs to know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx.graph import OnnxGraph
from snnc.compiler.frontends.onnx.quantized.values import ONE, Tensor, over
from snnc.compiler.frontends.onnx.wiring import Wiring
from snnc.ir.arrays import Shape
from snnc.ir.errors import UnsupportedError
from snnc.ir.nodes import Index, Input
from snnc.ir.types import ValueType, events

PIXELS = 255
"""Steps of an input that the model changes before it quantizes it: pixels in [0, 1]."""
FREE_BITS, FREE_GRID = 16, 2.0**-10
"""Grid of an input that the model weighs without quantizing it."""


class Inputs:
    """The nodes made so far, the integers each can hold, and what was decided about the inputs."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.wiring = Wiring(graph)
        self.ranges: dict[str, tuple[int, int]] = {}
        self.notes: dict[str, str] = {}
        self._input_types: dict[str, ValueType] = {}

    def enter(self, name: str, shape: Shape) -> Tensor:
        """A network input whose integers will be what its first reader needs."""
        placeholder = Input(name, shape, events(0, 1))
        return Tensor(self.wiring.add(lambda *_: placeholder, name, (), shape), shape, raw=True)

    def origin(self, node_name: str) -> str:
        """The input behind nodes that only move values."""
        by_name = {n.name: n for n in self.wiring.nodes}
        while isinstance(by_name[node_name], Index):
            node_name = by_name[node_name].inputs[0]
        return node_name

    def decide(
        self, tensor: Tensor, kind: ValueType, why: str, ends: tuple[int, int] | None = None
    ) -> None:
        """Choose the integers of a raw tensor's input: a type, and the range of legal data.

        Raises:
            UnsupportedError: two readers need different ones.
        """
        origin = self.origin(tensor.source)
        known = self._input_types.setdefault(origin, kind)
        if known != kind:
            raise UnsupportedError(
                "one input on two grids",
                where=f"{self.graph.file}: input '{origin}'",
                found=f"{known} of {known.grid[0]:.6g}, and {kind} of {kind.grid[0]:.6g}",
                remedy="quantize the input once, and let all layers read that",
            )
        self.notes[f"input.{origin}"] = why
        self.ranges[tensor.source] = self.ranges[origin] = ends or (kind.low, kind.high)

    def narrow(self, tensor: Tensor, low: int, high: int) -> None:
        """An input whose quantizer is followed by nothing but a Clip has the Clip's range."""
        known = self._input_types.get(tensor.source)
        if known is not None and self.ranges[tensor.source] != (low, high):
            del self._input_types[tensor.source]
            kind = events(low, high, known.grid)
            self.decide(tensor, kind, host_rounds(known.grid[0], low, high), (low, high))

    def free(self, tensor: Tensor) -> Tensor:
        """A raw input that is weighed without being quantized."""
        kind = ValueType("int", FREE_BITS, (FREE_GRID,))
        self.decide(tensor, kind, f"not quantized by the model: rounded to multiples of "
                    f"{FREE_GRID:g} in {kind}")  # fmt: skip
        return replace(tensor, raw=False, scale=np.float32(FREE_GRID) * ONE)

    def pixels(self, tensor: Tensor) -> Tensor:
        """A raw input that is changed and then quantized: whole pixels, of [0, 1]."""
        kind = events(0, PIXELS, (1 / PIXELS,))
        self.decide(tensor, kind, f"{PIXELS + 1} values from 0 to 1: the model computes with the "
                    "input before it quantizes it")  # fmt: skip
        return replace(tensor, raw=False, after=(over(ONE * PIXELS), *tensor.after))

    def typed(self, node: Any) -> Any:
        """The node, with the type decided for an input."""
        if isinstance(node, Input):
            return replace(node, type=self._input_types.get(node.name, node.type))
        return node


def host_rounds(grid: float, low: int, high: int) -> str:
    """What is assumed of an input that the model quantizes itself."""
    return (
        f"rounded by the host to multiples of {grid:.9g}, {low} to {high} of them, as the model's "
        "first quantizer does"
    )
