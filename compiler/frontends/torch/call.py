"""One call of a framework's module, as its converter sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snnc.compiler.frontends.torch.build import Builder
from snnc.compiler.frontends.torch.layout import AxisError, Value, describe, element, has, size
from snnc.compiler.frontends.torch.tensor import is_traced, numpy_of, traced, value_of
from snnc.ir.arrays import RealArray
from snnc.ir.errors import ModelError, UnsupportedError


@dataclass(frozen=True, eq=False)
class Call:
    """A module, what it was called with, and the network under construction.

    Attributes:
        module: the framework's module.
        name: its path in the model; a population gets this name.
        inputs, options: positional and keyword arguments, traced tensors among them.
        number: how often the module was called before in this trace; the time step, where the
            model loops over time itself.
    """

    module: Any
    name: str
    inputs: tuple[Any, ...]
    options: Mapping[str, Any]
    number: int
    builder: Builder

    @property
    def where(self) -> str:
        """The place for messages."""
        return self.builder.where()

    def refuse(self, problem: str, found: object = "", remedy: str = "") -> UnsupportedError:
        """The error to raise for a module that has no equivalent."""
        kind = type(self.module).__name__
        return UnsupportedError(problem, where=self.where, found=found or kind, remedy=remedy)

    def value(self, position: int = 0) -> Value:
        """A traced argument."""
        argument = self.inputs[position] if position < len(self.inputs) else None
        if not is_traced(argument):
            raise self.refuse(
                "a neuron's input does not depend on the network's input", type(argument).__name__
            )
        return value_of(argument)

    def number_of(self, parameter: Any) -> float:
        """A scalar parameter as a float."""
        array = numpy_of(parameter)
        if array.size != 1 or not np.isfinite(array).all():
            raise ModelError("one finite number is required", where=self.where, found=array.shape)
        return float(array.reshape(()))

    def parameter(self, value: Value, parameter: Any) -> RealArray:
        """A parameter that broadcasts against the traced tensor, per element of the population."""
        return self.builder.constant(value, numpy_of(parameter))

    def stepped(self, value: Value, *, sequence: bool) -> Value:
        """The argument as the stateful module sees it: of one step, or a sequence over axis 0.

        Args:
            sequence: the module loops over axis 0 itself.

        Raises:
            UnsupportedError: the tensor has no such axis, or one too many.
        """
        self.builder.sequences[self.name] = sequence
        if not sequence:
            if value.has_time:
                raise self.refuse(
                    "a module that runs one step per call got whole sequences",
                    describe(value.dims),
                    'set its step mode to "m", or call it step by step',
                )
            return self._looped(value)
        first = value.dims[0]
        if self.number:
            raise self.refuse("a neuron with state is called more than once per step")
        if has(first, "t") and len(first) == 1:
            return value
        if value.has_time or size(first) != 1:
            raise AxisError(
                "a module that runs over sequences got a tensor whose first axis is not time",
                where=self.where,
                found=describe(value.dims),
                remedy="pass time_axis, or repeat a static input over a new first axis",
            )
        return value

    def _looped(self, value: Value) -> Value:
        """Note which step of the model's own time loop this call is."""
        if value.steps not in (None, (self.number,)):
            raise self.refuse(
                "a neuron with state is called out of step with its input",
                f"call {self.number + 1} with values of {value.steps}",
                "call each neuron exactly once per time step",
            )
        self.builder.unrolled = max(self.builder.unrolled, self.number + 1)
        return replace(value, steps=(self.number,))

    def neuron(self, value: Value, *, sequence: bool, **fields: Any) -> Any:
        """A population in place of this module, and its spikes as the module returns them.

        Args:
            value: what it reads.
            sequence: the module loops over axis 0 of its input, else it runs one step per call.
            fields: of ``snnc.ir.real_neuron.RealNeuron``, except name, inputs and shape; arrays
                broadcast to the population (see ``parameter``).
        """
        reads = self.stepped(value, sequence=sequence)
        return traced(self.population(reads, **fields), self.inputs[0])

    def population(self, value: Value, *, suffix: str = "", **fields: Any) -> Value:
        """As ``neuron``, on a value that ``stepped`` already placed in time."""
        plain = value
        if sum(size(dim) == 1 for dim in value.dims) and value.dims[0] == element(1):
            plain = replace(value, dims=value.dims[1:])  # a time axis of extent 1
        spikes = self.builder.neuron(plain, self.name + suffix, self.number, **fields)
        return replace(spikes, dims=value.dims)
