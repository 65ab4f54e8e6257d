"""Run an ``IntegerNetwork`` step by step in logical time: what every backend must equal."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Delay, Input, Output
from snnc.simulators.inputs import check_inputs
from snnc.simulators.reference.neuron import PopulationState
from snnc.simulators.reference.operators import apply
from snnc.simulators.result import Events, RunResult


def run(
    network: IntegerNetwork,
    inputs: Mapping[str, IntArray],
    record: Collection[str] | None = None,
    observe: Callable[[Mapping[str, Any]], None] | None = None,
) -> RunResult:
    """Run all samples from their reset state.

    Args:
        network: the program.
        inputs: by input name, integers [samples, steps, *shape] within the input's type.
        record: populations whose spikes are returned; None records all.
        observe: called after every step with the value of every node, [samples, *shape].

    Raises:
        InputError: an input is missing, misshapen or out of its type's range.
    """
    data, samples, steps = check_inputs(network, inputs)
    populations = {n.name: PopulationState(n, samples) for n in network.of_type(Neuron)}
    pipes = {
        n.name: deque(np.zeros((n.steps, samples, *network.shapes[n.name]), np.int64))
        for n in network.of_type(Delay)
    }
    recorded = set(populations) if record is None else set(record)
    spikes: dict[str, list[Events]] = {name: [] for name in recorded}
    counts = {name: np.zeros(samples, np.int64) for name in populations}
    outputs: dict[str, list[Any]] = {n.name: [] for n in network.of_type(Output)}

    for t in range(steps):
        value: dict[str, Any] = {}
        for node in network.order:
            if isinstance(node, Input):
                value[node.name] = data[node.name][:, t].astype(np.int64)
            elif isinstance(node, Delay):
                value[node.name] = pipes[node.name].popleft()
            elif isinstance(node, Neuron):
                emitted = populations[node.name].step(value[node.inputs[0]], t)
                value[node.name] = emitted
                flat = emitted.reshape(samples, -1)
                counts[node.name] += np.abs(flat).sum(axis=1)
                if node.name in recorded:
                    spikes[node.name].append(Events.from_dense(flat[:, None], t))
            else:
                value[node.name] = apply(node, [value[source] for source in node.inputs])
        for delay in network.of_type(Delay):
            pipes[delay.name].append(value[delay.inputs[0]])
        for name, collected in outputs.items():
            collected.append(value[name])
        if observe is not None:
            observe(value)

    return RunResult(
        {name: np.stack(collected, axis=1) for name, collected in outputs.items()},
        {name: Events.join(parts) for name, parts in spikes.items()},
        counts,
    )
