"""Rule "profiles": shared parameter tables of a core, and the types of its axons."""

from __future__ import annotations

import numpy as np

from snnc.backends.targets.capacity import delay_bits
from snnc.compiler.verify.report import Findings
from snnc.compiler.verify.subject import Subject, wide
from snnc.ir.arrays import IntArray
from snnc.ir.neuron import Leak, Neuron, flat, flat_ladder
from snnc.ir.target import Table

_ROW_KEYS = frozenset({"encoding", "delay_bits"})


def check_profiles(subject: Subject, findings: Findings, bits: IntArray) -> None:
    """Count the distinct entries every table of every core needs."""
    for name, table in subject.deployment.target.core.tables.items():
        by_row = bool(_ROW_KEYS & set(table.key))
        used = _row_formats(subject, table, bits) if by_row else _profiles(subject, table, bits)
        findings.count("profiles", used.size)
        capacity = table.capacity.v
        if capacity is None:
            findings.unchecked.append(f"core table {name}: the capacity is not public")
            continue
        for core in np.flatnonzero(used > capacity)[:50]:
            found = f"{used[core]} {table.capacity.u} entries of {name}"
            findings.add("profiles", subject.core_name(int(core)), found, capacity)
    if subject.deployment.target.core.weight.axon_types is not None:
        _axon_types(subject, findings, subject.deployment.target.core.weight.axon_types)


def _distinct_rows(core: IntArray, columns: list[IntArray], cores: int) -> IntArray:
    rows = np.unique(np.stack([core, *columns], axis=1), axis=0)
    return np.bincount(rows[:, 0], minlength=cores)


def _profiles(subject: Subject, table: Table, bits: IntArray) -> IntArray:
    """[cores] distinct neuron profiles."""
    cores = subject.deployment.cores
    source = wide(cores.neuron_source)
    columns = []
    for word in table.key:
        if word == "weight_bits":
            columns.append(bits[subject.neuron_core])
            continue
        parts = {p.name: neuron_key(p, word) for p in subject.populations}
        width = max(part.shape[1] for part in parts.values())
        values = np.full((subject.sources.total, width), -1, np.int64)
        for node in subject.populations:
            values[subject.span(node), : parts[node.name].shape[1]] = parts[node.name]
        columns += list(values[source].T)
    return _distinct_rows(subject.neuron_core, columns, cores.count)


def neuron_key(node: Neuron, word: str) -> IntArray:
    """[neurons, columns] what one table entry of a kind stores for a population's neurons."""
    columns: list[IntArray]
    if word == "threshold":
        ladders = (node.thresholds, node.negative_thresholds)
        columns = [np.full(node.size, node.levels), np.full(node.size, node.negative_levels)]
        columns += [row for ladder in ladders for row in flat_ladder(ladder, node.shape)]
        sent = range(-node.negative_levels, node.levels + 1)
        table = sent if node.emission is None else node.emission.tolist()
        columns += [np.full(node.size, value) for value in table]
    elif word == "decay":
        columns = _leak_key(node.leak, node)
    elif word == "current_decay":
        # No current is a current that forgets at once.
        columns = _leak_key(node.current or Leak(np.array(0)), node)
    elif word == "reset":
        kind = ("subtract", "value", "none", "multiply").index(node.reset.kind)
        columns = [np.full(node.size, kind), flat(node.reset.amount, node.shape)]
    else:
        value = {"refractory": node.refractory, "weight_exponent": node.input_shift}[word]
        columns = [np.full(node.size, value)]
    return np.stack(columns, axis=1).astype(np.int64)


def _leak_key(leak: Leak, node: Neuron) -> list[IntArray]:
    """Multiplier on the common denominator 2^30."""
    return [flat(leak.multiplier, node.shape).astype(np.int64) << (30 - leak.shift)]


def _row_formats(subject: Subject, table: Table, bits: IntArray) -> IntArray:
    """[cores] distinct synapse formats over the rows."""
    cores = subject.deployment.cores
    shift = subject.per_source({p.name: p.input_shift for p in subject.populations})
    axon = subject.synapse_axon
    values = {
        "weight_bits": bits[subject.axon_core],
        "encoding": wide(cores.axon_encoding),
        "delay_bits": delay_bits(wide(cores.axon_delay)),
    }
    # A row whose targets have different shifts needs one format for each of them.
    exponent = shift[wide(cores.neuron_source)[subject.synapse_neuron]]
    columns = [
        exponent if word == "weight_exponent" else values[word][axon]
        for word in table.key
        if word == "weight_exponent" or word in values
    ]
    key = subject.axon_core[axon]
    for column in columns:
        key = key * 64 + column
    packed = np.unique(key)
    return np.bincount(packed // 64 ** len(columns), minlength=cores.count)


def _axon_types(subject: Subject, findings: Findings, limit: int) -> None:
    """Axons of one type must agree on the weight of every neuron they share (first fit)."""
    cores = subject.deployment.cores
    neurons = wide(cores.neuron_ptr)
    axons = wide(cores.axon_ptr)
    rows = wide(cores.synapse_ptr)
    findings.count("profiles", cores.count)
    for core in range(cores.count):
        types: list[IntArray] = []
        for axon in range(int(axons[core]), int(axons[core + 1])):
            row = np.zeros(int(neurons[core + 1] - neurons[core]), np.int64)
            entries = slice(int(rows[axon]), int(rows[axon + 1]))
            row[wide(cores.synapse_target[entries])] = wide(cores.synapse_weight[entries])
            _first_fit(types, row)
        if len(types) > limit:
            found = f"{len(types)} axon types by first fit"
            findings.add("profiles", subject.core_name(core), found, limit)


def _first_fit(types: list[IntArray], row: IntArray) -> None:
    for weights in types:
        both = (weights != 0) & (row != 0)
        if (weights[both] == row[both]).all():
            weights[row != 0] = row[row != 0]
            return
    types.append(row)
