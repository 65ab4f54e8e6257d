"""The network that normalisation builds: its nodes, shapes, and what kind of numbers they hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnc.compiler.normalise.matrices import diagonal, per_channel, scale_rows
from snnc.ir.arrays import RealArray, Shape, size_of
from snnc.ir.network import Network, RealNode
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, MatMul, Mul, Pool, Reduce, Scale
from snnc.ir.real_neuron import RealNeuron


def event_only(network: Network) -> set[str]:
    """Tensors made of spikes alone: no weight or scale lies between them and the neurons.

    (A bias before a delay reaches the population that follows on its own.)
    """
    touched = {n.name for n in network.nodes if isinstance(n, Linear | Scale)}
    touched |= {n.name for n in network.of_type(RealNeuron) if n.threshold is None}
    readers: dict[str, list[RealNode]] = {}
    for node in network.nodes:
        for source in node.inputs:
            readers.setdefault(source, []).append(node)
    waiting = list(touched)
    while waiting:
        for node in readers.get(waiting.pop(), []):
            if node.name not in touched and not isinstance(node, RealNeuron):
                touched.add(node.name)
                waiting.append(node.name)
    return {n.name for n in network.nodes} - touched


class Builder:
    """Nodes by name, in the order they were made.

    Attributes:
        events: tensors of spikes alone.
        binary: among them those that hold 0 and 1 only.
        maxima: tensors of sums that a maximum was taken of: a negative factor cannot pass below.
        delays: for every ``Delay``, the original tensor it reads and the factor it reads it with;
            their operands are settled last.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.nodes: dict[str, RealNode] = {}
        self.shapes: dict[str, Shape] = dict(network.shapes)
        self.events: set[str] = set()
        self.binary: set[str] = set()
        self.maxima: set[str] = set()
        self.delays: dict[str, tuple[str, RealArray | None]] = {}
        self._original_events = event_only(network)
        self._copies: dict[tuple[str, Shape, bytes], str] = {}

    def put(self, node: RealNode, shape: Shape) -> str:
        """Add a node whose operands are there already (a delay's may follow later)."""
        self.nodes[node.name] = node
        self.shapes[node.name] = shape
        if self._holds_events(node):
            self.events.add(node.name)
            if self._holds_bits(node):
                self.binary.add(node.name)
        elif not isinstance(node, RealNeuron | Delay):
            most = isinstance(node, Pool | Reduce) and node.op == "max"
            if most or self.maxima.intersection(node.inputs):
                self.maxima.add(node.name)
        return node.name

    def _holds_events(self, node: RealNode) -> bool:
        if isinstance(node, RealNeuron):
            return node.threshold is not None
        if isinstance(node, Input):
            return True
        if isinstance(node, Delay):
            return node.name in self._original_events
        return not isinstance(node, Linear) and self.events.issuperset(node.inputs)

    def _holds_bits(self, node: RealNode) -> bool:
        if isinstance(node, RealNeuron):
            return node.multi_spike == 1 and not node.negative_spikes
        if isinstance(node, Input):
            return node.type.kind == "bin"
        once = isinstance(node, Mul | Index) or (isinstance(node, Pool) and node.op == "max")
        return once and self.binary.issuperset(node.inputs)

    def fresh(self, name: str) -> str:
        """The name, or with a suffix while it is taken."""
        while name in self.nodes or name in self.network.node:
            name += ".1"
        return name

    def scaled(self, name: str, scale: RealArray | None) -> str:
        """A tensor that holds ``scale x name``: its weights are scaled, or new ones appear.

        The factor moves below sums, pools, gathers and maxima to the weights there, so that no
        weight is applied to what is a sum already.
        """
        if scale is None or bool((np.asarray(scale) == 1).all()):
            return name
        key = (name, np.shape(scale), np.asarray(scale).tobytes())
        if key not in self._copies:
            self._copies[key] = self._scaled(name, scale)
        return self._copies[key]

    def _scaled(self, name: str, scale: RealArray) -> str:
        node, shape = self.nodes[name], self.shapes[name]
        fresh = self.fresh(f"{name}.scaled")
        if isinstance(node, Linear):
            inner = self.shapes[node.inputs[0]]
            weights = scale_rows(node.weights, scale, inner, shape)
            return self.put(Linear(fresh, node.inputs, weights), shape)
        if isinstance(node, Delay) and name not in self.events:
            source, factor = self.delays[name]
            self.delays[fresh] = (source, scale if factor is None else factor * scale)
            return self.put(replace(node, name=fresh), shape)
        if name in self.events or isinstance(node, RealNeuron):
            return self._weighted(fresh, name, scale)
        if name in self.maxima and (np.asarray(scale) < 0).any():
            return self.signed(self.scaled(name, np.abs(scale)), scale)
        return self._pushed(node, fresh, scale) or self._weighted(fresh, name, scale)

    def _weighted(self, fresh: str, name: str, scale: RealArray) -> str:
        shape = self.shapes[name]
        return self.put(Linear(fresh, (name,), diagonal(scale, shape)), shape)

    def signed(self, name: str, scale: RealArray) -> str:
        """A copy of a tensor with the signs of ``scale``."""
        signs = np.where(np.asarray(scale) < 0, -1.0, 1.0)
        return self._weighted(self.fresh(f"{name}.sign"), name, signs)

    def _pushed(self, node: RealNode, fresh: str, scale: RealArray) -> str | None:
        shape = self.shapes[node.name]
        if isinstance(node, Add):
            inputs = tuple(self.scaled(source, scale) for source in node.inputs)
            return self.put(Add(fresh, inputs), shape)
        if isinstance(node, Mul | MatMul):
            return self._into_product(node, fresh, scale)
        inner = self.shapes[node.inputs[0]]
        if isinstance(node, Pool):
            channel = per_channel(scale, shape)
            if channel is None:
                return None
            source = self.scaled(node.inputs[0], channel.reshape(-1, *(1,) * (len(inner) - 1)))
            return self.put(replace(node, name=fresh, inputs=(source,)), shape)
        if isinstance(node, Reduce):
            source = self.scaled(node.inputs[0], np.broadcast_to(scale, shape))
            return self.put(replace(node, name=fresh, inputs=(source,)), shape)
        if isinstance(node, Index):
            return self._gathered(node, fresh, scale)
        return None

    def _into_product(self, node: Mul | MatMul, fresh: str, scale: RealArray) -> str | None:
        """The factor goes to the operand with weights, where it is even along its other axis."""
        weighted = next(i for i, source in enumerate(node.inputs) if source not in self.events)
        factor: RealArray = np.broadcast_to(scale, self.shapes[node.name])
        if isinstance(node, MatMul):
            axis = -1 if weighted == 0 else -2  # of the product, from the other operand
            first = np.take(factor, [0], axis)
            if not bool((factor == first).all()):
                return None
            turned = (node.transpose_a, node.transpose_b)[weighted]
            factor = np.swapaxes(first, -1, -2) if turned else first
        inputs = list(node.inputs)
        inputs[weighted] = self.scaled(inputs[weighted], factor)
        return self.put(replace(node, name=fresh, inputs=tuple(inputs)), self.shapes[node.name])

    def _gathered(self, node: Index, fresh: str, scale: RealArray) -> str | None:
        """Factors of what an ``Index`` reads, where every element is read with one factor."""
        wanted = np.broadcast_to(scale, node.shape).reshape(-1)
        shapes = [self.shapes[source] for source in node.inputs]
        sizes = [size_of(shape) for shape in shapes]
        index = np.arange(wanted.size) if node.index is None else node.index
        read = index >= 0
        factor = np.ones(sum(sizes))
        factor[index[read]] = wanted[read]
        if not np.array_equal(factor[index[read]], wanted[read]):
            return None
        parts = np.split(factor, np.cumsum(sizes)[:-1])
        inputs = tuple(
            self.scaled(source, _narrow(part.reshape(shape)))
            for source, part, shape in zip(node.inputs, parts, shapes, strict=True)
        )
        return self.put(Index(fresh, inputs, node.shape, node.index), node.shape)


def _narrow(scale: RealArray) -> RealArray:
    """One number per channel where that is enough, so that equal factors are seen as equal."""
    channel = per_channel(scale, scale.shape) if scale.ndim > 1 else None
    if channel is None:
        return scale
    return np.asarray(channel.reshape(-1, *(1,) * (scale.ndim - 1)), np.float64)
