"""What the chip spends when nothing happens: the same program, time and prices, on silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnc.in_phases import PhaseRunner
from snnc.ir.arrays import IntArray
from snnc.ir.nodes import Input
from snnc.ir.phased import PhasedDeployment, Program
from snnc.simulators import cycle
from snnc.simulators.cycle.result import CycleResult


def idle_energy(program: Program, steps: int, runs: list[CycleResult]) -> dict[str, Any]:
    """One sample without input beside the mean of the samples run, of the same cost table.

    Every step of the silent sample runs, also where the others stopped early.

    Returns:
        The field ``idle`` of ``energy``, see docs/report.md; its energies are null where the
        target has no prices, and all of it where an input cannot be silent.
    """
    inputs = program.network.of_type(Input)
    if any(not node.type.low <= 0 <= node.type.high for node in inputs):
        return {"idle": None}
    zeros = {node.name: np.zeros((1, steps, *node.shape), np.int64) for node in inputs}
    still = _run(program, zeros)
    energy, timing = still.energy, still.timing
    priced = energy.scope != "unpriced"
    dynamic = float(energy.dynamic[0])
    measured = float(np.concatenate([r.energy.dynamic for r in runs]).mean())
    return {
        "idle": {
            "dynamic_j": dynamic if priced else None,
            "dynamic_j_by_kind": dict(energy.by_kind) if priced else {},
            "active_j_per_sample": measured - dynamic if priced else None,
            "static_j": None if energy.static is None else float(energy.static[0]),
            "seconds": None if timing is None else float(timing.seconds[0]),
            "spikes": sum(int(counts.sum()) for counts in still.result.spike_counts.values()),
            "packets": still.packets,
            "events": dict(still.counts),
            "unpriced": [entry.kind for entry in still.unpriced if entry.quantity == "energy"],
        }
    }


def _run(program: Program, inputs: Mapping[str, IntArray]) -> CycleResult:
    if not isinstance(program, PhasedDeployment):
        return cycle.run(program, inputs, ())
    _, result = PhaseRunner(program, "cycle").run(inputs, ())
    assert result is not None  # of the emulated chip
    return result
