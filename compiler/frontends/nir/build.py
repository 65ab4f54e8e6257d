"""Assemble a ``Network``: shapes forward from the inputs, one NIR node at a time."""

from __future__ import annotations

from collections import deque

import numpy as np

from snnc.compiler.frontends.nir.dialect import Dialect
from snnc.compiler.frontends.nir.graph import Graph
from snnc.compiler.frontends.nir.loops import delayed_edges
from snnc.compiler.frontends.nir.neurons import KINDS as NEURONS
from snnc.compiler.frontends.nir.neurons import Context, declared_shape, lower_neuron
from snnc.compiler.frontends.nir.operators import (
    LINEAR,
    POOLS,
    delay_steps,
    flattened,
    lower_delay,
    lower_linear,
    lower_pool,
    lower_scale,
    matrix,
    tail,
)
from snnc.compiler.frontends.nir.record import Edge, Notes, RawNode
from snnc.ir.arrays import Shape, size_of
from snnc.ir.errors import ModelError, UnsupportedError
from snnc.ir.network import Network, RealNode
from snnc.ir.nodes import Add, Delay, Index, Input, Output
from snnc.ir.types import BIN

SUPPORTED = ("Input", "Output", *LINEAR, "Scale", *POOLS, "Flatten", "Delay", *NEURONS, "NIRGraph")


def build(graph: Graph, dialect: Dialect, transpose: bool, notes: Notes) -> Network:
    """Lower every node.

    Raises:
        ModelError, UnsupportedError: naming file, node and field.
    """
    for node in graph.nodes.values():
        if node.kind not in SUPPORTED:
            raise UnsupportedError(
                "unknown node type",
                where=node.where("type"),
                found=node.kind,
                allowed=", ".join(sorted(SUPPORTED)),
                remedy="replace the layer before exporting",
            )
    return _Builder(graph, dialect, transpose, notes).network()


