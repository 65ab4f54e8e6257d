"""Read the HDF5 layout of NIR into a ``RawFile`` without trusting it.

Layout (neuromorphs/NIR 0.2 to 1.0.8): ``/version``, ``/node/type``, ``/node/edges`` [E, 2],
``/node/nodes/<name>/type`` and one dataset per field; nested graphs repeat nodes and edges.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snnc.compiler.frontends.hdf5 import Format, Reader, names, opened, text_of
from snnc.compiler.frontends.nir.record import Edge, RawFile
from snnc.compiler.frontends.record import RawNode
from snnc.ir.arrays import AnyArray
from snnc.ir.errors import ModelError, ModelFileError

MAX_NODES = 50_000
MAX_EDGES = 500_000
MAX_DEPTH = 16
MAX_METADATA = 100
NIR = Format(
    "NIR",
    ".nir",
    "nir.write",
    "a PyTorch checkpoint must be exported first, e.g. snntorch.export_to_nir",
)


def read_file(path: Path) -> RawFile:
    """Read a file.

    Raises:
        ModelFileError: missing, not HDF5, truncated, not NIR, too large, unexpected contents.
        ModelError: an edge list that is not a list of pairs.
    """
    with opened(path, NIR) as (root, size):
        return _Reader(path.name, size).file(root)


class _Reader(Reader):
    """Walks one file under a budget of bytes and nodes."""

    def __init__(self, name: str, size: int) -> None:
        super().__init__(name, size)
        self.nodes: dict[str, RawNode] = {}
        self.graphs: set[str] = set()
        self.edges: list[Edge] = []

    def file(self, root: Any) -> RawFile:
        """The whole file."""
        version = self.value(root, "version", "/version") if "version" in root else "unknown"
        graph = self.member(root, "node", "/node")
        if not isinstance(graph, h5py.Group) or "nodes" not in graph:
            raise ModelFileError(
                "HDF5, but not a NIR graph",
                where=self.name,
                found=f"members {', '.join(map(str, list(root)[:8])) or 'none'}",
                allowed="/node with nodes and edges",
                remedy="was the export interrupted? write the file again",
            )
        self.graph(graph, "", 0)
        return RawFile(
            self.name,
            self.size,
            str(version),
            self.nodes,
            frozenset(self.graphs),
            tuple(sorted(self.edges)),
            self.texts_of(graph),
        )

    def texts_of(self, graph: Any) -> dict[str, str]:
        """The texts among the metadata of a graph; other tools may store anything there."""
        group = self.member(graph, "metadata", "metadata")
        if not isinstance(group, h5py.Group):
            return {}
        found: dict[str, str] = {}
        for name in names(group, self.name)[:MAX_METADATA]:
            data = self.member(group, name, f"metadata/{name}")
            if isinstance(data, h5py.Dataset) and data.shape == ():
                value = self.value(group, name, f"metadata/{name}")
                found |= {name: value} if isinstance(value, str) else {}
        return found

    def graph(self, group: Any, prefix: str, depth: int) -> None:
        """One graph and everything below it."""
        if depth > MAX_DEPTH:
            raise ModelFileError(
                "graphs are nested too deeply", where=f"{self.name}: {prefix}", allowed=MAX_DEPTH
            )
        members = self.member(group, "nodes", prefix or "/node")
        if not isinstance(members, h5py.Group):
            raise ModelFileError(
                "a graph has no nodes", where=f"{self.name}: '{prefix.rstrip('.') or '/node'}'"
            )
        for name in names(members, self.name):
            self.node(self.member(members, name, prefix + name), prefix + name, depth)
        if "edges" in group:
            self.edge_list(self.value(group, "edges", f"{prefix}edges"), prefix)

    def node(self, group: Any, name: str, depth: int) -> None:
        """One node or nested graph."""
        if len(self.nodes) + len(self.graphs) >= MAX_NODES:
            raise ModelFileError("too many nodes", where=self.name, allowed=MAX_NODES)
        if not isinstance(group, h5py.Group) or "type" not in group:
            raise ModelFileError(
                "a node without a type",
                where=f"{self.name}: node '{name}', field 'type'",
                remedy="the export was interrupted or failed; write the file again",
            )
        kind = self.value(group, "type", f"{name}/type")
        if not isinstance(kind, str):
            raise ModelFileError("the type is not a text", where=f"{self.name}: node '{name}'")
        if name in self.nodes or name in self.graphs:
            raise ModelError("two nodes have the same name", where=f"{self.name}: node '{name}'")
        if kind == "NIRGraph":
            self.graphs.add(name)
            self.graph(group, f"{name}.", depth + 1)
            return
        fields = {
            label: self.value(group, label, f"{name}/{label}")
            for label in names(group, f"{self.name}: node '{name}'")
            if label not in ("type", "metadata")
        }
        self.nodes[name] = RawNode(self.name, name, kind, fields, depth > 0)

    def edge_list(self, raw: AnyArray | str, prefix: str) -> None:
        """Append the edges of one graph."""
        pairs = np.asarray(raw, object)
        if pairs.size == 0:
            return
        texts = [text_of(end) for end in pairs.reshape(-1)]
        if pairs.ndim != 2 or pairs.shape[1] != 2 or None in texts:
            raise ModelError(
                "the edge list is not a list of pairs of names",
                where=f"{self.name}: {prefix or '/node/'}edges",
                found=f"shape {pairs.shape}",
                allowed="[edges, 2] texts",
            )
        if len(self.edges) + len(pairs) > MAX_EDGES:
            raise ModelFileError("too many edges", where=self.name, allowed=MAX_EDGES)
        ends = [f"{prefix}{text}" for text in texts]
        self.edges += zip(ends[::2], ends[1::2], strict=True)
