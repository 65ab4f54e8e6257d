"""Building blocks of the zoo: neurons, residual blocks, attention."""

from __future__ import annotations

from collections.abc import Callable

import torch
from spikingjelly.activation_based import functional, layer, neuron
from support.author_neurons import Fire, MemUpdate
from torch import Tensor, nn

Neuron = Callable[[], nn.Module]


def multi(model: nn.Module) -> nn.Module:
    """Every layer of SpikingJelly in multi-step mode."""
    functional.set_step_mode(model, "m")
    return model


def conv_bn(ins: int, outs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without bias and batch normalisation."""
    conv = layer.Conv2d(ins, outs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, layer.BatchNorm2d(outs))


def lif() -> nn.Module:
    """SpikingJelly's LIF, tau 2, hard reset."""
    return neuron.LIFNode(tau=2.0, detach_reset=True)


def ilif() -> nn.Module:
    """I-LIF, D 4, leak 1/4."""
    return neuron.ILIFNode()


class Repeated(nn.Module):
    """A static image at every step, and the mean of the outputs over time."""

    def __init__(self, body: nn.Module, steps: int) -> None:
        super().__init__()
        self.body, self.steps = multi(body), steps

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.unsqueeze(0).repeat(self.steps, *(1,) * x.dim())).mean(0)


class OverTime(nn.Module):
    """A sequence [T, N, ...] in, the sum of the outputs over time out."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = multi(body)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).sum(0)


def cnn(make: Neuron) -> nn.Sequential:
    """Three convolutions with neurons between them."""
    return nn.Sequential(
        conv_bn(1, 16), make(), conv_bn(16, 32, 3, 2), make(), conv_bn(32, 32, 3, 2), make(),
        layer.Flatten(), layer.Linear(128, 10),
    )  # fmt: skip


class GlobalPool(nn.Sequential):
    """Mean over the image, then a linear layer."""

    def __init__(self, channels: int) -> None:
        super().__init__(layer.AdaptiveAvgPool2d(1), layer.Flatten(), layer.Linear(channels, 10))


class Sew(nn.Module):
    """Spike-element-wise residual block (Fang et al., NeurIPS 2021)."""

    def __init__(self, channels: int, how: str, make: Neuron = lif) -> None:
        super().__init__()
        self.how = how
        self.first = nn.Sequential(conv_bn(channels, channels), make())
        self.second = nn.Sequential(conv_bn(channels, channels), make())

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x))
        if self.how == "ADD":
            return x + y
        return x * y if self.how == "AND" else x * (1.0 - y)


class Ms(nn.Module):
    """Membrane-shortcut residual block (Hu et al., MS-ResNet)."""

    def __init__(self, channels: int, make: Neuron = MemUpdate) -> None:
        super().__init__()
        self.body = nn.Sequential(
            make(), conv_bn(channels, channels), make(), conv_bn(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + x


class Ems(nn.Module):
    """EMS block (Su et al., EMS-YOLO): max pool on the membrane stream, then a spiking shortcut."""

    def __init__(self, ins: int, outs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            MemUpdate(), conv_bn(ins, outs, 3, 2), MemUpdate(), conv_bn(outs, outs)
        )
        self.shortcut = nn.Sequential(layer.MaxPool2d(2), MemUpdate(), conv_bn(ins, outs, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)


class Attention(nn.Module):
    """Spike-driven attention on [T, N, C, H, W]: ``sdsa`` masks, ``linear`` multiplies."""

    def __init__(self, channels: int, heads: int, how: str, make: Neuron, fire: Neuron) -> None:
        super().__init__()
        self.heads, self.how = heads, how
        self.enter = make()
        self.q = nn.Sequential(conv_bn(channels, channels, 1), make())
        self.k = nn.Sequential(conv_bn(channels, channels, 1), make())
        self.v = nn.Sequential(conv_bn(channels, channels, 1), make())
        self.fire = fire()
        self.leave = conv_bn(channels, channels, 1)

    def split(self, x: Tensor) -> Tensor:
        """[T, N, heads, tokens, channels of the head]."""
        t, n, c, _, _ = x.shape
        tokens = x.flatten(3).transpose(-1, -2)
        return tokens.reshape(t, n, -1, self.heads, c // self.heads).permute(0, 1, 3, 2, 4)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.enter(x)
        q, k, v = (self.split(part(spikes)) for part in (self.q, self.k, self.v))
        if self.how == "sdsa":
            y = q * self.fire((k * v).sum(dim=-2, keepdim=True))
        else:
            y = self.fire(q @ (k.transpose(-2, -1) @ v) * 0.125)
        return self.leave(y.transpose(3, 4).reshape(x.shape)) + x


class HammingAttention(Attention):
    """SpikeVideoFormer: Hamming similarity over the tokens of all steps (Zou et al., 2025)."""

    def __init__(self, channels: int, heads: int, make: Neuron, fire: Neuron) -> None:
        super().__init__(channels, heads, "hamming", make, fire)
        self.norm = layer.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.enter(x)
        q, k, v = (  # [N, heads, T * tokens, channels of the head]
            self.split(part(spikes)).permute(1, 2, 0, 3, 4).flatten(2, 3)
            for part in (self.q, self.k, self.v)
        )
        y = (2 * q - 1) @ ((2 * k - 1).transpose(-2, -1) @ v) / (2 * q.shape[-1])
        y = y.unflatten(2, (x.shape[0], -1)).permute(2, 0, 1, 4, 3).reshape(x.shape)
        return self.leave(self.fire(self.norm(y))) + x


class Mlp(nn.Module):
    """Two 1x1 convolutions on the membrane stream."""

    def __init__(self, channels: int, hidden: int, make: Neuron) -> None:
        super().__init__()
        self.body = nn.Sequential(
            make(), conv_bn(channels, hidden, 1), make(), conv_bn(hidden, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def half_lif() -> nn.Module:
    """LIF with threshold 1/2, behind attention products."""
    return neuron.LIFNode(tau=2.0, v_threshold=0.5, detach_reset=True)


def transformer(how: str, make: Neuron = lif, fire: Neuron = half_lif) -> nn.Sequential:
    """One encoder block on 16 tokens of 32 channels."""
    return nn.Sequential(
        conv_bn(1, 16), make(), layer.MaxPool2d(2), conv_bn(16, 32),
        Attention(32, 2, how, make, fire), Mlp(32, 64, make), make(), GlobalPool(32),
    )  # fmt: skip


class RepConv(nn.Module):
    """1x1 - BN - pad with BN(0) - depthwise 3x3 - 1x1 - BN (Ding et al.; SpikeYOLO, SDT-V3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels, 1, bias=False)
        self.inner = nn.BatchNorm2d(channels)
        self.depth = nn.Conv2d(channels, channels, 3, groups=channels, bias=False)
        self.point = nn.Conv2d(channels, channels, 1, bias=False)
        self.outer = nn.BatchNorm2d(channels)

    def step(self, x: Tensor) -> Tensor:
        """One image: the border holds what the inner normalisation makes of zeros."""
        y = self.inner(self.squeeze(x))
        norm = self.inner
        edge = norm.bias - norm.running_mean * norm.weight / torch.sqrt(norm.running_var + norm.eps)
        y = nn.functional.pad(y, (1, 1, 1, 1))
        edge = edge.view(1, -1, 1, 1)
        y[:, :, :1] = edge
        y[:, :, -1:] = edge
        y[..., :1] = edge
        y[..., -1:] = edge
        return self.outer(self.point(self.depth(y)))

    def forward(self, x: Tensor) -> Tensor:
        return functional.seq_to_ann_forward(x, self.step)


