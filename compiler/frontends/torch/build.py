"""Builds a ``Network`` from traced values: its inputs, populations, loops and outputs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from snnc.compiler.frontends.torch.layout import (
    AxisError,
    Dim,
    Value,
)
from snnc.compiler.frontends.torch.values import Values
from snnc.ir.errors import CompilerBugError, UnsupportedError
from snnc.ir.nodes import Delay, Input, Output
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.types import BIN, ValueType


@dataclass
class Builder(Values):
    """The network so far.

    Attributes:
        unrolled: time steps the model's own loop runs through, 1 without such a loop.
        repeats_are_steps: repeating a static value over a new first axis presents it at every
            step (the input has no time axis).
        sequences: by population, whether its module loops over time itself.
        memory: by module identity, what a recurrent container returned in its first step.
    """

    unrolled: int = 1
    repeats_are_steps: bool = False
    sequences: dict[str, bool] = field(default_factory=dict)
    memory: dict[int, Value] = field(default_factory=dict)

    def input(self, name: str, dims: tuple[Dim, ...], kind: ValueType | None) -> Value:
        """An input of the network."""
        value = Value(name, dims)
        self.put(Input(name, value.element_shape, kind or BIN), value.element_shape)
        return value

    def type_inputs(self, kind: ValueType) -> None:
        """Say what the elements of all inputs hold."""
        for node in list(self.nodes.values()):
            if isinstance(node, Input):
                self.nodes[node.name] = replace(node, type=kind)

    def delayed(self, value: Value, steps: int) -> Value:
        """The value of ``steps`` steps ago, zero before the first."""
        value = self.unpooled(value)
        node = self.tensor(value)
        name = self.add(Delay, (node,), self.shapes[node], steps, suffix=".delay", steps=steps)
        return self.result(value, name)

    def feedback(self, dims: tuple[Dim, ...]) -> Value:
        """A value of the previous step whose source comes later; see ``close``."""
        shape = Value("", dims).element_shape
        name = self.unique(self.place() + ".feedback")
        self.put(Delay(name, ("",), 1), shape)
        return Value(name, dims)

    def close(self, feedback: Value, source: Value) -> None:
        """Tell what a feedback value repeats."""
        node = self.tensor(source, self.shapes[feedback.node])
        self.nodes[feedback.node] = Delay(feedback.node, (node,), 1)

    def neuron(self, value: Value, name: str, call: int, **fields: Any) -> Value:
        """A population that reads this value; fields are those of ``RealNeuron``.

        Args:
            call: how often the module was called before; later calls are later steps of the
                same population and must read the same tensor.
        """
        value = self.unpooled(value)
        node = self.tensor(value)
        if call:
            before = self.nodes.get(name)
            if not isinstance(before, RealNeuron) or before.inputs != (node,):
                raise UnsupportedError(
                    "a neuron with state reads different tensors in different calls",
                    where=self.where(),
                    remedy="use one neuron module per place in the network",
                )
            return self.result(value, name)
        if name in self.nodes:
            raise CompilerBugError("two populations of one name", where=name)
        neuron = RealNeuron(name, (node,), self.shapes[node], **fields)
        self.put(neuron, neuron.shape)
        return self.result(value, neuron.name)

    # -- end ----------------------------------------------------------------------------------

    def output(self, name: str, value: Value) -> None:
        """Make a value an output of the network, read over time as the model joined it."""
        steps = value.steps
        last = value.pooled == "last"
        if steps is not None and steps != tuple(range(self.unrolled)):
            last = steps == (self.unrolled - 1,)
            if not last:
                raise AxisError(
                    "the output is the value of some time steps only",
                    where=name,
                    found=f"steps {steps} of {self.unrolled}",
                    remedy="return the value of the last step, or the sum or mean over all",
                )
        if value.pooled == "mean":
            self.notes.add("output", f"{name} is the mean over time: its sum / steps")
        node = self.tensor(value)
        output = Output(self.unique(name), (node,), "last" if last else "sum")
        self.put(output, self.shapes[node])
