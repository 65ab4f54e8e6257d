"""ONNX's stateless operators to operators of ``snnc.ir``; shapes are recomputed on the way.

ONNX's tensors have a batch axis in front, which is 1 here; shapes in ``snnc.ir`` have none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx.graph import OnnxGraph, OnnxNode, OnnxValue
from snnc.compiler.frontends.onnx.windows import Window
from snnc.ir.arrays import AnyArray, IntArray, Shape, size_of
from snnc.ir.errors import ModelError, UnsupportedError
from snnc.ir.nodes import Index
from snnc.ir.weights import window_shape

MAX_ELEMENTS = 1 << 28
"""Of one tensor of a sample."""


def sample_shape(file: str, value: OnnxValue) -> Shape:
    """Shape of a graph input without its batch axis.

    Raises:
        UnsupportedError: unknown extents, a batch that is not 1, or no batch axis.
    """
    where = f"{file}: input '{value.name}'"
    if value.dtype not in ("float32", "float64", "float16", "bfloat16"):
        raise UnsupportedError(
            "an input that is not a real number", where=where, found=value.dtype,
            allowed="float32, float64, float16", remedy="export the network with a float input",
        )  # fmt: skip
    shape = value.shape
    if not shape or any(extent is None for extent in shape[1:]):
        raise UnsupportedError(
            "the extents of the input are not known",
            where=where,
            found="no shape" if not shape else ", ".join(str(e or "?") for e in shape),
            allowed="fixed numbers, except for the batch in front",
            remedy="export with a fixed size; only the batch axis may be dynamic",
        )
    if len(shape) < 2 or shape[0] != 1:
        raise UnsupportedError(
            "the first axis is not a batch of one sample",
            where=where,
            found=tuple(shape),
            allowed="(1, ...), or a dynamic batch",
            remedy="export with a dynamic batch axis, or with one sample; time is no axis of a "
            "network without state",
        )
    known = tuple(int(extent) for extent in shape[1:] if extent is not None)
    if size_of(known) > MAX_ELEMENTS:
        raise ModelError("the input is too large", where=where, found=known)
    return known


@dataclass
class Wiring:
    """Collects nodes; tensors keep their ONNX names, nodes get names of their own.

    Attributes:
        graph: what is lowered.
        nodes: of ``snnc.ir``, in execution order.
        source: name of the node that makes a tensor, by the tensor's ONNX name.
        shape: of every node in ``nodes``, by node name.
    """

    graph: OnnxGraph
    nodes: list[Any] = field(default_factory=list)
    source: dict[str, str] = field(default_factory=dict)
    shape: dict[str, Shape] = field(default_factory=dict)

    def add(self, kind: Callable[..., Any], base: str, inputs: tuple[str, ...], shape: Shape,
            *rest: Any) -> str:  # fmt: skip
        """Append ``kind(name, inputs, *rest)`` under a free name like ``base``; return the name."""
        if size_of(shape) > MAX_ELEMENTS or min(shape, default=1) < 1:
            where = f"{self.graph.file}: node '{base}'"
            raise ModelError("a tensor of impossible size", where=where, found=shape)
        name, count = base, 1
        while name in self.shape:
            count += 1
            name = f"{base}.{count}"
        self.nodes.append(kind(name, inputs, *rest))
        self.shape[name] = shape
        return name

    def index(self, base: str, inputs: tuple[str, ...], shape: Shape,
              index: IntArray | None = None) -> str:  # fmt: skip
        """Append a gather, or a reshape without ``index``; nothing where the shape stays."""
        if index is None and len(inputs) == 1 and self.shape[inputs[0]] == shape:
            return inputs[0]
        return self.add(Index, base, inputs, shape, shape, index)

    def operand(self, node: OnnxNode, position: int = 0) -> tuple[str, Shape]:
        """Node and shape of an operand that is data.

        Raises:
            UnsupportedError: it is a constant, or a tensor that is not one of the network's values.
        """
        if not node.has_input(position):
            raise ModelError("an operand is missing", where=node.where(f"operand {position}"))
        tensor = node.inputs[position]
        if tensor not in self.source:
            constant = tensor in self.graph.constants
            raise UnsupportedError(
                "the operand must come from the network's input",
                where=node.where(f"operand '{tensor}'"),
                found="a constant" if constant else "a tensor that no supported operator makes",
            )
        name = self.source[tensor]
        return name, self.shape[name]

    def bind(self, node: OnnxNode, name: str) -> None:
        """Say which node makes the first output of ``node``; further outputs must be unread."""
        self.source[node.outputs[0]] = name
        for extra in node.outputs[1:]:
            if extra and (extra in self.graph.consumers or self._is_output(extra)):
                raise UnsupportedError(
                    "only the operator's first output is data here",
                    where=node.where(f"output '{extra}'"),
                    remedy="export the model in inference mode",
                )

    def _is_output(self, tensor: str) -> bool:
        return any(value.name == tensor for value in self.graph.outputs)


Rule = Callable[[Wiring, OnnxNode], str]
Rules = Mapping[str, Rule]


def unbatched(node: OnnxNode, values: AnyArray, shape: Shape) -> AnyArray:
    """A constant operand as an array that broadcasts to ``shape``, without the batch axis.

    Before opset 7 an attribute said at which axis the constant's axes begin.

    Raises:
        UnsupportedError: it would make the data larger.
    """
    result = values
    if node.attributes.get("broadcast") and "axis" in node.attributes:
        behind = len(shape) + 1 - node.integer("axis") - values.ndim
        result = values.reshape(*values.shape, *(1,) * max(0, behind))
    while result.ndim > len(shape):
        if result.shape[0] != 1:
            break
        result = result[0]
    try:
        fits = np.broadcast_shapes(result.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits or result.ndim > len(shape):
        raise UnsupportedError(
            "a constant that does not have the shape of the data",
            where=node.where(),
            found=f"constant {values.shape}, data (1, {', '.join(map(str, shape))})",
            allowed="one value, one per channel, or one per element",
        )
    return result


def window_extent(node: OnnxNode, spatial: Shape, window: Window) -> Shape:
    """Output extents of a sliding window; raises ``ModelError`` where it does not fit."""
    return window_shape(
        node.where(), spatial, window.kernel, window.stride, window.padding, window.dilation
    )


def axis_of(node: OnnxNode, axis: int, shape: Shape) -> int:
    """An ONNX axis as an axis of the shape without batch.

    Raises:
        UnsupportedError: the batch axis.
        ModelError: no such axis.
    """
    rank = len(shape) + 1
    positive = axis + rank if axis < 0 else axis
    if not 0 <= positive < rank:
        raise ModelError("no such axis", where=node.where(), found=axis, allowed=f"below {rank}")
    if positive == 0:
        raise UnsupportedError(
            "an operator across the batch axis",
            where=node.where(),
            found=f"axis {axis}",
            remedy="samples must not be mixed; export the network for one sample",
        )
    return positive - 1
