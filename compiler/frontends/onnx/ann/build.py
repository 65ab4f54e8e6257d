"""An ONNX graph to an ``ActivationGraph``: operators lowered, rectifiers and max pools joined."""

from __future__ import annotations

import numpy as np

from snnc.compiler.frontends.onnx.ann.graph import Activation, ActivationGraph
from snnc.compiler.frontends.onnx.graph import OnnxGraph, OnnxNode
from snnc.compiler.frontends.onnx.linear import LINEAR
from snnc.compiler.frontends.onnx.moving import MOVING
from snnc.compiler.frontends.onnx.wiring import Wiring, sample_shape
from snnc.ir.errors import ModelError, UnsupportedError
from snnc.ir.nodes import Add, Bias, Index, Input, Output, Pool, Scale
from snnc.ir.types import BIN

RECTIFIERS = ("Relu", "Clip")
POOLS = ("MaxPool", "GlobalMaxPool")
ENDS = ("Softmax", "LogSoftmax", "Sigmoid", "ArgMax")
"""At the end of a network: they change no order of the classes."""
OTHER_ACTIVATIONS = frozenset(
    {
        "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "Tanh", "HardSigmoid", "HardSwish",
        "Mish", "Softplus", "Softsign", "ThresholdedRelu", "Erf", "Swish", "Softmax", "LogSoftmax",
        "Sigmoid",
    }
)  # fmt: skip


def build(graph: OnnxGraph) -> ActivationGraph:
    """Lower a float network.

    Raises:
        UnsupportedError: an operator without spiking counterpart; all node errors name the node.
        ModelError: shapes or numbers that do not fit.
    """
    return _Builder(graph).run()


