"""Run a ``Network`` in torch, so that gradients reach its weights.

The numbers are those of ``snnc.simulators.reference.real`` in float64; ``supported`` names what has
no counterpart here.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping
from typing import Any

import torch

from snnc.compiler.finetune.state import State, tensor
from snnc.ir.network import Network, RealNode
from snnc.ir.nodes import Add, Bias, Delay, Index, Input, Linear, Output, Pool, Scale
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.weights import Conv, Dense, Weights


def forward(network: Network, inputs: Mapping[str, Any], weights: Mapping[str, Any]) -> Any:
    """Outputs over time, by name: tensors [samples, steps, *shape].

    Args:
        network: of supported nodes.
        inputs: float64 tensors [samples, steps, *shape] by input name.
        weights: values of every linear operator, by its name, in place of the network's.
    """
    samples, steps = next(iter(inputs.values())).shape[:2]
    states = {n.name: State(n, samples) for n in network.of_type(RealNeuron)}
    delays = network.of_type(Delay)
    zero = {n.name: torch.zeros((samples, *network.shapes[n.name]), dtype=torch.float64)
            for n in delays}  # fmt: skip
    pipes = {n.name: deque([zero[n.name]] * n.steps) for n in delays}
    outputs: dict[str, list[Any]] = {n.name: [] for n in network.of_type(Output)}
    for t in range(steps):
        value: dict[str, Any] = {}
        for node in network.order:
            if isinstance(node, Input):
                value[node.name] = inputs[node.name][:, t]
            elif isinstance(node, Delay):
                value[node.name] = pipes[node.name].popleft()
            elif isinstance(node, RealNeuron):
                value[node.name] = states[node.name].step(value[node.inputs[0]])
            elif isinstance(node, Linear):
                values, x = weights[node.name], value[node.inputs[0]]
                value[node.name] = _linear(node.weights, values, x, network.shapes[node.name])
            else:
                value[node.name] = _apply(node, [value[source] for source in node.inputs])
        for delay in delays:
            pipes[delay.name].append(value[delay.inputs[0]])
        for name, collected in outputs.items():
            collected.append(value[name])
    return {name: torch.stack(collected, dim=1) for name, collected in outputs.items()}


def _apply(node: RealNode, operands: list[Any]) -> Any:
    first = operands[0]
    if isinstance(node, Bias):
        return first + tensor(node.bias)
    if isinstance(node, Scale):
        return first * tensor(node.scale)
    if isinstance(node, Add):
        return sum(operands[1:], start=first)
    if isinstance(node, Pool):
        return _pool(node, first)
    if isinstance(node, Index):
        return _index(node, operands)
    assert isinstance(node, Output)
    return first


def _linear(weights: Weights, values: Any, x: Any, shape: tuple[int, ...]) -> Any:
    if isinstance(weights, Dense):
        return x @ values.T
    if isinstance(weights, Conv):
        function = (torch.nn.functional.conv1d, torch.nn.functional.conv2d,
                    torch.nn.functional.conv3d)[len(weights.kernel) - 1]  # fmt: skip
        padded = _padded(x, weights.padding, 0.0)
        return function(padded, values, stride=weights.stride, dilation=weights.dilation,
                        groups=weights.groups)  # fmt: skip
    rows = torch.repeat_interleave(torch.from_numpy(weights.row_ptr.copy()).diff())
    products = x.reshape(x.shape[0], -1)[:, torch.from_numpy(weights.column.copy())] * values
    flat = x.new_zeros((x.shape[0], weights.row_ptr.size - 1))
    return flat.index_add(1, rows, products).reshape(x.shape[0], *shape)


def _padded(x: Any, padding: tuple[tuple[int, int], ...], value: float) -> Any:
    last_first = [side for pair in reversed(padding) for side in pair]
    return torch.nn.functional.pad(x, last_first, value=value)


def _pool(node: Pool, x: Any) -> Any:
    extent = node.output_shape(tuple(x.shape[1:]))[1:]
    padded = _padded(x, node.padding, 0.0 if node.op == "sum" else -torch.inf)
    taps = []
    for tap in itertools.product(*(range(k) for k in node.kernel)):
        spans = [slice(at, at + (n - 1) * s + 1, s)
                 for at, n, s in zip(tap, extent, node.stride, strict=True)]  # fmt: skip
        taps.append(padded[(slice(None), slice(None), *spans)])
    stacked = torch.stack(taps)
    return stacked.sum(dim=0) if node.op == "sum" else stacked.amax(dim=0)


def _index(node: Index, operands: list[Any]) -> Any:
    samples = operands[0].shape[0]
    flat = torch.cat([x.reshape(samples, -1) for x in operands], dim=1)
    if node.index is not None:
        flat = torch.cat([flat, flat.new_zeros((samples, 1))], dim=1)
        where = torch.from_numpy(node.index.copy())
        flat = flat[:, torch.where(where < 0, flat.shape[1] - 1, where)]
    return flat.reshape(samples, *node.shape)
