"""Spiking image networks of published shapes with random weights, as integer networks.

Binary spikes, integrate-and-fire neurons that reset to zero, int8 weights.  Images below
``IMAGENET`` pixels get the stems that are usual for 32 x 32: 3x3, without pooling.  Larger ones get
the published stems, where every max pool is a population: of binary spikes, a neuron that fires
at one spike computes it; and the global average in front of the last layer is a population too,
because what it sums would make neurons that fit no core.  What else differs from the papers:

- SEW-ResNet-18/34/50 (Fang et al., NeurIPS 2021): joined by ADD.  A sum of spikes is no population
  of its own: whoever reads it has synapses from all of its terms.
- MS-ResNet-18 (Hu et al., TNNLS 2024): residuals of membrane inputs, likewise sums of convolutions.
  Shortcuts between stages are those without weights (every second pixel, new channels are zero; He
  et al., CVPR 2016, option A), because a 1x1 convolution of a sum cannot be folded into 8 bits.
- VGG-16: pools of small images are sums, folded into the convolution that follows.
- MobileNet-like: the layers of MobileNet v1, depthwise and pointwise, a spiking neuron after each.
- Transformer-like: two blocks with the attention of Yao et al. (NeurIPS 2023): q AND k, summed over
  the tokens, fires a mask of v's channels.  Residuals are those of MS-ResNet.  Large images are cut
  into tokens of 16 x 16 pixels by four convolutions with max pools, as published.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from snnc.ir.arrays import Shape, size_of
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import Neuron, Reset
from snnc.ir.nodes import Add, Index, Input, Linear, Mul, Output, Pool, Reduce
from snnc.ir.types import BIN
from snnc.ir.weights import Conv, Dense

STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))
DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
"""Blocks per stage; those of 50 are bottlenecks."""
IMAGENET = 128
"""Pixels from which on the stems are those for ImageNet."""
VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
MOBILENET = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2),
    (1024, 1),
)  # fmt: skip
BLOCKS, EXPANSION = 2, 4
SHIFT = 6  # the one that every target offers
UNSHIFTED = 0  # sums of thousands of weights fit 22-bit registers only like this


class Builder:
    """Nodes so far; a tensor is the name of its node."""

    def __init__(self, size: int, width: float, classes: int) -> None:
        self.size, self.width, self.classes = size, width, classes
        self.large = size >= IMAGENET
        self.rng = np.random.default_rng(0)
        self.nodes: list[Any] = []
        self.shape: dict[str, Shape] = {}

    def add(self, node: Any, shape: Shape) -> str:
        """Append a node."""
        self.nodes.append(node)
        self.shape[node.name] = shape
        return str(node.name)

    def name(self, kind: str) -> str:
        """A name that is not taken."""
        return f"{kind}{len(self.nodes)}"

    def channels(self, full: int) -> int:
        """Of so many published channels, the share asked for."""
        return max(1, round(full * self.width))

    def image(self) -> str:
        """Spikes in three colours."""
        shape = (3, self.size, self.size)
        return self.add(Input("image", shape, BIN), shape)

    def weights(self, *shape: int) -> Any:
        """No zeros: every synapse of the layer is one."""
        return self.rng.integers(1, 128, shape) * self.rng.choice([-1, 1], shape)

    def conv(self, x: str, out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> str:
        """A convolution that keeps the extent, or divides it by the stride."""
        into, height, width = self.shape[x]
        pad = (kernel // 2, kernel // 2)
        values = self.weights(out, into // groups, kernel, kernel)
        weights = Conv(values, (stride, stride), (pad, pad), (1, 1), groups)
        shape = (out, -(-height // stride), -(-width // stride))
        return self.add(Linear(self.name("conv"), (x,), weights), shape)

    def fire(self, x: str, threshold: int = 641) -> str:
        """Neurons behind weights."""
        return self.spiking(x, threshold, UNSHIFTED)

    def counting(self, x: str, threshold: int = 641) -> str:
        """Neurons behind sums of spikes."""
        return self.spiking(x, threshold, SHIFT)

    def spiking(self, x: str, threshold: int, shift: int) -> str:
        """A population."""
        shape = self.shape[x]
        node = Neuron(
            self.name("n"), (x,), shape, np.array([threshold]), Reset("value"), input_shift=shift
        )
        return self.add(node, shape)

    def unit(self, x: str, out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> str:
        """Convolution and neurons."""
        return self.fire(self.conv(x, out, kernel, stride, groups))

    def plus(self, *terms: str) -> str:
        """An elementwise sum."""
        return self.add(Add(self.name("sum"), terms), self.shape[terms[0]])

    def dense(self, x: str, out: int) -> str:
        """A dense layer of neurons."""
        count = size_of(self.shape[x])
        flat = self.add(Index(self.name("flat"), (x,), (count,)), (count,))
        linear = Linear(self.name("dense"), (flat,), Dense(self.weights(out, count)))
        return self.fire(self.add(linear, (out,)))

    def pool(self, x: str, extent: int) -> str:
        """Sums of squares without overlap."""
        channels, height, width = self.shape[x]
        window, none = (extent, extent), ((0, 0), (0, 0))
        node = Pool(self.name("pool"), (x,), "sum", window, window, none)
        return self.add(node, (channels, height // extent, width // extent))

    def max_pool(self, x: str, extent: int = 2, stride: int = 2) -> str:
        """The maxima of squares of spikes: neurons that fire at one."""
        channels, height, width = self.shape[x]
        pad = (extent // 2, extent // 2) if extent % 2 else (0, 0)
        shape = (channels, -(-height // stride), -(-width // stride))
        node = Pool(self.name("pool"), (x,), "sum", (extent,) * 2, (stride,) * 2, (pad, pad))
        return self.counting(self.add(node, shape), 1)

    def stem(self, out: int) -> str:
        """The convolution that reads the image, without neurons."""
        return self.conv(self.image(), out, 7, 2) if self.large else self.conv(self.image(), out)

    def head(self, x: str) -> str:
        """Sum over all pixels, and a dense layer."""
        pooled = self.pool(x, self.shape[x][-1])
        return self.dense(self.counting(pooled) if self.large else pooled, self.classes)

    def halved(self, x: str, out: int) -> str:
        """Every second pixel, and zeros in the new channels."""
        into, height, width = self.shape[x]
        index = np.full((out, -(-height // 2), -(-width // 2)), -1)
        index[:into] = np.arange(into * height * width).reshape(into, height, width)[:, ::2, ::2]
        return self.add(Index(self.name("half"), (x,), index.shape, index), index.shape)

    def done(self, title: str, x: str) -> IntegerNetwork:
        """The network."""
        return IntegerNetwork(title, (*self.nodes, Output("out", (x,))))


def sew_resnet(b: Builder, depth: int) -> IntegerNetwork:
    """Spikes are added."""
    x = b.fire(b.stem(b.channels(64)))
    x = b.max_pool(x, 3) if b.large else x
    for (full, first), blocks in zip(STAGES, DEPTHS[depth], strict=True):
        for stride in (first, *(1,) * (blocks - 1)):
            inner = b.channels(full)
            if depth < 50:
                out, y = inner, b.unit(b.unit(x, inner, 3, stride), inner)
            else:
                out = b.channels(4 * full)
                y = b.unit(b.unit(b.unit(x, inner, 1), inner, 3, stride), out, 1)
            plain = stride == 1 and b.shape[x][0] == out
            x = b.plus(y, x if plain else b.unit(x, out, 1, stride))
    return b.done(f"SEW-ResNet-{depth}", b.head(x))


def ms_resnet18(b: Builder) -> IntegerNetwork:
    """Membrane inputs are added."""
    x = b.stem(b.channels(64))
    if b.large:  # the published network pools membrane inputs, which are no spikes
        x = b.conv(b.max_pool(b.fire(x), 3), b.channels(64))
    for full, first in STAGES:
        for stride in (first, 1):
            out = b.channels(full)
            inner = b.conv(b.fire(b.conv(b.fire(x), out, 3, stride)), out)
            x = b.plus(inner, x if stride == 1 else b.halved(x, out))
    return b.done("MS-ResNet-18", b.head(b.fire(x)))


def vgg16(b: Builder) -> IntegerNetwork:
    """Convolutions, sum pools and three dense layers."""
    x = b.image()
    for full in VGG16:
        if full:
            x = b.unit(x, b.channels(full))
        elif b.shape[x][-1] > 1:
            x = b.max_pool(x) if b.large else b.pool(x, 2)
    for _ in range(2):
        x = b.dense(x, b.channels(4096))
    return b.done("VGG-16", b.dense(x, b.classes))


def mobilenet(b: Builder) -> IntegerNetwork:
    """Depthwise 3x3, then pointwise."""
    x = b.unit(b.image(), b.channels(32), 3, 2 if b.large else 1)
    for full, stride in MOBILENET:
        into = b.shape[x][0]
        x = b.unit(b.unit(x, into, 3, stride, into), b.channels(full), 1)
    return b.done("MobileNet-like", b.head(x))


def transformer(b: Builder) -> IntegerNetwork:
    """A token per 4 x 4 pixels, of large images per 16 x 16."""
    width = b.channels(512 if b.large else 256)
    if b.large:
        x = b.image()
        for share in (8, 4, 2, 1):
            x = b.max_pool(b.unit(x, max(1, width // share)))
        u = b.conv(x, width)
    else:
        u = b.conv(b.unit(b.image(), max(1, width // 2), 3, 2), width, 3, 2)
    for _ in range(BLOCKS):
        s = b.fire(u)
        q, k, v = (b.unit(s, width, 1) for _ in range(3))
        shape = b.shape[v]
        both = b.add(Mul(b.name("and"), (q, k)), shape)
        counted = b.add(Reduce(b.name("count"), (both,), "sum", (1, 2)), (width, 1, 1))
        mask = b.counting(counted, 2**SHIFT + 1)  # two tokens
        index = np.broadcast_to(np.arange(width)[:, None, None], shape)
        wide = b.add(Index(b.name("wide"), (mask,), shape, index), shape)
        u = b.plus(u, b.conv(b.add(Mul(b.name("masked"), (wide, v)), shape), width, 1))
        hidden = b.unit(b.fire(u), EXPANSION * width, 1)
        u = b.plus(u, b.conv(hidden, width, 1))
    return b.done("Transformer-like", b.head(b.fire(u)))


NETWORKS: dict[str, Callable[[Builder], IntegerNetwork]] = {
    "sew": partial(sew_resnet, depth=18), "sew34": partial(sew_resnet, depth=34),
    "sew50": partial(sew_resnet, depth=50), "ms": ms_resnet18, "vgg": vgg16,
    "mobilenet": mobilenet, "transformer": transformer,
}  # fmt: skip


def build(name: str, size: int, width: float, classes: int) -> IntegerNetwork:
    """One of ``NETWORKS`` for images of ``size`` x ``size`` pixels."""
    return NETWORKS[name](Builder(size, width, classes))
