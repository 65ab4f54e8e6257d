"""How far sums, currents and potentials of a population can go: the accumulator proof.

Let x be the shifted input of one step with biases, in [low, high].  A state that keeps the
fraction a < 1 per step stays within x / (1 - a); without leak it grows by at most x per step for
T steps.  A potential that fires is caught at the threshold: before the reset it is at most
``threshold - 1 + high``, provided one reset removes what one step can add.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.neuron import Leak, Neuron


@dataclass(frozen=True)
class Bounds:
    """Largest magnitudes; None = no bound without ``timesteps``.

    Attributes:
        input: of the summed input before the shift.
        current: of the synaptic current (of the shifted input without one).
        state: lowest and highest potential before the reset.
    """

    input: int
    current: int | None
    state: tuple[int | None, int | None]


def bounds(
    neuron: Neuron, low: IntArray, high: IntArray, timesteps: int | None, clipped: bool = False
) -> Bounds:
    """Bounds of a population whose summed input lies in [low, high] (per neuron).

    ``clipped``: the network itself bounds the potential from below, at ``state_range.low``.
    """
    most = int(max(np.abs(low).max(), np.abs(high).max()))
    below, above = low << neuron.input_shift, high << neuron.input_shift
    current: int | None = most << neuron.input_shift
    grown_below: float = float(np.minimum(below, 0).min())
    grown_above: float = float(np.maximum(above, 0).max())
    if neuron.current is not None:
        grown_below = _grown(grown_below, neuron.current, timesteps)
        grown_above = _grown(grown_above, neuron.current, timesteps)
        largest = max(-grown_below, grown_above)
        current = None if np.isinf(largest) else int(np.ceil(largest))
    bias_low = sum(min(0, int(b.value.min())) for b in neuron.bias)
    bias_high = sum(max(0, int(b.value.max())) for b in neuron.bias)
    per_step = (grown_below + bias_low, grown_above + bias_high)
    lowest = _grown(per_step[0], neuron.leak, timesteps) + _lowest_rest(neuron)
    if clipped:
        lowest = max(lowest, float(neuron.state_range.low))
    highest = _highest(neuron, per_step[1], timesteps)
    return Bounds(most, current, (_whole(lowest), _whole(highest)))


def _grown(step: float, leak: Leak, timesteps: int | None) -> float:
    """Limit of a state that gains ``step`` per step, plus one unit of rounding per step."""
    if step == 0:
        return 0.0
    kept = float(leak.multiplier.max()) / (1 << leak.shift)
    rounding = np.copysign(0.0 if leak.is_identity else 1.0, step)
    steps = np.inf if timesteps is None else float(timesteps)
    limit = np.inf if kept >= 1 else 1 / (1 - kept)
    return float((step + rounding) * min(steps, limit))


def _lowest_rest(neuron: Neuron) -> int:
    """Lowest potential that the start or a reset leaves, at most 0; the input goes on from there.

    A subtraction can lead below 0 where it removes more than the threshold.
    """
    found = [0, int(neuron.initial.min())]
    if neuron.levels and neuron.reset.kind == "value":
        found.append(int(neuron.reset.amount.min()))
    elif neuron.levels and neuron.reset.kind == "subtract":
        count = np.arange(1, neuron.levels + 1).reshape(-1, *(1,) * len(neuron.shape))
        found.append(int((neuron.thresholds - count * neuron.reset.amount).min()))
    return min(found)


def _highest(neuron: Neuron, step: float, timesteps: int | None) -> float:
    start = max(0, int(neuron.initial.max()))
    free = _grown(step, neuron.leak, timesteps) + start
    if neuron.emit == "state" or neuron.reset.kind == "none" or not neuron.levels:
        return free
    top = float(neuron.thresholds[-1].max())
    if neuron.reset.kind == "subtract":
        removed = float(neuron.reset.amount.min()) * neuron.levels
        if step > removed:
            return max(free, top - 1 + step)
    rest = max(top - 1, start)
    if neuron.reset.kind == "value":
        rest = max(rest, float(neuron.reset.amount.max()))
        free += max(0, float(neuron.reset.amount.max()))
    return min(free, rest + step) if step > 0 else max(rest, free)


def _whole(value: float) -> int | None:
    return None if np.isinf(value) else int(np.floor(value) if value < 0 else np.ceil(value))
