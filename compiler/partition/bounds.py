"""Lower bounds on the number of cores: no assignment of neurons can use fewer."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from snnc.compiler.partition.kernel_bound import least_counts, least_memory
from snnc.compiler.partition.limits import Limit
from snnc.compiler.partition.meter import Meter
from snnc.ir.arrays import IntArray
from snnc.ir.target import KERNEL_COUNTS

ADDITIVE = frozenset({"n_neurons", "n_compartments", "n_synapses", "state_bytes", *KERNEL_COUNTS})


def core_bound(meter: Meter, populations: range) -> tuple[int, str]:
    """Smallest number of cores for some populations, and the resource that says so."""
    best, name = 1, "one core"
    totals = _totals(meter, populations)
    for wall in meter.limits.walls:
        need = _need(meter, wall, totals, populations)
        # A sum of fractions that is whole must not become one core more by float rounding.
        cores = math.ceil(need / wall.capacity * (1 - 1e-12)) if wall.capacity else 1
        if cores > best:
            best, name = cores, wall.name
    return best, name


def _totals(meter: Meter, populations: range) -> Mapping[str, IntArray]:
    neurons = [meter.wiring.populations[p].size for p in populations]
    cost = meter.neuron_cost[populations.start : populations.stop]
    totals = {
        "n_neurons": sum(neurons),
        "n_compartments": int(np.dot(neurons, cost)),
        "n_synapses": sum(meter.wiring.fanin[p].synapses for p in populations),
        "state_bytes": sum(neurons) * meter.limits.target.core.state_bytes,
    }
    if any("n_axons_in" in wall.names for wall in meter.limits.walls):
        totals["n_axons_in"] = _axons(meter, populations)
    return {name: np.array([value]) for name, value in totals.items()}


def _axons(meter: Meter, populations: range) -> int:
    """Distinct (source, delay): each needs an input axon on at least one core."""
    wiring = meter.wiring
    heard = np.zeros(wiring.sources.total * wiring.signs * wiring.delays, bool)
    for population in populations:
        heard[wiring.axon_key(wiring.fanin[population])] = True
    return int(np.count_nonzero(heard))


def _need(meter: Meter, wall: Limit, totals: Mapping[str, IntArray], populations: range) -> float:
    if wall.per_axon:
        return sum(least_memory(meter, wall, p) for p in populations)
    if wall.expression is None:
        return 0.0
    totals = {**totals, **_stored(meter, wall, populations)}
    if wall.names <= ADDITIVE or wall.expression.strip() == "n_axons_in":
        return float(meter.limits.use(wall, totals)[0])
    if wall.names <= ADDITIVE | {"weight_bits"}:
        # Each population in its own width; a shared core takes the widest, so never less.  What
        # rounding up adds per population is taken off again.
        parts = [
            {
                **_totals(meter, range(p, p + 1)),
                **_stored(meter, wall, range(p, p + 1)),
                "weight_bits": np.array([meter.bits[p]]),
            }
            for p in populations
        ]
        return float(sum(meter.limits.use(wall, part)[0] - 1 for part in parts))
    return 0.0


def _stored(meter: Meter, wall: Limit, populations: range) -> Mapping[str, IntArray]:
    """What a formula may count of kernels and rows, at least; empty where it does not."""
    if not wall.names & set(KERNEL_COUNTS):
        return {}
    parts = [least_counts(meter, wall, p) for p in populations]
    return {name: np.array([sum(part[name] for part in parts)]) for name in KERNEL_COUNTS}
