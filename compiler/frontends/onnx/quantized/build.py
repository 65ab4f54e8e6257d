"""The graph of a quantized ANN as an ``IntegerNetwork`` of memoryless ladder neurons.

Between two quantizers lies at most one linear operator, an exact sum of integers, and a chain of
rising or falling elementwise operations.  Sum and quantizer become one population, whose ladder is
found on the runtime's own arithmetic; zero points and biases fold into integers.  One time step is
one inference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx.graph import OnnxGraph, OnnxNode
from snnc.compiler.frontends.onnx.moving import MOVING
from snnc.compiler.frontends.onnx.quantized.inputs import Inputs
from snnc.compiler.frontends.onnx.quantized.ladder import Ladder, ladder
from snnc.compiler.frontends.onnx.quantized.values import (
    Constant,
    Level,
    Pair,
    Tensor,
    plus,
    run,
)
from snnc.compiler.frontends.onnx.wiring import Wiring
from snnc.ir.arrays import IntArray, Shape
from snnc.ir.errors import ModelError, UnsupportedError
from snnc.ir.integer_network import linear_bound
from snnc.ir.neuron import MEMORYLESS, GatedBias, Neuron, Reset
from snnc.ir.nodes import Index, Linear
from snnc.ir.weights import Conv, Sparse, Weights, with_values

Value = Tensor | Pair | Constant
TIE = np.float32(1e-6)
"""Relative error of a mean in 32-bit floating point."""
SEARCHED = 1 << 17
"""Integers that are compared one by one to see that a quantizer changes nothing."""
MEMORY_REMEDY = (
    "place QuantizeLinear and DequantizeLinear between the layers (QDQ), as exporters do"
)


class Builder(Inputs):
    """Values by ONNX tensor, nodes of the integer network, and the integers each node can hold."""

    def __init__(self, graph: OnnxGraph) -> None:
        super().__init__(graph)
        self.values: dict[str, Value] = {}
        self.means: set[str] = set()
        """Nodes that the runtime sums in floating point, one rounding per term."""
        self._made: dict[tuple[str, int, int], tuple[str, Level]] = {}

    # -- operands --------------------------------------------------------------------------------

    def value(self, node: OnnxNode, position: int = 0) -> Value:
        """The value of an operand.

        Raises:
            ModelError: it is not given.
        """
        if not node.has_input(position):
            raise ModelError("an operand is missing", where=node.where(f"operand {position}"))
        name = node.inputs[position]
        if name not in self.values:
            stored = self.graph.constants.get(name)
            if stored is None:
                raise UnsupportedError(
                    "the operand is no value of the network", where=node.where(f"operand '{name}'")
                )
            self.values[name] = Constant(stored)
        return self.values[name]

    def data(self, node: OnnxNode, position: int = 0) -> Tensor:
        """An operand that depends on the input.

        Raises:
            UnsupportedError: a constant, or a sum of two grids that is not quantized.
        """
        value = self.value(node, position)
        if isinstance(value, Tensor):
            return value
        what = "a constant" if isinstance(value, Constant) else "a sum of two different grids"
        raise UnsupportedError(
            "the operand must be data on one grid",
            where=node.where(f"operand '{node.inputs[position]}'"),
            found=what,
            remedy=MEMORY_REMEDY,
        )

    def constant(self, node: OnnxNode, position: int, what: str) -> Constant:
        """An operand that is known now.

        Raises:
            UnsupportedError: it depends on the input.
        """
        value = self.value(node, position)
        if isinstance(value, Constant):
            return value
        raise UnsupportedError(
            f"the {what} is not a constant",
            where=node.where(f"operand '{node.inputs[position]}'"),
            found="data",
            remedy="only one operand may be data; dynamic quantization is not supported",
        )

    # -- populations -----------------------------------------------------------------------------

    def summable(self, node: OnnxNode, tensor: Tensor) -> Tensor:
        """The tensor as ``scale * (factor u + offset)`` with one scale: what a sum can read.

        Raises:
            UnsupportedError: an activation that is not quantized, or one scale per channel.
        """
        if tensor.raw:
            tensor = self.free(tensor)
        if tensor.level is not None:
            if tensor.grid.size != 1:
                raise UnsupportedError(
                    "an activation with one scale per channel cannot be summed as integers",
                    where=node.where(),
                    found=f"{tensor.grid.size} scales",
                    remedy="quantize activations per tensor; weights may be per channel",
                )
            name = self.population(node, tensor)
            return self._standing(name, tensor, tensor.level)
        if not tensor.plain:
            raise UnsupportedError(
                "the data is not quantized where it is summed",
                where=node.where(),
                found="an activation in floating point",
                remedy=MEMORY_REMEDY,
            )
        return replace(tensor, scale=tensor.scale.reshape(()))

    def _standing(self, name: str, tensor: Tensor, level: Level) -> Tensor:
        """What the integers of a population stand for."""
        grid = tensor.grid.reshape(()) if tensor.grid.size == 1 else tensor.grid
        shape = self.wiring.shape[name]
        return Tensor(name, shape, grid, level.factor, np.asarray(level.offset))

    def population(self, node: OnnxNode, tensor: Tensor) -> str:
        """The node that emits ``quantized integer - zero`` of a tensor with a level."""
        level = tensor.level
        assert level is not None
        key = (tensor.source, id(level.steps), level.zero)
        if key not in self._made:
            self._made[key] = (self._population(node, tensor, level), level)
        return self._made[key][0]

    def _population(self, node: OnnxNode, tensor: Tensor, level: Level) -> str:
        def emitted(t: Any) -> Any:
            scaled = np.asarray(t, np.float32) * tensor.scale
            return run(level.steps, scaled).astype(np.int64) - level.zero

        low, high = self._bounds(tensor)
        if self._unchanged(tensor, emitted, low, high):
            return tensor.source
        if tensor.source in self.means:
            self._note_ties(tensor, level, low, high)
        found = ladder(node.where(), emitted, low, high, len(tensor.shape))
        return self.fire(level.name, tensor, found)

    def _note_ties(self, tensor: Tensor, level: Level, low: int, high: int) -> None:
        """Sums so near the middle of two levels that the order of additions decides elsewhere."""
        if not tensor.uniform or high - low >= SEARCHED:
            return
        every = np.arange(low, high + 1).astype(np.float32)
        below, above = (run(level.steps, every * tensor.scale * (1 + e)) for e in (-TIE, TIE))
        ties = int(np.count_nonzero(below != above))
        if ties:
            self.notes[level.name] = (
                f"{ties:,} of {every.size:,} sums of the mean lie in the middle between two "
                "levels: here the exact sum is rounded, ties to even; a runtime that adds in "
                "floating point may take the level beside"
            )

    def _bounds(self, tensor: Tensor) -> tuple[int, int]:
        low, high = (tensor.factor * end for end in self.ranges[tensor.source])
        return low + int(tensor.offset.min()), high + int(tensor.offset.max())

    def _unchanged(self, tensor: Tensor, emitted: Callable[[Any], Any], low: int,
                   high: int) -> bool:  # fmt: skip
        """Whether the integers of the source are those that would be emitted."""
        if high - low >= SEARCHED or tensor.factor != 1 or tensor.offset.any():
            return False
        if not tensor.uniform or not _events(self.wiring, tensor.source):
            return False
        every = np.arange(low, high + 1).reshape(-1, *(1,) * len(tensor.shape))
        return bool((emitted(every) == every).all())

    def fire(self, name: str, tensor: Tensor, found: Ladder) -> str:
        """A population on ``factor u + offset`` with the ladder."""
        source = tensor.source
        sign: IntArray = np.ones((), np.int64)
        if found.falls.any():
            sign = _per_channel(name, np.where(found.falls, -1, 1))
            source = self.scaled(f"{name}.turned", source, sign)
        offset = sign * tensor.offset
        positive, negative = found.positive, found.negative
        bias: tuple[GatedBias, ...] = ()
        if tensor.factor != 1:
            positive = -((offset - positive) // tensor.factor)
            negative = -((-offset - negative) // tensor.factor)
        elif offset.any():
            bias = (GatedBias(_fitting(offset, tensor.shape)),)
        if not positive.size and not negative.size:  # always 0: a threshold beyond reach
            beyond = max(self.ranges[tensor.source][1], 0) + int(np.abs(offset).max()) + 1
            positive = np.full((1, *(1,) * len(tensor.shape)), beyond, np.int64)
        made = self.wiring.add(
            lambda named, inputs: Neuron(
                named, inputs, tensor.shape, positive, Reset("none"), leak=MEMORYLESS, bias=bias,
                negative_thresholds=negative,
            ),
            name, (source,), tensor.shape,
        )  # fmt: skip
        self.ranges[made] = (-negative.shape[0], positive.shape[0])
        return made

    def scaled(self, name: str, source: str, factors: IntArray) -> str:
        """A node with each channel's integers multiplied; weights take the factors up."""
        if (factors == 1).all():
            return source
        flat = factors.reshape(-1)
        maker = next(n for n in self.wiring.nodes if n.name == source)
        if isinstance(maker, Linear) and not isinstance(maker.weights, Sparse):
            values = maker.weights.values
            rows = np.broadcast_to(flat, values.shape[0]).reshape(-1, *(1,) * (values.ndim - 1))
            return self.linear(name, maker.inputs[0], with_values(maker.weights, values * rows))
        return self.linear(name, source, diagonal(flat, self.wiring.shape[source]))

    def linear(self, name: str, source: str, weights: Weights) -> str:
        """Append exact weights; the range of the result follows."""
        shape = weights.output_shape(name, self.wiring.shape[source])
        made = self.wiring.add(Linear, name, (source,), shape, weights)
        low, high = self.ranges[source]
        bound = linear_bound(weights, max(high, -low))
        self.ranges[made] = (-bound, bound)
        return made

    # -- moving ----------------------------------------------------------------------------------

    def move(self, node: OnnxNode, tensor: Tensor) -> Tensor:
        """Reshape, transpose, slice, pad: on quantized values, or where all are treated alike."""
        return self.move_all(node, (tensor,))

    def move_all(self, node: OnnxNode, tensors: tuple[Tensor, ...]) -> Tensor:
        """The same for operators that join several tensors of one grid."""
        settled = [self._settled(node, t) for t in tensors]
        first = settled[0]
        for tensor, name in zip(settled, node.inputs, strict=False):
            self.wiring.source[name] = tensor.source
        made = MOVING[node.op](self.wiring, node)
        if made not in self.ranges and not first.raw:
            lows, highs = zip(*(self.ranges[t.source] for t in settled), strict=True)
            self.ranges[made] = (min(0, *lows), max(0, *highs))
        return replace(first, source=made, shape=self.wiring.shape[made])

    def _settled(self, node: OnnxNode, tensor: Tensor) -> Tensor:
        """A tensor whose elements are all treated alike."""
        if tensor.level is None:
            if not tensor.uniform or (tensor.offset.any() and node.op == "Pad"):
                raise UnsupportedError(
                    "values are moved before they are quantized",
                    where=node.where(),
                    found="scales or biases that differ from channel to channel",
                    remedy=MEMORY_REMEDY,
                )
            return tensor
        return self.on_grid(self.population(node, tensor), tensor)

    def on_grid(self, name: str, like: Tensor) -> Tensor:
        """The tensor of a node that emits ``quantized integer - zero``."""
        level = like.level
        assert level is not None
        if like.form == "real":
            return self._standing(name, like, level)
        steps = (plus(np.asarray(level.zero)),)
        settled = Level(level.name, steps, level.low, level.high, level.zero)
        return Tensor(name, self.wiring.shape[name], after=steps, level=settled, form="int")


