"""How far sums, currents and potentials of a population can go: the accumulator proof.

Let x be the shifted input of one step with biases, in [low, high].  A state that keeps the
fraction a < 1 per step stays within x / (1 - a); without leak it grows by at most x per step for
T steps.  A potential that fires is caught at the threshold: before the reset it is at most
``threshold - 1 + high``, provided one reset removes what one step can add.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    lowest = -_highest(_mirrored(neuron), -per_step[0], timesteps)
    highest = _highest(neuron, per_step[1], timesteps)
    if neuron.reset.kind == "multiply":  # a negative factor swaps the sides
        highest = max(highest, -lowest)
        lowest = -highest
    if clipped:
        lowest = max(lowest, float(neuron.state_range.low))
    return Bounds(most, current, (_whole(lowest), _whole(highest)))


def _mirrored(neuron: Neuron) -> Neuron:
    """The neuron of -v, for the bound below."""
    reset = neuron.reset
    if reset.kind == "value":
        reset = replace(reset, amount=-reset.amount)
    return replace(
        neuron,
        thresholds=neuron.negative_thresholds,
        negative_thresholds=neuron.thresholds,
        reset=reset,
        initial=-neuron.initial,
        # What is sent, and when, does not matter to the membrane.
        emission=None,
        recovery=None,
        delta=None,
        emit="count" if neuron.delta is not None else neuron.emit,
    )


def _grown(step: float, leak: Leak, timesteps: int | None, factor: int = 1) -> float:
    """Limit of a state that gains ``step`` per step, plus one unit of rounding per step.

    ``factor`` multiplies the state besides (a reset that multiplies).
    """
    if step == 0:
        return 0.0
    kept = float(leak.multiplier.max()) / (1 << leak.shift) * factor
    rounding = np.copysign(0.0 if leak.is_identity else 1.0, step)
    steps = np.inf if timesteps is None else float(timesteps)
    if kept > 1:
        steps = np.inf if np.isinf(steps) else (kept**steps - 1) / (kept - 1)
    limit = np.inf if kept >= 1 else 1 / (1 - kept)
    return float((step + rounding) * min(steps, limit))


def _rest(neuron: Neuron) -> int:
    """Highest potential that the start or a reset leaves, at least 0; the input goes on from there.

    Subtraction for a negative spike can lead above 0 where it removes more than the threshold.
    """
    found = [0, int(neuron.initial.max())]
    if neuron.reset.kind == "value":
        found.append(int(neuron.reset.amount.max()))
    elif neuron.negative_levels and neuron.reset.kind == "subtract":
        count = np.arange(1, neuron.negative_levels + 1).reshape(-1, *(1,) * len(neuron.shape))
        found.append(int((count * neuron.reset.amount - neuron.negative_thresholds).max()))
    return max(found)


def _highest(neuron: Neuron, step: float, timesteps: int | None) -> float:
    start = _rest(neuron)
    multiplies = neuron.reset.kind == "multiply"
    factor = max(1, abs(neuron.reset.up), abs(neuron.reset.down)) if multiplies else 1
    free = _grown(step, neuron.leak, timesteps, factor) + start * factor
    caught = neuron.levels and neuron.reset.kind in ("value", "subtract")
    waits = neuron.recovery or (neuron.refractory and not neuron.refractory_hold)
    if not caught or neuron.adaptation or waits:
        return free
    top = float(neuron.thresholds[-1].max())
    if neuron.reset.kind == "subtract":
        removed = float(neuron.reset.amount.min()) * neuron.levels
        if step > removed:
            return max(free, top - 1 + step)
    rest = max(top - 1, start)
    return min(free, rest + step) if step > 0 else max(rest, free)


def _whole(value: float) -> int | None:
    return None if np.isinf(value) else int(np.floor(value) if value < 0 else np.ceil(value))
