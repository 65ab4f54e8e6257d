"""Hypergraph partitioning: neurons into blocks of limited size with the fewest packets between.

``divide`` is the one entrance.  Engines: "own" (``multilevel``) and "mtkahypar".
"""

from __future__ import annotations

from typing import Literal

from snnc.compiler.hypergraph import mtkahypar, multilevel
from snnc.compiler.hypergraph.model import Hypergraph, connectivity, km1
from snnc.compiler.hypergraph.multilevel import induced
from snnc.ir.arrays import IntArray
from snnc.ir.errors import CapacityError

__all__ = ["Engine", "Hypergraph", "connectivity", "divide", "induced", "km1"]

Engine = Literal["own", "mtkahypar"]


def divide(
    graph: Hypergraph, blocks: int, capacity: int, seed: int = 0, engine: Engine = "own"
) -> IntArray:
    """[vertices] block of every vertex, 0 .. blocks - 1; some may stay empty.

    Blocks weigh at most ``capacity`` where the engine's moves achieve it: who needs that must
    look, since packing weights of different sizes is hard in itself.

    Raises:
        CapacityError: no division can do: too much weight in all, or in one vertex.
        MissingPackageError: the engine is not installed.
    """
    total, largest = int(graph.vertex_weight.sum()), int(graph.vertex_weight.max(initial=0))
    if largest > capacity or total > blocks * capacity:
        single = largest > capacity
        raise CapacityError(
            "a vertex is heavier than a block" if single else "the blocks are too small",
            where=f"{graph.vertices} vertices in {blocks} blocks",
            found=f"weight {largest if single else total}",
            allowed=f"{capacity if single else blocks * capacity}",
            remedy=f"blocks of {largest}" if single else f"{-(-total // capacity)} blocks",
        )
    if engine == "mtkahypar":
        return mtkahypar.cut(graph, blocks, capacity, seed)
    return multilevel.cut(graph, blocks, capacity, seed)