def _per_channel(name: str, sign: IntArray) -> IntArray:
    """Signs as [channels, 1, ...]."""
    first = sign[(slice(None), *(slice(0, 1),) * (sign.ndim - 1))]
    if (sign != first).any():
        raise UnsupportedError("a function that falls in parts of a channel", where=name)
    return first


def _events(wiring: Wiring, name: str) -> bool:
    """Whether a node's integers are counts already (an input, a population, or these moved)."""
    node = next(n for n in wiring.nodes if n.name == name)
    if isinstance(node, Index):
        return all(_events(wiring, source) for source in node.inputs)
    return not isinstance(node, Linear)


def _fitting(offset: IntArray, shape: Shape) -> IntArray:
    """An offset in its smallest form that broadcasts to ``shape``."""
    flat = offset.reshape(-1)
    return np.asarray(flat[0]) if (flat == flat[0]).all() else offset


def diagonal(factors: IntArray, shape: Shape) -> Weights:
    """Weights that multiply each channel by its own factor."""
    channels = shape[0]
    values = np.broadcast_to(factors, channels).astype(np.int64)
    if len(shape) == 1:
        ends = np.arange(channels + 1)
        return Sparse(ends, np.arange(channels), values, channels, shape)
    axes = len(shape) - 1
    once = (1,) * axes
    return Conv(values.reshape(-1, 1, *once), once, ((0, 0),) * axes, once, channels)
