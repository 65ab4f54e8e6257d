"""The networks of the source papers in PyTorch, small, on 8x8 images (scikit-learn's digits).

``build(name)`` gives a model with random weights, ``train(net)`` fits it to the digits in seconds,
``snap(net)`` puts every number on a grid of powers of two, so that the framework itself computes
exactly in float64, and ``run(net, x)`` is the framework's own forward pass with all spike trains.
"""

from __future__ import annotations

import torch
from support.torch_zoo import networks  # noqa: F401 (registers every network)
from support.torch_zoo.blocks import GlobalPool, HammingAttention, Repeated, conv_bn, lif, multi
from support.torch_zoo.grid import exact_logit, norm_factor, snap
from support.torch_zoo.nets import ZOO, ZooNet, digits, example, network_inputs
from support.torch_zoo.running import accuracy, primary, run, settle, train

__all__ = [
    "ZOO",
    "GlobalPool",
    "HammingAttention",
    "Repeated",
    "ZooNet",
    "accuracy",
    "build",
    "conv_bn",
    "digits",
    "exact_logit",
    "example",
    "lif",
    "multi",
    "network_inputs",
    "norm_factor",
    "primary",
    "run",
    "settle",
    "snap",
    "train",
]


def build(name: str, seed: int = 0) -> ZooNet:
    """A network of the zoo with random weights, in evaluation mode."""
    torch.manual_seed(seed)
    net = ZOO[name]()
    settle(net, seed)
    return net
