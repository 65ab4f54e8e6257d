"""The contents of a file, stored and interpreted, as far as they make sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from snnc.compiler.frontends.nir.build import Builder
from snnc.compiler.frontends.nir.dialect import choose
from snnc.compiler.frontends.nir.graph import Graph, clean
from snnc.compiler.frontends.nir.hdf5 import read_file
from snnc.compiler.frontends.nir.options import NirOptions
from snnc.compiler.frontends.nir.told import completed
from snnc.compiler.frontends.record import Notes, RawNode
from snnc.ir.arrays import AnyArray, Shape, size_of
from snnc.ir.errors import SnncError
from snnc.ir.network import Network
from snnc.ir.real_neuron import RealNeuron

SCHEMA = "snnc-nir-file/1"


def describe(path: Path, options: NirOptions | None = None) -> dict[str, Any]:
    """Everything about a file as JSON values; a model that is refused is shown up to there.

    Keys: ``schema``, ``file``, ``bytes``, ``nir_version``, ``nodes`` (name, type, input and output
    shape, fields with dtype, shape and range), ``edges``, ``assumptions``, ``network`` (totals and
    operators after import, or None) and ``error`` (why the model is refused, or None).

    Raises:
        ModelFileError: there is no readable NIR file to describe.
    """
    raw = read_file(Path(path))
    notes = Notes()
    shape: dict[str, Shape] = {}
    graph: Graph | None = None
    network: Network | None = None
    error: dict[str, str] | None = None
    try:
        options = options or NirOptions()
        graph = clean(raw, notes)
        options = completed(raw, options, notes)
        builder = Builder(graph, choose(graph, options, notes), options.transpose_linear, notes)
        shape = builder.shape
        network = builder.network()
    except SnncError as refusal:
        error = refusal.as_dict()
    return {
        "schema": SCHEMA,
        "file": raw.name,
        "bytes": raw.size,
        "nir_version": raw.version,
        "nodes": [_node(node, graph, shape) for _, node in sorted(raw.nodes.items())],
        "subgraphs": sorted(raw.graphs),
        "edges": [list(edge) for edge in raw.edges],
        "assumptions": dict(notes.values),
        "network": None if network is None else _network(network),
        "error": error,
    }


def _node(node: RawNode, graph: Graph | None, shape: dict[str, Shape]) -> dict[str, Any]:
    known = graph is not None and node.name in graph.nodes
    producers = graph.producers[node.name] if graph is not None and known else ()
    incoming = next((shape[p] for p in producers if p in shape), None)
    return {
        "name": node.name,
        "type": node.kind,
        "input_shape": None if incoming is None else list(incoming),
        "output_shape": list(shape[node.name]) if node.name in shape else None,
        "recurrent": graph is not None and node.name in graph.recurrent,
        "fields": {label: _field(value) for label, value in sorted(node.fields.items())},
    }


def _field(value: AnyArray | str) -> dict[str, Any]:
    """Type, shape and range of a stored dataset; small ones with their values."""
    if isinstance(value, str):
        return {"dtype": "text", "value": value}
    summary: dict[str, Any] = {"dtype": str(value.dtype), "shape": list(value.shape)}
    if value.dtype.kind not in "fiub" or value.size == 0:
        return summary
    finite = value[np.isfinite(value)].astype(np.float64)
    if finite.size:
        summary |= {"min": float(finite.min()), "max": float(finite.max())}
    if finite.size < value.size:
        summary["not_finite"] = int(value.size - finite.size)
    elif value.size <= 4:
        summary["value"] = value.tolist()
    return summary


def _network(network: Network) -> dict[str, Any]:
    """Totals and the operators in execution order."""
    populations = network.of_type(RealNeuron)
    weights = [n.weights.values.size for n in network.nodes if hasattr(n, "weights")]
    return {
        "neurons": sum(size_of(p.shape) for p in populations),
        "weights": int(sum(weights)),
        "operators": [
            {
                "name": node.name,
                "type": type(node).__name__,
                "inputs": list(node.inputs),
                "shape": list(network.shapes[node.name]),
            }
            for node in network.order
        ],
    }
