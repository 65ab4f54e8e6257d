"""The phases of a program on the emulated chip, as one result.

Times, energies and counts of the phases add up; what loading a phase costs is told apart
(``snnc.simulators.cycle.reload``), because all samples of a batch share it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from snnc.simulators.cycle.result import (
    CycleResult,
    EnergyReport,
    PhaseShare,
    TimingReport,
    Unpriced,
)
from snnc.simulators.result import RunResult

Number = TypeVar("Number", int, float)


def joined(results: Sequence[CycleResult], result: RunResult, phases: Sequence[int]) -> CycleResult:
    """Results of successive phases on the same samples as one; ``result`` is the whole network's.

    ``phases`` are the numbers of the phases; those of a loop come once per block of steps.

    Cores are those of the machine in each phase, so nothing by core is added up: those tables are
    empty, and the busiest core and channel are those of the phase in which they have most to do.
    """
    first = results[0]
    unpriced: dict[tuple[str, str], Unpriced] = {}
    for entry in (entry for r in results for entry in r.unpriced):
        known = unpriced.get((entry.kind, entry.quantity))
        count = entry.count + (known.count if known else 0)
        unpriced[entry.kind, entry.quantity] = Unpriced(entry.kind, entry.quantity, count)
    channels = [r.busiest_channel for r in results if r.busiest_channel is not None]
    return CycleResult(
        result=result,
        target=first.target,
        samples=first.samples,
        ticks=sum(r.ticks for r in results),
        counts=_added([r.counts for r in results]),
        counts_by_layer=_layers([r.counts_by_layer for r in results]),
        counts_by_core=np.zeros((len(first.counts), 0), np.int64),
        packets=sum(r.packets for r in results),
        hops=sum(r.hops for r in results),
        busiest_channel=max(channels, key=lambda c: c.packets, default=None),
        busiest_core=max(
            (r.busiest_core for r in results), key=lambda c: (c.busy_s, c.synaptic_events)
        ),
        energy=_energy([r.energy for r in results]),
        timing=_timing([r.timing for r in results if r.timing is not None]),
        stray_inputs=sum(r.stray_inputs for r in results),
        unpriced=tuple(unpriced.values()),
        notes=tuple(dict.fromkeys(note for r in results for note in r.notes)),
        trace=None,
        phases=tuple(
            _share([r for r, at in zip(results, phases, strict=True) if at == number])
            for number in sorted(set(phases))
        ),
    )


def _share(blocks: Sequence[CycleResult]) -> PhaseShare:
    """What a phase took, with all its blocks."""
    times = [r.timing.seconds for r in blocks if r.timing is not None]
    energy = np.sum([r.energy.dynamic for r in blocks], axis=0)
    return PhaseShare(np.sum(times, axis=0) if times else None, energy)


def _added(tables: Sequence[Mapping[str, Number]]) -> dict[str, Number]:
    result: dict[str, Number] = {}
    for table in tables:
        for name, value in table.items():
            result[name] = result[name] + value if name in result else value
    return result


def _layers(tables: Sequence[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    result: dict[str, dict[str, int]] = {}
    for table in tables:
        for name, counts in table.items():
            result[name] = _added([result[name], counts]) if name in result else dict(counts)
    return result


def _energy(parts: Sequence[EnergyReport]) -> EnergyReport:
    static = [p.static for p in parts if p.static is not None]
    return EnergyReport(
        scope=parts[0].scope,
        dynamic=np.sum([p.dynamic for p in parts], axis=0),
        by_kind=_added([p.by_kind for p in parts]),
        by_layer=_added([p.by_layer for p in parts]),
        by_core=np.zeros(0),
        static=np.sum(static, axis=0) if len(static) == len(parts) else None,
    )


def _timing(parts: Sequence[TimingReport]) -> TimingReport | None:
    if not parts:
        return None
    first = parts[0]
    return TimingReport(
        noc=first.noc,
        cycle_s=first.cycle_s,
        seconds=np.sum([p.seconds for p in parts], axis=0),
        tick_cycles=np.concatenate([p.tick_cycles for p in parts], axis=1),
        barrier_s=max(p.barrier_s for p in parts),
        limited_by=_added([p.limited_by for p in parts]),
        limits=_added([p.limits for p in parts]),
        deadline_misses=sum(p.deadline_misses for p in parts),
        peak_channel_queue=max(p.peak_channel_queue for p in parts),
        peak_injection_queue=max(p.peak_injection_queue for p in parts),
        peak_receive_queue=max(p.peak_receive_queue for p in parts),
        stall_cycles=sum(p.stall_cycles for p in parts),
    )
