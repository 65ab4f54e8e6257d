"""A ``Network`` as the nodes and edges of a NIR graph.

Sums become several edges into one node, a bias joins the weights before it, a one-step delay in a
loop stays implicit where the reader puts it in the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from snnc.compiler.exporters.nir.neurons import compact, neuron_fields
from snnc.compiler.exporters.nir.operators import (
    conv_fields,
    flatten_fields,
    identity_bias,
    pool_fields,
    selections,
)
from snnc.compiler.frontends.nir.dialect import Dialect
from snnc.compiler.frontends.nir.graph import cyclic
from snnc.compiler.frontends.nir.record import Edge, RawFile
from snnc.compiler.frontends.record import RawNode
from snnc.ir.arrays import AnyArray, RealArray, size_of
from snnc.ir.errors import UnsupportedError
from snnc.ir.network import Network, RealNode
from snnc.ir.nodes import Add, Bias, Delay, Index, Input, Linear, Output, Pool, Scale
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.weights import Conv, Dense


class GraphWriter:
    """Walks a network once.

    Attributes:
        nodes: NIR nodes by name.
        edges: of the graph, without those that come from a nested sum twice.
        late: edges whose one step of delay is left to the reader.
    """

    def __init__(self, network: Network, dialect: Dialect, *, explicit_delays: bool) -> None:
        self.network = network
        self.dialect = dialect
        self.nodes: dict[str, RawNode] = {}
        self.edges: list[Edge] = []
        self.late: set[Edge] = set()
        self.readers: dict[str, list[RealNode]] = {}
        for node in network.nodes:
            for source in node.inputs:
                self.readers.setdefault(source, []).append(node)
        self.implicit = frozenset() if explicit_delays else self._loop_delays()
        self.alias: dict[str, str] = {}  # tensors that NIR has under the name of another node
        self.reading: list[Edge] = []  # tensor, NIR node that reads it

    def file(self) -> RawFile:
        """The whole network.

        Raises:
            UnsupportedError: an operator that NIR has no node for.
        """
        for node in self.network.order:
            self._node(node)
        for tensor, name in self.reading:  # now that every tensor has its NIR name
            self._connect(tensor, name)
        return RawFile(
            f"{self.network.name}.nir", 0, "1.0.8", self.nodes, frozenset(),
            tuple(sorted(self.edges)),
        )  # fmt: skip

    def _loop_delays(self) -> frozenset[str]:
        """Delays of one step on a loop."""
        names = tuple(node.name for node in self.network.nodes)
        edges = tuple((s, node.name) for node in self.network.nodes for s in node.inputs)
        looping = cyclic(names, edges)
        return frozenset(
            n.name for n in self.network.of_type(Delay) if n.steps == 1 and n.name in looping
        )

    def _node(self, node: RealNode) -> None:
        visit: dict[type, Callable[[Any], None]] = {
            Input: self._input, Output: self._output, Linear: self._linear, Bias: self._bias,
            Scale: self._scale, Pool: self._pool, Index: self._index, Delay: self._delay,
            RealNeuron: self._neuron, Add: lambda _: None,
        }  # fmt: skip
        if type(node) not in visit:
            kind = f"{type(node).__name__} ({node.op})" if hasattr(node, "op") else (
                type(node).__name__
            )  # fmt: skip
            raise UnsupportedError(
                "NIR has no node for this operator",
                where=node.name,
                found=kind,
                allowed="weights, sums, scales, sum and average pools, reshapes, delays, neurons",
                remedy="export to a format that has it, or compile the network with snnc instead",
            )
        visit[type(node)](node)

    def _sources(self, tensor: str) -> list[tuple[str, bool]]:
        """NIR nodes whose sum a tensor is, each with whether it comes one step late."""
        node = self.network.node[tensor]
        if tensor in self.alias:
            return [(self.alias[tensor], False)]
        if isinstance(node, Add):
            return [source for operand in node.inputs for source in self._sources(operand)]
        if isinstance(node, Index) and self._is_identity(node):
            return self._sources(node.inputs[0])
        if isinstance(node, Delay) and node.name in self.implicit:
            return [(name, True) for name, _ in self._sources(node.inputs[0])]
        return [(nir_name(tensor), False)]

    def _connect(self, tensor: str, name: str) -> None:
        found = self._sources(tensor)
        if len(set(found)) < len(found):
            raise UnsupportedError(
                "NIR cannot add a tensor to itself",
                where=name,
                found=f"sum of {', '.join(source for source, _ in found)}",
                remedy="double the weights instead",
            )
        self.edges += [(source, name) for source, _ in found]
        self.late |= {(source, name) for source, late in found if late}

    def _put(self, node: RealNode, kind: str, fields: Mapping[str, Any], name: str = "") -> str:
        """One NIR node fed by the operator's first input."""
        name = self._add(name or node.name, kind, fields)
        self.reading += [(source, name) for source in node.inputs[:1]]
        return name

    def _add(self, wanted: str, kind: str, fields: Mapping[str, Any]) -> str:
        name = nir_name(wanted)
        if name in self.nodes:
            raise UnsupportedError(
                "two nodes would have the same name", where=wanted, remedy="rename one of them"
            )
        values = {k: v if isinstance(v, str) else np.asarray(v) for k, v in fields.items()}
        self.nodes[name] = RawNode(f"{self.network.name}.nir", name, kind, values)
        return name

    def _input(self, node: Input) -> None:
        self._put(node, "Input", {"shape": np.array(node.shape, np.int64)})

    def _output(self, node: Output) -> None:
        shape = self.network.shapes[node.name]
        self._put(node, "Output", {"shape": np.array(shape, np.int64)})

    def _linear(self, node: Linear) -> None:
        bias, shape = self._own_bias(node), self.network.shapes[node.inputs[0]]
        if isinstance(node.weights, Conv):
            kind, fields = conv_fields(node, node.weights, shape, bias)
        elif isinstance(node.weights, Dense):
            kind, fields = "Linear", {"weight": compact(node.weights.values)}
            if bias is not None:
                full = np.broadcast_to(bias.bias, self.network.shapes[node.name])
                kind, fields = "Affine", fields | {"bias": compact(np.array(full))}
        else:
            raise UnsupportedError(
                "NIR has no sparse weights",
                where=node.name,
                found=f"{node.weights.values.size} weights from {shape} to {node.weights.shape}",
                remedy="store the layer as a dense matrix or a convolution",
            )
        self._put(node, kind, fields)
        if bias is not None:
            self.alias[bias.name] = nir_name(node.name)

    def _own_bias(self, node: Linear) -> Bias | None:
        """The bias of a layer: the only reader of its weights, and of a shape the layer holds."""
        readers = self.readers.get(node.name, [])
        if len(readers) != 1 or not isinstance(readers[0], Bias):
            return None
        bias, shape = readers[0], self.network.shapes[node.name]
        if isinstance(node.weights, Conv):
            full = np.broadcast_to(bias.bias, shape).reshape(shape[0], -1)
            return bias if bool((full == full[:, :1]).all()) else None
        return bias

    def _bias(self, node: Bias) -> None:
        if node.name not in self.alias:
            shape = self.network.shapes[node.name]
            self._put(node, *identity_bias(node, shape))

    def _scale(self, node: Scale) -> None:
        if node.name not in self.alias:
            full = np.broadcast_to(node.scale, self.network.shapes[node.name])
            self._put(node, "Scale", {"scale": compact(np.array(full))})

    def _pool(self, node: Pool) -> None:
        mean = self._mean(node)
        self._put(node, "SumPool2d" if mean is None else "AvgPool2d", pool_fields(node))
        if mean is not None:
            self.alias[mean.name] = nir_name(node.name)

    def _mean(self, node: Pool) -> Scale | None:
        """The scale that makes a sum an average, if that is the pool's only reader."""
        readers = self.readers.get(node.name, [])
        if len(readers) != 1 or not isinstance(readers[0], Scale):
            return None
        scale: RealArray = readers[0].scale
        return readers[0] if bool((scale == 1 / size_of(node.kernel)).all()) else None

    def _index(self, node: Index) -> None:
        shapes = [self.network.shapes[source] for source in node.inputs]
        if self._is_identity(node):
            return
        if node.index is None and len(shapes) == 1:
            self._put(node, "Flatten", flatten_fields(node, shapes[0]))
            return
        gathered = selections(node, shapes)
        for place, (source, shape, matrix) in enumerate(zip(node.inputs, shapes, gathered,
                                                            strict=True)):  # fmt: skip
            name = self._add(f"{node.name}.{place}", "Linear", {"weight": compact(matrix)})
            if len(shape) > 1:
                whole = Index(f"{node.name}.{place}.flat", (source,), (size_of(shape),))
                flat = self._add(whole.name, "Flatten", flatten_fields(whole, shape))
                self.edges.append((flat, name))
            self.reading.append((source, name if len(shape) == 1 else flat))
        self._sum_of(node, len(gathered))

    def _is_identity(self, node: Index) -> bool:
        shapes = [self.network.shapes[source] for source in node.inputs]
        return node.index is None and shapes == [node.shape]

    def _sum_of(self, node: Index, count: int) -> None:
        """Let the readers of a gathered tensor read its parts, through a Scale of 1 if several."""
        parts = [nir_name(f"{node.name}.{place}") for place in range(count)]
        if count == 1:
            self.alias[node.name] = parts[0]
            return
        name = self._add(node.name, "Scale", {"scale": np.ones(node.shape, np.float32)})
        self.edges += [(part, name) for part in parts]

    def _delay(self, node: Delay) -> None:
        if node.name not in self.implicit:
            shape = self.network.shapes[node.name]
            delay: AnyArray = np.full(shape, node.steps * self.dialect.dt)
            self._put(node, "Delay", {"delay": delay})

    def _neuron(self, node: RealNeuron) -> None:
        kind, fields = neuron_fields(node, self.dialect)
        self._put(node, kind, fields)


def nir_name(name: str) -> str:
    """A name as HDF5 can store it."""
    return name.replace("/", "_")
