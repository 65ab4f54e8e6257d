"""What each framework means by a NIR file: the facts the format has no field for.

Sources: the frameworks' exporters, read and run; each row reproduces its framework spike for spike
where ``docs/nir.md`` says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from snnc.compiler.frontends.nir.graph import Graph
from snnc.compiler.frontends.nir.guess import guess, time_step
from snnc.compiler.frontends.nir.options import NirOptions
from snnc.compiler.frontends.record import Notes
from snnc.ir.real_neuron import Comparator, ResetTiming

Integration = Literal["euler", "exponential", "sinabs", "spyx"]


@dataclass(frozen=True)
class Dialect:
    """A complete reading of the file.

    Attributes:
        dt: length of a step in the unit of the file's time constants.
        integration: "euler" is NIR's equation with forward Euler; "exponential" is rockpool's
            exact decay with unit gain; "sinabs" is exact decay with normalised input; "spyx" is
            Euler with unit gain.
        subtract_timing: when a reset by subtraction acts, outside loops.
        recurrent_timing: when a reset acts for neurons inside a loop.
        clamp: potentials stay at or above minus the threshold.
        fires_late: a neuron's spike leaves it one step after its potential passed the threshold.
    """

    name: str
    dt: float
    comparator: Comparator = ">"
    reset: Literal["zero", "subtract"] = "zero"
    loop_delay: Literal["before", "after"] = "before"
    integration: Integration = "euler"
    multi_spike: int = 1
    clamp: bool = False
    fires_late: bool = False
    subtract_timing: ResetTiming = "now"
    recurrent_timing: ResetTiming = "now"


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("nir", 1e-4),
        Dialect(
            "snntorch", 1e-4, subtract_timing="snntorch_subtract", recurrent_timing="next_step"
        ),
        Dialect("spikingjelly", 1e-4, comparator=">=", loop_delay="after"),
        Dialect("norse", 1e-3, loop_delay="after"),
        Dialect(
            "sinabs", 1.0, comparator=">=", reset="subtract", integration="sinabs",
            multi_spike=0, clamp=True,
        ),
        Dialect(
            "rockpool", 1e-3, comparator=">=", reset="subtract", integration="exponential",
            multi_spike=0,
        ),
        Dialect(
            "spyx", 1.0, reset="subtract", integration="spyx", subtract_timing="next_step",
            fires_late=True,
        ),
        Dialect("lava", 1e-4, loop_delay="after"),
    )
}  # fmt: skip


def choose(graph: Graph, options: NirOptions, notes: Notes) -> Dialect:
    """Decide the dialect and record every part of the decision."""
    name: str = options.dialect
    why = "given"
    if options.dialect == "auto":
        name, why = guess(graph)
        why = f"guessed: {why}"
    base = DIALECTS[name]
    dt, dt_why = time_step(graph, name, base.dt) if options.dt is None else (options.dt, "given")
    chosen = replace(
        base,
        dt=dt,
        comparator=options.threshold or base.comparator,
        reset=options.reset or base.reset,
        loop_delay=options.loop_delay or base.loop_delay,
    )
    if chosen.reset == "zero":
        # Several spikes in one step only make sense when each takes its threshold away.
        chosen = replace(chosen, multi_spike=1)
    _record(chosen, options, notes, why, dt_why)
    return chosen


def _record(chosen: Dialect, options: NirOptions, notes: Notes, why: str, dt_why: str) -> None:
    def source(given: object) -> str:
        return "given" if given is not None else f"default of {chosen.name}"

    timing = {
        "now": "in the step of the spike",
        "next_step": "one step late",
        "snntorch_subtract": "snnTorch's two-stage rule",
    }
    notes.add("dialect", f"{chosen.name} ({why})")
    notes.add("dt", f"{chosen.dt:g} ({dt_why})")
    notes.add("reset", f"{chosen.reset} ({source(options.reset)})")
    if chosen.reset == "subtract":
        notes.add("reset timing", timing[chosen.subtract_timing])
    if chosen.recurrent_timing != "now":
        notes.add("reset timing in loops", timing[chosen.recurrent_timing])
    notes.add("comparator", f"v {chosen.comparator} threshold ({source(options.threshold)})")
    notes.add("multi-spike", "one spike per step" if chosen.multi_spike else "floor(v / threshold)")
    if chosen.clamp:
        notes.add("clamp", "potentials stay at or above minus the threshold")
    if chosen.fires_late:
        notes.add("firing", "spikes leave one step after the potential passed the threshold")
    notes.add("integration", chosen.integration)
    notes.add("loop delay", f"{chosen.loop_delay} recurrent weights ({source(options.loop_delay)})")
