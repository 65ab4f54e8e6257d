"""The real-valued neuron of a ``Network``: a framework's discrete-time update, spelled out.

A frontend turns every framework neuron (and its dialect: time step, gain, comparator, reset,
multi-spike rule) into this one record, so that nothing about the behaviour stays implicit.
One step, in float64 unless the frontend's tests say otherwise::

    cur = current_decay * cur + current_gain * x       only with ``current_decay``; else cur = x
    v   = decay * v + gain * cur + offset
    s   = spikes(v)          v > theta, v >= theta, or floor(v / theta) with ``multi_spike``
    v   = reset(v, s)        see ``reset`` and ``reset_timing``
    v   = max(v, minimum)    when ``minimum`` is given
    emit s, or v when ``threshold`` is None
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from snnc.ir.arrays import RealArray, Shape, check_broadcast, reals
from snnc.ir.errors import ModelError

Comparator = Literal[">", ">="]
ResetRule = Literal["zero", "subtract", "value", "none"]
ResetTiming = Literal["now", "next_step", "snntorch_subtract"]


@dataclass(frozen=True, eq=False)
class RealNeuron:
    """A population of real-valued neurons; every array broadcasts to ``shape``.

    Attributes:
        decay: factor on v per step (1 = integrate-and-fire).
        gain: factor on the current per step.
        offset: added per step (leak potential times leak rate).
        threshold: None for a leaky integrator that emits v.
        reset_timing: "now" resets in the step of the spike; "next_step" applies the reset of step
            t-1 to the new potential of step t (snnTorch's recurrent neurons);
            "snntorch_subtract" is ``r = [v_prev > theta]; v = decay v + gain x - r theta;
            s = [v > theta]; v -= (s - r) theta`` (snnTorch 1.x Leaky with reset "subtract").
        multi_spike: largest count per step; 1 = binary, 0 = unlimited (floor(v / theta)).
    """

    name: str
    inputs: tuple[str, ...]
    shape: Shape
    decay: RealArray
    gain: RealArray
    offset: RealArray
    threshold: RealArray | None
    comparator: Comparator = ">"
    reset: ResetRule = "zero"
    reset_value: RealArray | None = None
    reset_timing: ResetTiming = "now"
    multi_spike: int = 1
    current_decay: RealArray | None = None
    current_gain: RealArray | None = None
    minimum: float | None = None

    def __post_init__(self) -> None:
        for label in ("decay", "gain", "offset", "threshold", "reset_value",
                      "current_decay", "current_gain"):  # fmt: skip
            value = getattr(self, label)
            if value is not None:
                array = reals(f"{self.name}.{label}", value)
                check_broadcast(f"{self.name}.{label}", array, self.shape)
                object.__setattr__(self, label, array)
        if (self.current_decay is None) != (self.current_gain is None):
            raise ModelError("current_decay and current_gain come together", where=self.name)
        if (self.reset == "value") != (self.reset_value is not None):
            raise ModelError('reset_value goes with reset="value"', where=self.name)
        if self.threshold is not None and (self.threshold <= 0).any():
            raise ModelError(
                "a firing threshold must be positive",
                where=f"{self.name}.threshold",
                found=float(self.threshold.min()),
            )
        if self.multi_spike < 0:
            raise ModelError("multi_spike is not negative", where=self.name)
