"""The contents of an ONNX file as plain validated data, before anything is interpreted.

Names, shapes and numbers are those of the file.  Constants, and operators on constants only, are
folded to arrays; what does not contribute to an output is gone.  Nothing here needs the ``onnx``
package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np

from snnc.ir.arrays import AnyArray, RealArray, Shape
from snnc.ir.errors import ModelError, UnsupportedError

Attribute = int | float | str | AnyArray | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]
T = TypeVar("T", int, float, str)


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """One operator.

    Attributes:
        file: name of the file, for messages.
        name: unique in the graph; the stored one where there is one.
        domain: "" for the operators of ONNX itself, else as stored, e.g. "snnc".
        op: operator type.
        inputs, outputs: tensor names; "" stands for an optional one left out.
        attributes: by name; a tensor is an array.
    """

    file: str
    name: str
    domain: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Operator with its domain, unless that is ONNX's."""
        return f"{self.domain}::{self.op}" if self.domain else self.op

    def where(self, label: str = "") -> str:
        """The place as the user should look for it."""
        place = f"{self.file}: node '{self.name}' ({self.kind})"
        return f"{place}, {label}" if label else place

    def has_input(self, position: int) -> bool:
        """Whether the operand is given."""
        return position < len(self.inputs) and self.inputs[position] != ""

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer attribute."""
        return self._typed(name, int, default)

    def real(self, name: str, default: float | None = None) -> float:
        """A real attribute; it must be finite."""
        value = float(self._typed(name, float, default))
        if not np.isfinite(value):
            raise ModelError("an attribute is not finite", where=self.where(name), found=value)
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """A text attribute."""
        return self._typed(name, str, default)

    def integers(self, name: str, default: Shape | None = None) -> Shape:
        """An attribute that is a list of integers."""
        value = self.attributes.get(name, default)
        if not isinstance(value, tuple) or not all(isinstance(v, int) for v in value):
            raise self._wrong(name, "a list of integers", value)
        return tuple(int(v) for v in value)

    def _typed(self, name: str, kind: type[T], default: T | None) -> T:
        value = self.attributes.get(name, default)
        if not isinstance(value, kind):
            raise self._wrong(name, {int: "an integer", float: "a number", str: "a text"}[kind],
                              value)  # fmt: skip
        return value

    def _wrong(self, name: str, wanted: str, value: object) -> ModelError:
        found = "nothing" if value is None else repr(value)[:80]
        return ModelError(
            f"{wanted} is required", where=self.where(f"attribute '{name}'"), found=found
        )


@dataclass(frozen=True)
class OnnxValue:
    """A tensor that enters or leaves the graph.

    Attributes:
        shape: with the batch axis, which is 1 where it was symbolic; None for any other axis of
            unknown extent; None as a whole when the file does not say.
        dtype: NumPy's name of the element type, e.g. "float32".
    """

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """A validated graph.

    Attributes:
        file: name of the file.
        nodes: in topological order, without those that fold to constants.
        constants: initialisers and folded constants that are still read, by tensor name.
        inputs, outputs: without initialisers.
        opsets: version by domain ("" is ONNX's).
    """

    file: str
    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, AnyArray]
    inputs: tuple[OnnxValue, ...]
    outputs: tuple[OnnxValue, ...]
    opsets: Mapping[str, int]

    @property
    def opset(self) -> int:
        """Version of ONNX's own operators."""
        return self.opsets.get("", 1)

    @cached_property
    def producer(self) -> Mapping[str, OnnxNode]:
        """The node that makes a tensor, by the tensor's name."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[OnnxNode, ...]]:
        """The nodes that read a tensor, once per operand, by the tensor's name."""
        found: dict[str, list[OnnxNode]] = {}
        for node in self.nodes:
            for name in node.inputs:
                found.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    def is_constant(self, node: OnnxNode, position: int) -> bool:
        """Whether an operand is given and known without running anything."""
        return node.has_input(position) and node.inputs[position] in self.constants

    def constant(self, node: OnnxNode, position: int, what: str) -> AnyArray:
        """A constant operand as stored.

        Raises:
            UnsupportedError: it is computed from the network's input.
            ModelError: it is not given.
        """
        if not node.has_input(position):
            raise ModelError(f"the {what} is missing", where=node.where())
        value = self.constants.get(node.inputs[position])
        if value is None:
            raise UnsupportedError(
                f"the {what} is not a constant",
                where=node.where(f"operand '{node.inputs[position]}'"),
                found="a tensor computed from the input",
                remedy="only one operand may be data; export the model in inference mode",
            )
        return value

    def reals(self, node: OnnxNode, position: int, what: str) -> RealArray:
        """A constant operand as float64; NaN and infinity are refused."""
        values = np.asarray(self.constant(node, position, what), np.float64)
        bad = int(np.count_nonzero(~np.isfinite(values)))
        if bad or not values.size:
            raise ModelError(
                f"the {what} must be finite numbers",
                where=node.where(f"operand '{node.inputs[position]}'"),
                found=f"{bad} of {values.size} values are NaN or infinite",
                remedy="repair the checkpoint; a diverged training run is the usual cause",
            )
        return values

    def integers(self, node: OnnxNode, position: int, what: str) -> Shape:
        """A constant operand as a tuple of at most 64 integers."""
        values = self.constant(node, position, what)
        if values.dtype.kind not in "iu" or values.ndim > 1 or values.size > 64:
            raise ModelError(
                f"the {what} is a short list of integers",
                where=node.where(f"operand '{node.inputs[position]}'"),
                found=f"{values.dtype} {values.shape}",
            )
        return tuple(int(v) for v in values.reshape(-1))
