"""``IntegerNetwork``: the contract of the whole toolchain.

Fourteen primitives with exact integer semantics in logical time: Input (after encoding), Linear,
Add, Rescale, Neuron, Mul, MatMul, Reduce, Pool, Index, Delay, Barrier, Lut, Output (before
decoding).
``simulators.reference`` is their definition; every other execution must equal it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.errors import ModelError
from snnc.ir.graph import by_name, topological_order
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import (
    Add,
    Barrier,
    Delay,
    Index,
    Input,
    Linear,
    Lut,
    MatMul,
    Mul,
    Output,
    Pool,
    Reduce,
    Rescale,
    fixed_steps,
)
from snnc.ir.shapes import check_terminals, infer_shapes
from snnc.ir.types import ValueType, events, signed_integer
from snnc.ir.weights import Conv, Dense, Weights

IntegerNode = (
    Input | Output | Linear | Add | Rescale | Neuron | Mul | MatMul | Reduce | Pool | Index
    | Delay | Barrier | Lut
)  # fmt: skip
T = TypeVar("T")
ACCUMULATOR_LIMIT = 2**62 - 1  # so that its type has at most 63 bits


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """A validated graph of exact integer operators.

    Attributes:
        name: for people, usually the model file's stem.
        nodes: in any order; ``order`` is the execution order within a step.
        assumptions: dialect decisions and approximations, carried from the ``Network``.
    """

    name: str
    nodes: tuple[IntegerNode, ...]
    assumptions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_terminals(self.name, self.nodes)
        for node in self.nodes:
            if isinstance(node, Linear) and node.weights.values.dtype.kind != "i":
                raise ModelError("integer weights are required", where=node.name)
        _ = self.order, self.shapes, self.types, self.lags, self.steps

    @cached_property
    def node(self) -> dict[str, IntegerNode]:
        """Nodes by name."""
        return by_name(self.nodes)

    @cached_property
    def order(self) -> tuple[IntegerNode, ...]:
        """Nodes in execution order within one step; delays come first."""
        delays = frozenset(n.name for n in self.nodes if isinstance(n, Delay))
        return topological_order(self.nodes, delays)

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Shape of every node's output."""
        return infer_shapes(self.nodes, Neuron)

    @cached_property
    def types(self) -> dict[str, ValueType]:
        """Value type of every node's output: the proof that no accumulator overflows."""
        neurons = frozenset(n.name for n in self.nodes if isinstance(n, Neuron))
        types: dict[str, ValueType] = {
            n.name: _neuron_type(n) for n in self.nodes if isinstance(n, Neuron)
        }
        for node in topological_order(self.nodes, neurons):
            if node.name not in types:
                operands = [types[source] for source in node.inputs]
                types[node.name] = _type(node, operands, self.shapes)
        for neuron in self.nodes:
            if isinstance(neuron, Neuron):
                _check_membrane(neuron, types[neuron.inputs[0]])
        return types

    @cached_property
    def lags(self) -> dict[str, int]:
        """Steps by which every node comes after the inputs: what barriers make it wait."""
        return lags(self.nodes)

    @cached_property
    def steps(self) -> int | None:
        """Steps that every sample must have; None: any number."""
        return fixed_steps(self.nodes)

    def of_type(self, kind: type[T]) -> tuple[T, ...]:
        """All nodes of one class, in execution order."""
        return tuple(node for node in self.order if isinstance(node, kind))

    @property
    def populations(self) -> tuple[Neuron, ...]:
        """The neuron populations, in execution order."""
        return self.of_type(Neuron)


def lags(nodes: tuple[IntegerNode, ...]) -> dict[str, int]:
    """Smallest lags such that nothing comes before what it needs, the whole sample included."""
    result = dict.fromkeys((node.name for node in nodes), 0)
    for _ in range(len(nodes) + 1):
        changed = False
        for node in nodes:
            waits = node.steps - 1 if isinstance(node, Barrier | Reduce) and node.steps else 0
            need = max((result[source] for source in node.inputs), default=0) + waits
            if need > result[node.name]:
                result[node.name], changed = need, True
        if not changed:
            return result
    raise ModelError(
        "a loop through a sum over all time steps: it needs what comes after it",
        where=", ".join(n.name for n in nodes if isinstance(n, Barrier | Reduce) and n.steps),
        allowed="loops without sums over time",
    )


def _neuron_type(node: Neuron) -> ValueType:
    if node.emit == "state":
        bound = max(node.state_range.high, -node.state_range.low)
        return signed_integer(bound, node.grid)
    if node.levels + node.negative_levels == 0:
        raise ModelError("a neuron without thresholds never fires", where=node.name)
    return events(*node.emitted)


