"""Ways to cut one population into clusters: channel blocks x spatial tiles, or plain blocks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from snnc.compiler.partition.limits import Counts
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.tally import Pieces, cut
from snnc.ir.arrays import IntArray, Shape, size_of

SPARE_CANDIDATES = 4
MOST_MEASURED = 40
SAVING = 0.8  # no other tiling is expected to need less memory than this share of the leanest


@dataclass(frozen=True, eq=False)
class Tiling:
    """One candidate: a cluster label per neuron of a population, measured.

    Attributes:
        blocks: number of blocks along each axis of the population (one number: plain blocks).
        label: [neurons of the population] cluster.
        rank: [neurons of the population] order of the slots within a cluster.
        clusters: number of clusters.
        counts: every count but the output side, [clusters] each.
        pieces: rows cut at the cluster borders.
        reach: [sources] number of clusters each source id has an axon in.
        method: "tiles", or the hypergraph partitioner the blocks are from.
    """

    population: int
    blocks: Shape
    label: IntArray
    rank: IntArray
    clusters: int
    counts: Counts
    pieces: Pieces
    reach: IntArray
    method: str = "tiles"


def measure(
    meter: Meter, population: int, blocks: Shape, label: IntArray, method: str = "tiles"
) -> Tiling:
    """Measure one labelling exactly, with the slot order that makes its rows cheapest."""
    clusters = int(label.max(initial=0)) + 1
    fanin = meter.wiring.fanin[population]
    ranks = slot_ranks(meter, population)
    pieces, *others = cut(fanin, label, clusters, ranks)
    counts, rank = meter.count(population, label, clusters, pieces), ranks[0]
    for other, its_rank in zip(others, ranks[1:], strict=True):
        trial = meter.recount(population, counts, other)
        if meter.memory(trial) < meter.memory(counts):
            counts, pieces, rank = trial, other, its_rank
    source = fanin.source[pieces.axon]
    once = meter.wiring.signs == 1 and not _delays_differ(fanin.delay)
    pairs = source if once else _unique_pairs(source, pieces.cluster)
    reach = meter.wiring.axons * np.bincount(pairs, minlength=meter.wiring.sources.total)
    return Tiling(population, blocks, label, rank, clusters, counts, pieces, reach, method)


def slot_ranks(meter: Meter, population: int) -> IntArray:
    """[orders, neurons] ways to number the neurons of a cluster.

    A dense row stores everything between its first and last target, so a convolution's rows get
    shorter when channels, and then the shorter spatial axis, run fastest.
    """
    shape = meter.wiring.populations[population].shape
    axes = tuple(range(len(shape)))
    orders = [axes]
    if len(shape) > 1 and meter.dense_rows:
        orders += [(*axes[1:], 0), (*axes[:0:-1], 0)] if len(shape) > 2 else [(1, 0)]
    number = np.arange(size_of(shape)).reshape(shape)
    return np.stack([np.argsort(number.transpose(order).reshape(-1)) for order in orders])


def _delays_differ(delay: IntArray) -> bool:
    return bool(delay.size) and bool((delay != delay[0]).any())


def _unique_pairs(source: IntArray, cluster: IntArray) -> IntArray:
    width = int(cluster.max(initial=0)) + 1
    return np.unique(source * width + cluster) // width


def block_label(shape: Shape, blocks: Shape) -> IntArray:
    """Cluster of every element when each axis is cut into near-equal runs."""
    label = np.zeros(shape, np.int64)
    for axis, (extent, count) in enumerate(zip(shape, blocks, strict=True)):
        index = np.arange(extent) * count // extent
        label = label * count + index.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return label.reshape(-1)


def candidates(meter: Meter, population: int, least: int) -> list[Tiling]:
    """Feasible tilings of a population, fewest clusters first; empty when none was found.

    Args:
        least: number of clusters below which no tiling can be feasible.
    """
    found: list[Tiling] = []
    leanest, measured = np.inf, 0
    shape = meter.wiring.populations[population].shape or (1,)
    for blocks in _orderly(shape, least):
        clusters = size_of(blocks)
        if found and (clusters > 2 * found[0].clusters or len(found) > SPARE_CANDIDATES):
            break
        if measured >= MOST_MEASURED:
            break
        if measured and clusters < SAVING * leanest:
            continue
        label = block_label(shape, blocks)
        if meter.hopeless(population, label, clusters):
            continue
        tiling = measure(meter, population, blocks, label)
        measured += 1
        leanest = min(leanest, meter.memory_clusters(tiling.counts))
        if meter.limits.fits(tiling.counts).all():
            found.append(tiling)
    if not found:
        found = _gallop(meter, population, least)
    return found


def _orderly(shape: Shape, least: int) -> Iterator[Shape]:
    """Block counts per axis by rising number of clusters, then the most cubic tiles."""
    if len(shape) == 1:
        yield from ((n,) for n in range(least, min(shape[0], least + MOST_MEASURED) + 1))
        return
    options = [_useful(extent) for extent in shape]
    products = [b for b in itertools.product(*options) if size_of(b) >= least]
    yield from sorted(products, key=lambda b: (size_of(b), max(b[1:]) - min(b[1:]), b))


def _useful(extent: int) -> tuple[int, ...]:
    """Block counts that give different largest blocks."""
    sizes = {-(-extent // n): n for n in range(extent, 0, -1)}
    return tuple(sorted(sizes.values()))


def _gallop(meter: Meter, population: int, least: int) -> list[Tiling]:
    """Plain contiguous blocks: double their number until they fit, then bisect."""
    size = meter.wiring.populations[population].size

    def attempt(clusters: int) -> Tiling | None:
        tiling = measure(meter, population, (clusters,), block_label((size,), (clusters,)))
        return tiling if meter.limits.fits(tiling.counts).all() else None

    low, high = least - 1, least
    best = attempt(high)
    while best is None and high < size:
        low, high = high, min(size, 2 * high)
        best = attempt(high)
    while best is not None and high - low > 1:
        middle = (low + high) // 2
        trial = attempt(middle)
        low, high, best = (low, middle, trial) if trial else (middle, high, best)
    return [best] if best else []
