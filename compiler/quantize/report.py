"""What quantization did to one layer, as JSON values."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.compiler.quantize.grids import signal_to_noise
from snnc.compiler.quantize.ladder import leak_error
from snnc.compiler.quantize.layer import Layer
from snnc.compiler.quantize.options import QuantizeOptions
from snnc.ir.neuron import Neuron
from snnc.ir.target import Target


def layer_report(layer: Layer, target: Target, options: QuantizeOptions) -> dict[str, Any]:
    """Grids, errors and proofs of one population (keys: ``docs/quantization.md``)."""
    neuron, p = layer.neuron, layer.parameters
    real = _flat([rows.weights.values for rows in layer.rows])
    taken = _flat([
        rows.restored(node, layer.steps)
        for rows, node in zip(layer.rows, layer.writers, strict=True)
    ])  # fmt: skip
    integers = _flat([node.weights.values for node in layer.writers])
    mse, ratio = signal_to_noise(real, taken)
    largest = options.largest_weight(target)
    outside = [np.abs(r.weights.values) > (largest + 0.5) * layer.steps[r.entry_group]
               for r in layer.rows]  # fmt: skip
    result: dict[str, Any] = {
        "weight_bits": options.weight_bits,
        "groups": p.count,
        "exact_groups": int(np.count_nonzero(layer.exact)),
        "weight_grid": [float(layer.steps.min()), float(layer.steps.max())],
        "weight_mse": mse,
        "weight_sqnr_db": ratio,
        "largest_weight": int(np.abs(integers).max(initial=0)),
        "saturated_weights": int(sum(np.count_nonzero(o) for o in outside)),
        "input_shift": neuron.input_shift,
        "leak_error": leak_error(p.neuron.decay, neuron.leak),
        "accumulator": _accumulator(layer, target),
    }
    result["state_rounding"] = _state_rounding(layer, options.timesteps)
    if p.neuron.current_decay is not None and neuron.current is not None:
        result["current_leak_error"] = leak_error(p.neuron.current_decay, neuron.current)
    if p.bias:  # even where it was rounded away altogether
        result["bias_error"] = _bias_error(layer)
    if not p.is_readout:
        divisors = p.theta / layer.steps
        result["threshold_over_grid"] = [float(divisors.min()), float(divisors.max())]
        result["distinct_thresholds"] = int(np.unique(neuron.thresholds).size)
        result["threshold_error"] = layer.threshold_error
        result["reset_error"] = layer.reset_error
    return result


def _state_rounding(layer: Layer, timesteps: int | None) -> float:
    """What a leaking potential or current is rounded to in every step, relative to the threshold.

    Relative to the weight grid in a readout.  0 where nothing is rounded: no leak, or a leak by
    halves with a fraction bit for each.
    """
    p, bits = layer.parameters, layer.neuron.input_shift
    places = p.places(timesteps)
    if places is not None and places <= bits:
        return 0.0
    scale = layer.steps if p.is_readout else p.theta
    return float(np.max(layer.steps / scale)) / (1 << bits)


def _flat(arrays: list[Any]) -> Any:
    return np.concatenate([np.asarray(a).reshape(-1) for a in arrays] or [np.zeros(0)])


def _accumulator(layer: Layer, target: Target) -> dict[str, Any]:
    """Bits needed, bits there, and what happens where the proof does not hold."""
    proof, neuron = layer.proof, layer.neuron
    low, high = proof.state
    model = target.neuron
    half = 1 << (model.state_bits - 1)
    bounded = low is not None and high is not None and low >= -half and high < half
    result: dict[str, Any] = {
        "input_bound": proof.input,
        "input_bits": _bits(proof.input << neuron.input_shift),
        "state_bound": [low, high],
        "state_bits": None if low is None or high is None else _bits(max(-low, high)),
        "state_bits_available": model.state_bits,
        "proven": bounded and layer.fits,
    }
    if model.accumulator_bits is not None:
        result["accumulator_bits_available"] = model.accumulator_bits
    if neuron.current is not None:
        result["current_bits"] = None if proof.current is None else _bits(proof.current)
        result["current_bits_available"] = model.current_bits
    if not bounded:
        verb = "clips" if model.state_overflow == "saturate" else "wraps"
        result["otherwise"] = f"the potential {verb} at {model.state_bits} bits, as on the target"
    return result


def _bits(magnitude: int) -> int:
    """Two's-complement bits that hold [-magnitude, magnitude]."""
    return int(magnitude).bit_length() + 1


def _bias_error(layer: Layer) -> float:
    """Largest rounding of a bias, relative to the threshold (or the largest bias)."""
    p, neuron = layer.parameters, layer.neuron
    unit = (layer.steps / (1 << neuron.input_shift))[p.groups]
    worst = 0.0
    for onset, real in p.bias.items():
        taken = _value(neuron, onset) * unit
        scale = np.abs(real).max() if p.is_readout else p.theta[p.groups]
        worst = max(worst, float(np.max(np.abs(taken - real) / scale)))
    return worst


def _value(neuron: Neuron, onset: int) -> Any:
    return sum((b.value for b in neuron.bias if b.onset == onset), start=np.zeros((), np.int64))
