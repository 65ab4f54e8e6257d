"""A framework's forward pass against the imported network: every spike and output."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from snnc.compiler.frontends.torch import from_torch
from snnc.ir.network import Network
from snnc.simulators.reference.real import run_real


def quarters(module: torch.nn.Module, unit: float = 1 / 16, seed: int = 0) -> torch.nn.Module:
    """All weights and biases of linear and convolutional layers as multiples of ``unit``."""
    random = np.random.default_rng(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, torch.nn.Linear | torch.nn.Conv2d):
                for parameter in part.parameters():
                    values = random.integers(-8, 17, tuple(parameter.shape)) * unit
                    parameter.copy_(torch.from_numpy(values))
    return module.eval()


def spikes(*shape: int, rate: float = 0.4, seed: int = 1) -> Any:
    """Random binary input."""
    return (np.random.default_rng(seed).random(shape) < rate).astype(np.float64)


def network_of(model: Any, example: Any, **options: Any) -> Network:
    """``from_torch`` on an example in the precision of the model."""
    return from_torch(model, example, **options)


def outputs(network: Network, x: Any, name: str = "output") -> Any:
    """Output [samples, steps, ...] for input [samples, steps, ...]."""
    return run_real(network, {"input": x}).outputs[name]


def check(found: Any, theirs: Any, least: float) -> float:
    """Assert equality entry by entry and enough activity; the activity."""
    theirs = theirs.detach().numpy() if isinstance(theirs, torch.Tensor) else theirs
    assert found.shape == theirs.shape
    differing = int(np.count_nonzero(found != theirs))
    total = float(np.abs(theirs).sum())
    print(f"{differing} of {theirs.size} entries differ, activity {total:g}")  # noqa: T201
    assert differing == 0
    assert total >= least
    return total
