"""Rule "profiles": shared parameter tables of a core, and the types of its axons."""

from __future__ import annotations

import numpy as np

from snnc.backends.targets.capacity import delay_bits
from snnc.compiler.verify.report import Findings
from snnc.compiler.verify.subject import Subject, wide
from snnc.ir.arrays import IntArray, sorted_unique
from snnc.ir.jit import lean_kernel
from snnc.ir.neuron import Leak, Neuron, flat, flat_ladder
from snnc.ir.target import Table

AXONS_AT_ONCE = 1 << 20
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


def _profiles(subject: Subject, table: Table, bits: IntArray) -> IntArray:
    """[cores] distinct neuron profiles."""
    cores = subject.deployment.cores
    source = wide(cores.neuron_source)
    code: IntArray = np.zeros(source.size, np.int64)
    for word in table.key:
        if word == "weight_bits":
            code = _joint(code, bits[subject.neuron_core])
            continue
        parts = {p.name: neuron_key(p, word) for p in subject.populations}
        width = max(part.shape[1] for part in parts.values())
        values = np.full(subject.sources.total, -1, np.int64)
        for column in range(width):
            values[:] = -1
            for node in subject.populations:
                part = parts[node.name]
                if column < part.shape[1]:
                    values[subject.span(node)] = part[:, column]
            code = _joint(code, values[source])
    kinds = int(code.max(initial=0)) + 1
    pairs = sorted_unique(wide(subject.neuron_core) * kinds + code)
    return np.bincount(pairs // kinds, minlength=cores.count)


def _joint(code: IntArray, value: IntArray) -> IntArray:
    """Equal numbers from 0 on where both are equal."""
    if value.size == 0 or (value == value[0]).all():
        return code
    _, kind = np.unique(value, return_inverse=True)
    span = int(kind.max()) + 1
    _, joint = np.unique(code * span + kind.reshape(-1), return_inverse=True)
    result: IntArray = joint.reshape(-1)
    return result


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
    """[cores] distinct synapse formats over the rows that are not empty."""
    cores, rows = subject.deployment.cores, subject.rows
    result = np.zeros(cores.count, np.int64)
    for some, axons in cores.parts(AXONS_AT_ONCE):
        core = wide(subject.axon_core[axons])
        values = {
            "weight_bits": bits[core],
            "encoding": wide(cores.axon_encoding[axons]),
            "delay_bits": delay_bits(wide(cores.axon_delay[axons])),
        }
        key = core - some.start
        for word in table.key:
            if word in values:
                key = key * 64 + values[word]
        if "weight_exponent" not in table.key:
            found = sorted_unique(key[subject.shapes.length[rows.shape[axons]] > 0])
        else:
            found = _with_exponents(subject, axons, key)
        words = sum(word == "weight_exponent" or word in values for word in table.key)
        result[some] = np.bincount(found // 64**words, minlength=some.stop - some.start)
    return result


def _with_exponents(subject: Subject, axons: slice, key: IntArray) -> IntArray:
    """Distinct ``key * 64 + exponent``: a row needs one format for each exponent it meets."""
    cores, rows = subject.deployment.cores, subject.rows
    shift = subject.per_source({p.name: p.input_shift for p in subject.populations})
    exponent = shift[wide(cores.neuron_source)].astype(np.uint8)
    kinds = np.unique(exponent)
    if kinds.size == 1:
        filled = subject.shapes.length[rows.shape[axons]] > 0
        return sorted_unique(key[filled]) * 64 + int(kinds[0])
    met = np.zeros(key.size, np.uint64)
    _exponents(
        rows.shape[axons], rows.shift[axons], rows.shape_ptr, rows.offset,
        subject.neuron_first[subject.axon_core[axons]], exponent, met,
    )  # fmt: skip
    found = []
    for number in kinds.tolist():
        here = (met >> np.uint64(number)) & np.uint64(1) > 0
        found.append(sorted_unique(key[here]) * 64 + number)
    return np.concatenate([np.zeros(0, np.int64), *found])


@lean_kernel
def _exponents(
    shape: IntArray, shift: IntArray, shape_ptr: IntArray, offset: IntArray, first: IntArray,
    exponent: IntArray, met: IntArray,
) -> None:  # fmt: skip
    """Set the bits of all exponents below 64 that the targets of a row have."""
    for row in range(shape.size):
        base = first[row] + shift[row]
        for k in range(shape_ptr[shape[row]], shape_ptr[shape[row] + 1]):
            met[row] |= np.uint64(1) << np.uint64(exponent[base + offset[k]])


def _axon_types(subject: Subject, findings: Findings, limit: int) -> None:
    """Axons of one type must agree on the weight of every neuron they share (first fit)."""
    cores = subject.deployment.cores
    findings.count("profiles", cores.count)
    for core in range(cores.count):
        axons = slice(int(cores.axon_ptr[core]), int(cores.axon_ptr[core + 1]))
        row_ptr, target, weight = subject.rows.plain(axons)
        types: list[IntArray] = []
        for axon in range(axons.stop - axons.start):
            row = np.zeros(int(cores.neuron_ptr[core + 1] - cores.neuron_ptr[core]), np.int64)
            entries = slice(int(row_ptr[axon]), int(row_ptr[axon + 1]))
            row[wide(target[entries])] = wide(weight[entries])
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
