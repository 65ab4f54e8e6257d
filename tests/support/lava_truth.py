"""Runs of Intel's own recordings in our logical time.

A recording of ``steps`` Lava steps with ``LIFReset(reset_interval=interval, reset_offset=n + 1)``
of the n-th layer holds, for that layer, n steps of an unfinished sample before its first reset
(only biases act in it) and then samples of ``interval`` steps each.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron
from snnc.simulators.reference import integer
from snnc.simulators.reference.neuron import PopulationState
from snnc.simulators.result import RunResult


@dataclass
class Trace:
    """States of one population: [steps, samples, *shape], as Lava shows them after a step."""

    current: list[Any] = dataclasses.field(default_factory=list)
    potential: list[Any] = dataclasses.field(default_factory=list)


def traced(
    network: IntegerNetwork, inputs: dict[str, Any], patch: pytest.MonkeyPatch
) -> tuple[RunResult, dict[str, Trace]]:
    """``reference.run`` with the states it goes through."""
    traces: dict[str, Trace] = {}

    class Recording(PopulationState):
        def step(self, inputs: Any, t: int) -> Any:
            emitted = super().step(inputs, t)
            trace = traces.setdefault(self.neuron.name, Trace())
            trace.current.append(self.current.copy())
            trace.potential.append(self.v.copy())
            return emitted

    patch.setattr(integer, "PopulationState", Recording)
    return integer.run(network, inputs), traces


def unfinished_sample(network: IntegerNetwork, interval: int) -> IntegerNetwork:
    """The network whose n-th population begins n steps before the end of a sample."""
    position = {p.name: n for n, p in enumerate(in_file_order(network))}
    nodes = [
        dataclasses.replace(node, bias=tuple(
            dataclasses.replace(b, onset=interval - position[node.name]) for b in node.bias
        ))
        if isinstance(node, Neuron) else node
        for node in network.nodes
    ]  # fmt: skip
    return IntegerNetwork(network.name, tuple(nodes))


def in_file_order(network: IntegerNetwork) -> list[Neuron]:
    """Populations layer by layer."""
    return [node for node in network.nodes if isinstance(node, Neuron)]


def in_lava_time(before: Any, sample: Any, position: int, steps: int) -> Any:
    """[steps, ...] as Lava records the n-th layer, from [interval, ...] in logical time."""
    interval = len(sample)
    parts = [before[interval - position :], sample, sample]
    return np.concatenate(parts)[:steps]


def raster(result: RunResult, population: Neuron, steps: int) -> Any:
    """Spikes of the first sample as bool [steps, *shape]."""
    events = result.spikes[population.name]
    dense = np.zeros((steps, population.size), bool)
    dense[events.step, events.index] = events.value != 0
    return dense.reshape(steps, *population.shape)
