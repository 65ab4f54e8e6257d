"""Rule "phases": phases hold the whole network between them, in an order in which it can run.

Recounts from the synapses of the whole network and of every phase; what every phase must obey as a
deployment of its own is checked by the other rules.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from snnc.compiler.verify.checker import examine, require
from snnc.compiler.verify.fanout import Fanout, Link
from snnc.compiler.verify.report import Findings, VerifyReport
from snnc.ir.arrays import IntArray, size_of
from snnc.ir.deployment import SourceSpace
from snnc.ir.expand import expand_outline
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input, Output
from snnc.ir.phased import Loop, Member, PhasedDeployment, origin
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
    expand_outline(whole)
    wanted = Fanout(whole)
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
        stored = Fanout(phase.network)
        found = _compared(program, number, names, wanted, stored)
        loop = program.loop_of(number)
        for link in stored.links:
            population, first, lag = names[link.source]
            ids = sources.first[population] + first + found.sending[link]
            # In a loop all phases have run the blocks before.
            there = link.source in held or (
                loop is not None and lag >= loop.block and population in _loop(program, loop)
            )
            missing = 0 if there else int(np.count_nonzero(~known[ids]))
            findings.count("phases", ids.size)
            if missing:
                text = f"{missing} neurons of {population} that have not run"
                findings.add("phases", f"{where}, {link.population}", text, "earlier phases")
            if loop is not None and link.delay:
                text = f"a delay of {link.delay} steps"
                findings.add("phases", f"{where}, {link.population}", text, "0 in a loop")
        for member in program.members[number]:
            _check_member(program, number, member, found, findings)
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


@dataclass
class _Compared:
    """The synapses of a phase beside those of the whole network.

    Attributes:
        sending: by link of the phase, elements of its source that have synapses.
        wanted, stored: by member, synapses in the whole network and in the phase.
        different: members with a synapse that is not the same.
    """

    sending: dict[Link, IntArray]
    wanted: Counter[str] = dataclasses.field(default_factory=Counter)
    stored: Counter[str] = dataclasses.field(default_factory=Counter)
    different: set[str] = dataclasses.field(default_factory=set)


def _compared(
    program: PhasedDeployment,
    number: int,
    names: dict[str, tuple[str, int, int]],
    wanted: Fanout,
    stored: Fanout,
) -> _Compared:
    """Compare a phase, a block of senders of the whole network at a time.

    ``names`` gives (name, first element) in the whole network of inputs and populations, and by how
    many steps a source is late.
    """
    whole, part = program.network, program.phases[number].network
    populations = {member.population for member in program.members[number]}
    sending: dict[Link, list[IntArray]] = {link: [] for link in stored.links}
    found = _Compared({})
    senders = dict.fromkeys([*(k.source for k in wanted.links if k.population in populations),
                             *(names[k.source][0] for k in stored.links)])  # fmt: skip
    for sender in senders:
        reached = [name for name in wanted.reached(sender) if name in populations]
        copies = {n: (first, late) for n, (of, first, late) in names.items() if of == sender}
        for block in wanted.steps(sender, reached):
            asked = wanted.rows(sender, block, reached)
            held: dict[tuple[str, int], list[sparse.csr_array]] = {}
            for name, (first, late) in copies.items():
                size = size_of(part.shapes[name])
                mine = slice(max(block.start - first, 0), min(block.stop - first, size))
                if mine.start >= mine.stop:
                    continue
                before = first + mine.start - block.start
                after = block.stop - first - mine.stop
                found_rows = stored.rows(name, mine, stored.reached(name))
                for (reader, delay), rows in found_rows.items():
                    sending[Link(name, reader, delay)].append(
                        mine.start + np.flatnonzero(np.diff(rows.indptr))
                    )
                    held.setdefault((reader, delay + late), []).append(_padded(rows, before, after))
            for member in program.members[number]:
                span = member.neurons(whole.shapes[member.population])
                _compare(found, member, span, asked, held)
    none = np.zeros(0, np.int64)
    found.sending = {link: np.concatenate([none, *ids]) for link, ids in sending.items()}
    return found


def _padded(rows: sparse.csr_array, before: int, after: int) -> sparse.csr_array:
    """The rows with empty ones before and after."""
    ptr = np.pad(rows.indptr, (before, after), mode="edge")
    return sparse.csr_array((rows.data, rows.indices, ptr), shape=(ptr.size - 1, rows.shape[1]))


def _compare(
    found: _Compared,
    member: Member,
    span: slice,
    asked: dict[tuple[str, int], sparse.csr_array],
    held: dict[tuple[str, int], list[sparse.csr_array]],
) -> None:
    """Note how a member's synapses of one block compare; none may be in two rows."""
    here = {delay: rows for (name, delay), rows in held.items() if name == member.name}
    there = {delay: rows[:, span] for (name, delay), rows in asked.items()
             if name == member.population}  # fmt: skip
    for delay in here.keys() | there.keys():
        mine = here.get(delay, [])
        stored = sum(int(rows.nnz) for rows in mine)
        theirs = there.get(delay)
        wanted = 0 if theirs is None else int(theirs.nnz)
        found.stored[member.name] += stored
        found.wanted[member.name] += wanted
        same = stored == wanted
        if same and stored and theirs is not None:
            same = all(rows.shape == theirs.shape for rows in mine)
            same = same and abs(sum(mine[1:], start=mine[0]) - theirs).sum() == 0
        if not same:
            found.different.add(member.name)


def _check_member(
    program: PhasedDeployment,
    number: int,
    member: Member,
    compared: _Compared,
    findings: Findings,
) -> None:
    where = f"phase {number + 1}, {member.name}"
    neuron = program.network.node[member.population]
    part = program.phases[number].network.node[member.name]
    assert isinstance(neuron, Neuron)
    span = member.neurons(neuron.shape)
    wanted = compared.wanted[member.name]
    findings.count("phases", wanted)
    if member.name in compared.different:
        found = f"{compared.stored[member.name]} synapses"
        findings.add("phases", where, found, f"the {wanted} of the whole network")
    if not isinstance(part, Neuron) or part.size != span.stop - span.start:
        findings.add("phases", where, part, f"{span.stop - span.start} neurons")
        return
    for name in _different(neuron, part, span):
        findings.add("phases", where, f"another {name}", f"as {neuron.name} of the whole network")


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
