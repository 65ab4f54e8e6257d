"""Exact need of clusters: from pieces of axon rows to every count a target may limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snnc.backends.targets.capacity import delay_bits, index_bits, weight_bits
from snnc.backends.targets.expression import evaluate, names_in
from snnc.compiler.partition.kernel_links import KernelLinks
from snnc.compiler.partition.kernels import store
from snnc.compiler.partition.limits import (
    Counts,
    Limit,
    Limits,
    compartments,
    profile_keys,
)
from snnc.compiler.partition.shared_fanin import SharedFanin
from snnc.compiler.partition.tally import Pieces, distinct
from snnc.compiler.partition.wiring import Wiring
from snnc.ir.arrays import IntArray
from snnc.ir.target import Encoding

MOST_COUNTED = 8  # times as many numbers as rows; sorting is faster beyond
LONGEST_ROW = 4096


@dataclass(frozen=True, eq=False)
class Meter:
    """Measures clusters of one network against one target."""

    wiring: Wiring
    limits: Limits

    @cached_property
    def bits(self) -> tuple[int, ...]:
        """Weight width of every population."""
        target = self.limits.target
        widest = max(target.core.weight.bits)
        return tuple(
            weight_bits(target, f.largest, node.input_shift) or widest
            for f, node in zip(self.wiring.fanin, self.wiring.populations, strict=True)
        )

    @cached_property
    def neuron_cost(self) -> IntArray:
        """[populations] compartments per neuron."""
        target = self.limits.target
        return np.array([compartments(target, p) for p in self.wiring.populations], np.int64)

    @cached_property
    def first(self) -> IntArray:
        """[populations + 1] first neuron of every population."""
        sizes = [p.size for p in self.wiring.populations]
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    @cached_property
    def fan_in(self) -> IntArray:
        """[neurons] synapses per neuron."""
        parts = [
            f.fan_in(p.size)
            for f, p in zip(self.wiring.fanin, self.wiring.populations, strict=True)
        ]
        return np.concatenate(parts)

    @cached_property
    def tables(self) -> Mapping[str, IntArray]:
        """[neurons] profile number, by table."""
        return {
            wall.name: profile_keys(self.wiring.populations, self.bits, wall.table)
            for wall in self.limits.walls
            if wall.table and not wall.per_row
        }

    def count(
        self, population: int, label: IntArray, clusters: int, pieces: Pieces
    ) -> dict[str, IntArray]:
        """All counts of clusters of one population, except what depends on its consumers."""
        counts = self.body(population, label, clusters)
        counts["n_axons_in"] = pieces.per_cluster(clusters)
        return self.recount(population, counts, pieces)

    def body(self, population: int, label: IntArray, clusters: int) -> dict[str, IntArray]:
        """The counts that need no look at the axons; those of axons are zero."""
        here = slice(self.first[population], self.first[population + 1])
        neurons = np.bincount(label, minlength=clusters)
        most = np.zeros(clusters, np.int64)
        np.maximum.at(most, label, self.fan_in[here])
        none = np.zeros(clusters, np.int64)
        counts: dict[str, IntArray] = {
            "n_neurons": neurons,
            "n_compartments": neurons * int(self.neuron_cost[population]),
            "n_axons_in": none,
            "n_axons_out": none,
            "n_synapses": _sum(label, self.fan_in[here], clusters),
            "max_fan_in": most,
            "max_targets_per_neuron": none,
            "weight_bits": np.full(clusters, self.bits[population]),
            "state_bytes": neurons * self.limits.target.core.state_bytes,
        }
        counts |= self.rows_only(counts["n_synapses"])
        for name, key in self.tables.items():
            counts[name] = distinct(label, key[here], clusters)
        return counts

    def rows_only(self, synapses: IntArray) -> dict[str, IntArray]:
        """``KERNEL_COUNTS`` of cores without kernels; empty where cores have none anyway."""
        if not self.limits.target.core.stores_kernels:
            return {}
        none = np.zeros_like(synapses)
        return {"n_kernels": none, "n_kernel_weights": none, "n_row_synapses": synapses}

    def links(self, population: int) -> KernelLinks | None:
        """What kernels of a population are found with; None where cores store none."""
        fanin = self.wiring.fanin[population]
        if not self.limits.target.core.stores_kernels or not isinstance(fanin, SharedFanin):
            return None
        if population not in self._links and fanin.connections:
            size = self.wiring.populations[population].size
            self._links[population] = KernelLinks.of(fanin, size)
        return self._links.get(population)

    @cached_property
    def _links(self) -> dict[int, KernelLinks]:
        return {}

    def has_kernels(self, population: int) -> bool:
        """Whether some of its synapses may be stored as kernels."""
        links = self.links(population)
        return links is not None and bool(links.possible.any())

    def hopeless(self, population: int, label: IntArray, clusters: int) -> bool:
        """Already the neurons and the bare number of synapses break a limit."""
        return self._broken(population, self.body(population, label, clusters))

    def too_large(self, population: int, neurons: IntArray, synapses: IntArray) -> bool:
        """As ``hopeless``, for clusters of which only neurons and synapses are known."""
        none = np.zeros(neurons.size, np.int64)
        counts: dict[str, IntArray] = {
            "n_neurons": neurons,
            "n_compartments": neurons * int(self.neuron_cost[population]),
            "n_axons_in": none,
            "n_axons_out": none,
            "n_synapses": synapses,
            "max_fan_in": none,
            "max_targets_per_neuron": none,
            "weight_bits": np.full(neurons.size, self.bits[population]),
            "state_bytes": neurons * self.limits.target.core.state_bytes,
        }
        counts |= self.rows_only(synapses) | dict.fromkeys(self.tables, none)
        return self._broken(population, counts)

    def _broken(self, population: int, counts: dict[str, IntArray]) -> bool:
        """A limit is broken even if rows cost the least they can, and kernels nothing."""
        if self.has_kernels(population):
            counts = counts | self.rows_only(np.zeros_like(counts["n_neurons"]))
        for wall in self.limits.walls:
            if wall.per_axon:
                least = 0.0 if self.has_kernels(population) else self.synapse_cost(wall, population)
                counts[wall.name] = np.floor(counts["n_synapses"] * least).astype(np.int64)
            elif wall.per_row:
                counts[wall.name] = np.zeros_like(counts["n_neurons"])
        return not self.limits.fits(counts).all()

    def synapse_cost(self, wall: Limit, population: int) -> float:
        """Cheapest cost per synapse of a source's rows, even merged over populations."""
        return self._synapse_costs[wall.name][population]

    @cached_property
    def _synapse_costs(self) -> Mapping[str, tuple[float, ...]]:
        populations = range(len(self.wiring.populations))
        return {
            wall.name: tuple(self._cheapest(wall, p) for p in populations)
            for wall in self.limits.walls
            if wall.per_axon
        }

    def _cheapest(self, wall: Limit, population: int) -> float:
        fanin = self.wiring.fanin[population]
        longest = int(self.wiring.row_length[fanin.source].max(initial=1))
        f = np.arange(1, min(longest, LONGEST_ROW) + 1)
        zero = np.zeros(f.size, np.int64)
        one = np.ones(1, np.int64)
        counts = {"n_neurons": one, "weight_bits": one * self.bits[population]}
        cost, _ = self.row_cost(wall, counts, Pieces(zero, zero, f, f, zero), zero)
        return float((cost / f).min())

    def recount(self, population: int, counts: Counts, pieces: Pieces) -> dict[str, IntArray]:
        """The counts of the same clusters with rows of other spans."""
        trial = dict(counts)
        delay = self.wiring.fanin[population].piece_delay[pieces.axon]
        shift = np.full(delay.size, self.wiring.populations[population].input_shift)
        self.add_rows(trial, pieces, delay, shift)
        return trial

    def memory(self, counts: Counts) -> float:
        """Largest fill of any cluster in the resources that are paid per row."""
        return max(
            (float(counts[w.name].max()) / w.capacity for w in self.limits.walls if w.per_axon),
            default=0.0,
        )

    def memory_clusters(self, counts: Counts) -> float:
        """Cores that the rows would fill if they could be cut at will."""
        return max(
            (float(counts[w.name].sum()) / w.capacity for w in self.limits.walls if w.per_axon),
            default=0.0,
        )

    @cached_property
    def dense_rows(self) -> bool:
        """Whether the span of a row matters."""
        wide = {"dense", "bitmask"}
        return any(wide & set(wall.per_axon) for wall in self.limits.walls)

    @cached_property
    def rows_matter(self) -> bool:
        """Whether a limit asks for more of a core's rows than how many synapses they have."""
        return any(
            wall.per_axon or (wall.table and wall.per_row) or "n_axons_in" in wall.names
            for wall in self.limits.walls
        )

    def add_rows(
        self, counts: dict[str, IntArray], pieces: Pieces, delay: IntArray, shift: IntArray
    ) -> IntArray:
        """Add what depends on the encoding of every row: memory, and tables of row formats.

        Returns:
            [pieces], or [entries of ``pieces.heard``], index of the encoding.
        """
        clusters = counts["n_neurons"].size
        choice: IntArray = np.zeros(pieces.count.size, np.int64)
        cluster, cost = pieces.cluster, None
        for wall in self.limits.walls:
            if wall.per_axon:
                cost, choice = self.row_cost(wall, counts, pieces, delay)
                counts[wall.name] = pieces.per_cluster(clusters, cost)
        if pieces.heard is not None:
            wanted, row = store(self, counts, pieces, cost), pieces.heard.piece
            kernel = self.limits.target.core.encodings.index("kernel")
            choice = np.where(wanted, kernel, choice[row])
            cluster, delay, shift = cluster[row], delay[row], shift[row]
        formats = [wall for wall in self.limits.walls if wall.table and wall.per_row]
        if not formats:
            return choice
        columns = {
            "encoding": choice,
            "delay_bits": delay_bits(delay),
            "weight_exponent": shift,
            "weight_bits": counts["weight_bits"][cluster],
        }
        for wall in formats:
            kind: IntArray = np.zeros(choice.size, np.int64)
            for word in wall.table:
                kind = _compact(kind * 64 + columns[word])
            kinds = int(kind.max(initial=0)) + 1
            present = np.zeros((clusters, kinds), bool)
            present[cluster, kind] = True
            counts[wall.name] = present.sum(axis=1)
        return choice

    def row_cost(
        self,
        wall: Limit,
        counts: Counts,
        pieces: Pieces,
        delay: IntArray,
        only: Encoding | None = None,
    ) -> tuple[IntArray, IntArray]:
        """Cost of every row in its cheapest encoding (or the only one), and its index.

        Kernels are no encoding of a row alone: see ``partition.kernels``.
        """
        variables = {
            "weight_bits": counts["weight_bits"][pieces.cluster],
            "index_bits": index_bits(self.limits.target, counts["n_neurons"])[pieces.cluster],
            "delay_bits": delay_bits(delay),
        }
        encodings = self.limits.target.core.encodings
        best = np.full(pieces.count.size, np.iinfo(np.int64).max)
        choice = np.zeros(pieces.count.size, np.int64)
        for number, encoding in enumerate(encodings):
            if encoding == "kernel":
                continue
            if encoding in wall.per_axon and only in (None, encoding):
                f = _entries(encoding, counts, pieces)
                cost = _row_table(
                    wall.per_axon[encoding], f, pieces.span.astype(np.int64), variables
                )
                choice[cost < best] = number
                best = np.minimum(best, cost)
        return best, choice


