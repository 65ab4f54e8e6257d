"""Bounds of what a population can receive and hold: the facts behind "it never overflows"."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.jit import lean_kernel
from snnc.ir.neuron import Leak, Neuron


@dataclass(frozen=True)
class Drive:
    """Smallest and largest sum of weights that can reach one neuron of a population in a step.

    Over all neurons of the population, all sources sending their extreme at once.
    """

    low: int
    high: int

    @property
    def magnitude(self) -> int:
        """Largest absolute sum."""
        return max(self.high, -self.low)


@lean_kernel
def add_extremes(
    target: IntArray, weight: IntArray, low: int, high: int, lowest: IntArray, highest: IntArray
) -> None:
    """Add to both sums [neurons] what synapses contribute when senders send their extremes.

    Args:
        target, weight: [synapses] of sources that send ``low`` to ``high``.
        low, high: smallest and largest count.
        lowest, highest: by target.
    """
    for k in range(target.size):
        a, b = weight[k] * low, weight[k] * high
        lowest[target[k]] += min(a, b)
        highest[target[k]] += max(a, b)


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
