"""An ``ActivationGraph`` with scales to a spiking ``Network``.

Each activation becomes integrate-and-fire neurons with threshold theta, subtraction of theta, and
theta / 2 in the membrane at the start, which turns flooring into rounding.  A spike stands for
theta, so that after T steps ``theta x count / T`` is the activation.  The input is fed as it is in
every step.  Outputs are the mean over time: an integrator with gain 1/T.

A maximum is taken of spikes, pair by pair: max(a, b) = b + relu(a - b), where relu(a - b) is a
neuron with threshold 1 that counts by how much a is ahead.  Its weights are 1 and -1.  A lead that
is lost again has been sent already, so that over several steps a maximum comes out up to a spike
too high; with one step of several levels it is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx.ann.graph import Activation, ActivationGraph
from snnc.ir.arrays import RealArray, Shape
from snnc.ir.network import Network
from snnc.ir.nodes import Add, Index, Output, Scale
from snnc.ir.real_neuron import RealNeuron


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
        """Node that carries the value: populations, times what one of their spikes stands for."""
        theta = self._column(np.minimum(self.scales[node.name], node.ceiling), node.shape)
        theta = theta / self.levels
        source = self.value[node.inputs[0]]
        if node.rectified:  # values, of which each source has a unit of its own
            return self._maximum(node, source, theta)
        shape = self.graph.shapes[node.inputs[0]]
        spikes = self._population(node.name, source, shape, theta)
        if node.window is not None:
            spikes = self._maximum(node, spikes, np.asarray(1.0))
        return self._put(Scale(self._free(f"{node.name}.value"), (spikes,), theta))

    def _maximum(self, node: Activation, source: str, unit: RealArray) -> str:
        """Maxima of pairs until one is left."""
        taps = node.taps(self.graph.shapes[node.inputs[0]])
        places = [
            self._put(Index(self._free(f"{node.name}.place"), (source,), node.shape, tap))
            for tap in taps
        ]
        while len(places) > 1:
            pairs = [places[k : k + 2] for k in range(0, len(places), 2)]
            places = [self._larger(node, pair, unit) for pair in pairs]
        return places[0]

    def _larger(self, node: Activation, pair: list[str], unit: RealArray) -> str:
        """``b + relu(a - b)``."""
        if len(pair) == 1:
            return pair[0]
        a, b = pair
        less = self._put(Scale(self._free(f"{node.name}.less"), (b,), np.asarray(-1.0)))
        lead = self._put(Add(self._free(f"{node.name}.lead"), (a, less)))
        name = self._free(f"{node.name}.beyond")
        beyond = self._population(name, lead, node.shape, unit)
        return self._put(Add(self._free(f"{node.name}.max"), (b, beyond)))

    def _population(self, name: str, operand: str, shape: Shape, theta: RealArray) -> str:
        """Integrate-and-fire neurons."""
        return self._put(
            RealNeuron(
                name=name,
                inputs=(operand,),
                shape=shape,
                decay=np.asarray(1.0),
                gain=np.asarray(1.0),
                offset=np.asarray(0.0),
                threshold=theta,
                comparator=">=",
                reset="subtract",
                multi_spike=self.levels,
                initial=theta / 2,
            )
        )

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
