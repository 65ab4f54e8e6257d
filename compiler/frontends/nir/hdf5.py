"""Read the HDF5 layout of NIR into a ``RawFile`` without trusting it.

Layout (neuromorphs/NIR 0.2 to 1.0.8): ``/version``, ``/node/type``, ``/node/edges`` [E, 2],
``/node/nodes/<name>/type`` and one dataset per field; nested graphs repeat nodes and edges.
Nothing stored is executed.  Sizes are checked before a byte of a dataset is read, so that a small
file cannot ask for a large memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snnc.compiler.frontends.nir.heap import endless_heap
from snnc.compiler.frontends.nir.record import Edge, RawFile, RawNode
from snnc.ir.arrays import AnyArray
from snnc.ir.errors import ModelError, ModelFileError

MAX_FILE_BYTES = 2**31
MAX_NODES = 50_000
MAX_EDGES = 500_000
MAX_DEPTH = 16
MAX_RANK = 8
MAX_TEXT = 1000
FREE_BYTES = 64 * 2**20
# Deflate reaches 1:1030 at best; a larger ratio is storage that was declared and never written.
MAX_RATIO = 1100


def read_file(path: Path) -> RawFile:
    """Read a file.

    Raises:
        ModelFileError: missing, not HDF5, truncated, not NIR, too large, unexpected contents.
        ModelError: an edge list that is not a list of pairs.
    """
    size = _check_file(path)
    try:
        with h5py.File(path, "r") as root:
            return _Reader(path.name, size).file(root)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        raise ModelFileError(
            "the file is damaged or was not completely written",
            where=str(path),
            found=f"{size} bytes, {str(error)[:200]}",
            remedy="export the model again; an exporter that crashed leaves half a file behind",
        ) from error


def _check_file(path: Path) -> int:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ModelFileError("not a file", where=str(path), allowed="a .nir file")
        with path.open("rb") as stream:
            start = stream.read(16)
    except OSError as error:
        raise ModelFileError(
            "cannot open the file", where=str(path), found=error.strerror
        ) from error
    if size > MAX_FILE_BYTES:
        raise ModelFileError(
            "the file is too large", where=str(path), found=size, allowed=f"{MAX_FILE_BYTES} bytes"
        )
    if not h5py.is_hdf5(str(path)):
        raise ModelFileError(
            "not a NIR file: it is not HDF5",
            where=str(path),
            found=f"{size} bytes that start with {start!r}",
            allowed="a file written by nir.write",
            remedy="a PyTorch checkpoint must be exported first, e.g. snntorch.export_to_nir",
        )
    heap = endless_heap(path)
    if heap is not None:
        raise ModelFileError(
            "the file is damaged: its texts cannot be read",
            where=str(path),
            found=f"endless heap at byte {heap}",
            remedy="copy or export the file again",
        )
    return size


class _Reader:
    """Walks one file under a budget of bytes and nodes."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.budget = min(MAX_FILE_BYTES, FREE_BYTES + MAX_RATIO * size)
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
        )

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
        for name in _names(members, self.name):
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
            for label in _names(group, f"{self.name}: node '{name}'")
            if label not in ("type", "metadata")
        }
        self.nodes[name] = RawNode(self.name, name, kind, fields, depth > 0)

    def edge_list(self, raw: AnyArray | str, prefix: str) -> None:
        """Append the edges of one graph."""
        pairs = np.asarray(raw, object)
        if pairs.size == 0:
            return
        texts = [_text(end) for end in pairs.reshape(-1)]
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

    def member(self, group: Any, name: str, place: str) -> Any:
        """A member that really lies in this file."""
        link = group.get(name, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ModelFileError(
                "links to other places are not followed",
                where=f"{self.name}: {place}",
                found=type(link).__name__,
            )
        return group[name]

    def value(self, group: Any, name: str, place: str) -> AnyArray | str:
        """One dataset as a text or an array of numbers (or of texts, for edges)."""
        data = self.member(group, name, place)
        where = f"{self.name}: {place}"
        if not isinstance(data, h5py.Dataset):
            raise ModelFileError("a dataset is required", where=where, found=type(data).__name__)
        if data.is_virtual or data.external:
            raise ModelFileError("data outside the file are not read", where=where)
        text = h5py.check_string_dtype(data.dtype) is not None
        if (
            data.shape is None
            or len(data.shape) > MAX_RANK
            or (not text and (data.dtype.kind not in "fiub" or data.dtype.itemsize > 8))
        ):
            raise ModelFileError(
                "not a plain array of numbers",
                where=where,
                found=f"{data.dtype} {data.shape}",
                allowed=f"float, integer or text, at most {MAX_RANK} axes",
            )
        self.charge(int(data.size) * int(data.dtype.itemsize), where)
        if not text:
            return np.asarray(data[()])
        return self.texts(data, where)

    def texts(self, data: Any, where: str) -> AnyArray | str:
        """One text, or an array of texts, read in slices: many entries may share one long text."""
        if data.shape == ():
            text = _text(data[()])
            return self.name_text("" if text is None else text, where)
        rows = max(1, FREE_BYTES // max(1, self.size))
        result = np.empty(data.shape, object)
        for first in range(0, data.shape[0], rows):
            part = np.asarray(data[first : first + rows], object)
            for entry in part.reshape(-1):
                self.name_text(_text(entry) or "", where)
            result[first : first + rows] = part
        return result

    def name_text(self, text: str, where: str) -> str:
        """Refuse texts that no node name or type can be."""
        if len(text) > MAX_TEXT:
            raise ModelFileError(
                "a text is too long", where=where, found=len(text), allowed=MAX_TEXT
            )
        return text

    def charge(self, size: int, where: str) -> None:
        """Take ``size`` bytes from the budget."""
        self.budget -= size
        if self.budget < 0:
            raise ModelFileError(
                "the file asks for more memory than it can hold data",
                where=where,
                found=f"{size} bytes declared in a file of {self.size} bytes",
                remedy="if the file is genuine, write it without compression",
            )


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return value if isinstance(value, str) else None


def _names(group: Any, where: str) -> list[str]:
    """Member names in a fixed order; h5py returns undecodable ones as bytes."""
    names = list(group)
    bad = [name for name in names if not isinstance(name, str)]
    if bad:
        raise ModelFileError("a name is not text", where=where, found=bad[0])
    return sorted(names)