class _Builder:
    """Walks the nodes once; rectifiers wait for the max pool behind them."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.wiring = Wiring(graph)
        self.notes: dict[str, str] = {}
        self.outputs = {value.name for value in graph.outputs}
        self.joined: dict[str, float] = {}  # ceiling of the rectifier beside a pool, by pool

    def run(self) -> ActivationGraph:
        for value in self.graph.inputs:
            shape = sample_shape(self.graph.file, value)
            self.wiring.source[value.name] = self.wiring.add(
                lambda name, _, shape=shape: Input(name, shape, BIN), value.name, (), shape
            )
        for node in self.graph.nodes:
            if node.domain or not self._activation(node):
                self._operator(node)
        for value in self.graph.outputs:
            self._output(value.name)
        wiring = self.wiring
        name = self.graph.file.removesuffix(".onnx")
        if not any(isinstance(node, Input) for node in wiring.nodes):
            raise ModelError("the network has no input", where=self.graph.file)
        return ActivationGraph(name, tuple(wiring.nodes), wiring.shape, self.notes)

    def _output(self, tensor: str) -> None:
        source = self.wiring.source.get(tensor)
        if source is None:
            raise ModelError(
                "an output that does not depend on the input",
                where=f"{self.graph.file}: output '{tensor}'",
            )
        self.wiring.add(Output, tensor, (source,), self.wiring.shape[source], "last")

    def _operator(self, node: OnnxNode) -> None:
        rule = None if node.domain else (LINEAR.get(node.op) or MOVING.get(node.op))
        if rule is None:
            raise UnsupportedError(
                "no spiking form of this operator",
                where=node.where(),
                allowed="docs/onnx.md lists the operators",
                remedy="replace the layer before training, or export the spiking network itself "
                "to NIR",
            )
        self.wiring.bind(node, rule(self.wiring, node))

    def _activation(self, node: OnnxNode) -> bool:
        """Handle what is not linear; False for the rest."""
        if node.op in ENDS and self._ends(node):
            self._leave_out(node)
        elif node.op in RECTIFIERS:
            self._rectifier(node)
        elif node.op in POOLS:
            self._max_pool(node)
        elif node.op in OTHER_ACTIVATIONS:
            raise UnsupportedError(
                "an activation that no integrate-and-fire neuron computes",
                where=node.where(),
                allowed="Relu, Clip(0, c), and Softmax or Sigmoid at the end",
                remedy="train with ReLU",
            )
        else:
            return False
        return True

    def _ends(self, node: OnnxNode) -> bool:
        return node.outputs[0] in self.outputs and node.outputs[0] not in self.graph.consumers

    def _leave_out(self, node: OnnxNode) -> None:
        name, shape = self.wiring.operand(node)
        axis = node.integer("axis", 0 if node.op == "ArgMax" else -1)
        if node.op != "Sigmoid" and axis not in (-1, len(shape)) and len(shape) != 1:
            raise UnsupportedError(
                "the classes are not the last axis", where=node.where(), found=f"axis {axis}"
            )
        self.notes[node.name] = f"{node.op} left out; the largest output is the same"
        self.wiring.bind(node, name)

    def _ceiling(self, node: OnnxNode) -> float:
        """Largest value of a Relu or Clip.

        Raises:
            UnsupportedError: a Clip that does not start at 0.
        """
        if node.op == "Relu":
            return float("inf")
        low = self._bound(node, 1, "min", float("-inf"))
        high = self._bound(node, 2, "max", float("inf"))
        if low != 0 or not high > 0:
            raise UnsupportedError(
                "a clip that is no rectifier",
                where=node.where(),
                found=f"{low:g} to {high:g}",
                allowed="0 to a positive number",
                remedy="train with ReLU or ReLU6",
            )
        return high

    def _bound(self, node: OnnxNode, position: int, label: str, default: float) -> float:
        if label in node.attributes:  # before opset 11
            return node.real(label)
        if not node.has_input(position):
            return default
        value = self.graph.constant(node, position, f"{label}imum")
        if value.size != 1:
            raise ModelError(f"one {label}imum is required", where=node.where(), found=value.shape)
        return float(value.reshape(-1)[0])

    def _only_consumer(self, tensor: str) -> OnnxNode | None:
        found = self.graph.consumers.get(tensor, ())
        return found[0] if len(found) == 1 and tensor not in self.outputs else None

    def _rectifier(self, node: OnnxNode) -> None:
        """A population, unless the max pool beside it is going to be one, or is one already."""
        name, shape = self.wiring.operand(node)
        ceiling = self._ceiling(node)
        before = self.graph.producer.get(node.inputs[0])
        behind = before is not None and before.name in self.joined
        follower = self._only_consumer(node.outputs[0])
        if behind:
            self.wiring.bind(node, name)
            return
        if follower is not None and follower.op in POOLS and not follower.domain:
            self.joined[follower.name] = ceiling
            self.wiring.bind(node, name)
            return
        activation = self.wiring.add(Activation, node.name, (name,), shape, shape, ceiling)
        self.wiring.bind(node, activation)

    def _max_pool(self, node: OnnxNode) -> None:
        """One activation together with the rectifier before or behind it."""
        source, _ = self.wiring.operand(node)
        ceiling, rectified = self.joined.get(node.name), False
        if ceiling is None:
            after = self._only_consumer(node.outputs[0])
            if after is not None and after.op in RECTIFIERS and not after.domain:
                ceiling = self.joined[node.name] = self._ceiling(after)
            else:
                ceiling, rectified = float("inf"), self._rectified(source)
                if not rectified:
                    raise UnsupportedError(
                        "a maximum of values that may be negative",
                        where=node.where(),
                        remedy="put the rectifier beside the max pool, or use average pooling",
                    )
        name = LINEAR[node.op](self.wiring, node)
        pool = self.wiring.nodes.pop()
        shape = self.wiring.shape.pop(name)
        activation = self.wiring.add(
            Activation, node.name, (source,), shape, shape, ceiling, pool, rectified
        )
        self.wiring.bind(node, activation)

    def _rectified(self, name: str) -> bool:
        """Whether a tensor is surely not negative."""
        node = next(n for n in self.wiring.nodes if n.name == name)
        if isinstance(node, Activation):
            return True
        if isinstance(node, Scale) and (np.asarray(node.scale) < 0).any():
            return False
        if isinstance(node, Bias) and (np.asarray(node.bias) < 0).any():
            return False
        passing = isinstance(node, Scale | Bias | Add | Pool | Index)
        return passing and all(self._rectified(source) for source in node.inputs)
