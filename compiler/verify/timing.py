"""Rule "schedule": every spike arrives when its target needs it, and outputs are complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from snnc.compiler.verify.fanout import Link
from snnc.compiler.verify.report import Findings
from snnc.compiler.verify.subject import Subject


def check_offsets(subject: Subject, findings: Findings) -> None:
    """Every population has an offset, and no name is invented; cores begin within the tick."""
    _check_starts(subject, findings)
    offset = subject.deployment.schedule.offset
    findings.count("schedule", len(subject.populations))
    for node in subject.populations:
        if node.name not in offset:
            findings.add("schedule", node.name, "no offset", "one per population")
    for name in sorted(set(offset) - set(subject.sources.first)):
        findings.add("schedule", name, "an offset of something that does not exist")


def _check_starts(subject: Subject, findings: Findings) -> None:
    """One start per core, or none; a fixed tick is not over by then."""
    deployment = subject.deployment
    start, execution = deployment.schedule.core_start, deployment.target.execution
    findings.count("schedule", len(start))
    if len(start) not in (0, deployment.cores.count):
        allowed = f"{deployment.cores.count}, or none"
        findings.add("schedule", "core_start", f"{len(start)} starts", allowed)
    if execution.sync == "fixed_tick" and execution.tick_s.v and execution.cycle_s.v:
        cycles = execution.tick_s.v / execution.cycle_s.v
        for core, at in enumerate(start):
            if at >= cycles:
                findings.add("schedule", f"core {core}", f"begins at cycle {at}", f"{cycles:g}")


def check_schedule(
    subject: Subject, findings: Findings, links: Sequence[Link], readout: Mapping[str, str]
) -> None:
    """Physical delays are possible, and every output's population finishes in the sample.

    ``readout`` is the population that each output reads.
    """
    deployment = subject.deployment
    schedule = deployment.schedule
    limit = deployment.target.core.max_delay.v
    findings.count("schedule", len(links))
    for link in links:
        least = least_delay(subject, link)
        delay = physical_delay(subject, link)
        where = f"{link.source} -> {link.population} (delay {link.delay})"
        if delay < least:
            findings.add("schedule", where, f"{delay} ticks", f"at least {least}")
        if limit is not None and delay - least > limit:
            findings.add("schedule", where, f"{delay} ticks", f"at most {least + limit:g}")
    last = schedule.ticks
    for output, name in readout.items():
        last_slot = schedule.offset[name] + schedule.slots(name)
        end = schedule.period * (schedule.timesteps - 1) + last_slot
        if end > last:
            findings.add("schedule", output, f"read until tick {end}", f"at most {last}")


def least_delay(subject: Subject, link: Link) -> int:
    """Ticks from sending to the last slot's integration at least.

    Inputs are there at once, spikes take the minimal delay.
    """
    is_input = link.source not in {node.name for node in subject.populations}
    travel = 0 if is_input else subject.deployment.target.execution.min_delay
    return travel + subject.deployment.schedule.slots(link.source) - 1


def physical_delay(subject: Subject, link: Link) -> int:
    """Ticks from sending to integrating that the schedule asks for."""
    schedule = subject.deployment.schedule
    offset = schedule.offset
    shift = offset[link.population] - offset.get(link.source, 0)
    return schedule.period * link.delay + shift
