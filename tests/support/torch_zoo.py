"""The networks of the source papers in PyTorch, small, on 8x8 images (scikit-learn's digits).

``build(name)`` gives a model with random weights, ``train(net)`` fits it to the digits in seconds,
``snap(net)`` puts every number on a grid of powers of two, so that the framework itself computes
exactly in float64, and ``run(net, x)`` is the framework's own forward pass with all spike trains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from spikingjelly.activation_based import functional, layer, neuron
from support.author_neurons import Fire, MemUpdate, MultiSpike, MultiSynapticFiring
from torch import Tensor, nn

Neuron = Callable[[], nn.Module]


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


def build(name: str, seed: int = 0) -> ZooNet:
    """A network of the zoo with random weights, in evaluation mode."""
    torch.manual_seed(seed)
    net = ZOO[name]()
    settle(net, seed)
    return net


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


# -- building blocks ------------------------------------------------------------------------------


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


# -- the zoo --------------------------------------------------------------------------------------


@zoo
def fc_if_soft() -> ZooNet:
    body = nn.Sequential(
        layer.Flatten(), layer.Linear(64, 128), neuron.IFNode(v_reset=None), layer.Linear(128, 10)
    )
    return ZooNet("fc_if_soft", Repeated(body, 8), 8)


def _cnn(name: str, make: Neuron, steps: int) -> ZooNet:
    return ZooNet(name, Repeated(cnn(make), steps), steps)


@zoo
def cnn_lif_hard() -> ZooNet:
    return _cnn("cnn_lif_hard", lif, 2)


@zoo
def cnn_plif() -> ZooNet:
    return _cnn("cnn_plif", lambda: neuron.ParametricLIFNode(detach_reset=True), 2)


@zoo
def cnn_ilif() -> ZooNet:
    return _cnn("cnn_ilif", ilif, 1)


@zoo
def cnn_msf() -> ZooNet:
    return _cnn("cnn_msf", MultiSynapticFiring, 2)


@zoo
def cnn_ternary() -> ZooNet:
    return _cnn("cnn_ternary", lambda: neuron.TernaryLIFNode(detach_reset=True), 2)


@zoo
def cnn_sliding_psn() -> ZooNet:
    return _cnn("cnn_sliding_psn", lambda: neuron.SlidingPSN(k=2), 2)


def _sew(name: str, how: str) -> ZooNet:
    body = nn.Sequential(
        conv_bn(1, 16), lif(), Sew(16, how), layer.MaxPool2d(2), Sew(16, how), GlobalPool(16)
    )
    return ZooNet(name, Repeated(body, 2), 2)


@zoo
def sew_add() -> ZooNet:
    return _sew("sew_add", "ADD")


@zoo
def sew_and() -> ZooNet:
    return _sew("sew_and", "AND")


@zoo
def sew_iand() -> ZooNet:
    return _sew("sew_iand", "IAND")


@zoo
def ms_resnet() -> ZooNet:
    body = nn.Sequential(
        conv_bn(1, 16), Ms(16), MemUpdate(), layer.AvgPool2d(2), conv_bn(16, 32), Ms(32),
        MemUpdate(), GlobalPool(32),
    )  # fmt: skip
    return ZooNet("ms_resnet", Repeated(body, 2), 2)


@zoo
def ems_block() -> ZooNet:
    body = nn.Sequential(conv_bn(1, 8), Ems(8, 16), Ems(16, 16), MemUpdate(), GlobalPool(16))
    return ZooNet("ems_block", Repeated(body, 2), 2)


@zoo
def sdt_v1() -> ZooNet:
    return ZooNet("sdt_v1", Repeated(transformer("sdsa"), 2), 2)


@zoo
def sdt_linear() -> ZooNet:
    return ZooNet("sdt_linear", Repeated(transformer("linear"), 2), 2)


@zoo
def hamming() -> ZooNet:
    body = nn.Sequential(
        conv_bn(1, 16), lif(), layer.MaxPool2d(2), conv_bn(16, 32),
        HammingAttention(32, 2, lif, lif), Mlp(32, 64, lif), lif(), GlobalPool(32),
    )  # fmt: skip
    return ZooNet("hamming", Repeated(body, 2), 2)


@zoo
def sdt_v3() -> ZooNet:
    body = transformer("linear", MultiSpike, MultiSpike)
    return ZooNet("sdt_v3", Repeated(body, 1), 1)


@zoo
def sdt_v3_ilif() -> ZooNet:
    return ZooNet("sdt_v3_ilif", Repeated(transformer("linear", ilif, ilif), 1), 1)


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


@zoo
def repconv() -> ZooNet:
    body = nn.Sequential(
        conv_bn(1, 16), ilif(), RepConv(16), ilif(), layer.MaxPool2d(2), RepConv(16), ilif(),
        GlobalPool(16),
    )  # fmt: skip
    return ZooNet("repconv", Repeated(body, 1), 1)


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


@zoo
def yolo_neck() -> ZooNet:
    return ZooNet("yolo_neck", Repeated(Neck(), 1), 1)


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


@zoo
def iand_aap() -> ZooNet:
    return ZooNet("iand_aap", FullSpike(2), 2, outputs=("logits",))


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


@zoo
def t_rev_snn() -> ZooNet:
    return ZooNet("t_rev_snn", Reversible(), 1)


@zoo
def recurrent() -> ZooNet:
    """A recurrent layer, an element-wise recurrence and a delay line."""
    body = nn.Sequential(
        layer.Linear(16, 24),
        layer.LinearRecurrentContainer(neuron.LIFNode(tau=2.0), 24, 24, bias=False),
        layer.Delay(2, "m"),
        layer.Linear(24, 24),
        layer.ElementWiseRecurrentContainer(neuron.IFNode(v_reset=None), lambda y, x: x - y),
        layer.Linear(24, 10),
    )
    net = OverTime(body)
    for part in body.parameters():
        part.data *= 3.0
    for part in body:
        if hasattr(part, "sub_module"):
            part.sub_module.step_mode = "s"
    return ZooNet("recurrent", net, 12, "sequence", (16,), trainable=False)


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


@zoo
def masked_dvs() -> ZooNet:
    return ZooNet("masked_dvs", MaskedDvs(), 16, "gated", (2, 8, 8), trainable=False)


@zoo
def sparse_latency() -> ZooNet:
    """One spike per pixel, 10 % of the synapses, leaky neurons (GeNN's DEEP R classifier)."""
    first = layer.Linear(64, 128, bias=False)
    first.weight.data *= 8.0 * (torch.rand_like(first.weight) < 0.1)
    body = nn.Sequential(
        first, neuron.LIFNode(tau=4.0, decay_input=False, v_threshold=0.61, v_reset=None),
        layer.Linear(128, 10),
    )  # fmt: skip
    return ZooNet("sparse_latency", OverTime(body), 16, "latency", (64,), trainable=False)


# -- numbers --------------------------------------------------------------------------------------


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


# -- data -----------------------------------------------------------------------------------------


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
        whole = parts[0] if len(parts) == 1 and parts[0].shape[1:2] == (samples,) else (
            torch.stack(parts))  # fmt: skip
        trains[name] = whole.reshape(whole.shape[0], samples, -1).transpose(0, 1).numpy()
    return result, trains
