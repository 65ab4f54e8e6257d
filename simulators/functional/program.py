"""An expanded network as flat arrays for the kernels of the functional simulator.

Sources are numbered inputs first, then populations; populations are in execution order, so what
arrives without delay has been emitted earlier in the same step.  Inside the simulator the neurons
of a population with channels are ordered channel last; ``Program.order`` leads back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from snnc.ir.arrays import IntArray, RealArray, size_of
from snnc.ir.expand import Expansion, Projection
from snnc.ir.jit import lean_kernel as kernel
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input
from snnc.simulators import neuron_kernel
from snnc.simulators.functional.layouts import (
    RUNS,
    WIDE,
    WORDS,
    channels_last,
    choose,
    reorder,
    runs,
    words,
)
from snnc.simulators.neuron_kernel import Int32, Int64, PackedNeurons

# Columns of ``sources``.  UNIT: every emitted value is 1.  DEPTH: steps of spikes kept.  LAG:
# steps by which the source comes after the inputs (``IntegerNetwork.lags``).
SIZE, UNIT, DEPTH, RING, SLOT, LAG, SOURCE_COLUMNS = range(7)
# Columns of ``projections``.  POPULATION: the one it reaches; ROW: first of its row pointers;
# COUNT: first of its rows in ``fan_out``.
SOURCE, POPULATION, DELAY, LAYOUT, ROW, COUNT, PROJECTION_COLUMNS = range(7)


class Synapses(NamedTuple):
    """Rows of all projections one after the other, each in its layout.

    Attributes:
        row_ptr: int64, to words, to ``target`` and ``weight``, or to runs, as LAYOUT says.
        fan_out: int32, number of synapses of each row.
        words: int32, all projections in the layout WORDS.
        target, weight: int32 and int32 or int64, all in the layout WIDE.
        run_start, run_first, run_length, run_weight: all in the layout RUNS, see ``RunTable``.
    """

    row_ptr: Int64
    fan_out: Int32
    words: Int32
    target: Int32
    weight: Int64
    run_start: Int32
    run_first: Int64
    run_length: Int32
    run_weight: Any


class Network(NamedTuple):
    """Topology, synapses and neurons; independent of the number of steps.

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
        packed: parameters of all neurons in normal form.
        inputs, populations: the nodes behind the sources, in order.
        readout: population read by each output.
        input_bound: int per population, largest possible |sum of inputs| of one neuron.
        order: per population, natural index of its neurons in internal order; None: the same.
        first: int64 [populations + 1], first neuron of each population, and of none.
        lags: steps by which each population comes after the inputs.
    """

    network: Network
    packed: PackedNeurons
    inputs: tuple[Input, ...]
    populations: tuple[Neuron, ...]
    readout: dict[str, str]
    input_bound: tuple[int, ...]
    order: tuple[Int64 | None, ...]
    first: Int64
    lags: tuple[int, ...]

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return int(self.first[-1])

    @property
    def largest(self) -> int:
        """Size of the largest population."""
        return max((n.size for n in self.populations), default=0)


def build(expansion: Expansion, lags: Mapping[str, int] | None = None) -> Program:
    """Pack an expanded network; ``lags`` by source name as in ``IntegerNetwork.lags``, or all 0.

    A projection that crosses a barrier has a negative delay; counted from the inputs' steps on,
    with the lags of both ends, every delay is one into the past.
    """
    lags = lags or dict.fromkeys(_names(expansion), 0)
    late = [replace(p, delay=p.delay + lags[p.population] - lags[p.source])
            for p in expansion.projections]  # fmt: skip
    expansion = replace(expansion, projections=tuple(late))
    number = {name: k for k, name in enumerate(_names(expansion))}
    projections = sorted(
        expansion.projections, key=lambda p: (number[p.population], number[p.source])
    )
    order = {n.name: channels_last(n.shape) for n in expansion.populations}
    first = np.cumsum([0, *(n.size for n in expansion.populations)])
    magnitudes = _magnitudes(expansion)
    network = Network(
        _sources(expansion, projections, lags),
        *_synapses(projections, order, number, len(expansion.inputs)),
    )
    return Program(
        network,
        _neurons(expansion, order),
        expansion.inputs,
        expansion.populations,
        expansion.readout,
        tuple(_input_bound(n, projections, magnitudes) for n in expansion.populations),
        tuple(order.values()),
        first,
        tuple(lags[n.name] for n in expansion.populations),
    )


def _neurons(expansion: Expansion, order: Mapping[str, Int64 | None]) -> PackedNeurons:
    """All neurons in internal order."""
    packed = neuron_kernel.pack(expansion.populations)
    whole, first = [np.zeros(0, np.int64)], 0
    for neuron in expansion.populations:
        mine = order[neuron.name]
        whole.append(first + (np.arange(neuron.size) if mine is None else mine))
        first += neuron.size
    return (
        packed.take(np.concatenate(whole))
        if any(mine is not None for mine in order.values())
        else packed
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


def _sources(
    expansion: Expansion, projections: Sequence[Projection], lags: Mapping[str, int]
) -> Int64:
    """Row per source; the spikes of step t lie in slot t % DEPTH of its ring."""
    sizes = [size_of(n.shape) for n in expansion.inputs] + [n.size for n in expansion.populations]
    unit = [n.type.kind == "bin" for n in expansion.inputs]
    unit += [
        n.emit == "count" and n.emission is None and n.emitted == (0, 1)
        for n in expansion.populations
    ]
    table = np.zeros((len(sizes), SOURCE_COLUMNS), np.int64)
    table[:, SIZE], table[:, UNIT], table[:, DEPTH] = sizes, unit, 1
    for k, name in enumerate(_names(expansion)):
        delays = (p.delay for p in projections if p.source == name)
        table[k, DEPTH] = 1 + max(delays, default=0)
        table[k, LAG] = lags[name]
    room = table[:, SIZE] * table[:, DEPTH]
    table[:, RING] = np.cumsum(room) - room
    table[:, SLOT] = np.cumsum(table[:, DEPTH]) - table[:, DEPTH]
    return table


def _synapses(
    projections: Sequence[Projection],
    order: Mapping[str, Int64 | None],
    number: Mapping[str, int],
    inputs: int,
) -> tuple[Int64, Synapses]:
    """Table of projections and their rows."""
    table = np.zeros((len(projections), PROJECTION_COLUMNS), np.int64)
    parts: dict[str, list[IntArray]] = {name: [] for name in Synapses._fields}
    stored = {WIDE: 0, WORDS: 0, RUNS: 0}
    row = 0
    for k, natural in enumerate(projections):
        p = reorder(natural, order.get(natural.source), order[natural.population])
        layout = choose(p)
        source, target = number[p.source], number[p.population] - inputs
        table[k] = source, target, p.delay, layout, row + k, row
        row += p.row_ptr.size - 1
        pointers, size = _store(p, layout, parts)
        parts["row_ptr"].append(pointers + stored[layout])
        parts["fan_out"].append(np.diff(p.row_ptr).astype(np.int32))
        stored[layout] += size
    weight = _joined(parts["weight"], np.int64)
    if np.abs(weight).max(initial=0) < 2**31:
        weight = weight.astype(np.int32)
    return table, Synapses(
        _joined(parts["row_ptr"], np.int64),
        _joined(parts["fan_out"], np.int32),
        _joined(parts["words"], np.int32),
        _joined(parts["target"], np.int32),
        weight,
        _joined(parts["run_start"], np.int32),
        _joined(parts["run_first"], np.int64),
        _joined(parts["run_length"], np.int32),
        _joined(parts["run_weight"], np.int8),
    )


def _store(p: Projection, layout: int, parts: dict[str, list[IntArray]]) -> tuple[IntArray, int]:
    """Append a projection to its layout's arrays; return row pointers and entries added."""
    if layout == RUNS:
        table = runs(p)
        before = sum(weight.size for weight in parts["run_weight"])
        parts["run_start"].append(table.start)
        parts["run_first"].append(table.first + before)
        parts["run_length"].append(table.length)
        parts["run_weight"].append(table.weight)
        return table.row_ptr, table.start.size
    if layout == WORDS:
        parts["words"].append(words(p))
    else:
        parts["target"].append(p.target)
        parts["weight"].append(p.weight)
    return p.row_ptr, p.synapses


def _joined(parts: Sequence[IntArray], dtype: type) -> Any:
    """Concatenation; the single part itself when there is only one, to save memory."""
    if len(parts) == 1:
        return parts[0].astype(dtype, copy=False)
    return np.concatenate([np.zeros(0, dtype), *parts])


def _input_bound(
    neuron: Neuron, projections: Sequence[Projection], magnitude: dict[str, int]
) -> int:
    """Largest |sum of weight x value| that can reach one neuron of the population in a step."""
    total = np.zeros(neuron.size)
    for p in projections:
        if p.population == neuron.name:
            _add_magnitudes(total, p.target, p.weight, float(magnitude[p.source]))
    # Sums of float64 are exact below 2^53; above, the margin keeps the bound a bound.
    largest = float(total.max(initial=0))
    return int(largest) if largest < 2**50 else int(largest * 1.01)


@kernel
def _add_magnitudes(total: RealArray, target: IntArray, weight: IntArray, factor: float) -> None:
    for j in range(target.size):
        total[target[j]] += abs(float(weight[j])) * factor
