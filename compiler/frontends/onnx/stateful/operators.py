"""The operators of the domain ``snnc``, version 1: attributes to ``RealNeuron`` and back.

An attribute has the name of the field and its meaning (``snnc.ir.real_neuron``); one left out has
the field's default.  Numbers are FLOAT attributes where 32 bits hold them, else TENSOR.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, get_args

import numpy as np

from snnc.compiler.frontends.onnx.graph import OnnxNode
from snnc.ir.arrays import AnyArray, RealArray, Shape
from snnc.ir.errors import ModelError, UnsupportedError
from snnc.ir.real_neuron import (
    Comparator,
    RealAdaptation,
    RealNeuron,
    ResetRule,
    ResetTiming,
    SpikeRounding,
)

DOMAIN = "snnc"
VERSION = 1
_CHOICES: dict[str, tuple[str, ...]] = {
    "comparator": get_args(Comparator),
    "reset": get_args(ResetRule),
    "reset_timing": get_args(ResetTiming),
    "rounding": get_args(SpikeRounding),
}
_COUNTS = ("multi_spike", "negative_spikes", "refractory", "refractory_hold")
_ADAPTATION = ("adaptation_decay", "adaptation_gain", "adaptation_scale")
_IN_RESET = "adaptation_in_reset"
_ALWAYS = ("gain", "offset", "initial", "minimum")
_FIRING = (
    "threshold", "reset_value", "ladder", "reset_factors", *_CHOICES, *_COUNTS, *_ADAPTATION,
    _IN_RESET,
)  # fmt: skip
_CURRENT = ("current_decay", "current_gain")


@dataclass(frozen=True)
class Signature:
    """Attributes an operator takes, and those it must have."""

    allowed: tuple[str, ...]
    required: tuple[str, ...]


NEURONS: dict[str, Signature] = {
    "IF": Signature((*_ALWAYS, *_FIRING), ("threshold",)),
    "LIF": Signature(("decay", *_ALWAYS, *_FIRING), ("decay", "threshold")),
    "CubaLIF": Signature(
        ("decay", *_ALWAYS, *_FIRING, *_CURRENT), ("decay", "threshold", "current_decay")
    ),
    "LI": Signature(("decay", *_ALWAYS), ("decay",)),
    "CubaLI": Signature(("decay", *_ALWAYS, *_CURRENT), ("decay", "current_decay")),
}


def states_of(neuron: RealNeuron) -> tuple[str, ...]:
    """State operands behind the input, and state results behind the output, in order."""
    states = ["c"] if neuron.current_decay is not None else []
    states.append("v")
    states += ["a"] if neuron.adaptation is not None else []
    states += ["q"] if neuron.refractory else []
    states += ["s"] if neuron.reset_timing == "next_step" else []
    return tuple(states)


def neuron_of(node: OnnxNode, source: str, shape: Shape) -> RealNeuron:
    """The population that an operator computes on an input of ``shape``.

    Raises:
        UnsupportedError: an operator or attribute that version 1 does not have.
        ModelError: a missing or malformed attribute.
    """
    signature = NEURONS.get(node.op)
    if signature is None:
        raise UnsupportedError(
            "unknown operator",
            where=node.where(),
            allowed=", ".join((*NEURONS, "Input", "Output")),
            remedy="docs/onnx-stateful.md defines version 1 of the domain",
        )
    check_attributes(node, signature.allowed)
    for label in signature.required:
        if label not in node.attributes:
            raise ModelError("an attribute is missing", where=node.where(f"attribute '{label}'"))
    values: dict[str, Any] = {
        "decay": np.ones(()), "gain": np.ones(()), "offset": np.zeros(()), "threshold": None,
    }  # fmt: skip
    for label in node.attributes:
        if label not in (*_ADAPTATION, _IN_RESET):
            values[label] = _value(node, label)
    if "current_decay" in values:
        values.setdefault("current_gain", np.ones(()))
    if any(label in node.attributes for label in (*_ADAPTATION, _IN_RESET)):
        decay, gain, scale = (_array(node, label) for label in _ADAPTATION)
        in_reset = bool(node.integer(_IN_RESET, 0))
        values["adaptation"] = RealAdaptation(decay, gain, scale, in_reset=in_reset)
    return RealNeuron(node.name, (source,), shape, **values)


def check_attributes(node: OnnxNode, allowed: tuple[str, ...]) -> None:
    """Raise for an attribute that would be ignored."""
    for label in node.attributes:
        if label not in allowed:
            raise UnsupportedError(
                "unknown attribute",
                where=node.where(f"attribute '{label}'"),
                found=label,
                allowed=", ".join(allowed),
                remedy="docs/onnx-stateful.md defines version 1 of the domain",
            )


def _value(node: OnnxNode, label: str) -> Any:
    if label in _CHOICES:
        text = node.text(label)
        if text not in _CHOICES[label]:
            raise ModelError(
                "not one of the choices",
                where=node.where(f"attribute '{label}'"),
                found=text,
                allowed=", ".join(_CHOICES[label]),
            )
        return text
    if label in _COUNTS:
        count = node.integer(label)
        return bool(count) if label == "refractory_hold" else count
    array = _array(node, label)
    if label == "minimum":
        return float(_sized(node, label, array, 1)[0])
    if label == "reset_factors":
        up, down = _sized(node, label, array, 2)
        return float(up), float(down)
    return array


def _array(node: OnnxNode, label: str) -> RealArray:
    """A number, a list of numbers or a tensor as float64."""
    raw = node.attributes.get(label)
    if raw is None:
        raise ModelError("an attribute is missing", where=node.where(f"attribute '{label}'"))
    try:
        values = np.asarray(raw, np.float64)
    except (TypeError, ValueError):
        values = np.full((), np.nan)
    if not values.size or not np.isfinite(values).all():
        raise ModelError(
            "finite numbers are required",
            where=node.where(f"attribute '{label}'"),
            found=repr(raw)[:80],
        )
    return values


def _sized(node: OnnxNode, label: str, values: RealArray, size: int) -> RealArray:
    if values.size != size:
        raise ModelError(
            f"{size} number(s) are required",
            where=node.where(f"attribute '{label}'"),
            found=values.shape,
        )
    return values.reshape(-1)


def operator_of(neuron: RealNeuron) -> tuple[str, dict[str, AnyArray | int | str]]:
    """Operator type and the attributes that are not at their defaults."""
    if neuron.threshold is None:
        op = "LI" if neuron.current_decay is None else "CubaLI"
    elif neuron.current_decay is not None:
        op = "CubaLIF"
    else:
        op = "IF" if neuron.decay.shape == () and neuron.decay == 1 else "LIF"
    found: dict[str, AnyArray | int | str] = {}
    default = {f.name: f.default for f in fields(RealNeuron)}
    neutral = {"gain": 1.0, "offset": 0.0, "initial": 0.0}
    for label in NEURONS[op].allowed:
        if label in (*_ADAPTATION, _IN_RESET):
            continue
        value = getattr(neuron, label)
        if isinstance(value, np.ndarray) and label not in neutral:
            found[label] = value
        elif isinstance(value, np.ndarray):
            if value.shape != () or value != neutral[label]:
                found[label] = value
        elif value is not None and value != default[label]:
            found[label] = value if isinstance(value, str | int) else np.asarray(value, np.float64)
    if neuron.adaptation is not None:
        for label in _ADAPTATION:
            found[label] = getattr(neuron.adaptation, label.removeprefix("adaptation_"))
        if neuron.adaptation.in_reset:
            found[_IN_RESET] = 1
    return op, found
