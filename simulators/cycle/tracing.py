"""Time series of a run: what every core, channel and population did in every tick."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snnc.simulators.cycle.noc_tables import Float64, Int32, Int64, Machine
from snnc.simulators.cycle.program import Layout
from snnc.simulators.cycle.result import Trace
from snnc.simulators.cycle.timetable import Record
from snnc.simulators.cycle.timing import Clock

Counts = npt.NDArray[np.int32]


class Recorder:
    """Fills a ``Trace``."""

    def __init__(
        self, layout: Layout, machine: Machine, cores: int, samples: int, ticks: int, timed: int
    ) -> None:
        """Room for ``samples`` of ``ticks`` ticks, ``timed`` of which have a time."""
        self._layout, self._machine = layout, machine
        populations, channels = len(layout.names) - layout.inputs, len(machine.channels)
        # Counts of a readout are its state, which may need more than 32 bits.
        self._spikes: Int64 = np.zeros((samples, ticks, populations), np.int64)
        self._load: Counts = np.zeros((samples, timed, channels), np.int32)
        self._received: Counts = np.zeros((samples, timed, cores), np.int32)
        self._start = np.full((samples, timed), np.nan)
        self._cores = np.full((4, samples, timed, cores), np.nan)
        self._before: Int64 = np.zeros(channels + cores, np.int64)
        self._now = 0.0

    def note_spikes(self, sample: int, first: int, ptr: Int64, source: Int32, value: Int64) -> None:
        """Emissions of the ticks from ``first`` on, which are the slices of ``ptr``."""
        tick = first + np.repeat(np.arange(ptr.size - 1), np.diff(ptr))
        population = self._layout.owner[source[: ptr[-1]]] - self._layout.inputs
        np.add.at(self._spikes[sample], (tick, population), np.abs(value[: ptr[-1]]))

    def note_ticks(
        self, sample: int, first: int, clock: Clock, seconds: list[float], record: Record
    ) -> None:
        """What the ticks from ``first`` on left behind, and how long they are; -1: load phase."""
        if first < 0:
            self._now = 0.0
        count, channels = len(seconds), self._load.shape[2]
        for k, length in enumerate(seconds):
            self._start[sample, first + 1 + k] = self._now
            self._now += length / clock.cycle_s
        load = np.diff(np.concatenate([self._before[None], record.load[:count]]), axis=0)
        self._before = record.load[count - 1].copy()
        rows = slice(first + 1, first + 1 + count)
        self._load[sample, rows], self._received[sample, rows] = (
            load[:, :channels],
            load[:, channels:],
        )
        unit = 1.0 / self._machine.resolution
        sweep, stall, receive_end, work = np.moveaxis(record.cores[:count], 1, 0)
        self._cores[:, sample, rows] = (
            (sweep + stall) * unit, stall * unit, receive_end * unit, work * unit
        )  # fmt: skip

    def trace(self, tick_cycles: Float64) -> Trace:
        """Everything noted."""
        sweep, stall, receive_end, receive = self._cores
        return Trace(
            self._layout.names[self._layout.inputs :],
            self._spikes,
            self._machine.channels,
            self._load,
            self._start,
            tick_cycles,
            sweep,
            stall,
            receive_end,
            receive,
            self._received,
        )
