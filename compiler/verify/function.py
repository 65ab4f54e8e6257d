"""Rule "function": the core images hold exactly the synapses of the network, nothing else.

Source by source: what the network asks for is marked in one array over all neurons, then every
stored synapse of the source must meet its mark.  Only the sources for which that fails are looked
at in detail.  On the way the sums are bounded that can reach each neuron.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from snnc.compiler.verify.drive import Drive, add_extremes
from snnc.compiler.verify.fanout import Block, Fanout, Link
from snnc.compiler.verify.report import KEPT_PER_RULE, Findings, Violation
from snnc.compiler.verify.subject import Subject, wide
from snnc.compiler.verify.timing import physical_delay
from snnc.ir.arrays import IntArray
from snnc.ir.jit import lean_kernel

Table = tuple[IntArray, IntArray, IntArray, IntArray]
"""Source id, target id, delay on the axon and weight of synapses.

The source ids are those of positive or all pulses; those of the negative pulses of a pair of axons
follow as another range of the same size.
"""


@dataclass
class Compared:
    """What the synapses of network and core images have to do with each other.

    Attributes:
        wanted: synapses that the network asks for, those of a pair of axons twice.
        wrong: places where the images hold something else.
        violations: the first of them.
        drive: by population, bounds of what it can receive in a step.
    """

    wanted: int = 0
    wrong: int = 0
    violations: list[Violation] = field(default_factory=list)
    drive: dict[str, Drive] = field(default_factory=dict)


def check_function(compared: Compared, findings: Findings) -> None:
    """Report what ``compare`` found."""
    findings.count("function", compared.wanted)
    findings.many("function", compared.wrong, compared.violations)


def compare(subject: Subject, fanout: Fanout) -> Compared:
    """Compare the network's synapses with the stored ones, a block of senders at a time."""
    result, total = Compared(), subject.sources.total
    low, high = np.zeros(total, np.int64), np.zeros(total, np.int64)
    types = subject.deployment.network.types
    images = _Images(subject)
    for block in fanout.blocks():
        parts = _Wanted.of(subject, block)
        for rows in parts.rows.values():
            sent = types[block.sender]
            add_extremes(rows.indices, rows.data, sent.low, sent.high, low, high)
        result.wanted += parts.synapses
        bad = images.suspects(parts)
        if bad.size:
            rows = _differences(parts.table(bad, total), images.table(bad, parts))
            result.wrong += len(rows)
            room = KEPT_PER_RULE - len(result.violations)
            result.violations += _worded(subject, rows[:room], parts.least)
    for node in subject.populations:
        span = subject.span(node)
        result.drive[node.name] = Drive(
            int(low[span].min(initial=0)), int(high[span].max(initial=0))
        )
    return result


@dataclass(frozen=True, eq=False)
class _Wanted:
    """The rows of a block under the schedule.

    Attributes:
        source: id of its first element.
        count: elements.
        rows: by extra delay on the axon, [elements, sources]: target ids and weights.
        least: ticks from a spike to its integration on an axon without a delay of its own.
        pair: elements send positive and negative pulses to axons of their own.
    """

    source: int
    count: int
    rows: dict[int, sparse.csr_array]
    least: int
    pair: bool

    @staticmethod
    def of(subject: Subject, block: Block) -> _Wanted:
        schedule = subject.deployment.schedule
        source = subject.sources.first[block.sender] + block.first
        arrival = subject.deployment.target.execution.min_delay
        least = arrival * int(subject.is_neuron[source]) if block.count else 0
        least += schedule.slots(block.sender) - 1
        rows: dict[int, sparse.csr_array] = {}
        for (population, delay), found in block.rows.items():
            extra = physical_delay(subject, Link(block.sender, population, delay)) - least
            first, total = subject.sources.first[population], subject.sources.total
            placed = sparse.csr_array(
                (found.data, found.indices + np.int32(first), found.indptr),
                shape=(block.count, total),
            )
            rows[extra] = placed if extra not in rows else rows[extra] + placed
        code = schedule.codes.get(block.sender)
        pair = code is not None and code.pair
        return _Wanted(source, block.count, rows, least, pair)

    @property
    def synapses(self) -> int:
        return sum(int(rows.nnz) for rows in self.rows.values()) * (1 + self.pair)

    def table(self, element: IntArray, total: int) -> Table:
        """The rows of some elements, written out."""
        columns: list[list[IntArray]] = [[], [], [], []]
        for extra, rows in self.rows.items():
            chosen = rows[element]
            source = np.repeat(self.source + element, np.diff(chosen.indptr))
            for negative in (0, 1) if self.pair else (0,):
                columns[0].append(source + negative * total)
                columns[1].append(wide(chosen.indices))
                columns[2].append(np.full(source.size, extra))
                columns[3].append(chosen.data * (1 - 2 * negative))
        return _joined(columns)


