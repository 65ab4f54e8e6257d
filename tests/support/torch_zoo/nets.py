"""A network of the zoo, and the inputs that it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn


@dataclass
class ZooNet:
    """A model and how it is fed.

    Attributes:
        steps: time steps per sample.
        inputs: "image" for one static image per sample, repeated inside the model; "sequence"
            for [T, N, ...].
        shape: of one sample at one step.
        outputs: the outputs that are deployed; None for all.
    """

    name: str
    model: nn.Module
    steps: int
    inputs: str = "image"
    shape: tuple[int, ...] = (1, 8, 8)
    outputs: tuple[str, ...] | None = None
    trainable: bool = True


ZOO: dict[str, Callable[[], ZooNet]] = {}


def zoo(builder: Callable[[], ZooNet]) -> Callable[[], ZooNet]:
    """Register a builder under its function's name."""
    ZOO[builder.__name__] = builder
    return builder


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Scikit-learn's digits: images [1797, 1, 8, 8] in multiples of 1/16, labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images / 16.0)[:, None], data.target


def example(net: ZooNet, samples: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Random inputs as the model takes them, float64 on a grid of 1/16."""
    rng = np.random.default_rng(seed)
    if net.inputs == "image":
        return (torch.from_numpy(rng.integers(0, 17, (samples, *net.shape)) / 16.0),)
    if net.inputs == "latency":
        first = rng.integers(0, net.steps, (samples, *net.shape))
        spikes = np.arange(net.steps)[:, None, None] == first[None]
        return (torch.from_numpy(spikes.astype(np.float64)),)
    frames = (rng.random((net.steps, samples, *net.shape)) < 0.3).astype(np.float64)
    if net.inputs == "gated":
        gate = (rng.random((net.steps, samples, 1, 1, 1)) < 0.7).astype(np.float64)
        return torch.from_numpy(frames), torch.from_numpy(gate)
    return (torch.from_numpy(frames),)


def network_inputs(net: ZooNet, inputs: tuple[Tensor, ...]) -> dict[str, np.ndarray]:
    """The same inputs as [samples, steps, *shape] by the network's input names."""
    arrays = [x.numpy() for x in inputs]
    if net.inputs == "image":
        return {"input": np.repeat(arrays[0][:, None], net.steps, axis=1)}
    swapped = [np.ascontiguousarray(np.swapaxes(a, 0, 1)) for a in arrays]
    if len(swapped) == 1:
        return {"input": swapped[0]}
    return {f"input_{k}": a for k, a in enumerate(swapped)}
