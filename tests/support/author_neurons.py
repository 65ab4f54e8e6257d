"""Neurons of the source papers that no package ships, by their equations, with converters.

Each is an ordinary ``torch.nn.Module`` over [T, N, ...], trainable by surrogate gradients, and a
few lines that say the same to snnc.  They double as examples of how to register one's own neuron.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import surrogate
from torch import Tensor, nn

from snnc.compiler.frontends.torch.call import Call
from snnc.compiler.frontends.torch.registry import converts


class MemUpdate(nn.Module):
    """MS-ResNet and EMS-YOLO: ``mem = mem (1 - s) / 4 + x``; ``s = [mem > 1/2]``."""

    threshold, decay = 0.5, 0.25

    def __init__(self) -> None:
        super().__init__()
        self.spike = surrogate.ATan()

    def forward(self, x: Tensor) -> Tensor:
        mem, s, out = torch.zeros_like(x[0]), torch.zeros_like(x[0]), []
        for current in x:
            mem = mem * (1 - s.detach()) * self.decay + current
            # The surrogate fires at >= 0; the paper's comparison is strict.
            s = self.spike(mem - self.threshold) * (mem != self.threshold)
            out.append(s)
        return torch.stack(out)


class MultiSynapticFiring(nn.Module):
    """MSF (Fan et al.): ``mem = mem (1 - [c > 0]) / 4 + x``; ``c = #{k < D: mem >= 1 + k}``."""

    def __init__(self, levels: int = 4, first: float = 1.0) -> None:
        super().__init__()
        self.levels, self.first, self.spike = levels, first, surrogate.ATan()

    def forward(self, x: Tensor) -> Tensor:
        mem, count, out = torch.zeros_like(x[0]), torch.zeros_like(x[0]), []
        for current in x:
            mem = mem * (count.detach() == 0) * 0.25 + current
            count = sum(self.spike(mem - (self.first + k)) for k in range(self.levels))
            out.append(count)
        return torch.stack(out)


class _RoundClip(torch.autograd.Function):
    """``round(clip(x, 0, D))``, gradient one inside of the range."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, high: int) -> Tensor:
        ctx.save_for_backward(x)
        ctx.high = high
        return torch.round(torch.clamp(x, min=0, max=high))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradient * ((x >= 0) & (x <= ctx.high)), None


class MultiSpike(nn.Module):
    """Spike-driven Transformer V3: ``round(clip(x, 0, D)) / D``, no memory."""

    def __init__(self, levels: int = 4) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, x: Tensor) -> Tensor:
        return _RoundClip.apply(x, self.levels) / self.levels


class Fire(nn.Module):
    """T-RevSNN: ``round(clip(x, 0, 1))``, no memory."""

    def forward(self, x: Tensor) -> Tensor:
        return _RoundClip.apply(x, 1)


@converts(MemUpdate)
def mem_update(call: Call) -> Any:
    return call.neuron(
        call.value(), sequence=True,
        decay=np.array(call.module.decay), gain=np.ones(()), offset=np.zeros(()),
        threshold=np.array(call.module.threshold), comparator=">", reset="zero",
    )  # fmt: skip


@converts(MultiSynapticFiring)
def multi_synaptic_firing(call: Call) -> Any:
    first, levels = call.module.first, call.module.levels
    return call.neuron(
        call.value(), sequence=True,
        decay=np.array(0.25), gain=np.ones(()), offset=np.zeros(()),
        threshold=np.array(first), comparator=">=", reset="zero",
        multi_spike=levels, ladder=first + np.arange(levels),
    )  # fmt: skip
