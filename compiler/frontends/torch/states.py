"""What a neuron returns besides its spikes, and what its module is handed back in the next step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from snnc.compiler.frontends.torch.call import Call
from snnc.compiler.frontends.torch.layout import Value
from snnc.compiler.frontends.torch.tensor import is_traced, numpy_of, traced, value_of
from snnc.ir.errors import UnsupportedError


class HeldState:
    """The state of a neuron between two calls, opaque: only its own module takes it back."""

    def __init__(self, owner: str) -> None:
        self.owner = owner

    def __getattr__(self, label: str) -> Any:
        if label.startswith("__"):
            raise AttributeError(label)
        raise UnsupportedError(
            "a neuron's state is read outside the neuron",
            where=f"state.{label} of {self.owner}",
            remedy="use the spikes, or a readout neuron (LI) that emits its potential",
        )


def is_state(thing: object) -> bool:
    """Whether this is a neuron's state, or a collection of nothing but states."""
    if isinstance(thing, list | tuple):
        return bool(thing) and all(part is None or is_state(part) for part in thing) and any(
            is_state(part) for part in thing
        )  # fmt: skip
    return isinstance(thing, HeldState)


def held(call: Call, position: int = 1) -> HeldState:
    """Check the state that was passed in, and give the one to return.

    Raises:
        UnsupportedError: it is not the module's own state of the step before.
    """
    given = call.inputs[position] if len(call.inputs) > position else call.options.get("state")
    if call.number and isinstance(given, HeldState) and given.owner == call.name:
        return given
    if given is not None or call.number:
        raise call.refuse(
            "a neuron is not handed its own state of the step before",
            f"call {call.number + 1} with {type(given).__name__}",
            "start with no state, and pass on what the neuron returned",
        )
    return HeldState(call.name)


def check_own(call: Call, given: Any, owned: Value) -> None:
    """Check a state tensor that the model carries itself: zeros at first, then the module's own.

    Raises:
        UnsupportedError: it is anything else.
    """
    if given is None:
        return
    if is_traced(given):
        own = value_of(given)
        if call.number and own.node == owned.node and own.steps in (None, (call.number - 1,)):
            return
    elif not call.number and not np.any(numpy_of(given)):
        return
    raise call.refuse(
        "a neuron is not handed its own state of the step before",
        f"call {call.number + 1}",
        "start with zeros, and pass on what the neuron returned",
    )


def integrated(call: Call, value: Value, suffix: str, decay: Any) -> Value:
    """A population that only integrates: ``v = decay v + x``, and emits v."""
    return call.population(
        value, suffix=suffix, decay=decay, gain=np.ones(()), offset=np.zeros(()),
        threshold=None, reset="none",
    )  # fmt: skip


def looped_once(call: Call, reads: Value, build: Any) -> tuple[Value, ...]:
    """Values of a module with a loop of its own: built in its first call, repeated in later ones.

    Args:
        build: makes them from what the module reads.

    Raises:
        UnsupportedError: a later call reads another tensor.
    """
    memory: Any = call.builder.memory
    key = id(call.module)
    if not call.number:
        memory[key] = (call.builder.tensor(reads), build(replace(reads, steps=None)))
    node, values = memory[key]
    if call.builder.tensor(reads) != node:
        raise call.refuse(
            "a neuron with state reads different tensors in different calls",
            remedy="use one neuron module per place in the network",
        )
    return tuple(replace(value, steps=reads.steps) for value in values)


def returned(call: Call, value: Value) -> Any:
    """A traced tensor for a value, as the module would return it."""
    return traced(value, call.inputs[0])
