"""An expanded network as flat arrays for the kernels of the functional simulator.

Sources are numbered inputs first, then populations; populations are in execution order, so what
arrives without delay has been emitted earlier in the same step.  Inside the simulator the neurons
of a population with channels are ordered channel last; ``Program.order`` leads back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from snnc.ir.arrays import IntArray, RealArray, Shape, size_of
from snnc.ir.expand import Expansion, Projection
from snnc.ir.jit import lean_kernel as kernel
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input
from snnc.ir.shared_expansion import AnyProjection, SharedProjection
from snnc.simulators.functional.layouts import (
    RUNS,
    SHARED,
    WIDE,
    RunTable,
    channels_last,
    choose,
    reorder,
    runs,
    words,
)
from snnc.simulators.functional.shared_layouts import reordered, shared_runs
from snnc.simulators.neuron_kernel import Int32, Int64

# Columns of ``sources``.  UNIT: every emitted value is 1.  DEPTH: steps of spikes kept, a power of
# two.  LAG: steps by which the source comes after the inputs (``IntegerNetwork.lags``).
SIZE, UNIT, DEPTH, RING, SLOT, LAG, SOURCE_COLUMNS = range(7)
# Columns of ``projections``.  POPULATION: the one it reaches; ROW: first of its sources in
# ``row_ptr``, or in ``base`` and ``shape`` if LAYOUT is RUNS or SHARED.
SOURCE, POPULATION, DELAY, LAYOUT, ROW, PROJECTION_COLUMNS = range(6)


class Synapses(NamedTuple):
    """Rows of all projections one after the other, each in its layout.

    Attributes:
        row_ptr: int64, to words, or to ``target`` and ``weight``, as LAYOUT says.
        words: int32, all projections in the layouts WORDS and SINGLE.
        target, weight: int32 and int32 or int64, all in the layouts WIDE and SHARED.
        base, shape: all in the layouts RUNS and SHARED; a shape of SHARED is a row in ``row_ptr``.
        shape_ptr, shape_events, run_offset, run_first, run_length, run_weight: all in the layout
            RUNS, see ``RunTable``.
    """

    row_ptr: Int64
    words: Int32
    target: Int32
    weight: Int64
    base: Int32
    shape: Int32
    shape_ptr: Int32
    shape_events: Int32
    run_offset: Int32
    run_first: Int64
    run_length: Int32
    run_weight: Any


class Network(NamedTuple):
    """Topology and synapses; independent of the number of steps.

    Attributes:
        sources: int64 [inputs + populations, SOURCE_COLUMNS].
        projections: int64 [projections, PROJECTION_COLUMNS], sorted by target population.
        synapses: rows of all projections.
    """

    sources: Int64
    projections: Int64
    synapses: Synapses


@dataclass(frozen=True, eq=False)
class Program:
    """A network with the facts that planning needs.

    Attributes:
        network: arrays for the kernels.
        inputs, populations: the nodes behind the sources, in order.
        readout: population read by each output.
        input_bound: int per population, largest possible |sum of inputs| of one neuron.
        synapses: number of stored synapses.
        order: per population, natural index of its neurons in internal order; None: the same.
        lags: steps by which each population comes after the inputs.
    """

    network: Network
    inputs: tuple[Input, ...]
    populations: tuple[Neuron, ...]
    readout: dict[str, str]
    input_bound: tuple[int, ...]
    synapses: int
    order: tuple[Int64 | None, ...]
    lags: tuple[int, ...]

    @property
    def largest(self) -> int:
        """Size of the largest population."""
        return max((n.size for n in self.populations), default=0)


def build(
    expansion: Expansion,
    lags: Mapping[str, int] | None = None,
    projections: Iterable[AnyProjection] | None = None,
) -> Program:
    """Pack an expanded network; ``lags`` by source name as in ``IntegerNetwork.lags``, or all 0.

    A projection that crosses a barrier has a negative delay; counted from the inputs' steps on,
    with the lags of both ends, every delay is one into the past.

    Args:
        expansion: populations, and projections unless these are given.
        lags: see above.
        projections: one at a time, population by population in order: large networks need not
            be in memory as they are here and as they will be at the same time.
    """
    lags = lags or dict.fromkeys(_names(expansion), 0)
    number = {name: k for k, name in enumerate(_names(expansion))}
    order = {n.name: channels_last(n.shape) for n in expansion.populations}
    shapes = {n.name: n.shape for n in expansion.populations}
    magnitudes = _magnitudes(expansion)
    bounds = {n.name: np.zeros(n.size) for n in expansion.populations}
    store, rows = _Store(), list[tuple[int, ...]]()
    synapses = 0
    for p in expansion.projections if projections is None else projections:
        delay = p.delay + lags[p.population] - lags[p.source]
        synapses += p.synapses
        if isinstance(p, SharedProjection) and p.synapses < 2 * p.rows.count:
            p = p.plain()  # two numbers per row are more than its synapses
        factor = float(magnitudes[p.source])
        ends = order.get(p.source), order[p.population]
        if isinstance(p, SharedProjection):
            p.rows.add(np.abs(p.rows.weight.astype(np.float64)) * factor, bounds[p.population])
            layout, row = store.shared(p, ends[0], shapes[p.population])
        else:
            _add_magnitudes(bounds[p.population], p.target, p.weight, factor)
            q = reorder(p, *ends)
            layout = choose(q)
            row = store.runs(runs(q)) if layout == RUNS else store.rows(q, layout)
        target = number[p.population] - len(expansion.inputs)
        rows.append((number[p.source], target, delay, layout, row))
    rows.sort(key=lambda row: (row[POPULATION], row[SOURCE]))
    table = np.array(rows, np.int64).reshape(-1, PROJECTION_COLUMNS)
    return Program(
        Network(_sources(expansion, table, lags), table, store.joined()),
        expansion.inputs,
        expansion.populations,
        expansion.readout,
        tuple(_input_bound(bounds[n.name]) for n in expansion.populations),
        synapses,
        tuple(order.values()),
        tuple(lags[n.name] for n in expansion.populations),
    )


def _names(expansion: Expansion) -> list[str]:
    """Of all sources, in the order of their numbers."""
    return [n.name for n in expansion.inputs] + [n.name for n in expansion.populations]


def _magnitudes(expansion: Expansion) -> dict[str, int]:
    """Largest absolute value every source emits."""
    result = {node.name: node.type.magnitude for node in expansion.inputs}
    for neuron in expansion.populations:
        bounds = neuron.state_range
        state = max(bounds.high, -bounds.low)
        low, high = neuron.emitted
        result[neuron.name] = state if neuron.emit == "state" else max(high, -low)
    return result


def _sources(expansion: Expansion, projections: Int64, lags: Mapping[str, int]) -> Int64:
    """Row per source; the spikes of step t lie in slot t & (DEPTH - 1) of its ring."""
    sizes = [size_of(n.shape) for n in expansion.inputs] + [n.size for n in expansion.populations]
    unit = [n.type.kind == "bin" for n in expansion.inputs]
    unit += [
        n.emit == "count" and n.emission is None and n.emitted == (0, 1)
        for n in expansion.populations
    ]
    table = np.zeros((len(sizes), SOURCE_COLUMNS), np.int64)
    table[:, SIZE], table[:, UNIT], table[:, DEPTH] = sizes, unit, 1
    for k, name in enumerate(_names(expansion)):
        longest = int(projections[projections[:, SOURCE] == k, DELAY].max(initial=0))
        table[k, DEPTH] = 1 << longest.bit_length()
        table[k, LAG] = lags[name]
    room = table[:, SIZE] * table[:, DEPTH]
    table[:, RING] = np.cumsum(room) - room
    table[:, SLOT] = np.cumsum(table[:, DEPTH]) - table[:, DEPTH]
    return table


class _Store:
    """The arrays of ``Synapses`` in parts, and how long each is so far."""

    def __init__(self) -> None:
        self._parts: dict[str, list[IntArray]] = {name: [] for name in Synapses._fields}
        self._size = dict.fromkeys(Synapses._fields, 0)

    def _add(self, name: str, part: IntArray) -> None:
        self._parts[name].append(part)
        self._size[name] += part.size

    def rows(self, p: Projection, layout: int) -> int:
        """Append a projection in one of the layouts with row pointers; returns its first row."""
        row, size = self._size["row_ptr"], self._size
        self._add("row_ptr", p.row_ptr + (size["target"] if layout == WIDE else size["words"]))
        if layout == WIDE:
            self._add("target", p.target)
            self._add("weight", p.weight)
        else:
            self._add("words", words(p))
        return row

    def shared(self, p: SharedProjection, order: Int64 | None, targets: Shape) -> tuple[int, int]:
        """Append a projection with shared rows; returns its layout and first row."""
        table = reordered(p, order, targets)
        found = shared_runs(table)
        if found is not None:
            return RUNS, self.runs(found)
        row, first = self._size["base"], self.rows(table.rows, WIDE)
        self._add("base", table.base)
        self._add("shape", table.shape + first)
        return SHARED, row

    def runs(self, table: RunTable) -> int:
        """Append a projection in the layout RUNS; returns its first row."""
        row, size = self._size["base"], dict(self._size)
        self._add("base", table.base)
        self._add("shape", table.shape + size["shape_events"])
        # Pointers of all projections share their ends: the last one closes the last shape.
        self._add("shape_ptr", table.shape_ptr[:-1] + size["run_offset"])
        self._add("shape_events", table.events)
        self._add("run_offset", table.offset)
        self._add("run_first", table.first + size["run_weight"])
        self._add("run_length", table.length)
        self._add("run_weight", table.weight)
        return row

    def joined(self) -> Synapses:
        """All arrays."""
        self._add("shape_ptr", np.array([self._size["run_offset"]]))
        wide = {"row_ptr": np.int64, "run_first": np.int64, "run_weight": np.int8}
        if any(np.abs(part).max(initial=0) >= 2**31 for part in self._parts["weight"]):
            wide["weight"] = np.int64
        return Synapses(*(self._joined(name, wide.get(name, np.int32)) for name in self._parts))

    def _joined(self, name: str, dtype: type) -> Any:
        """The parts of an array as one, given up one by one to save memory."""
        whole: IntArray = np.empty(self._size[name], dtype)
        first = 0
        for k, part in enumerate(self._parts[name]):
            whole[first : first + part.size] = part
            first += part.size
            self._parts[name][k] = part[:0].copy()
            del part
        return whole


def _input_bound(total: RealArray) -> int:
    """Largest |sum of weight x value| that can reach one neuron of the population in a step.

    ``total`` is that of every neuron, as far as float64 holds it.
    """
    # Sums of float64 are exact below 2^53; above, the margin keeps the bound a bound.
    largest = float(total.max(initial=0))
    return int(largest) if largest < 2**50 else int(largest * 1.01)


@kernel
def _add_magnitudes(total: RealArray, target: IntArray, weight: IntArray, factor: float) -> None:
    for j in range(target.size):
        total[target[j]] += abs(float(weight[j])) * factor
