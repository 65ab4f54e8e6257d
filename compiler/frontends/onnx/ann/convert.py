"""An ``ActivationGraph`` with scales to a spiking ``Network``.

Each activation becomes integrate-and-fire neurons with threshold theta, subtraction of theta, and
theta / 2 in the membrane at the start, which turns flooring into rounding.  A spike stands for
theta, so that after T steps ``theta x count / T`` is the activation.  The input is fed as it is in
every step.  Outputs are the mean over time: an integrator with gain 1/T.

A maximum over a window of k places becomes k populations in a row: the first follows the first
place, and each further one follows its place less what those before it have sent.  Together they
have sent, after any step, the largest count of all places; each synaptic weight is the one of the
layer before, and no value but spikes is passed on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx.ann.graph import Activation, ActivationGraph
from snnc.ir.arrays import IntArray, RealArray, Shape
from snnc.ir.network import Network
from snnc.ir.nodes import Add, Index, Output, Scale
from snnc.ir.real_neuron import RealNeuron

ROW = 9
"""Populations that compete in one row; larger windows are maxima of maxima."""


def convert(
    graph: ActivationGraph,
    scales: Mapping[str, RealArray],
    timesteps: int,
    levels: int,
    notes: Mapping[str, str],
) -> Network:
    """The spiking network.

    Args:
        graph: the ANN.
        scales: [channels] largest value per activation, see ``thresholds.scales``.
        timesteps: steps over which outputs are averaged.
        levels: spikes a neuron may send in one step.
        notes: assumptions of the new network.
    """
    return _Converter(graph, scales, timesteps, levels).network(notes)


class _Converter:
    def __init__(
        self,
        graph: ActivationGraph,
        scales: Mapping[str, RealArray],
        timesteps: int,
        levels: int,
    ) -> None:
        self.graph, self.scales = graph, scales
        self.timesteps, self.levels = timesteps, levels
        self.nodes: list[Any] = []
        self.names = {node.name for node in graph.nodes}
        self.value: dict[str, str] = {}  # ANN node -> node that carries its value

    def network(self, notes: Mapping[str, str]) -> Network:
        for node in self.graph.nodes:
            if isinstance(node, Activation):
                self.value[node.name] = self._activation(node)
            elif isinstance(node, Output):
                self._output(node)
            else:
                self._put(type(node)(**{**vars(node), "inputs": self._inputs(node)}))
                self.value[node.name] = node.name
        return Network(self.graph.name, tuple(self.nodes), dict(notes))

    def _inputs(self, node: Any) -> tuple[str, ...]:
        return tuple(self.value[source] for source in node.inputs)

    def _put(self, node: Any) -> str:
        self.nodes.append(node)
        self.names.add(node.name)
        return str(node.name)

    def _free(self, base: str) -> str:
        name, count = base, 1
        while name in self.names:
            count += 1
            name = f"{base}.{count}"
        return name

    def _activation(self, node: Activation) -> str:
        source = self.value[node.inputs[0]]
        if node.window is None:
            return self._row(node, [source])
        taps = node.taps(self.graph.shapes[node.inputs[0]])
        places = [self._place(node, source, tap) for tap in taps]
        while len(places) > 1:
            rows = [places[k : k + ROW] for k in range(0, len(places), ROW)]
            places = [self._row(node, row) for row in rows]
        return places[0]

    def _place(self, node: Activation, source: str, tap: IntArray) -> str:
        name = self._free(f"{node.name}.place")
        return self._put(Index(name, (source,), node.shape, tap))

    def _row(self, node: Activation, places: list[str]) -> str:
        """Populations of which each adds what its place has beyond those before it."""
        sent: list[str] = []
        for place in places:
            operand = place
            if sent:
                total = sent[0] if len(sent) == 1 else self._sum(f"{node.name}.sent", tuple(sent))
                less = self._put(Scale(self._free(f"{node.name}.less"), (total,), np.asarray(-1.0)))
                operand = self._sum(f"{node.name}.beyond", (place, less))
            sent.append(self._population(node, operand, len(places) > 1))
        return sent[0] if len(sent) == 1 else self._sum(f"{node.name}.max", tuple(sent))

    def _sum(self, base: str, operands: tuple[str, ...]) -> str:
        return self._put(Add(self._free(base), operands))

    def _population(self, node: Activation, operand: str, several: bool) -> str:
        """Neurons, and their spikes times what each stands for."""
        theta = self._column(np.minimum(self.scales[node.name], node.ceiling), node.shape)
        theta = theta / self.levels
        base = f"{node.name}.neurons" if several else node.name
        neurons = RealNeuron(
            name=node.name if not several and node.name not in self._made() else self._free(base),
            inputs=(operand,),
            shape=node.shape,
            decay=np.asarray(1.0),
            gain=np.asarray(1.0),
            offset=np.asarray(0.0),
            threshold=theta,
            comparator=">=",
            reset="subtract",
            multi_spike=self.levels,
            initial=theta / 2,
        )
        self._put(neurons)
        return self._put(Scale(self._free(f"{neurons.name}.value"), (neurons.name,), theta))

    def _made(self) -> set[str]:
        return {node.name for node in self.nodes}

    def _column(self, values: RealArray, shape: Shape) -> RealArray:
        """One value per channel, or one for all, in the shape that broadcasts."""
        if np.ptp(values) == 0:
            return np.asarray(values.reshape(-1)[0])
        return values.reshape(-1, *(1,) * (len(shape) - 1))

    def _output(self, node: Output) -> None:
        shape = self.graph.shapes[node.name]
        integrator = RealNeuron(
            name=self._free(f"{node.name}.mean"),
            inputs=self._inputs(node),
            shape=shape,
            decay=np.asarray(1.0),
            gain=np.asarray(1.0 / self.timesteps),
            offset=np.asarray(0.0),
            threshold=None,
        )
        self._put(integrator)
        self._put(Output(node.name, (integrator.name,), "last"))
