"""What flows on every edge of a network: events or numbers, and between which bounds.

An integer network's types are those it was validated with.  A real network's are inferred by the
same rules, with a scaled event kept an event: its factor folds into the weights that read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snnc.ir.arrays import AnyArray, Shape, size_of
from snnc.ir.graph import topological_order
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network, RealNode
from snnc.ir.nodes import Add, Bias, Delay, Index, Input, Mul, Output, Pool, Reduce, Scale
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.types import ValueType, events


@dataclass(frozen=True)
class Value:
    """One tensor: ``event`` where zero is silence, integers low..high, None = no bound.

    ``scale`` names the real factor on an event; two events add to a count only with one scale.
    """

    text: str
    event: bool
    low: int | None = None
    high: int | None = None
    scale: str = ""

    @property
    def binary(self) -> bool:
        """A spike or none."""
        return self.event and self.low == 0 and self.high is not None and self.high <= 1

    @property
    def magnitude(self) -> int | None:
        """Largest absolute value, None when there is no bound."""
        return None if self.low is None or self.high is None else max(self.high, -self.low)


REAL = Value("real", event=False)
UNBOUNDED = Value("cnt(any)", event=True)


@dataclass(frozen=True)
class Edge:
    """A tensor on its way from one node to a reader."""

    source: str
    sink: str
    shape: Shape
    value: Value


def edges(network: Network | IntegerNetwork, values: dict[str, Value]) -> tuple[Edge, ...]:
    """Every edge, readers in execution order."""
    return tuple(
        Edge(source, node.name, network.shapes[source], values[source])
        for node in network.order
        for source in node.inputs
    )


def observed(data: Mapping[str, AnyArray]) -> dict[str, Value]:
    """What a real network's inputs hold in the data: whole numbers are events, others not."""
    found = {}
    for name, array in data.items():
        whole = array.dtype.kind in "iub" or bool((array == np.rint(array)).all())
        low, high = int(min(0, array.min())), int(max(1, array.max()))
        found[name] = _counted(low, high, "") if whole else REAL
    return found


def values_of(
    network: Network | IntegerNetwork, inputs: Mapping[str, Value] | None = None
) -> dict[str, Value]:
    """What every node emits, by name; ``inputs`` overrules what a real network declares."""
    if isinstance(network, IntegerNetwork):
        return {name: _typed(kind) for name, kind in network.types.items()}
    stateful = frozenset(n.name for n in network.nodes if isinstance(n, RealNeuron))
    result = dict(inputs or {})
    result |= {n.name: _emitted(n) for n in network.nodes if isinstance(n, RealNeuron)}
    for node in topological_order(network.nodes, stateful):
        if node.name not in result:
            operands = [result[source] for source in node.inputs]
            result[node.name] = _real(node, operands, network.shapes)
    return result


def _typed(kind: ValueType) -> Value:
    scale = "" if kind.grid == (1.0,) else repr(kind.grid)
    return Value(str(kind), kind.is_event, kind.low, kind.high, scale)


def _counted(low: int | None, high: int | None, scale: str) -> Value:
    if low is None or high is None:
        return Value("cnt(any)", True, None, None, scale)
    kind = events(low, high)
    return Value(str(kind), True, kind.low, kind.high, scale)


def _emitted(node: RealNeuron) -> Value:
    if node.threshold is None:
        return REAL
    if node.multi_spike == 0:
        return UNBOUNDED
    return _counted(-node.negative_spikes, node.multi_spike, "")


def _real(node: RealNode, operands: list[Value], shapes: dict[str, Shape]) -> Value:
    if isinstance(node, Input):
        return _typed(node.type)
    first = operands[0]
    if isinstance(node, Output | Delay):
        return first
    if isinstance(node, Bias) or not all(v.event for v in operands):
        return REAL
    if isinstance(node, Scale):
        return Value(first.text, True, first.low, first.high, f"{first.scale}*{node.name}")
    if isinstance(node, Index) and all(v.scale == first.scale for v in operands):
        lows = [0 if v.low is None else v.low for v in operands]
        highs = [v.high for v in operands]
        high = None if None in highs else max(h for h in highs if h is not None)
        return _counted(min(lows), high, first.scale)
    if isinstance(node, Pool | Reduce):
        return _summed([first] * _terms(node, shapes))
    if isinstance(node, Add) and all(v.scale == first.scale for v in operands):
        return _summed(operands)
    if isinstance(node, Add | Index):  # a sum of differently scaled events: linear, but no count
        return Value("events", True, None, None, node.name)
    if isinstance(node, Mul):
        return _product(*operands)
    return REAL  # Linear, MatMul


def _terms(node: Pool | Reduce, shapes: dict[str, Shape]) -> int:
    if node.op == "max":
        return 1
    if isinstance(node, Pool):
        return size_of(node.kernel)
    shape = shapes[node.inputs[0]]
    return size_of(tuple(shape[axis] for axis in node.axes)) * max(node.steps, 1)


def _summed(terms: list[Value]) -> Value:
    if any(v.low is None or v.high is None for v in terms):
        return _counted(None, None, terms[0].scale)
    low = sum(v.low for v in terms if v.low is not None)
    high = sum(v.high for v in terms if v.high is not None)
    return _counted(low, high, terms[0].scale)


def _product(a: Value, b: Value) -> Value:
    if a.magnitude is None or b.magnitude is None:
        return _counted(None, None, f"{a.scale}*{b.scale}")
    bound = a.magnitude * b.magnitude
    signed = (a.low or 0) < 0 or (b.low or 0) < 0
    return _counted(-bound if signed else 0, bound, f"{a.scale}*{b.scale}")
