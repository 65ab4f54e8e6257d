"""What single neurons need of a core of their own, without cutting anything into pieces."""

from __future__ import annotations

import numpy as np

from snnc.compiler.partition.limits import Counts
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.tally import Pieces
from snnc.ir.arrays import IntArray


def alone(meter: Meter, population: int) -> dict[str, IntArray]:
    """Counts of one core per neuron, [neurons] each, consumers and row formats left out.

    Every synapse counts as an axon of its own: exact unless two rows of one source merge, or
    kernels take less, which they hardly do for one neuron.
    """
    size = meter.wiring.populations[population].size
    counts = meter.body(population, np.arange(size), size)
    counts["n_axons_in"] = counts["n_synapses"]
    rows = _rows_by_delay(meter, population)
    for wall in meter.limits.walls:
        if wall.per_axon:
            counts[wall.name] = sum(
                (n * _lone_row(meter, population, wall.name, delay) for delay, n in rows.items()),
                np.zeros(size, np.int64),
            )
        elif wall.per_row:
            counts[wall.name] = np.zeros(size, np.int64)
    return counts


def lone(meter: Meter, population: int, inputs: IntArray) -> dict[str, IntArray]:
    """[counts of inputs] a neuron of the population with so many inputs, without extra delay."""
    one = np.ones(inputs.size, np.int64)
    counts: dict[str, IntArray] = {
        "n_neurons": one,
        "n_compartments": one * int(meter.neuron_cost[population]),
        "n_axons_in": inputs,
        "n_axons_out": 0 * one,
        "n_synapses": inputs,
        "max_fan_in": inputs,
        "max_targets_per_neuron": 0 * one,
        "weight_bits": one * meter.bits[population],
        "state_bytes": one * meter.limits.target.core.state_bytes,
        **meter.rows_only(inputs),
    }
    for wall in meter.limits.walls:
        if wall.per_axon:
            counts[wall.name] = inputs * _lone_row(meter, population, wall.name, 0)
        elif wall.table:
            counts[wall.name] = one
    return counts


def _rows_by_delay(meter: Meter, population: int) -> dict[int, IntArray]:
    """[neurons] synapses by extra delay."""
    fanin = meter.wiring.fanin[population]
    size = meter.wiring.populations[population].size
    if not np.any(fanin.delay != fanin.delay[:1]):
        here = slice(meter.first[population], meter.first[population + 1])
        return {int(delay): meter.fan_in[here] for delay in fanin.delay[:1]}
    return fanin.fan_in_by_delay(size)


def _lone_row(meter: Meter, population: int, wall: str, delay: int) -> int:
    """Cost of a row with one synapse on a core with one neuron."""
    (limit,) = (w for w in meter.limits.walls if w.name == wall)
    one, zero = np.ones(1, np.int64), np.zeros(1, np.int64)
    counts = {"n_neurons": one, "weight_bits": one * meter.bits[population]}
    cost, _ = meter.row_cost(limit, counts, Pieces(zero, zero, one, one, zero), zero + delay)
    return int(cost[0])


def fill(meter: Meter, counts: Counts) -> IntArray:
    """[neurons] largest share of any wall a neuron takes, in units of 2^-20 and at least 1.

    Axons count nothing: neighbours share them.
    """
    share = np.zeros(counts["n_neurons"].shape)
    for wall in meter.limits.walls:
        if wall.table or (not wall.per_axon and "n_axons_in" in wall.names):
            continue
        use = meter.limits.use(wall, counts)
        share = np.maximum(share, use / max(wall.capacity, 1))
    return np.maximum((share * (1 << 20)).astype(np.int64), 1)
