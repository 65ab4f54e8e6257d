"""Share cores: put small clusters of different populations together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ortools.sat.python import cp_model

from snnc.compiler.partition.clusters import LARGEST, SUMMED, Clusters
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.regroup import Regrouping
from snnc.compiler.partition.tiling import Tiling
from snnc.compiler.solver import new_solver
from snnc.ir.arrays import IntArray

EXACT_CLUSTERS = 40
SOLVER_EFFORT = 1.0
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Packing:
    """Where every cluster is (clusters numbered tiling by tiling), and how that was found.

    Attributes:
        core: [clusters].
        cores: how many there are.
        status: "optimal", "optimal for these clusters", "feasible" or "first fit".
        mixed: [clusters] equal for clusters of one population and core whose neurons stand in the
            order of the population, as if they were one cluster.
    """

    core: IntArray
    cores: int
    status: str
    mixed: IntArray


def pack(
    meter: Meter, tilings: Sequence[Tiling], bound: int, seed: int, apart: IntArray | None = None
) -> Packing:
    """Put clusters on as few cores as possible, then those together that save packets.

    Every shared core is measured exactly.

    Args:
        bound: cores that are needed at least; reaching it proves the packing optimal.
        apart: [populations] numbers; populations with different ones share no core.
    """
    clusters = Clusters.of(meter, tilings, apart)
    core, status = _first_fit(clusters), "first fit"
    if _count(core) > bound and clusters.size <= EXACT_CLUSTERS:
        core, status = _solve(clusters, core, bound, seed)
    fewest = _count(core)
    Regrouping(clusters, core).improve()
    core = np.unique(core, return_inverse=True)[1].reshape(-1)
    cores = _count(core)
    if cores <= bound:
        status = "optimal"
    elif cores < fewest and status != "first fit":
        status = "feasible"  # rows that merge were not known to the solver
    return Packing(core, cores, status, _mixed(clusters, core))


def _count(core: IntArray) -> int:
    return int(core.max(initial=-1)) + 1


def _mixed(clusters: Clusters, core: IntArray) -> IntArray:
    """``Packing.mixed``: the first of the clusters that are mixed, or the cluster itself."""
    result = np.arange(clusters.size)
    order = np.argsort(core, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(core[order])) + 1):
        if members.size > np.unique(clusters.population[members]).size:
            for population in clusters.measured(members.tolist())[1]:
                same = members[clusters.population[members] == population]
                result[same] = same[0]
    return result


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
    kind = clusters.kind
    core = np.full(clusters.size, -1, np.int64)
    load = np.zeros((clusters.size, capacity.size))
    core_kind = np.zeros(clusters.size, np.int64)
    members: list[list[int]] = []
    held = _Held.nothing(clusters)
    # Per limit, no less than what any core has left: large clusters need not look at each of them.
    spare = np.zeros(capacity.size)
    order = np.argsort(-fill, kind="stable")
    least = np.minimum.accumulate(usage[order][::-1])[::-1]
    open_: IntArray = np.zeros(0, np.int64)  # cores that something may still fit
    opened: list[int] = []  # since they were looked through
    for place, cluster in enumerate(order):
        used = len(members)
        hopeful: IntArray = open_[:0]
        if (usage[cluster] <= spare).all():
            open_ = np.concatenate([open_, np.array(opened, np.int64)])
            opened.clear()
            open_ = open_[(capacity - load[open_] >= least[place]).all(axis=1)]
            left = capacity - load[open_]
            spare = left.max(axis=0, initial=0)
            hopeful = open_[(left >= usage[cluster]).all(axis=1)]
            hopeful = hopeful[core_kind[hopeful] == kind[cluster]]
        if hopeful.size:
            hopeful = hopeful[held.fits(clusters, hopeful, cluster)]
        fullness = (load[hopeful] / np.maximum(capacity, 1)).max(axis=1, initial=0)
        for bin_ in hopeful[np.argsort(-fullness, kind="stable")]:
            counts, _ = clusters.measured([*members[bin_], int(cluster)])
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
            opened.append(used)
            spare = np.maximum(spare, capacity - usage[cluster])
    return core


def _solve(clusters: Clusters, start: IntArray, bound: int, seed: int) -> tuple[IntArray, str]:
    """Bin packing with all capacities, additive; a solution is accepted when it measures well.

    Returns:
        [clusters] core, and how it was found.
    """
    used = _count(start)
    proven = True
    for cores in range(max(bound, _halves(clusters)), used):
        core, status = _pack_into(clusters, cores, seed)
        if core is not None and _legal(clusters, core):
            return core, "optimal for these clusters" if proven else "feasible"
        proven &= status == cp_model.INFEASIBLE
    return start, "optimal for these clusters" if proven else "first fit"


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
    kind = clusters.kind
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
    return all(clusters.fit(np.flatnonzero(core == c).tolist()) for c in np.unique(core))
