"""Coarsening: vertices that share much traffic become one (first-choice clustering).

The rating of two vertices is the sum over common nets e of ``weight(e) / (pins(e) - 1)``
(Karypis & Kumar, "Multilevel k-way hypergraph partitioning", DAC 1999).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.compiler.hypergraph.model import Hypergraph
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import lean_kernel

SAMPLED_PINS = 96
"""Pins looked at per net and vertex: bounds the work on large nets."""
SHRINK = 0.95
"""A level that keeps more than this share of the vertices ends the coarsening."""


@dataclass(frozen=True, eq=False)
class Level:
    """One step down: a hypergraph, and where each of its vertices went."""

    graph: Hypergraph
    cluster: IntArray


@lean_kernel
def _join(
    net_ptr: IntArray,
    pin: IntArray,
    net_weight: RealArray,
    vertex_ptr: IntArray,
    vertex_net: IntArray,
    order: IntArray,
    label: IntArray,
    heaviest: int,
    weight: IntArray,
    leader: IntArray,
    alone: IntArray,
    rating: RealArray,
    touched: IntArray,
) -> None:
    """Let every lone vertex join the neighbour (or its cluster) with the best rating.

    ``leader`` [vertices] begins as the identity, ``weight`` holds the clusters' weights,
    ``alone`` is 1 for vertices not clustered yet, ``rating`` is zero.
    """
    for position in range(order.size):
        v = order[position]
        if alone[v] == 0:
            continue
        count = 0
        for j in range(vertex_ptr[v], vertex_ptr[v + 1]):
            e = vertex_net[j]
            first, size = net_ptr[e], net_ptr[e + 1] - net_ptr[e]
            if size < 2 or net_weight[e] == 0.0:
                continue
            share = net_weight[e] / (size - 1)
            looks = min(size, SAMPLED_PINS)
            start = 0 if looks == size else (v * 7919 + e * 104729) % size
            for k in range(looks):
                u = leader[pin[first + (start + k) % size]]
                if u != v:
                    if rating[u] == 0.0:
                        touched[count] = u
                        count += 1
                    rating[u] += share
        best, chosen = 0.0, -1
        for k in range(count):
            u = touched[k]
            fits = weight[u] + weight[v] <= heaviest and label[u] == label[v]
            if fits and (rating[u] > best or (rating[u] == best and weight[u] < weight[chosen])):
                best, chosen = rating[u], u
            rating[u] = 0.0
        if chosen >= 0:
            leader[v] = chosen
            weight[chosen] += weight[v]
            alone[v] = 0
            alone[chosen] = 0


@lean_kernel
def _contract(
    net_ptr: IntArray, pin: IntArray, cluster: IntArray, code: IntArray, seen: IntArray,
    out_ptr: IntArray, out_pin: IntArray, out_hash: IntArray,
) -> int:  # fmt: skip
    """Nets over clusters without doubles; returns the pins written.  ``seen`` begins at -1."""
    written = 0
    for e in range(net_ptr.size - 1):
        total = 0
        for k in range(net_ptr[e], net_ptr[e + 1]):
            c = cluster[pin[k]]
            if seen[c] != e:
                seen[c] = e
                out_pin[written] = c
                written += 1
                total += code[c]
        out_hash[e] = total
        out_ptr[e + 1] = written
    return written


@lean_kernel
def _keep(
    net_ptr: IntArray, pin: IntArray, chosen: IntArray, out_ptr: IntArray, out_pin: IntArray
) -> None:
    written = 0
    for n in range(chosen.size):
        for k in range(net_ptr[chosen[n]], net_ptr[chosen[n] + 1]):
            out_pin[written] = pin[k]
            written += 1
        out_ptr[n + 1] = written


def contract(graph: Hypergraph, cluster: IntArray, clusters: int) -> Hypergraph:
    """The hypergraph of clusters: nets within one cluster go, equal nets become one.

    Nets count as equal when their sizes and 64-bit sums over random codes agree.
    """
    code = np.random.default_rng(clusters).integers(-(2**62), 2**62, clusters, np.int64)
    ptr = np.zeros(graph.nets + 1, np.int64)
    pin, total = np.empty(graph.pin.size, np.int32), np.empty(graph.nets, np.int64)
    seen = np.full(clusters, -1, np.int64)
    used = _contract(graph.net_ptr, graph.pin, cluster, code, seen, ptr, pin, total)
    size = np.diff(ptr)
    inner = np.flatnonzero(size > 1)
    _, first, group = np.unique(total[inner] ^ size[inner], return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(first.size, np.int64)
    rank[order] = np.arange(first.size)
    chosen = inner[first[order]]
    weight = np.bincount(
        rank[group.reshape(-1)], weights=graph.net_weight[inner], minlength=chosen.size
    ).astype(np.float64)
    kept_ptr = np.zeros(chosen.size + 1, np.int64)
    kept = np.empty(int(size[chosen].sum()), np.int32)
    _keep(ptr, pin[:used], chosen, kept_ptr, kept)
    vertex_weight = np.zeros(clusters, np.int64)
    np.add.at(vertex_weight, cluster, graph.vertex_weight)
    return Hypergraph(kept_ptr, kept, weight, vertex_weight)


def coarsen(
    graph: Hypergraph, vertices: int, heaviest: int, rng: np.random.Generator,
    label: IntArray | None = None,
) -> tuple[list[Level], Hypergraph]:  # fmt: skip
    """Levels from fine to coarse, and the coarsest hypergraph.

    Args:
        vertices: stop at about so many.
        heaviest: largest weight of a coarse vertex.
        label: [vertices] only vertices of equal label are joined.
    """
    levels: list[Level] = []
    mine = np.zeros(graph.vertices, np.int64) if label is None else label.astype(np.int64)
    while graph.vertices > vertices:
        n = graph.vertices
        ptr, net = graph.by_vertex
        leader, alone = np.arange(n), np.ones(n, np.int64)
        _join(
            graph.net_ptr, graph.pin, graph.net_weight, ptr, net, rng.permutation(n), mine,
            heaviest, graph.vertex_weight.copy(), leader, alone, np.zeros(n), np.empty(n, np.int64),
        )  # fmt: skip
        leaders, cluster = np.unique(leader, return_inverse=True)
        if leaders.size > SHRINK * n:
            break
        levels.append(Level(graph, cluster.reshape(-1)))
        mine = mine[leaders]
        graph = contract(graph, levels[-1].cluster, leaders.size)
    return levels, graph
