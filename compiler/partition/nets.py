"""Who sends to which clusters: the traffic that sharing cores changes.

Sources of one cluster that reach the same clusters are one net: the channels of a pixel mostly.
So there are far fewer nets than sources; they are found without listing what every source reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snnc.compiler.partition.shared_fanin import SharedFanin
from snnc.compiler.partition.tiling import Tiling
from snnc.compiler.partition.wiring import AnyFanin, Wiring
from snnc.ir.arrays import IntArray, RealArray, sorted_unique
from snnc.ir.jit import lean_kernel
from snnc.ir.row_shapes import pointers


@dataclass(frozen=True, eq=False)
class Nets:
    """Nets between clusters.

    Attributes:
        clusters: number of clusters, of all tilings.
        weight: [nets] expected packets per sample to each core with a destination.
        home: [nets] sending cluster, -1 for inputs.
        ptr: [nets + 1] slice of ``dest`` per net.
        dest: [pins] receiving clusters, rising within a net.
    """

    clusters: int
    weight: RealArray
    home: IntArray
    ptr: IntArray
    dest: IntArray

    @property
    def packets(self) -> float:
        """Expected packets per sample if every destination were a core of its own."""
        return float((self.weight * np.diff(self.ptr)).sum())

    def at_homes(self) -> tuple[IntArray, IntArray]:
        """([clusters + 1] slices of, nets that each cluster sends)."""
        sent = np.flatnonzero(self.home >= 0)
        return self._by_cluster(self.home[sent], sent)

    def at_destinations(self) -> tuple[IntArray, IntArray]:
        """([clusters + 1] slices of, nets that each cluster receives)."""
        return self._by_cluster(self.dest, np.repeat(np.arange(self.home.size), np.diff(self.ptr)))

    def _by_cluster(self, cluster: IntArray, net: IntArray) -> tuple[IntArray, IntArray]:
        order = np.argsort(cluster, kind="stable")
        return pointers(np.bincount(cluster, minlength=self.clusters)), net[order]


def nets_of_clusters(wiring: Wiring, tilings: Sequence[Tiling]) -> Nets:
    """The nets of all sources that reach a cluster.

    Args:
        tilings: one per population, in order; clusters are numbered tiling by tiling.
    """
    first = np.cumsum([0, *(t.clusters for t in tilings)])
    clusters = int(first[-1])
    home = np.full(wiring.sources.total, -1, np.int64)
    home[wiring.first_neuron :] = np.concatenate(
        [t.label + before for t, before in zip(tilings, first, strict=False)]
    )
    codes = np.random.default_rng(0).integers(1, 2**63, clusters)
    total = np.zeros(wiring.sources.total, np.int64)
    for tiling, fanin, before in zip(tilings, wiring.fanin, first, strict=False):
        by_row = np.zeros(_groups(fanin), np.int64)
        _add(codes[before:], tiling.pieces.cluster, tiling.pieces.axon, by_row)
        _add(by_row, _group_of(fanin), fanin.source, total)
    heard = np.flatnonzero(total)
    order = np.lexsort((total[heard], home[heard]))
    heard = heard[order]
    new = np.ones(heard.size, bool)
    new[1:] = (np.diff(total[heard]) != 0) | (np.diff(home[heard]) != 0)
    net = np.cumsum(new) - 1
    model = heard[new]
    weight = np.bincount(net, wiring.rate[heard], minlength=model.size)
    pins = _pins(wiring, tilings, first, model)
    ptr = pointers(np.bincount(pins // clusters, minlength=model.size))
    return Nets(clusters, weight.astype(np.float64), home[model], ptr, pins % clusters)


def _pins(wiring: Wiring, tilings: Sequence[Tiling], first: IntArray, model: IntArray) -> IntArray:
    """net x clusters + cluster, rising, of what the model source of every net reaches."""
    number = np.full(wiring.sources.total, -1, np.int64)
    number[model] = np.arange(model.size)
    found = [np.zeros(0, np.int64)]
    for tiling, fanin, before in zip(tilings, wiring.fanin, first, strict=False):
        axon = np.flatnonzero(number[fanin.source] >= 0)
        group = _group_of(fanin)[axon]
        order = np.argsort(tiling.pieces.axon, kind="stable")
        ptr = pointers(np.bincount(tiling.pieces.axon, minlength=_groups(fanin)))
        size = np.diff(ptr)[group]
        inner = np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size)
        piece = order[np.repeat(ptr[group], size) + inner]
        net = np.repeat(number[fanin.source[axon]], size)
        found.append(net * int(first[-1]) + tiling.pieces.cluster[piece] + before)
    return sorted_unique(np.concatenate(found))


def _groups(fanin: AnyFanin) -> int:
    """Axons as pieces tell them apart."""
    return fanin.groups.size.size if isinstance(fanin, SharedFanin) else fanin.axons


def _group_of(fanin: AnyFanin) -> IntArray:
    """[axons] the group that pieces name."""
    return fanin.groups.of if isinstance(fanin, SharedFanin) else np.arange(fanin.axons)


@lean_kernel
def _add(value: IntArray, where: IntArray, to: IntArray, total: IntArray) -> None:
    """Add ``value[where[i]]`` to ``total[to[i]]``; sums wrap around."""
    for i in range(where.size):
        total[to[i]] += value[where[i]]
