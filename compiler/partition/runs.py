"""Clusters of unequal size: neurons in an order, as many on every cluster as just fit.

Equal blocks are as large as the neediest of them allows: at the border of an image, where
neurons have fewer synapses, they leave room, and so does whatever is no whole number of blocks.
A *run* ends where the next neuron would break a limit.  Runs begin anew in every tile of the image,
so that equal tiles are cut alike; what is left over at the end of a tile is a small cluster,
for which the packing finds a core.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from snnc.compiler.partition.limits import Counts
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.share import ROOM, shared_cores
from snnc.compiler.partition.shared_fanin import SharedFanin
from snnc.compiler.partition.tiling import LARGE, Tiling, measure
from snnc.compiler.partition.wiring import AnyFanin
from snnc.ir.arrays import AnyArray, IntArray, RealArray, Shape, size_of
from snnc.ir.jit import lean_kernel

ROUNDS = 4
"""Cuts of one order, each with the costs that the one before was found to have."""
FEW_ROUNDS = 2
HALO_PRICE = 0.005
"""Share of the cores that a doubling of the windows that clusters read is worth."""
KIND_PRICE = 0.001
"""Share of the cores that a doubling of the kinds of runs, of which tables are made, is worth."""
FEW_KINDS = 16
EVEN = 1 << 16


@dataclass(frozen=True)
class Walk:
    """An order of the neurons of (channels, *spatial).

    Blocks of channels, in them tiles, in them positions with the first spatial axis fastest, and
    at every position the channels of the block.  No run goes on from tile to tile; where there is
    but one, runs go on from block to block.
    """

    channels: int
    tile: Shape

    def order(self, shape: Shape) -> tuple[IntArray, IntArray]:
        """([neurons] in order, [tiles + 1] where in it they begin)."""
        channels, spatial = shape[0], shape[1:]
        plane = size_of(spatial)
        places = np.unravel_index(np.arange(plane), spatial) if spatial else ()
        outer = [p // t for p, t in zip(places, self.tile, strict=True)]
        number = np.zeros(plane, np.int64)
        for coarse, extent, t in zip(outer, spatial, self.tile, strict=True):
            number = number * -(-extent // t) + coarse
        position = np.lexsort((*places, number)) if spatial else np.zeros(1, np.int64)
        sizes = np.bincount(number)
        parts, lengths = [], []
        for first in range(0, channels, self.channels):
            some = np.arange(first, min(channels, first + self.channels))
            parts.append(np.add.outer(position, some * plane).reshape(-1))
            lengths.append(sizes * some.size)
        begin = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
        if sizes.size == 1:
            begin = begin[[0, -1]]
        return np.concatenate(parts), begin


@dataclass(frozen=True, eq=False)
class Costs:
    """What neurons take of every limit, as far as that adds up.

    Attributes:
        each: [limits, neurons] share of a core.
    """

    each: RealArray

    @staticmethod
    def of(meter: Meter, population: int) -> Costs:
        """From neurons and synapses alone; rows cost the least they can, kernels nothing."""
        kernels = meter.links(population) is not None
        here = slice(meter.first[population], meter.first[population + 1])
        fan_in = meter.fan_in[here]
        none, one, many = (np.array([n]) for n in (0, 1, EVEN))
        found = []
        for wall in meter.limits.walls:
            if wall.expression is None and not wall.per_axon:
                continue
            if wall.per_axon:
                slope = 0.0, 0.0 if kernels else meter.synapse_cost(wall, population)
            else:
                ends = [
                    float(meter.limits.use(wall, _bare(meter, population, n, s, rows))[0])
                    for n, s, rows in (
                        (none, none, none),
                        (many, none, none),
                        (none, many, many * (not kernels)),
                    )
                ]
                slope = (ends[1] - ends[0]) / EVEN, (ends[2] - ends[0]) / EVEN
            found.append((slope[0] * one + slope[1] * fan_in) / max(wall.capacity, 1))
        return Costs(np.stack(_not_less(found) or [np.zeros(fan_in.size)]))

    def scaled(self, label: IntArray, factor: RealArray) -> Costs:
        """Every neuron of cluster c costs ``factor[c]`` times as much."""
        return Costs(self.each * factor[label])


def _not_less(rows: Sequence[RealArray]) -> list[RealArray]:
    """The limits that are not at every neuron behind another."""
    kept: list[RealArray] = []
    for row in sorted(rows, key=lambda r: -float(r.sum())):
        if not any((row <= other).all() for other in kept) and row.any():
            kept.append(row)
    return kept


def _bare(
    meter: Meter, population: int, neurons: IntArray, synapses: IntArray, in_rows: IntArray
) -> Counts:
    zero = np.zeros(1, np.int64)
    return {
        "n_neurons": neurons,
        "n_compartments": neurons * int(meter.neuron_cost[population]),
        "n_axons_in": zero,
        "n_axons_out": zero,
        "n_synapses": synapses,
        "n_row_synapses": in_rows,
        "n_kernels": zero,
        "n_kernel_weights": zero,
        "max_fan_in": zero,
        "max_targets_per_neuron": zero,
        "weight_bits": zero + meter.bits[population],
        "state_bytes": neurons * meter.limits.target.core.state_bytes,
    }


@dataclass(frozen=True, eq=False)
class Runs:
    """An order cut into runs: clusters are numbered along it."""

    walk: Walk
    order: IntArray
    begin: IntArray
    fill: RealArray
    kinds: int

    @property
    def label(self) -> IntArray:
        """[neurons] cluster."""
        result = np.empty(self.order.size, np.int64)
        length = np.diff(np.append(self.begin, self.order.size))
        result[self.order] = np.repeat(np.arange(length.size), length)
        return result

    def halo(self, shape: Shape) -> float:
        """Positions of all windows of 3 per axis that the clusters read, together."""
        total: RealArray = np.ones(self.begin.size)
        place = self.order % size_of(shape[1:])
        for axis in range(len(shape) - 1, 0, -1):
            x = place % shape[axis]
            place = place // shape[axis]
            total *= np.maximum.reduceat(x, self.begin) - np.minimum.reduceat(x, self.begin) + 3
        return float(total.sum())


def runs(walk: Walk, shape: Shape, costs: Costs) -> Runs:
    """Cut an order: a run ends with its tile, or where one neuron more would be too much."""
    order, tiles = walk.order(shape)
    fresh = np.zeros(order.size, np.bool_)
    fresh[tiles[:-1]] = True
    cost = np.ascontiguousarray(costs.each[:, order])
    held = np.zeros(cost.shape[0])
    _cut(cost, fresh, held)
    begin = np.flatnonzero(fresh)
    fill = np.add.reduceat(cost, begin, axis=1)
    tile = np.searchsorted(tiles, begin, side="right") - 1
    length = np.diff(np.append(begin, order.size))
    kinds = np.unique((begin - tiles[tile]) * (order.size + 1) + length).size
    return Runs(walk, order, begin, fill, kinds)


@lean_kernel
def _cut(cost: RealArray, fresh: AnyArray, held: RealArray) -> None:
    """Mark in ``fresh`` where runs begin; ``held`` [limits] begins at 0."""
    for k in range(fresh.size):
        full = fresh[k]
        for w in range(held.size):
            if held[w] + cost[w, k] > ROOM:
                full = True
        for w in range(held.size):
            held[w] = cost[w, k] + (0.0 if full else held[w])
        fresh[k] = full


def unequal(meter: Meter, population: int, least: int) -> list[Tiling]:
    """Feasible cuts into runs, measured; empty where equal blocks leave nothing to gain.

    Args:
        least: clusters that are needed at least.
    """
    shape = meter.wiring.populations[population].shape or (1,)
    if least <= 1 or size_of(shape) <= least:
        return []
    costs = Costs.of(meter, population)
    large = meter.wiring.fanin[population].synapses >= LARGE
    rounds = FEW_ROUNDS if large else ROUNDS
    blocks = _blocks(meter.wiring.fanin[population], shape)
    walks = [_promising(shape, channels, costs, least) for channels in blocks]
    found = [(_fitted(meter, population, some[0], costs, rounds), some[1:]) for some in walks]
    measured = [(tiling, others) for tiling, others in found if tiling is not None]
    if not measured:
        return []
    _, others = min(measured, key=lambda entry: entry[0].cores)
    more = [] if large else [_fitted(meter, population, w, costs, rounds) for w in others[:1]]
    return [t for t in (*(tiling for tiling, _ in measured), *more) if t is not None]


def _blocks(fanin: AnyFanin, shape: Shape) -> list[int]:
    """Channels that run fastest: all, or one where channels see different inputs."""
    if len(shape) == 1 or shape[0] == 1:
        return [shape[0]]
    together = isinstance(fanin, SharedFanin) and fanin.groups.size.max(initial=1) > 1
    return [shape[0]] if together else [shape[0], 1]


def _promising(shape: Shape, channels: int, costs: Costs, least: int) -> list[Walk]:
    """Tilings of the image, those first that need few cores and read small windows."""
    made = []
    for tile in _tiles(shape, channels, least):
        cut = runs(Walk(channels, tile), shape, costs)
        made.append((cut, shared_cores(cut.fill), cut.halo(shape)))
    smallest = min(halo for _, _, halo in made)

    def price(entry: tuple[Runs, float, float]) -> float:
        cut, cores, halo = entry
        windows = HALO_PRICE * math.log2(halo / smallest)
        kinds = KIND_PRICE * math.log2(max(1.0, cut.kinds / FEW_KINDS))
        return cores * (1 + windows + kinds)

    return [cut.walk for cut, _, _ in sorted(made, key=price)]


def _tiles(shape: Shape, channels: int, least: int) -> Iterator[Shape]:
    """Extents of tiles: the whole image, strips of it, and pieces of strips."""
    spatial = shape[1:]
    yield spatial
    pixels = size_of(shape) / least / channels
    side = max(1, math.ceil(pixels ** (1 / max(1, len(spatial)))))
    options = [
        sorted({min(extent, n) for n in (side, 2 * side, 4 * side)})
        + ([extent] if axis else []) * (4 * side < extent)
        for axis, extent in enumerate(spatial)
    ]
    yield from (t for t in itertools.product(*options) if t != spatial)


def _fitted(meter: Meter, population: int, walk: Walk, costs: Costs, rounds: int) -> Tiling | None:
    """The best cut of an order that measures well, or None.

    What adds up is right at once.  What does not (rows, axons) is what the clusters of the last
    round were found to need, spread over their neurons.
    """
    shape = meter.wiring.populations[population].shape or (1,)
    best: Tiling | None = None
    for _ in range(rounds):
        cut = runs(walk, shape, costs)
        label = cut.label
        tiling = measure(meter, population, (cut.begin.size,), label, "runs")
        if meter.limits.fits(tiling.counts).all():
            if best is None or tiling.cores < best.cores:
                best = tiling
            if not meter.rows_matter and meter.links(population) is None:
                break
        use = meter.limits.usage(tiling.counts)
        need = np.max([use[w.name] / max(w.capacity, 1) for w in meter.limits.walls], axis=0)
        factor = need / np.maximum(cut.fill.max(axis=0), 1e-9)
        factor[need > 1] *= 1.01
        costs = costs.scaled(label, factor)
    return best
