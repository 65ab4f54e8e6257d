"""The networks of the source papers, each registered under its builder's name."""

from __future__ import annotations

import torch
from spikingjelly.activation_based import layer, neuron
from support.author_neurons import MultiSpike, MultiSynapticFiring
from support.torch_zoo.blocks import (
    Ems,
    FullSpike,
    GlobalPool,
    HammingAttention,
    MaskedDvs,
    MemUpdate,
    Mlp,
    Ms,
    Neck,
    Neuron,
    OverTime,
    RepConv,
    Repeated,
    Reversible,
    Sew,
    cnn,
    conv_bn,
    ilif,
    lif,
    transformer,
)
from support.torch_zoo.nets import ZooNet, zoo
from torch import nn


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


@zoo
def repconv() -> ZooNet:
    body = nn.Sequential(
        conv_bn(1, 16), ilif(), RepConv(16), ilif(), layer.MaxPool2d(2), RepConv(16), ilif(),
        GlobalPool(16),
    )  # fmt: skip
    return ZooNet("repconv", Repeated(body, 1), 1)


@zoo
def yolo_neck() -> ZooNet:
    return ZooNet("yolo_neck", Repeated(Neck(), 1), 1)


@zoo
def iand_aap() -> ZooNet:
    return ZooNet("iand_aap", FullSpike(2), 2, outputs=("logits",))


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
