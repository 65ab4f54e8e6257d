"""Where recurrent loops keep their one step of delay.

NIR is silent: within a loop some edge must be read one step late.  Walking depth-first from the
inputs, an edge back to a node still being visited closes a loop.  "after" delays that edge (behind
the recurrent weights), "before" delays the spikes that enter the weights on its path instead; the
two differ only when the recurrent weights have a bias.
"""

from __future__ import annotations

from collections.abc import Iterator

from snnc.compiler.frontends.nir.graph import Graph, components
from snnc.compiler.frontends.nir.record import Edge, Notes
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
    _check_loops(graph, edges)
    late: set[Edge] = set()
    back = _back_edges(graph, edges)
    for edge in sorted(back):
        early = _spikes_into(graph, edge, frozenset(back)) if place == "before" else {edge}
        if early is None:
            notes.add("loop delay moved", f"after the weights at {edge[0]} -> {edge[1]}")
        late |= {edge} if early is None else early
    return frozenset(late)


def _check_loops(graph: Graph, edges: tuple[Edge, ...]) -> None:
    """Each loop has a spiking neuron and no neuron that emits its potential."""
    names = tuple(graph.nodes)
    label = dict(zip(names, components(names, edges), strict=True))
    inside: dict[int, set[str]] = {}
    for source, target in edges:
        if label[source] == label[target]:
            inside.setdefault(int(label[source]), set()).update((source, target))
    for members in inside.values():
        kinds = {name: graph.nodes[name].kind for name in sorted(members)}
        graded = [name for name, kind in kinds.items() if kind in GRADED]
        if graded:
            raise UnsupportedError(
                "a loop that carries real values, not spikes",
                where=graph.nodes[graded[0]].where(),
                found=f"loop of {', '.join(list(kinds)[:12])}",
                allowed="loops of spikes through IF, LIF or CubaLIF",
                remedy="fold the two Affine nodes around it into one recurrent weight matrix",
            )
        if not any(kind in SPIKING for kind in kinds.values()):
            raise ModelError(
                "a loop in which nothing keeps state",
                where=graph.nodes[min(members)].where(),
                found=f"loop of {', '.join(list(kinds)[:12])}",
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
    source = edge[0]
    if graph.nodes[source].kind in SPIKING or source not in graph.recurrent:
        return {edge}
    if any((source, target) not in back | {edge} for target in graph.consumers[source]):
        return None
    result: set[Edge] = set()
    for producer in graph.producers[source]:
        if producer not in graph.recurrent:
            continue
        earlier = _spikes_into(graph, (producer, source), back)
        if earlier is None:
            return None
        result |= earlier
    return result
