"""Random small convolutional networks: strides, dilation, groups, pools, skips, pruned weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from support import nets

from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, Output, Pool
from snnc.ir.types import BIN
from snnc.ir.weights import Conv


class ConvDraw:
    """Draws one network; weights are small, so that chains of operators keep to 8 bits."""

    def __init__(self, rng: np.random.Generator, extent: int = 7, shift: int = 0) -> None:
        self.rng, self.extent, self.shift = rng, extent, shift
        self.pruned = rng.random() < 0.4
        self.nodes: list[Any] = []
        self.shape: dict[str, Shape] = {}

    def add(self, node: Any, shape: Shape) -> str:
        self.nodes.append(node)
        self.shape[node.name] = shape
        return str(node.name)

    def weights(self, *shape: int) -> IntArray:
        values: IntArray = self.rng.integers(1, 8, shape) * self.rng.choice([-1, 1], shape)
        if self.pruned:
            values = values * (self.rng.random(shape) < 0.7)
        return values

    def conv(self, x: str, name: str, *, same: bool = False) -> str:
        """A random convolution; ``same``: of the operand's shape."""
        rng, shape = self.rng, self.shape[x]
        taps = 3 if same else int(rng.choice([1, 2, 3]))
        stride = 1 if same else int(rng.integers(1, 3))
        spread = 1 if same or min(shape[1:]) < 5 else int(rng.integers(1, 3))
        pad = 1 if same else int(rng.integers(0, 2))
        out = shape[0] if same else int(rng.choice([1, 2, 4]))
        both = [g for g in (1, 2, 4) if shape[0] % g == 0 and out % g == 0]
        groups = int(rng.choice(both))
        values = self.weights(out, shape[0] // groups, taps, taps)
        weights = Conv(values, (stride,) * 2, ((pad, pad),) * 2, (spread,) * 2, groups)
        return self.add(Linear(name, (x,), weights), weights.output_shape(name, shape))

    def layer(self, k: int, x: str) -> str:
        rng = self.rng
        if min(self.shape[x][1:]) >= 4 and rng.random() < 0.3:
            c, h, w = self.shape[x]
            pool = Pool(f"p{k}", (x,), "sum", (2, 2), (2, 2), ((0, 0), (0, 0)))
            x = self.add(pool, (c, h // 2, w // 2))
        if rng.random() < 0.2:
            x = self.add(Delay(f"z{k}", (x,), int(rng.integers(1, 3))), self.shape[x])
        small = min(self.shape[x][1:]) < 3
        y = self.conv(x, f"c{k}", same=small or rng.random() < 0.4)
        if self.shape[y] == self.shape[x] and rng.random() < 0.6:
            y = self.add(Add(f"a{k}", (x, y)), self.shape[y])
        return self.fire(f"n{k}", y, int(rng.integers(3, 20)))

    def fire(self, name: str, x: str, threshold: int) -> str:
        """Neurons that fire above the threshold."""
        above = (threshold << self.shift) + 1
        return self.add(nets.fire(name, x, self.shape[x], above), self.shape[x])

    def network(self, layers: int) -> IntegerNetwork:
        """So many layers of convolutions and perhaps a dense one."""
        rng = self.rng
        shape = (int(rng.choice([1, 2, 4])), self.extent, int(rng.integers(5, self.extent + 1)))
        x = self.add(Input("in", shape, BIN), shape)
        for k in range(layers):
            x = self.layer(k, x)
        if rng.random() < 0.4:
            flat = (size_of(self.shape[x]),)
            x = self.add(Index("flat", (x,), flat), flat)
            x = self.add(Linear("d", (x,), nets.dense(rng, 5, flat[0], 0.9)), (5,))
            x = self.fire("last", x, 5)
        network = IntegerNetwork("convolutions", (*self.nodes, Output("out", (x,))))
        return nets.with_input_shift(network, self.shift)


def random_convolutions(
    rng: np.random.Generator, layers: int = 3, shift: int = 0
) -> IntegerNetwork:
    """A network of one to so many layers, with weights of ``1 << shift``."""
    return ConvDraw(rng, shift=shift).network(int(rng.integers(1, layers + 1)))
