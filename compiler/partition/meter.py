"""Exact need of clusters: from pieces of axon rows to every count a target may limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snnc.backends.targets.capacity import index_bits, weight_bits
from snnc.backends.targets.expression import evaluate
from snnc.compiler.partition.limits import (
    Counts,
    Limit,
    Limits,
    compartments,
    profile_keys,
)
from snnc.compiler.partition.tally import Pieces, distinct
from snnc.compiler.partition.wiring import Wiring
from snnc.ir.arrays import IntArray
from snnc.ir.target import Encoding


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
            weight_bits(target, int(np.abs(f.weight).max(initial=0)), node.input_shift) or widest
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
            np.bincount(f.target, minlength=p.size)
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
        target = self.limits.target
        neurons = np.bincount(label, minlength=clusters)
        here = slice(self.first[population], self.first[population + 1])
        most = np.zeros(clusters, np.int64)
        np.maximum.at(most, label, self.fan_in[here])
        cost = int(self.neuron_cost[population])
        counts: dict[str, IntArray] = {
            "n_neurons": neurons,
            "n_compartments": neurons * cost,
            "n_axons_in": np.bincount(pieces.cluster, minlength=clusters),
            "n_axons_out": np.zeros(clusters, np.int64),
            "n_synapses": _sum(pieces.cluster, pieces.count, clusters),
            "max_fan_in": most,
            "max_targets_per_neuron": np.zeros(clusters, np.int64),
            "weight_bits": np.full(clusters, self.bits[population]),
            "state_bytes": neurons * target.core.state_bytes,
        }
        for name, key in self.tables.items():
            counts[name] = distinct(label, key[here], clusters)
        delay = self.wiring.fanin[population].delay[pieces.axon]
        shift = np.full(delay.size, self.wiring.populations[population].input_shift)
        self.add_rows(counts, pieces, delay, shift)
        return counts

    def add_rows(
        self, counts: dict[str, IntArray], pieces: Pieces, delay: IntArray, shift: IntArray
    ) -> None:
        """Add what depends on the encoding of every row: memory, and tables of row formats."""
        clusters = counts["n_neurons"].size
        choice: IntArray = np.zeros(pieces.count.size, np.int64)
        for wall in self.limits.walls:
            if wall.per_axon:
                cost, choice = self.row_cost(wall, counts, pieces, delay)
                counts[wall.name] = _sum(pieces.cluster, cost, clusters)
        columns = {
            "encoding": choice,
            "delay_bits": delay_width(delay),
            "weight_exponent": shift,
            "weight_bits": counts["weight_bits"][pieces.cluster],
        }
        for wall in self.limits.walls:
            if wall.table and wall.per_row:
                key = np.zeros(choice.size, np.int64)
                for word in wall.table:
                    key = key * 64 + columns[word]
                counts[wall.name] = distinct(pieces.cluster, key, clusters)

    def row_cost(
        self, wall: Limit, counts: Counts, pieces: Pieces, delay: IntArray
    ) -> tuple[IntArray, IntArray]:
        """Cost of every row in its cheapest encoding, and that encoding's index."""
        variables = {
            "weight_bits": counts["weight_bits"][pieces.cluster],
            "index_bits": index_bits(self.limits.target, counts["n_neurons"])[pieces.cluster],
            "delay_bits": delay_width(delay),
        }
        encodings = self.limits.target.core.encodings
        best = np.full(pieces.count.size, np.iinfo(np.int64).max)
        choice = np.zeros(pieces.count.size, np.int64)
        for number, encoding in enumerate(encodings):
            if encoding in wall.per_axon:
                f = _entries(encoding, counts, pieces)
                cost = _row_table(wall.per_axon[encoding], f, variables)
                choice[cost < best] = number
                best = np.minimum(best, cost)
        return best, choice


def delay_width(delay: IntArray) -> IntArray:
    """Bits that hold a delay; none for delay 0."""
    return np.frexp(delay)[1].astype(np.int64)


def _entries(encoding: Encoding, counts: Counts, pieces: Pieces) -> IntArray:
    """Entries a row stores: its synapses, or for dense rows also the zeros between them."""
    if encoding == "sparse":
        return pieces.count.astype(np.int64)
    if encoding == "dense":
        return pieces.span.astype(np.int64)
    return counts["n_neurons"][pieces.cluster]


def _row_table(text: str, f: IntArray, variables: Mapping[str, IntArray]) -> IntArray:
    """Evaluate a formula once per distinct (f, widths) instead of once per row."""
    if not f.size:
        return f
    key = f.astype(np.int64)
    for values in variables.values():
        key = key * 64 + np.minimum(values, 63)
    unique, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    sample = {name: values[first] for name, values in variables.items()}
    cost = evaluate(text, {"f": f[first], **sample})
    return np.broadcast_to(np.asarray(cost, np.int64), unique.shape)[inverse.reshape(-1)]


def _sum(cluster: IntArray, value: IntArray, clusters: int) -> IntArray:
    return np.bincount(cluster, weights=value, minlength=clusters).astype(np.int64)
