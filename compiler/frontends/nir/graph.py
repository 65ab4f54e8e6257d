"""From the stored edge list to a clean graph: ports resolved, pass-through terminals removed.

Nested graphs meet the outside in their Input and Output nodes.  Both spellings found in the wild,
a nested NIRGraph and flattened names ``lif1.input``, ``lif1.output``, end up the same here: such
a terminal is an identity, and is bypassed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from snnc.compiler.frontends.nir.record import Edge, RawFile
from snnc.compiler.frontends.record import Notes, RawNode
from snnc.ir.arrays import AnyArray
from snnc.ir.errors import ModelError


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes and edges with every edge having both ends.

    Attributes:
        file: file name, for messages.
        nodes: by name; Input nodes have no producer, Output nodes no consumer.
        edges: sorted; a pair listed twice adds twice (two paths through bypassed terminals).
        bypassed: terminals that became identities, with one node that feeds them.
    """

    file: str
    nodes: Mapping[str, RawNode]
    edges: tuple[Edge, ...]
    bypassed: tuple[tuple[RawNode, str], ...] = ()

    @cached_property
    def producers(self) -> dict[str, tuple[str, ...]]:
        """Who feeds each node."""
        result: dict[str, list[str]] = {name: [] for name in self.nodes}
        for source, target in self.edges:
            result[target].append(source)
        return {name: tuple(sources) for name, sources in result.items()}

    @cached_property
    def consumers(self) -> dict[str, tuple[str, ...]]:
        """Who reads each node."""
        result: dict[str, list[str]] = {name: [] for name in self.nodes}
        for source, target in self.edges:
            result[source].append(target)
        return {name: tuple(targets) for name, targets in result.items()}

    @cached_property
    def recurrent(self) -> frozenset[str]:
        """Nodes on a cycle."""
        return cyclic(tuple(self.nodes), self.edges)

    def of_kind(self, *kinds: str) -> list[str]:
        """Names of the nodes of some kinds, sorted."""
        return sorted(name for name, node in self.nodes.items() if node.kind in kinds)


def clean(raw: RawFile, notes: Notes) -> Graph:
    """Resolve, check and bypass.

    Raises:
        ModelError: dangling edges, nodes that nothing feeds, a graph that computes nothing.
    """
    if not raw.nodes:
        raise ModelError("the graph has no nodes", where=raw.name)
    edges = _resolved(raw, _unique(raw, notes), notes)
    graph = _bypass(Graph(raw.name, raw.nodes, tuple(sorted(edges))))
    _check_ends(graph, notes)
    return graph


def cyclic(names: tuple[str, ...], edges: tuple[Edge, ...]) -> frozenset[str]:
    """Nodes that lie on a cycle (strongly connected components, and self-loops)."""
    labels = components(names, edges)
    sizes = np.bincount(labels, minlength=1)
    big = {name for name, label in zip(names, labels, strict=True) if sizes[label] > 1}
    return frozenset(big | {source for source, target in edges if source == target})


def components(names: tuple[str, ...], edges: tuple[Edge, ...]) -> AnyArray:
    """Strongly connected component of each name."""
    index = {name: i for i, name in enumerate(names)}
    rows = [index[source] for source, _ in edges]
    columns = [index[target] for _, target in edges]
    matrix = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(names),) * 2)
    labels: AnyArray = csgraph.connected_components(matrix, directed=True, connection="strong")[1]
    return labels


def _unique(raw: RawFile, notes: Notes) -> list[Edge]:
    """Drop edges stored twice; nir 1.0.8 refuses them, older versions wrote them."""
    times = Counter(raw.edges)
    for (source, target), count in sorted(times.items()):
        if count > 1:
            notes.add("duplicate edge ignored", f"{source} -> {target}")
    return sorted(times)


def _resolved(raw: RawFile, edges: list[Edge], notes: Notes) -> list[Edge]:
    """Replace the name of a subgraph by its Input or Output node."""
    ports: dict[tuple[str, str], list[str]] = {}
    for name, node in raw.nodes.items():
        if node.kind in ("Input", "Output") and "." in name:
            ports.setdefault((name.rpartition(".")[0], node.kind), []).append(name)

    def end(name: str, kind: str, edge: Edge) -> str:
        if name in raw.nodes:
            return name
        found = ports.get((name, kind), [])
        if len(found) == 1:
            if name not in raw.graphs:
                notes.add("subgraph port", f"{name} read as {found[0]}")
            return found[0]
        raise _dangling(raw, name, kind, edge, found)

    return [(end(s, "Output", (s, t)), end(t, "Input", (s, t))) for s, t in edges]


def _dangling(raw: RawFile, name: str, kind: str, edge: Edge, found: list[str]) -> ModelError:
    place = f"{raw.name}: edge '{edge[0]}' -> '{edge[1]}', field 'edges'"
    if found:
        return ModelError(
            f"the subgraph has several {kind} nodes and the edge does not say which",
            where=place,
            found=name,
            allowed=", ".join(sorted(found)),
        )
    if name in raw.graphs:
        return ModelError(f"the subgraph has no {kind} node to connect to", where=place, found=name)
    near = name.rpartition(".")[0]
    same = [n for n in raw.nodes if n.rpartition(".")[0] == near]
    return ModelError(
        "dangling edge: there is no such node",
        where=place,
        found=f"node '{name}'",
        allowed=", ".join(sorted(same or raw.nodes)[:20]),
        remedy="the exporter renamed a node but not its edges; export again or edit 'edges'",
    )


def _bypass(graph: Graph) -> Graph:
    """Remove Inputs that are fed and Outputs that are read: identities between graphs."""
    producers = {name: list(sources) for name, sources in graph.producers.items()}
    consumers = {name: list(targets) for name, targets in graph.consumers.items()}
    bypassed = []
    for name in sorted(graph.nodes):
        kind = graph.nodes[name].kind
        through = (kind == "Input" and producers[name]) or (kind == "Output" and consumers[name])
        if not through:
            continue
        sources, targets = producers.pop(name), consumers.pop(name)
        if name in sources:
            raise ModelError("a loop in which nothing keeps state", where=graph.nodes[name].where())
        for source in sources:
            consumers[source] = [t for t in consumers[source] if t != name] + targets * (
                consumers[source].count(name)
            )
        for target in targets:
            producers[target] = [s for s in producers[target] if s != name] + sources * (
                producers[target].count(name)
            )
        bypassed.append((graph.nodes[name], sources[0] if sources else name))
    edges = tuple(sorted((s, t) for s, targets in consumers.items() for t in targets))
    nodes = {name: graph.nodes[name] for name in producers}
    return Graph(graph.file, nodes, edges, tuple(bypassed))


def _check_ends(graph: Graph, notes: Notes) -> None:
    """Every node is fed; nodes that nothing reads are reported."""
    has_input = bool(graph.of_kind("Input"))
    has_output = bool(graph.of_kind("Output"))
    for name, node in graph.nodes.items():
        if node.kind == "Input" and node.nested:
            raise ModelError(
                "the Input of a nested graph is not connected",
                where=node.where(),
                remedy="connect the nested graph in the outer 'edges'",
            )
        if (
            not graph.producers[name]
            and node.kind != "Input"
            and (has_input or node.kind == "Output")
        ):
            raise ModelError(
                "disconnected: no edge leads to this node",
                where=node.where(),
                remedy="add the missing edge, or remove the node",
            )
        if not graph.consumers[name] and node.kind != "Output" and has_output:
            notes.add("nothing reads", name)