class Neck(nn.Module):
    """Two levels joined by nearest upsampling and concatenation (SpikeYOLO's neck)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = multi(nn.Sequential(conv_bn(1, 8), ilif()))
        self.down = multi(nn.Sequential(conv_bn(8, 16, 3, 2), ilif()))
        self.up = layer.Upsample(scale_factor=2, mode="nearest", step_mode="m")
        self.join = multi(nn.Sequential(conv_bn(24, 16), ilif(), GlobalPool(16)))

    def forward(self, x: Tensor) -> Tensor:
        fine = self.stem(x)
        coarse = self.down(fine)
        return self.join(torch.cat((self.up(coarse), fine), dim=2))


class FullSpike(nn.Module):
    """Full-spike IAND blocks with a detachable accumulating path (DST, auxiliary AAP)."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.stem = multi(nn.Sequential(conv_bn(1, 16), lif()))
        self.one, self.two = multi(Sew(16, "IAND")), multi(Sew(16, "IAND"))
        self.head, self.extra = multi(GlobalPool(16)), multi(GlobalPool(16))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        spikes = self.stem(x.unsqueeze(0).repeat(self.steps, 1, 1, 1, 1))
        first = self.one(spikes)
        second = self.two(first)
        return {
            "logits": self.head(second).mean(0),
            "auxiliary": self.extra(spikes + first + second).mean(0),
        }


class Reversible(nn.Module):
    """T-RevSNN: two levels, two sub-networks with weights of their own, no time."""

    def __init__(self) -> None:
        super().__init__()
        norm = nn.BatchNorm2d
        self.fire_image, self.fire_out = Fire(), Fire()
        self.fire_fine = nn.ModuleList(Fire() for _ in range(2))
        self.fire_coarse = Fire()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), norm(8))
        self.fine = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), norm(8)) for _ in range(2)
        )
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1, bias=False), norm(16)) for _ in range(2)
        )
        self.up = nn.Sequential(
            nn.Conv2d(16, 8, 1, bias=False), norm(8), nn.Upsample(scale_factor=2)
        )
        self.alpha_fine = nn.Parameter(torch.full((1, 8, 1, 1), 0.5))
        self.alpha_coarse = nn.Parameter(torch.full((1, 16, 1, 1), 0.25))
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        image = self.fire_image(self.stem(x))
        fine = self.fine[0](image)
        coarse = self.down[0](self.fire_fine[0](fine))
        fine = self.fine[1](image) + self.up(self.fire_coarse(coarse)) + self.alpha_fine * fine
        coarse = self.down[1](self.fire_fine[1](fine)) + self.alpha_coarse * coarse
        return self.head(self.fire_out(coarse).mean((2, 3)))


class MaskedDvs(nn.Module):
    """Event frames, a keep-or-drop gate per step from the host, convolutions with IF."""

    def __init__(self) -> None:
        super().__init__()
        self.body = multi(nn.Sequential(
            conv_bn(2, 8), neuron.IFNode(), layer.MaxPool2d(2), conv_bn(8, 16), neuron.IFNode(),
            layer.MaxPool2d(2), conv_bn(16, 16), neuron.IFNode(), layer.Flatten(),
            layer.Linear(64, 20), neuron.IFNode(), layer.VotingLayer(2),
        ))  # fmt: skip

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        return self.body(x * gate).mean(0)
