"""Two halves: greedy growing, then Fiduccia-Mattheyses passes with rollback (DAC 1982)."""

from __future__ import annotations

import numpy as np

from snnc.compiler.hypergraph import heap as heaps
from snnc.compiler.hypergraph.model import Hypergraph
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import inner_kernel, lean_kernel

PASSES = 6
STARTS = 8
PATIENCE = 0.05
"""Share of the vertices (and 100 at least) moved without gain before a pass ends."""


@inner_kernel
def _touch(
    heap: IntArray, place: IntArray, gain: RealArray, size: IntArray, locked: IntArray, u: int,
    change: float, side: IntArray, only: int,
) -> None:  # fmt: skip
    """Change the gain of a vertex; one that was not worth looking at enters the heap."""
    gain[u] += change
    if locked[u]:
        return
    if place[u] >= 0:
        heaps.changed(heap, place, gain, size, u)
    elif only < 0 or side[u] == only:
        heaps.insert(heap, place, gain, size, u)


@inner_kernel
def _move(
    v: int, net_ptr: IntArray, pin: IntArray, net_weight: RealArray, vertex_ptr: IntArray,
    vertex_net: IntArray, side: IntArray, count: IntArray, gain: RealArray, locked: IntArray,
    heap: IntArray, place: IntArray, size: IntArray, only: int,
) -> None:  # fmt: skip
    """Move ``v`` to the other side and update the gains of its neighbours."""
    here = side[v]
    there = 1 - here
    side[v] = there
    gain[v] = -gain[v]
    for j in range(vertex_ptr[v], vertex_ptr[v + 1]):
        e = vertex_net[j]
        w = net_weight[e]
        if w == 0.0:
            continue
        before = count[there, e]
        count[here, e] -= 1
        count[there, e] += 1
        left = count[here, e]
        if before == 0:  # the net becomes cut: nobody cuts it any more
            for k in range(net_ptr[e], net_ptr[e + 1]):
                if pin[k] != v:
                    _touch(heap, place, gain, size, locked, pin[k], w, side, only)
        elif before == 1:  # the one that was alone there is not any more
            for k in range(net_ptr[e], net_ptr[e + 1]):
                if pin[k] != v and side[pin[k]] == there:
                    _touch(heap, place, gain, size, locked, pin[k], -w, side, only)
                    break
        if left == 0:  # the net is whole: everybody else would cut it
            for k in range(net_ptr[e], net_ptr[e + 1]):
                if pin[k] != v:
                    _touch(heap, place, gain, size, locked, pin[k], -w, side, only)
        elif left == 1:  # one is alone here now
            for k in range(net_ptr[e], net_ptr[e + 1]):
                if side[pin[k]] == here:
                    _touch(heap, place, gain, size, locked, pin[k], w, side, only)
                    break


@lean_kernel
def _gains(
    net_ptr: IntArray, pin: IntArray, net_weight: RealArray, side: IntArray, count: IntArray,
    gain: RealArray, border: IntArray,
) -> float:  # fmt: skip
    """Count the pins of every net per side, the gain of every move; returns the cut."""
    cut = 0.0
    for e in range(net_ptr.size - 1):
        count[0, e] = 0
        count[1, e] = 0
        for k in range(net_ptr[e], net_ptr[e + 1]):
            count[side[pin[k]], e] += 1
        w = net_weight[e]
        if count[0, e] > 0 and count[1, e] > 0:
            cut += w
            for k in range(net_ptr[e], net_ptr[e + 1]):
                border[pin[k]] = 1
                if count[side[pin[k]], e] == 1:
                    gain[pin[k]] += w
        elif net_ptr[e + 1] - net_ptr[e] > 1:
            for k in range(net_ptr[e], net_ptr[e + 1]):
                gain[pin[k]] -= w
    return cut


@lean_kernel
def _pass(
    net_ptr: IntArray, pin: IntArray, net_weight: RealArray, vertex_ptr: IntArray,
    vertex_net: IntArray, vertex_weight: IntArray, side: IntArray, count: IntArray,
    gain: RealArray, locked: IntArray, heap: IntArray, place: IntArray, size: IntArray,
    moved: IntArray, load: IntArray, room: IntArray, spare: int, patience: int,
) -> float:  # fmt: skip
    """One pass: the best move again and again, then back to the best moment; returns the gain.

    A side may exceed its room by ``spare`` meanwhile, so that full sides can exchange vertices.
    """
    total, best, best_at, steps = 0.0, 0.0, 0, 0
    over = max(load[0] - room[0], load[1] - room[1])
    best_over = max(over, 0)
    while size[0] > 0 and steps - best_at <= patience:
        v = heap[0]
        heaps.remove(heap, place, gain, size, v)
        here = side[v]
        w = vertex_weight[v]
        if load[1 - here] + w > room[1 - here] + spare and load[here] <= room[here]:
            continue
        locked[v] = 1
        total += gain[v]
        load[here] -= w
        load[1 - here] += w
        _move(
            v, net_ptr, pin, net_weight, vertex_ptr, vertex_net, side, count, gain, locked,
            heap, place, size, -1,
        )  # fmt: skip
        moved[steps] = v
        steps += 1
        over = max(max(load[0] - room[0], load[1] - room[1]), 0)
        if over < best_over or (over == best_over and total > best + 1e-9):
            best, best_at, best_over = total, steps, over
    for step in range(steps - 1, best_at - 1, -1):
        v = moved[step]
        w = vertex_weight[v]
        load[side[v]] -= w
        side[v] = 1 - side[v]
        load[side[v]] += w
    return best


