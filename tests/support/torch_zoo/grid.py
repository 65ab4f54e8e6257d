"""Numbers on a grid of powers of two, on which float64 computes exactly."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from spikingjelly.activation_based import functional, neuron
from support.torch_zoo.nets import ZooNet, example
from torch import Tensor, nn


@dataclass
class _Pairs:
    """Which batch normalisation reads which linear layer, found by running the model."""

    last: dict[int, nn.Module] = field(default_factory=dict)
    found: list[tuple[nn.Module, nn.Module]] = field(default_factory=list)


LINEAR = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def snap(net: ZooNet, fraction: int = 6) -> ZooNet:
    """Round every number to multiples of 2^-fraction, batch normalisation to powers of two.

    A batch normalisation right behind a linear layer is folded into it first and keeps its bias.
    The model is in float64 afterwards.
    """
    model = net.model.double().eval()
    step = 2.0**-fraction
    for linear, norm in _pairs(net):
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        shape = (-1, *(1,) * (linear.weight.dim() - 1))
        offset = norm.bias - norm.running_mean * factor
        if linear.bias is not None:
            offset = offset + linear.bias * factor
            linear.bias.data.zero_()
        linear.weight.data *= factor.reshape(shape)
        _set_norm(norm, torch.ones_like(factor), offset)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            factor = norm_factor(module)
            offset = module.bias - module.running_mean * factor
            _set_norm(module, 2.0 ** torch.round(torch.log2(factor.abs() + 1e-9)), offset)
        elif isinstance(module, neuron.ParametricLIFNode):
            module.w.data.fill_(
                exact_logit(round(float(module.w.detach().sigmoid()) * 4) / 4 or 0.25)
            )
    for parameter in model.parameters():
        if parameter.dim() > 0:
            parameter.data = torch.round(parameter.data / step) * step
    for module in model.modules():
        if isinstance(module, neuron.SlidingPSN):
            module.bias.data = torch.round(module.bias.data / step) * step
    return net


def norm_factor(norm: nn.Module) -> Tensor:
    """What a batch normalisation multiplies by."""
    return (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()


def _set_norm(norm: nn.Module, factor: Tensor, offset: Tensor) -> None:
    norm.eps = 0.0
    norm.running_var.fill_(1.0)
    norm.running_mean.zero_()
    norm.weight.data = factor.detach().clone()
    norm.bias.data = offset.detach().clone()


def exact_logit(rate: float) -> float:
    """A float64 whose sigmoid is exactly ``rate``."""
    guess = np.log(rate / (1 - rate))
    for candidate in (guess, np.nextafter(guess, 9), np.nextafter(guess, -9)):
        if float(torch.tensor(candidate, dtype=torch.float64).sigmoid()) == rate:
            return float(candidate)
    raise AssertionError(f"no float64 logit of {rate}")


def _pairs(net: ZooNet) -> list[tuple[nn.Module, nn.Module]]:
    state = _Pairs()

    def remember(module: nn.Module, _: object, out: Tensor) -> None:
        state.last[out.data_ptr()] = module

    def meet(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        linear = state.last.get(inputs[0].data_ptr())
        if linear is not None and linear.weight.shape[0] == module.num_features:
            state.found.append((linear, module))

    hooks = []
    for module in net.model.modules():
        if isinstance(module, LINEAR):
            hooks.append(module.register_forward_hook(remember))
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            hooks.append(module.register_forward_pre_hook(meet))
    with torch.no_grad():
        net.model(*example(net, 1))
    for hook in hooks:
        hook.remove()
    functional.reset_net(net.model)
    unique = {id(linear): (linear, norm) for linear, norm in state.found}
    return list(unique.values())
