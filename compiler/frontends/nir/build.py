"""Assemble a ``Network``: shapes forward from the inputs, one NIR node at a time."""

from __future__ import annotations

from collections import deque

from snnc.compiler.frontends.nir.dialect import Dialect
from snnc.compiler.frontends.nir.fit import check_output, expected, flat_shape, input_shape
from snnc.compiler.frontends.nir.graph import Graph
from snnc.compiler.frontends.nir.loops import SPIKING, delayed_edges
from snnc.compiler.frontends.nir.neurons import KINDS as NEURONS
from snnc.compiler.frontends.nir.neurons import Context, lower_neuron
from snnc.compiler.frontends.nir.operators import (
    LINEAR,
    POOLS,
    Lowered,
    delay_steps,
    lower_delay,
    lower_linear,
    lower_pool,
    lower_scale,
    tail,
)
from snnc.compiler.frontends.nir.record import Edge
from snnc.compiler.frontends.record import Notes, RawNode
from snnc.ir.arrays import Shape
from snnc.ir.errors import ModelError, UnsupportedError
from snnc.ir.network import Network, RealNode
from snnc.ir.nodes import Add, Delay, Index, Input, Output
from snnc.ir.types import BIN

SUPPORTED = ("Input", "Output", *LINEAR, "Scale", *POOLS, "Flatten", "Delay", *NEURONS, "NIRGraph")


def check_kinds(graph: Graph) -> None:
    """Raise ``UnsupportedError`` at the first node of an unknown type."""
    for node in graph.nodes.values():
        if node.kind not in SUPPORTED:
            raise UnsupportedError(
                "unknown node type",
                where=node.where("type"),
                found=node.kind,
                allowed=", ".join(sorted(SUPPORTED)),
                remedy="replace the layer before exporting",
            )


