"""Rule "function": the core images hold exactly the synapses of the network, nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from snnc.compiler.verify.report import Findings, Violation
from snnc.compiler.verify.subject import Subject, wide
from snnc.compiler.verify.timing import physical_delay
from snnc.ir.arrays import IntArray
from snnc.ir.expand import Expansion

Table = tuple[IntArray, IntArray, IntArray, IntArray]
"""Source id, target id, physical delay and weight of every synapse.

The source ids are those of positive or all pulses; those of the negative pulses of a pair of axons
follow as another range of the same size.  The delay is that of the last slot.
"""


def check_function(subject: Subject, findings: Findings, expansion: Expansion) -> None:
    """Compare the network's synapses with the stored ones, both sorted."""
    wanted, stored = wanted_synapses(subject, expansion), stored_synapses(subject)
    findings.count("function", wanted[0].size)
    low = min(int(t[2].min(initial=0)) for t in (wanted, stored))
    span = max(int(t[2].max(initial=0)) for t in (wanted, stored)) - low + 1
    keys: list[IntArray] = []
    weights: list[IntArray] = []
    for source, target, delay, weight in (wanted, stored):
        key = (source * subject.sources.total + target) * span + (delay - low)
        order = np.argsort(key, kind="stable")
        keys.append(key[order])
        weights.append(weight[order])
    same = keys[0].size == keys[1].size
    if same and (keys[0] == keys[1]).all() and (weights[0] == weights[1]).all():
        return
    rows = _differences(keys, weights)
    total = subject.sources.total
    findings.many("function", len(rows), _worded(subject, rows[:50], total, span, low))


def wanted_synapses(subject: Subject, expansion: Expansion) -> Table:
    """What the network asks for under the schedule."""
    first, total = subject.sources.first, subject.sources.total
    codes = subject.deployment.schedule.codes
    columns: list[list[IntArray]] = [[], [], [], []]
    for projection in expansion.projections:
        size = projection.synapses
        source = np.repeat(
            np.arange(projection.row_ptr.size - 1, dtype=np.int64), np.diff(projection.row_ptr)
        )
        code = codes.get(projection.source)
        for negative in (0, 1) if code is not None and code.pair else (0,):
            columns[0].append(source + first[projection.source] + negative * total)
            columns[1].append(wide(projection.target) + first[projection.population])
            columns[2].append(np.full(size, physical_delay(subject, projection), np.int64))
            columns[3].append(wide(projection.weight) * (1 - 2 * negative))
    empty = np.zeros(0, np.int64)
    source, target, delay, weight = (np.concatenate([empty, *parts]) for parts in columns)
    return source, target, delay, weight


def stored_synapses(subject: Subject) -> Table:
    """What the core images compute; stored zeros add nothing and are left out."""
    cores = subject.deployment.cores
    weight = wide(cores.synapse_weight)
    live = weight != 0
    axon = subject.synapse_axon[live]
    source = wide(cores.axon_source)[axon]
    arrival = np.where(subject.is_neuron, subject.deployment.target.execution.min_delay, 0)
    delay = wide(cores.axon_delay)[axon] + arrival[source] + subject.slots[source] - 1
    target = wide(cores.neuron_source)[subject.synapse_neuron[live]]
    negative = wide(cores.axon_sign)[axon] < 0
    return source + negative * subject.sources.total, target, delay, weight[live]


def _differences(keys: list[IntArray], weights: list[IntArray]) -> IntArray:
    """[rows, 4] key, wanted weight, stored weight, stored synapses; where they do not agree."""
    unique, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    inverse = inverse.reshape(-1)
    split = keys[0].size
    wanted, stored, times = (np.zeros(unique.size, np.int64) for _ in range(3))
    np.add.at(wanted, inverse[:split], weights[0])
    np.add.at(stored, inverse[split:], weights[1])
    np.add.at(times, inverse[split:], 1)
    bad = (wanted != stored) | (times != 1)
    return np.asarray(np.stack([unique, wanted, stored, times], axis=1)[bad])


def _worded(
    subject: Subject, rows: IntArray, total: int, span: int, low: int
) -> Iterator[Violation]:
    for key, wanted, stored, times in rows.tolist():
        pair, delay = divmod(key, span)
        source, target = divmod(pair, total)
        negative, source = divmod(source, total)
        sender = f"{'-' * negative}{subject.name(source)}"
        where = f"{sender} -> {subject.name(target)} after {delay + low} ticks"
        found = f"{times} stored synapse(s) of weight {stored}"
        yield Violation("function", where, found, f"weight {wanted}" if wanted else "no synapse")
