"""Partition: neurons to core-sized clusters under all constraints of a target at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.compiler.chip_count import cores_per_chip
from snnc.compiler.hypergraph import Engine
from snnc.compiler.options import Partitioner
from snnc.compiler.partition import explain
from snnc.compiler.partition.bounds import core_bound
from snnc.compiler.partition.irregular import blocks, worth_trying
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.pack import Packing, pack
from snnc.compiler.partition.runs import unequal
from snnc.compiler.partition.select import Selection, select
from snnc.compiler.partition.tiling import Tiling, candidates, measure
from snnc.compiler.partition.tiny import MOST_NEURONS, cover
from snnc.ir.arrays import IntArray
from snnc.ir.errors import CapacityError

REPAIR_ROUNDS = 4
FEW_CORES = 1_000
"""Up to so many cores, the choice that counts on no sharing is packed as well."""


@dataclass(frozen=True, eq=False)
class Partition:
    """Which core every neuron sits on.

    Attributes:
        core: [neurons] core index, in order of each core's first neuron.
        rank: [neurons] order of the neurons' slots within a core.
        cores: number of cores.
        report: lower bound, how it was found, and the tiling of every population.
    """

    core: IntArray
    rank: IntArray
    cores: int
    report: dict[str, Any]


def partition(
    meter: Meter,
    chips: int = 1,
    seed: int = 0,
    partitioner: Partitioner = "auto",
    apart: IntArray | None = None,
    price: tuple[float, float] | None = None,
) -> Partition:
    """Cut populations into clusters and share cores between small ones.

    Args:
        meter: of the expanded network on a target.
        chips: chips available.
        seed: of the solvers.
        partitioner: which populations are also cut as hypergraphs: "auto" (those without
            geometry, by the own engine), "tiles" (none), or all by the engine named.
        apart: [populations] numbers; populations with different ones share no core.
        price: of a core and of a packet to one, to be minimised as far as the cores last; None:
            fewest cores, then fewest packets.

    Raises:
        CapacityError: a neuron fits no core, output axons cannot suffice, or cores run out.
        MissingPackageError: the engine named is not installed.
    """
    available = cores_per_chip(meter.limits.target) * chips
    try:
        if price is not None:
            try:
                return _by_tilings(meter, chips, seed, partitioner, apart, price)
            except CapacityError:
                pass  # then with the fewest cores
        return _by_tilings(meter, chips, seed, partitioner, apart)
    except CapacityError as refused:
        if meter.wiring.neurons > MOST_NEURONS or apart is not None:
            raise
        exact = _exactly(meter, seed)
        if exact is not None and exact.cores <= available:
            return exact
        error = refused
        if exact is not None:
            error = explain.too_many(
                meter.limits.target, exact.cores, exact.cores, chips, _largest(exact.report),
                _fullest(meter, _labelled(meter, exact.core)),
            )  # fmt: skip
        raise CapacityError(
            error.problem,
            where=error.where,
            found=error.found,
            allowed=error.allowed,
            remedy=f"every partition was tried: {error.remedy}",
        ) from None


def _by_tilings(
    meter: Meter,
    chips: int,
    seed: int,
    partitioner: Partitioner,
    apart: IntArray | None,
    price: tuple[float, float] | None = None,
) -> Partition:
    populations = range(len(meter.wiring.populations))
    options = [_options(meter, p, seed, partitioner) for p in populations]
    bound, binding = core_bound(meter, populations)
    selection = _choose(meter, options, seed, price)
    packing = pack(meter, selection.tilings, bound, seed, apart)
    if price is None and bound < packing.cores <= FEW_CORES:
        selection, packing = _or_whole(meter, options, selection, packing, bound, seed, apart)
    core = _renumber(_neuron_core(selection.tilings, packing))
    report = _report(meter, selection, packing, bound, binding)
    target = meter.limits.target
    if packing.cores > cores_per_chip(target) * chips:
        raise explain.too_many(
            target, packing.cores, bound, chips, _largest(report),
            _fullest(meter, selection.tilings),
        )  # fmt: skip
    return Partition(core, _rank(selection.tilings, packing), packing.cores, report)


def _exactly(meter: Meter, seed: int) -> Partition | None:
    """The partition with the fewest cores of all, for a few neurons; None: there is none."""
    core = cover(meter, seed)
    if core is None:
        return None
    core = _renumber(core)
    cores = int(core.max()) + 1
    populations: list[dict[str, Any]] = [
        {
            "name": node.name,
            "shape": list(node.shape),
            "clusters": int(np.unique(core[first : first + node.size]).size),
            "blocks": [],
            "method": "exact",
        }
        for node, first in zip(meter.wiring.populations, meter.first[:-1], strict=True)
    ]
    report = {
        "cores": cores,
        "cores_lower_bound": cores,
        "cores_bound_by": "all partitions",
        "clusters": sum(p["clusters"] for p in populations),
        "selection": "optimal",
        "packing": "optimal",
        "populations": populations,
        "unchecked": list(meter.limits.unchecked),
    }
    return Partition(core, np.arange(core.size), cores, report)


def _labelled(meter: Meter, core: IntArray) -> list[Tiling]:
    """The clusters of every population that a partition makes."""
    result = []
    for population, node in enumerate(meter.wiring.populations):
        mine = core[meter.first[population] : meter.first[population + 1]]
        label = np.unique(mine, return_inverse=True)[1].reshape(-1)
        result.append(measure(meter, population, (node.size,), label))
    return result


def _rank(tilings: Sequence[Tiling], packing: Packing) -> IntArray:
    """Slots run cluster by cluster, mixed ones together: a shared core costs what was measured."""
    parts, base, first = [], 0, 0
    for tiling in tilings:
        order = np.lexsort((tiling.rank, packing.mixed[first + tiling.label]))
        rank = np.empty(order.size, np.int64)
        rank[order] = base + np.arange(order.size)
        parts.append(rank)
        base += order.size
        first += tiling.clusters
    return np.concatenate(parts)


def _choose(
    meter: Meter, options: list[list[Tiling]], seed: int, price: tuple[float, float] | None
) -> Selection:
    """One tiling per population; finer ones are added while output axons do not suffice."""
    for _ in range(REPAIR_ROUNDS):
        selection = select(meter, options, seed, price)
        if selection is not None:
            return selection
        for population, tilings in enumerate(options):
            finest = max(t.clusters for t in tilings)
            if finest < meter.wiring.populations[population].size:
                tilings += candidates(meter, population, 2 * finest)
    raise explain.outputs(meter, [min(t, key=lambda x: x.clusters) for t in options])


def _or_whole(
    meter: Meter,
    options: Sequence[Sequence[Tiling]],
    selection: Selection,
    packing: Packing,
    bound: int,
    seed: int,
    apart: IntArray | None,
) -> tuple[Selection, Packing]:
    """The choice of fewest clusters instead, where it takes fewer cores.

    Small clusters are cheap only if they find a core to share, which profile tables and output
    axons may refuse: every cluster more is one more that its senders address.
    """
    try:
        other = select(meter, options, seed, whole=True)
    except CapacityError:  # no answer in the solver's time: there is one already
        return selection, packing
    if other is None or all(a is b for a, b in zip(other.tilings, selection.tilings, strict=True)):
        return selection, packing
    packed = pack(meter, other.tilings, bound, seed, apart)
    return (other, packed) if packed.cores < packing.cores else (selection, packing)


def _options(meter: Meter, population: int, seed: int, partitioner: Partitioner) -> list[Tiling]:
    least, _ = core_bound(meter, range(population, population + 1))
    least = min(least, meter.wiring.populations[population].size)
    tilings = candidates(meter, population, least)
    tilings += unequal(meter, population, least)
    smallest = min((t.clusters for t in tilings), default=0)
    if worth_trying(meter, population, partitioner, smallest):
        engine: Engine = "mtkahypar" if partitioner == "mtkahypar" else "own"
        other = blocks(meter, population, least, seed, engine)
        tilings += [] if other is None else [other]
    if not tilings:
        raise explain.lonely(meter, population)
    return tilings


def _neuron_core(tilings: Sequence[Tiling], packing: Packing) -> IntArray:
    first = np.cumsum([0, *(t.clusters for t in tilings)])
    return np.concatenate([packing.core[first[k] + t.label] for k, t in enumerate(tilings)])


def _renumber(core: IntArray) -> IntArray:
    """Number cores by their first neuron."""
    _, first, inverse = np.unique(core, return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(first.size)
    return rank[inverse.reshape(-1)]


def _report(
    meter: Meter, selection: Selection, packing: Packing, bound: int, binding: str
) -> dict[str, Any]:
    return {
        "cores": packing.cores,
        "cores_lower_bound": bound,
        "cores_bound_by": binding,
        "clusters": sum(t.clusters for t in selection.tilings),
        "selection": selection.status,
        "packing": packing.status,
        "populations": [
            {
                "name": meter.wiring.populations[t.population].name,
                "shape": list(meter.wiring.populations[t.population].shape),
                "clusters": t.clusters,
                "blocks": list(t.blocks),
                "method": t.method,
            }
            for t in selection.tilings
        ],
        "unchecked": list(meter.limits.unchecked),
    }


def _largest(report: dict[str, Any]) -> tuple[str, int]:
    entry = max(report["populations"], key=lambda row: row["clusters"])
    return str(entry["name"]), int(entry["clusters"])


def _fullest(meter: Meter, tilings: Sequence[Tiling]) -> tuple[str, float]:
    """The resource whose walls are fullest on average over all clusters."""
    fills: dict[str, list[float]] = {}
    for tiling in tilings:
        for wall in meter.limits.walls:
            use = meter.limits.use(wall, tiling.counts) / max(wall.capacity, 1)
            fills.setdefault(wall.name, []).extend(use.tolist())
    mean = {name: float(np.mean(values)) for name, values in fills.items()}
    name = max(mean, key=lambda n: mean[n])
    return name, mean[name]
