"""Convolutions stored as kernels: what a core stores once, however many axons use it.

A *kernel* is what one input channel adds to one output channel.  A core that stores kernels holds
one for every pair of channels with a synapse on the core, whole: rows that end at the border of
the image or of the core's tile are cut by the core's address generator, not in its memory.
Projections that are one convolution can be stored so (``ir.shared_expansion.Kernels``).

The axons from one sender with one delay (and sign) are a *family*.  On a core all axons of a
family are stored the same way: as kernels where every projection that they are of is a convolution
and the kernels, with what a kernel's axons cost, take less than the rows.  Families share nothing,
so deciding one by one is the least memory that any choice of families has.  Finer choices could
only store single channels of a convolution as rows; channels meet the same pixels with as many
taps, so that pays for all of them or for none, unless weights were pruned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from snnc.backends.targets.capacity import delay_bits, index_bits, kernel_cost
from snnc.backends.targets.expression import evaluate
from snnc.compiler.partition.kernel_links import KernelLinks
from snnc.compiler.partition.shared_fanin import SharedFanin
from snnc.compiler.partition.tally import Heard, KernelSums, Pieces
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
    heard = _heard(meter.wiring, population, links, pieces[0])
    cluster, link = links.used(label, clusters)
    sums = kernel_sums(meter.wiring, population, links, cluster, link)
    return [replace(p, heard=heard, kernels=sums, used=(cluster, link)) for p in pieces]


def _heard(wiring: Wiring, population: int, links: KernelLinks, pieces: Pieces) -> Heard:
    """The axons of every piece by family."""
    first, end = links.heard_ptr[pieces.axon], links.heard_ptr[pieces.axon + 1]
    times = end - first
    if (times == 1).all():
        piece, where = np.arange(pieces.axon.size), first
    else:
        piece = np.repeat(np.arange(pieces.axon.size), times)
        where = first[piece] + np.arange(piece.size) - np.repeat(np.cumsum(times) - times, times)
    family = families(wiring, population)[links.heard_connection[where]]
    return Heard(piece, family, links.heard_axons[where])


def families(wiring: Wiring, population: int) -> IntArray:
    """[connections of a population] family."""
    fanin = wiring.fanin[population]
    assert isinstance(fanin, SharedFanin)
    first, negative, delay = (
        np.array([getattr(c, name) for c in fanin.connections], np.int64)
        for name in ("first", "negative", "delay")
    )
    return wiring.family(first, negative, delay)


def kernel_sums(
    wiring: Wiring, population: int, links: KernelLinks, cluster: IntArray, link: IntArray
) -> KernelSums:
    """Kernels by cluster and connection, of links that clusters use; none twice."""
    cluster, connection, count = links.kernels(cluster, link)
    family = families(wiring, population)[connection]
    return KernelSums(cluster, family, links.taps[connection], count)


def kernels_together(
    meter: Meter, clusters: Sequence[tuple[int, int, Pieces]]
) -> Pieces | None:
    """The families of one core that holds some clusters, a piece each, with the core's kernels.

    Args:
        clusters: population, number, and pieces of all clusters of its tiling.
    """
    links: dict[int, list[IntArray]] = {}
    parts = []
    for population, number, pieces in clusters:
        if pieces.heard is None or pieces.used is None:
            continue
        cluster, link = pieces.used
        here = slice(*np.searchsorted(cluster, [number, number + 1]))
        links.setdefault(population, []).append(link[here])
        cluster, family, synapses = pieces.by_family
        here = slice(*np.searchsorted(cluster, [number, number + 1]))
        parts.append((family[here], synapses[here]))
    if not parts:
        return None
    family, synapses = (np.concatenate(column) for column in zip(*parts, strict=True))
    sums = []
    for population, some in links.items():
        found, link = meter.links(population), np.unique(np.concatenate(some))
        assert found is not None
        here_too: IntArray = np.zeros(link.size, np.int64)
        sums.append(kernel_sums(meter.wiring, population, found, here_too, link))
    none: IntArray = np.zeros(family.size, np.int64)
    heard = Heard(np.arange(family.size), family, none + 1)
    return Pieces(none, none, synapses, synapses, none, heard=heard, kernels=joined(sums))


def heard_by_axon(meter: Meter, axons: Pieces, families: Pieces) -> Pieces:
    """The rows of a core, one piece per axon key, with the core's kernels."""
    wiring = meter.wiring
    family = wiring.family(*wiring.axon_of(axons.axon))
    heard = Heard(np.arange(family.size), family, np.ones(family.size, np.int64))
    return replace(axons, heard=heard, kernels=families.kernels)


