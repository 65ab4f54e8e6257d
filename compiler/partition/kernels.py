"""Convolutions stored as kernels: what a core stores once, however many axons use it.

A *kernel* is what one input channel adds to one output channel of a population through one
convolution (or a chain that is one).  A core that stores kernels holds one for every pair of
channels with a synapse on the core, whole: rows that end at the border of the image or of the
core's tile are cut by the core's address generator, not in its memory.  Senders that are added up
before the convolution share its kernels.

The axons from one sender with one delay (and sign) are a *family*.  On a core all axons of a
family are stored the same way: as kernels where every projection that they are of is a convolution
and all its kernels, with what a kernel's axons cost, take less than the rows.  Each family is
decided as if it shared kernels with no other.  Without sharing, this is the least memory that any
choice of families has; a family may stay in rows that only pays together with another one.  Finer
choices could only store single channels of a convolution as rows; channels meet the same pixels
with as many taps, so that pays for all of them or for none, unless weights were pruned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from snnc.backends.targets.capacity import delay_bits, index_bits, kernel_cost
from snnc.backends.targets.expression import evaluate
from snnc.compiler.partition.kernel_links import KernelLinks
from snnc.compiler.partition.shared_fanin import SharedFanin
from snnc.compiler.partition.tally import Heard, Pieces, UsedLinks, cut
from snnc.compiler.partition.wiring import Wiring
from snnc.ir.arrays import IntArray

if TYPE_CHECKING:
    from snnc.compiler.partition.limits import Limit
    from snnc.compiler.partition.meter import Meter

BoolArray = npt.NDArray[np.bool_]


def with_kernels(
    meter: Meter, population: int, label: IntArray, clusters: int, pieces: Sequence[Pieces]
) -> list[Pieces]:
    """The same cut in several slot orders, with what is needed to store it as kernels.

    Args:
        pieces: of one population, as ``tally.cut`` makes them.
    """
    links = meter.links(population)
    if links is None:
        return list(pieces)
    family = families(meter.wiring, population)
    heard = _heard(family, links, pieces[0])
    used = (UsedLinks(links, family, *links.used(label, clusters)),)
    return [replace(p, heard=heard, used=used) for p in pieces]


def _heard(family: IntArray, links: KernelLinks, pieces: Pieces) -> Heard:
    """The axons of every piece by family."""
    first, end = links.heard_ptr[pieces.axon], links.heard_ptr[pieces.axon + 1]
    times = end - first
    if (times == 1).all():
        piece, where = np.arange(pieces.axon.size), first
    else:
        piece = np.repeat(np.arange(pieces.axon.size), times)
        where = first[piece] + np.arange(piece.size) - np.repeat(np.cumsum(times) - times, times)
    return Heard(piece, family[links.heard_connection[where]], links.heard_axons[where])


def families(wiring: Wiring, population: int) -> IntArray:
    """[connections of a population] family."""
    fanin = wiring.fanin[population]
    assert isinstance(fanin, SharedFanin)
    first, negative, delay = (
        np.array([getattr(c, name) for c in fanin.connections], np.int64)
        for name in ("first", "negative", "delay")
    )
    return wiring.family(first, negative, delay)


def kernels_together(meter: Meter, clusters: Sequence[tuple[int, int, Pieces]]) -> Pieces | None:
    """The families of one core that holds some clusters, a piece each, with the core's links.

    Args:
        clusters: population, number, and pieces of all clusters of its tiling.
    """
    links: dict[int, list[UsedLinks]] = {}
    parts = []
    for population, number, pieces in clusters:
        if pieces.heard is not None:
            (used,) = pieces.used
            links.setdefault(population, []).append(used.between(number, number + 1))
            cluster, family, synapses = pieces.by_family
            here = slice(*np.searchsorted(cluster, [number, number + 1]))
            parts.append((family[here], synapses[here]))
    if not parts:
        return None
    family, synapses = (np.concatenate(column) for column in zip(*parts, strict=True))
    none: IntArray = np.zeros(family.size, np.int64)
    heard = Heard(np.arange(family.size), family, none + 1)
    used_by_all = tuple(_union(some) for some in links.values())
    return Pieces(none, none, synapses, synapses, none, heard=heard, used=used_by_all)


def _union(parts: list[UsedLinks]) -> UsedLinks:
    """What clusters of one population need on one core."""
    link = np.unique(np.concatenate([part.link for part in parts]))
    return UsedLinks(parts[0].links, parts[0].family, np.zeros_like(link), link)


def heard_by_axon(meter: Meter, axons: Pieces, families: Pieces) -> Pieces:
    """The rows of a core, one piece per axon key, with the core's links."""
    family = meter.wiring.family(*meter.wiring.axon_of(axons.axon))
    heard = Heard(np.arange(family.size), family, np.ones(family.size, np.int64))
    return replace(axons, heard=heard, used=families.used)


def links_of_cores(meter: Meter, core: IntArray, cores: int) -> tuple[UsedLinks, ...]:
    """What whole cores need, given the core of every neuron."""
    result = []
    for population in range(len(meter.wiring.populations)):
        links = meter.links(population)
        if links is not None:
            label = core[meter.first[population] : meter.first[population + 1]]
            family = families(meter.wiring, population)
            result.append(UsedLinks(links, family, *links.used(label, cores)))
    return tuple(result)


