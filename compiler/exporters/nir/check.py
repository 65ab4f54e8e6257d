"""What a written neuron becomes when it is read again, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from snnc.compiler.exporters.nir.options import LOSSY
from snnc.ir.arrays import RealArray
from snnc.ir.network import Network
from snnc.ir.real_neuron import RealNeuron

ROUNDING = 1e-6
"""Relative difference that float32 parameters explain."""
_ARRAYS = ("decay", "gain", "offset", "threshold", "reset_value", "current_decay",
           "current_gain", "initial")  # fmt: skip
_OF_SPIKES = ("comparator", "reset", "reset_value", "reset_timing", "multi_spike", "minimum",
              "negative_spikes", "rounding", "ladder", "reset_factors", "adaptation",
              "refractory", "refractory_hold")  # fmt: skip
_OF_RESETS = ("reset", "reset_value", "minimum", "reset_factors")


@dataclass(frozen=True)
class Difference:
    """One field of one population that reads differently.

    Attributes:
        error: largest relative difference of numbers; infinite where the rule is another.
    """

    population: str
    field: str
    has: str
    reads: str
    error: float = np.inf

    @property
    def rounded(self) -> bool:
        """Whether it is the same number up to the precision of the file."""
        return self.error <= ROUNDING

    def __str__(self) -> str:
        if self.rounded:
            return f"{self.field} of {self.population} rounded by {self.error:.1e}"
        return f"{self.field} of {self.population}: {self.has}, reads as {self.reads}"


def differences(written: Network, read: Network) -> Iterator[Difference]:
    """All fields of all populations that changed their meaning."""
    again = {n.name: n for n in read.of_type(RealNeuron)}
    for neuron in written.of_type(RealNeuron):
        other = again[neuron.name]
        for field in LOSSY:
            if field not in _without_meaning(neuron, other):
                found = _difference(neuron, other, field)
                if found is not None:
                    yield found


def _without_meaning(neuron: RealNeuron, other: RealNeuron) -> tuple[str, ...]:
    """Fields that do not matter for what the neuron does."""
    if neuron.threshold is None:
        return _OF_SPIKES
    idle: tuple[str, ...] = ()
    forgets = not neuron.decay.any() and neuron.reset_timing == other.reset_timing == "now"
    if forgets and not neuron.refractory:
        idle += _OF_RESETS  # nothing of the potential is left for the next step
    if neuron.reset != "multiply":
        idle += ("reset_factors",)
    if not neuron.refractory:
        idle += ("refractory_hold",)
    return idle


def _difference(neuron: RealNeuron, other: RealNeuron, field: str) -> Difference | None:
    mine, theirs = getattr(neuron, field), getattr(other, field)
    if field not in _ARRAYS or mine is None or theirs is None:
        if _same(mine, theirs):
            return None
        return Difference(neuron.name, field, _brief(mine), _brief(theirs))
    a, b = (np.broadcast_to(values, neuron.shape) for values in (mine, theirs))
    gap = np.abs(a - b)
    if not gap.any():
        return None
    error = float((gap / np.maximum(np.maximum(np.abs(a), np.abs(b)), 1e-300)).max())
    return Difference(neuron.name, field, _brief(mine), _brief(theirs), error)


def _same(mine: object, theirs: object) -> bool:
    if isinstance(mine, np.ndarray) or isinstance(theirs, np.ndarray):
        return mine is theirs
    return mine == theirs


def _brief(value: object) -> str:
    if isinstance(value, np.ndarray):
        return _range(value)
    if value is None or isinstance(value, str | int | float | tuple):
        return str(value)
    return type(value).__name__


def _range(values: RealArray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
