"""Networks in ONNX: ``read`` tells trained ANNs, quantized networks and spiking steps apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx import ann, quantized, stateful
from snnc.compiler.frontends.onnx.ann.data import DataSource, Samples, no_data
from snnc.compiler.frontends.onnx.graph import OnnxGraph, OnnxNode
from snnc.compiler.frontends.onnx.kinds import kind_of
from snnc.compiler.frontends.onnx.options import OnnxOptions
from snnc.compiler.frontends.onnx.read import read_file
from snnc.compiler.frontends.record import RawNode
from snnc.ir.arrays import AnyArray
from snnc.ir.errors import ModelError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network

__all__ = [
    "DataSource",
    "Lowered",
    "OnnxOptions",
    "Samples",
    "kind_of",
    "lower",
    "no_data",
    "preview",
    "read",
    "read_file",
    "stored",
]


@dataclass(frozen=True, eq=False)
class Lowered:
    """A network, and what converting it cost (JSON values; None where nothing was converted)."""

    network: Network | IntegerNetwork
    conversion: Mapping[str, Any] | None = None


def read(
    path: Path, options: OnnxOptions | None = None, data: DataSource = no_data
) -> Network | IntegerNetwork:
    """Read a ``.onnx`` file.

    Args:
        path: the file; external data lies beside it.
        options: how an ANN becomes spiking.
        data: asked for calibration data once the inputs are known; only ANNs need it.

    Returns:
        A real network for ANNs and spiking steps, an integer network for quantized files.

    Raises:
        ModelFileError: not an ONNX file, truncated, too large, external data out of reach.
        ModelError: a malformed graph.
        UnsupportedError: operators that have no spiking or integer form here.
        InputError: an ANN without calibration data.
        MissingPackageError: the package ``onnx`` is not installed.
    """
    return lower(read_file(Path(path)), options or OnnxOptions(), data).network


def lower(graph: OnnxGraph, options: OnnxOptions, data: DataSource = no_data) -> Lowered:
    """The second half of ``read``, from the graph."""
    try:
        if kind_of(graph) == "ann":
            converted = ann.lower(graph, options, data)
            return Lowered(converted.network, converted.report)
        return Lowered(_other(graph))
    except ModelError as error:
        raise _named(error, graph.file) from error


def preview(graph: OnnxGraph, options: OnnxOptions) -> Network | IntegerNetwork:
    """The network as far as it is known without data; thresholds of an ANN are shown as 1."""
    try:
        return ann.preview(graph, options) if kind_of(graph) == "ann" else _other(graph)
    except ModelError as error:
        raise _named(error, graph.file) from error


def stored(graph: OnnxGraph) -> dict[str, RawNode]:
    """The nodes as the file has them, for people: attributes, constants and producers."""
    return {node.name: _record(graph, node) for node in graph.nodes}


def _record(graph: OnnxGraph, node: OnnxNode) -> RawNode:
    fields: dict[str, AnyArray | str] = {}
    for name, value in node.attributes.items():
        fields[name] = value if isinstance(value, str) else np.asarray(value)
    constants = [name for name in node.inputs if name in graph.constants]
    fields |= {name: graph.constants[name] for name in constants}
    sources = [name for name in node.inputs if name and name not in graph.constants]
    producers = tuple(graph.producer[n].name if n in graph.producer else n for n in sources)
    return RawNode(graph.file, node.name, node.kind, fields, inputs=producers)


def _other(graph: OnnxGraph) -> Network | IntegerNetwork:
    """Quantized networks and spiking steps."""
    return stateful.lower(graph) if kind_of(graph) == "stateful" else quantized.lower(graph)


def _named(error: ModelError, file: str) -> ModelError:
    """The error with the file's name; ``snnc.ir`` does not know files."""
    if file in error.where:
        return error
    return ModelError(
        error.problem,
        where=f"{file}: {error.where}",
        found=error.found,
        allowed=error.allowed,
        remedy=error.remedy,
    )
