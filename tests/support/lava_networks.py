"""Random networks of what Lava itself has: LIF, ternary LIF, dense, sparse and conv synapses.

Parameters reach the ends of Lava's ranges: currents that wrap, potentials that clip, thresholds
nobody reaches, weights with exponents and of more than 8 bits, delays, loops, graded input.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from support.node_list import NodeList

from snnc.ir.arrays import size_of
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import GatedBias, Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, Output
from snnc.ir.types import ValueType
from snnc.ir.weights import Conv, Dense, Sparse

M = 1 << 23


def lif_network(seed: int) -> IntegerNetwork:
    """A random network whose populations are Lava's; the same for the same seed."""
    return _Builder(np.random.default_rng(seed)).network(f"lif-{seed}")


class _Builder(NodeList):
    def network(self, name: str) -> IntegerNetwork:
        image = self.flag(0.5)
        shape = (self.draw(1, 2), self.draw(3, 6), self.draw(3, 6)) if image else (
            self.draw(2, 12),
        )  # fmt: skip
        kind: Any = str(self.rng.choice(["bin", "bin", "cnt", "scnt"]))
        type_ = ValueType(kind, 0 if kind == "bin" else self.draw(2, 9))
        senders = [self.put(Input("x", shape, type_), shape)]
        for number in range(self.draw(1, 4)):
            senders.append(self.population(f"n{number}", senders))
        self.nodes.append(Output("out", (senders[-1],)))
        return IntegerNetwork(name, tuple(self.nodes))

    def population(self, name: str, senders: list[str]) -> str:
        source = senders[-1] if self.flag(0.8) else str(self.rng.choice(senders))
        scale = int(self.rng.choice([1, 1, 2, 8, 64]))  # becomes a weight exponent
        terms = [self.synapses(f"{name}.w", source, scale)]
        shape = self.shapes[terms[0]]
        if self.flag(0.3):  # another path, as often as not of another length
            other = self.late(f"{name}.o", str(self.rng.choice(senders)), 0.5)
            flat = self.dense(f"{name}.other", other, size_of(shape), scale)
            terms.append(self.put(Index(f"{name}.shaped", (flat,), shape), shape))
        if self.flag(0.3):
            terms.append(self.loop(name, shape, scale))
        if len(terms) > 1:
            terms = [self.put(Add(f"{name}.sum", tuple(terms)), shape)]
        return self.put(self.lif(name, terms[0], shape, scale), shape)

    def late(self, name: str, source: str, probability: float) -> str:
        if not self.flag(probability):
            return source
        return self.put(Delay(f"{name}.late", (source,), self.draw(1, 5)), self.shapes[source])

    def loop(self, name: str, shape: tuple[int, ...], scale: int) -> str:
        self.shapes[name] = shape
        past = self.put(Delay(f"{name}.past", (name,), self.draw(1, 3)), shape)
        flat = self.dense(f"{name}.back", past, size_of(shape), scale)
        return self.put(Index(f"{name}.again", (flat,), shape), shape)

    def synapses(self, name: str, source: str, scale: int) -> str:
        source = self.late(name, source, 0.2)
        if len(self.shapes[source]) == 3 and self.flag(0.6):
            return self.conv(name, source)
        return self.dense(name, source, self.draw(1, 12), scale)

    def dense(self, name: str, source: str, size: int, scale: int) -> str:
        shape = self.shapes[source]
        if len(shape) > 1:
            flat = (size_of(shape),)
            source = self.put(Index(f"{name}.flat", (source,), flat), flat)
        values = self.values((size, self.shapes[source][0])) * scale
        weights: Any = Dense(values)
        if self.flag(0.3):
            values = np.where(self.rng.random(values.shape) < 0.2, values, 0)
            rows, columns = np.nonzero(values)
            pointers = np.searchsorted(rows, np.arange(size + 1))
            weights = Sparse(pointers, columns, values[rows, columns], values.shape[1], (size,))
        return self.put(Linear(name, (source,), weights), (size,))

    def values(self, shape: tuple[int, ...]) -> Any:
        low, high = [(-128, 127), (0, 255), (-255, 0), (-3000, 3000), (-20, 60)][self.draw(0, 4)]
        return self.rng.integers(low, high + 1, shape)

    def conv(self, name: str, source: str) -> str:
        shape = self.shapes[source]
        groups = shape[0] if self.flag(0.3) else 1
        channels = groups * self.draw(1, 3)
        kernel = tuple(self.draw(1, min(3, n)) for n in shape[1:])
        values = self.rng.integers(-100, 128, (channels, shape[0] // groups, *kernel))
        padding = tuple((p, p) for p in (self.draw(0, 1), self.draw(0, 1)))
        dilation = tuple(1 if k > 1 and n < 5 else self.draw(1, 2) for k, n in zip(
            kernel, shape[1:], strict=True))  # fmt: skip
        weights = Conv(values, (self.draw(1, 2), self.draw(1, 2)), padding, dilation, groups)
        return self.put(Linear(name, (source,), weights), weights.output_shape(name, shape))

    def lif(self, name: str, source: str, shape: tuple[int, ...], scale: int) -> Neuron:
        vth = int(self.rng.choice([0, self.draw(1, 400) * scale, self.draw(1, 1 << 16)]))
        negative = ((self.draw(0, 400 * scale) << 6) + 1,) if self.flag(0.25) else ()
        size = size_of(shape)
        exponent = self.draw(0, 7)
        bias = self.rng.integers(-300, 900, (size,)).reshape(shape) << exponent
        return Neuron(
            name,
            (source,),
            shape,
            np.array([min(vth, (1 << 17) - 1) << 6]) + 1,
            Reset("value"),
            leak=Leak(np.array(self.draw(1, 4096)), 12, "toward_zero"),
            current=Leak(np.array(self.draw(0, 4095)), 12, "toward_zero"),
            input_shift=6 if self.flag(0.7) else 8,
            bias=(GatedBias(bias),) if self.flag(0.5) else (),
            negative_thresholds=np.array(negative, np.int64),
            state_range=StateRange(-M + 1, M - 1),
            current_range=StateRange(-M + 1, M, "wrap"),
        )
