"""Refinement of k blocks at once: every vertex to the block where it saves most packets."""

from __future__ import annotations

import numpy as np

from snnc.compiler.hypergraph.model import Hypergraph
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import lean_kernel

SWEEPS = 12


@lean_kernel
def _register(
    net_ptr: IntArray, pin: IntArray, block: IntArray, blocks: IntArray, pins: IntArray,
    spread: IntArray,
) -> None:  # fmt: skip
    """List the blocks every net touches, with the pins it has there."""
    for e in range(net_ptr.size - 1):
        first, n = net_ptr[e], 0
        for k in range(first, net_ptr[e + 1]):
            b = block[pin[k]]
            j = 0
            while j < n and blocks[first + j] != b:
                j += 1
            if j == n:
                blocks[first + n] = b
                pins[first + n] = 0
                n += 1
            pins[first + j] += 1
        spread[e] = n


@lean_kernel
def _sweep(
    net_ptr: IntArray, net_weight: RealArray, vertex_ptr: IntArray, vertex_net: IntArray,
    vertex_weight: IntArray, order: IntArray, block: IntArray, load: IntArray, capacity: int,
    blocks: IntArray, pins: IntArray, spread: IntArray, near: RealArray, touched: IntArray,
) -> float:  # fmt: skip
    """Move every vertex to its best block with room; returns what that saved.

    A vertex of an overfull block moves in any case.  Equal gains go to the emptier block.
    ``near`` [blocks] is zero.
    """
    saved = 0.0
    for position in range(order.size):
        v = order[position]
        here, w = block[v], vertex_weight[v]
        stay, total, count = 0.0, 0.0, 0
        for j in range(vertex_ptr[v], vertex_ptr[v + 1]):
            e = vertex_net[j]
            rate, first = net_weight[e], net_ptr[e]
            if rate == 0.0:  # it would leave ``near`` at zero, and so be listed again and again
                continue
            total += rate
            for k in range(first, first + spread[e]):
                b = blocks[k]
                if b == here:
                    if pins[k] > 1:
                        stay += rate
                else:
                    if near[b] == 0.0:
                        touched[count] = b
                        count += 1
                    near[b] += rate
        over = load[here] > capacity
        best, chosen = -1.0, -1
        for k in range(count):
            b = touched[k]
            if load[b] + w <= capacity and (
                near[b] > best or (near[b] == best and load[b] < load[chosen])
            ):
                best, chosen = near[b], b
        for k in range(count):
            near[touched[k]] = 0.0
        if over and chosen < 0:
            for b in range(load.size):
                if load[b] + w <= capacity and (chosen < 0 or load[b] < load[chosen]):
                    best, chosen = 0.0, b
        if chosen < 0:
            continue
        even = best == stay and load[chosen] + w < load[here]
        if not (over or best > stay + 1e-9 or even):
            continue
        saved += best - stay
        block[v] = chosen
        load[here] -= w
        load[chosen] += w
        for j in range(vertex_ptr[v], vertex_ptr[v + 1]):
            e = vertex_net[j]
            first, n = net_ptr[e], spread[e]
            k = first
            while blocks[k] != here:
                k += 1
            pins[k] -= 1
            if pins[k] == 0:
                n -= 1
                blocks[k] = blocks[first + n]
                pins[k] = pins[first + n]
            k = first
            while k < first + n and blocks[k] != chosen:
                k += 1
            if k == first + n:
                blocks[k] = chosen
                pins[k] = 0
                n += 1
            pins[k] += 1
            spread[e] = n
    return saved


def refine(
    graph: Hypergraph, block: IntArray, count: int, capacity: int, rng: np.random.Generator,
    sweeps: int = SWEEPS,
) -> None:  # fmt: skip
    """Move vertices between blocks, in place, while that saves packets."""
    load = np.zeros(count, np.int64)
    np.add.at(load, block, graph.vertex_weight)
    blocks, pins = np.empty(graph.pin.size, np.int32), np.empty(graph.pin.size, np.int32)
    spread = np.zeros(graph.nets, np.int64)
    _register(graph.net_ptr, graph.pin, block, blocks, pins, spread)
    ptr, net = graph.by_vertex
    near, touched = np.zeros(count), np.empty(count, np.int64)
    worth = 1e-4 * float(graph.net_weight @ np.maximum(spread - 1, 0))
    for _ in range(sweeps):
        saved = _sweep(
            graph.net_ptr, graph.net_weight, ptr, net, graph.vertex_weight,
            rng.permutation(graph.vertices), block, load, capacity, blocks, pins, spread,
            near, touched,
        )  # fmt: skip
        if saved <= worth and not (load > capacity).any():
            break
