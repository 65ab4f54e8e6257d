"""An ONNX file to an ``OnnxGraph``: checked, constants folded, nothing executed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx.fold import fold, shape_constant
from snnc.compiler.frontends.onnx.graph import Attribute, OnnxGraph, OnnxNode, OnnxValue
from snnc.compiler.frontends.onnx.model_file import (
    ModelFile,
    declared_shape,
    inferred_shapes,
    open_model,
)
from snnc.compiler.frontends.onnx.tensors import type_name
from snnc.ir.arrays import AnyArray
from snnc.ir.errors import ModelError, UnsupportedError

# AttributeProto.type: FLOAT, INT, STRING, TENSOR and the lists of the first three.
_FLOAT, _INT, _STRING, _TENSOR, _FLOATS, _INTS, _STRINGS = 1, 2, 3, 4, 6, 7, 8


def read_file(path: Path) -> OnnxGraph:
    """Read a file.

    Raises:
        ModelFileError, ModelError, UnsupportedError, MissingPackageError: as ``open_model``.
    """
    model = open_model(Path(path))
    nodes = _named(model)
    nodes, constants = _folded(model, nodes)
    outputs = tuple(_value(model.name, v) for v in model.proto.graph.output)
    live, constants = _live(nodes, constants, outputs)
    by_name = {v.name: v for v in model.proto.graph.input}
    return OnnxGraph(
        file=model.name,
        nodes=live,
        constants=constants,
        inputs=tuple(_value(model.name, by_name[n]) for n in model.inputs if n in by_name),
        outputs=outputs,
        opsets={_domain(o.domain): int(o.version) for o in model.proto.opset_import},
    )


def _domain(stored: str) -> str:
    return "" if stored == "ai.onnx" else stored


def _named(model: ModelFile) -> list[OnnxNode]:
    """The nodes with unique names and decoded attributes."""
    taken: set[str] = set()
    nodes = []
    for position, proto in enumerate(model.proto.graph.node):
        first = next((name for name in proto.output if name), "")
        name = base = proto.name or first or f"{proto.op_type}_{position}"
        while name in taken:
            name = f"{base}.{position}"
            base = name
        taken.add(name)
        where = f"{model.name}: node '{name}' ({proto.op_type})"
        attributes = {a.name: _attribute(model, a, where) for a in proto.attribute}
        ends = tuple(proto.input), tuple(proto.output)
        nodes.append(
            OnnxNode(model.name, name, _domain(proto.domain), proto.op_type, *ends, attributes)
        )
    return nodes


def _attribute(model: ModelFile, proto: Any, where: str) -> Attribute:
    where = f"{where}, attribute '{proto.name}'"
    if proto.type == _TENSOR:
        return model.tensors.array(proto.t, where)
    if proto.type == _FLOAT:
        return float(proto.f)
    if proto.type == _INT:
        return int(proto.i)
    if proto.type == _FLOATS:
        return tuple(float(v) for v in proto.floats)
    if proto.type == _INTS:
        return tuple(int(v) for v in proto.ints)
    try:
        if proto.type == _STRING:
            return str(proto.s, "utf-8")
        if proto.type == _STRINGS:
            return tuple(str(s, "utf-8") for s in proto.strings)
    except UnicodeDecodeError as error:
        raise ModelError("a text that is not UTF-8", where=where) from error
    raise UnsupportedError(
        "an attribute of an unknown type", where=where, found=f"type {proto.type}"
    )


def _value(file: str, proto: Any) -> OnnxValue:
    """A graph input or output; a symbolic batch becomes 1."""
    if not proto.type.HasField("tensor_type"):
        raise UnsupportedError(
            "an input or output that is not a tensor",
            where=f"{file}: '{proto.name}'",
            found=proto.type.WhichOneof("value") or "no type",
        )
    shape = declared_shape(proto)
    if shape and shape[0] is None:
        shape = (1, *shape[1:])
    return OnnxValue(proto.name, shape, type_name(proto.type.tensor_type.elem_type))


def _folded(model: ModelFile, nodes: list[OnnxNode]) -> tuple[list[OnnxNode], dict[str, AnyArray]]:
    """Replace what is computed from constants, or from shapes, by arrays."""
    constants: dict[str, AnyArray] = dict(model.weights)
    shapes: Mapping[str, tuple[int | None, ...]] = {}
    if any(node.op in ("Shape", "Size") and not node.domain for node in nodes):
        shapes = {name: (1, *shape[1:]) if shape and shape[0] is None else shape
                  for name, shape in inferred_shapes(model).items()}  # fmt: skip
    left = []
    for node in nodes:
        value = _shape_value(node, shapes)
        if value is None and all(name in constants or not name for name in node.inputs):
            value = fold(node, [constants.get(name) if name else None for name in node.inputs])
        if value is None:
            left.append(node)
        else:
            if value.flags.writeable:
                value.flags.writeable = False
            constants[node.outputs[0]] = value
    return left, constants


def _shape_value(node: OnnxNode, shapes: Mapping[str, tuple[int | None, ...]]) -> AnyArray | None:
    if node.op not in ("Shape", "Size") or node.domain or not node.inputs:
        return None
    known = [extent for extent in shapes.get(node.inputs[0], (None,)) if extent is not None]
    if node.inputs[0] not in shapes or len(known) != len(shapes[node.inputs[0]]):
        return None
    return np.asarray(shape_constant(node, tuple(known)))


def _live(
    nodes: list[OnnxNode], constants: dict[str, AnyArray], outputs: tuple[OnnxValue, ...]
) -> tuple[tuple[OnnxNode, ...], dict[str, AnyArray]]:
    """What the outputs depend on."""
    wanted = {value.name for value in outputs}
    kept: list[OnnxNode] = []
    for node in reversed(nodes):
        if wanted & set(node.outputs):
            kept.append(node)
            wanted |= set(node.inputs)
    read = set(_read(kept)) | {value.name for value in outputs}
    return tuple(reversed(kept)), {name: v for name, v in constants.items() if name in read}


def _read(nodes: list[OnnxNode]) -> Iterator[str]:
    for node in nodes:
        yield from node.inputs
