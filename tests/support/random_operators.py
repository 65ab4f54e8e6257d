"""Random integer networks with every primitive, products, maxima, tables and barriers included."""

from __future__ import annotations

from typing import Any

import numpy as np
from support.operator_zoo import HALF, Maker, Shape

from snnc.ir.arrays import size_of
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import MEMORYLESS, NO_LEAK, GatedBias, Neuron, Reset
from snnc.ir.nodes import Delay, Lut, Output, Pool, Rescale
from snnc.ir.types import BIN, ValueType

LARGEST = 3000
"""Bound of every tensor, so that thresholds and weights of a small machine suffice."""


class Random(Maker):
    """Adds operators on random operands; keeps what each tensor can be at most."""

    def __init__(self, seed: int, steps: int) -> None:
        super().__init__(seed)
        self.steps = steps
        self.low: dict[str, int] = {}
        self.high: dict[str, int] = {}
        self.late: set[str] = set()  # behind a barrier

    def known(self, name: str, low: int, high: int, *operands: str) -> str:
        self.low[name], self.high[name] = low, high
        if self.late.intersection(operands):
            self.late.add(name)
        return name

    def size(self, name: str) -> int:
        return max(self.high[name], -self.low[name])

    def is_event(self, name: str) -> bool:
        """Whether its type is surely an event type: an input or a population."""
        return name.startswith(("x", "n"))

    def pick(self, *, event: bool = False, largest: int = LARGEST) -> str:
        names = [
            n for n in self.low
            if self.size(n) <= largest and (not event or self.is_event(n))
        ]  # fmt: skip
        back = min(int(self.rng.geometric(0.35)), len(names))
        return names[-back]

    def fit(self, x: str, shape: Shape) -> str:
        """Any tensor brought to a shape by repeating, cutting or permuting its elements."""
        if self.shapes[x] == shape:
            return x
        size = size_of(self.shapes[x])
        index = self.rng.integers(-1, size, size_of(shape)).reshape(shape)
        name = self.index(f"i{len(self.nodes)}", x, index)
        return self.known(name, min(0, self.low[x]), max(0, self.high[x]), x)

    # --- operators -----------------------------------------------------------------------------

    def op_linear(self) -> None:
        x = self.pick(largest=40)
        limit = max(1, min(9, LARGEST // (4 * self.size(x) * size_of(self.shapes[x]) + 1)))
        name = self.conv(f"c{len(self.nodes)}", x, self.draw(1, 3), self.draw(1, 2) * 2 - 1, limit)
        bound = self.size(x) * int(np.abs(self.nodes[-1].weights.values).sum(axis=(1, 2)).max())
        self.known(name, -bound, bound, x)

    def op_add(self) -> None:
        a = self.pick(largest=LARGEST // 3)
        b = self.fit(self.pick(largest=LARGEST // 3), self.shapes[a])
        name = self.add(f"a{len(self.nodes)}", a, b)
        self.known(name, self.low[a] + self.low[b], self.high[a] + self.high[b], a, b)

    def op_mul(self) -> None:
        a = self.pick(event=True)
        b = self.fit(self.pick(largest=LARGEST // max(1, self.size(a))), self.shapes[a])
        self.product(self.mul(f"m{len(self.nodes)}", a, b), a, b, 1)

    def product(self, name: str, a: str, b: str, terms: int) -> None:
        corners = [p * q * terms for p in (self.low[a], self.high[a])
                   for q in (self.low[b], self.high[b])]  # fmt: skip
        self.known(name, min(corners), max(corners), a, b)

    def op_matmul(self) -> None:
        a = self.pick(event=True)
        rows, inner = self.shapes[a][-2:]
        flip_a, flip_b = self.draw(0, 1), self.draw(0, 1)
        rows, inner = (inner, rows) if flip_a else (rows, inner)
        columns = self.draw(1, 3)
        largest = LARGEST // max(1, self.size(a) * inner)
        shape = (*self.shapes[a][:-2], *((columns, inner) if flip_b else (inner, columns)))
        if largest < 1:
            return
        b = self.fit(self.pick(largest=max(largest, 1)), shape)
        if self.size(b) <= largest:
            name = self.matmul(f"m{len(self.nodes)}", a, b, bool(flip_a), bool(flip_b))
            self.product(name, a, b, inner)

    def op_iand(self) -> None:
        a = self.pick(event=True, largest=LARGEST // 2)
        y = self.fit(self.pick(event=True, largest=1), self.shapes[a])
        table = self.rng.integers(-1, 3, 2) if self.draw(0, 1) else np.array([1, 0])
        inverted = self.put(Lut(f"l{len(self.nodes)}", (y,), 0, table), self.shapes[y])
        name = self.mul(f"m{len(self.nodes)}", a, inverted)
        self.known(name, -2 * self.size(a), 2 * self.size(a), a, y)

    def op_reduce(self) -> None:
        x = self.pick(largest=LARGEST // 4)
        axes = tuple(k for k in range(len(self.shapes[x])) if self.draw(0, 1)) or (0,)
        op = "max" if self.draw(0, 1) else "sum"
        name = self.reduce(f"r{len(self.nodes)}", x, axes, 0, op)
        terms = 1 if op == "max" else size_of(tuple(self.shapes[x][k] for k in axes))
        if terms * self.size(x) > LARGEST:
            del self.nodes[-1], self.shapes[name]
            return
        self.known(name, terms * self.low[x], terms * self.high[x], x)

    def op_time(self) -> None:
        x = self.pick(largest=60)
        if x in self.late and self.draw(0, 2):
            return
        op = "max" if self.low[x] == 0 and self.high[x] <= 4 and self.draw(0, 1) else "sum"
        axes = (0,) if self.draw(0, 1) else ()
        terms = 1 if op == "max" else self.steps * (self.shapes[x][0] if axes else 1)
        name = self.reduce(f"t{len(self.nodes)}", x, axes, self.steps, op)
        self.known(name, terms * self.low[x], terms * self.high[x], x)
        self.late.add(name)

    def op_pool(self) -> None:
        x = self.pick(largest=LARGEST // 4)
        extent = self.shapes[x][1]
        kernel = self.draw(1, min(3, extent))
        pad = (self.draw(0, kernel - 1), self.draw(0, kernel - 1))
        op: Any = "max" if self.draw(0, 2) else "sum"
        node = Pool(f"p{len(self.nodes)}", (x,), op, (kernel,), (self.draw(1, 2),), (pad,))
        terms = kernel if op == "sum" else 1
        self.put(node, node.output_shape(self.shapes[x]))
        self.known(node.name, terms * self.low[x], terms * self.high[x], x)

    def op_lut(self) -> None:
        x = self.pick(largest=200)
        table = self.rng.integers(-5, 30, self.draw(1, 40)) * self.draw(0, 2)
        if table.max() <= 0 and table.min() < -1:
            table = -table
        name = self.put(Lut(f"l{len(self.nodes)}", (x,), -self.draw(0, 20), table), self.shapes[x])
        self.known(name, min(0, int(table.min())), int(table.max()), x)

    def op_rescale(self) -> None:
        x = self.pick()
        multiplier = self.rng.integers(
            -9, 10, (self.shapes[x][0], *(1,) * (len(self.shapes[x]) - 1))
        )
        rounding: Any = ("floor", "toward_zero", "half_even")[self.draw(0, 2)]
        bits = self.draw(2, 7)
        node = Rescale(f"s{len(self.nodes)}", (x,), multiplier, self.draw(0, 5), rounding, bits)
        self.put(node, self.shapes[x])
        self.known(node.name, -(1 << (bits - 1)), (1 << (bits - 1)) - 1, x)

    def op_delay(self) -> None:
        x = self.pick()
        name = self.put(Delay(f"d{len(self.nodes)}", (x,), self.draw(1, 3)), self.shapes[x])
        self.known(name, min(0, self.low[x]), max(0, self.high[x]), x)

    def op_neuron(self) -> None:
        x = self.pick()
        shape, scale = self.shapes[x], max(1, self.size(x) // 3)
        levels, below = self.draw(1, 4), self.draw(0, 2) if self.draw(0, 1) else 0
        ladder = np.cumsum(self.rng.integers(1, scale + 1, (levels, *shape)), axis=0)
        kinds: Any = ["value", "subtract", "none", "multiply"]
        reset = Reset(kinds[self.draw(0, 3)], np.array(self.draw(0, scale)), 0, 1)
        leak = (HALF, MEMORYLESS, NO_LEAK)[self.draw(0, 2)]
        table = None
        if self.draw(0, 3) == 0:
            table = self.rng.integers(-3, 6, below + 1 + levels)
            table[below] = 0
            table[-1] = 2
        neuron = Neuron(
            f"n{len(self.nodes)}", (x,), shape, ladder, reset, leak=leak, emission=table,
            negative_thresholds=scale * np.arange(1, below + 1),
            bias=(GatedBias(np.array(self.draw(0, scale)), self.draw(0, 2)),) * self.draw(0, 1),
        )  # fmt: skip
        self.put(neuron, shape)
        self.known(neuron.name, *neuron.emitted, x)


def random_operators(seed: int, steps: int, count: int = 9, time: bool = True) -> IntegerNetwork:
    """A network of about ``count`` operators over one or two inputs; the same for a seed."""
    m = Random(seed, steps)
    for k, kind in enumerate((BIN, ValueType("cnt", 3), ValueType("tern"))[: m.draw(1, 3)]):
        shape = (m.draw(1, 3), m.draw(2, 4))
        m.known(m.input(shape, kind, f"x{k}"), kind.low, kind.high)
    operators = [getattr(m, name) for name in sorted(dir(m)) if name.startswith("op_")]
    if not time:
        operators.remove(m.op_time)
    m.op_neuron()
    for _ in range(count):
        operators[m.draw(0, len(operators) - 1)]()
    read = {source for node in m.nodes for source in node.inputs}
    ends = [n for n in m.shapes if n not in read][-4:]
    for k, name in enumerate(ends):
        m.put(Output(f"out{k}", (name,)), m.shapes[name])
    return m.network(f"random-{seed}")
