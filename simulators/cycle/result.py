"""What a cycle-level run returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from snnc.ir.arrays import AnyArray
from snnc.simulators.cycle.asynchronous.report import AsyncReport
from snnc.simulators.result import RunResult

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Unpriced:
    """An event kind that occurred ``count`` times and whose cost the target does not know."""

    kind: str
    quantity: Literal["energy", "latency", "power"]
    count: int


@dataclass(frozen=True, eq=False)
class EnergyReport:
    """Energy in joule, summed over all samples unless it says "per sample".

    Attributes:
        scope: of the cost table; an ``unpriced`` table gives counts and no joule.
        dynamic: [samples] of all priced events.
        by_kind, by_layer: dynamic energy, by event kind and by input or population.
        by_core: [cores + 1] dynamic energy; the last entry is the host's packets.
        static: [samples] static power times time; None without timing or without the power.
    """

    scope: str
    dynamic: Float64
    by_kind: Mapping[str, float]
    by_layer: Mapping[str, float]
    by_core: Float64
    static: Float64 | None


@dataclass(frozen=True, eq=False)
class TimingReport:
    """Time, where a sample is its load phase and its ticks.

    Attributes:
        noc: how packets moved, "transaction" or "flit".
        cycle_s: seconds per cycle.
        seconds: [samples].
        tick_cycles: [samples, ticks + 1] length of the load phase and of every tick, without the
            barrier; for a fixed tick the time the work needed; NaN after an early stop.
        barrier_s: seconds of one barrier, 0 for a fixed tick.
        limited_by: ticks whose longest part was "sweep", "receive" or "network".
        limits: the same ticks by the class of what takes most of them: "compute" (the longest
            sweep, had it never waited), "memory" (the most looking up and accumulating of one
            core), "traffic" (what is left of the tick beside the larger of the two), or
            "barrier" (the barrier, or the rest of a fixed tick, is longer than the work).
        deadline_misses: ticks that needed more than the fixed tick; 0 with a barrier.
        peak_channel_queue, peak_injection_queue, peak_receive_queue: packets.
        stall_cycles: cycles that sweeps waited for room in an injection queue, over all cores.
    """

    noc: str
    cycle_s: float
    seconds: Float64
    tick_cycles: Float64
    barrier_s: float
    limited_by: Mapping[str, int]
    limits: Mapping[str, int]
    deadline_misses: int
    peak_channel_queue: int
    peak_injection_queue: int
    peak_receive_queue: int
    stall_cycles: float

    @property
    def cycles(self) -> Float64:
        """[samples] cycles per sample, barrier included."""
        return self.seconds / self.cycle_s

    def as_dict(self) -> dict[str, Any]:
        """JSON values; distributions as minimum, mean, 95th percentile and maximum."""
        return {
            "noc": self.noc,
            "cycle_s": self.cycle_s,
            "seconds_per_sample": spread(self.seconds),
            "cycles_per_sample": spread(self.cycles),
            "tick_cycles": spread(self.tick_cycles),
            "barrier_s": self.barrier_s,
            "limited_by": dict(self.limited_by),
            "limits": dict(self.limits),
            "deadline_misses": self.deadline_misses,
            "peak_channel_queue": self.peak_channel_queue,
            "peak_injection_queue": self.peak_injection_queue,
            "peak_receive_queue": self.peak_receive_queue,
            "stall_cycles": self.stall_cycles,
        }


@dataclass(frozen=True)
class BusiestChannel:
    """The mesh channel that carried the most packets; coordinates on the joined mesh."""

    source: tuple[int, int]
    target: tuple[int, int]
    packets: int


@dataclass(frozen=True)
class BusiestCore:
    """The core whose pipeline worked longest (most synaptic events when latencies are unknown)."""

    core: int
    location: tuple[int, int, int]
    busy_s: float
    synaptic_events: int


@dataclass(frozen=True, eq=False)
class Trace:
    """Time series of a run; tick 0 of the series of ticks + 1 is the load phase.

    Without timing those are empty.  After an early stop cycles are NaN and counts 0.

    Attributes:
        populations: names of the last axis of ``spikes``.
        spikes: int64 [samples, ticks, populations], sum of absolute counts.
        channels: [channels, 2] from-router, to-router.
        channel_load: int32 [samples, ticks + 1, channels] packets.
        tick_start: [samples, ticks + 1] cycles since the beginning of the sample.
        tick_cycles: as in ``TimingReport``.
        sweep_cycles: [samples, ticks + 1, cores] until the core's sweep is done, stalls included.
        stall_cycles: [samples, ticks + 1, cores] that the sweep waited to inject packets.
        receive_end: [samples, ticks + 1, cores] cycles until the last packet is accumulated.
        receive_cycles: [samples, ticks + 1, cores] in which the core looked up and accumulated.
        received: int32 [samples, ticks + 1, cores] packets taken.
    """

    populations: tuple[str, ...]
    spikes: AnyArray
    channels: AnyArray
    channel_load: AnyArray
    tick_start: Float64
    tick_cycles: Float64
    sweep_cycles: Float64
    stall_cycles: Float64
    receive_end: Float64
    receive_cycles: Float64
    received: AnyArray

    def arrays(self) -> dict[str, AnyArray]:
        """Named arrays for ``numpy.savez_compressed``."""
        return {
            **self.series(),
            "populations": np.array(self.populations),
            "channels": self.channels,
        }

    def series(self) -> dict[str, AnyArray]:
        """The arrays whose first axis is samples."""
        return {
            "spikes": self.spikes,
            "channel_load": self.channel_load,
            "tick_start": self.tick_start,
            "tick_cycles": self.tick_cycles,
            "sweep_cycles": self.sweep_cycles,
            "stall_cycles": self.stall_cycles,
            "receive_end": self.receive_end,
            "receive_cycles": self.receive_cycles,
            "received": self.received,
        }


@dataclass(frozen=True, eq=False)
class Stopped:
    """What stopping early took and saved.

    Attributes:
        steps: [samples] logical steps of the deciding output.
        spent, saved: [samples] synaptic events until the stop, and those of the rest.
    """

    steps: Int64
    spent: Int64
    saved: Int64


@dataclass(frozen=True, eq=False)
class PhaseShare:
    """What one phase of a program took: [samples] seconds (None without timing) and joule."""

    seconds: Float64 | None
    dynamic: Float64


@dataclass(frozen=True, eq=False)
class CycleResult:
    """Spikes, time and energy of a run on the emulated chip.

    Attributes:
        result: outputs and spikes in logical time, comparable with every other simulator.
        target: id of the target.
        samples, ticks: samples run, ticks per sample.
        counts: events by kind, over all samples.
        counts_by_layer: the same by input or population.
        counts_by_core: int64 [kinds, cores + 1] in the order of ``counts``; the last is the host.
        packets, hops: packets sent and channels crossed.
        busiest_channel: None when no packet crosses a channel.
        busiest_core: by pipeline time.
        energy: always.
        timing: None when the run was asked for function only.
        stray_inputs: inputs lost because their neuron did not update in that tick; 0 for every
            correctly scheduled deployment.
        unpriced: what happened but has no price in the target.
        notes: what the target leaves open and what was assumed.
        trace: only on request.
        stopped: only when the run could stop early; then counts, time and energy end there.
        counts_by_tick: int64 [samples, ticks, kinds] in the order of ``counts``; only on request.
        asynchronous: load of the cores; only of machines without time steps.
        phases: what each took; only of programs of several phases.
    """

    result: RunResult
    target: str
    samples: int
    ticks: int
    counts: Mapping[str, int]
    counts_by_layer: Mapping[str, Mapping[str, int]]
    counts_by_core: Int64
    packets: int
    hops: int
    busiest_channel: BusiestChannel | None
    busiest_core: BusiestCore
    energy: EnergyReport
    timing: TimingReport | None
    stray_inputs: int
    unpriced: tuple[Unpriced, ...]
    notes: tuple[str, ...]
    trace: Trace | None
    stopped: Stopped | None = None
    counts_by_tick: Int64 | None = None
    asynchronous: AsyncReport | None = None
    phases: tuple[PhaseShare, ...] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Everything but spikes and trace as JSON values; see ``docs/cycle-simulator.md``."""
        energy = self.energy
        return {
            "target": self.target,
            "samples": self.samples,
            "ticks_per_sample": self.ticks,
            "counts": dict(self.counts),
            "counts_by_layer": {name: dict(c) for name, c in self.counts_by_layer.items()},
            "packets": self.packets,
            "hops": self.hops,
            "busiest_channel": self.busiest_channel and asdict(self.busiest_channel),
            "busiest_core": asdict(self.busiest_core),
            "energy": {
                "scope": energy.scope,
                "dynamic_j_per_sample": spread(energy.dynamic),
                "static_j_per_sample": None if energy.static is None else spread(energy.static),
                "dynamic_j_by_kind": dict(energy.by_kind),
                "dynamic_j_by_layer": dict(energy.by_layer),
                "dynamic_j_by_core": energy.by_core.tolist(),
            },
            "timing": self.timing and self.timing.as_dict(),
            "asynchronous": self.asynchronous and self.asynchronous.as_dict(),
            "stray_inputs": self.stray_inputs,
            "unpriced": [asdict(entry) for entry in self.unpriced],
            "notes": list(self.notes),
        }


def spread(values: Float64) -> dict[str, float]:
    """Minimum, mean, 95th percentile and maximum of what happened (not NaN)."""
    values = values[~np.isnan(values)]
    return {
        "min": float(values.min()),
        "mean": float(values.mean()),
        "p95": float(np.percentile(values, 95)),
        "max": float(values.max()),
    }


def distribution(values: Float64) -> dict[str, float]:
    """Where the samples lie between the fastest and the slowest."""
    median, p95, p99 = np.percentile(values, (50, 95, 99)).tolist()
    return {
        "min": float(values.min()),
        "median": median,
        "p95": p95,
        "p99": p99,
        "max": float(values.max()),
    }
