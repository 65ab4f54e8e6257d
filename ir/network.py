"""``Network``: a trained network as its framework computes it, real numbers, zero-delay time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from snnc.ir.arrays import Shape
from snnc.ir.graph import by_name, topological_order
from snnc.ir.nodes import (
    Add,
    Bias,
    Delay,
    Index,
    Input,
    Linear,
    MatMul,
    Mul,
    Output,
    Pool,
    Reduce,
    Scale,
    fixed_steps,
)
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.shapes import check_terminals, infer_shapes

RealNode = (
    Input | Output | Linear | Bias | Scale | Add | Mul | MatMul | Reduce | Pool | Index | Delay
    | RealNeuron
)  # fmt: skip
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Network:
    """A validated graph of real-valued operators.

    Attributes:
        name: for people, usually the file's stem.
        nodes: in any order; ``order`` is the topological one.
        assumptions: what the file did not say and the frontend decided, e.g. {"dt": "0.0001"}.
    """

    name: str
    nodes: tuple[RealNode, ...]
    assumptions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_terminals(self.name, self.nodes)
        _ = self.order, self.shapes, self.steps

    @cached_property
    def node(self) -> dict[str, RealNode]:
        """Nodes by name."""
        return by_name(self.nodes)

    @cached_property
    def order(self) -> tuple[RealNode, ...]:
        """Nodes in execution order within one step."""
        delays = frozenset(n.name for n in self.nodes if isinstance(n, Delay))
        return topological_order(self.nodes, delays)

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Shape of every node's output; raises ``ModelError`` where operands disagree."""
        return infer_shapes(self.nodes, RealNeuron)

    @cached_property
    def steps(self) -> int | None:
        """Steps that every sample must have; None: any number."""
        return fixed_steps(self.nodes)

    def of_type(self, kind: type[T]) -> tuple[T, ...]:
        """All nodes of one class, in execution order."""
        return tuple(node for node in self.order if isinstance(node, kind))