class _Builder:
    """Walks the graph once; ``shape`` holds what is known so far."""

    def __init__(self, graph: Graph, dialect: Dialect, transpose: bool, notes: Notes) -> None:
        self.graph = graph
        self.dialect = dialect
        self.transpose = transpose
        self.notes = notes
        self.shape: dict[str, Shape] = {}
        self.nodes: list[RealNode] = []
        cut = frozenset(
            name
            for name in graph.of_kind("Delay")
            if delay_steps(graph.nodes[name], dialect.dt).min() >= 1
        )
        self.late: frozenset[Edge] = delayed_edges(graph, cut, dialect.loop_delay, notes)
        if not graph.recurrent:
            notes.values.pop("loop delay", None)
            notes.values.pop("reset timing in loops", None)

    def network(self) -> Network:
        """Inputs first, then everything they reach, then the outputs."""
        ready = deque(self.graph.of_kind("Input"))
        if not ready:
            ready.extend(self._add_inputs())
        waiting = set(self.graph.nodes)
        while waiting:
            if not ready:
                ready.append(self._unreached(waiting))
            name = ready.popleft()
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
        return Network(name, tuple(self.nodes), dict(self.notes.values))

    def _lower(self, node: RawNode) -> None:
        if node.kind == "Input":
            self.shape[node.name] = self._input_shape(node)
            self.nodes.append(Input(node.name, self.shape[node.name], BIN))
            return
        shape = self._incoming(node)
        operand = self._operand(node)
        if node.kind == "Output":
            self._check_output(node, shape)
            self.nodes.append(Output(node.name, (operand,)))
            self.shape[node.name] = shape
            return
        lowered = self._lowered(node, operand, shape)
        self.nodes += lowered
        self.shape[node.name] = self._outgoing(node, shape, lowered)

    def _lowered(self, node: RawNode, operand: str, shape: Shape) -> tuple[RealNode, ...]:
        if node.kind in LINEAR:
            return lower_linear(node, operand, shape, self.transpose)
        if node.kind in POOLS:
            return lower_pool(node, operand, shape)
        if node.kind == "Scale":
            return lower_scale(node, operand, shape)
        if node.kind == "Delay":
            return lower_delay(node, operand, shape, self.dialect.dt, self.notes)
        if node.kind == "Flatten":
            return (Index(node.name, (operand,), self._flat_shape(node, shape)),)
        context = Context(self.dialect, self.notes, node.name in self.graph.recurrent)
        return (lower_neuron(node, operand, shape, context),)

    def _outgoing(self, node: RawNode, shape: Shape, lowered: tuple[RealNode, ...]) -> Shape:
        """Shape behind a node; only weights, pools and reshapes change it."""
        first = lowered[0]
        if node.kind in LINEAR:
            return first.weights.output_shape(node.where("weight"), shape)  # type: ignore[union-attr]
        if node.kind in POOLS:
            return first.output_shape(shape)  # type: ignore[union-attr]
        return first.shape if isinstance(first, Index) and node.kind == "Flatten" else shape

    def _incoming(self, node: RawNode) -> Shape:
        """Shape of what is summed into the node, from the first producer that is known."""
        for producer in self.graph.producers[node.name]:
            if producer in self.shape:
                return self.shape[producer]
        expected = self._expected(node)
        assert expected is not None  # _unreached and _add_inputs only choose such nodes
        return expected

    def _operand(self, node: RawNode) -> str:
        """The tensor a node reads: its producer's, delayed in loops, summed if several."""
        sources = []
        for producer in self.graph.producers[node.name]:
            name = tail(self.graph.nodes[producer])
            sources.append(f"{name}.late" if (producer, node.name) in self.late else name)
        if not sources:
            return f"input_{node.name}"
        if len(sources) == 1:
            return sources[0]
        self.nodes.append(Add(f"{node.name}.sum", tuple(sources)))
        return f"{node.name}.sum"

    def _expected(self, node: RawNode) -> Shape | None:
        """What the node's own parameters say about its input, if they say it."""
        if node.kind in ("Affine", "Linear"):
            weight = matrix(node, self.transpose)
            return (*weight.shape[:-2], weight.shape[-1])
        if node.kind in ("Conv1d", "Conv2d"):
            extent = node.shape("input_shape")
            groups = node.vector("groups", 1, 1)[0]
            weight = node.real("weight")
            axes = weight.ndim - 2
            known = extent is not None and len(extent) >= axes
            return (weight.shape[1] * groups, *extent[-axes:]) if known and extent else None
        if node.kind in NEURONS:
            return declared_shape(node)
        if node.kind == "Flatten":
            return node.shape("input_type")
        return node.real("scale").shape or None if node.kind == "Scale" else None

    def _accepts(self, name: str, shape: Shape) -> bool:
        """Whether a node could take this shape; True where it does not care."""
        node = self.graph.nodes[name]
        if node.kind in ("Conv1d", "Conv2d"):
            weight = node.real("weight")
            extent = node.shape("input_shape")
            channels = weight.shape[1] * node.vector("groups", 1, 1)[0]
            fits = len(shape) == weight.ndim - 1 and shape[0] == channels
            return fits and (extent is None or extent[-(weight.ndim - 2) :] == shape[1:])
        if node.kind in POOLS:
            return len(shape) == 3
        if node.kind == "Flatten":
            return True
        expected = self._expected(node)
        if expected is None or node.kind == "Output":
            return True
        while len(expected) > len(shape) and expected[0] == 1 and node.kind in NEURONS:
            expected = expected[1:]
        return expected == shape

    def _fitting(self, name: str, candidates: list[Shape]) -> Shape | None:
        """The first candidate that all readers of ``name`` accept."""
        readers = self.graph.consumers[name]
        for shape in candidates:
            if all(self._accepts(reader, shape) for reader in readers):
                return shape
        return None

    def _input_shape(self, node: RawNode) -> Shape:
        """The declared shape, without leading batch or time axes that the next layer refuses."""
        declared = node.shape("shape")
        readers = [self.graph.nodes[n] for n in self.graph.consumers[node.name]]
        wanted = [shape for shape in map(self._expected, readers) if shape is not None]
        if declared is None:
            if wanted:
                self.notes.add("missing input shape", f"{node.name} read as {wanted[0]}")
                return wanted[0]
            raise ModelError(
                "the input has no shape, and the next layer does not give it",
                where=node.where("shape"),
                remedy="export with an input shape, or with input_shape in the first convolution",
            )
        shorter = [declared[i:] for i in range(len(declared))]
        time_only = [(1,)] if len(declared) == 1 else []
        chosen = self._fitting(node.name, shorter + time_only) or declared
        if chosen != declared:
            self.notes.add(
                "leading axes of the input ignored", f"{node.name}: {declared} read as {chosen}"
            )
        return chosen

    def _flat_shape(self, node: RawNode, shape: Shape) -> Shape:
        """Flatten with the stored axes, or one lower when they counted a batch axis."""
        shifts = [s for s in (0, 1) if flattened(node, shape, s) is not None]
        candidates = [flattened(node, shape, s) or () for s in shifts]
        stored = node.shape("input_type")
        if stored is not None and len(stored) == len(shape) + 1:
            candidates.reverse()  # the exporter counted a batch axis
        chosen = self._fitting(node.name, candidates)
        if chosen is None:
            if not candidates:
                raise ModelError(
                    "no such axes to flatten",
                    where=node.where("start_dim"),
                    found=f"start {node.integers('start_dim', 0)[0]}, "
                    f"end {node.integers('end_dim', -1)[0]}, input {shape}",
                )
            chosen = candidates[0]
        if chosen != flattened(node, shape):
            self.notes.add("Flatten axes shifted", f"{node.name}: start_dim counted a batch axis")
        return chosen

    def _check_output(self, node: RawNode, shape: Shape) -> None:
        """A declared output shape may only differ by leading batch or time axes."""
        declared = node.shape("shape")
        if declared is None or declared == shape:
            return
        if declared[-len(shape) :] != shape:
            raise ModelError(
                "the declared output shape is not what the network computes",
                where=node.where("shape"),
                found=f"declared {declared}, computed {shape}",
                remedy="check the edges into the output",
            )
        self.notes.add(
            "leading axes of the output ignored", f"{node.name}: {declared} read as {shape}"
        )

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
            node = self.graph.nodes[name]
            shape = self._expected(node)
            if shape is None:
                raise self._no_shape(node)
            self.nodes.append(Input(f"input_{name}", shape, BIN))
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
            self.nodes.append(Output(f"output_{name}", (tail(self.graph.nodes[name]),)))
            self.notes.add("missing Output node", f"output_{name} added")

    def _add_delays(self) -> None:
        for source in sorted({source for source, _ in self.late}):
            name = tail(self.graph.nodes[source])
            self.nodes.append(Delay(f"{name}.late", (name,), 1))

    def _unreached(self, waiting: set[str]) -> str:
        """A node to go on with where no input leads: one that knows its own shape."""
        for name in sorted(waiting):
            node = self.graph.nodes[name]
            if node.kind not in ("Input", "Output") and self._expected(node) is not None:
                return name
        raise self._no_shape(self.graph.nodes[min(waiting)])

    def _no_shape(self, node: RawNode) -> ModelError:
        return ModelError(
            "the input shape of this node is missing and cannot be inferred",
            where=node.where("input_shape" if node.kind.startswith("Conv") else ""),
            remedy="export with an Input node that has a shape",
        )


def element_count(shape: Shape) -> int:
    """Number of elements, for reports."""
    return int(np.prod(shape, dtype=np.int64)) if shape else size_of(shape)
