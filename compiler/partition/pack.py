"""Share cores: put small clusters of different populations together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ortools.sat.python import cp_model

from snnc.compiler.partition.kernels import heard_by_axon, kernels_together
from snnc.compiler.partition.limits import Counts
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.select import pairs_sent
from snnc.compiler.partition.tally import Pieces
from snnc.compiler.partition.tiling import Tiling
from snnc.compiler.solver import new_solver
from snnc.ir.arrays import IntArray

EXACT_CLUSTERS = 40
SOLVER_EFFORT = 1.0
SUMMED = (
    "n_neurons", "n_compartments", "n_axons_out", "n_synapses", "state_bytes",
)  # fmt: skip
LARGEST = ("max_fan_in", "max_targets_per_neuron", "weight_bits")
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Packing:
    """Core of every cluster (clusters numbered tiling by tiling), and how it was found."""

    core: IntArray
    cores: int
    status: str


@dataclass(frozen=True, eq=False)
class Clusters:
    """All clusters of all chosen tilings as rows of flat tables."""

    meter: Meter
    tilings: Sequence[Tiling]
    population: IntArray
    number: IntArray
    counts: dict[str, IntArray]
    apart: IntArray | None = None
    """[populations] classes that may not share a core; None: all may."""

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

    def usage(self) -> IntArray:
        """[clusters, walls]."""
        columns = self.meter.limits.usage(self.counts).values()
        return np.stack(list(columns), axis=1) if columns else np.zeros((self.size, 0), np.int64)

    def one_exponent(self, members: Sequence[int]) -> bool:
        """Whether the clusters may share a core: one weight exponent per row."""
        return np.unique(_compatible(self)[list(members)]).size == 1

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

    def together(self, members: list[int]) -> Counts:
        """Exact counts of one core holding these clusters in rising order ([1] each).

        Where no limit asks for rows, they are not merged, and input axons are only added up.
        """
        members = sorted(members)
        counts = {n: self.counts[n][members].sum(keepdims=True) for n in SUMMED}
        for name in LARGEST:
            counts[name] = self.counts[name][members].max(keepdims=True)
        for name, profile in self.meter.tables.items():
            counts[name] = np.array([np.unique(profile[self._neurons(members)]).size])
        if not self.meter.rows_matter:
            counts["n_axons_in"] = self.counts["n_axons_in"][members].sum(keepdims=True)
            kernels = self._stored(members)
            if kernels is not None:
                counts |= self.meter.rows_only(counts["n_synapses"])
                none: IntArray = np.zeros(kernels.count.size, np.int64)
                self.meter.add_rows(counts, kernels, none, none)
            return counts
        key, count, low, high, shift = self._merged_rows(members)
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

    def _merged_rows(self, members: list[int]) -> tuple[IntArray, ...]:
        """Rows of equal (source, delay) become one row of the shared core."""
        parts, base = [], 0
        for member in members:
            key, pieces, shift = self.rows(member)
            start = pieces.first.astype(np.int64) + base
            columns = (key, pieces.count, start, start + pieces.span, np.full(key.size, shift))
            parts.append(columns)
            base += int(self.counts["n_neurons"][member])
        key, count, low, high, exponents = (np.concatenate(c) for c in zip(*parts, strict=True))
        unique, inverse = np.unique(key, return_inverse=True)
        total = np.bincount(inverse, weights=count).astype(np.int64)
        first = np.full(unique.size, np.iinfo(np.int64).max)
        last = np.zeros(unique.size, np.int64)
        exponent = np.zeros(unique.size, np.int64)
        np.minimum.at(first, inverse, low)
        np.maximum.at(last, inverse, high)
        exponent[inverse] = exponents
        return unique, total, first, last, exponent

    def _neurons(self, members: list[int]) -> IntArray:
        parts = []
        for member in members:
            tiling = self.tilings[self.population[member]]
            local = np.flatnonzero(tiling.label == self.number[member])
            parts.append(local + self.meter.first[tiling.population])
        return np.concatenate(parts)


def pack(
    meter: Meter, tilings: Sequence[Tiling], bound: int, seed: int, apart: IntArray | None = None
) -> Packing:
    """Put clusters on as few cores as possible; every shared core is measured exactly.

    Args:
        bound: cores that are needed at least; reaching it proves the packing optimal.
        apart: [populations] numbers; populations with different ones share no core.
    """
    clusters = Clusters.of(meter, tilings, apart)
    core = _first_fit(clusters)
    cores = int(core.max(initial=-1)) + 1
    if cores <= bound:
        return Packing(core, cores, "optimal")
    if clusters.size > EXACT_CLUSTERS:
        return Packing(core, cores, "first fit")
    return _solve(clusters, core, bound, seed)


def _compatible(clusters: Clusters) -> IntArray:
    """[clusters] classes that may share a core: one weight exponent per row, one pinned place."""
    exponents = any("weight_exponent" in w.table for w in clusters.meter.limits.walls)
    kind = np.zeros(clusters.size, np.int64)
    if exponents:
        shift = np.array([p.input_shift for p in clusters.meter.wiring.populations])
        kind = shift[clusters.population]
    if clusters.apart is not None:
        kind = kind * (int(clusters.apart.max(initial=0)) + 1) + clusters.apart[clusters.population]
    return kind


@dataclass(frozen=True, eq=False)
class _Held:
    """The counts of all cores in the making, but for those of rows and tables; changed in place."""

    counts: dict[str, IntArray]

    @staticmethod
    def nothing(clusters: Clusters) -> _Held:
        """As many empty cores as there are clusters."""
        return _Held({name: np.zeros(clusters.size, np.int64) for name in (*SUMMED, *LARGEST)})

    def put(self, clusters: Clusters, core: int, cluster: int) -> None:
        """Add a cluster to a core."""
        for name, held in self.counts.items():
            more = clusters.counts[name][cluster]
            held[core] = held[core] + more if name in SUMMED else max(held[core], more)

    def fits(self, clusters: Clusters, cores: IntArray, cluster: int) -> BoolArray:
        """[cores] no limit that needs neither rows nor tables is broken by one cluster more."""
        counts = {}
        for name, held in self.counts.items():
            more = clusters.counts[name][cluster]
            counts[name] = held[cores] + more if name in SUMMED else np.maximum(held[cores], more)
        good: BoolArray = np.ones(cores.size, bool)
        for wall in clusters.meter.limits.walls:
            if wall.names and wall.names <= counts.keys():
                good &= clusters.meter.limits.use(wall, counts) <= wall.capacity
        return good


def _first_fit(clusters: Clusters) -> IntArray:
    """Largest clusters first, each into the fullest core that takes it."""
    limits = clusters.meter.limits
    capacity = np.array([w.capacity for w in limits.walls], np.float64)
    usage = clusters.usage()
    fill = (usage / np.maximum(capacity, 1)).max(axis=1, initial=0)
    kind = _compatible(clusters)
    core = np.full(clusters.size, -1, np.int64)
    load = np.zeros((clusters.size, capacity.size))
    core_kind = np.zeros(clusters.size, np.int64)
    members: list[list[int]] = []
    held = _Held.nothing(clusters)
    for cluster in np.argsort(-fill, kind="stable"):
        used = len(members)
        hopeful = np.flatnonzero(
            (load[:used] + usage[cluster] <= capacity).all(axis=1)
            & (core_kind[:used] == kind[cluster])
        )
        hopeful = hopeful[held.fits(clusters, hopeful, cluster)]
        fullness = (load[hopeful] / np.maximum(capacity, 1)).max(axis=1, initial=0)
        for bin_ in hopeful[np.argsort(-fullness, kind="stable")]:
            counts = clusters.together([*members[bin_], int(cluster)])
            if limits.fits(counts).all():
                members[bin_].append(int(cluster))
                held.put(clusters, int(bin_), cluster)
                load[bin_] = [limits.use(w, counts)[0] for w in limits.walls]
                core[cluster] = bin_
                break
        else:
            core[cluster] = used
            held.put(clusters, used, cluster)
            members.append([int(cluster)])
            core_kind[used] = kind[cluster]
            load[used] = usage[cluster]
    return core


def _solve(clusters: Clusters, start: IntArray, bound: int, seed: int) -> Packing:
    """Bin packing with all capacities, additive; a solution is accepted when it measures well."""
    used = int(start.max()) + 1
    proven = True
    for cores in range(max(bound, _halves(clusters)), used):
        core, status = _pack_into(clusters, cores, seed)
        if core is not None and _legal(clusters, core):
            return Packing(core, cores, "optimal for these clusters" if proven else "feasible")
        proven &= status == cp_model.INFEASIBLE
    return Packing(start, used, "optimal for these clusters" if proven else "first fit")


def _halves(clusters: Clusters) -> int:
    """No two clusters that fill more than half of a resource share a core."""
    walls = clusters.meter.limits.walls
    capacity = np.array([w.capacity for w in walls], np.int64)
    large = 2 * clusters.usage() > capacity
    summed = np.array([not w.table and "n_axons_in" not in w.names for w in walls], bool)
    return int((large & summed).sum(axis=0).max(initial=1))


def _pack_into(clusters: Clusters, cores: int, seed: int) -> tuple[IntArray | None, int]:
    model = cp_model.CpModel()
    size = clusters.size
    at = [[model.new_bool_var("") for _ in range(cores)] for _ in range(size)]
    for k, row in enumerate(at):
        model.add_exactly_one(row)
        for core in range(k + 1, cores):  # cluster k opens at most core k: no mirrored solutions
            model.add(row[core] == 0)
    usage = clusters.usage()
    for column, wall in enumerate(clusters.meter.limits.walls):
        if usage[:, column].sum() > wall.capacity:
            for core in range(cores):
                used = sum(int(usage[k, column]) * at[k][core] for k in range(size))
                model.add(used <= wall.capacity)
    kind = _compatible(clusters)
    for i in range(size):
        for j in range(i):
            if kind[i] != kind[j]:
                for core in range(cores):
                    model.add_bool_or(at[i][core].negated(), at[j][core].negated())
    solver = new_solver(seed)
    solver.parameters.max_deterministic_time = SOLVER_EFFORT
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None, int(status)
    values = [[solver.boolean_value(v) for v in row] for row in at]
    return np.argmax(np.array(values), axis=1), int(status)


def _legal(clusters: Clusters, core: IntArray) -> bool:
    limits = clusters.meter.limits
    groups = [np.flatnonzero(core == c).tolist() for c in np.unique(core)]
    return all(limits.fits(clusters.together(g)).all() for g in groups)
