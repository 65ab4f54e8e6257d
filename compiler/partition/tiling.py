"""Ways to cut one population into clusters: channel blocks x spatial tiles, or plain blocks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from snnc.compiler.partition.kernels import with_kernels
from snnc.compiler.partition.limits import Counts
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.shared_fanin import SharedFanin
from snnc.compiler.partition.tally import Pieces, cut
from snnc.compiler.partition.wiring import AnyFanin, Wiring
from snnc.ir.arrays import IntArray, Shape, size_of, sorted_unique

SPARE_CANDIDATES = 4
MOST_MEASURED = 40
PORTION = 4_000_000
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
        reach: [sources] number of clusters each source id has an axon in, from source id
            ``reach_start`` on; beyond its end, none.
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
    reach_start: int = 0

    def reach_of(self, first: int, end: int) -> IntArray:
        """[end - first] clusters that the sources of this range have an axon in."""
        low, high = self.reach_start, self.reach_start + self.reach.size
        if low <= first and end <= high:
            return self.reach[first - low : end - low]
        result = np.zeros(end - first, np.int64)
        if first < high and low < end:
            part = slice(max(first, low) - first, min(end, high) - first)
            result[part] = self.reach[max(first, low) - low : min(end, high) - low]
        return result


def measure(
    meter: Meter, population: int, blocks: Shape, label: IntArray, method: str = "tiles"
) -> Tiling:
    """Measure one labelling exactly, with the slot order that makes its rows cheapest."""
    clusters = int(label.max(initial=0)) + 1
    fanin = meter.wiring.fanin[population]
    ranks = slot_ranks(meter, population)
    cuts = cut(fanin, label, clusters, ranks)
    pieces, *others = with_kernels(meter, population, label, clusters, cuts)
    counts, rank = meter.count(population, label, clusters, pieces), ranks[0]
    for other, its_rank in zip(others, ranks[1:], strict=True):
        trial = meter.recount(population, counts, other)
        if meter.memory(trial) < meter.memory(counts):
            counts, pieces, rank = trial, other, its_rank
    start, reach = _reach(meter.wiring, fanin, pieces)
    return Tiling(population, blocks, label, rank, clusters, counts, pieces, reach, method, start)


def _reach(wiring: Wiring, fanin: AnyFanin, pieces: Pieces) -> tuple[int, IntArray]:
    """(first source id, [sources] clusters each one from there on has an axon in)."""
    if isinstance(fanin, SharedFanin):
        return _shared_reach(wiring, fanin, pieces)
    source = fanin.source[pieces.axon]
    once = wiring.signs == 1 and not _delays_differ(fanin.delay)
    pairs = source if once else _unique_pairs(source, pieces.cluster)
    return 0, wiring.axons * np.bincount(pairs, minlength=wiring.sources.total)


def _shared_reach(wiring: Wiring, fanin: SharedFanin, pieces: Pieces) -> tuple[int, IntArray]:
    """Only for the sources from the first to the last one that is heard."""
    if not fanin.axons:
        return 0, np.zeros(0, np.int32)
    start = int(fanin.source.min())
    heard = np.bincount(fanin.source - start)
    if heard.max() == 1:
        by_group = np.bincount(pieces.axon, minlength=fanin.groups.size.size)
        reach = np.zeros(heard.size, np.int64)
        reach[fanin.source - start] = by_group[fanin.groups.of]
    else:  # a source with several axons, that count once at a cluster they all reach
        reach = np.zeros(heard.size, np.int64)
        for part in _portions(pieces):
            axon, piece = fanin.members(pieces.axon[part])
            source = _unique_pairs(fanin.source[axon] - start, pieces.cluster[part][piece])
            reach += np.bincount(source, minlength=heard.size)
    reach *= wiring.axons[start : start + heard.size]
    return start, reach.astype(np.int32)


def _portions(pieces: Pieces) -> Iterator[slice]:
    """Slices of whole clusters with some ``PORTION`` axons each."""
    assert pieces.times is not None
    ends = np.flatnonzero(np.diff(pieces.cluster)) + 1
    total = np.cumsum(pieces.times)
    begin = 0
    while begin < total.size:
        least = np.searchsorted(total, (total[begin - 1] if begin else 0) + PORTION)
        later = np.searchsorted(ends, max(int(least), begin + 1))
        end = int(ends[later]) if later < ends.size else total.size
        yield slice(begin, end)
        begin = end


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
    return sorted_unique(source.astype(np.int64) * width + cluster) // width


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
    sums = BlockSums.of(meter, population)
    for blocks in _orderly(shape, least):
        clusters = size_of(blocks)
        if found and (clusters > 2 * found[0].clusters or len(found) > SPARE_CANDIDATES):
            break
        if measured >= MOST_MEASURED:
            break
        if measured and clusters < SAVING * leanest:
            continue
        if sums.hopeless(blocks):
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


@dataclass(frozen=True, eq=False)
class BlockSums:
    """Synapses of any blocks of a population in no time: its fan-ins, summed from the origin."""

    meter: Meter
    population: int
    total: IntArray

    @staticmethod
    def of(meter: Meter, population: int) -> BlockSums:
        """The sums of a population."""
        shape = meter.wiring.populations[population].shape or (1,)
        here = slice(meter.first[population], meter.first[population + 1])
        total = np.zeros(tuple(extent + 1 for extent in shape), np.int64)
        total[(slice(1, None),) * len(shape)] = meter.fan_in[here].reshape(shape)
        for axis in range(len(shape)):
            np.cumsum(total, axis=axis, out=total)
        return BlockSums(meter, population, total)

    def hopeless(self, blocks: Shape) -> bool:
        """Some of the blocks break a limit of neurons or synapses, whatever else they need.

        True only where ``Meter.hopeless`` is; that looks at more.
        """
        synapses, neurons = self.total, np.ones(1, np.int64)
        for axis, count in enumerate(blocks):
            extent = synapses.shape[axis] - 1
            border = -(-np.arange(count + 1) * extent // count)  # as ``block_label`` cuts
            synapses = np.diff(np.take(synapses, border, axis=axis), axis=axis)
            neurons = np.multiply.outer(neurons, np.diff(border)).reshape(-1)
        return self.meter.too_large(self.population, neurons, synapses.reshape(-1))


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
