"""Programs of several phases against the reference."""

from __future__ import annotations

from support.random_networks import random_inputs
from support.same_run import assert_same_run

from snnc.in_phases import PhaseRunner
from snnc.ir.phased import PhasedDeployment
from snnc.simulators import reference


def check_equal(program: PhasedDeployment, seed: int, steps: int = 8) -> int:
    """All spikes, outputs and counts of both simulators; returns the spikes compared."""
    data = random_inputs(program.network, seed, 3, steps)
    truth = reference.run(program.network, data)
    for backend in ("functional", "cycle"):
        found, _ = PhaseRunner(program, backend).run(data, None)
        assert_same_run(found, truth)
    return sum(events.count for events in truth.spikes.values())
