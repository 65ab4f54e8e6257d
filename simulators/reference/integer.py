"""Run an ``IntegerNetwork`` step by step in logical time: what every backend must equal."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Barrier, Delay, Input, Output, Reduce
from snnc.simulators.inputs import check_inputs
from snnc.simulators.reference.neuron import PopulationState
from snnc.simulators.reference.operators import apply, over_time
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
        observe: called with the values [samples, *shape] of all nodes in every step, when the
            last of them has computed it.

    Raises:
        InputError: an input is missing, misshapen or out of its type's range.
    """
    data, samples, steps = check_inputs(network, inputs)
    interpreter = _Interpreter(network, data, samples, steps)
    recorded = set(interpreter.populations) if record is None else set(record)
    spikes: dict[str, list[Events]] = {name: [] for name in recorded}
    counts = {name: np.zeros(samples, np.int64) for name in interpreter.populations}
    outputs: dict[str, list[Any]] = {n.name: [] for n in network.of_type(Output)}

    for moment in range(steps + max(network.lags.values())):
        for node, t, value in interpreter.advance(moment):
            if isinstance(node, Output):
                outputs[node.name].append(value)
            elif isinstance(node, Neuron):
                flat = value.reshape(samples, -1)
                counts[node.name] += np.abs(flat).sum(axis=1)
                if node.name in recorded:
                    spikes[node.name].append(Events.from_dense(flat[:, None], t))
        complete = interpreter.complete(moment)
        if observe is not None and complete:
            observe(complete)

    return RunResult(
        {name: np.stack(collected, axis=1) for name, collected in outputs.items()},
        {name: Events.join(parts) for name, parts in spikes.items()},
        counts,
    )


class _Interpreter:
    """Node by node, moment by moment: a node computes its step t in moment t + its lag."""

    def __init__(
        self, network: IntegerNetwork, data: Mapping[str, IntArray], samples: int, steps: int
    ) -> None:
        self.network, self.data, self.steps = network, data, steps
        self.populations = {n.name: PopulationState(n, samples) for n in network.of_type(Neuron)}
        self.pipes = {
            n.name: deque(np.zeros((n.steps, samples, *network.shapes[n.name]), np.int64))
            for n in network.of_type(Delay)
        }
        lags = network.lags
        waited_for = {s for n in network.nodes for s in n.inputs if lags[n.name] > lags[s]}
        self.past: dict[str, list[Any]] = {name: [] for name in waited_for}
        self.value: dict[str, Any] = {}
        self.by_step: dict[int, dict[str, Any]] = {}

    def advance(self, moment: int) -> list[tuple[IntegerNode, int, Any]]:
        """Compute one moment; return (node, its step, value) of outputs and populations."""
        shown: list[tuple[IntegerNode, int, Any]] = []
        active = [n for n in self.network.order if self._is_active(n, moment)]
        for node in active:
            t = moment - self.network.lags[node.name]
            value = self.value[node.name] = self._compute(node, t)
            self.by_step.setdefault(t, {})[node.name] = value
            if node.name in self.past:
                self.past[node.name].append(value)
            if isinstance(node, Output | Neuron):
                shown.append((node, t, value))
        for node in active:
            if isinstance(node, Delay):
                self.pipes[node.name].append(self.value[node.inputs[0]])
        return shown

    def complete(self, moment: int) -> dict[str, Any]:
        """Values of all nodes in the step that the last ones computed in this moment, if any."""
        return self.by_step.pop(moment - max(self.network.lags.values()), {})

    def _is_active(self, node: IntegerNode, moment: int) -> bool:
        return 0 <= moment - self.network.lags[node.name] < self.steps

    def _compute(self, node: IntegerNode, t: int) -> Any:
        if isinstance(node, Input):
            return self.data[node.name][:, t].astype(np.int64)
        if isinstance(node, Delay):
            return self.pipes[node.name].popleft()
        if isinstance(node, Reduce) and node.steps:
            return over_time(node, self._all_steps(node)) if t == 0 else self.value[node.name]
        if isinstance(node, Barrier):
            last = self._all_steps(node)[-1]
            return last if t == 0 else np.zeros_like(last)
        operands = [self._operand(node, source, t) for source in node.inputs]
        if isinstance(node, Neuron):
            return self.populations[node.name].step(operands[0], t)
        return apply(node, operands)

    def _operand(self, node: IntegerNode, source: str, t: int) -> Any:
        """Step t of an operand; one that came earlier was kept."""
        lags = self.network.lags
        return self.past[source][t] if lags[node.name] > lags[source] else self.value[source]

    def _all_steps(self, node: IntegerNode) -> list[Any]:
        source = node.inputs[0]
        return self.past.get(source, [self.value[source]])
