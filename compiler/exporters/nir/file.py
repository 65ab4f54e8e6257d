"""Write a ``RawFile`` in the HDF5 layout of NIR, atomically."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snnc.compiler.frontends.nir.record import RawFile
from snnc.ir.atomic import write_bytes


def write_file(raw: RawFile, path: Path) -> None:
    """Write the file; equal contents give equal bytes.

    Raises:
        OutputError: the path cannot be written.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as root:
        root.create_dataset("version", data=raw.version, dtype=h5py.string_dtype())
        graph = root.create_group("node")
        _store(graph, "type", "NIRGraph")
        edges = np.array(raw.edges, object).reshape(-1, 2)
        graph.create_dataset("edges", data=edges, dtype=h5py.string_dtype())
        nodes = graph.create_group("nodes")
        for name, node in sorted(raw.nodes.items()):
            group = nodes.create_group(name)
            _store(group, "type", node.kind)
            _store_all(group, node.fields)
        if raw.metadata:
            _store_all(graph.create_group("metadata"), raw.metadata)
    write_bytes(path, buffer.getvalue())


def _store_all(group: Any, values: Mapping[str, Any]) -> None:
    for label, value in sorted(values.items()):
        _store(group, label, value)


def _store(group: Any, label: str, value: Any) -> None:
    if isinstance(value, str):
        group.create_dataset(label, data=value, dtype=h5py.string_dtype())
        return
    array = np.asarray(value)
    packing = {"compression": "gzip", "shuffle": True} if array.size > 64 else {}
    group.create_dataset(label, data=array, **packing)
