"""``CoreTables`` and ``SharedCoreTables``: the memory images of all used cores.

Those who only look read both through ``rows``: plain tables are rows whose shapes nobody shares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from snnc.ir.arrays import IntArray, frozen
from snnc.ir.errors import ModelError
from snnc.ir.rows import AT_ONCE, Rows, shared_rows

MOST_SYNAPSES = 1 << 36
"""A small file can say that rows share shapes a million times over; whoever looks must end."""


class Images:
    """What both kinds of tables answer; indices must lie inside, which nothing here checks."""

    location: IntArray
    neuron_ptr: IntArray
    neuron_source: IntArray
    axon_ptr: IntArray
    axon_source: IntArray
    axon_delay: IntArray
    axon_encoding: IntArray
    axon_sign: IntArray

    if TYPE_CHECKING:  # a field of one and computed by the other

        @property
        def rows(self) -> Rows:
            """The row of every axon; targets are neuron slots within its core."""

    @property
    def count(self) -> int:
        """Number of used cores."""
        return int(self.location.shape[0])

    @property
    def axon_core(self) -> IntArray:
        """int32 [axons] core of every axon."""
        return np.repeat(np.arange(self.count, dtype=np.int32), np.diff(self.axon_ptr))

    @cached_property
    def core_synapses(self) -> IntArray:
        """[cores] synapses of every core, however they are stored."""
        total, rows = np.zeros(self.count, np.int64), self.rows
        length = np.diff(rows.shape_ptr)
        for cores, axons in self.parts(AT_ONCE):
            ptr = self.axon_ptr[cores.start : cores.stop + 1] - axons.start
            filled = np.flatnonzero(np.diff(ptr)) + cores.start
            if filled.size:
                starts = self.axon_ptr[filled] - axons.start
                mine = length[rows.shape[axons]]
                total[filled] = np.add.reduceat(mine, starts, dtype=np.int64)
        return total

    @cached_property
    def fan_in(self) -> IntArray:
        """[neurons] synapses that feed every neuron slot."""
        from snnc.ir.row_kernels import count_targets

        rows, total = self.rows, np.zeros(self.neuron_source.size, np.int64)
        count_targets(
            rows.shape, rows.shift, rows.shape_ptr, rows.offset.astype(np.int32, copy=False),
            self.axon_ptr, self.neuron_ptr[:-1], total,
        )  # fmt: skip
        return total

    def parts(self, axons: int) -> Iterator[tuple[slice, slice]]:
        """(cores, their axons) one after the other, up to so many axons or one core at a time."""
        first = 0
        while first < self.count:
            most = int(self.axon_ptr[first]) + axons
            last = int(np.searchsorted(self.axon_ptr, most, side="right")) - 1
            last = min(max(last, first + 1), self.count)
            yield slice(first, last), slice(int(self.axon_ptr[first]), int(self.axon_ptr[last]))
            first = last


@dataclass(frozen=True, eq=False)
class CoreTables(Images):
    """Memory images of all used cores, concatenated.

    Attributes:
        location: [cores, 3] router x, router y (joined mesh) and slot at the router.
        neuron_ptr: [cores + 1] slice of the neuron tables per core.
        neuron_source: [neurons] global source id of each neuron; its parameters are those of its
            population and element.
        axon_ptr: [cores + 1] slice of the input-axon tables per core.
        axon_source: [axons] source id an axon listens to, rising within a core.
        axon_delay: [axons] extra ticks beyond the minimum.
        axon_encoding: [axons] index into the target's encodings.
        synapse_ptr: [axons + 1] row of each axon.
        synapse_target: [synapses] neuron slot within the core.
        synapse_weight: [synapses] weight mantissa.
        axon_sign: [axons] 1 or -1: the axon hears only positive or negative pulses of a sender
            with a ``pair`` code; 0: all of them.
    """

    location: IntArray
    neuron_ptr: IntArray
    neuron_source: IntArray
    axon_ptr: IntArray
    axon_source: IntArray
    axon_delay: IntArray
    axon_encoding: IntArray
    synapse_ptr: IntArray
    synapse_target: IntArray
    synapse_weight: IntArray
    axon_sign: IntArray = field(default_factory=lambda: np.zeros(0, np.int8))

    def __post_init__(self) -> None:
        if not self.axon_sign.size:
            object.__setattr__(self, "axon_sign", np.zeros(self.axon_source.size, np.int8))
        for name in self.__dataclass_fields__:
            array = frozen(getattr(self, name))
            if array.dtype.kind not in "iu":
                raise ModelError("core tables hold integers", where=name, found=array.dtype)
            object.__setattr__(self, name, array)

    @cached_property
    def rows(self) -> Rows:
        """The rows, each of a shape of its own."""
        axons = self.axon_source.size
        shape, shift = np.arange(axons, dtype=np.int32), np.zeros(axons, np.int32)
        return Rows(shape, shift, self.synapse_ptr, self.synapse_target, self.synapse_weight)

    def plain(self) -> CoreTables:
        """These tables."""
        return self


@dataclass(frozen=True, eq=False)
class SharedCoreTables(Images):
    """``CoreTables`` of a network with shared weights: equal rows of all cores are stored once.

    Attributes:
        rows: the row of every axon; targets are neuron slots within the axon's core.
    The others are those of ``CoreTables``.
    """

    location: IntArray
    neuron_ptr: IntArray
    neuron_source: IntArray
    axon_ptr: IntArray
    axon_source: IntArray
    axon_delay: IntArray
    axon_encoding: IntArray
    axon_sign: IntArray
    rows: Rows

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if name == "rows":
                continue
            array = frozen(getattr(self, name))
            if array.dtype.kind not in "iu":
                raise ModelError("core tables hold integers", where=name, found=array.dtype)
            object.__setattr__(self, name, array)
        if not isinstance(self.rows, Rows):
            raise ModelError("not a record of rows", where="rows", found=type(self.rows))
        if self.rows.synapses > MOST_SYNAPSES:
            found = f"{self.rows.synapses:,} synapses"
            raise ModelError(
                "too many synapses", where="rows", found=found, allowed=f"{MOST_SYNAPSES:,}"
            )

    def plain(self) -> CoreTables:
        """Every row written out: what a chip without shared rows stores."""
        row_ptr, target, weight = self.rows.plain()
        return CoreTables(
            self.location,
            self.neuron_ptr,
            self.neuron_source,
            self.axon_ptr,
            self.axon_source,
            self.axon_delay,
            self.axon_encoding,
            row_ptr,
            target,
            weight,
            self.axon_sign,
        )


AnyCoreTables = CoreTables | SharedCoreTables


def share(tables: AnyCoreTables) -> SharedCoreTables:
    """The same images with equal rows stored once."""
    if isinstance(tables, SharedCoreTables):
        return tables
    return SharedCoreTables(
        tables.location,
        tables.neuron_ptr,
        tables.neuron_source,
        tables.axon_ptr,
        tables.axon_source,
        tables.axon_delay,
        tables.axon_encoding,
        tables.axon_sign,
        shared_rows(tables.synapse_ptr, tables.synapse_target, tables.synapse_weight),
    )
