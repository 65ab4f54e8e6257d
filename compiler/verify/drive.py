"""Bounds of what a population can receive and hold: the facts behind "it never overflows"."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from snnc.ir.expand import Projection
from snnc.ir.neuron import Leak, Neuron
from snnc.ir.types import ValueType


@dataclass(frozen=True)
class Drive:
    """Smallest and largest sum of weights that can reach one neuron of a population in a step."""

    low: int
    high: int

    @property
    def magnitude(self) -> int:
        """Largest absolute sum."""
        return max(self.high, -self.low)


def drive_of(neuron: Neuron, projections: list[Projection], types: dict[str, ValueType]) -> Drive:
    """Bound over all neurons of a population, all sources sending their extreme at once."""
    low = np.zeros(neuron.size)
    high = np.zeros(neuron.size)
    for projection in projections:
        sent = types[projection.source]
        weight = projection.weight
        for bound, extreme in ((low, np.minimum), (high, np.maximum)):
            each = extreme(weight * sent.low, weight * sent.high)
            bound += np.bincount(projection.target, weights=each, minlength=neuron.size)
    return Drive(int(low.min(initial=0)), int(high.max(initial=0)))


def state_bounds(neuron: Neuron, drive: Drive, timesteps: int) -> tuple[int, int]:
    """Largest |current| and |membrane| before any reset, over a sample of ``timesteps`` steps.

    Resets to zero or by subtraction are ignored; they only bring a state closer to what the
    inputs alone can build up, one threshold step aside.  A reset that multiplies acts as a leak.
    """
    arriving = drive.magnitude << neuron.input_shift
    current = arriving
    if neuron.current is not None:
        current = _gathered(neuron.current, arriving, timesteps)
    bias = sum(int(np.abs(term.value).max(initial=0)) for term in neuron.bias)
    grown = 1
    if neuron.reset.kind == "multiply":
        grown = max(1, abs(neuron.reset.up), abs(neuron.reset.down))
    reset = int(np.abs(neuron.reset.amount).max(initial=0)) * max(1, neuron.levels)
    start = int(np.abs(neuron.initial).max(initial=0))
    state = _gathered(neuron.leak, current + bias + reset, timesteps, grown)
    return current, grown * (state + start)


def _gathered(leak: Leak, step: int, timesteps: int, grown: int = 1) -> int:
    """Sum of at most ``timesteps`` contributions of ``step``, kept by the leak, times ``grown``."""
    keep = grown * Fraction(int(leak.multiplier.max(initial=0)), 1 << leak.shift)
    if keep > 1:
        return 2**62
    # Rounding may add one unit per step where the leak is not exact.
    total = (step + 1) * timesteps
    if keep < 1:
        total = min(total, int((step + 1) / (1 - keep)) + 1)
    return total
