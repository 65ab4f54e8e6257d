"""Weight grids: exact ones where the weights lie on one, else a whole fraction of the threshold.

A channel of a spiking layer may be scaled freely (weights, bias and threshold together), so each
channel takes the grid ``s = theta / n`` with the largest whole n for which its weights still fit.
A whole n makes subtraction of the threshold exact.
"""

from __future__ import annotations

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray, RealArray

FEW_BITS = 4  # widths whose largest weights are clipped where that lowers the error
TOLERANCE = 1e-5  # float32 checkpoints: 127 steps of relative error 6e-8


def near_integer(values: RealArray) -> bool:
    """True when every value is an integer up to the precision of a float32 checkpoint."""
    return bool((np.abs(values - np.rint(values)) <= TOLERANCE * np.maximum(1, values / 128)).all())


def exact_step(
    weights: RealArray, largest: int, whole: RealArray, wished: RealArray, fraction: int = 0
) -> float | None:
    """Coarsest grid step on which all weights are integers up to ``largest``; None without one.

    Args:
        weights: of one channel, any shape.
        largest: largest integer magnitude.
        whole: numbers that must be multiples of the step too (a threshold that is subtracted),
            or of its ``fraction``-th halving where no step does.
        wished: numbers that should be (biases); a step that fits them is preferred.
    """
    magnitudes = np.unique(np.abs(weights[weights != 0]))
    if not magnitudes.size or magnitudes.size > largest:
        return None
    steps = magnitudes[0] / np.arange(1, largest + 1)
    probe = magnitudes[:: max(1, magnitudes.size // 8)] / steps[:, None]
    off = np.abs(probe - np.rint(probe)) > TOLERANCE * np.maximum(1, probe / 128)
    fits: list[float] = []
    halved: list[float] = []
    for step in steps[~off.any(axis=1) & (magnitudes[-1] <= steps * (largest + 0.5))]:
        if not near_integer(magnitudes / step):
            continue
        if near_integer(whole / step):
            if near_integer(np.abs(wished) / step):
                return float(step)
            fits.append(float(step))
        elif fraction and _dyadic(whole / step, fraction):
            halved.append(float(step))
    return next(iter(fits + halved), None)


def _dyadic(values: RealArray, bits: int) -> bool:
    """True when every value has at most so many binary places, as exactly as float64 tells."""
    scaled = values * 2.0**bits
    return bool((np.abs(scaled - np.rint(scaled)) <= 1e-9 * np.maximum(1, scaled)).all())


def halvings(values: RealArray) -> int | None:
    """Binary places of the numbers, at most 30; None if they have more."""
    for bits in range(31):
        if bool((values * 2.0**bits % 1 == 0).all()):
            return bits
    return None


def clipped_at(weights: RealArray, bits: int, largest: int) -> float:
    """Magnitude at which few bits clip weights: least squared error of rounding and clipping.

    One bit keeps the sign, and its best step is the mean magnitude (Rastegari et al., ECCV 2016).
    """
    size = np.abs(weights[weights != 0])
    if not size.size:
        return 0.0
    if bits == 1:
        return float(size.mean())
    tops = size.max() * np.linspace(0.25, 1, 31)
    steps = (tops / largest)[:, None]
    error = (np.minimum(np.rint(size / steps), largest) * steps - size) ** 2
    return float(tops[error.sum(axis=1).argmin()])


def limit_distinct(largest: IntArray, weight: RealArray, entries: int) -> IntArray:
    """Lower some of the numbers so that at most ``entries`` distinct ones remain.

    The squared error of a channel's weights grows with ``weight / n^2``; the sum is minimised
    exactly by dynamic programming over the sorted numbers (classes are intervals, and each takes
    its smallest member so that no weight leaves its range).

    Args:
        largest: [channels] largest usable n of each channel.
        weight: [channels] importance, e.g. theta^2 times the number of weights.
        entries: size of the table.
    """
    values, inverse = np.unique(largest, return_inverse=True)
    if values.size <= entries:
        return largest
    importance = np.bincount(inverse, weights=weight)
    total = np.concatenate([[0.0], np.cumsum(importance)])
    cost = (total[None, 1:] - total[:-1, None]) / values[:, None].astype(float) ** 2
    cost[np.tril_indices(values.size, -1)] = np.inf  # cost[i, j]: one class for i..j
    best, choice = cost[0].copy(), []
    for _ in range(entries - 1):
        candidate = best[:-1, None] + cost[1:]  # the last class starts at row + 1
        candidate = np.vstack([cost[0], candidate])
        choice.append(candidate.argmin(axis=0))
        best = candidate.min(axis=0)
    lowered = np.empty_like(values)
    end = values.size - 1
    for starts in reversed(choice):
        start = int(starts[end])
        lowered[start : end + 1] = values[start]
        end = start - 1
        if end < 0:
            break
    if end >= 0:
        lowered[: end + 1] = values[0]
    result: IntArray = lowered[inverse]
    return result


def signal_to_noise(real: AnyArray, quantized: AnyArray) -> tuple[float, float | None]:
    """Mean squared error, and the signal-to-quantization-noise ratio in dB (None if exact)."""
    error = float(np.mean((real - quantized) ** 2)) if real.size else 0.0
    power = float(np.mean(real**2)) if real.size else 0.0
    if error <= 1e-12 * power or not power:
        return error, None
    return error, float(10 * np.log10(power / error))
