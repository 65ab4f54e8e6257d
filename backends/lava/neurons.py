"""Populations as processes: Lava's LIF with its reset interval, or snnc's ``IntegerNeuron``."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from snnc.backends.lava.natives import Lif
from snnc.backends.lava.plan import Process, Window
from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.errors import UnsupportedError
from snnc.ir.neuron import NO_LEAK, Leak, Neuron, StateRange, flat, flat_ladder

# What ``integer_neuron`` passes on; a field that is none of these would be lost in silence.
_KNOWN = {
    "name", "inputs", "shape", "thresholds", "reset", "leak", "current", "input_shift", "bias",
    "negative_thresholds", "refractory", "refractory_hold", "adaptation", "state_range",
    "current_range", "initial", "emit", "grid", "emission",
    "recovery", "delta",
}  # fmt: skip


def lif_processes(name: str, size: int, lif: Lif, window: Window) -> list[Process]:
    """Lava's own neuron, set to zero before the first step of every sample."""
    parameters: dict[str, Any] = {
        "shape": [size],
        "du": lif.du,
        "dv": lif.dv,
    }
    arrays = {
        "bias_mant": lif.bias_mant.astype(np.int32),
        "bias_exp": lif.bias_exp.astype(np.int32),
    }
    if lif.vth_lo is None:
        parameters |= {
            "vth": lif.vth,
            "reset_interval": window.stride,
            "reset_offset": window.first,
        }
        return [Process(name, "LIF", parameters, arrays)]
    parameters |= {"vth_hi": lif.vth, "vth_lo": lif.vth_lo}
    # The ternary LIF has no reset interval; Lava's Reset process writes after a step.
    reset = {
        "process": name,
        "interval": window.stride,
        "offset": (window.first - 2) % window.stride,
    }
    return [
        Process(name, "TernaryLIF", parameters, arrays),
        Process(f"{name}.reset_u", "Reset", {**reset, "variable": "u"}),
        Process(f"{name}.reset_v", "Reset", {**reset, "variable": "v"}),
    ]


def integer_neuron(neuron: Neuron, window: Window) -> Process:
    """snnc's own process for any population; see ``standalone/snnc_processes.py``.

    Raises:
        UnsupportedError: the population has a property that process does not know.
    """
    _check_known(neuron)
    arrays: dict[str, AnyArray] = {
        "thresholds": flat_ladder(neuron.thresholds, neuron.shape),
        "negative_thresholds": flat_ladder(neuron.negative_thresholds, neuron.shape),
        "amount": flat(neuron.reset.amount, neuron.shape),
        "initial": flat(neuron.initial, neuron.shape),
        "biases": _biases(neuron),
    }
    if neuron.emission is not None:
        arrays["emission"] = neuron.emission
    settings: dict[str, Any] = {
        "input_shift": neuron.input_shift,
        "onsets": [b.onset for b in neuron.bias],
        "state_range": _bounds(neuron.state_range),
        "emit": neuron.emit,
        "reset": str(neuron.reset.kind),
        "up": neuron.reset.up,
        "down": neuron.reset.down,
        "refractory": neuron.refractory,
        "refractory_hold": neuron.refractory_hold,
        "current": neuron.current is not None,
        "current_range": _bounds(neuron.current_range),
        "adaptation": neuron.adaptation.kind if neuron.adaptation else "",
    }
    _leak(neuron, "leak", neuron.leak, settings, arrays)
    _leak(neuron, "current", neuron.current or NO_LEAK, settings, arrays)
    if neuron.adaptation is not None:
        rule = neuron.adaptation
        _leak(neuron, "a", rule.leak, settings, arrays)
        arrays["a_gain"] = flat(rule.gain, neuron.shape)
        settings |= {
            "a_decrement": rule.decrement,
            "a_maximum": rule.maximum,
            "beta": rule.beta,
            "beta_shift": rule.beta_shift,
        }
    if neuron.recovery is not None:
        settings["recovery"] = neuron.recovery.factor
        _leak(neuron, "q", neuron.recovery.leak, settings, arrays)
    if neuron.delta is not None:
        settings["delta"] = {
            "relu": neuron.delta.activation == "relu",
            "shift": neuron.delta.shift,
            "exact": neuron.delta.feedback == "message",
            "limit": neuron.delta.limit,
        }
    parameters = {"shape": [neuron.size], "neuron": settings, "window": window.as_dict()}
    named = {f"neuron.{label}": array for label, array in arrays.items()}
    return Process(neuron.name, "IntegerNeuron", parameters, named)


def _leak(
    neuron: Neuron, label: str, leak: Leak, settings: dict[str, Any], arrays: dict[str, AnyArray]
) -> None:
    factor = "leak" if label == "leak" else f"{label}_leak"
    arrays[factor] = flat(leak.multiplier, neuron.shape)
    settings[f"{label}_shift"] = leak.shift
    settings[f"{label}_rounding"] = leak.rounding


def _bounds(bounds: StateRange) -> list[Any]:
    return [bounds.low, bounds.high, bounds.overflow]


def _biases(neuron: Neuron) -> IntArray:
    """[biases, neurons]."""
    rows = [flat(b.value, neuron.shape) for b in neuron.bias]
    return np.array(rows, np.int64).reshape(len(rows), neuron.size)


def _check_known(neuron: Neuron) -> None:
    for field in dataclasses.fields(neuron):
        if field.name in _KNOWN:
            continue
        default = None if field.default is dataclasses.MISSING else field.default
        value = getattr(neuron, field.name)
        if value is not None and value is not default:
            raise UnsupportedError(
                "a property of the population that the Lava backend does not know",
                where=f"{neuron.name}.{field.name}",
                found=value,
                remedy="run it on another backend",
            )
