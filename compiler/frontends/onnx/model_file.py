"""Bytes to a checked ``ModelProto``; the only module that imports the ``onnx`` package.

Weights are taken out of the model first, so that the checker, which copies the model to
another library, sees its structure only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snnc.compiler.frontends.onnx.tensors import TensorReader, shape_of
from snnc.ir.arrays import AnyArray
from snnc.ir.errors import MissingPackageError, ModelError, ModelFileError, UnsupportedError

MAX_BYTES = (1 << 31) - 1  # what protobuf can hold
MAX_NODES = 100_000
SMALL = 1024
"""Elements of a constant that may decide a shape, and stays in the model while it is checked."""
OWN_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A checked model without its large weights, and the weights.

    Attributes:
        proto: the ``ModelProto``; weights appear as inputs there.
        weights: initialisers by name.
        inputs: names of the graph's real inputs, in order.
    """

    name: str
    proto: Any
    weights: dict[str, AnyArray]
    inputs: tuple[str, ...]
    tensors: TensorReader


def package() -> Any:
    """The ``onnx`` package.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.shape_inference
    except ImportError as error:
        raise MissingPackageError(
            "reading .onnx files needs the package onnx",
            where="onnx",
            found=str(error),
            remedy="pip install 'snnc[onnx]'",
        ) from error
    return onnx


def open_model(path: Path) -> ModelFile:
    """Read and check a file.

    Raises:
        ModelFileError: missing, not ONNX, truncated, too large, external data out of reach.
        ModelError: not a valid graph.
        UnsupportedError: control flow, functions, sparse or exotic tensors, a newer format.
        MissingPackageError: the ``onnx`` package is not installed.
    """
    onnx = package()
    proto = _parsed(onnx, path)
    tensors = TensorReader(path.name, path.absolute().parent)
    _refuse_structure(path.name, proto)
    given = [v.name for v in proto.graph.input]
    weights = _take_weights(onnx, path.name, proto, tensors)
    inputs = tuple(name for name in given if name not in weights)
    _check(onnx, path.name, proto)
    return ModelFile(path.name, proto, weights, inputs, tensors)


def inferred_shapes(model: ModelFile) -> dict[str, tuple[int | None, ...]]:
    """Shapes of tensors as far as the model declares or implies them."""
    onnx = package()
    try:
        proto = onnx.shape_inference.infer_shapes(model.proto)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError, TypeError):
        proto = model.proto
    graph = proto.graph
    found = {v.name: declared_shape(v) for v in (*graph.value_info, *graph.input, *graph.output)}
    known = {name: shape for name, shape in found.items() if shape is not None}
    return known | {name: values.shape for name, values in model.weights.items()}


def declared_shape(value: Any) -> tuple[int | None, ...] | None:
    """Shape of a ``ValueInfoProto``; None for what is symbolic."""
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    return tuple(
        int(d.dim_value) if d.HasField("dim_value") and d.dim_value > 0 else None
        for d in kind.shape.dim
    )


def _parsed(onnx: Any, path: Path) -> Any:
    from google.protobuf.message import DecodeError

    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelFileError("the model is too large", where=str(path), found=f"{size:,} bytes",
                                 allowed=f"{MAX_BYTES:,} bytes")  # fmt: skip
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(
            "the file cannot be opened", where=str(path), found=error.strerror or str(error)
        ) from error
    try:
        proto = onnx.ModelProto.FromString(data)
    except (DecodeError, ValueError, RecursionError) as error:
        raise ModelFileError(
            "not an ONNX file, truncated, or nested too deeply",
            where=str(path),
            found=str(error)[:200],
        ) from error
    if not proto.HasField("graph") or not proto.graph.node:
        raise ModelFileError("not an ONNX file, or without a graph", where=str(path), found=size)
    if len(proto.graph.node) > MAX_NODES:
        raise ModelFileError("the graph is too large", where=str(path),
                             found=f"{len(proto.graph.node):,} nodes",
                             allowed=f"{MAX_NODES:,}")  # fmt: skip
    if not all(isinstance(text, str) for text in _texts(proto)):  # protobuf gives bytes then
        raise ModelFileError("names that are not UTF-8", where=str(path))
    return proto


def _texts(proto: Any) -> Iterator[Any]:
    """Every name that the reader uses."""
    graph = proto.graph
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    for named in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        yield named.name
    for tensor in graph.initializer:
        for entry in tensor.external_data:
            yield from (entry.key, entry.value)
    yield from (opset.domain for opset in proto.opset_import)
    for function in proto.functions:
        yield from (function.domain, function.name)


def _refuse_structure(file: str, proto: Any) -> None:
    """What no frontend here reads, whatever the operators are."""
    called = {(node.domain, node.op_type) for node in proto.graph.node}
    for function in proto.functions:
        if (function.domain, function.name) in called and function.domain != "snnc":
            raise UnsupportedError(
                "functions defined inside the model",
                where=f"{file}: function '{function.name}'",
                found=f"domain '{function.domain}'",
                remedy="inline them before compiling: onnx.inliner.inline_local_functions",
            )
    if proto.graph.sparse_initializer:
        raise UnsupportedError(
            "sparse initialisers",
            where=f"{file}: '{proto.graph.sparse_initializer[0].values.name}'",
            remedy="store the weights densely; zeros cost nothing once compiled",
        )
    if proto.training_info:
        raise UnsupportedError("a training graph", where=file, remedy="export for inference")
    for node in proto.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                raise UnsupportedError(
                    "control flow: an operator with a graph inside",
                    where=f"{file}: node '{node.name or node.output[0] if node.output else ''}' "
                    f"({node.op_type})",
                    found=f"attribute '{attribute.name}'",
                    remedy="export the layers without If, Loop and Scan; a spiking network in one "
                    "time step, as docs/onnx.md describes",
                )


def _take_weights(onnx: Any, file: str, proto: Any, tensors: TensorReader) -> dict[str, AnyArray]:
    """Remove the initialisers; small ones stay, large ones become inputs of the same shape."""
    graph = proto.graph
    declared = {value.name for value in graph.input}
    found: dict[str, AnyArray] = {}
    small = []
    for tensor in graph.initializer:
        where = _initialiser(file, graph, tensor.name)
        if not tensor.name or tensor.name in found:
            raise ModelError("an initialiser without a name of its own", where=where)
        values = found[tensor.name] = tensors.array(tensor, where)
        if values.size <= SMALL and tensor.data_location == 0:
            small.append(tensor)
        elif tensor.name not in declared:
            value = onnx.helper.make_tensor_value_info(
                tensor.name, tensor.data_type, shape_of(tensor, where)
            )
            graph.input.append(value)
    kept = [type(tensor).FromString(tensor.SerializeToString()) for tensor in small]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return found


def _initialiser(file: str, graph: Any, name: str) -> str:
    """Where an initialiser is, with the first node that reads it."""
    for node in graph.node:
        if name in node.input:
            return f"{file}: node '{node.name}' ({node.op_type}), initialiser '{name}'"
    return f"{file}: initialiser '{name}'"


def _foreign(proto: Any) -> Iterator[str]:
    imported = {o.domain for o in proto.opset_import}
    yield from sorted({n.domain for n in proto.graph.node} - imported - set(OWN_DOMAINS))


def _check(onnx: Any, file: str, proto: Any) -> None:
    """Run ``onnx.checker`` over the structure; operators of other domains are not its business."""
    for domain in _foreign(proto):  # QONNX's exporters forget to import their domain
        proto.opset_import.append(onnx.helper.make_opsetid(domain, 1))
    try:
        onnx.checker.check_model(proto)
    except (onnx.checker.ValidationError, RuntimeError, ValueError, TypeError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise ModelError(
            "onnx.checker refuses the model",
            where=f"{file}: {_context(lines)}".removesuffix(": "),
            found=lines[0][:300] if lines else type(error).__name__,
            remedy="export the model again, with operators of a released ONNX version",
        ) from error


def _context(lines: list[str]) -> str:
    """The node that the checker names, from the last line of what it says."""
    marker = "Name: "
    for line in reversed(lines):
        if marker in line:
            name, _, rest = line.partition(marker)[2].partition(" OpType: ")
            return f"node '{name.strip()}' ({rest.strip()})"
    return ""
