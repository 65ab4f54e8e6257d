"""A neuron's equation as text: the fields of ``RealNeuron`` in JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, get_args

import numpy as np

from snnc.ir.errors import ModelError
from snnc.ir.real_neuron import (
    Comparator,
    RealAdaptation,
    RealNeuron,
    ResetRule,
    ResetTiming,
    SpikeRounding,
)

ARRAYS = frozenset(("decay", "gain", "offset", "threshold", "reset_value", "current_decay",
                    "current_gain", "ladder", "initial"))  # fmt: skip
COUNTS = frozenset(("multi_spike", "negative_spikes", "refractory"))
WORDS = {
    "comparator": get_args(Comparator), "reset": get_args(ResetRule),
    "rounding": get_args(SpikeRounding), "reset_timing": get_args(ResetTiming),
}  # fmt: skip
REQUIRED = ("decay", "gain", "offset", "threshold")
_OUTSIDE = ("name", "inputs", "shape")


def write(neuron: RealNeuron) -> str:
    """The equation of a population, without its name, input and shape."""
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(neuron):
        value = getattr(neuron, field.name)
        if field.name in _OUTSIDE:
            continue
        if isinstance(value, RealAdaptation):
            value = {k: np.asarray(v).tolist() for k, v in vars(value).items()}
        fields[field.name] = value.tolist() if isinstance(value, np.ndarray) else value
    return json.dumps(fields, allow_nan=False)


def parse(text: str, where: str) -> dict[str, Any]:
    """Inverse of ``write``: arguments of ``RealNeuron``.

    Raises:
        ModelError: not JSON, an unknown field, or a value of the wrong kind.
    """
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(
            "a neuron's equation is not JSON", where=where, found=str(error)[:100]
        ) from error
    if not isinstance(stored, dict) or any(name not in stored for name in REQUIRED):
        raise ModelError(
            "a neuron's equation is incomplete", where=where, allowed=", ".join(REQUIRED)
        )
    return {name: _value(name, value, where) for name, value in stored.items()}


def _value(name: str, value: Any, where: str) -> Any:
    place = f"{where}, {name}"
    if name in ARRAYS:
        return None if value is None else _array(value, place)
    if name in WORDS:
        if value not in WORDS[name]:
            raise ModelError(
                "no such rule", where=place, found=value, allowed=", ".join(WORDS[name])
            )
        return value
    if name in COUNTS and isinstance(value, int) and not isinstance(value, bool):
        return value
    if name == "refractory_hold" and isinstance(value, bool):
        return value
    if name == "minimum" and (value is None or isinstance(value, int | float)):
        return value
    if name == "reset_factors" and isinstance(value, list) and len(value) == 2:
        return tuple(float(_array(v, place)) for v in value)
    if name == "adaptation":
        if value is None:
            return None
        if isinstance(value, dict) and set(value) == {"decay", "gain", "scale"}:
            return RealAdaptation(**{k: _array(v, place) for k, v in value.items()})
    raise ModelError("a neuron's equation has a wrong field", where=place, found=str(value)[:80])


def _array(value: Any, where: str) -> Any:
    try:
        return np.asarray(value, np.float64)
    except (ValueError, TypeError) as error:
        raise ModelError("numbers are required", where=where, found=str(value)[:80]) from error
