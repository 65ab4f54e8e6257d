"""Capacities of a target's core, evaluated for many clusters at once.

Every number comes from the target description (``ir.target``); nothing here knows a chip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from snnc.backends.targets.expression import evaluate, names_in
from snnc.ir.arrays import IntArray
from snnc.ir.errors import UnsupportedError
from snnc.ir.neuron import MEMORYLESS, Neuron, flat, flat_ladder
from snnc.ir.target import Encoding, Target

Counts = Mapping[str, IntArray]


@dataclass(frozen=True)
class Limit:
    """One wall of a core: ``name`` and ``capacity``, with the expression that fills it."""

    name: str
    capacity: int
    unit: str
    expression: str | None = None
    per_axon: Mapping[Encoding, str] = field(default_factory=dict)
    table: tuple[str, ...] = ()

    @property
    def per_row(self) -> bool:
        """A table of row formats instead of neuron profiles."""
        return bool({"encoding", "delay_bits"} & set(self.table))

    @property
    def names(self) -> frozenset[str]:
        """Counts the expression reads."""
        return names_in(self.expression) if self.expression else frozenset()


@dataclass(frozen=True, eq=False)
class Limits:
    """All walls of a target's core.

    Attributes:
        walls: the checkable resources and tables.
        unchecked: resources whose accounting or capacity is not public.
    """

    target: Target
    walls: tuple[Limit, ...]
    unchecked: tuple[str, ...]

    @staticmethod
    def of(target: Target) -> Limits:
        """The walls that the description states."""
        walls, unchecked = [], []
        for name, resource in target.core.resources.items():
            capacity = resource.capacity.v
            if capacity is None or (resource.use is None and resource.use_per_axon is None):
                unchecked.append(name)
            if capacity is None:
                continue
            use = resource.use or resource.lower_bound
            per_axon = {} if resource.use else dict(resource.use_per_axon or {})
            if use or per_axon:
                walls.append(Limit(name, int(capacity), resource.capacity.u, use, per_axon))
        for name, table in target.core.tables.items():
            if table.capacity.v is None:
                unchecked.append(name)
            else:
                capacity = int(table.capacity.v)
                walls.append(Limit(name, capacity, table.capacity.u, table=table.key))
        return Limits(target, tuple(walls), tuple(unchecked))

    def use(self, wall: Limit, counts: Counts) -> IntArray:
        """Amount used per cluster; tables and per-axon sums are counts of their own name."""
        if wall.expression is None:
            return counts[wall.name]
        value = evaluate(wall.expression, {name: counts[name] for name in wall.names})
        used: IntArray = np.broadcast_to(np.asarray(value), counts["n_neurons"].shape)
        return used

    def usage(self, counts: Counts) -> dict[str, IntArray]:
        """Amount used of every wall, per cluster."""
        return {wall.name: self.use(wall, counts) for wall in self.walls}

    def fits(self, counts: Counts) -> IntArray:
        """Per cluster: no wall is exceeded."""
        good = np.ones(counts["n_neurons"].shape, bool)
        for wall in self.walls:
            good &= self.use(wall, counts) <= wall.capacity
        most = self.target.core.max_targets_per_neuron
        if most is not None:
            good &= counts["max_targets_per_neuron"] <= most
        return good


def compartments(target: Target, neuron: Neuron) -> int:
    """Compartments one neuron of the population takes, by its reset rule.

    Raises:
        UnsupportedError: the target does not offer the reset rule.
    """
    if neuron.emit != "count":
        return 1
    offered = target.neuron.reset
    cost = offered.get(neuron.reset.kind)
    if neuron.reset.kind == "value" and not neuron.reset.amount.any():
        cost = offered.get("zero", cost)
    if cost is None:
        raise UnsupportedError(
            "the target's cores have no such reset rule",
            where=neuron.name,
            found=neuron.reset.kind,
            allowed=", ".join(offered),
            remedy="the legalize stage tells what the target can express",
        )
    return cost.compartments


def profile_keys(
    populations: tuple[Neuron, ...], bits: tuple[int, ...], words: tuple[str, ...]
) -> IntArray:
    """One number per neuron such that equal numbers may share a table entry.

    Args:
        populations: in the order of their neurons.
        bits: weight width of every population.
        words: ``ir.target.Table.key``.
    """
    columns = [_profile(node, width, words) for node, width in zip(populations, bits, strict=True)]
    widest = max(c.shape[1] for c in columns)
    rows = np.concatenate([np.pad(c, ((0, 0), (0, widest - c.shape[1]))) for c in columns])
    key: IntArray = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    return key


def _profile(node: Neuron, bits: int, words: tuple[str, ...]) -> IntArray:
    """[neurons, columns]; rows of different layout differ in their first deviating column."""
    parts: list[IntArray] = [_constant(node, 0)]
    for word in words:
        if word == "threshold":
            parts += [_constant(node, node.levels), _constant(node, node.negative_levels)]
            parts += list(flat_ladder(node.thresholds, node.shape))
            parts += list(flat_ladder(node.negative_thresholds, node.shape))
            parts += [_constant(node, int(value)) for value in _emission(node)]
        else:
            parts += _columns(node, bits, word)
    return np.stack(parts, axis=1)


def _emission(node: Neuron) -> IntArray:
    low, high = -node.negative_levels, node.levels
    return np.arange(low, high + 1) if node.emission is None else node.emission


def _columns(node: Neuron, bits: int, word: str) -> tuple[IntArray, ...]:
    if word in ("decay", "current_decay"):
        # No current is a current that forgets at once.
        leak = node.leak if word == "decay" else node.current or MEMORYLESS
        return (flat(leak.multiplier, node.shape) << (30 - leak.shift),)
    if word == "reset":
        kind = ("subtract", "value", "none", "multiply").index(node.reset.kind)
        return _constant(node, kind), flat(node.reset.amount, node.shape)
    value = {
        "refractory": node.refractory,
        "weight_bits": bits,
        "weight_exponent": node.input_shift,
    }
    return (_constant(node, value[word]),)


def _constant(node: Neuron, value: int) -> IntArray:
    return np.full(node.size, value, np.int64)
