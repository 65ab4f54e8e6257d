"""Encoders of static values into time, and of frames into events (``docs/coding.md``).

``poisson``, ``latency`` and ``phase`` take values in [0, 1], or 8-bit integers divided by 255.
"""

from __future__ import annotations

import numpy as np

from snnc.inputs.coding import Coding
from snnc.ir.arrays import AnyArray, IntArray, RealArray
from snnc.ir.errors import InputError

_WORD = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def encode(
    values: AnyArray, coding: Coding | str, steps: int, seed: int, first_sample: int = 0
) -> AnyArray:
    """Spread static values [samples, *shape] over time: [samples, steps, *shape].

    Args:
        values: static values; ``events``, ``frames`` and ``delta`` are not for them.
        coding: which one, with its parameters.
        steps: time steps.
        seed: of the poisson encoder.
        first_sample: number of the first sample: sample ``i`` of a poisson code depends only on
            ``seed`` and ``first_sample + i``, not on the batch it is in.

    Raises:
        InputError: values outside [0, 1], except for ``direct``.
    """
    coding = Coding.parse(coding) if isinstance(coding, str) else coding
    if coding.name == "direct":
        repeated: AnyArray = np.repeat(values[:, None], steps, axis=1)
        return repeated
    if coding.name == "phase":
        return _phase(values, coding["bits"], bool(coding["weighted"]), steps)
    unit = _unit(values)
    if coding.name == "latency":
        clock = np.arange(steps).reshape(1, steps, *(1,) * (values.ndim - 1))
        spikes: AnyArray = np.equal(_moment(unit, coding, steps)[:, None], clock).astype(np.uint8)
        return spikes
    limit = np.round(256 * unit).astype(np.int64)
    elements = int(np.prod(values.shape[1:]))
    result = np.empty((values.shape[0], steps, *values.shape[1:]), np.uint8)
    for i in range(values.shape[0]):
        random = prng8(seed, first_sample + i, steps * elements)
        result[i] = random.reshape(result.shape[1:]) < limit[i]
    return result


def encode_timed(values: AnyArray, coding: Coding) -> AnyArray:
    """Code data that has a time axis, [samples, steps, *shape].

    ``frames`` and ``events`` are taken as they are; ``events:binary=1`` makes one event of
    several in a bin.  ``delta`` sends the sign of a change beyond ``theta``, see ``_delta``.
    """
    if coding.name == "delta":
        return _delta(values, float(coding["theta"]), bool(coding["split"]))
    if coding.name == "events" and coding["binary"]:
        ones: AnyArray = np.sign(values)
        return ones
    return values


def prng8(seed: int, sample: int, count: int) -> IntArray:
    """``count`` 8-bit random numbers of one sample, the same on every machine and version.

    Number n is the top byte of ``mix(key + (n + 1) G)`` with ``key = mix(mix(seed) + (sample + 1)
    G)``, ``G = 0x9E3779B97F4A7C15``, all modulo 2^64; ``mix`` is the output function of SplitMix64
    (Steele, Lea & Flood, OOPSLA 2014).  n counts steps first, then elements in C order.
    """
    key = _mix(_mix(seed & _WORD) + (sample + 1) * _GOLDEN)
    with np.errstate(over="ignore"):
        z = np.uint64(key) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    result: IntArray = (z >> np.uint64(56)).astype(np.int64)
    return result


def _mix(z: int) -> int:
    """The output function of SplitMix64 on one number."""
    z &= _WORD
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _WORD
    return z ^ (z >> 31)


def _moment(unit: RealArray, coding: Coding, steps: int) -> IntArray:
    """Step of every element's only spike, rounded to even; -1 = never.

    ``linear``: (T - 1)(1 - x).  ``log``: T - 1 - ln(a x + 1) with a = e^(T-1) - 1 (both
    SpikingJelly's latency encoders).  ``genn``: tau ln(x / (x - nu)) for x > nu, the time at which
    a leaky integrator driven by x reaches nu (mlGeNN); what comes after the last step is lost.
    """
    if coding["rule"] == "genn":
        fires = unit > coding["nu"]
        above = np.where(fires, unit, 1.0)
        time = np.round(coding["tau"] * np.log(above / (above - coding["nu"] * fires)))
        moment: IntArray = np.where(fires & (time < steps), time, -1).astype(np.int64)
        return moment
    late = steps - 1.0
    if coding["rule"] == "log":
        # ln(a x + 1) without overflow of a = e^late - 1.
        with np.errstate(divide="ignore"):
            time = late - np.logaddexp(late + np.log(unit), np.log1p(-unit))
    else:
        time = late * (1.0 - unit)
    rounded: IntArray = np.round(time).astype(np.int64)
    return rounded


def _phase(values: AnyArray, bits: int, weighted: bool, steps: int) -> AnyArray:
    """Bit planes, most significant first, again and again: step t sends bit bits - 1 - (t % bits).

    Of a real value the bits of floor(x 2^bits) (Kim et al., Neurocomputing 311, 2018), 1 being
    all ones; of an 8-bit integer its highest bits.  A plane stands for 2^-(k+1) of the whole:
    ``weighted`` sends that, as 2^(bits - 1 - k), instead of 1.
    """
    if values.dtype == np.uint8:
        eight = values.astype(np.int64)
        whole = eight >> (8 - bits) if bits <= 8 else eight << (bits - 8)
    else:
        scaled = np.floor(_unit(values) * (1 << bits)).astype(np.int64)
        whole = np.minimum(scaled, (1 << bits) - 1)
    plane = bits - 1 - np.arange(steps) % bits
    plane = plane.reshape(1, steps, *(1,) * (values.ndim - 1))
    sent: AnyArray = (whole[:, None] >> plane) & 1
    return sent << plane if weighted else sent


def _delta(frames: AnyArray, theta: float, split: bool) -> AnyArray:
    """Events of a change sensor: sign of ``x_t - reference`` where it is beyond ``theta``.

    The first frame is the reference and sends nothing; an event moves the reference of its element
    to x_t.  ``split`` sends them as two halves of the first axis, rising, then falling.
    """
    values = frames.astype(np.float64)
    reference = values[:, 0].copy()
    result = np.zeros(values.shape, np.int8)
    for t in range(1, values.shape[1]):
        change = values[:, t] - reference
        result[:, t] = np.sign(change) * (np.abs(change) > theta)
        reference = np.where(result[:, t] != 0, values[:, t], reference)
    if not split:
        return result
    return np.concatenate([result > 0, result < 0], axis=2).astype(np.uint8)


def _unit(values: AnyArray) -> RealArray:
    unit = values / 255.0 if values.dtype == np.uint8 else values.astype(np.float64)
    if unit.size and not (unit.min() >= 0 and unit.max() <= 1):
        raise InputError(
            "rate, latency and phase coding need values in [0, 1]",
            where="x",
            found=f"[{unit.min():g}, {unit.max():g}]",
            allowed="[0, 1], or 8-bit integers",
            remedy="scale the data, or use --encode direct",
        )
    return unit
