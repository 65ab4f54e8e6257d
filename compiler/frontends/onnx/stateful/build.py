"""From the graph of one time step to a ``Network``.

A state pair that belongs to no neuron is a delay of one step: what leaves as ``<name>_out`` comes
back as ``<name>_in``.  Recurrence and delays are written that way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast, get_args

import numpy as np

from snnc.compiler.frontends.onnx.graph import OnnxGraph, OnnxNode
from snnc.compiler.frontends.onnx.linear import LINEAR
from snnc.compiler.frontends.onnx.moving import MOVING
from snnc.compiler.frontends.onnx.stateful.operators import (
    DOMAIN,
    VERSION,
    check_attributes,
    neuron_of,
    states_of,
)
from snnc.compiler.frontends.onnx.stateful.states import Pairs, check_states, pairs
from snnc.compiler.frontends.onnx.wiring import Rules, Wiring, axis_of, sample_shape
from snnc.ir.arrays import size_of
from snnc.ir.errors import ModelError, UnsupportedError
from snnc.ir.network import Network
from snnc.ir.nodes import (
    Delay,
    Input,
    MatMul,
    Mul,
    Output,
    Readout,
    Reduce,
    matmul_shape,
)
from snnc.ir.types import BIN, ValueType


def lower(graph: OnnxGraph) -> Network:
    """The network whose one step the graph is.

    Raises:
        ModelError: states that are no pairs, malformed attributes, shapes that do not fit.
        UnsupportedError: operators and attributes that have no meaning here.
    """
    version = graph.opsets.get(DOMAIN, VERSION)
    if version != VERSION:
        raise UnsupportedError(
            "another version of the domain snnc",
            where=graph.file,
            found=version,
            allowed=VERSION,
            remedy="install the snnc that wrote the file",
        )
    return _Builder(graph).network()


class _Builder:
    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.wiring = Wiring(graph)
        self.pairs: Pairs = pairs(graph)
        self.types: dict[str, ValueType] = {}
        self.readouts: dict[str, Readout] = {}

    def network(self) -> Network:
        neurons = [n for n in self.graph.nodes if n.domain == DOMAIN and n.op not in _ENDS]
        owned = {name for node in neurons for name in node.inputs[1:]}
        self._enter(owned)
        for node in self.graph.nodes:
            self._node(node)
        for before, after in self.pairs.following.items():
            if before not in owned:
                self._close(before, after)
        for value in self.pairs.results:
            self.wiring.nodes.append(self._output(value.name))
        notes: dict[str, str] = {}
        if any(node.name not in self.types for node in self._inputs()):
            notes["input values"] = "spikes, unless the data show other values"
        nodes = tuple(self._typed(node) for node in self.wiring.nodes)
        return Network(self.graph.file.removesuffix(".onnx"), nodes, notes)

    def _inputs(self) -> list[Input]:
        return [node for node in self.wiring.nodes if isinstance(node, Input)]

    def _typed(self, node: Any) -> Any:
        if isinstance(node, Input) and node.name in self.types:
            return replace(node, type=self.types[node.name])
        return node

    def _enter(self, owned: set[str]) -> None:
        """Bind the inputs, and the delays, whose sources follow later."""
        wiring = self.wiring
        for value in self.pairs.data:
            node = Input(value.name, sample_shape(self.graph.file, value), BIN)
            wiring.source[value.name] = wiring.add(lambda *_, n=node: n, node.name, (), node.shape)
        for value in self.graph.inputs:
            if value.name in self.pairs.following and value.name not in owned:
                wiring.source[value.name] = value.name
                wiring.shape[value.name] = sample_shape(self.graph.file, value)

    def _close(self, before: str, after: str) -> None:
        source = self._made(after)
        if self.wiring.shape[source] != self.wiring.shape[before]:
            raise ModelError(
                "a state changes its shape",
                where=f"{self.graph.file}: output '{after}'",
                found=self.wiring.shape[source],
                allowed=self.wiring.shape[before],
            )
        self.wiring.nodes.append(Delay(before, (source,), 1))

    def _made(self, tensor: str) -> str:
        source = self.wiring.source.get(tensor)
        if source is None:
            raise UnsupportedError(
                "an output that is no value of the network",
                where=f"{self.graph.file}: output '{tensor}'",
                found="a constant, or the state of a neuron",
                remedy="read the potential with snnc::LI; name states NAME_in and NAME_out",
            )
        return source

    def _output(self, tensor: str) -> Output:
        name = tensor
        while name in self.wiring.shape:
            name = f"{name}.output"
        self.wiring.shape[name] = ()
        return Output(name, (self._made(tensor),), self.readouts.get(tensor, "sum"))

    def _node(self, node: OnnxNode) -> None:
        if node.domain == DOMAIN:
            self._own(node)
            return
        rule = None if node.domain else RULES.get(node.op)
        if rule is None:
            raise UnsupportedError(
                "an operator that a spiking network does not have",
                where=node.where(),
                found=node.kind,
                allowed=f"snnc::LIF and its kin, {', '.join(sorted(RULES))}",
                remedy="what makes a neuron must be one operator snnc::LIF, not its arithmetic: "
                "docs/onnx-stateful.md",
            )
        self.wiring.bind(node, rule(self.wiring, node))

    def _own(self, node: OnnxNode) -> None:
        source, shape = self.wiring.operand(node)
        if node.op == "Input":
            check_attributes(node, ("type", "grid"))
            self.types[source] = _input_type(node)
            self.wiring.source[node.outputs[0]] = source
        elif node.op == "Output":
            check_attributes(node, ("readout",))
            readout = node.text("readout", "sum")
            if readout not in get_args(Readout):
                raise ModelError("unknown readout", where=node.where(), found=readout,
                                 allowed=", ".join(get_args(Readout)))  # fmt: skip
            self.readouts[node.outputs[0]] = cast("Readout", readout)
            self.wiring.source[node.outputs[0]] = source
        else:
            neuron = neuron_of(node, source, shape)
            check_states(self.graph, self.pairs, node, states_of(neuron))
            self.wiring.source[node.outputs[0]] = self.wiring.add(
                lambda name, _: replace(neuron, name=name), node.name, (source,), shape
            )


def _input_type(node: OnnxNode) -> ValueType:
    grid = np.asarray(node.attributes.get("grid", 1.0), np.float64).reshape(-1)
    return ValueType.parse(node.text("type"), tuple(float(step) for step in grid))


def _product(wiring: Wiring, node: OnnxNode) -> str:
    if any(wiring.graph.is_constant(node, k) for k in range(2)):
        return LINEAR["Mul"](wiring, node)
    (a, shape), (b, _) = wiring.operand(node, 0), wiring.operand(node, 1)
    return wiring.add(Mul, node.name, (a, b), shape)


def _matmul(wiring: Wiring, node: OnnxNode) -> str:
    if any(wiring.graph.is_constant(node, k) for k in range(2)):
        return LINEAR["MatMul"](wiring, node)
    (a, shape_a), (b, shape_b) = wiring.operand(node, 0), wiring.operand(node, 1)
    out = matmul_shape(MatMul(node.name, (a, b)), shape_a, shape_b)
    return wiring.add(MatMul, node.name, (a, b), out)


def _reduce(wiring: Wiring, node: OnnxNode) -> str:
    name, shape = wiring.operand(node)
    given = wiring.graph.integers(node, 1, "axes") if node.has_input(1) else node.integers("axes")
    axes = tuple(axis_of(node, axis, shape) for axis in given)
    kept = tuple(1 if axis in axes else extent for axis, extent in enumerate(shape))
    op = "sum" if node.op == "ReduceSum" else "max"
    reduced = wiring.add(Reduce, node.name, (name,), kept, op, axes)
    if node.integer("keepdims", 1):
        return reduced
    rest = tuple(extent for axis, extent in enumerate(shape) if axis not in axes)
    return wiring.index(f"{node.name}.flat", (reduced,), rest)


def _gather(wiring: Wiring, node: OnnxNode) -> str:
    """Constant positions of one axis."""
    name, shape = wiring.operand(node)
    axis = axis_of(node, node.integer("axis", 0), shape)
    index = wiring.graph.constant(node, 1, "index")
    if index.dtype.kind not in "iu" or index.ndim != 1:
        raise UnsupportedError("an index that is no list of integers", where=node.where())
    positions = np.arange(size_of(shape)).reshape(shape)
    try:
        picked = np.take(positions, index, axis=axis)
    except IndexError as error:
        raise ModelError("the index leaves the data", where=node.where(), found=shape) from error
    return wiring.index(node.name, (name,), picked.shape, picked.reshape(-1))


_ENDS = ("Input", "Output")
RULES: Rules = {
    **LINEAR,
    **MOVING,
    "Mul": _product,
    "MatMul": _matmul,
    "ReduceSum": _reduce,
    "ReduceMax": _reduce,
    "Gather": _gather,
}
