"""Networks in ONNX: ``read`` tells trained ANNs, quantized networks and spiking steps apart."""

from __future__ import annotations

from pathlib import Path

from snnc.compiler.frontends.onnx import quantized, stateful
from snnc.compiler.frontends.onnx.ann.data import DataSource, no_data
from snnc.compiler.frontends.onnx.graph import OnnxGraph
from snnc.compiler.frontends.onnx.kinds import kind_of
from snnc.compiler.frontends.onnx.options import OnnxOptions
from snnc.compiler.frontends.onnx.read import read_file
from snnc.ir.errors import UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network

__all__ = ["OnnxOptions", "kind_of", "lower", "read", "read_file"]


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
    return lower(read_file(Path(path)), options or OnnxOptions(), data)


def lower(
    graph: OnnxGraph, options: OnnxOptions, data: DataSource = no_data
) -> Network | IntegerNetwork:
    """The second half of ``read``, from the graph."""
    kind = kind_of(graph)
    if kind == "stateful":
        return stateful.lower(graph)
    if kind == "quantized":
        return quantized.lower(graph)
    raise UnsupportedError(
        f"{kind} ONNX files are not read yet",
        where=graph.file,
        remedy="use NIR",
    )
