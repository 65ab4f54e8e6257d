"""Time series of a run: what every core, channel and population did in every tick."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snnc.simulators.cycle.noc_tables import Float64, Int32, Int64, Machine
from snnc.simulators.cycle.program import Layout
from snnc.simulators.cycle.result import Trace
from snnc.simulators.cycle.timing import Clock, CoreTimes, TickTime

Counts = npt.NDArray[np.int32]


class Recorder:
    """Fills a ``Trace`` tick by tick."""

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
        self._cores = np.full((len(CoreTimes._fields), samples, timed, cores), np.nan)
        self._before: Int64 = np.zeros(channels + cores, np.int64)
        self._now = 0.0

    def note_spikes(self, sample: int, tick: int, source: Int32, value: Int64) -> None:
        """Spikes of one tick."""
        population = self._layout.owner[source] - self._layout.inputs
        np.add.at(self._spikes[sample, tick], population, np.abs(value))

    def note_time(self, sample: int, tick: int, clock: Clock, time: TickTime) -> None:
        """What happened in the tick that the clock has just timed; tick -1 is the load phase."""
        at = sample, tick + 1
        if tick < 0:
            self._now = 0.0
        self._start[at] = self._now
        self._now += clock.seconds(time) / clock.cycle_s
        channels = self._load.shape[2]
        load = clock.state.load - self._before
        self._load[at], self._received[at] = load[:channels], load[channels:]
        self._before = clock.state.load.copy()
        layout = self._layout
        self._cores[:, sample, tick + 1] = clock.core_times(layout.reach_send, layout.reach_core)

    def trace(self, tick_cycles: Float64) -> Trace:
        """Everything noted."""
        times = CoreTimes(*self._cores)
        return Trace(
            self._layout.names[self._layout.inputs :],
            self._spikes,
            self._machine.channels,
            self._load,
            self._start,
            tick_cycles,
            times.sweep,
            times.stall,
            times.receive_end,
            times.receive,
            self._received,
        )
