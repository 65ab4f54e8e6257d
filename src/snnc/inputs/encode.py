"""Encoders of static values into time (``deployable-systems``: direct, rate, latency coding).

``poisson`` and ``latency`` take values in [0, 1], or 8-bit integers that are divided by 255.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from snnc.ir.arrays import AnyArray
from snnc.ir.errors import InputError

Encoding = Literal["direct", "poisson", "latency"]


def encode(
    values: AnyArray, encoding: Encoding, steps: int, seed: int, first_sample: int = 0
) -> AnyArray:
    """Spread static values [samples, *shape] over time: [samples, steps, *shape].

    ``direct`` repeats the value in every step.  ``poisson`` spikes where an 8-bit random number
    is below round(256 x), drawn anew per element and step; sample ``i`` depends only on ``seed``
    and ``first_sample + i``, not on the batch it is in.  ``latency`` spikes once, in step
    round((steps - 1) (1 - x)), ties to even (SpikingJelly's linear latency encoder).

    Raises:
        InputError: poisson or latency of values outside [0, 1].
    """
    if encoding == "direct":
        repeated: AnyArray = np.repeat(values[:, None], steps, axis=1)
        return repeated
    unit = _unit(values)
    if encoding == "latency":
        moment = np.round((steps - 1) * (1.0 - unit)).astype(np.int64)
        clock = np.arange(steps).reshape(1, steps, *(1,) * (values.ndim - 1))
        spikes: AnyArray = np.equal(moment[:, None], clock).astype(np.uint8)
        return spikes
    limit = np.round(256 * unit).astype(np.int64)
    result = np.empty((values.shape[0], steps, *values.shape[1:]), np.uint8)
    for i in range(values.shape[0]):
        random = np.random.default_rng([seed, first_sample + i])
        result[i] = random.integers(0, 256, result.shape[1:], np.uint8) < limit[i]
    return result


def _unit(values: AnyArray) -> AnyArray:
    unit = values / 255.0 if values.dtype == np.uint8 else values.astype(np.float64)
    if unit.size and not (unit.min() >= 0 and unit.max() <= 1):
        raise InputError(
            "rate and latency coding need values in [0, 1]",
            where="x",
            found=f"[{unit.min():g}, {unit.max():g}]",
            allowed="[0, 1], or 8-bit integers",
            remedy="scale the data, or use --encode direct",
        )
    return unit
