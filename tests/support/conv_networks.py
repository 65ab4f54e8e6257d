"""Random small convolutional networks: strides, dilation, groups, pools, skips, pruned weights."""

from __future__ import annotations

import numpy as np
from support import nets
from support.node_list import NodeList

from snnc.ir.arrays import IntArray, size_of
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, Output, Pool
from snnc.ir.types import BIN
from snnc.ir.weights import Conv


class ConvDraw(NodeList):
    """Draws one network; weights are small, so that chains of operators keep to 8 bits."""

    def __init__(self, rng: np.random.Generator, extent: int = 7, shift: int = 0) -> None:
        super().__init__(rng)
        self.extent, self.shift = extent, shift
        self.pruned = rng.random() < 0.4

    def weights(self, *shape: int) -> IntArray:
        values: IntArray = self.rng.integers(1, 8, shape) * self.rng.choice([-1, 1], shape)
        if self.pruned:
            values = values * (self.rng.random(shape) < 0.7)
        return values

    def conv(self, x: str, name: str, *, same: bool = False) -> str:
        """A random convolution; ``same``: of the operand's shape."""
        rng, shape = self.rng, self.shapes[x]
        taps = 3 if same else int(rng.choice([1, 2, 3]))
        stride = 1 if same else int(rng.integers(1, 3))
        spread = 1 if same or min(shape[1:]) < 5 else int(rng.integers(1, 3))
        pad = 1 if same else int(rng.integers(0, 2))
        out = shape[0] if same else int(rng.choice([1, 2, 4]))
        both = [g for g in (1, 2, 4) if shape[0] % g == 0 and out % g == 0]
        groups = int(rng.choice(both))
        values = self.weights(out, shape[0] // groups, taps, taps)
        weights = Conv(values, (stride,) * 2, ((pad, pad),) * 2, (spread,) * 2, groups)
        return self.put(Linear(name, (x,), weights), weights.output_shape(name, shape))

    def layer(self, k: int, x: str) -> str:
        rng = self.rng
        if min(self.shapes[x][1:]) >= 4 and rng.random() < 0.3:
            c, h, w = self.shapes[x]
            pool = Pool(f"p{k}", (x,), "sum", (2, 2), (2, 2), ((0, 0), (0, 0)))
            x = self.put(pool, (c, h // 2, w // 2))
        if rng.random() < 0.2:
            x = self.put(Delay(f"z{k}", (x,), int(rng.integers(1, 3))), self.shapes[x])
        if min(self.shapes[x][1:]) >= 3 and rng.random() < 0.25:
            x = self.picked(f"i{k}", x)
        small = min(self.shapes[x][1:]) < 3
        y = self.conv(x, f"c{k}", same=small or rng.random() < 0.4)
        if self.shapes[y] == self.shapes[x] and rng.random() < 0.6:
            y = self.put(Add(f"a{k}", (x, y)), self.shapes[y])
        return self.fire(f"n{k}", y, int(rng.integers(3, 20)))

    def picked(self, name: str, x: str) -> str:
        """Every second pixel of some channels and some empty ones, or all and one shifted."""
        c, h, w = self.shapes[x]
        index = np.arange(c * h * w).reshape(c, h, w)
        if self.rng.random() < 0.7:
            index = index[:, ::2, ::2]
            index = np.concatenate([np.full_like(index[:1], -1), index])
            index = self.rng.permutation(index)[: int(self.rng.choice([2, 4]))]
        else:
            index = np.roll(index, 1, axis=2)
        return self.put(Index(name, (x,), index.shape, index), index.shape)

    def fire(self, name: str, x: str, threshold: int) -> str:
        """Neurons that fire above the threshold."""
        above = (threshold << self.shift) + 1
        return self.put(nets.fire(name, x, self.shapes[x], above), self.shapes[x])

    def network(self, layers: int) -> IntegerNetwork:
        """So many layers of convolutions and perhaps a dense one."""
        rng = self.rng
        shape = (int(rng.choice([1, 2, 4])), self.extent, int(rng.integers(5, self.extent + 1)))
        x = self.put(Input("in", shape, BIN), shape)
        for k in range(layers):
            x = self.layer(k, x)
        if rng.random() < 0.4:
            flat = (size_of(self.shapes[x]),)
            x = self.put(Index("flat", (x,), flat), flat)
            x = self.put(Linear("d", (x,), nets.dense(rng, 5, flat[0], 0.9)), (5,))
            x = self.fire("last", x, 5)
        network = IntegerNetwork("convolutions", (*self.nodes, Output("out", (x,))))
        return nets.with_input_shift(network, self.shift)


def random_convolutions(
    rng: np.random.Generator, layers: int = 3, shift: int = 0
) -> IntegerNetwork:
    """A network of one to so many layers, with weights of ``1 << shift``."""
    return ConvDraw(rng, shift=shift).network(int(rng.integers(1, layers + 1)))
