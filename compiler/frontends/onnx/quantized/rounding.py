"""The quantizers of ONNX and of QONNX, as steps and as functions of constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx.quantized.values import Step

Round = Callable[[Any], Any]


def _half(x: Any, up: bool) -> Any:
    """Ties away from zero, or toward it."""
    size = np.abs(x)
    whole = np.floor(size + 0.5) if up else np.ceil(size - 0.5)
    return np.sign(x) * whole


ROUNDINGS: Mapping[str, Round] = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "DOWN": np.trunc,
    "ROUND_TO_ZERO": np.trunc,
    "HALF_UP": lambda x: _half(x, True),
    "HALF_DOWN": lambda x: _half(x, False),
}
"""Rounding modes of QONNX; ROUND is to nearest, ties to even."""


def rounded(zero: int, low: int, high: int, mode: Round = np.rint) -> Step:
    """``clip(round(x) + zero, low, high)``, as QuantizeLinear defines it."""

    def apply(x: Any) -> Any:
        return np.clip(mode(x) + zero, low, high)

    return Step(apply)


def clipped_first(zero: int, low: int, high: int, mode: Round) -> Step:
    """``round(clip(x + zero, low, high))``, as QONNX's Quant defines it."""

    def apply(x: Any) -> Any:
        return mode(np.clip(x + x.dtype.type(zero), low, high))

    return Step(apply)


def integer_range(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """Smallest and largest integer of a QONNX quantizer."""
    if signed:
        return -(1 << (bits - 1)) + int(narrow), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1 - int(narrow)
