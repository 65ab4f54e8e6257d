"""The clusters of all populations in flat tables, and what a core with some of them needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snnc.compiler.partition.kernels import heard_by_axon, kernels_together
from snnc.compiler.partition.limits import Counts
from snnc.compiler.partition.merged_rows import RowPrices
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.select import pairs_sent
from snnc.compiler.partition.tally import Pieces
from snnc.compiler.partition.tiling import Tiling
from snnc.ir.arrays import IntArray

SUMMED = (
    "n_neurons", "n_compartments", "n_axons_out", "n_synapses", "state_bytes",
)  # fmt: skip
LARGEST = ("max_fan_in", "max_targets_per_neuron", "weight_bits")
NONE: frozenset[int] = frozenset()
MOST_KEPT = 2_000
"""Clusters whose rows are kept for the next core they are tried on."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """All clusters of all chosen tilings as rows of flat tables.

    Attributes:
        population, number: [clusters] whose, and which of its tiling.
        counts: [clusters] each, output axons towards each other included.
        apart: [populations] classes that may not share a core; None: all may.
    """

    meter: Meter
    tilings: Sequence[Tiling]
    population: IntArray
    number: IntArray
    counts: dict[str, IntArray]
    apart: IntArray | None = None

    @staticmethod
    def of(meter: Meter, tilings: Sequence[Tiling], apart: IntArray | None = None) -> Clusters:
        """The clusters of these tilings, with the output axons they need towards each other."""
        population = np.concatenate([np.full(t.clusters, t.population) for t in tilings])
        number = np.concatenate([np.arange(t.clusters) for t in tilings])
        names = tilings[0].counts
        counts = {n: np.concatenate([t.counts[n] for t in tilings]) for n in names}
        counts["n_axons_out"] = np.concatenate(
            [sum((pairs_sent(meter, t, c) for c in tilings), np.zeros(t.clusters, np.int64))
             for t in tilings]
        )  # fmt: skip
        return Clusters(meter, tilings, population, number, counts, apart)

    @property
    def size(self) -> int:
        """Number of clusters."""
        return int(self.population.size)

    @cached_property
    def first(self) -> IntArray:
        """[tilings] number of the first cluster of each."""
        return np.cumsum([0, *(t.clusters for t in self.tilings[:-1])])

    def usage(self) -> IntArray:
        """[clusters, walls]."""
        columns = self.meter.limits.usage(self.counts).values()
        return np.stack(list(columns), axis=1) if columns else np.zeros((self.size, 0), np.int64)

    @cached_property
    def kind(self) -> IntArray:
        """[clusters] classes that may share a core: one exponent per row, one pinned place."""
        exponents = any("weight_exponent" in w.table for w in self.meter.limits.walls)
        kind: IntArray = np.zeros(self.size, np.int64)
        if exponents:
            shift = np.array([p.input_shift for p in self.meter.wiring.populations])
            kind = shift[self.population]
        if self.apart is not None:
            kind = kind * (int(self.apart.max(initial=0)) + 1) + self.apart[self.population]
        return kind

    def one_exponent(self, members: Sequence[int]) -> bool:
        """Whether the clusters may share a core: one weight exponent per row."""
        return np.unique(self.kind[list(members)]).size == 1

    def rows(self, cluster: int) -> tuple[IntArray, Pieces, int]:
        """(axon keys, rows, input shift) of one cluster."""
        tiling = self.tilings[self.population[cluster]]
        where = tiling.pieces.cluster
        k = self.number[cluster]
        part = slice(*np.searchsorted(where, [k, k + 1]))
        wiring, fanin = self.meter.wiring, self.meter.wiring.fanin[tiling.population]
        axon, piece = fanin.members(tiling.pieces.axon[part])
        pieces = Pieces(
            where[part][piece],
            axon,
            tiling.pieces.count[part][piece],
            tiling.pieces.span[part][piece],
            tiling.pieces.first[part][piece],
        )
        key = wiring.axon_key(fanin, axon)
        shift = wiring.populations[tiling.population].input_shift
        return key, pieces, shift

    def measured(self, members: Sequence[int]) -> tuple[Counts, frozenset[int]]:
        """Counts of one core, with the cheaper order of its slots.

        Returns:
            Exact counts ([1] each), and the populations whose clusters are mixed: their neurons
            stand in the order of the population, as if these clusters were one.
        """
        best, mixed = self.together(members), NONE
        if not self.meter.dense_rows:
            return best, mixed
        population, times = np.unique(self.population[list(members)], return_counts=True)
        for one in population[times > 1].tolist():
            trial = self.together(members, mixed | {one})
            if self._rather(trial, best):
                best, mixed = trial, mixed | {one}
        return best, mixed

    def _rather(self, trial: Counts, best: Counts) -> bool:
        """Whether the first fits where the second does not, or as well in less memory."""
        fits, did = (bool(self.meter.limits.fits(c).all()) for c in (trial, best))
        return fits > did or (fits == did and self.meter.memory(trial) < self.meter.memory(best))

    def fit(self, members: Sequence[int]) -> bool:
        """Whether one core can hold these clusters, in some order of its slots."""
        return bool(self.meter.limits.fits(self.measured(members)[0]).all())

    def together(self, members: Sequence[int], mixed: Collection[int] = NONE) -> Counts:
        """Exact counts of one core holding these clusters in rising order ([1] each).

        Where no limit asks for rows, they are not merged, and input axons are only added up.

        Args:
            mixed: populations whose clusters are mixed, see ``measured``.
        """
        members = sorted(members)
        if not (self.meter.rows_matter and self._prices.covers and self.one_exponent(members)):
            return self.by_the_meter(members, mixed)
        counts = self._bodies(members)
        self._prices.add(counts, *self._rows_by_key(members, mixed))
        return counts

    def _bodies(self, members: list[int]) -> dict[str, IntArray]:
        """The counts that need no rows."""
        counts = {n: self.counts[n][members].sum(keepdims=True) for n in SUMMED}
        for name in LARGEST:
            counts[name] = self.counts[name][members].max(keepdims=True)
        for name, profile in self.meter.tables.items():
            counts[name] = np.array([np.unique(profile[self._neurons(members)]).size])
        return counts

    def by_the_meter(self, members: Sequence[int], mixed: Collection[int] = NONE) -> Counts:
        """``together``, by the formulas that measure whole tilings."""
        members = sorted(members)
        counts = self._bodies(members)
        if not self.meter.rows_matter:
            counts["n_axons_in"] = self.counts["n_axons_in"][members].sum(keepdims=True)
            kernels = self._stored(members)
            if kernels is not None:
                counts |= self.meter.rows_only(counts["n_synapses"])
                none: IntArray = np.zeros(kernels.count.size, np.int64)
                self.meter.add_rows(counts, kernels, none, none)
            return counts
        key, count, low, high, shift = self._merged_rows(members, mixed)
        counts["n_axons_in"] = np.array([key.size])
        counts |= self.meter.rows_only(counts["n_synapses"])
        pieces = Pieces(np.zeros(key.size, np.int64), key, count, high - low, low)
        kernels = self._stored(members)
        if kernels is not None:
            pieces = heard_by_axon(self.meter, pieces, kernels)
        self.meter.add_rows(counts, pieces, key % self.meter.wiring.delays, shift)
        return counts

    def _stored(self, members: Sequence[int]) -> Pieces | None:
        """What these clusters have to do with kernels; None where cores store none."""
        if not self.meter.limits.target.core.stores_kernels:
            return None
        chosen = [(self.tilings[self.population[m]], int(self.number[m])) for m in members]
        return kernels_together(self.meter, [(t.population, k, t.pieces) for t, k in chosen])

    @cached_property
    def _prices(self) -> RowPrices:
        return RowPrices(self.meter)

    def _rows_by_key(
        self, members: list[int], mixed: Collection[int]
    ) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """(key, synapses, first and last slot) of the rows of all members, by rising key."""
        parts = []
        for member, slot in zip(members, self._slots(members, mixed), strict=True):
            key, count, first, last = self._short_rows(member)
            parts.append((key, count, slot[first], slot[last]))
        key, count, low, high = (np.concatenate(c) for c in zip(*parts, strict=True))
        order = np.argsort(key, kind="stable")
        return key[order], count[order], low[order], high[order]

    def _short_rows(self, cluster: int) -> tuple[IntArray, ...]:
        """(key, synapses, first and last slot) of one cluster's rows; the latest are kept."""
        if cluster not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            key, pieces, _ = self.rows(cluster)
            order = np.argsort(key, kind="stable")
            first = pieces.first[order]
            last = first + pieces.span[order] - 1
            self._kept[cluster] = key[order], pieces.count[order], first, last
        return self._kept[cluster]

    @cached_property
    def _kept(self) -> dict[int, tuple[IntArray, ...]]:
        return {}

    def _merged_rows(self, members: list[int], mixed: Collection[int]) -> tuple[IntArray, ...]:
        """Rows of equal (source, delay) become one row of the shared core."""
        parts = []
        for member, slot in zip(members, self._slots(members, mixed), strict=True):
            key, pieces, shift = self.rows(member)
            low, high = slot[pieces.first], slot[pieces.first + pieces.span - 1] + 1
            parts.append((key, pieces.count, low, high, np.full(key.size, shift)))
        key, count, low, high, exponents = (np.concatenate(c) for c in zip(*parts, strict=True))
        unique, inverse = np.unique(key, return_inverse=True)
        inverse = inverse.reshape(-1)
        total = np.bincount(inverse, weights=count, minlength=unique.size).astype(np.int64)
        first = np.full(unique.size, np.iinfo(np.int64).max)
        last = np.zeros(unique.size, np.int64)
        exponent = np.zeros(unique.size, np.int64)
        np.minimum.at(first, inverse, low)
        np.maximum.at(last, inverse, high)
        exponent[inverse] = exponents
        return unique, total, first, last, exponent

    def _slots(self, members: list[int], mixed: Collection[int]) -> list[IntArray]:
        """[neurons] slot on the core, in the order of its neurons, of every member."""
        sizes = self.counts["n_neurons"][members]
        every = np.arange(int(sizes.sum()))
        ends = np.cumsum(sizes)
        slots: list[IntArray] = [every[e - n : e] for e, n in zip(ends, sizes, strict=True)]
        for population in mixed:
            (which,) = np.nonzero(self.population[members] == population)
            ranks = [self._ranks(members[w]) for w in which]
            place = np.argsort(np.argsort(np.concatenate(ranks)))
            base = int(ends[which[0]] - sizes[which[0]])
            parts = np.split(base + place, np.cumsum([r.size for r in ranks])[:-1])
            for w, part in zip(which, parts, strict=True):
                slots[w] = part
        return slots

    @cached_property
    def _ordered(self) -> dict[int, tuple[IntArray, IntArray]]:
        return {}

    def _by_cluster(self, population: int) -> tuple[IntArray, IntArray]:
        """([neurons of it] cluster by cluster in the order of their slots, [clusters + 1])."""
        if population not in self._ordered:
            tiling = self.tilings[population]
            order = np.lexsort((tiling.rank, tiling.label))
            end = np.cumsum(np.bincount(tiling.label, minlength=tiling.clusters))
            self._ordered[population] = order, np.concatenate([[0], end])
        return self._ordered[population]

    def _local(self, cluster: int) -> IntArray:
        """Neurons of a cluster within their population, in the order of their slots."""
        order, ptr = self._by_cluster(int(self.population[cluster]))
        k = self.number[cluster]
        return order[ptr[k] : ptr[k + 1]]

    def _ranks(self, cluster: int) -> IntArray:
        rank: IntArray = self.tilings[self.population[cluster]].rank[self._local(cluster)]
        return rank

    def _neurons(self, members: list[int]) -> IntArray:
        first = self.meter.first
        return np.concatenate([self._local(m) + first[self.population[m]] for m in members])
