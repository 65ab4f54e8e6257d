"""The network as the mapper sees it: axons into each population, as flat arrays.

An *axon* is a (source id, extra delay) pair; on every core that holds some of its targets it costs
one input axon and one row of synapse memory.  A source that sends its sign by a pair of axons has
a second one with the negated row (``snnc.ir.wire``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from snnc.compiler.partition.shared_fanin import Connection, SharedFanin
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.deployment import SourceSpace
from snnc.ir.errors import CompilerBugError
from snnc.ir.expand import Expansion
from snnc.ir.neuron import Neuron
from snnc.ir.row_shapes import chosen, index_type, joined, narrow
from snnc.ir.rows import Rows
from snnc.ir.shared_expansion import AnyExpansion, SharedExpansion


@dataclass(frozen=True, eq=False)
class Fanin:
    """All axons that reach one population, rows of all its projections one after another.

    Attributes:
        source: [axons] global source id.
        delay: [axons] extra ticks.
        negative: [axons] 1 for the axon that hears the negative pulses of a pair, else 0.
        row_ptr: [axons + 1] slice of ``target`` and ``weight`` per axon; no row is empty.
        target: [synapses] flat neuron within the population.
        weight: [synapses] mantissa.
    """

    source: IntArray
    delay: IntArray
    negative: IntArray
    row_ptr: IntArray
    target: IntArray
    weight: IntArray

    @property
    def synapses(self) -> int:
        """Number of synapses."""
        return int(self.target.size)

    @property
    def axons(self) -> int:
        """Number of axons."""
        return int(self.source.size)

    @property
    def lengths(self) -> IntArray:
        """[axons] synapses."""
        length: IntArray = np.diff(self.row_ptr)
        return length

    @property
    def largest(self) -> int:
        """Largest absolute weight."""
        return int(np.abs(self.weight).max(initial=0))

    @property
    def piece_delay(self) -> IntArray:
        """[axons] extra ticks: pieces are of single axons."""
        return self.delay

    def fan_in(self, size: int) -> IntArray:
        """[neurons] synapses per neuron."""
        return np.bincount(self.target, minlength=size)

    def fan_in_by_delay(self, size: int) -> dict[int, IntArray]:
        """[neurons] synapses per neuron, by extra delay."""
        late = np.repeat(self.delay, self.lengths)
        delays = np.unique(self.delay)
        return {int(d): np.bincount(self.target[late == d], minlength=size) for d in delays}

    def members(self, axons: IntArray) -> tuple[IntArray, IntArray]:
        """(axons of these pieces' owners, position of the owner): every axon is one."""
        return axons, np.arange(axons.size)


AnyFanin = Fanin | SharedFanin


def written_out(fanin: AnyFanin) -> Fanin:
    """The same axons with every row written out."""
    if isinstance(fanin, Fanin):
        return fanin
    return Fanin(fanin.source, fanin.delay, fanin.negative, *fanin.rows.plain())


@dataclass(frozen=True, eq=False)
class Wiring:
    """Populations, what reaches them, and how often every source fires.

    Attributes:
        sources: numbering of senders.
        rate: [sources] expected packets per sample.
        axons: [sources] axons at each core reached, per delay: 2 for a pair, else 1.
        populations: in execution order; their neurons have consecutive source ids.
        fanin: one per population.
    """

    sources: SourceSpace
    rate: RealArray
    axons: IntArray
    populations: tuple[Neuron, ...]
    fanin: tuple[AnyFanin, ...]

    @property
    def shared(self) -> bool:
        """Whether rows share shapes."""
        return any(isinstance(f, SharedFanin) for f in self.fanin)

    @cached_property
    def first_neuron(self) -> int:
        """Source id of the first neuron: the number of input elements."""
        return self.sources.total - sum(p.size for p in self.populations)

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return self.sources.total - self.first_neuron

    @cached_property
    def delays(self) -> int:
        """One more than the largest extra delay."""
        return 1 + max((int(f.delay.max(initial=0)) for f in self.fanin), default=0)

    @cached_property
    def signs(self) -> int:
        """2 when some source has a pair of axons, else 1."""
        return int(self.axons.max(initial=1))

    @property
    def families(self) -> int:
        """How many numbers ``family`` has."""
        return len(self.sources.first) * self.signs * self.delays

    def family(self, source: IntArray, negative: IntArray, delay: IntArray) -> IntArray:
        """[axons] number of (sender, negative, delay), with the delay as its remainder."""
        begins = np.array(sorted(self.sources.first.values()), np.int64)
        sender = np.searchsorted(begins, source, side="right") - 1
        result: IntArray = (sender * self.signs + negative) * self.delays + delay
        return result

    def axon_key(self, fanin: AnyFanin, axon: IntArray | None = None) -> IntArray:
        """[axons] number of (source, negative, delay): equal for rows that merge on a core."""
        which: IntArray | slice = slice(None) if axon is None else axon
        sender = fanin.source[which].astype(np.int64) * self.signs + fanin.negative[which]
        key: IntArray = sender * self.delays + fanin.delay[which]
        return key

    def axon_of(self, key: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """(source, negative, delay) of axon keys."""
        sender, delay = key // self.delays, key % self.delays
        return sender // self.signs, sender % self.signs, delay

    @cached_property
    def row_length(self) -> IntArray:
        """[sources] synapses of every source over all populations and delays."""
        total = np.zeros(self.sources.total, np.int64)
        for fanin in self.fanin:
            np.add.at(total, fanin.source, fanin.lengths)
        return total


def wire(
    expansion: AnyExpansion,
    sources: SourceSpace,
    extra_delay: Mapping[tuple[str, str, int], int],
    rates: Mapping[str, RealArray] | None,
    pairs: Collection[str] = (),
) -> Wiring:
    """Collect the axons of every population.

    Args:
        expansion: populations and projections.
        sources: numbering of senders of the same network.
        extra_delay: ticks by (source, population, logical delay).
        rates: expected packets per sample of each element, by input or population name; a sender
            that is not listed counts one packet per element.
        pairs: senders whose sign is the choice of one of two axons.

    Raises:
        CompilerBugError: a projection has no extra delay.
    """
    fanin: tuple[AnyFanin, ...] = tuple(
        _shared_fanin(expansion, node.name, sources, extra_delay, pairs)
        if isinstance(expansion, SharedExpansion)
        else _fanin(expansion, node.name, sources, extra_delay, pairs)
        for node in expansion.populations
    )
    axons = np.ones(sources.total, np.int64)
    for name in pairs:
        axons[sources.first[name] : sources.first[name] + sources.size[name]] = 2
    rate = np.ones(sources.total)
    for name, values in (rates or {}).items():
        first = sources.first[name]
        rate[first : first + sources.size[name]] = np.reshape(values, -1)
    return Wiring(sources, rate, axons, expansion.populations, fanin)


def _fanin(
    expansion: Expansion,
    population: str,
    sources: SourceSpace,
    extra_delay: Mapping[tuple[str, str, int], int],
    pairs: Collection[str],
) -> Fanin:
    source, delay, negative, length, target, weight = [], [], [], [], [], []
    for projection in expansion.projections:
        if projection.population != population:
            continue
        late = _extra(extra_delay, (projection.source, projection.population, projection.delay))
        rows = np.diff(projection.row_ptr)
        used = np.flatnonzero(rows)
        for number in range(2 if projection.source in pairs else 1):
            source.append(sources.first[projection.source] + used)
            delay.append(np.full(used.size, late, np.int64))
            negative.append(np.full(used.size, number, np.int64))
            length.append(rows[used])
            target.append(projection.target)
            weight.append(-projection.weight if number else projection.weight)
    row_ptr = np.concatenate([[0], np.cumsum(_join(length, np.int64))])
    return Fanin(
        _join(source, np.int64),
        _join(delay, np.int64),
        _join(negative, np.int64),
        row_ptr.astype(np.int64),
        _join(target, np.int32),
        _join(weight, np.int64),
    )


def _extra(extra_delay: Mapping[tuple[str, str, int], int], key: tuple[str, str, int]) -> int:
    if key not in extra_delay:
        raise CompilerBugError("the retiming misses a projection", where=" -> ".join(key[:2]))
    return extra_delay[key]


def _shared_fanin(
    expansion: SharedExpansion,
    population: str,
    sources: SourceSpace,
    extra_delay: Mapping[tuple[str, str, int], int],
    pairs: Collection[str],
) -> SharedFanin:
    source, delay, negative, rows, connections = [], [], [], [], []
    number = index_type(sources.total)
    for projection in expansion.projections:
        if projection.population != population:
            continue
        late = _extra(extra_delay, (projection.source, projection.population, projection.delay))
        used = np.flatnonzero(projection.rows.lengths)
        mine = projection.rows
        if not used.size:
            continue  # no axon, so none of its delay either
        if used.size < mine.count:
            mine = chosen(mine, used)
        for sign in range(2 if projection.source in pairs else 1):
            source.append((sources.first[projection.source] + used).astype(number))
            delay.append(np.full(used.size, late, np.int32))
            negative.append(np.full(used.size, sign, np.int8))
            rows.append(_negated(mine) if sign else mine)
            connections.append(
                Connection(
                    sources.first[projection.source], sources.size[projection.source], late, sign,
                    used.size, projection.kernels,
                )
            )  # fmt: skip
    if not rows:
        none = np.zeros(0, np.int32)
        rows.append(Rows(none, none, np.zeros(1, np.int64), none, none))
    return SharedFanin(
        _join(source, number), _join(delay, np.int32), _join(negative, np.int8), joined(rows),
        tuple(connections),
    )  # fmt: skip


def _negated(rows: Rows) -> Rows:
    weight = narrow(-rows.weight.astype(np.int64))
    return Rows(rows.shape, rows.shift, rows.shape_ptr, rows.offset, weight)


def _join(parts: Sequence[IntArray], dtype: npt.DTypeLike) -> IntArray:
    if not parts:
        return np.zeros(0, dtype)
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts)  # one part is not copied
    return whole.astype(dtype, copy=False)
