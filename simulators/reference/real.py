"""Run a ``Network`` in real numbers, step by step: what the training framework computed.

The equations are those of ``snnc.ir.real_neuron``, line by line; operators are shared with the
integer reference.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.ir.arrays import RealArray
from snnc.ir.errors import InputError
from snnc.ir.network import Network, RealNode
from snnc.ir.nodes import (
    Bias,
    Delay,
    Input,
    Output,
    Reduce,
    Scale,
)
from snnc.ir.real_neuron import RealNeuron
from snnc.simulators.inputs import check_extents
from snnc.simulators.reference.operators import apply, over_time
from snnc.simulators.result import Events, RunResult


def run_real(
    network: Network,
    inputs: Mapping[str, RealArray],
    record: Collection[str] | None = None,
    *,
    dtype: npt.DTypeLike = np.float64,
    observe: Callable[[Mapping[str, Any]], None] | None = None,
) -> RunResult:
    """Run all samples from their reset state.

    Args:
        network: the program.
        inputs: by input name, numbers [samples, steps, *shape].
        record: populations whose spikes are returned; None records all that spike.
        dtype: precision of every value; frameworks train in float32, float64 is closer to the
            mathematics.
        observe: called after every step with the value of every node, [samples, *shape].

    Returns:
        Outputs as real numbers; spikes and counts of the populations that spike.

    Raises:
        InputError: an input is missing, misshapen or not finite.
    """
    data, samples, steps = _check_inputs(network, inputs)
    whole = [n for n in network.of_type(Reduce) if n.steps]
    for node in whole:
        if node.steps != steps:
            raise InputError(
                "a sum over time needs samples of exactly its length",
                where=node.name,
                found=f"{steps} steps",
                allowed=f"{node.steps} steps",
            )
    sums: dict[str, Any] = {}
    for _ in range(_depth(network)):  # each pass settles the next sums over the whole sample
        operands: dict[str, list[Any]] = {node.name: [] for node in whole}

        def keep(value: Mapping[str, Any], operands: dict[str, list[Any]] = operands) -> None:
            for node in whole:
                operands[node.name].append(value[node.inputs[0]])

        _run(network, data, (samples, steps), set(), dtype, keep, sums)
        sums = {node.name: over_time(node, operands[node.name]) for node in whole}
    return _run(network, data, (samples, steps), record, dtype, observe, sums)


def _depth(network: Network) -> int:
    """How many sums over the whole sample lie behind each other at most."""
    depth: dict[str, int] = dict.fromkeys(network.node, 0)
    for node in network.order:
        before = max((depth[source] for source in node.inputs), default=0)
        depth[node.name] = before + (isinstance(node, Reduce) and node.steps > 0)
    return max(depth.values())


def _run(
    network: Network,
    data: Mapping[str, RealArray],
    extent: tuple[int, int],
    record: Collection[str] | None,
    dtype: npt.DTypeLike,
    observe: Callable[[Mapping[str, Any]], None] | None,
    sums: Mapping[str, Any],
) -> RunResult:
    """One pass over all steps, given the sums over the whole sample (zero where not known yet)."""
    samples, steps = extent
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
            elif isinstance(node, Reduce) and node.steps:
                shape = (samples, *network.shapes[node.name])
                value[node.name] = sums.get(node.name, np.zeros(shape, dtype))
            else:
                operands = [value[source] for source in node.inputs]
                value[node.name] = apply_real(node, operands).astype(dtype, copy=False)
        for delay in network.of_type(Delay):
            pipes[delay.name].append(value[delay.inputs[0]])
        for name in counts:
            raster = value[name].reshape(samples, -1).astype(np.int64)
            counts[name] += np.abs(raster).sum(axis=1)
            if name in recorded:
                spikes[name].append(Events.from_dense(raster[:, None], t))
        for name, collected in outputs.items():
            collected.append(value[name])
        if observe is not None:
            observe(value)

    return RunResult(
        {name: np.stack(collected, axis=1) for name, collected in outputs.items()},
        {name: Events.join(parts) for name, parts in spikes.items()},
        counts,
    )


class RealState:
    """State of one population for a batch: arrays [samples, *shape]."""

    def __init__(self, neuron: RealNeuron, samples: int, dtype: npt.DTypeLike) -> None:
        self.neuron = neuron
        self.constant = {
            label: None if value is None else np.asarray(value, dtype)
            for label in ("decay", "gain", "offset", "threshold", "reset_value", "ladder",
                          "current_decay", "current_gain")
            for value in (getattr(neuron, label),)
        }  # fmt: skip
        shape = (samples, *neuron.shape)
        self.v = np.array(np.broadcast_to(np.asarray(neuron.initial, dtype), shape))
        self.current = np.zeros_like(self.v)
        self.s = np.zeros_like(self.v)
        self.a = np.zeros_like(self.v)
        self.waiting = np.zeros(shape, np.int64)

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
            v = self._fire(v)
        self.v = v if n.minimum is None else np.maximum(v, v.dtype.type(n.minimum))
        return self.s

    def _fire(self, v: Any) -> Any:
        """Decide, reset, and move the adaptation and the refractory counter."""
        n = self.neuron
        self.s = self._spikes(v)
        if n.refractory:
            silent = self.waiting > 0
            self.s = np.where(silent, 0, self.s)
            if n.refractory_hold:
                v = np.where(silent, self._rest(v), v)
            self.waiting = np.where(self.s != 0, n.refractory, np.maximum(self.waiting - 1, 0))
        taken = self.constant["threshold"]
        if n.adaptation is not None:
            rule, kind = n.adaptation, v.dtype.type
            taken = self._threshold(kind) if rule.in_reset else taken
            self.a = np.asarray(rule.decay, kind) * self.a + np.asarray(rule.gain, kind) * self.s
        return self._reset(v, self.s, taken)

    def _threshold(self, kind: Any) -> Any:
        """With what the adaptation adds."""
        rule, threshold = self.neuron.adaptation, self.constant["threshold"]
        return threshold if rule is None else threshold + np.asarray(rule.scale, kind) * self.a

    def _spikes(self, v: Any) -> Any:
        n, threshold = self.neuron, self._threshold(v.dtype.type)
        ladder = self.constant["ladder"]
        if ladder is not None:
            return sum(_above(v, level, n.comparator) for level in ladder)
        if n.rounding != "floor":
            high = n.multi_spike or np.inf
            clipped = np.clip(v / threshold, -n.negative_spikes, high)
            return np.rint(clipped) if n.rounding == "half_even" else np.floor(clipped + 0.5)
        count = _whole(v, threshold, n.multi_spike, n.comparator)
        if n.negative_spikes:
            count = count - _whole(-v, threshold, n.negative_spikes, n.comparator)
        return count

    def _rest(self, v: Any) -> Any:
        value = self.constant["reset_value"]
        return v.dtype.type(0) if value is None else value

    def _reset(self, v: Any, s: Any, taken: Any = None) -> Any:
        """What spikes do to v; ``taken`` is what each subtracts, the threshold unless given."""
        rule = self.neuron.reset
        if rule == "subtract":
            return v - s * (self.constant["threshold"] if taken is None else taken)
        if rule == "none":
            return v
        if rule == "multiply":
            up, down = (v.dtype.type(factor) for factor in self.neuron.reset_factors)
            return np.where(s > 0, v * up, np.where(s < 0, v * down, v))
        return np.where(s != 0, self._rest(v), v)


def _above(v: Any, level: Any, comparator: str) -> Any:
    return (v > level if comparator == ">" else v >= level).astype(v.dtype)


def _whole(v: Any, threshold: Any, most: int, comparator: str) -> Any:
    """How many whole thresholds v holds, at most ``most`` (0 = any number)."""
    if most == 1:
        return _above(v, threshold, comparator)
    count = np.maximum(np.floor(v / threshold), 0)
    if comparator == ">":
        count = np.where((count > 0) & (count * threshold == v), count - 1, count)
    return np.minimum(count, most) if most else count


def apply_real(node: RealNode, operands: list[Any]) -> Any:
    """Value of a stateless operator for its operands' values."""
    if isinstance(node, Bias):
        return operands[0] + node.bias
    if isinstance(node, Scale):
        return operands[0] * node.scale
    assert not isinstance(node, Input | RealNeuron | Delay)  # what follows takes any numbers
    return apply(node, operands)


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