class _Images:
    """The stored rows, by source."""

    def __init__(self, subject: Subject) -> None:
        total = subject.sources.total
        self._subject = subject
        self._ptr, self._axon = subject.listeners
        self._stamp = np.zeros(total, np.int64)
        self._weight = np.zeros(total, np.int64)
        self._token = np.ones(1, np.int64)

    def suspects(self, wanted: _Wanted) -> IntArray:
        """Elements whose stored rows do not obviously equal the wanted ones."""
        subject, cores = self._subject, self._subject.deployment.cores
        rows = subject.rows
        heard = np.zeros(wanted.count, np.int64)
        bad = np.zeros(wanted.count, np.uint8)
        part = self._ptr[wanted.source : wanted.source + wanted.count + 1]
        for extra, asked in wanted.rows.items():
            for sign in (1, -1) if wanted.pair else (0,):
                _meet(
                    wide(asked.indptr), asked.indices, asked.data, part, self._axon, extra, sign,
                    cores.axon_delay, cores.axon_sign, subject.axon_core,
                    subject.neuron_first, rows.shape, rows.shift, rows.shape_ptr, rows.offset,
                    rows.weight, cores.neuron_source, self._stamp, self._weight, self._token,
                    heard, bad,
                )  # fmt: skip
        return np.flatnonzero((bad > 0) | (heard != np.diff(part)))

    def table(self, element: IntArray, wanted: _Wanted) -> Table:
        """What the core images hold for some elements; stored zeros add nothing."""
        subject, cores = self._subject, self._subject.deployment.cores
        rows = subject.rows
        columns: list[list[IntArray]] = [[], [], [], []]
        for source in (wanted.source + element).tolist():
            for axon in self._axon[self._ptr[source] : self._ptr[source + 1]].tolist():
                shape, first = rows.shape[axon], subject.neuron_first[subject.axon_core[axon]]
                part = slice(int(rows.shape_ptr[shape]), int(rows.shape_ptr[shape + 1]))
                weight = wide(rows.weight[part])
                live = weight != 0
                slot = first + int(rows.shift[axon]) + wide(rows.offset[part][live])
                negative = int(cores.axon_sign[axon]) < 0
                columns[0].append(np.full(slot.size, source + negative * subject.sources.total))
                columns[1].append(wide(cores.neuron_source[slot]))
                columns[2].append(np.full(slot.size, int(cores.axon_delay[axon])))
                columns[3].append(weight[live])
        return _joined(columns)


def _joined(columns: list[list[IntArray]]) -> Table:
    empty = np.zeros(0, np.int64)
    source, target, delay, weight = (np.concatenate([empty, *parts]) for parts in columns)
    return source, target, delay, weight


@lean_kernel
def _meet(
    row_ptr: IntArray, target: IntArray, weight: IntArray, axon_ptr: IntArray, axons: IntArray,
    extra: int, sign: int, axon_delay: IntArray, axon_sign: IntArray, axon_core: IntArray,
    neuron_first: IntArray, shape: IntArray, shift: IntArray, shape_ptr: IntArray,
    offset: IntArray, value: IntArray, neuron_source: IntArray, stamp: IntArray,
    expected: IntArray, token: IntArray, heard: IntArray, bad: IntArray,
) -> None:  # fmt: skip
    """Mark what elements ask for on axons of one delay and sign, and strike out what is stored.

    Args:
        row_ptr, target, weight: the wanted rows.
        axon_ptr, axons: [elements + 1] slice of the axons that listen.
        extra, sign: which of these axons; others are left to other calls.
        axon_delay, axon_sign, axon_core: [axons].
        neuron_first: [cores] first slot of a core.
        shape, shift, shape_ptr, offset, value: the stored rows.
        neuron_source: [slots].
        stamp, expected: [sources] scratch that is handed on from call to call.
        token: [1] greater than any stamp.
        heard: [elements] counts the axons looked at.
        bad: [elements] becomes 1 where a synapse is missing, or is none, or is stored twice.
    """
    factor = -1 if sign < 0 else 1
    for row in range(row_ptr.size - 1):
        now = token[0]
        token[0] += 1
        for k in range(row_ptr[row], row_ptr[row + 1]):
            stamp[target[k]] = now
            expected[target[k]] = weight[k] * factor
        left = row_ptr[row + 1] - row_ptr[row]
        for a in range(axon_ptr[row], axon_ptr[row + 1]):
            axon = axons[a]
            if axon_delay[axon] != extra or axon_sign[axon] != sign:
                continue
            heard[row] += 1
            base = neuron_first[axon_core[axon]] + shift[axon]
            for k in range(shape_ptr[shape[axon]], shape_ptr[shape[axon] + 1]):
                if value[k] == 0:
                    continue
                neuron = neuron_source[base + offset[k]]
                if stamp[neuron] != now or expected[neuron] != value[k]:
                    bad[row] = 1
                else:
                    stamp[neuron] = 0
                    left -= 1
        if left != 0:
            bad[row] = 1


def _differences(wanted: Table, stored: Table) -> IntArray:
    """[rows, 6] source, target, delay, wanted weight, stored weight, stored synapses, by key."""
    place = np.concatenate([np.stack(t[:3], axis=1) for t in (wanted, stored)])
    key, inverse = np.unique(place, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    split = wanted[0].size
    asked, held, times = (np.zeros(len(key), np.int64) for _ in range(3))
    np.add.at(asked, inverse[:split], wanted[3])
    np.add.at(held, inverse[split:], stored[3])
    np.add.at(times, inverse[split:], 1)
    bad = (asked != held) | (times != 1)
    result: IntArray = np.column_stack([key, asked, held, times])[bad]
    return result


def _worded(subject: Subject, rows: IntArray, least: int) -> Iterator[Violation]:
    for source, target, delay, wanted, stored, times in rows.tolist():
        negative, source = divmod(source, subject.sources.total)
        sender = f"{'-' * negative}{subject.name(source)}"
        where = f"{sender} -> {subject.name(target)} after {delay + least} ticks"
        found = f"{times} stored synapse(s) of weight {stored}"
        yield Violation("function", where, found, f"weight {wanted}" if wanted else "no synapse")
