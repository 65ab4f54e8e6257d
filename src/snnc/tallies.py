"""What a run adds up over its batches: spikes, time, energy and traffic."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snnc.idle import idle_energy
from snnc.in_phases import reload_seconds
from snnc.ir.arrays import RealArray
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.phased import Program
from snnc.simulators.cycle.asynchronous.report import joined
from snnc.simulators.cycle.result import CycleResult, distribution, spread
from snnc.simulators.result import RunResult


@dataclass
class Tally:
    """What a run adds up over its batches.

    Attributes:
        spikes: by spiking population, spikes over all samples.
        cycle: results of the cycle simulator, one per batch.
    """

    spikes: dict[str, int] = field(default_factory=dict)
    cycle: list[CycleResult] = field(default_factory=list)

    def add(self, deployment: Program, result: RunResult, cycle: CycleResult | None) -> None:
        """Take over what a batch adds to the report."""
        if cycle is not None:  # spikes and series of all batches would not fit in memory
            self.cycle.append(dataclasses.replace(cycle, result=RunResult({}, {}, {}), trace=None))
        for name, spikes in spikes_of(deployment.network, result).items():
            self.spikes[name] = self.spikes.get(name, 0) + spikes

    def cycle_summary(self, deployment: Program, steps: int) -> dict[str, Any] | None:
        """Time, energy and traffic of all batches together; None without a cycle simulation."""
        if not self.cycle:
            return None
        summary = merge(self.cycle)
        summary["energy"] |= idle_energy(deployment, steps, self.cycle)
        return summary

    def latencies(self, deployment: Program) -> RealArray:
        """[samples] seconds on the chip, with the loading of phases for every sample."""
        found = [r.timing.seconds for r in self.cycle if r.timing is not None]
        return np.concatenate([np.zeros(0), *found]) + reload_seconds(deployment)


def spikes_of(network: IntegerNetwork, result: RunResult) -> dict[str, int]:
    """Spikes over all samples by population; one that emits its state sends no spikes."""
    spiking = [p.name for p in network.populations if p.emit != "state"]
    return {name: int(result.spike_counts[name].sum()) for name in spiking}


def merge(results: Sequence[CycleResult]) -> dict[str, Any]:
    """Cycle results of several batches of one deployment as one JSON object."""
    samples = sum(r.samples for r in results)
    scope = results[0].energy.scope
    dynamic = np.concatenate([r.energy.dynamic for r in results])
    unpriced: dict[tuple[str, str], int] = {}
    ordered = joined([r.asynchronous for r in results if r.asynchronous is not None])
    for entry in (entry for r in results for entry in r.unpriced):
        key = (entry.kind, entry.quantity)
        unpriced[key] = unpriced.get(key, 0) + entry.count
    return {
        "samples": samples,
        "ticks_per_sample": results[0].ticks,
        "timing": _timing(results),
        "asynchronous": ordered and ordered.as_dict(),
        "energy": {
            "scope": scope,
            "dynamic_j_per_sample": None if scope == "unpriced" else spread(dynamic),
            "static_j_per_sample": _static(results),
            "dynamic_j_by_kind": _summed([r.energy.by_kind for r in results]),
            "dynamic_j_by_layer": {}
            if scope == "unpriced"
            else _summed([r.energy.by_layer for r in results]),
        },
        "events": _summed([r.counts for r in results]),
        "packets": sum(r.packets for r in results),
        "hops": sum(r.hops for r in results),
        "stray_inputs": sum(r.stray_inputs for r in results),
        "unpriced": [
            {"kind": kind, "quantity": quantity, "count": count}
            for (kind, quantity), count in unpriced.items()
        ],
        "notes": list(results[0].notes if ordered is None else ordered.notes()),
    }


def _timing(results: Sequence[CycleResult]) -> dict[str, Any] | None:
    found = [r.timing for r in results if r.timing is not None]
    if not found:
        return None
    seconds = np.concatenate([t.seconds for t in found])
    return {
        "noc": found[0].noc,
        "cycle_s": found[0].cycle_s,
        "seconds_per_sample": spread(seconds),
        "latency_s": distribution(seconds),
        "throughput_per_s": float(seconds.size / seconds.sum()) if seconds.any() else None,
        "cycles_per_sample": spread(np.concatenate([t.cycles for t in found])),
        "tick_cycles": spread(np.concatenate([t.tick_cycles.reshape(-1) for t in found])),
        "barrier_s": found[0].barrier_s,
        "limited_by": _summed([t.limited_by for t in found]),
        "limits": _summed([t.limits for t in found]),
        "deadline_misses": sum(t.deadline_misses for t in found),
        "peak_channel_queue": max(t.peak_channel_queue for t in found),
        "peak_injection_queue": max(t.peak_injection_queue for t in found),
        "peak_receive_queue": max(t.peak_receive_queue for t in found),
        "stall_cycles": sum(t.stall_cycles for t in found),
    }


def _static(results: Sequence[CycleResult]) -> dict[str, float] | None:
    parts = [r.energy.static for r in results if r.energy.static is not None]
    return spread(np.concatenate(parts)) if len(parts) == len(results) else None


def _summed(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: sum(table[name] for table in tables) for name in tables[0]}
