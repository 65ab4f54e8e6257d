"""The real-valued neuron of a ``Network``: a framework's discrete-time update, spelled out.

A frontend turns every framework neuron (and its dialect: time step, gain, comparator, reset,
multi-spike rule) into this one record, so that nothing about the behaviour stays implicit.
One step, in float64 unless the frontend's tests say otherwise::

    cur = current_decay * cur + current_gain * x       only with ``current_decay``; else cur = x
    v   = decay * v + gain * cur + offset
    th  = threshold + scale * a                        a = 0 without ``adaptation``
    s   = spikes(v, th)                                see ``multi_spike``, ``rounding``, ``ladder``
    if q > 0:  s = 0, and v = reset value if ``refractory_hold``
    v   = reset(v, s)                                  see ``reset`` and ``reset_timing``
    v   = max(v, minimum)                              when ``minimum`` is given
    a   = adaptation.decay * a + adaptation.gain * s
    q   = s != 0 ? refractory : max(q - 1, 0)
    emit s, or v when ``threshold`` is None

State starts at v = ``initial``, cur = a = q = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from snnc.ir.arrays import RealArray, Shape, check_broadcast, reals
from snnc.ir.errors import ModelError

Comparator = Literal[">", ">="]
ResetRule = Literal["zero", "subtract", "value", "none", "multiply"]
SpikeRounding = Literal["floor", "half_even", "half_up"]
ResetTiming = Literal["now", "next_step", "snntorch_subtract"]


def _zero() -> RealArray:
    return np.zeros(())


@dataclass(frozen=True, eq=False)
class RealAdaptation:
    """Threshold offset driven by the neuron's own spikes (ALIF, Bellec et al., NeurIPS 2018).

    ``threshold + scale * a`` with ``a = decay * a + gain * s`` after the spike decision.

    Attributes:
        in_reset: a reset by subtraction takes away the raised threshold, not the plain one.
    """

    decay: RealArray
    gain: RealArray
    scale: RealArray
    in_reset: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        for label in ("decay", "gain", "scale"):
            object.__setattr__(self, label, reals(f"adaptation {label}", getattr(self, label)))


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
        reset: what s spikes do to v: "zero", "value" (v = reset_value where s != 0), "subtract"
            (v -= threshold * s), "none", "multiply" (v *= reset_factors[0] where s > 0,
            v *= reset_factors[1] where s < 0; SpikeLM).
        multi_spike: largest count per step; 1 = binary, 0 = unlimited (floor(v / theta)).
        negative_spikes: largest negative count per step (1 = ternary), of the same rule on -v.
        rounding: "floor" counts whole thresholds by ``comparator``; "half_even" and "half_up"
            emit round(clip(v / theta, -negative_spikes, multi_spike)): I-LIF, NI-LIF, SpikeLM
            (torch.round is half-even).
        ladder: [multi_spike, ...] explicit thresholds instead: s = #{k : v > or >= ladder_k}
            (MSF: theta_0 + k); ``threshold`` then only says what "subtract" removes per spike.
        refractory: steps after a spike in which the neuron stays silent; with
            ``refractory_hold`` v is held at its reset value (0 for "subtract").
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
    negative_spikes: int = 0
    rounding: SpikeRounding = "floor"
    ladder: RealArray | None = None
    reset_factors: tuple[float, float] = (1.0, 1.0)
    adaptation: RealAdaptation | None = None
    refractory: int = 0
    refractory_hold: bool = False
    initial: RealArray = field(default_factory=_zero)

    def __post_init__(self) -> None:
        for label in ("decay", "gain", "offset", "threshold", "reset_value",
                      "current_decay", "current_gain", "initial"):  # fmt: skip
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
        if self.multi_spike < 0 or self.negative_spikes < 0 or self.refractory < 0:
            raise ModelError(
                "multi_spike, negative_spikes and refractory are not negative", where=self.name
            )
        if self.reset_timing != "now" and (self.adaptation or self.refractory):
            raise ModelError("a late reset has no adaptation or refractory time", where=self.name)
        if self.adaptation is not None:
            for label in ("decay", "gain", "scale"):
                value = getattr(self.adaptation, label)
                check_broadcast(f"{self.name}.adaptation.{label}", value, self.shape)
        if self.ladder is not None:
            self._check_ladder(reals(f"{self.name}.ladder", self.ladder))

    def _check_ladder(self, ladder: RealArray) -> None:
        where = f"{self.name}.ladder"
        if ladder.ndim == 1:
            ladder = ladder.reshape(-1, *(1,) * len(self.shape))
        if ladder.ndim != 1 + len(self.shape) or ladder.shape[0] != self.multi_spike:
            raise ModelError(
                "a ladder is [multi_spike] or [multi_spike, ...] with the population's axes",
                where=where,
                found=ladder.shape,
            )
        check_broadcast(where, ladder[0], self.shape)
        if (np.diff(ladder, axis=0) < 0).any():
            raise ModelError("a threshold ladder must not fall", where=where)
        if self.negative_spikes or self.rounding != "floor" or self.adaptation is not None:
            raise ModelError(
                "an explicit ladder goes with neither rounding, negative spikes nor adaptation",
                where=where,
            )
        object.__setattr__(self, "ladder", ladder)
