"""A NIR file as plain validated data: what ``hdf5`` produces and everything else reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from snnc.compiler.frontends.record import RawNode

Edge = tuple[str, str]


@dataclass(frozen=True, eq=False)
class RawFile:
    """All nodes and edges of a file, nested graphs flattened to dotted names.

    Attributes:
        name: file name.
        version: the writer's package version, as stored.
        nodes: by full name, without the NIRGraph nodes themselves.
        graphs: names of the nested graphs.
        edges: as stored, with full names, sorted; may contain duplicates and dangling ends.
        metadata: texts stored beside the outermost graph; only those of our own exporter count.
    """

    name: str
    size: int
    version: str
    nodes: Mapping[str, RawNode]
    graphs: frozenset[str]
    edges: tuple[Edge, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