def counts_of_cores(meter: Meter, core: IntArray, cores: int) -> dict[str, IntArray]:
    """[cores] ``KERNEL_COUNTS`` of a partition, where no resource is paid per axon.

    Args:
        core: [neurons].
    """
    columns: list[tuple[IntArray, ...]] = [(np.zeros(0, np.int64),) * 3]
    for population, fanin in enumerate(meter.wiring.fanin):
        label = core[meter.first[population] : meter.first[population + 1]]
        order = np.arange(label.size)[None]
        (pieces,) = with_kernels(meter, population, label, cores, cut(fanin, label, cores, order))
        if pieces.heard is not None:
            columns.append(pieces.by_family)
    cluster, family, count = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    heard = Heard(np.arange(family.size), family, np.ones(family.size, np.int64))
    used = links_of_cores(meter, core, cores)
    pieces = Pieces(cluster, family, count, count, cluster, heard=heard, used=used)
    counts: dict[str, IntArray] = {"n_neurons": np.bincount(core, minlength=cores)}
    store(meter, counts, pieces, None)
    return counts


def store(
    meter: Meter, counts: dict[str, IntArray], pieces: Pieces, cost: IntArray | None
) -> BoolArray:
    """Decide which families are stored as kernels, and correct the counts.

    Args:
        counts: gets ``KERNEL_COUNTS`` and the use of the resource paid per axon.
        cost: [pieces] of every row in its cheapest encoding; None where no resource is paid so.

    Returns:
        [entries of ``pieces.heard``] whether these axons are stored as kernels.
    """
    heard = pieces.heard
    assert heard is not None
    clusters = counts["n_neurons"].size
    number = np.full(meter.wiring.families, -1, np.int64)
    present = np.flatnonzero(np.bincount(heard.family, minlength=number.size))
    number[present] = np.arange(present.size)
    table = (clusters, present.size)
    key = pieces.cluster[heard.piece].astype(np.int64) * present.size + number[heard.family]
    axons = _summed(key, heard.axons, table)
    synapses = _summed(key, heard.axons * pieces.count[heard.piece], table)
    rows = synapses if cost is None else _summed(key, heard.axons * cost[heard.piece], table)
    wall = next((wall for wall in meter.limits.walls if wall.per_axon), None)
    price = _Price(meter, wall, counts)
    alone = np.zeros(table, np.int64) if wall is None else axons * price.axons(present)
    barred = np.zeros(table, bool)
    for used in pieces.used:
        every = used.links.kernels(used.cluster, used.link, clusters)
        each = every * price.kernels(used.links.taps)
        for connection, column in enumerate(number[used.family]):
            if column >= 0:
                alone[:, column] += each[:, connection]
                barred[:, column] |= (every[:, connection] > 0) & ~used.links.possible[connection]
    wanted: BoolArray = (axons > 0) & ~barred & (alone < rows)
    total = np.zeros((3, clusters), np.int64)
    for used in pieces.used:
        mine = wanted[:, number[used.family]] & (number[used.family] >= 0)
        kernels = used.links.kernels(used.cluster, used.link, clusters, mine)
        weights = kernels * used.links.taps
        total += [kernels.sum(axis=1), weights.sum(axis=1),
                  (kernels * price.kernels(used.links.taps)).sum(axis=1)]  # fmt: skip
    counts["n_kernels"], counts["n_kernel_weights"], stored = total
    counts["n_row_synapses"] = (synapses * ~wanted).sum(axis=1)
    if wall is not None:
        by_axon = np.where(wanted, axons * price.axons(present), rows)
        counts[wall.name] = stored + by_axon.sum(axis=1)
    result: BoolArray = wanted.reshape(-1)[key]
    return result


class _Price:
    """What kernels and their axons cost of the resource that is paid per axon.

    Without such a resource a kernel costs its weights, and an axon nothing.
    """

    def __init__(self, meter: Meter, wall: Limit | None, counts: dict[str, IntArray]) -> None:
        self._meter, self._wall, self._counts = meter, wall, counts

    def kernels(self, taps: IntArray) -> IntArray:
        """[clusters or 1, kinds] cost of a kernel of so many taps."""
        if self._wall is None:
            return taps[None]
        resource = self._meter.limits.target.core.resources[self._wall.name]
        bits = self._counts["weight_bits"]
        cost = kernel_cost(resource, np.tile(taps, bits.size), np.repeat(bits, taps.size))
        return cost.reshape(bits.size, taps.size)

    def axons(self, family: IntArray) -> IntArray:
        """[clusters, families] cost of an axon that is stored as kernels."""
        assert self._wall is not None
        bits, neurons = self._counts["weight_bits"], self._counts["n_neurons"]
        index = index_bits(self._meter.limits.target, neurons)
        variables = {
            "weight_bits": np.repeat(bits, family.size),
            "index_bits": np.repeat(index, family.size),
            "delay_bits": np.tile(delay_bits(family % self._meter.wiring.delays), bits.size),
        }
        cost = evaluate(self._wall.per_axon["kernel"], variables)
        whole = np.broadcast_to(np.asarray(cost, np.int64), (bits.size * family.size,))
        return whole.reshape(bits.size, family.size)


def _summed(key: IntArray, value: IntArray, table: tuple[int, int]) -> IntArray:
    """[clusters, families] sum of values."""
    flat = np.bincount(key, weights=value, minlength=table[0] * table[1])
    return flat.astype(np.int64).reshape(table)
