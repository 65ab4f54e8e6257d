"""Neurons of one's own: registered by their equation, and checked against their own ``forward``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from snnc.compiler.frontends.torch.call import Call
from snnc.compiler.frontends.torch.layout import AxisError, Value, describe, has
from snnc.compiler.frontends.torch.registry import converts
from snnc.compiler.frontends.torch.states import held
from snnc.compiler.frontends.torch.tensor import numpy_of, traced
from snnc.ir.errors import OptionError
from snnc.ir.real_neuron import RealAdaptation, RealNeuron

Equation = Mapping[str, Any] | Callable[[Any], Mapping[str, Any]]
Calling = Literal["step", "sequence", "batch_first"]
Returning = Literal["spikes", "spikes and state"]

FIELDS = tuple(f.name for f in fields(RealNeuron) if f.name not in ("name", "inputs", "shape"))
_PLAIN = ("comparator", "reset", "reset_timing", "multi_spike", "negative_spikes", "rounding",
          "reset_factors", "refractory", "refractory_hold")  # fmt: skip


@dataclass(frozen=True)
class Registered:
    """How a class is called and what it computes."""

    equation: Equation
    calling: Calling
    returning: Returning


registered: dict[type, Registered] = {}


def register_neuron(
    module: type,
    equation: Equation,
    *,
    call: Calling = "step",
    returns: Returning = "spikes",
) -> None:
    """Tell ``from_torch`` the equation of a neuron class of your own.

    The equation says what ``forward`` does and replaces it; ``check_neuron`` finds out whether it
    does.  Its fields are those of ``snnc.ir.real_neuron.RealNeuron``: numbers, arrays or tensors
    that broadcast against the module's input.  ``threshold`` must be given (None for a readout
    that emits its potential); decay and gain default to 1, the offset to 0.

    Args:
        module: the class; a subclass that redefines ``forward`` needs an equation of its own.
        equation: the fields, or a function from a module to its fields.
        call: "step" takes one step per call; "sequence" [time, batch, ...]; "batch_first" [batch,
            time, ...].
        returns: the spikes, or a tuple of spikes and state that is passed back in the next call.

    Raises:
        OptionError: not a module class, or an unknown field or choice.
    """
    import torch

    if not (isinstance(module, type) and issubclass(module, torch.nn.Module)):
        raise OptionError("a neuron is a class of modules", where="register_neuron", found=module)
    for value, choices in (
        (call, ("step", "sequence", "batch_first")),
        (returns, ("spikes", "spikes and state")),
    ):
        if value not in choices:
            raise OptionError(
                "not one of the choices",
                where="register_neuron",
                found=value,
                allowed=", ".join(choices),
            )
    if isinstance(equation, Mapping):
        _check_fields(equation, module.__name__)
    registered[module] = Registered(equation, call, returns)
    converts(module)(_convert)


def _check_fields(equation: Mapping[str, Any], name: str) -> None:
    unknown = sorted(set(equation) - set(FIELDS))
    if unknown or "threshold" not in equation:
        raise OptionError(
            "the equation has a field that neurons do not have, or lacks its threshold",
            where=f"equation of {name}",
            found=", ".join(unknown) or "no threshold",
            allowed=", ".join(FIELDS),
            remedy="docs/custom-neurons.md lists the fields",
        )


def registration(module: object) -> Registered:
    """The registration of a module's class or nearest base class."""
    return next(registered[cls] for cls in type(module).__mro__ if cls in registered)


def _convert(call: Call) -> Any:
    """The converter of every registered class."""
    rule = registration(call.module)
    state = held(call) if rule.returning == "spikes and state" else None
    value = call.value()
    if rule.calling == "batch_first":
        reads = _batch_first(call, value)
    else:
        reads = call.stepped(value, sequence=rule.calling == "sequence")
    spikes = traced(call.population(reads, **_fields(call, reads, rule)), call.inputs[0])
    return spikes if state is None else (spikes, state)


def _batch_first(call: Call, value: Value) -> Value:
    dims = value.dims
    if call.number or len(dims) < 2 or not has(dims[0], "n") or not has(dims[1], "t"):
        raise AxisError(
            "a neuron registered as batch_first reads [batch, time, ...]",
            where=call.where,
            found=describe(dims),
            remedy="pass time_axis=1",
        )
    return value


def _fields(call: Call, value: Value, rule: Registered) -> dict[str, Any]:
    equation = rule.equation
    given = dict(equation(call.module) if callable(equation) else equation)
    _check_fields(given, type(call.module).__name__)
    result: dict[str, Any] = {"decay": np.ones(()), "gain": np.ones(()), "offset": np.zeros(())}
    for label, field in given.items():
        if field is None or label in _PLAIN or isinstance(field, RealAdaptation):
            result[label] = field
        elif label == "ladder":
            result[label] = numpy_of(field)
        elif label == "minimum":
            result[label] = call.number_of(field)
        else:
            result[label] = call.parameter(value, numpy_of(field))
    if given["threshold"] is None:
        result.setdefault("reset", "none")
    return result
