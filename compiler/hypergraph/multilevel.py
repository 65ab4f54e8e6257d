"""The project's own partitioner: multilevel recursive bisection, then k-way V-cycles.

Cut nets are split between the halves, so that the cuts of all bisections add up to km1
(Catalyurek & Aykanat, IEEE TPDS 10(7), 1999).  A V-cycle coarsens within the blocks and refines
all blocks at once on every level on the way back.
"""

from __future__ import annotations

import math

import numpy as np

from snnc.compiler.hypergraph.bisect import improve, initial
from snnc.compiler.hypergraph.coarsen import coarsen
from snnc.compiler.hypergraph.kway import refine
from snnc.compiler.hypergraph.model import Hypergraph, km1
from snnc.ir.arrays import IntArray
from snnc.ir.jit import lean_kernel

COARSEST = 160
V_CYCLES = 6


def cut(graph: Hypergraph, blocks: int, capacity: int, seed: int) -> IntArray:
    """[vertices] block of every vertex; blocks hold ``capacity`` wherever moves achieve it."""
    rng = np.random.default_rng(seed)
    halved: IntArray = np.zeros(graph.vertices, np.int64)
    if blocks == 1:
        return halved
    _recurse(graph, np.arange(graph.vertices), blocks, capacity, 0, halved, rng)
    # Where every net is large, halves look all alike, and the order of the numbers may tell more.
    weight = np.cumsum(graph.vertex_weight) - graph.vertex_weight
    in_order = weight * blocks // int(graph.vertex_weight.sum())
    for block in (halved, in_order):
        refine(graph, block, blocks, capacity, rng)
    best = min((halved, in_order), key=lambda block: _rank(graph, block, capacity))
    for _ in range(V_CYCLES):
        other = _cycle(graph, best.copy(), blocks, capacity, rng)
        if _rank(graph, other, capacity) >= _rank(graph, best, capacity):
            break
        best = other
    return best


def _rank(graph: Hypergraph, block: IntArray, capacity: int) -> tuple[int, float]:
    """Weight beyond the capacity, then packets."""
    load = np.bincount(block, weights=graph.vertex_weight).astype(np.int64)
    return int(np.maximum(load - capacity, 0).sum()), km1(graph, block)


def _cycle(
    graph: Hypergraph, block: IntArray, blocks: int, capacity: int, rng: np.random.Generator
) -> IntArray:
    """Coarsen within blocks, refine level by level."""
    heaviest = max(1, capacity // 8)
    levels, coarsest = coarsen(graph, 8 * blocks, heaviest, rng, block)
    for level in levels:
        coarse = np.zeros(int(level.cluster.max()) + 1, np.int64)
        coarse[level.cluster] = block
        block = coarse
    refine(coarsest, block, blocks, capacity, rng)
    for level in reversed(levels):
        block = block[level.cluster]
        refine(level.graph, block, blocks, capacity, rng)
    return block


def _recurse(
    graph: Hypergraph, members: IntArray, blocks: int, capacity: int, first: int,
    block: IntArray, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Cut a part of the hypergraph into ``blocks`` blocks, numbered from ``first``."""
    if blocks == 1 or graph.vertices <= 1:
        block[members] = first
        return
    half = blocks // 2
    side = _bisect(graph, (half, blocks - half), capacity, rng)
    for number, (count, start) in enumerate(((half, first), (blocks - half, first + half))):
        mine = np.flatnonzero(side == number)
        _recurse(induced(graph, mine), members[mine], count, capacity, start, block, rng)


def _bisect(
    graph: Hypergraph, share: tuple[int, int], capacity: int, rng: np.random.Generator
) -> IntArray:
    """[vertices] side of every vertex, the sides taking so many blocks."""
    total, blocks = int(graph.vertex_weight.sum()), sum(share)
    # What is spare is spread over the levels below, so that the last bisection has room left.
    slack = max(1.0, capacity * blocks / max(total, 1)) ** (
        1 / max(1, math.ceil(math.log2(blocks)))
    )
    goal = np.array([total * s / blocks for s in share])
    room = np.minimum(np.ceil(goal * slack), [capacity * s for s in share]).astype(np.int64)
    room += max(0, total - int(room.sum()))
    heaviest = max(1, int(min(goal)) // 12, total // COARSEST)
    levels, coarsest = coarsen(graph, COARSEST, heaviest, rng)
    side = initial(coarsest, int(goal[0]), room, rng)
    improve(coarsest, side, room)
    for level in reversed(levels):
        side = side[level.cluster]
        improve(level.graph, side, room)
    return side


@lean_kernel
def _restrict(
    net_ptr: IntArray, pin: IntArray, number: IntArray, chosen: IntArray, out_ptr: IntArray,
    out_pin: IntArray,
) -> int:  # fmt: skip
    """Nets with at least two of the chosen vertices; returns how many."""
    nets, written = 0, 0
    for e in range(net_ptr.size - 1):
        start = written
        for k in range(net_ptr[e], net_ptr[e + 1]):
            v = number[pin[k]]
            if v >= 0:
                out_pin[written] = v
                written += 1
        if written - start < 2:
            written = start
        else:
            chosen[nets] = e
            nets += 1
            out_ptr[nets] = written
    return nets


def induced(graph: Hypergraph, vertices: IntArray) -> Hypergraph:
    """The hypergraph on some vertices; nets keep what they have there."""
    number = np.full(graph.vertices, -1, np.int64)
    number[vertices] = np.arange(vertices.size)
    chosen, ptr = np.empty(graph.nets, np.int64), np.zeros(graph.nets + 1, np.int64)
    pin = np.empty(graph.pin.size, np.int32)
    nets = _restrict(graph.net_ptr, graph.pin, number, chosen, ptr, pin)
    return Hypergraph(
        ptr[: nets + 1].copy(), pin[: ptr[nets]].copy(), graph.net_weight[chosen[:nets]],
        graph.vertex_weight[vertices],
    )  # fmt: skip
