"""Training and running a network of the zoo in PyTorch."""

from __future__ import annotations

import numpy as np
import torch
from spikingjelly.activation_based import functional
from support.torch_zoo.nets import ZooNet, digits, example
from torch import Tensor, nn


def settle(net: ZooNet, seed: int) -> None:
    """Statistics of one random batch, and gains at which every layer fires."""
    model = net.model.train()
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None  # the plain average of what it has seen
        nn.init.uniform_(norm.weight, 1.0, 2.0)
        nn.init.uniform_(norm.bias, -0.2, 0.6)
    with torch.no_grad():
        model(*(x.float() for x in example(net, 16, seed + 1)))
    functional.reset_net(model)
    for norm in norms:
        norm.momentum = 0.1
    model.eval()


def train(net: ZooNet, epochs: int = 6, seed: int = 0, rate: float = 3e-3) -> float:
    """Fit to the first 1437 digits; the accuracy on the other 360."""
    assert net.trainable
    assert net.inputs == "image"
    torch.manual_seed(seed)
    images, labels = digits()
    x, y = torch.from_numpy(images).float(), torch.from_numpy(labels)
    model = net.model.float().train()
    optimizer = torch.optim.Adam(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for batch in torch.randperm(1437).split(64):
            result = model(x[batch])
            parts = result.values() if isinstance(result, dict) else [result]
            loss = sum(nn.functional.cross_entropy(part, y[batch]) for part in parts)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            functional.reset_net(model)
        schedule.step()
    model.eval()
    return accuracy(net, x[1437:], y[1437:])


def accuracy(net: ZooNet, x: Tensor, y: Tensor) -> float:
    """Share of correct predictions of the framework."""
    with torch.no_grad():
        logits = primary(net, net.model(x.to(next(net.model.parameters()).dtype)))
    functional.reset_net(net.model)
    return float((logits.argmax(1) == y).double().mean())


def primary(net: ZooNet, result: object) -> Tensor:
    """The deployed output."""
    if isinstance(result, dict):
        return result[(net.outputs or tuple(result))[0]]
    assert isinstance(result, Tensor)
    return result


def run(net: ZooNet, inputs: tuple[Tensor, ...], names: list[str]) -> tuple[
    Tensor, dict[str, np.ndarray]
]:  # fmt: skip
    """The framework's forward pass: the deployed output and the spikes of these modules.

    Returns:
        The output, and by module path the emitted counts [samples, steps, neurons].
    """
    spikes: dict[str, list[Tensor]] = {}
    hooks = []
    for name, module in net.model.named_modules():
        if name in names:
            keep = spikes.setdefault(name, [])
            hooks.append(
                module.register_forward_hook(lambda _m, _i, out, keep=keep: keep.append(out))
            )
    functional.reset_net(net.model)
    with torch.no_grad():
        result = primary(net, net.model(*inputs))
    for hook in hooks:
        hook.remove()
    functional.reset_net(net.model)
    samples = inputs[0].shape[0 if net.inputs == "image" else 1]
    trains = {}
    for name, parts in spikes.items():
        sequence = len(parts) == 1 and parts[0].shape[:2] == (net.steps, samples)
        whole = parts[0] if sequence else torch.stack(parts)
        trains[name] = whole.reshape(whole.shape[0], samples, -1).transpose(0, 1).numpy()
    return result, trains