class Builder:
    """Walks the graph once.

    Attributes:
        shape: by NIR node, the shape behind it, as far as known.
        operators: what the NIR nodes became so far.
    """

    def __init__(self, graph: Graph, dialect: Dialect, transpose: bool, notes: Notes) -> None:
        self.graph = graph
        self.dialect = dialect
        self.transpose = transpose
        self.notes = notes
        self.shape: dict[str, Shape] = {}
        self.operators: list[RealNode] = []
        self.late: frozenset[Edge] = frozenset()

    def network(self) -> Network:
        """Inputs first, then everything they reach, then the outputs.

        Raises:
            ModelError, UnsupportedError: naming file, node and field.
        """
        check_kinds(self.graph)
        self.late = self._late_edges()
        if self.dialect.fires_late and self.graph.recurrent:
            raise UnsupportedError(
                "Spyx writes recurrent layers with their input behind the recurrent weights",
                where=self.graph.nodes[min(self.graph.recurrent)].where(),
                found=f"loops through {', '.join(sorted(self.graph.recurrent)[:8])}",
                remedy="rebuild the network from its weights, e.g. with snnc.from_torch",
            )
        ready = deque(self.graph.of_kind("Input") or self._add_inputs())
        waiting = set(self.graph.nodes)
        while waiting:
            name = ready.popleft() if ready else self._unreached(waiting)
            if name not in waiting:
                continue
            waiting.discard(name)
            self._lower(self.graph.nodes[name])
            ready.extend(t for t in self.graph.consumers[name] if t in waiting)
        if not self.graph.of_kind("Output"):
            self._add_outputs()
        self._add_delays()
        self._check_bypassed()
        self.notes.add("input values", "spikes, unless the data show other values")
        name = self.graph.file.rsplit(".", 1)[0]
        return Network(name, tuple(self.operators), dict(self.notes.values))

    def _late_edges(self) -> frozenset[Edge]:
        if not self.graph.recurrent:
            self.notes.values.pop("loop delay", None)
            self.notes.values.pop("reset timing in loops", None)
        dt = self.dialect.dt
        delays = [self.graph.nodes[name] for name in self.graph.of_kind("Delay")]
        cut = frozenset(node.name for node in delays if delay_steps(node, dt).min() >= 1)
        return delayed_edges(self.graph, cut, self.dialect.loop_delay, self.notes)

    def _lower(self, node: RawNode) -> None:
        if node.kind == "Input":
            shape = input_shape(node, self._readers(node), self.transpose, self.notes)
            self.operators.append(Input(node.name, shape, BIN))
        else:
            shape = self._incoming(node)
            operators, shape = self._lowered(node, self._operand(node), shape)
            self.operators += operators
        self.shape[node.name] = shape

    def _readers(self, node: RawNode) -> list[RawNode]:
        return [self.graph.nodes[name] for name in self.graph.consumers[node.name]]

    def _lowered(self, node: RawNode, operand: str, shape: Shape) -> Lowered:
        """The node's operators and the shape behind them."""
        if node.kind == "Output":
            check_output(node, shape, self.notes)
            return (Output(node.name, (operand,)),), shape
        if node.kind in LINEAR:
            return lower_linear(node, operand, shape, self.transpose)
        if node.kind in POOLS:
            return lower_pool(node, operand, shape)
        if node.kind == "Scale":
            return lower_scale(node, operand, shape)
        if node.kind == "Delay":
            return lower_delay(node, operand, shape, self.dialect.dt, self.notes)
        if node.kind == "Flatten":
            flat = flat_shape(node, shape, self._readers(node), self.transpose, self.notes)
            return (Index(node.name, (operand,), flat),), flat
        context = Context(self.dialect, self.notes, node.name in self.graph.recurrent)
        neuron = lower_neuron(node, operand, shape, context)
        if self._tail(node) == node.name:
            return (neuron,), shape
        return (neuron, Delay(self._tail(node), (node.name,), 1)), shape

    def _tail(self, node: RawNode) -> str:
        """Name of the last operator a node becomes."""
        return f"{node.name}.fired" if self.dialect.fires_late and node.kind in SPIKING else (
            tail(node)
        )  # fmt: skip

    def _incoming(self, node: RawNode) -> Shape:
        """Shape of what is summed into the node; all producers known so far must agree."""
        known = {p: self.shape[p] for p in self.graph.producers[node.name] if p in self.shape}
        if len(set(known.values())) > 1:
            raise ModelError(
                "the tensors summed into this node have different shapes",
                where=node.where(),
                found=", ".join(f"{name} {shape}" for name, shape in known.items()),
            )
        if known:
            return next(iter(known.values()))
        shape = expected(node, self.transpose)
        if shape is None:
            raise _no_shape(node)
        return shape

    def _operand(self, node: RawNode) -> str:
        """The tensor a node reads: its producer's, delayed in loops, summed if several."""
        sources = []
        for producer in self.graph.producers[node.name]:
            name = self._tail(self.graph.nodes[producer])
            sources.append(f"{name}.late" if (producer, node.name) in self.late else name)
        if not sources:
            return f"input_{node.name}"
        if len(sources) == 1:
            return sources[0]
        self.operators.append(Add(f"{node.name}.sum", tuple(sources)))
        return f"{node.name}.sum"

    def _check_bypassed(self) -> None:
        """Say where a subgraph's terminal declares another shape than what flows through it."""
        for node, source in self.graph.bypassed:
            declared, actual = node.shape("shape"), self.shape.get(source)
            if declared is not None and actual is not None and declared != actual:
                self.notes.add(
                    "declared shape ignored", f"{node.name}: {declared}, {actual} flows through it"
                )

    def _add_inputs(self) -> list[str]:
        """Inputs for a graph that has none: one per node that nothing feeds."""
        starts = sorted(name for name, sources in self.graph.producers.items() if not sources)
        if not starts:
            raise ModelError(
                "the graph has no input: every node waits for another",
                where=self.graph.file,
                remedy="export with an Input node",
            )
        for name in starts:
            shape = self._incoming(self.graph.nodes[name])
            self.operators.append(Input(f"input_{name}", shape, BIN))
            self.notes.add("missing Input node", f"input_{name} {shape} added")
        return starts

    def _add_outputs(self) -> None:
        ends = sorted(name for name, targets in self.graph.consumers.items() if not targets)
        if not ends:
            raise ModelError(
                "the graph has no output: every node feeds another",
                where=self.graph.file,
                remedy="export with an Output node",
            )
        for name in ends:
            self.operators.append(Output(f"output_{name}", (self._tail(self.graph.nodes[name]),)))
            self.notes.add("missing Output node", f"output_{name} added")

    def _add_delays(self) -> None:
        for source in sorted({source for source, _ in self.late}):
            name = self._tail(self.graph.nodes[source])
            self.operators.append(Delay(f"{name}.late", (name,), 1))

    def _unreached(self, waiting: set[str]) -> str:
        """A node to go on with where no input leads: one that knows its own shape."""
        for name in sorted(waiting):
            if expected(self.graph.nodes[name], self.transpose) is not None:
                return name
        raise _no_shape(self.graph.nodes[min(waiting)])


def _no_shape(node: RawNode) -> ModelError:
    return ModelError(
        "the input shape of this node is missing and cannot be inferred",
        where=node.where("input_shape" if node.kind.startswith("Conv") else ""),
        remedy="export with an Input node that has a shape",
    )
