"""What injection offsets are worth: the chip with and without them on calibration data."""

from __future__ import annotations

import dataclasses
from typing import Any

from snnc.inputs import Dataset, integer_batch
from snnc.ir.deployment import Deployment
from snnc.ir.nodes import Input

SAMPLES = 2
SHARES = (1.0, 0.5, 0.25, 0.125, 0.0625)
LONGER = 1.0
"""A sample may take so much longer with offsets; more, or one more missed tick, and they go."""
MEASURES = ("peak_channel_queue", "peak_receive_queue", "peak_injection_queue", "stall_cycles")


def kept_if_good(deployment: Deployment, data: Dataset) -> Deployment:
    """The deployment with as much of its offsets as does good on the data, and their effect.

    Spikes do not depend on offsets; what is measured is queues, waiting and time.  All starts are
    tried, then shares of them, until no sample takes longer and no tick misses its deadline.
    """
    plain = _starting(deployment, 0.0)
    # A fixed tick takes its time anyway; a barrier falls when all are done.
    waits = deployment.target.execution.sync == "barrier"
    before = _measured(plain, data)
    chosen, after, share, why = plain, before, 0.0, "no queue gets shorter"
    for tried in SHARES:
        candidate = _starting(deployment, tried)
        found = _measured(candidate, data)
        late = found["deadline_misses"] > before["deadline_misses"]
        slow = waits and found["cycles_per_sample"] > LONGER * before["cycles_per_sample"]
        useful = any(found[name] < before[name] for name in MEASURES)
        if useful and not late and not slow:
            chosen, after, share, why = candidate, found, tried, "shorter queues, or less waiting"
            break
        if late or slow:
            what = "ticks would miss their deadline" if late else "a sample would take longer"
            why = what if useful else f"{what} for nothing"
            after = found
    effect = {
        "samples": min(SAMPLES, data.samples),
        **{name: [before[name], after[name]] for name in before},
        "kept": share > 0,
        "share": share,
        "why": why,
    }
    report = {**deployment.report}
    report["schedule"] = {
        **report["schedule"],
        "core_start": list(chosen.schedule.core_start),
        "offsets": {**report["schedule"]["offsets"], "measured": effect},
    }
    return dataclasses.replace(chosen, report=report)


def _starting(deployment: Deployment, share: float) -> Deployment:
    """The deployment with all its starts scaled; without any for a share of 0."""
    start = tuple(int(at * share) for at in deployment.schedule.core_start) if share else ()
    schedule = dataclasses.replace(deployment.schedule, core_start=start)
    return dataclasses.replace(deployment, schedule=schedule)


def sentence(report: dict[str, Any]) -> str:
    """The effect for people."""
    found = report["schedule"]["offsets"]["measured"]
    changes = ", ".join(
        f"{name.replace('_', ' ')} {found[name][0]:,.6g} -> {found[name][1]:,.6g}"
        for name in (*MEASURES, "cycles_per_sample", "deadline_misses")
    )
    return f"offsets {'kept' if found['kept'] else 'dropped'} ({found['why']}): {changes}"


def _measured(deployment: Deployment, data: Dataset) -> dict[str, float]:
    from snnc.simulators import cycle

    samples = min(SAMPLES, data.samples)
    inputs = integer_batch(data.batch(0, samples), deployment.network.of_type(Input))
    timing = cycle.run(deployment, inputs, ()).timing
    assert timing is not None
    return {
        **{name: float(getattr(timing, name)) for name in MEASURES},
        "cycles_per_sample": float(timing.tick_cycles.sum(axis=1).max()),
        "deadline_misses": float(timing.deadline_misses),
    }
