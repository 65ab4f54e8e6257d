"""Clusters of a population without geometry: blocks of a hypergraph partition, measured exactly."""

from __future__ import annotations

import math

import numpy as np

from snnc.compiler.hypergraph import Engine, Hypergraph, divide, induced
from snnc.compiler.options import Partitioner
from snnc.compiler.partition.alone import alone, fill
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.tiling import Tiling, measure
from snnc.compiler.partition.wiring import written_out
from snnc.ir.arrays import IntArray
from snnc.ir.jit import lean_kernel

ROUNDS = 3
UNIT = 1 << 20
DENSE = 0.5
"""Share of all possible synapses above which neighbours have nothing special in common."""
MOST_PINS = 4_000_000
"""Synapses of a population up to which a partition is tried unasked."""


def worth_trying(meter: Meter, population: int, partitioner: Partitioner, found: int) -> bool:
    """Whether a hypergraph partition of the population should be measured too.

    Args:
        found: clusters of the smallest tiling; 0 without one.
    """
    if partitioner == "tiles" or found == 1:
        return False
    fanin, node = meter.wiring.fanin[population], meter.wiring.populations[population]
    if partitioner != "auto":
        return fanin.synapses > 0
    possible = fanin.axons * node.size
    sparse = fanin.synapses < DENSE * possible
    return len(node.shape) <= 1 and sparse and fanin.synapses <= MOST_PINS


def blocks(meter: Meter, population: int, least: int, seed: int, engine: Engine) -> Tiling | None:
    """A feasible partition with few clusters and little traffic, or None.

    The number of blocks grows until every one fits; the last that do not fit are halved.

    Raises:
        MissingPackageError: the engine is not installed.
    """
    graph, capacity = traffic_graph(meter, population)
    if int(graph.vertex_weight.max()) > capacity:
        return None
    count = max(least, math.ceil(int(graph.vertex_weight.sum()) / capacity))
    for round_ in range(ROUNDS):
        count = min(count, graph.vertices)
        tiling = _measured(meter, population, divide(graph, count, capacity, seed, engine), engine)
        good = meter.limits.fits(tiling.counts)
        if good.all():
            return tiling
        if round_ < ROUNDS - 1:
            count = max(count + 1, math.ceil(count * _overflow(meter, tiling)))
    return _halve(meter, population, graph, tiling, seed, engine)


def traffic_graph(meter: Meter, population: int) -> tuple[Hypergraph, int]:
    """Neurons as vertices and axons as nets, with the sender where it is one of the neurons.

    Returns:
        The hypergraph, and the capacity of a block in its vertex weights.
    """
    wiring, fanin = meter.wiring, written_out(meter.wiring.fanin[population])
    size = wiring.populations[population].size
    sender = fanin.source - wiring.first_neuron - int(meter.first[population])
    sender = np.where((sender >= 0) & (sender < size), sender, -1)
    ptr = np.zeros(fanin.row_ptr.size, np.int64)
    pin = np.empty(fanin.synapses + int((sender >= 0).sum()), np.int32)
    _with_sender(fanin.row_ptr, fanin.target, sender, ptr, pin)
    weight = fill(meter, alone(meter, population))
    capacity = UNIT
    if (weight == weight[0]).all():
        capacity, weight = UNIT // int(weight[0]), np.ones(size, np.int64)
    rate = wiring.rate[fanin.source]
    rate = np.maximum(rate, 1e-6 * float(rate.max(initial=1.0)))  # silent senders take axons too
    return Hypergraph(ptr, pin[: ptr[-1]], rate.astype(np.float64), weight), capacity


@lean_kernel
def _with_sender(
    row_ptr: IntArray, target: IntArray, sender: IntArray, ptr: IntArray, pin: IntArray
) -> None:
    written = 0
    for axon in range(row_ptr.size - 1):
        known = sender[axon] < 0
        for k in range(row_ptr[axon], row_ptr[axon + 1]):
            pin[written] = target[k]
            known |= target[k] == sender[axon]
            written += 1
        if not known:
            pin[written] = sender[axon]
            written += 1
        ptr[axon + 1] = written


def _measured(meter: Meter, population: int, label: IntArray, engine: Engine) -> Tiling:
    """Blocks numbered by their first neuron, empty ones left out."""
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int64)
    rank[np.argsort(first)] = np.arange(first.size)
    label = rank[inverse.reshape(-1)]
    return measure(meter, population, (first.size,), label, engine)


def _overflow(meter: Meter, tiling: Tiling) -> float:
    """By how much the fullest wall is exceeded on average; at least 1."""
    mean = [
        float((meter.limits.use(wall, tiling.counts) / max(wall.capacity, 1)).mean())
        for wall in meter.limits.walls
    ]
    return max([1.0, *mean])


def _halve(
    meter: Meter, population: int, graph: Hypergraph, tiling: Tiling, seed: int, engine: Engine
) -> Tiling | None:
    """Cut blocks that do not fit into halves until all fit."""
    while True:
        bad = np.flatnonzero(~meter.limits.fits(tiling.counts))
        if not bad.size:
            return tiling
        label, count = tiling.label.copy(), tiling.clusters
        for block in bad:
            mine = np.flatnonzero(label == block)
            if mine.size == 1:
                return None
            part = induced(graph, mine)
            total, largest = int(part.vertex_weight.sum()), int(part.vertex_weight.max())
            side = divide(part, 2, max(-(-total * 11 // 20), largest), seed, "own")
            if side.min() == side.max():
                side = np.arange(mine.size) % 2
            label[mine[side == 1]] = count
            count += 1
        tiling = _measured(meter, population, label, engine)
