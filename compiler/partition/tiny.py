"""Networks of a few neurons: all partitions at once, so that infeasible means infeasible.

Every set of neurons is measured as one core; CP-SAT covers the network with sets that fit, as few
as possible, output axons included.  The result is optimal, or a proof that there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from ortools.sat.python import cp_model

from snnc.compiler.partition.clusters import Clusters
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.select import output_limit
from snnc.compiler.partition.tiling import Tiling, measure
from snnc.compiler.solver import new_solver
from snnc.ir.arrays import IntArray

MOST_NEURONS = 8
"""All their subsets are measured: 255 at most."""


def cover(meter: Meter, seed: int) -> IntArray | None:
    """[neurons] core of every neuron with the fewest cores; None: no partition fits."""
    tilings = [
        measure(meter, p, (node.size,), np.arange(node.size))
        for p, node in enumerate(meter.wiring.populations)
    ]
    sets, rooms = _sets_that_fit(meter, tilings)
    reach = _reach(meter, tilings)
    neurons = meter.wiring.neurons
    model = cp_model.CpModel()
    chosen = [model.new_bool_var("") for _ in sets]
    for neuron in range(neurons):
        model.add_exactly_one(v for v, s in zip(chosen, sets, strict=True) if neuron in s)
    # [neurons, sets] input axons that a neuron's packets need in each set.
    sends = (
        np.stack([reach[:, list(s)].max(axis=1) for s in sets], axis=1) if sets else reach[:, :0]
    )
    for members, room, variable in zip(sets, rooms, chosen, strict=True):
        if room is not None:
            used = sends[list(members)].sum(axis=0)
            model.add(_weighted(used, chosen) <= room).only_enforce_if(variable)
    most = meter.limits.target.core.max_targets_per_neuron
    if most is not None:
        for row in sends:
            model.add(_weighted(row, chosen) <= most)
    model.minimize(sum(chosen))
    solver = new_solver(seed)
    if solver.solve(model) != cp_model.OPTIMAL:
        return None
    core = np.zeros(neurons, np.int64)
    for number, k in enumerate(k for k, v in enumerate(chosen) if solver.boolean_value(v)):
        core[list(sets[k])] = number
    return core


def _weighted(weights: IntArray, variables: Sequence[cp_model.IntVar]) -> cp_model.LinearExprT:
    return cp_model.LinearExpr.weighted_sum(variables, weights.tolist())


def _sets_that_fit(
    meter: Meter, tilings: Sequence[Tiling]
) -> tuple[list[tuple[int, ...]], list[int | None]]:
    """Sets of neurons that fit one core, and how many output axons each has room for."""
    clusters = Clusters.of(meter, tilings)
    sets, rooms = [], []
    for size in range(1, meter.wiring.neurons + 1):
        for members in combinations(range(meter.wiring.neurons), size):
            counts = dict(clusters.together(list(members)))
            counts["n_axons_out"] = counts["max_targets_per_neuron"] = np.zeros(1, np.int64)
            if clusters.one_exponent(members) and meter.limits.fits(counts).all():
                room = output_limit(meter, counts)
                sets.append(members)
                rooms.append(None if room is None else int(room[0]))
    return sets, rooms


def _reach(meter: Meter, tilings: Sequence[Tiling]) -> IntArray:
    """[neurons, neurons] axons that packets of the first need at a core with the second."""
    wiring = meter.wiring
    result = np.zeros((wiring.neurons, wiring.neurons), np.int64)
    for tiling, fanin in zip(tilings, wiring.fanin, strict=True):
        axon, piece = fanin.members(tiling.pieces.axon)
        source = fanin.source[axon]
        inner = source >= wiring.first_neuron
        target = tiling.pieces.cluster[piece[inner]] + meter.first[tiling.population]
        result[source[inner] - wiring.first_neuron, target] = wiring.axons[source[inner]]
    return result