def _entries(encoding: Encoding, counts: Counts, pieces: Pieces) -> IntArray:
    """Entries a row stores: its synapses, or for dense rows also the zeros between them."""
    if encoding in ("sparse", "bitmask"):
        return pieces.count.astype(np.int64)
    if encoding == "dense":
        return pieces.span.astype(np.int64)
    return counts["n_neurons"][pieces.cluster]


def _row_table(
    text: str, f: IntArray, span: IntArray, variables: Mapping[str, IntArray]
) -> IntArray:
    """Evaluate a formula once per distinct (f, span, widths) instead of once per row."""
    if not f.size:
        return f
    if "span" not in names_in(text):
        span = f
    widths = np.zeros(f.size, np.int64)
    for values in variables.values():
        widths = widths * 64 + np.minimum(values, 63)
    key = _compact(widths) * (int(f.max()) + 1) + f
    if span is not f:
        key = _compact(key) * (int(span.max()) + 1) + span
        number = np.unique(key, return_inverse=True)[1].reshape(-1)  # too many to count them all
    else:
        number = _compact(key)
    row = np.empty(int(number.max()) + 1, np.int64)
    row[number] = np.arange(f.size)  # any row of a kind stands for all of them
    sample = {name: values[row] for name, values in {**variables, "span": span}.items()}
    cost = evaluate(text, {"f": f[row], **sample})
    result: IntArray = np.broadcast_to(np.asarray(cost, np.int64), row.shape)[number]
    return result


def _compact(key: IntArray) -> IntArray:
    """Number the distinct values 0, 1, ... in rising order, without sorting many of them."""
    if int(key.max(initial=0)) > MOST_COUNTED * key.size:
        number: IntArray = np.unique(key, return_inverse=True)[1].reshape(-1)
        return number
    seen = np.zeros(int(key.max(initial=0)) + 1, np.int64)
    seen[key] = 1
    result: IntArray = (np.cumsum(seen) - 1)[key]
    return result


def _sum(cluster: IntArray, value: IntArray, clusters: int) -> IntArray:
    return np.bincount(cluster, weights=value, minlength=clusters).astype(np.int64)
