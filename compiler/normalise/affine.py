"""Fold ``Scale`` and ``Bias`` into the weights and neurons around them.

Walking forward, every tensor is carried as ``scale x node + constant``; a linear operator, a
neuron or a delay then absorbs what is pending.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from snnc.compiler.normalise.matrices import diagonal, per_channel, scale_columns, scale_rows
from snnc.ir.arrays import RealArray, Shape
from snnc.ir.network import Network, RealNode
from snnc.ir.nodes import Add, Bias, Delay, Index, Input, Linear, Output, Pool, Scale
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.weights import Sparse
from snnc.simulators.reference.operators import index, linear, pool


@dataclass(frozen=True)
class _View:
    """``scale * node + constant``; None means 1 and 0."""

    node: str
    scale: RealArray | None = None
    constant: RealArray | None = None


def fold_affine(network: Network) -> Network:
    """Remove every ``Scale`` and every ``Bias`` that does not stand before a delay.

    Outputs that read an operator get a memoryless readout population, which holds the bias.
    """
    return _Fold(network).run()


class _Fold:
    """State of the forward walk."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.nodes: dict[str, RealNode] = {}
        self.views: dict[str, _View] = {}

    def run(self) -> Network:
        for node in self.network.order:
            if isinstance(node, Delay):  # its operand may come later; see below
                self._put(node, _View(node.name))
        for node in self.network.order:
            if not isinstance(node, Delay):
                self._visit(node)
        for node in self.network.of_type(Delay):
            self.nodes[node.name] = replace(node, inputs=(self._plain(node.inputs[0]),))
        return Network(self.network.name, tuple(self.nodes.values()), self.network.assumptions)

    def _put(self, node: RealNode, view: _View | None = None) -> None:
        self.nodes[node.name] = node
        self.views[node.name] = view or _View(node.name)

    def _shape(self, name: str) -> Shape:
        return self.network.shapes[name]

    def _visit(self, node: RealNode) -> None:
        if isinstance(node, Input):
            self._put(node)
        elif isinstance(node, Scale | Bias):
            self._pend(node)
        elif isinstance(node, Linear):
            self._linear(node)
        elif isinstance(node, RealNeuron):
            self._neuron(node)
        elif isinstance(node, Output):
            self._output(node)
        elif isinstance(node, Pool):
            self._pool(node)
        elif isinstance(node, Index):
            self._index(node)
        elif isinstance(node, Add):
            self._add(node)

    def _pend(self, node: Scale | Bias) -> None:
        view, shape = self.views[node.inputs[0]], self._shape(node.name)
        if isinstance(node, Bias):
            constant = _full(view.constant, shape, 0.0) + node.bias
            self.views[node.name] = replace(view, constant=constant)
            return
        scale = _full(view.scale, shape, 1.0) * node.scale
        constant_ = None if view.constant is None else view.constant * node.scale
        self.views[node.name] = _View(view.node, scale, constant_)

    def _linear(self, node: Linear) -> None:
        source = node.inputs[0]
        view, shape, out = self.views[source], self._shape(source), self._shape(node.name)
        weights = node.weights
        if view.scale is not None:
            weights = scale_columns(weights, view.scale, shape, out)
        constant = None
        if view.constant is not None:
            constant = linear(node.weights, _full(view.constant, shape, 0.0)[None])[0]
        self._put(Linear(node.name, (view.node,), weights), _View(node.name, None, constant))

    def _neuron(self, node: RealNeuron) -> None:
        view = self.views[node.inputs[0]]
        operand, offset, gain, current_gain = view.node, node.offset, node.gain, node.current_gain
        if view.constant is not None:
            if node.current_decay is None:
                offset = offset + gain * view.constant
            else:
                operand = self._clocked(node, view)
                view = replace(view, scale=None)
        if view.scale is not None:
            if current_gain is not None:
                current_gain = current_gain * view.scale
            else:
                gain = gain * view.scale
        self._put(
            replace(node, inputs=(operand,), offset=offset, gain=gain, current_gain=current_gain)
        )

    def _clocked(self, node: RealNeuron, view: _View) -> str:
        """A bias into a synaptic current: a neuron that fires every step, and weights from it."""
        constant = _full(view.constant, node.shape, 0.0)
        first = self.network.of_type(Input)[0]
        silence = Sparse(np.zeros(2, np.int64), np.zeros(0, np.int64), np.zeros(0),
                         int(np.prod(first.shape)), (1,))  # fmt: skip
        clock, one = f"{node.name}.clock", np.ones(())
        self._put(Linear(f"{clock}.silence", (first.name,), silence))
        self._put(
            RealNeuron(clock, (f"{clock}.silence",), (1,), decay=one, gain=one, offset=one,
                       threshold=one, comparator=">=")
        )  # fmt: skip
        flat = constant.reshape(-1)
        rows = np.flatnonzero(flat)
        row_ptr = np.concatenate([[0], np.cumsum(flat != 0)])
        weights = Sparse(row_ptr, np.zeros(rows.size, np.int64), flat[rows], 1, node.shape)
        self._put(Linear(f"{clock}.bias", (clock,), weights))
        total = f"{clock}.sum"
        self._put(Add(total, (self._scaled(view), f"{clock}.bias")))
        return total

    def _output(self, node: Output) -> None:
        source = node.inputs[0]
        if isinstance(self.network.node[source], RealNeuron):
            self._put(node)
            return
        view, shape, one = self.views[source], self._shape(source), np.ones(())
        readout = RealNeuron(
            f"{node.name}.readout", (view.node,), shape, decay=0 * one,
            gain=one if view.scale is None else view.scale,
            offset=0 * one if view.constant is None else view.constant,
            threshold=None, reset="none",
        )  # fmt: skip
        self._put(readout)
        self._put(replace(node, inputs=(readout.name,)))

    def _pool(self, node: Pool) -> None:
        view, shape = self.views[node.inputs[0]], self._shape(node.inputs[0])
        scale, constant, operand = view.scale, view.constant, view.node
        column = (-1, *(1,) * (len(shape) - 1))
        uniform = None if scale is None else per_channel(scale, shape)
        bad = scale is not None and (uniform is None or (node.op == "max" and uniform.min() <= 0))
        flat = None if constant is None else per_channel(constant, shape)
        if bad or (node.op == "max" and constant is not None and flat is None):
            operand, uniform, scale = self._scaled(view), None, None
        if constant is not None and node.op == "max":
            if flat is None:
                operand, constant = self._biased(operand, node.inputs[0], constant), None
            else:
                constant = np.broadcast_to(flat.reshape(column), self._shape(node.name))
        elif constant is not None:
            constant = pool(node, _full(constant, shape, 0.0)[None])[0]
        scale = None if uniform is None else uniform.reshape(column)
        self._put(replace(node, inputs=(operand,)), _View(node.name, scale, constant))

    def _index(self, node: Index) -> None:
        views = [self.views[s] for s in node.inputs]
        shapes = [self._shape(s) for s in node.inputs]
        pairs = list(zip(views, shapes, strict=True))
        scale = constant = None
        if any(v.scale is not None for v in views):
            scale = index(node, [_full(v.scale, s, 1.0)[None] for v, s in pairs])[0]
        if any(v.constant is not None for v in views):
            constant = index(node, [_full(v.constant, s, 0.0)[None] for v, s in pairs])[0]
        moved = replace(node, inputs=tuple(v.node for v in views))
        self._put(moved, _View(node.name, scale, constant))

    def _add(self, node: Add) -> None:
        views = [self.views[s] for s in node.inputs]
        shape = self._shape(node.name)
        constants = [v.constant for v in views if v.constant is not None]
        constant = sum(constants[1:], start=constants[0]) if constants else None
        scales = [_full(v.scale, shape, 1.0) for v in views]
        common = None
        if all(v.scale is None for v in views):
            operands = tuple(v.node for v in views)
        elif all(np.array_equal(scale, scales[0]) for scale in scales):
            operands, common = tuple(v.node for v in views), scales[0]
        else:
            operands = tuple(self._scaled(v) for v in views)
        self._put(Add(node.name, operands), _View(node.name, common, constant))

    def _scaled(self, view: _View) -> str:
        """A node that holds ``scale * node``: a scaled copy of an operator, or a new one."""
        if view.scale is None:
            return view.node
        node = self.nodes[view.node]
        name = self._fresh(f"{view.node}.scaled")
        if isinstance(node, Linear):
            shape, out = self._shape_of(node.inputs[0]), self._shape_of(view.node)
            scaled = Linear(name, node.inputs, scale_rows(node.weights, view.scale, shape, out))
        else:
            scaled = Linear(name, (view.node,), diagonal(view.scale, self._shape_of(view.node)))
        self._put(scaled)
        return name

    def _shape_of(self, name: str) -> Shape:
        """Shape of an original node, or of one made here from an original of the same stem."""
        while name not in self.network.shapes:
            name = name.rpartition(".")[0]
        return self.network.shapes[name]

    def _biased(self, operand: str, origin: str, constant: RealArray) -> str:
        name = self._fresh(f"{operand}.bias")
        self._put(Bias(name, (operand,), _full(constant, self._shape(origin), 0.0)))
        return name

    def _plain(self, source: str) -> str:
        """A node that holds the view itself, for a delay: what is constant starts later there."""
        view = self.views[source]
        name = self._scaled(view)
        if view.constant is None or not np.any(view.constant):
            return name
        return self._biased(name, source, view.constant)

    def _fresh(self, name: str) -> str:
        taken: Mapping[str, object] = self.nodes | self.network.node
        while name in taken:
            name += ".1"
        return name


def _full(array: RealArray | None, shape: Shape, default: float) -> RealArray:
    """The array broadcast to a shape, or a constant."""
    result: RealArray = np.broadcast_to(default if array is None else array, shape).astype(float)
    return result
