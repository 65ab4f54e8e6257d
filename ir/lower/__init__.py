"""Operators that are no synapses become populations and synapses; exact, by construction.

A neuron that forgets computes any function of one small integer, and so products, maxima and
tables: see the modules of this package, and docs/ir.md.  The result holds only inputs, neurons,
linear operators, delays and barriers; every tensor of the original network keeps its name and its
values in every step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from snnc.ir.arrays import size_of
from snnc.ir.errors import UnsupportedError
from snnc.ir.graph import topological_order
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.lower.associate import associate
from snnc.ir.lower.builder import Builder, RewriteError
from snnc.ir.lower.limits import ANYTHING, Limits, limits_of
from snnc.ir.lower.maxima import pool, reduce
from snnc.ir.lower.products import matmul, multiply, multiply_by_table
from snnc.ir.lower.readouts import with_readouts
from snnc.ir.lower.sums import reduce_over_time, reduce_sum
from snnc.ir.lower.tables import lut, rescale
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input, Lut, MatMul, Mul, Pool, Reduce, Rescale
from snnc.ir.shared_expansion import fan_in

__all__ = [
    "ANYTHING", "Limits", "Lowered", "Refusal", "Rewrite", "executable", "limits_of", "lower",
    "rewritten", "with_readouts",
]  # fmt: skip


@dataclass(frozen=True)
class Rewrite:
    """What one operator became: its helper populations, their neurons and their synapses."""

    node: str
    operator: str
    populations: tuple[str, ...]
    neurons: int
    synapses: int

    def __str__(self) -> str:
        if not self.populations:
            return f"{self.operator} rewritten into synapses"
        return (
            f"{self.operator} rewritten into {self.neurons:,} neurons of "
            f"{len(self.populations)} population(s) with {self.synapses:,} synapses"
        )


@dataclass(frozen=True)
class Refusal:
    """Why one operator could not be rewritten within the limits."""

    node: str
    operator: str
    reason: str
    remedy: str


@dataclass(frozen=True, eq=False)
class Lowered:
    """The rewritten network, or what stands against it.

    Attributes:
        network: the result; the original one where anything was refused.
        rewrites: by order of execution.
        refusals: likewise; empty on success.
    """

    network: IntegerNetwork
    rewrites: tuple[Rewrite, ...]
    refusals: tuple[Refusal, ...]


def rewritten(node: object) -> bool:
    """Whether the operator is no synapse and has to be rewritten."""
    is_max = isinstance(node, Pool) and node.op == "max"
    return is_max or isinstance(node, Mul | MatMul | Reduce | Rescale | Lut)


def lower(network: IntegerNetwork, limits: Limits = ANYTHING) -> Lowered:
    """Rewrite every operator that is no synapse.

    The costs are added to the network's assumptions.
    """
    if not any(rewritten(node) for node in network.nodes):
        return Lowered(network, (), ())
    source = associate(network)
    builder = Builder(source, limits)
    neurons = frozenset(n.name for n in source.nodes if isinstance(n, Neuron))
    inline: dict[str, Lut] = {}
    refusals: list[Refusal] = []
    for node in topological_order(source.nodes, neurons):
        if not rewritten(node):
            builder.keep(node)
        elif isinstance(node, Lut) and _is_inline(source, node, builder):
            inline[node.name] = node
        else:
            builder.owner = node.name
            try:
                _rewrite(builder, node, inline)
            except RewriteError as error:
                operator = _described(node)
                refusals.append(Refusal(node.name, operator, error.reason, error.remedy))
                builder.keep(Input(node.name, source.shapes[node.name], source.types[node.name]))
    if refusals:
        return Lowered(network, (), tuple(refusals))
    result = IntegerNetwork(network.name, tuple(builder.nodes.values()), network.assumptions)
    rewrites = _costs(source, result, builder.made, inline)
    told = {f"rewritten {r.node}": str(r) for r in rewrites}
    if limits.reach is not None and any(r.populations for r in rewrites):
        told["helper neurons"] = (
            f"potentials up to {limits.reach} are forgotten because the leak rounds toward zero"
        )
    assumptions = {**network.assumptions, **told}
    return Lowered(IntegerNetwork(result.name, result.nodes, assumptions), rewrites, ())


def executable(network: IntegerNetwork) -> IntegerNetwork:
    """Populations and linear operators only, for simulators that know no machine.

    Raises:
        UnsupportedError: naming the operators that could not be rewritten.
    """
    result = lower(network)
    if result.refusals:
        raise UnsupportedError(
            "operators that cannot be written as neurons and synapses",
            where=", ".join(refusal.node for refusal in result.refusals),
            found="; ".join(f"{r.node}: {r.reason}" for r in result.refusals),
            remedy="the reference simulator runs them; "
            + "; ".join(dict.fromkeys(r.remedy for r in result.refusals)),
        )
    return with_readouts(result.network)


def _rewrite(b: Builder, node: IntegerNode, inline: dict[str, Lut]) -> None:
    if isinstance(node, Mul):
        tables = [s for s in node.inputs if s in inline]
        if tables:
            (x,) = (s for s in node.inputs if s not in inline)
            multiply_by_table(b, x, inline[tables[0]])
        else:
            multiply(b, node)
    elif isinstance(node, Reduce):
        rule = reduce_over_time if node.steps else reduce if node.op == "max" else reduce_sum
        rule(b, node)
    else:
        rules: dict[type, Callable[[Builder, Any], None]] = {
            MatMul: matmul, Pool: pool, Lut: lut, Rescale: rescale,
        }  # fmt: skip
        rules[type(node)](b, node)


def _is_inline(network: IntegerNetwork, node: Lut, b: Builder) -> bool:
    """A table of a spike that only multiplies, as NOT in x * (1 - y), is part of the product."""
    readers = [n for n in network.nodes if node.name in n.inputs]
    partners = [network.node[s] for n in readers for s in n.inputs if s != node.name]
    return (
        b.extent(node.inputs[0]) == (0, 1)
        and bool(readers)
        and all(isinstance(n, Mul) for n in readers)
        and len(partners) == len(readers)
        and not any(isinstance(partner, Lut) for partner in partners)
    )


def _costs(
    source: IntegerNetwork,
    result: IntegerNetwork,
    made: dict[str, list[str]],
    inline: dict[str, Lut],
) -> tuple[Rewrite, ...]:
    helpers = [name for names in made.values() for name in names]
    synapses = fan_in(result, helpers)
    return tuple(
        Rewrite(
            node.name,
            _described(node),
            tuple(made.get(node.name, ())),
            sum(size_of(result.shapes[name]) for name in made.get(node.name, ())),
            sum(synapses[name] for name in made.get(node.name, ())),
        )
        for node in source.order
        if rewritten(node) and node.name not in inline
    )


def _described(node: IntegerNode) -> str:
    if isinstance(node, Reduce | Pool):
        return f"{type(node).__name__} {node.op}"
    return type(node).__name__
