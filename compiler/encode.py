"""Encodings of finished core images: the cheapest per axon, and an exact recount of every limit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.tally import Pieces
from snnc.compiler.traffic import weighted
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import CoreTables
from snnc.ir.errors import CompilerBugError, UnsupportedError
from snnc.ir.jit import kernel
from snnc.ir.target import Target


@dataclass(frozen=True, eq=False)
class Encoded:
    """Finished core images.

    Attributes:
        tables: with encodings.
        usage: (use per core, capacity) by resource.
        storage: rows and synapses by encoding, and the memory they take; JSON values.
    """

    tables: CoreTables
    usage: dict[str, tuple[IntArray, int]]
    storage: dict[str, Any]


def encode(tables: CoreTables, meter: Meter) -> Encoded:
    """Choose the cheapest encoding of every axon and measure every core exactly.

    Raises:
        UnsupportedError: a core's axons need more types than the target has.
        CompilerBugError: a core exceeds a limit: a merge or a tiling was measured too low.
    """
    pieces, counts = _count(tables, meter)
    shift = np.array([p.input_shift for p in meter.wiring.populations])
    population = _population_of_rows(tables, meter)
    meter.add_rows(counts, pieces, tables.axon_delay.astype(np.int64), shift[population])
    choice: IntArray = np.zeros(pieces.count.size, np.int64)
    delay = tables.axon_delay.astype(np.int64)
    memory: dict[str, Any] = {}
    for wall in meter.limits.walls:
        if wall.per_axon:
            cost, choice = meter.row_cost(wall, counts, pieces, delay)
            memory[wall.name] = {"unit": wall.unit, "used": int(cost.sum()), "all_dense": None}
            if "dense" in wall.per_axon:
                dense, _ = meter.row_cost(wall, counts, pieces, delay, only="dense")
                memory[wall.name]["all_dense"] = int(dense.sum())
    _check(meter, counts, tables)
    check_axon_types(tables, meter.limits.target)
    usage = {w.name: (meter.limits.use(w, counts), w.capacity) for w in meter.limits.walls}
    tables = replace(tables, axon_encoding=choice.astype(np.int8))
    return Encoded(tables, usage, _storage(meter, pieces, choice, memory))


def _storage(
    meter: Meter, pieces: Pieces, choice: IntArray, memory: dict[str, Any]
) -> dict[str, Any]:
    """How rows are stored, and what dense rows would have taken."""
    names = meter.limits.target.core.encodings
    rows = np.bincount(choice, minlength=len(names))
    synapses = np.bincount(choice, weights=pieces.count, minlength=len(names))
    return {
        "rows": {name: int(n) for name, n in zip(names, rows, strict=True)},
        "synapses": {name: int(n) for name, n in zip(names, synapses, strict=True)},
        "memory": memory,
    }


def _count(tables: CoreTables, meter: Meter) -> tuple[Pieces, dict[str, IntArray]]:
    cores = tables.count
    neurons = np.diff(tables.neuron_ptr)
    core_of_axon = np.repeat(np.arange(cores), np.diff(tables.axon_ptr))
    count = np.diff(tables.synapse_ptr)
    first = tables.synapse_target[tables.synapse_ptr[:-1]].astype(np.int64)
    last = tables.synapse_target[tables.synapse_ptr[1:] - 1].astype(np.int64)
    pieces = Pieces(core_of_axon, np.arange(count.size), count, last - first + 1, first)
    local = tables.neuron_source - meter.wiring.first_neuron
    core_of_neuron = np.repeat(np.arange(cores), neurons)
    population = np.searchsorted(meter.first, local, side="right") - 1
    pairs = sent_pairs(tables)
    sends = np.bincount(pairs[0], minlength=meter.wiring.sources.total)
    per_neuron = (sends * meter.wiring.axons)[tables.neuron_source]
    counts: dict[str, IntArray] = {
        "n_neurons": neurons,
        "n_compartments": _sum(core_of_neuron, meter.neuron_cost[population], cores),
        "n_axons_in": np.diff(tables.axon_ptr),
        "n_axons_out": _sum(core_of_neuron, per_neuron, cores),
        "n_synapses": _sum(core_of_axon, count, cores),
        "max_fan_in": _largest(core_of_neuron, meter.fan_in[local], cores),
        "max_targets_per_neuron": _largest(core_of_neuron, per_neuron, cores),
        "weight_bits": _largest(core_of_neuron, np.array(meter.bits)[population], cores),
        "state_bytes": neurons * meter.limits.target.core.state_bytes,
    }
    for name, key in meter.tables.items():
        pair = np.unique(core_of_neuron * (int(key.max(initial=0)) + 1) + key[local])
        counts[name] = np.bincount(pair // (int(key.max(initial=0)) + 1), minlength=cores)
    return pieces, counts


def sent_pairs(tables: CoreTables) -> tuple[IntArray, IntArray]:
    """(source id, destination core) of every packet one spike of each source needs."""
    core = np.repeat(np.arange(tables.count), np.diff(tables.axon_ptr))
    pairs = np.unique(tables.axon_source.astype(np.int64) * max(tables.count, 1) + core)
    return pairs // max(tables.count, 1), pairs % max(tables.count, 1)


def _population_of_rows(tables: CoreTables, meter: Meter) -> IntArray:
    core = np.repeat(np.arange(tables.count), np.diff(tables.axon_ptr))
    slot = tables.synapse_target[tables.synapse_ptr[:-1]]
    neuron = tables.neuron_source[tables.neuron_ptr[core] + slot] - meter.wiring.first_neuron
    population: IntArray = np.searchsorted(meter.first, neuron, side="right") - 1
    return population


def _sum(index: IntArray, value: IntArray, size: int) -> IntArray:
    return weighted(index, value.astype(np.float64), size).astype(np.int64)


def _largest(index: IntArray, value: IntArray, size: int) -> IntArray:
    result = np.zeros(size, np.int64)
    np.maximum.at(result, index, value)
    return result


def check_axon_types(tables: CoreTables, target: Target) -> None:
    """Refuse cores whose axons need more types than the target has.

    Axons of one type use one weight per neuron; types are given first fit, in axon order.

    Raises:
        UnsupportedError: a core needs more types.
    """
    limit = target.core.weight.axon_types
    if limit is None:
        return
    for core in range(tables.count):
        neurons = int(tables.neuron_ptr[core + 1] - tables.neuron_ptr[core])
        rows = tables.synapse_ptr[tables.axon_ptr[core] : tables.axon_ptr[core + 1] + 1]
        used = _axon_types(rows, tables.synapse_target, tables.synapse_weight, neurons)
        if used > limit:
            raise UnsupportedError(
                f"the weights do not fit the axon types of {target.id}",
                where=f"core {core} (first neuron: source "
                f"{int(tables.neuron_source[tables.neuron_ptr[core]])})",
                found=f"{used} types by first fit",
                allowed=f"{limit} types per core, one weight per neuron and type",
                remedy="restrict each input's weights to one value per type, as TrueNorth training "
                "does, or choose another target",
            )


@kernel
def _axon_types(row_ptr: IntArray, target: IntArray, weight: IntArray, neurons: int) -> int:
    types = np.zeros((row_ptr.size, neurons), np.int64)
    used = 0
    for row in range(row_ptr.size - 1):
        chosen = used
        for kind in range(used):
            fits = True
            for k in range(row_ptr[row], row_ptr[row + 1]):
                stored = types[kind, target[k]]
                if stored != 0 and stored != weight[k]:
                    fits = False
                    break
            if fits:
                chosen = kind
                break
        if chosen == used:
            used += 1
        for k in range(row_ptr[row], row_ptr[row + 1]):
            types[chosen, target[k]] = weight[k]
    return used


def _check(meter: Meter, counts: dict[str, IntArray], tables: CoreTables) -> None:
    bad = np.flatnonzero(~meter.limits.fits(counts))
    if bad.size == 0:
        return
    core = int(bad[0])
    over = [
        f"{w.name} {int(meter.limits.use(w, counts)[core])} of {w.capacity}"
        for w in meter.limits.walls
        if meter.limits.use(w, counts)[core] > w.capacity
    ]
    most = meter.limits.target.core.max_targets_per_neuron
    if most is not None and counts["max_targets_per_neuron"][core] > most:
        over.append(f"targets per neuron {int(counts['max_targets_per_neuron'][core])} of {most}")
    source = int(tables.neuron_source[tables.neuron_ptr[core]])
    raise CompilerBugError(
        "a core exceeds its limits after assembly",
        where=f"core {core} (first neuron: source {source})",
        found="; ".join(over),
        remedy="the partitioner measured a core too low: please report the network",
    )