def sums_of_cores(meter: Meter, core: IntArray, cores: int) -> KernelSums:
    """The kernels of whole cores, given the core of every neuron."""
    parts = []
    for population in range(len(meter.wiring.populations)):
        links = meter.links(population)
        if links is None:
            continue
        label = core[meter.first[population] : meter.first[population + 1]]
        parts.append(kernel_sums(meter.wiring, population, links, *links.used(label, cores)))
    return joined(parts)


def joined(parts: Sequence[KernelSums]) -> KernelSums:
    """The sums of several populations."""
    none: IntArray = np.zeros(0, np.int64)
    parts = [*parts, KernelSums(none, none, none, none)]
    columns = zip(*((p.cluster, p.family, p.taps, p.count) for p in parts), strict=True)
    return KernelSums(*(np.concatenate(column) for column in columns))


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
    heard, kernels = pieces.heard, pieces.kernels
    assert heard is not None
    assert kernels is not None
    clusters = counts["n_neurons"].size
    number = np.full(meter.wiring.families, -1, np.int64)
    present = np.flatnonzero(np.bincount(heard.family, minlength=number.size))
    number[present] = np.arange(present.size)
    size = clusters * present.size
    key = pieces.cluster[heard.piece].astype(np.int64) * present.size + number[heard.family]
    axons = _summed(key, heard.axons, size)
    synapses = _summed(key, heard.axons * pieces.count[heard.piece], size)
    rows = synapses if cost is None else _summed(key, heard.axons * cost[heard.piece], size)
    ours = number[kernels.family] >= 0
    cluster, taps, count = kernels.cluster[ours], kernels.taps[ours], kernels.count[ours]
    place = cluster.astype(np.int64) * present.size + number[kernels.family[ours]]
    stored = _summed(place, count, size)
    weights = _summed(place, count * taps, size)
    barred = np.bincount(place[taps == 0], minlength=size) > 0
    whole = weights
    wall = next((wall for wall in meter.limits.walls if wall.per_axon), None)
    if wall is not None:
        resource = meter.limits.target.core.resources[wall.name]
        each = kernel_cost(resource, taps, counts["weight_bits"][cluster])
        whole = _summed(place, count * each, size)
        whole += axons * _axon_cost(meter, wall, counts, present % meter.wiring.delays)
    wanted: BoolArray = (stored > 0) & (axons > 0) & ~barred & (whole < rows)
    table = (clusters, present.size)
    counts["n_kernels"] = (stored * wanted).reshape(table).sum(axis=1)
    counts["n_kernel_weights"] = (weights * wanted).reshape(table).sum(axis=1)
    counts["n_row_synapses"] = (synapses * ~wanted).reshape(table).sum(axis=1)
    if wall is not None:
        counts[wall.name] = np.where(wanted, whole, rows).reshape(table).sum(axis=1)
    return wanted[key]


def _axon_cost(
    meter: Meter, wall: Limit, counts: dict[str, IntArray], delay: IntArray
) -> IntArray:
    """[clusters * families] what one axon of a kernel costs."""
    clusters, shape = counts["n_neurons"].size, (counts["n_neurons"].size * delay.size,)
    index = index_bits(meter.limits.target, counts["n_neurons"])
    variables = {
        "weight_bits": np.repeat(counts["weight_bits"], delay.size),
        "index_bits": np.repeat(index, delay.size),
        "delay_bits": np.tile(delay_bits(delay), clusters),
    }
    cost = evaluate(wall.per_axon["kernel"], variables)
    return np.broadcast_to(np.asarray(cost, np.int64), shape)


def _summed(key: IntArray, value: IntArray, size: int) -> IntArray:
    return np.bincount(key, weights=value, minlength=size).astype(np.int64)
