"""Fold ``Scale`` and ``Bias`` into the weights and neurons around them.

Walking forward, every tensor is carried as ``scale x node + constant``; a linear operator, a
neuron or a delay then absorbs what is pending.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnc.compiler.normalise.builder import Builder
from snnc.compiler.normalise.matrices import per_channel, scale_columns
from snnc.compiler.normalise.products import (
    View,
    fold_reduction,
    full,
    multiply,
    multiply_matrices,
    uneven_constant,
)
from snnc.ir.arrays import RealArray, Shape, size_of
from snnc.ir.errors import CompilerBugError
from snnc.ir.network import Network, RealNode
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
)
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.weights import Sparse
from snnc.simulators.reference.operators import index, linear, pool


def fold_affine(network: Network) -> Network:
    """Remove every ``Scale`` and every ``Bias`` that does not stand before a delay.

    Outputs that read an operator get a memoryless readout population, which holds the bias.
    """
    return _Fold(network).run()


class _Fold:
    """State of the forward walk."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.made = Builder(network)
        self.views: dict[str, View] = {}

    def run(self) -> Network:
        for node in self.network.order:
            if isinstance(node, Delay):  # its operand may come later; see below
                self._put(node)
                self.made.delays[node.name] = (node.inputs[0], None)
        for node in self.network.order:
            if not isinstance(node, Delay):
                self._visit(node)
        settled: set[str] = set()
        while waiting := [name for name in self.made.delays if name not in settled]:
            for name in waiting:  # settling one may make a scaled copy of another
                settled.add(name)
                operand = self._plain(*self.made.delays[name])
                delay: RealNode = replace(self.made.nodes[name], inputs=(operand,))
                self.made.nodes[name] = delay
        nodes = tuple(self.made.nodes.values())
        return Network(self.network.name, nodes, self.network.assumptions)

    def _put(self, node: RealNode, view: View | None = None) -> None:
        self.made.put(node, self.made.shapes[node.name])
        self.views[node.name] = view or View(node.name)

    def _shape(self, name: str) -> Shape:
        return self.network.shapes[name]

    def _visit(self, node: RealNode) -> None:
        views = [self.views[source] for source in node.inputs]
        if isinstance(node, Input):
            self._put(node)
        elif isinstance(node, Scale | Bias):
            self._pend(node)
        elif isinstance(node, Linear):
            self._linear(node)
        elif isinstance(node, RealNeuron):
            self._neuron(node, views[0])
        elif isinstance(node, Output):
            self._output(node)
        elif isinstance(node, Pool):
            self._pool(node)
        elif isinstance(node, Index):
            self._index(node)
        elif isinstance(node, Add):
            self._add(node)
        elif isinstance(node, Mul):
            self.views[node.name] = multiply(self.made, node, *views)
        elif isinstance(node, MatMul):
            self.views[node.name] = multiply_matrices(self.made, node, *views)
        elif isinstance(node, Reduce):
            self.views[node.name] = fold_reduction(self.made, node, views[0])
        else:
            raise CompilerBugError("normalisation does not know this operator", where=node.name)

    def _pend(self, node: Scale | Bias) -> None:
        view, shape = self.views[node.inputs[0]], self._shape(node.name)
        if isinstance(node, Bias):
            constant = full(view.constant, shape, 0.0) + node.bias
            self.views[node.name] = replace(view, constant=constant)
            return
        scale = full(view.scale, shape, 1.0) * node.scale
        constant_ = None if view.constant is None else view.constant * node.scale
        self.views[node.name] = View(view.node, scale, constant_)

    def _linear(self, node: Linear) -> None:
        source = node.inputs[0]
        view, shape, out = self.views[source], self._shape(source), self._shape(node.name)
        weights = node.weights
        if view.scale is not None:
            weights = scale_columns(weights, view.scale, shape, out)
        constant = None
        if view.constant is not None:
            constant = linear(node.weights, full(view.constant, shape, 0.0)[None])[0]
        self._put(Linear(node.name, (view.node,), weights), View(node.name, None, constant))

    def _neuron(self, node: RealNeuron, view: View) -> None:
        operand, offset, gain, current_gain = view.node, node.offset, node.gain, node.current_gain
        if view.constant is not None:
            if node.current_decay is None:
                offset = offset + gain * view.constant
            else:
                operand = self._clocked(node, view)
                view = View(operand)
        if isinstance(self.made.nodes[operand], Index) and operand not in self.made.events:
            operand, view = self.made.scaled(operand, view.scale), View(operand)
        if view.scale is not None:
            if current_gain is not None:
                current_gain = current_gain * view.scale
            else:
                gain = gain * view.scale
        total = gain if current_gain is None else gain * current_gain
        if operand in self.made.maxima and (total < 0).any():  # a maximum keeps positive factors
            operand = self.made.signed(operand, np.broadcast_to(total, node.shape))
            gain = np.abs(gain)
            current_gain = None if current_gain is None else np.abs(current_gain)
        self._put(
            replace(node, inputs=(operand,), offset=offset, gain=gain, current_gain=current_gain)
        )

    def _clocked(self, node: RealNeuron, view: View) -> str:
        """A bias into a synaptic current: a neuron that fires every step, and weights from it."""
        constant = full(view.constant, node.shape, 0.0)
        first = self.network.of_type(Input)[0]
        silence = Sparse(np.zeros(2, np.int64), np.zeros(0, np.int64), np.zeros(0),
                         size_of(first.shape), (1,))  # fmt: skip
        clock, one, put = f"{node.name}.clock", np.ones(()), self.made.put
        put(Linear(f"{clock}.silence", (first.name,), silence), (1,))
        put(
            RealNeuron(clock, (f"{clock}.silence",), (1,), decay=one, gain=one, offset=one,
                       threshold=one, comparator=">="), (1,)
        )  # fmt: skip
        flat = constant.reshape(-1)
        rows = np.flatnonzero(flat)
        row_ptr = np.concatenate([[0], np.cumsum(flat != 0)])
        weights = Sparse(row_ptr, np.zeros(rows.size, np.int64), flat[rows], 1, node.shape)
        put(Linear(f"{clock}.bias", (clock,), weights), node.shape)
        operands = (self.made.scaled(view.node, view.scale), f"{clock}.bias")
        return put(Add(f"{clock}.sum", operands), node.shape)

    def _output(self, node: Output) -> None:
        source = node.inputs[0]
        if isinstance(self.network.node[source], RealNeuron):
            self._put(node)
            return
        name, one = f"{node.name}.readout", np.ones(())
        shape = self.made.shapes[name] = self._shape(source)
        readout = RealNeuron(name, (source,), shape, decay=0 * one, gain=one, offset=0 * one,
                             threshold=None, reset="none")  # fmt: skip
        self._neuron(readout, self.views[source])
        self._put(replace(node, inputs=(name,)))

    def _pool(self, node: Pool) -> None:
        view, shape = self.views[node.inputs[0]], self._shape(node.inputs[0])
        scale, constant, operand = view.scale, view.constant, view.node
        column = (-1, *(1,) * (len(shape) - 1))
        uniform = None if scale is None else per_channel(scale, shape)
        if scale is not None and (uniform is None or (node.op == "max" and uniform.min() < 0)):
            operand, uniform = self.made.scaled(operand, scale), None
        if constant is not None and node.op == "max":
            flat = per_channel(constant, shape)
            if flat is None:
                raise uneven_constant(node.name)
            constant = np.broadcast_to(flat.reshape(column), self._shape(node.name))
        elif constant is not None:
            constant = pool(node, full(constant, shape, 0.0)[None])[0]
        scale = None if uniform is None else uniform.reshape(column)
        self._put(replace(node, inputs=(operand,)), View(node.name, scale, constant))

    def _index(self, node: Index) -> None:
        views = [self.views[s] for s in node.inputs]
        shapes = [self._shape(s) for s in node.inputs]
        pairs = list(zip(views, shapes, strict=True))
        scale = constant = None
        if any(v.scale is not None for v in views):
            scale = index(node, [full(v.scale, s, 1.0)[None] for v, s in pairs])[0]
        if any(v.constant is not None for v in views):
            constant = index(node, [full(v.constant, s, 0.0)[None] for v, s in pairs])[0]
        moved = replace(node, inputs=tuple(v.node for v in views))
        self._put(moved, View(node.name, scale, constant))

    def _add(self, node: Add) -> None:
        views = [self.views[s] for s in node.inputs]
        shape = self._shape(node.name)
        constants = [v.constant for v in views if v.constant is not None]
        constant = sum(constants[1:], start=constants[0]) if constants else None
        scales = [full(v.scale, shape, 1.0) for v in views]
        common = None
        if all(v.scale is None for v in views):
            operands = tuple(v.node for v in views)
        elif all(np.array_equal(scale, scales[0]) for scale in scales):
            operands, common = tuple(v.node for v in views), scales[0]
        else:
            operands = tuple(self.made.scaled(v.node, v.scale) for v in views)
        self._put(Add(node.name, operands), View(node.name, common, constant))

    def _plain(self, source: str, factor: RealArray | None) -> str:
        """A node that holds the view itself, for a delay: what is constant starts later there."""
        view, shape = self.views[source], self._shape(source)
        scale, constant = view.scale, view.constant
        if factor is not None:
            scale = factor if scale is None else scale * factor
            constant = None if constant is None else constant * factor
        name = self.made.scaled(view.node, scale)
        if constant is None or not np.any(constant):
            return name
        bias: RealArray = full(constant, shape, 0.0)
        return self.made.put(Bias(self.made.fresh(f"{name}.bias"), (name,), bias), shape)
