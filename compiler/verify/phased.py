"""Rule "phases": phases hold the whole network between them, in an order in which it can run.

Recounts from the synapses of the whole network and of every phase; what every phase must obey as a
deployment of its own is checked by the other rules.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from snnc.compiler.verify.checker import examine, require
from snnc.compiler.verify.report import Findings, VerifyReport
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import SourceSpace
from snnc.ir.expand import Expansion, expand
from snnc.ir.loop_network import origin
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input, Output
from snnc.ir.phased import Loop, Member, PhasedDeployment
from snnc.ir.subnetwork import replayed

LADDERS = ("thresholds", "negative_thresholds")
NAMES = ("name", "inputs", "shape", "grid")


def verify_phased(program: PhasedDeployment, *, phases_too: bool = True) -> VerifyReport:
    """Check a phased program as ``verify`` checks a deployment.

    Args:
        program: the phases.
        phases_too: also check every phase as a deployment; False where that has been done.

    Raises:
        VerificationError: at least one rule is broken.
    """
    return require(examine_phased(program, phases_too=phases_too), program.network.name)


def examine_phased(program: PhasedDeployment, *, phases_too: bool = True) -> VerifyReport:
    """Check and report the violations instead of raising."""
    findings = Findings()
    if phases_too:
        for number, phase in enumerate(program.phases):
            _take(findings, examine(phase), f"phase {number + 1}: ")
    _check_machines(program, findings)
    _check_function(program, findings)
    return findings.report()


def _take(findings: Findings, found: VerifyReport, prefix: str) -> None:
    for rule, facts in found.checked.items():
        findings.count(rule, facts)
    worded = [dataclasses.replace(v, where=prefix + v.where) for v in found.violations]
    for rule, facts in found.broken.items():
        findings.many(rule, facts, [v for v in worded if v.rule == rule])
    findings.unchecked += found.unchecked


def _check_machines(program: PhasedDeployment, findings: Findings) -> None:
    """All phases are programs of the same machine and length."""
    findings.count("phases", len(program.phases))
    for number, phase in enumerate(program.phases):
        same = phase.target == program.target and phase.chips == program.chips
        steps = program.steps_of(number)
        if not same or phase.schedule.timesteps != steps:
            findings.add(
                "phases",
                f"phase {number + 1}",
                f"{phase.chips} chip(s) of {phase.target.id}, {phase.schedule.timesteps} steps",
                f"{program.chips} chip(s) of {program.target.id}, {steps} steps",
            )


def _check_function(program: PhasedDeployment, findings: Findings) -> None:
    whole, sources = program.network, SourceSpace.of(program.network)
    wanted = _by_population(expand(whole), {name: (name, 0, 0) for name in sources.first}, sources)
    known = np.zeros(sources.total, bool)
    for node in whole.of_type(Input):
        known[sources.first[node.name] :][: sources.size[node.name]] = True
    for number, phase in enumerate(program.phases):
        where = f"phase {number + 1}"
        names = {m.name: (m.population, m.neurons(whole.shapes[m.population]).start, 0)
                 for m in program.members[number]}  # fmt: skip
        played = replayed(whole, phase.network)
        for node in phase.network.of_type(Input):
            source, late = origin(whole, node.name)
            names[node.name] = (source, 0, late)
        held = {p.name for p in phase.network.populations}
        if held != {m.name for m in program.members[number]} or any(
            population not in sources.first for population, _, _ in names.values()
        ):
            findings.add("phases", where, ", ".join(sorted(held)), "exactly the phase's members")
            continue
        _check_played(program, number, played, findings)
        expansion = expand(phase.network)
        stored = _by_population(expansion, names, sources)
        loop = program.loop_of(number)
        for projection in expansion.projections:
            population, first, lag = names[projection.source]
            ids = sources.first[population] + first + np.flatnonzero(np.diff(projection.row_ptr))
            # In a loop all phases have run the blocks before.
            there = projection.source in held or (
                loop is not None and lag >= loop.block and population in _loop(program, loop)
            )
            missing = 0 if there else int(np.count_nonzero(~known[ids]))
            findings.count("phases", ids.size)
            if missing:
                text = f"{missing} neurons of {population} that have not run"
                findings.add("phases", f"{where}, {projection.population}", text, "earlier phases")
            if loop is not None and projection.delay:
                text = f"a delay of {projection.delay} steps"
                findings.add("phases", f"{where}, {projection.population}", text, "0 in a loop")
        for member in program.members[number]:
            _check_member(program, number, member, wanted, stored, sources, findings)
            span = member.neurons(whole.shapes[member.population])
            first = sources.first[member.population]
            known[first + span.start : first + span.stop] = True
    missing = int(np.count_nonzero(~known))
    findings.count("phases", known.size)
    if missing:
        findings.add("phases", whole.name, f"{missing} neurons are in no phase", "0")


def _check_played(
    program: PhasedDeployment, number: int, played: dict[str, str], findings: Findings
) -> None:
    """What is played in again is what the population sends, and the host heard it."""
    whole, loop = program.network, program.loop_of(number)
    if loop is not None:
        sent = {output.inputs[0] for output in program.phases[number].network.of_type(Output)}
        for member in program.members[number]:
            findings.count("phases", 1)
            if member.name not in sent:
                findings.add("phases", f"phase {number + 1}, {member.name}", "nobody hears it",
                             "an output, as all of a loop")  # fmt: skip
    heard = {
        output.inputs[0]
        for phase in program.phases[:number]
        for output in phase.network.of_type(Output)
    }
    for name, population in played.items():
        node = program.phases[number].network.node[name]
        kind = whole.types[population]
        fits = isinstance(node, Input) and node.shape == whole.shapes[population]
        fits = fits and isinstance(node, Input) and node.type.low <= kind.low
        if not (fits and isinstance(node, Input) and node.type.high >= kind.high):
            findings.add("phases", f"phase {number + 1}, input {name}", node, kind)
        makers = [m for row in program.members[:number] for m in row if m.population == population]
        findings.count("phases", len(makers))
        if loop is not None:
            continue  # checked above
        if not any(member.name in heard for member in makers):
            findings.add("phases", f"phase {number + 1}, input {name}", "nobody heard it",
                         "an output in an earlier phase")  # fmt: skip


def _loop(program: PhasedDeployment, loop: Loop) -> set[str]:
    """Populations of a loop."""
    held = program.members[loop.first : loop.last]
    return {member.population for members in held for member in members}


Synapses = tuple[IntArray, IntArray, IntArray, IntArray]
"""Source id in the whole network, logical delay, flat neuron of the population, weight."""


def _by_population(
    expansion: Expansion, names: dict[str, tuple[str, int, int]], sources: SourceSpace
) -> dict[str, Synapses]:
    """Synapses of every population, sorted.

    ``names`` gives (name, first element) in the whole, and by how many steps a source is late.
    """
    columns: dict[str, list[list[IntArray]]] = {}
    for projection in expansion.projections:
        source, first, late = names[projection.source]
        _, offset, _ = names[projection.population]
        row = np.repeat(np.arange(projection.row_ptr.size - 1), np.diff(projection.row_ptr))
        parts = columns.setdefault(projection.population, [[], [], [], []])
        parts[0].append(row + sources.first[source] + first)
        parts[1].append(np.full(row.size, projection.delay + late))
        parts[2].append(projection.target.astype(np.int64) + offset)
        parts[3].append(projection.weight.astype(np.int64))
    result = {}
    for name, found in columns.items():
        source_id, delay, target, weight = (np.concatenate(part) for part in found)
        order = np.lexsort((target, delay, source_id))
        result[name] = (source_id[order], delay[order], target[order], weight[order])
    return result


def _check_member(
    program: PhasedDeployment,
    number: int,
    member: Member,
    wanted: dict[str, Synapses],
    stored: dict[str, Synapses],
    sources: SourceSpace,
    findings: Findings,
) -> None:
    where = f"phase {number + 1}, {member.name}"
    neuron = program.network.node[member.population]
    part = program.phases[number].network.node[member.name]
    assert isinstance(neuron, Neuron)
    span = member.neurons(neuron.shape)
    none = (np.zeros(0, np.int64),) * 4
    here, there = stored.get(member.name, none), wanted.get(member.population, none)
    inside = (there[2] >= span.start) & (there[2] < span.stop)
    findings.count("phases", int(np.count_nonzero(inside)))
    if not all(
        np.array_equal(mine, theirs[inside]) for mine, theirs in zip(here, there, strict=True)
    ):
        found = f"{here[0].size} synapses"
        findings.add("phases", where, found, f"the {np.count_nonzero(inside)} of the whole network")
    if not isinstance(part, Neuron) or part.size != span.stop - span.start:
        findings.add("phases", where, part, f"{span.stop - span.start} neurons")
        return
    for field in _different(neuron, part, span):
        findings.add("phases", where, f"another {field}", f"as {neuron.name} of the whole network")


def _different(whole: Neuron, part: Neuron, span: slice) -> Iterator[str]:
    """Fields in which a part's neurons are not those of the whole population."""
    for field in dataclasses.fields(Neuron):
        if field.name in NAMES:
            continue
        a, b = getattr(whole, field.name), getattr(part, field.name)
        if field.name in LADDERS:
            same = len(a) == len(b) and all(
                _same(x, y, whole, part, span) for x, y in zip(a, b, strict=True)
            )
        elif field.name == "emission":  # by count, not by neuron
            same = (a is None) == (b is None) and (a is None or np.array_equal(a, b))
        else:
            same = _same(a, b, whole, part, span)
        if not same:
            yield field.name


def _same(a: Any, b: Any, whole: Neuron, part: Neuron, span: slice) -> bool:
    """Equal values; arrays neuron by neuron."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        mine = np.broadcast_to(b, part.shape).reshape(-1)
        return bool((np.broadcast_to(a, whole.shape).reshape(-1)[span] == mine).all())
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(
            _same(x, y, whole, part, span) for x, y in zip(a, b, strict=True)
        )
    if dataclasses.is_dataclass(a) and type(a) is type(b):
        return all(
            _same(getattr(a, f.name), getattr(b, f.name), whole, part, span)
            for f in dataclasses.fields(a)
        )
    return bool(a == b)