def linear_bound(weights: Weights, magnitude: int) -> int:
    """Largest |W x| for inputs of absolute value <= magnitude: max row sum of |W|."""
    values: Any = weights.values
    if _largest(values) * values.size >= 2**63:  # the sums themselves would wrap
        values = values.astype(object)
    size = np.abs(values)
    if isinstance(weights, Dense | Conv):
        row_sums = size.reshape(size.shape[0], -1).sum(axis=1)
    else:
        rows = np.repeat(np.arange(weights.row_ptr.size - 1), np.diff(weights.row_ptr))
        row_sums = np.zeros(weights.row_ptr.size - 1, size.dtype)
        np.add.at(row_sums, rows, size)  # bincount would sum in floating point
    return int(row_sums.max()) * magnitude


def _type(node: IntegerNode, operands: list[ValueType], shapes: Mapping[str, Shape]) -> ValueType:
    if isinstance(node, Input):
        return node.type
    first = operands[0]
    bound = first.magnitude
    if isinstance(node, Linear):
        bound = linear_bound(node.weights, bound)
    elif isinstance(node, Add):
        if all(t.is_event and t.grid == first.grid for t in operands):
            return events(sum(t.low for t in operands), sum(t.high for t in operands), first.grid)
        bound = sum(t.magnitude for t in operands)
    elif isinstance(node, Mul | MatMul):
        if not any(t.is_event for t in operands):
            raise ModelError(
                "a product needs at least one event operand",
                where=node.name,
                found=", ".join(map(str, operands)),
            )
        bound = bound * operands[1].magnitude
        if isinstance(node, Mul) and all(t.is_event for t in operands):
            return events(-bound if any(t.low < 0 for t in operands) else 0, bound)
        if isinstance(node, MatMul):
            bound *= shapes[node.inputs[0]][-2 if node.transpose_a else -1]
    elif isinstance(node, Pool):
        windows = size_of(node.kernel) if node.op == "sum" else 1
        if first.is_event:
            return events(first.low * windows, first.high * windows, first.grid)
        bound *= windows
    elif isinstance(node, Reduce):
        shape = shapes[node.inputs[0]]
        terms = size_of(tuple(shape[axis] for axis in node.axes)) * max(1, node.steps)
        terms = terms if node.op == "sum" else 1
        if first.is_event:
            return events(first.low * terms, first.high * terms, first.grid)
        bound *= terms
    elif isinstance(node, Rescale):
        _check_bound(node.name, _largest(node.multiplier) * bound)
        return ValueType("int", node.bits, node.grid)
    elif isinstance(node, Lut):
        low, high = int(node.table.min()), int(node.table.max())
        return events(low, high) if high > 0 else signed_integer(-low)
    elif isinstance(node, Index):
        return _joined(operands)
    elif isinstance(node, Output | Delay | Barrier):
        return first
    _check_bound(node.name, bound)
    return signed_integer(bound)


def _joined(operands: list[ValueType]) -> ValueType:
    """A type that holds the values of every operand."""
    first = operands[0]
    if all(t == first for t in operands):
        return first
    if all(t.is_event and t.grid == first.grid for t in operands):
        return events(min(t.low for t in operands), max(t.high for t in operands), first.grid)
    return signed_integer(max(t.magnitude for t in operands))


def _check_bound(where: str, bound: int) -> None:
    if bound > ACCUMULATOR_LIMIT:
        raise ModelError(
            "an accumulator could overflow 63 bits", where=where, found=f"|value| <= {bound}"
        )


def _largest(values: IntArray) -> int:
    return max(int(values.max(initial=0)), -int(values.min(initial=0)))


def _check_membrane(n: Neuron, x: ValueType) -> None:
    """No intermediate of the neuron's equations leaves 63 bits, whatever the input."""
    current = x.magnitude << n.input_shift
    if n.current is not None:
        kept = max(n.current_range.high, -n.current_range.low)
        _check_bound(n.name, _largest(n.current.multiplier) * kept + current)
        current = kept
    kept = max(n.state_range.high, -n.state_range.low)
    bias = sum(_largest(b.value) for b in n.bias)
    _check_bound(n.name, _largest(n.leak.multiplier) * kept + current + bias)
    if n.reset.kind == "multiply":
        _check_bound(n.name, max(abs(n.reset.up), abs(n.reset.down)) * kept)
    if n.delta is not None:  # the difference of two states, and what is told of it
        _check_bound(n.name, 2 * kept + (1 << n.delta.shift))
    levels = max(n.levels, n.negative_levels)
    _check_bound(n.name, kept + _largest(n.reset.amount) * levels)
