"""The deployment under check, with the derived tables that several rules need."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.deployment import Deployment, SourceSpace
from snnc.ir.jit import lean_kernel
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input
from snnc.ir.rows import Rows


def wide(array: IntArray) -> IntArray:
    """The same numbers as int64, so that differences of stored tables never wrap."""
    return array.astype(np.int64, copy=False)


def owner(ptr: IntArray) -> IntArray:
    """Which slice every entry belongs to."""
    return np.repeat(np.arange(ptr.size - 1), np.diff(wide(ptr)))


def in_slices(reduce: np.ufunc, ptr: IntArray, values: IntArray, empty: int = 0) -> IntArray:
    """int64 [slices] sum, or other reduction, of the values in every slice."""
    result = np.full(ptr.size - 1, empty, np.int64)
    filled = np.flatnonzero(np.diff(wide(ptr)))
    if filled.size:
        kind = np.int64 if reduce is np.add else None
        result[filled] = reduce.reduceat(values, ptr[:-1][filled], dtype=kind)
    return result


@dataclass(frozen=True, eq=False)
class Shapes:
    """What rows of each shape hold; all [shapes], and 0 where a shape is empty.

    Attributes:
        length: synapses.
        first, last: smallest and largest offset.
        lightest, heaviest: smallest and largest weight.
    """

    length: IntArray
    first: IntArray
    last: IntArray
    lightest: IntArray
    heaviest: IntArray

    @staticmethod
    def of(rows: Rows) -> Shapes:
        """Of the shapes of some rows."""
        columns = [
            in_slices(extreme, rows.shape_ptr, values)
            for values in (rows.offset, rows.weight)
            for extreme in (np.minimum, np.maximum)
        ]
        return Shapes(np.diff(wide(rows.shape_ptr)), *columns)


@dataclass(frozen=True, eq=False)
class Subject:
    """A deployment and its unpacked tables (int64)."""

    deployment: Deployment

    @cached_property
    def sources(self) -> SourceSpace:
        """Numbering of senders."""
        return self.deployment.sources

    @cached_property
    def populations(self) -> tuple[Neuron, ...]:
        """The network's populations."""
        return self.deployment.network.populations

    @cached_property
    def is_neuron(self) -> npt.NDArray[np.bool_]:
        """[sources] bool: a neuron, not an input element."""
        mask = np.zeros(self.sources.total, np.bool_)
        for node in self.populations:
            mask[self.span(node)] = True
        return mask

    def span(self, node: Neuron | Input) -> slice:
        """Source ids of an input or population."""
        first = self.sources.first[node.name]
        return slice(first, first + self.sources.size[node.name])

    def per_source(self, value: dict[str, int], default: int = 0) -> IntArray:
        """[sources] a number per population, repeated for its neurons."""
        result = np.full(self.sources.total, default, np.int64)
        for node in self.populations:
            result[self.span(node)] = value[node.name]
        return result

    @cached_property
    def slots(self) -> IntArray:
        """[sources] ticks over which every source spreads a count."""
        result = np.ones(self.sources.total, np.int64)
        for name, first in self.sources.first.items():
            last = first + self.sources.size[name]
            result[first:last] = self.deployment.schedule.slots(name)
        return result

    @cached_property
    def axon_pairs(self) -> IntArray:
        """[sources] axons at every core reached: 2 where the sign picks one of a pair, else 1."""
        result = np.ones(self.sources.total, np.int64)
        for name, code in self.deployment.schedule.codes.items():
            if code.pair and name in self.sources.first:
                first = self.sources.first[name]
                result[first : first + self.sources.size[name]] = 2
        return result

    def name(self, source: int) -> str:
        """``population[index]`` of a source id."""
        for name, first in self.sources.first.items():
            if first <= source < first + self.sources.size[name]:
                return f"{name}[{source - first}]"
        return f"source {source}"

    @cached_property
    def neuron_core(self) -> IntArray:
        """int32 [neurons] core of every neuron slot."""
        cores = self.deployment.cores
        return np.repeat(np.arange(cores.count, dtype=np.int32), np.diff(wide(cores.neuron_ptr)))

    @cached_property
    def neuron_first(self) -> IntArray:
        """[cores] first neuron slot of every core."""
        return wide(self.deployment.cores.neuron_ptr)[:-1]

    @cached_property
    def axon_core(self) -> IntArray:
        """int32 [axons] core of every input axon."""
        return self.deployment.cores.axon_core

    @cached_property
    def listeners(self) -> tuple[IntArray, IntArray]:
        """([sources + 1] slices, int32 [axons] axons) by source, core by core within a source."""
        source = self.deployment.cores.axon_source
        ptr = np.zeros(self.sources.total + 1, np.int64)
        axon = np.empty(source.size, np.int32)
        _group(source, ptr, axon)
        return ptr, axon

    def listening(self) -> IntArray:
        """Distinct ``source * cores + core``, rising, of all that some axon hears."""
        ptr, axon = self.listeners
        pair = owner(ptr) * self.deployment.cores.count
        pair += self.axon_core[axon]
        new = np.ones(pair.size, np.bool_)
        new[1:] = pair[1:] != pair[:-1]
        return pair[new]

    @cached_property
    def rows(self) -> Rows:
        """The row of every axon, in the widths for which kernels are compiled."""
        rows = self.deployment.cores.rows
        weight = np.int32 if rows.weight.dtype.itemsize <= 4 else np.int64
        return Rows(
            rows.shape.astype(np.int32, copy=False),
            rows.shift.astype(np.int32, copy=False),
            rows.shape_ptr.astype(np.int64, copy=False),
            rows.offset.astype(np.int32, copy=False),
            rows.weight.astype(weight, copy=False),
        )

    @cached_property
    def shapes(self) -> Shapes:
        """What rows of every shape hold."""
        return Shapes.of(self.rows)

    def first_synapses(self, marked: AnyArray, most: int) -> list[tuple[int, int, int]]:
        """(number, axon, weight) of the first synapses that are made of ``marked`` entries."""
        rows, found = self.rows, list[tuple[int, int, int]]()
        before = np.concatenate([[0], np.cumsum(marked)])
        held = before[wide(rows.shape_ptr[1:])] - before[wide(rows.shape_ptr[:-1])]
        guilty = np.flatnonzero(held[rows.shape] > 0)[:most]
        for axon in guilty.tolist():
            number = int(rows.lengths[:axon].sum())
            first = int(rows.shape_ptr[rows.shape[axon]])
            last = int(rows.shape_ptr[rows.shape[axon] + 1])
            entries = np.flatnonzero(marked[first:last])[: most - len(found)].tolist()
            found += [(number + k, axon, int(rows.weight[first + k])) for k in entries]
        return found

    @cached_property
    def home(self) -> IntArray:
        """[sources] core of every neuron, -1 for inputs and unplaced neurons."""
        result = np.full(self.sources.total, -1, np.int64)
        result[wide(self.deployment.cores.neuron_source)] = self.neuron_core
        return result

    @cached_property
    def router(self) -> IntArray:
        """[cores] router of every core."""
        location = wide(self.deployment.cores.location)
        return location[:, 1] * self.deployment.mesh.width + location[:, 0]

    def core_name(self, core: int) -> str:
        """``core 3 at (1, 0, 2)``."""
        x, y, slot = (int(value) for value in self.deployment.cores.location[core])
        return f"core {core} at ({x}, {y}, {slot})"

    def net_name(self, net: int) -> str:
        """``net 7 from core 2``."""
        core = int(self.deployment.routes.net_core[net])
        return f"net {net} from {'the host port' if core < 0 else f'core {core}'}"


@lean_kernel
def _group(axon_source: IntArray, ptr: IntArray, axon: IntArray) -> None:
    """List the axons by source: ``ptr`` [sources + 1], zero at first, slices ``axon``."""
    for a in range(axon_source.size):
        ptr[axon_source[a] + 1] += 1
    for source in range(ptr.size - 1):
        ptr[source + 1] += ptr[source]
    for a in range(axon_source.size - 1, -1, -1):
        ptr[axon_source[a] + 1] -= 1
        axon[ptr[axon_source[a] + 1]] = a
    # Every pointer was moved from the end of its slice to the beginning, one place too far right.
    for source in range(ptr.size - 1):
        ptr[source] = ptr[source + 1]
    ptr[ptr.size - 1] = axon_source.size
