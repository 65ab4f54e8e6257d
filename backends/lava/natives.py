"""Which populations are exactly Lava's own LIF (or ternary LIF), and with which parameters.

Lava's fixed-point LIF (``proc/lif/models.py``, 0.10.0), tz rounding toward zero, M = 2^23::

    u = wrap_once(tz(u (4096 - (du + 1)) / 4096) + (a << 6))
    v = clip(tz(v (4096 - dv) / 4096) + u + (bias_mant << bias_exp), -M + 1, M - 1)
    s = v > vth << 6;  v = 0 where s

Everything a population asks beyond that, or beyond the documented widths, is a reason to use
snnc's own process instead; it is said in the plan's notes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.neuron import MEMORYLESS, Leak, Neuron, StateRange

DECAY_SHIFT = 12
STATE_SHIFT = 6
M = 1 << 23
VTH_LIMIT = (1 << 17) - 1
BIAS_LIMIT = (1 << 12) - 1
BIAS_EXPONENT_LIMIT = 7
_FAR = 1 << 62


@dataclass(frozen=True, eq=False)
class Lif:
    """Parameters of Lava's LIF, or of its ternary LIF when ``vth_lo`` is not None.

    ``input_shift`` is what remains to be multiplied into the weights, 2^input_shift.
    """

    du: int
    dv: int
    bias_mant: IntArray
    bias_exp: IntArray
    vth: int
    vth_lo: int | None
    input_shift: int


class NotLifError(Exception):
    """Why a population is none of Lava's own neurons."""


def as_lif(neuron: Neuron, input_bound: int, timesteps: int) -> Lif:
    """The population as Lava's LIF.

    Args:
        neuron: the population.
        input_bound: largest absolute sum of its inputs, before ``input_shift``.
        timesteps: logical steps of a sample.

    Raises:
        NotLifError: with the reason, if it is not.
    """
    _check_form(neuron)
    mantissa, exponent = _bias(neuron)
    dv = (1 << DECAY_SHIFT) - _keep(neuron.leak, "leak", least=1)
    du = _current(neuron, input_bound, timesteps)
    _check_state(neuron, input_bound, timesteps)
    low = None
    if neuron.negative_levels:
        low = -_threshold(neuron.negative_thresholds)
    high = _threshold(neuron.thresholds)
    return Lif(du, dv, mantissa, exponent, high, low, neuron.input_shift - STATE_SHIFT)


def _check_form(n: Neuron) -> None:
    if n.emit != "count":
        raise NotLifError("its potential is read" if n.emit == "state" else "it sends changes")
    if n.emission is not None:
        raise NotLifError("it sends looked-up values")
    if n.levels != 1 or n.negative_levels > 1:
        raise NotLifError(
            f"a ladder of {n.levels} thresholds and {n.negative_levels} negative ones"
        )
    if n.emission is not None:
        raise NotLifError("an emission table")
    if n.reset.kind != "value" or n.reset.amount.any():
        raise NotLifError(f"reset {n.reset.kind} {int(n.reset.amount.max())}, not to zero")
    if n.refractory or n.adaptation is not None or n.initial.any() or n.recovery is not None:
        raise NotLifError("refractory time, adaptation or an initial potential")
    if n.input_shift < STATE_SHIFT:
        raise NotLifError(f"its input is shifted by {n.input_shift}, in Lava by {STATE_SHIFT}")


def _threshold(ladder: IntArray) -> int:
    """vth of v > vth << 6."""
    values = np.unique(ladder)
    if values.size > 1:
        raise NotLifError("thresholds differ between neurons")
    below = int(values[0]) - 1
    if below % (1 << STATE_SHIFT) or not 0 <= below >> STATE_SHIFT <= VTH_LIMIT:
        raise NotLifError(f"threshold {below + 1} is no 17-bit register times {1 << STATE_SHIFT}")
    return below >> STATE_SHIFT


def _bias(n: Neuron) -> tuple[IntArray, IntArray]:
    """Mantissa and exponent per neuron, the exponent as small as it can be."""
    if any(b.onset for b in n.bias):
        raise NotLifError("a bias that starts late")
    total = np.broadcast_to(sum((b.value for b in n.bias), start=np.int64(0)), n.shape).reshape(-1)
    exponent = np.zeros(total.size, np.int64)
    for _ in range(BIAS_EXPONENT_LIMIT):
        exponent += np.abs(total >> exponent) > BIAS_LIMIT
    mantissa: IntArray = total >> exponent
    if (mantissa << exponent != total).any() or (np.abs(mantissa) > BIAS_LIMIT).any():
        raise NotLifError("a bias beyond 13 bits and exponent 7")
    return mantissa, exponent


def _keep(leak: Leak, what: str, least: int) -> int:
    """The 12-bit factor of a decay, one for the population."""
    values = np.unique(leak.multiplier)
    if values.size > 1:
        raise NotLifError(f"the {what} differs between neurons")
    if leak.shift > DECAY_SHIFT:
        raise NotLifError(f"the {what} has {leak.shift} bits, in Lava {DECAY_SHIFT}")
    factor = int(values[0]) << (DECAY_SHIFT - leak.shift)
    plain = factor in (0, 1 << DECAY_SHIFT)  # nothing is rounded
    if not plain and leak.rounding != "toward_zero":
        raise NotLifError(f"the {what} rounds {leak.rounding}, in Lava toward zero")
    if not least <= factor <= least + (1 << DECAY_SHIFT) - 1:
        raise NotLifError(f"the {what} factor {factor}/4096 is none of Lava's")
    return factor


def _current(n: Neuron, input_bound: int, timesteps: int) -> int:
    """du; in Lava the current always exists and wraps at 24 bits."""
    factor = _keep(n.current or MEMORYLESS, "current leak", least=0)
    drive = input_bound << n.input_shift
    bound = reach(factor, drive, timesteps)
    if bound >= M:
        _check_wrap(n, drive)
    return (1 << DECAY_SHIFT) - factor - 1


def _check_wrap(n: Neuron, drive: int) -> None:
    """Beyond 24 bits Lava wraps once, into (-M, M]."""
    if n.current is None or n.current_range != StateRange(-M + 1, M, "wrap"):
        raise NotLifError("the current may pass 24 bits, where Lava wraps into (-2^23, 2^23]")
    if drive > 2 * M:
        raise NotLifError("an input may pass 2^24, where Lava wraps once only")


def _check_state(n: Neuron, input_bound: int, timesteps: int) -> None:
    if n.state_range == StateRange(-M + 1, M - 1):
        return
    current = input_bound << n.input_shift
    if n.current is not None:
        current = reach(_keep(n.current, "current leak", least=0), current, timesteps)
    bias = sum(int(np.abs(b.value).max()) for b in n.bias)
    kept = max(n.current_range.high, -n.current_range.low) if n.current is not None else _FAR
    bound = reach(_keep(n.leak, "leak", least=1), min(current, kept) + bias, timesteps)
    if bound >= min(M, n.state_range.high, -n.state_range.low):
        raise NotLifError(
            "the potential may leave the range where its bounds and Lava's are the same"
        )


def reach(factor: int, drive: int, steps: int) -> int:
    """Largest |x| after ``steps`` of x = tz(factor x / 4096) + drive, from 0."""
    x = 0
    for _ in range(steps):
        following = (factor * x >> DECAY_SHIFT) + drive
        if following == x or following > _FAR:
            return following
        x = following
    return x
