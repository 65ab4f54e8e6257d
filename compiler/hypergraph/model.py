"""Hypergraphs of traffic: a vertex is a neuron, a net is a sender with all that listen to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import lean_kernel


@dataclass(frozen=True, eq=False)
class Hypergraph:
    """A weighted hypergraph as flat arrays.

    Attributes:
        net_ptr: [nets + 1] slice of ``pin`` per net.
        pin: [pins] vertices of the nets, each at most once per net.
        net_weight: [nets] packets per sample.
        vertex_weight: [vertices] share of a block's capacity, positive.
    """

    net_ptr: IntArray
    pin: IntArray
    net_weight: RealArray
    vertex_weight: IntArray

    @property
    def nets(self) -> int:
        """Number of nets."""
        return int(self.net_weight.size)

    @property
    def vertices(self) -> int:
        """Number of vertices."""
        return int(self.vertex_weight.size)

    @cached_property
    def by_vertex(self) -> tuple[IntArray, IntArray]:
        """([vertices + 1] slices, [pins] nets) of every vertex."""
        ptr = np.zeros(self.vertices + 1, np.int64)
        ptr[1:] = np.cumsum(np.bincount(self.pin, minlength=self.vertices))
        net = np.empty(self.pin.size, np.int32)
        _transpose(self.net_ptr, self.pin, ptr[:-1].copy(), net)
        return ptr, net


@lean_kernel
def _transpose(net_ptr: IntArray, pin: IntArray, cursor: IntArray, net: IntArray) -> None:
    for e in range(net_ptr.size - 1):
        for k in range(net_ptr[e], net_ptr[e + 1]):
            v = pin[k]
            net[cursor[v]] = e
            cursor[v] += 1


@lean_kernel
def _spread(
    net_ptr: IntArray, pin: IntArray, block: IntArray, seen: IntArray, out: IntArray
) -> None:
    """Blocks each net touches; ``seen`` [blocks] begins at -1."""
    for e in range(net_ptr.size - 1):
        for k in range(net_ptr[e], net_ptr[e + 1]):
            b = block[pin[k]]
            if seen[b] != e:
                seen[b] = e
                out[e] += 1


def connectivity(graph: Hypergraph, block: IntArray) -> IntArray:
    """[nets] number of blocks each net touches (the literature's lambda)."""
    seen = np.full(int(block.max(initial=0)) + 1, -1, np.int64)
    count = np.zeros(graph.nets, np.int64)
    _spread(graph.net_ptr, graph.pin, block.astype(np.int64), seen, count)
    return count


def km1(graph: Hypergraph, block: IntArray) -> float:
    """Sum over nets of weight x (blocks touched - 1): packets that leave their block."""
    return float(graph.net_weight @ np.maximum(connectivity(graph, block) - 1, 0))
