"""Run a ``Network`` in real numbers, step by step: what the training framework computed.

The equations are those of ``snnc.ir.real_neuron``, line by line; operators are shared with the
integer reference.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.ir.arrays import RealArray
from snnc.ir.errors import InputError
from snnc.ir.network import Network, RealNode
from snnc.ir.nodes import Add, Bias, Delay, Index, Input, Linear, Output, Pool, Scale
from snnc.ir.real_neuron import RealNeuron
from snnc.simulators.inputs import check_extents
from snnc.simulators.reference.operators import index, linear, pool
from snnc.simulators.result import Events, RunResult


def run_real(
    network: Network,
    inputs: Mapping[str, RealArray],
    record: Collection[str] | None = None,
    *,
    dtype: npt.DTypeLike = np.float64,
) -> RunResult:
    """Run all samples from their reset state.

    Args:
        network: the program.
        inputs: by input name, numbers [samples, steps, *shape].
        record: populations whose spikes are returned; None records all that spike.
        dtype: precision of every value; frameworks train in float32, float64 is closer to the
            mathematics.

    Returns:
        Outputs as real numbers; spikes and counts of the populations that spike.

    Raises:
        InputError: an input is missing, misshapen or not finite.
    """
    data, samples, steps = _check_inputs(network, inputs)
    states = {n.name: RealState(n, samples, dtype) for n in network.of_type(RealNeuron)}
    pipes = {
        n.name: deque(np.zeros((n.steps, samples, *network.shapes[n.name]), dtype))
        for n in network.of_type(Delay)
    }
    spiking = {n.name for n in network.of_type(RealNeuron) if n.threshold is not None}
    recorded = spiking if record is None else spiking & set(record)
    spikes: dict[str, list[Events]] = {name: [] for name in recorded}
    counts = {name: np.zeros(samples, np.int64) for name in sorted(spiking)}
    outputs: dict[str, list[Any]] = {n.name: [] for n in network.of_type(Output)}

    for t in range(steps):
        value: dict[str, Any] = {}
        for node in network.order:
            if isinstance(node, Input):
                value[node.name] = data[node.name][:, t].astype(dtype)
            elif isinstance(node, Delay):
                value[node.name] = pipes[node.name].popleft()
            elif isinstance(node, RealNeuron):
                value[node.name] = states[node.name].step(value[node.inputs[0]])
            else:
                operands = [value[source] for source in node.inputs]
                value[node.name] = apply_real(node, operands).astype(dtype, copy=False)
        for delay in network.of_type(Delay):
            pipes[delay.name].append(value[delay.inputs[0]])
        for name in counts:
            raster = value[name].reshape(samples, -1).astype(np.int64)
            counts[name] += raster.sum(axis=1)
            if name in recorded:
                spikes[name].append(Events.from_dense(raster[:, None], t))
        for name, collected in outputs.items():
            collected.append(value[name])

    return RunResult(
        {name: np.stack(collected, axis=1) for name, collected in outputs.items()},
        {name: Events.join(parts) for name, parts in spikes.items()},
        counts,
    )


class RealState:
    """State of one population for a batch: arrays [samples, *shape]."""

    def __init__(self, neuron: RealNeuron, samples: int, dtype: npt.DTypeLike) -> None:
        self.neuron = neuron
        self.v = np.zeros((samples, *neuron.shape), dtype)
        self.current = np.zeros_like(self.v)
        self.s = np.zeros_like(self.v)
        self.constant = {
            label: None if value is None else np.asarray(value, dtype)
            for label in ("decay", "gain", "offset", "threshold", "reset_value",
                          "current_decay", "current_gain")
            for value in (getattr(neuron, label),)
        }  # fmt: skip

    def step(self, x: Any) -> Any:
        """Advance one step with the summed input; return spike counts, or v without threshold."""
        n, k = self.neuron, self.constant
        if k["current_decay"] is not None:
            x = self.current = k["current_decay"] * self.current + k["current_gain"] * x
        v = k["decay"] * self.v + k["gain"] * x + k["offset"]
        if k["threshold"] is None:
            self.v = v
            return v
        if n.reset_timing == "snntorch_subtract":
            before = self._spikes(self.v)  # a potential still above threshold resets again
            v = v - before * k["threshold"]
            self.s = self._spikes(v)
            v = v - (self.s - before) * k["threshold"]
        elif n.reset_timing == "next_step":
            v = self._reset(v, self.s)
            self.s = self._spikes(v)
        else:
            self.s = self._spikes(v)
            v = self._reset(v, self.s)
        self.v = v if n.minimum is None else np.maximum(v, v.dtype.type(n.minimum))
        return self.s

    def _spikes(self, v: Any) -> Any:
        n, threshold = self.neuron, self.constant["threshold"]
        if n.multi_spike == 1:
            fired = v > threshold if n.comparator == ">" else v >= threshold
            return fired.astype(v.dtype)
        count = np.maximum(np.floor(v / threshold), 0)
        return np.minimum(count, n.multi_spike) if n.multi_spike else count

    def _reset(self, v: Any, s: Any) -> Any:
        if self.neuron.reset == "subtract":
            return v - s * self.constant["threshold"]
        if self.neuron.reset == "none":
            return v
        value = self.constant["reset_value"]
        return np.where(s != 0, v.dtype.type(0) if value is None else value, v)


def apply_real(node: RealNode, operands: list[Any]) -> Any:
    """Value of a stateless operator for its operands' values."""
    first = operands[0]
    if isinstance(node, Linear):
        return linear(node.weights, first)
    if isinstance(node, Bias):
        return first + node.bias
    if isinstance(node, Scale):
        return first * node.scale
    if isinstance(node, Add):
        return sum(operands[1:], start=first)
    if isinstance(node, Pool):
        return pool(node, first)
    if isinstance(node, Index):
        return index(node, operands)
    assert isinstance(node, Output)
    return first


def _check_inputs(
    network: Network, inputs: Mapping[str, RealArray]
) -> tuple[dict[str, RealArray], int, int]:
    """Check names, shapes and finiteness; return (data, samples, steps)."""
    nodes = network.of_type(Input)
    data = {name: np.asarray(values) for name, values in inputs.items()}
    samples, steps = check_extents(network.name, nodes, data)
    for name, array in data.items():
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise InputError("input values must be finite numbers", where=name, found=array.dtype)
    return data, samples, steps