@lean_kernel
def _grow(
    net_ptr: IntArray, pin: IntArray, net_weight: RealArray, vertex_ptr: IntArray,
    vertex_net: IntArray, vertex_weight: IntArray, side: IntArray, count: IntArray,
    gain: RealArray, locked: IntArray, heap: IntArray, place: IntArray, size: IntArray,
    order: IntArray, goal: int, most: int,
) -> None:  # fmt: skip
    """From everything on side 1, grow side 0 until it weighs ``goal``."""
    weight, fresh = 0, 0
    while weight < goal:
        if size[0] > 0:
            v = heap[0]
            heaps.remove(heap, place, gain, size, v)
        else:
            while fresh < order.size and locked[order[fresh]]:
                fresh += 1
            if fresh == order.size:
                break
            v = order[fresh]
        locked[v] = 1
        if side[v] == 0 or weight + vertex_weight[v] > most:
            continue
        weight += vertex_weight[v]
        _move(
            v, net_ptr, pin, net_weight, vertex_ptr, vertex_net, side, count, gain, locked,
            heap, place, size, 1,
        )  # fmt: skip


class _Arrays:
    """Work space of the kernels for one hypergraph."""

    def __init__(self, graph: Hypergraph) -> None:
        n = graph.vertices
        self.graph = graph
        self.count = np.zeros((2, graph.nets), np.int32)
        self.heap, self.place = np.zeros(n, np.int64), np.full(n, -1, np.int64)
        self.moved, self.size = np.zeros(n, np.int64), np.zeros(1, np.int64)

    def graph_of(self) -> tuple[IntArray, IntArray, RealArray, IntArray, IntArray, IntArray]:
        g = self.graph
        return (g.net_ptr, g.pin, g.net_weight, *g.by_vertex, g.vertex_weight)

    def start(self, side: IntArray) -> tuple[float, RealArray, IntArray]:
        """(cut, gain of every move, vertices on the border) of a bisection; an empty heap."""
        g = self.graph
        gain, border = np.zeros(g.vertices), np.zeros(g.vertices, np.int8)
        cut = _gains(g.net_ptr, g.pin, g.net_weight, side, self.count, gain, border)
        self.place[:], self.size[0] = -1, 0
        return cut, gain, border

    def fill(self, gain: RealArray, chosen: IntArray) -> None:
        """Put vertices into the empty heap: falling keys are a heap."""
        order = chosen[np.argsort(-gain[chosen], kind="stable")]
        self.heap[: order.size] = order
        self.place[order] = np.arange(order.size)
        self.size[0] = order.size


def improve(graph: Hypergraph, side: IntArray, room: IntArray, passes: int = PASSES) -> float:
    """Move vertices between two sides, in place, while the cut falls; returns the cut.

    Args:
        side: [vertices] 0 or 1, int8.
        room: [2] largest weight of each side; where exceeded, it is repaired as far as possible.
    """
    arrays = _Arrays(graph)
    patience = max(100, int(PATIENCE * graph.vertices))
    spare = int(graph.vertex_weight.max(initial=0))
    cut = 0.0
    for _ in range(passes):
        cut, gain, border = arrays.start(side)
        load = np.zeros(2, np.int64)
        np.add.at(load, side, graph.vertex_weight)
        over = bool((load > room).any())
        arrays.fill(gain, np.arange(graph.vertices) if over else np.flatnonzero(border))
        better = _pass(
            *arrays.graph_of(), side, arrays.count, gain, np.zeros(graph.vertices, np.int8),
            arrays.heap, arrays.place, arrays.size, arrays.moved, load, room, spare, patience,
        )  # fmt: skip
        cut -= better
        if better <= 1e-9 and not over:
            break
    return cut


def initial(graph: Hypergraph, goal: int, room: IntArray, rng: np.random.Generator) -> IntArray:
    """The best of several bisections grown from random vertices and improved."""
    arrays = _Arrays(graph)
    best: tuple[int, float] | None = None
    chosen = np.ones(graph.vertices, np.int8)
    for _ in range(STARTS):
        side = np.ones(graph.vertices, np.int8)
        _, gain, _ = arrays.start(side)
        _grow(
            *arrays.graph_of(), side, arrays.count, gain, np.zeros(graph.vertices, np.int8),
            arrays.heap, arrays.place, arrays.size, rng.permutation(graph.vertices),
            goal, int(room[0]),
        )  # fmt: skip
        cut = improve(graph, side, room)
        load = np.zeros(2, np.int64)
        np.add.at(load, side, graph.vertex_weight)
        rank = (int(np.maximum(load - room, 0).max()), cut)
        if best is None or rank < best:
            best, chosen = rank, side
    return chosen
