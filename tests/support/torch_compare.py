"""The framework's forward pass against the imported network, entry by entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from support import torch_zoo

from snnc.compiler.frontends.torch import from_torch
from snnc.ir.network import Network
from snnc.ir.real_neuron import RealNeuron
from snnc.simulators.reference.real import run_real


@dataclass(frozen=True)
class Compared:
    """What differed.

    Attributes:
        spikes: in all compared trains.
        populations, hooked: populations of the network, and modules of the model found for them.
        spike_differences: differing entries by population, where there are any.
    """

    spikes: int
    populations: int
    hooked: int
    logit_differences: int
    spike_differences: Mapping[str, int]


def imported(net: torch_zoo.ZooNet, outputs: Any = "deployed") -> Network:
    """``from_torch`` on an example of the right shape."""
    inputs = torch_zoo.example(net, 2)
    wanted = net.outputs if outputs == "deployed" else outputs
    return from_torch(net.model, inputs if len(inputs) > 1 else inputs[0], outputs=wanted)


def compare(net: torch_zoo.ZooNet, samples: int = 5, network: Network | None = None) -> Compared:
    """Run both on the same random input."""
    inputs = torch_zoo.example(net, samples, seed=7)
    network = network or imported(net)
    names = [n.name for n in network.of_type(RealNeuron)]
    logits, trains = torch_zoo.run(net, inputs, names)
    result = run_real(network, torch_zoo.network_inputs(net, inputs))
    differing = {}
    for name, train in trains.items():
        levels = getattr(net.model.get_submodule(name), "levels", 1)
        counts = train * levels if not np.array_equal(train, np.round(train)) else train
        ours = np.zeros(counts.shape)
        events = result.spikes[name]
        ours[events.sample, events.step, events.index] = events.value
        wrong = int(np.count_nonzero(ours != counts))
        if wrong:
            differing[name] = wrong
    outputs = joined(network, next(iter(result.outputs.values())), net.steps)
    sequence = logits.dim() == outputs.ndim  # [T, N, ...] out
    outputs = np.swapaxes(outputs, 0, 1) if sequence else outputs.sum(1)
    different = int(np.count_nonzero(outputs.reshape(tuple(logits.shape)) != logits.numpy()))
    total = sum(result.spikes[name].count for name in trains)
    return Compared(total, len(names), len(trains), different, differing)


def joined(network: Network, outputs: np.ndarray, steps: int) -> np.ndarray:
    """Per-step outputs such that their sum is what the model returned."""
    return outputs / steps if "output" in network.assumptions else outputs


def grid(shape: tuple[int, ...], seed: int = 0, unit: float = 1 / 16) -> torch.Tensor:
    """Random multiples of ``unit`` in [-1, 1], float64."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(-int(1 / unit), int(1 / unit) + 1, shape) * unit)
