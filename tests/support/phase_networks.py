"""Random networks and tiny machines on which they take several phases."""

from __future__ import annotations

import numpy as np
from support.node_list import NodeList

from snnc.backends.targets import load
from snnc.ir.arrays import size_of
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import GatedBias, Leak, Neuron, Reset, StateRange
from snnc.ir.nodes import Add, Delay, Index, Input, Linear, Output
from snnc.ir.target import Target
from snnc.ir.types import ValueType
from snnc.ir.weights import Conv, Dense

RANGE = StateRange(-(2**31), 2**31 - 1)


def tiny_machine(cores: int, neurons: int = 12, axons: int = 96, bits: int = 8192) -> Target:
    """``toy-mesh`` with fewer, smaller cores."""
    raw = load("toy-mesh").model_dump(mode="python", by_alias=True)
    raw["topology"] |= {"grid": (cores, 1), "usable_cores": cores}
    for name, capacity in (("neurons", neurons), ("input_axons", axons), ("synapse_mem", bits)):
        raw["core"]["resources"][name]["capacity"]["v"] = capacity
    return Target.model_validate(raw)


def with_prices(target: Target) -> Target:
    """Loading costs 1 ns and 2 pJ per byte."""
    raw = target.model_dump(mode="python", by_alias=True)
    table = raw["cost_sets"][target.default_cost]
    table["load_byte"] = {"energy": 2e-12, "latency": 1e-9, "ev": "assumed"}
    return Target.model_validate(raw)


def phase_network(seed: int, layers: int = 7) -> IntegerNetwork:
    """Skips over several layers, delays, loops of one and two populations, several outputs."""
    return _Builder(np.random.default_rng(seed), layers).network(f"phases-{seed}")


class _Builder(NodeList):
    def __init__(self, rng: np.random.Generator, layers: int) -> None:
        super().__init__(rng)
        self.layers = layers
        self.read: set[str] = set()

    def flat(self, source: str) -> str:
        shape = self.shapes[source]
        if len(shape) == 1:
            return source
        size = (size_of(shape),)
        return self.put(Index(f"flat{len(self.nodes)}", (source,), size), size)

    def dense(self, source: str, size: int, density: float = 0.5) -> str:
        """A matrix on a tensor, of the step itself or an earlier one."""
        self.read.add(source)
        if self.flag(0.25):
            delay = Delay(f"late{len(self.nodes)}", (source,), int(self.rng.integers(1, 4)))
            source = self.put(delay, self.shapes[source])
        return self.matrix(self.flat(source), size, density)

    def matrix(self, flat: str, size: int, density: float) -> str:
        shape = (size, self.shapes[flat][0])
        values = self.rng.integers(-40, 100, shape) * (self.rng.random(shape) < density)
        return self.put(Linear(f"w{len(self.nodes)}", (flat,), Dense(values)), (size,))

    def neuron(self, name: str, source: str) -> str:
        shape, rng = self.shapes[source], self.rng
        levels = int(rng.integers(1, 4))
        first = rng.integers(40, 160, shape)
        ladder = np.stack([first * (k + 1) for k in range(levels)])
        reset = Reset("value") if self.flag(0.5) else Reset("subtract", first)
        leak = Leak(np.array(2**16)) if self.flag(0.5) else Leak(rng.integers(2**15, 2**16, shape))
        bias = (GatedBias(rng.integers(-5, 40, shape)),) if self.flag(0.4) else ()
        node = Neuron(
            name, (source,), shape, ladder, reset, Leak(leak.multiplier, 16), bias=bias,
            state_range=RANGE,
        )  # fmt: skip
        return self.put(node, shape)

    def inputs(self) -> list[str]:
        x = self.put(Input("x", (2, 4, 4), ValueType("cnt", 3)), (2, 4, 4))
        return [x, self.put(Input("y", (9,), ValueType("bin")), (9,))]

    def population(self, number: int, senders: list[str]) -> list[str]:
        """One population, or two in a loop."""
        rng, name = self.rng, f"p{number}"
        images = [n for n in senders if len(self.shapes[n]) == 3]
        if images and self.flag(0.4):
            source = images[-1]
            self.read.add(source)
            channels = int(rng.integers(2, 5))
            kernel = rng.integers(-40, 100, (channels, self.shapes[source][0], 3, 3))
            weights = Conv(kernel, (1, 1), ((1, 1), (1, 1)), (1, 1))
            shape = (channels, *self.shapes[source][1:])
            conv = self.put(Linear(f"conv{number}", (source,), weights), shape)
            return [self.neuron(name, conv)]
        size = int(rng.integers(4, 40))
        count = min(len(senders), int(rng.integers(1, 4)))
        recent = senders[-4:] + senders[:1]
        sources = rng.choice(recent, count, replace=False) if count < len(recent) else recent
        terms = [self.dense(str(source), size) for source in dict.fromkeys(sources)]
        if self.flag(0.3):
            return self.loop(name, terms, size)
        return [self.neuron(name, self.sum(terms, size))]

    def sum(self, terms: list[str], size: int) -> str:
        if len(terms) == 1:
            return terms[0]
        return self.put(Add(f"sum{len(self.nodes)}", tuple(terms)), (size,))

    def loop(self, name: str, terms: list[str], size: int) -> list[str]:
        """The population reads itself, or another one that reads it, of an earlier step."""
        other = f"{name}b" if self.flag(0.5) else name
        back = size if other == name else int(self.rng.integers(3, 12))
        self.shapes[other] = (back,)
        delay = self.put(Delay(f"back{len(self.nodes)}", (other,), 1), (back,))
        terms.append(self.matrix(delay, size, 0.2))
        made = [self.neuron(name, self.sum(terms, size))]
        if other != name:
            self.read.add(name)
            made.append(self.neuron(other, self.matrix(name, back, 0.4)))
        return made

    def network(self, name: str) -> IntegerNetwork:
        senders = self.inputs()
        populations: list[str] = []
        for number in range(int(self.rng.integers(4, self.layers + 1))):
            made = self.population(number, senders)
            senders += made
            populations += made
        ends = [p for p in populations if p not in self.read] or populations[-1:]
        for number, end in enumerate(ends):
            self.nodes.append(Output(f"out{number}", (end,)))
        if self.flag(0.5):
            self.nodes.append(Output("early", (populations[0],)))
        return IntegerNetwork(name, tuple(self.nodes))
