"""Where recurrent loops keep their one step of delay.

NIR is silent: within a loop some edge must be read one step late.  Walking depth-first from the
inputs, an edge back to a node still being visited closes a loop.  "after" delays that edge (behind
the recurrent weights), "before" delays the spikes that enter the weights on its path instead; the
two differ only when the recurrent weights have a bias.
"""

from __future__ import annotations

from collections.abc import Iterator

from snnc.compiler.frontends.nir.graph import Graph, cyclic
from snnc.compiler.frontends.nir.record import Edge
from snnc.compiler.frontends.record import Notes
from snnc.ir.errors import ModelError, UnsupportedError

SPIKING = ("IF", "LIF", "CubaLIF")
GRADED = ("I", "LI", "CubaLI")


def delayed_edges(graph: Graph, cut: frozenset[str], place: str, notes: Notes) -> frozenset[Edge]:
    """Edges that get one step of delay so that no loop is left without.

    Args:
        graph: the cleaned graph.
        cut: names of Delay nodes of at least one step; loops through them need nothing more.
        place: "before" or "after" the recurrent weights.
        notes: receives what was placed differently from ``place``.

    Raises:
        ModelError: a loop without a spiking neuron.
        UnsupportedError: a loop through a neuron that emits real values.
    """
    edges = tuple(edge for edge in graph.edges if edge[0] not in cut)
    _check_loops(graph)
    late: set[Edge] = set()
    back = _back_edges(graph, edges)
    for edge in sorted(back):
        early = _spikes_into(graph, edge, frozenset(back)) if place == "before" else {edge}
        if early is None:
            notes.add("loop delay moved", f"after the weights at {edge[0]} -> {edge[1]}")
        late |= {edge} if early is None else early
    return frozenset(late)


def _check_loops(graph: Graph) -> None:
    """Every loop passes a spiking neuron, and no neuron that emits its potential."""
    graded = [name for name in graph.of_kind(*GRADED) if name in graph.recurrent]
    if graded:
        raise UnsupportedError(
            "a loop that carries real values, not spikes",
            where=graph.nodes[graded[0]].where(),
            found=f"loops through {', '.join(sorted(graph.recurrent)[:12])}",
            allowed="loops of spikes through IF, LIF or CubaLIF",
            remedy="fold the two Affine nodes around it into one recurrent weight matrix",
        )
    silent = tuple(n for n in sorted(graph.nodes) if graph.nodes[n].kind not in SPIKING)
    inside = set(silent)
    edges = tuple(edge for edge in graph.edges if inside.issuperset(edge))
    members = sorted(cyclic(silent, edges))
    if members:
        raise ModelError(
            "a loop in which nothing keeps state",
            where=graph.nodes[members[0]].where(),
            found=f"loop of {', '.join(members[:12])}",
            allowed="loops through IF, LIF or CubaLIF",
        )


def _back_edges(graph: Graph, edges: tuple[Edge, ...]) -> set[Edge]:
    """Edges to a node that is still open in a depth-first walk from the inputs."""
    targets: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in edges:
        targets[source].append(target)
    found: set[Edge] = set()
    done: set[str] = set()
    for start in graph.of_kind("Input") + sorted(graph.nodes):
        if start in done:
            continue
        done.add(start)
        path: list[tuple[str, Iterator[str]]] = [(start, iter(targets[start]))]
        opened = {start}
        while path:
            name, rest = path[-1]
            following = next(rest, None)
            if following is None:
                path.pop()
                opened.discard(name)
            elif following in opened:
                found.add((name, following))
            elif following not in done:
                done.add(following)
                opened.add(following)
                path.append((following, iter(targets[following])))
    return found


def _spikes_into(graph: Graph, edge: Edge, back: frozenset[Edge]) -> set[Edge] | None:
    """The edges of spikes that enter the stateless path ending in ``edge``.

    None when the path is also read by something outside the loop, which must not be delayed.
    """
    result: set[Edge] = set()
    open_edges = [edge]
    while open_edges:
        current = open_edges.pop()
        source = current[0]
        if graph.nodes[source].kind in SPIKING:
            result.add(current)
            continue
        if any((source, target) not in back | {current} for target in graph.consumers[source]):
            return None
        open_edges += [(p, source) for p in graph.producers[source] if p in graph.recurrent]
    return result
