"""Choose one tiling per population: few cores, little traffic, output axons respected.

How many output axons a cluster needs depends on how its consumers are cut, so the choice is made
for all populations together by CP-SAT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ortools.sat.python import cp_model

from snnc.compiler.partition.limits import Counts
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.tiling import Tiling
from snnc.compiler.solver import new_solver
from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.errors import CapacityError

CORE_SCALE = 1_000  # cores are counted in thousandths: clusters may share them
TRAFFIC_SHARE = 0.02
"""Share of a network's cores that all of its traffic is worth."""
PRICE_SCALE = 10**12  # of the dearest choice
SOLVER_EFFORT = 5.0  # deterministic time: equal inputs give equal answers


@dataclass(frozen=True)
class Selection:
    """The chosen tilings, and what the solver says of them."""

    tilings: tuple[Tiling, ...]
    status: str


def select(
    meter: Meter,
    options: Sequence[Sequence[Tiling]],
    seed: int,
    price: tuple[float, float] | None = None,
    whole: bool = False,
) -> Selection | None:
    """Pick one tiling per population, or None when no combination has enough output axons.

    Args:
        price: of a core and of a packet to one; None: few cores, and
            fewer packets where that costs hardly a core.
        whole: every cluster counts as a core, as if none were shared.

    Raises:
        CapacityError: the solver's time ended without an answer.
    """
    model = cp_model.CpModel()
    chosen = [[model.new_bool_var("") for _ in tilings] for tilings in options]
    for variables in chosen:
        model.add_exactly_one(variables)
    for population, tilings in enumerate(options):
        for number, tiling in enumerate(tilings):
            _limit_outputs(model, meter, options, chosen, tiling, chosen[population][number])
    if meter.limits.target.core.max_targets_per_neuron is not None:
        _limit_targets(model, meter, options, chosen)
    model.minimize(_objective(meter, options, chosen, price, whole))
    solver = new_solver(seed)
    solver.parameters.max_deterministic_time = SOLVER_EFFORT
    status = solver.solve(model)
    if status == cp_model.UNKNOWN:
        raise CapacityError(
            "the solver found no choice of tilings in its time, and no proof that there is none",
            where=", ".join(node.name for node in meter.wiring.populations[:6]),
            found=f"{sum(map(len, options))} candidates for {len(options)} populations",
            allowed=f"{SOLVER_EFFORT:g} units of deterministic solver time",
            remedy="--partitioner tiles gives it fewer candidates; another --seed another search; "
            "or choose a target with more output axons",
        )
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    picked = tuple(
        next(t for t, v in zip(tilings, variables, strict=True) if solver.boolean_value(v))
        for tilings, variables in zip(options, chosen, strict=True)
    )
    return Selection(picked, "optimal" if status == cp_model.OPTIMAL else "feasible")


def _objective(
    meter: Meter,
    options: Sequence[Sequence[Tiling]],
    chosen: Sequence[Sequence[Any]],
    price: tuple[float, float] | None,
    whole: bool,
) -> Any:
    """Cores, and a little for the rate-weighted number of (source, cluster) pairs."""
    rate = meter.wiring.rate
    traffic = [
        [float((rate[t.reach_start : t.reach_start + t.reach.size] * t.reach).sum()) for t in some]
        for some in options
    ]
    total = sum(max(values) for values in traffic) or 1.0
    if price is not None:
        core, packet = price
        packet = packet or core / (1_000 * total) or 1.0  # packets break ties between cores
        most = core * sum(max(t.cores for t in tilings) for tilings in options) + packet * total
        scale = PRICE_SCALE / (most or 1.0)
        return sum(
            round(scale * (core * t.cores + packet * value)) * variable
            for tilings, values, variables in zip(options, traffic, chosen, strict=True)
            for t, value, variable in zip(tilings, values, variables, strict=True)
        )
    cores = [[t.clusters if whole else t.cores for t in tilings] for tilings in options]
    most = sum(map(max, cores))
    return sum(
        round(CORE_SCALE * (count + TRAFFIC_SHARE * most * value / total)) * variable
        for counts, values, variables in zip(cores, traffic, chosen, strict=True)
        for count, value, variable in zip(counts, values, variables, strict=True)
    )


def _limit_outputs(
    model: cp_model.CpModel,
    meter: Meter,
    options: Sequence[Sequence[Tiling]],
    chosen: Sequence[Sequence[Any]],
    producer: Tiling,
    active: Any,
) -> None:
    """If ``producer`` is chosen, its consumers' tilings leave every cluster enough axons."""
    room = output_limit(meter, producer.counts)
    if room is None:
        return
    terms = [
        (reach, variable)
        for tilings, variables in zip(options, chosen, strict=True)
        for consumer, variable in zip(tilings, variables, strict=True)
        if (reach := pairs_sent(meter, producer, consumer)).any()
    ]
    for cluster in range(producer.clusters):
        weights = [(int(reach[cluster]), variable) for reach, variable in terms]
        if sum(w for w, _ in weights) > room[cluster]:
            used = sum(w * variable for w, variable in weights)
            model.add(used <= int(room[cluster])).only_enforce_if(active)


def pairs_sent(meter: Meter, producer: Tiling, consumer: Tiling) -> IntArray:
    """[clusters of producer] (neuron, destination cluster) pairs towards one consumer."""
    reach = neuron_reach(meter, producer.population, consumer)
    if not reach.any():
        return np.zeros(producer.clusters, np.int64)
    return np.bincount(producer.label, weights=reach, minlength=producer.clusters).astype(np.int64)


def neuron_reach(meter: Meter, population: int, consumer: Tiling) -> IntArray:
    """[neurons of population] clusters of ``consumer`` each one reaches."""
    first = meter.wiring.first_neuron + meter.first
    return consumer.reach_of(int(first[population]), int(first[population + 1]))


def output_limit(meter: Meter, counts: Counts) -> IntArray | None:
    """[clusters] largest n_axons_out that breaks no wall; None when nothing limits it."""
    walls = [w for w in meter.limits.walls if "n_axons_out" in w.names]
    if not walls:
        return None
    clusters = counts["n_neurons"].size

    def fits(axons: IntArray) -> AnyArray:
        trial = {**counts, "n_axons_out": axons}
        good: AnyArray = np.all([meter.limits.use(w, trial) <= w.capacity for w in walls], axis=0)
        return good

    low = np.full(clusters, -1, np.int64)
    high = np.full(clusters, 2**10, np.int64)
    while (more := fits(high) & (high < 2**40)).any():
        high = np.where(more, high << 10, high)
    while (high - low > 1).any():
        middle = (low + high) // 2
        good = fits(middle)
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    return low


def _limit_targets(
    model: cp_model.CpModel,
    meter: Meter,
    options: Sequence[Sequence[Tiling]],
    chosen: Sequence[Sequence[Any]],
) -> None:
    """No neuron may reach more cores than it has target entries."""
    most = meter.limits.target.core.max_targets_per_neuron
    flat = [
        (t, v) for ts, vs in zip(options, chosen, strict=True) for t, v in zip(ts, vs, strict=True)
    ]
    rows = [
        np.unique(np.stack([neuron_reach(meter, p, t) for t, _ in flat], axis=1), axis=0)
        for p in range(len(meter.wiring.populations))
    ]
    for row in np.unique(np.concatenate(rows), axis=0):
        if row.sum() > most:
            model.add(sum(int(n) * v for n, (_, v) in zip(row, flat, strict=True) if n) <= most)
