"""Random integer networks with every operator and neuron feature that maps to cores.

Used by the tests of all fast simulators and of the mapper; ``Options`` restricts the features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from support.neurons import random_neuron
from support.node_list import NodeList

from snnc.ir.arrays import size_of
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, Output, Pool
from snnc.ir.types import ValueType
from snnc.ir.weights import Conv, Dense, Sparse


@dataclass(frozen=True)
class Options:
    """What a random network may contain.

    Attributes:
        layers: largest number of populations.
        width: largest number of channels or dense neurons.
        binary_only: inputs and populations emit 0 or 1.
        simple_only: neurons without current, adaptation, refractory time or ladders.
        feedforward: no recurrence and no delays.
        readouts: outputs may read a population that emits its state.
        weight: largest |weight|.
    """

    layers: int = 5
    width: int = 6
    binary_only: bool = False
    simple_only: bool = False
    feedforward: bool = False
    readouts: bool = True
    weight: int = 127


class _Builder(NodeList):
    def __init__(self, rng: np.random.Generator, options: Options) -> None:
        super().__init__(rng)
        self.options = options
        self.populations: list[str] = []

    def name(self, kind: str) -> str:
        return f"{kind}{len(self.nodes)}"

    def weights(self, *shape: int) -> Any:
        limit = self.options.weight
        values = self.rng.integers(-limit // 2, limit + 1, shape)
        return np.where(self.rng.random(shape) < 0.8, values, 0)

    def pick(self) -> str:
        """An event tensor: an input or a population, recent ones more likely."""
        names = [n for n in self.shapes if n[0] in "xn"]
        back = min(int(self.rng.geometric(0.6)), len(names))
        return names[-back]

    def linear(self, source: str, size: int | None = None) -> str:
        """A random linear operator (with pool or delay in front at times) on ``source``."""
        if not self.options.feedforward and self.flag(0.2):
            steps = self.draw(1, 4)
            source = self.put(Delay(self.name("delay"), (source,), steps), self.shapes[source])
        shape = self.shapes[source]
        if len(shape) == 3 and size is None and self.flag(0.7):
            return self.conv(self.pool(source) if self.flag(0.3) else source)
        if len(shape) > 1:
            flat = (size_of(shape),)
            source = self.put(Index(self.name("flat"), (source,), flat), flat)
        return self.dense(source, size or self.draw(1, 3 * self.options.width))

    def dense(self, source: str, size: int) -> str:
        values = self.weights(size, self.shapes[source][0])
        weights: Any = Dense(values)
        if self.flag(0.3):
            rows, columns = np.nonzero(values)
            pointers = np.searchsorted(rows, np.arange(size + 1))
            weights = Sparse(pointers, columns, values[rows, columns], values.shape[1], (size,))
        return self.put(Linear(self.name("w"), (source,), weights), (size,))

    def pool(self, source: str) -> str:
        shape = self.shapes[source]
        kernel = tuple(self.draw(1, min(2, extent)) for extent in shape[1:])
        node = Pool(self.name("pool"), (source,), "sum", kernel, kernel, ((0, 0),) * 2)
        return self.put(node, node.output_shape(shape))

    def conv(self, source: str) -> str:
        shape = self.shapes[source]
        depthwise = self.flag(0.2)
        channels = shape[0] if depthwise else self.draw(1, self.options.width)
        kernel = tuple(self.draw(1, min(3, extent)) for extent in shape[1:])
        values = self.weights(channels, 1 if depthwise else shape[0], *kernel)
        stride = (self.draw(1, 2), self.draw(1, 2))
        padding = tuple((self.draw(0, 1), self.draw(0, 1)) for _ in kernel)
        groups = shape[0] if depthwise else 1
        weights = Conv(values, stride, padding, (1, 1), groups)
        node = Linear(self.name("conv"), (source,), weights)
        return self.put(node, weights.output_shape(node.name, shape))

    def inputs(self) -> None:
        for k in range(self.draw(1, 2)):
            shape = (self.draw(1, 2), self.draw(2, 6), self.draw(2, 6)) if self.flag() else (
                self.draw(1, 3 * self.options.width),
            )  # fmt: skip
            kinds = ["bin"] if self.options.binary_only else ["bin", "cnt", "scnt", "int"]
            kind: Any = kinds[self.draw(0, len(kinds) - 1)]
            type_ = ValueType(kind, 0 if kind == "bin" else self.draw(2, 5))
            self.put(Input(f"x{k}", shape, type_), shape)

    def population(self, number: int) -> None:
        terms = [self.linear(self.pick())]
        shape = self.shapes[terms[0]]
        name = f"n{number}"
        if self.flag(0.3):  # a second branch, brought to the same shape by a dense layer
            flat = self.linear(self.pick(), size_of(shape))
            terms.append(self.put(Index(self.name("shape"), (flat,), shape), shape))
        if not self.options.feedforward and self.flag(0.3):
            terms.append(self.recurrence(name, shape))
        source = terms[0]
        if len(terms) > 1:
            source = self.put(Add(self.name("add"), tuple(terms)), shape)
        o = self.options
        scale = int(self.rng.choice([o.weight, 3 * o.weight, 8 * o.weight]))
        simple = o.simple_only or self.flag(0.4)
        neuron = random_neuron(
            self.rng, name, source, shape, scale=scale, binary=o.binary_only, simple=simple
        )
        self.put(neuron, shape)
        self.populations.append(name)

    def recurrence(self, name: str, shape: tuple[int, ...]) -> str:
        """A delayed, possibly all-to-all loop of population ``name`` on itself."""
        self.shapes[name] = shape
        delay = self.put(Delay(self.name("delay"), (name,), self.draw(1, 3)), shape)
        if self.flag():
            return delay
        size = size_of(shape)
        flat = self.put(Index(self.name("flat"), (delay,), (size,)), (size,))
        flat = self.dense(flat, size)
        return self.put(Index(self.name("shape"), (flat,), shape), shape)

    def outputs(self) -> None:
        self.put(Output("out", (self.populations[-1],)), self.shapes[self.populations[-1]])
        if self.options.readouts and self.flag():
            source = self.linear(self.pick(), self.draw(1, 4))
            shape = self.shapes[source]
            simple = self.options.simple_only
            neuron = random_neuron(self.rng, "readout", source, shape, simple=simple, readout=True)
            self.put(neuron, shape)
            self.put(Output("state", ("readout",)), shape)


def random_network(seed: int, options: Options | None = None) -> IntegerNetwork:
    """A valid network; the same for the same seed and options."""
    builder = _Builder(np.random.default_rng(seed), options or Options())
    builder.inputs()
    for number in range(builder.draw(1, builder.options.layers)):
        builder.population(number)
    builder.outputs()
    return IntegerNetwork(f"random-{seed}", tuple(builder.nodes))


def random_inputs(
    network: IntegerNetwork, seed: int, samples: int = 2, steps: int = 8, rate: float = 0.4
) -> dict[str, Any]:
    """Input values of the right types, nonzero with probability ``rate``."""
    rng = np.random.default_rng(seed)
    result = {}
    for node in network.of_type(Input):
        shape = (samples, steps, *node.shape)
        values = rng.integers(node.type.low, node.type.high + 1, shape)
        if node.type.kind == "bin":
            values = np.ones(shape, np.int64)
        result[node.name] = np.where(rng.random(shape) < rate, values, 0)
    return result
