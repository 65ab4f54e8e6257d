"""Encodings of finished core images: the cheapest per axon, and an exact recount of every limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snnc.compiler.partition.kernels import links_of_cores
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.tally import Heard, Pieces, UsedLinks
from snnc.compiler.traffic import weighted
from snnc.ir.arrays import IntArray, sorted_unique
from snnc.ir.deployment import CoreTables, SharedCoreTables
from snnc.ir.errors import CompilerBugError, UnsupportedError
from snnc.ir.jit import kernel, lean_kernel
from snnc.ir.row_shapes import chosen
from snnc.ir.target import Target

AnyTables = CoreTables | SharedCoreTables
PORTION = 2_000_000
"""Rows of shared tables that are looked at at a time."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """Finished core images.

    Attributes:
        tables: with encodings.
        usage: (use per core, capacity) by resource.
        storage: rows and synapses by encoding, and the memory they take; JSON values.
    """

    tables: AnyTables
    usage: dict[str, tuple[IntArray, int]]
    storage: dict[str, Any]


def encode(tables: AnyTables, meter: Meter) -> Encoded:
    """Choose the cheapest encoding of every axon and measure every core exactly.

    Raises:
        UnsupportedError: a core's axons need more types than the target has.
        CompilerBugError: a core exceeds a limit: a merge or a tiling was measured too low.
    """
    counts = _count(tables, meter)
    choice = np.zeros(tables.axon_source.size, np.int8)
    storage = _Storage.empty(meter)
    per_row = [w.name for w in meter.limits.walls if w.per_axon or (w.table and w.per_row)]
    per_row += meter.rows_only(counts["n_neurons"])
    kernels = _kernels(tables, meter)
    measured: dict[str, list[IntArray]] = {name: [] for name in ("n_synapses", *per_row)}
    for begin, end in _portions(tables):
        some = {name: values[begin:end] for name, values in counts.items()}
        pieces, axons = _pieces(tables, begin, end)
        some["n_synapses"] = pieces.per_cluster(end - begin, pieces.count)
        some |= meter.rows_only(some["n_synapses"])
        if kernels is not None:
            used = tuple(mine.between(begin, end) for mine in kernels)
            pieces = _with_families(pieces, tables, meter, axons, used)
        _encode_rows(meter, tables, begin, some, pieces, axons, choice, storage)
        for name, values in measured.items():
            values.append(some[name])
    counts |= {name: np.concatenate(values) for name, values in measured.items()}
    _check(meter, counts, tables)
    check_axon_types(tables, meter.limits.target)
    usage = {w.name: (meter.limits.use(w, counts), w.capacity) for w in meter.limits.walls}
    return Encoded(replace(tables, axon_encoding=choice), usage, storage.as_dict(meter))


@dataclass(frozen=True, eq=False)
class _Storage:
    """How rows are stored, and what dense rows would have taken; added up in place."""

    rows: IntArray
    synapses: IntArray
    memory: dict[str, Any]
    kernels: dict[str, int]

    @staticmethod
    def empty(meter: Meter) -> _Storage:
        encodings = len(meter.limits.target.core.encodings)
        memory = {
            wall.name: {
                "unit": wall.unit, "used": 0,
                "all_dense": 0 if "dense" in wall.per_axon else None,
            }
            for wall in meter.limits.walls if wall.per_axon
        }  # fmt: skip
        names = ("kernels", "kernel_weights") if meter.limits.target.core.stores_kernels else ()
        none = np.zeros(encodings, np.int64)
        return _Storage(none, none.copy(), memory, dict.fromkeys(names, 0))

    def as_dict(self, meter: Meter) -> dict[str, Any]:
        names = meter.limits.target.core.encodings
        return {
            "rows": {name: int(n) for name, n in zip(names, self.rows, strict=True)},
            "synapses": {name: int(n) for name, n in zip(names, self.synapses, strict=True)},
            "memory": self.memory,
            **self.kernels,
        }


def _encode_rows(
    meter: Meter, tables: AnyTables, begin: int, counts: dict[str, IntArray], pieces: Pieces,
    axons: slice, choice: IntArray, storage: _Storage,
) -> None:  # fmt: skip
    """Choose the encodings of the rows of some cores; ``counts`` gets what depends on them."""
    delay = tables.axon_delay[axons].astype(np.int64)
    shift = np.array([p.input_shift for p in meter.wiring.populations])
    population = _population_of_rows(tables, meter, pieces, begin)
    mine = meter.add_rows(counts, pieces, delay, shift[population])
    for wall in meter.limits.walls:
        if wall.per_axon:
            storage.memory[wall.name]["used"] += int(counts[wall.name].sum())
            if "dense" in wall.per_axon:
                dense, _ = meter.row_cost(wall, counts, pieces, delay, only="dense")
                storage.memory[wall.name]["all_dense"] += int(dense.sum())
    choice[axons] = mine
    size = storage.rows.size
    storage.rows[:] += np.bincount(mine, minlength=size)
    storage.synapses[:] += np.bincount(mine, weights=pieces.count, minlength=size).astype(np.int64)
    for name in storage.kernels:
        storage.kernels[name] += int(counts[f"n_{name}"].sum())


def _kernels(tables: AnyTables, meter: Meter) -> tuple[UsedLinks, ...] | None:
    """The kernels that the cores could store; None where they store rows only."""
    if not meter.limits.target.core.stores_kernels or not meter.wiring.shared:
        return None
    core = np.empty(meter.wiring.neurons, np.int64)
    core[tables.neuron_source - meter.wiring.first_neuron] = np.repeat(
        np.arange(tables.count), np.diff(tables.neuron_ptr)
    )
    return links_of_cores(meter, core, tables.count)


def _with_families(
    pieces: Pieces, tables: AnyTables, meter: Meter, axons: slice, used: tuple[UsedLinks, ...]
) -> Pieces:
    """Rows, one axon each, with the kernels of their cores."""
    negative: IntArray = np.asarray(tables.axon_sign[axons] < 0, np.int64)
    family = meter.wiring.family(tables.axon_source[axons], negative, tables.axon_delay[axons])
    one: IntArray = np.ones(family.size, np.int64)
    heard = Heard(np.arange(family.size), family, one)
    return replace(pieces, heard=heard, used=used)


def _portions(tables: AnyTables) -> Iterator[tuple[int, int]]:
    """Ranges of cores; tables that are written out are looked at at once."""
    if isinstance(tables, CoreTables):
        yield 0, tables.count
        return
    begin = 0
    while begin < tables.count:
        most = tables.axon_ptr[begin] + PORTION
        end = int(np.searchsorted(tables.axon_ptr, most, side="right")) - 1
        end = max(begin + 1, min(end, tables.count))
        yield begin, end
        begin = end


def _pieces(tables: AnyTables, begin: int, end: int) -> tuple[Pieces, slice]:
    """The rows of some cores, numbered from the first of them, and which axons they are of."""
    ptr = tables.axon_ptr[begin : end + 1]
    axons = slice(int(ptr[0]), int(ptr[-1]))
    core = np.repeat(np.arange(end - begin), np.diff(ptr))
    if isinstance(tables, SharedCoreTables):
        rows = tables.rows
        shape = rows.shape[axons]
        count = np.diff(rows.shape_ptr)[shape]
        first = rows.shift[axons].astype(np.int64)
        last = first + rows.offset[rows.shape_ptr[1:] - 1].astype(np.int64)[shape]
    else:
        count = np.diff(tables.synapse_ptr)
        first = tables.synapse_target[tables.synapse_ptr[:-1]].astype(np.int64)
        last = tables.synapse_target[tables.synapse_ptr[1:] - 1].astype(np.int64)
    return Pieces(core, np.arange(count.size), count, last - first + 1, first), axons


def _count(tables: AnyTables, meter: Meter) -> dict[str, IntArray]:
    """The counts of every core that need no look at the rows."""
    cores = tables.count
    neurons = np.diff(tables.neuron_ptr)
    local = tables.neuron_source - meter.wiring.first_neuron
    core_of_neuron = np.repeat(np.arange(cores), neurons)
    population = np.searchsorted(meter.first, local, side="right") - 1
    sends = np.zeros(meter.wiring.sources.total + 1, np.int64)
    latest = np.full(sends.size - 1, -1, np.int32)
    _count_destinations(tables.axon_ptr, tables.axon_source, latest, sends)
    per_neuron = (sends[1:] * meter.wiring.axons)[tables.neuron_source]
    counts: dict[str, IntArray] = {
        "n_neurons": neurons,
        "n_compartments": _sum(core_of_neuron, meter.neuron_cost[population], cores),
        "n_axons_in": np.diff(tables.axon_ptr),
        "n_axons_out": _sum(core_of_neuron, per_neuron, cores),
        "max_fan_in": _largest(core_of_neuron, meter.fan_in[local], cores),
        "max_targets_per_neuron": _largest(core_of_neuron, per_neuron, cores),
        "weight_bits": _largest(core_of_neuron, np.array(meter.bits)[population], cores),
        "state_bytes": neurons * meter.limits.target.core.state_bytes,
    }
    for name, key in meter.tables.items():
        pair = sorted_unique(core_of_neuron * (int(key.max(initial=0)) + 1) + key[local])
        counts[name] = np.bincount(pair // (int(key.max(initial=0)) + 1), minlength=cores)
    return counts


def sent_pairs(tables: AnyTables, sources: int) -> tuple[IntArray, IntArray]:
    """([sources + 1] slices of, destination cores of every packet one spike of a source needs).

    The cores of a source rise.
    """
    ptr = np.zeros(sources + 1, np.int64)
    latest = np.full(sources, -1, np.int32)
    _count_destinations(tables.axon_ptr, tables.axon_source, latest, ptr)
    np.cumsum(ptr, out=ptr)
    latest[:] = -1
    core = np.empty(int(ptr[-1]), np.int32)
    _list_destinations(tables.axon_ptr, tables.axon_source, latest, ptr[:-1].copy(), core)
    return ptr, core


@lean_kernel
def _count_destinations(
    axon_ptr: IntArray, axon_source: IntArray, latest: IntArray, ptr: IntArray
) -> None:
    """Add the cores of source s to ``ptr[s + 1]``; ``latest`` begins at -1."""
    for core in range(axon_ptr.size - 1):
        for axon in range(axon_ptr[core], axon_ptr[core + 1]):
            source = axon_source[axon]
            if latest[source] != core:
                latest[source] = core
                ptr[source + 1] += 1


@lean_kernel
def _list_destinations(
    axon_ptr: IntArray, axon_source: IntArray, latest: IntArray, place: IntArray,
    destination: IntArray,
) -> None:  # fmt: skip
    for core in range(axon_ptr.size - 1):
        for axon in range(axon_ptr[core], axon_ptr[core + 1]):
            source = axon_source[axon]
            if latest[source] != core:
                latest[source] = core
                destination[place[source]] = core
                place[source] += 1


def _population_of_rows(tables: AnyTables, meter: Meter, pieces: Pieces, begin: int) -> IntArray:
    """[rows] population of the first target; clusters are cores from ``begin`` on."""
    neuron = tables.neuron_source[tables.neuron_ptr[begin + pieces.cluster] + pieces.first]
    population: IntArray = (
        np.searchsorted(meter.first, neuron - meter.wiring.first_neuron, side="right") - 1
    )
    return population


def _sum(index: IntArray, value: IntArray, size: int) -> IntArray:
    return weighted(index, value.astype(np.float64), size).astype(np.int64)


def _largest(index: IntArray, value: IntArray, size: int) -> IntArray:
    result = np.zeros(size, np.int64)
    np.maximum.at(result, index, value)
    return result


def check_axon_types(tables: AnyTables, target: Target) -> None:
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
        used = _axon_types(*_rows_of(tables, core), neurons)
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


def _rows_of(tables: AnyTables, core: int) -> tuple[IntArray, IntArray, IntArray]:
    """(pointers, targets, weights) of the rows of one core."""
    begin, end = int(tables.axon_ptr[core]), int(tables.axon_ptr[core + 1])
    if isinstance(tables, SharedCoreTables):
        row_ptr, target, weight = chosen(tables.rows, np.arange(begin, end)).plain()
        return row_ptr, target, weight.astype(np.int32)
    return tables.synapse_ptr[begin : end + 1], tables.synapse_target, tables.synapse_weight


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


def _check(meter: Meter, counts: dict[str, IntArray], tables: AnyTables) -> None:
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
