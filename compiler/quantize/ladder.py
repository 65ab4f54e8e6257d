"""Which integers a target can hold as threshold, leak and bias, and the nearest to a real one.

All numbers come from ``Target.neuron``; the neuron normal form compares with ``>=``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.neuron import MEMORYLESS, NO_LEAK, Leak
from snnc.ir.target import NeuronModel

Comparator = str


@dataclass(frozen=True)
class Thresholds:
    """Values a threshold register can mean: ``(m << shift) + above`` for 0 <= m <= largest."""

    shift: int
    largest: int
    above: int

    @staticmethod
    def of(model: NeuronModel) -> Thresholds:
        """A chip that fires on ``v > m << shift`` fires on ``v >= (m << shift) + 1``."""
        above = 1 if model.comparator == ">" else 0
        return Thresholds(model.threshold_shift, (1 << model.threshold_bits) - 1, above)

    @property
    def top(self) -> int:
        """Largest threshold."""
        return (self.largest << self.shift) + self.above

    def nearest(self, ideal: IntArray, step: int) -> IntArray:
        """Representable thresholds that act like ``ideal``, or the closest ones.

        Args:
            ideal: thresholds to reach, fire at ``v >= ideal``.
            step: every reachable v is a multiple of it, so a whole interval of thresholds acts
                alike: (p, p + step] around the ideal one, with p the multiple of step below it.
        """
        below = -(-ideal // step) * step - step  # largest multiple of step that does not fire
        first = -(-(below + 1 - self.above) // (1 << self.shift))  # first register above it
        candidate = self._value(first)
        alike = (candidate > below) & (candidate <= below + step)
        lower = self._value((ideal - self.above) >> self.shift)
        upper = self._value(((ideal - self.above) >> self.shift) + 1)
        closest = np.where(ideal - lower <= upper - ideal, lower, upper)
        # A threshold of 0 or less would fire on silence.
        closest = np.where(closest < 1, upper, closest)
        result: IntArray = np.where(alike & (candidate >= 1), candidate, closest)
        return result

    def _value(self, register: IntArray) -> IntArray:
        return (np.clip(register, 0, self.largest) << self.shift) + self.above


def leak(decay: RealArray, model: NeuronModel, allowed: tuple[int, int] | None) -> Leak:
    """Leak with the multiplier nearest to ``decay``; exact for 1 and 0 where these are allowed.

    Args:
        decay: factor per step in [0, 1].
        model: width and rounding.
        allowed: smallest and largest multiplier; None = 0 .. 2^bits.
    """
    one = 1 << model.leak_bits
    low, high = allowed or (0, one)
    if high == one and bool((decay == 1).all()):
        return NO_LEAK
    if low == 0 and bool((decay == 0).all()):
        return MEMORYLESS
    multiplier = np.clip(np.rint(decay * one), low, high).astype(np.int64)
    return Leak(multiplier, model.leak_bits, model.leak_rounding)


def leak_error(decay: RealArray, quantized: Leak) -> float:
    """Largest difference between the factor wanted and the factor taken."""
    return float(np.max(np.abs(quantized.multiplier / (1 << quantized.shift) - decay)))


def bias(real: RealArray, model: NeuronModel) -> tuple[IntArray, bool]:
    """Nearest biases ``mantissa << exponent``, and whether all fit the largest exponent."""
    value = np.rint(real)
    bits = model.bias_bits or 0
    largest = (1 << bits) - 1
    size = np.maximum(np.abs(value), 1)
    exponent = np.maximum(0, np.floor(np.log2(size)).astype(np.int64) + 1 - bits)
    # Rounding up may carry into the next power of two.
    exponent += np.rint(np.abs(value) / 2.0**exponent) > largest
    fits = bool((exponent <= model.bias_max_exponent).all())
    exponent = np.minimum(exponent, model.bias_max_exponent)
    mantissa = np.clip(np.rint(real / 2.0**exponent), -largest, largest).astype(np.int64)
    result: IntArray = mantissa << exponent
    return result, fits
