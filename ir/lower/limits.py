"""What the helper populations of a rewrite may ask of a machine's neurons, packets and synapses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.neuron import MEMORYLESS, NO_LEAK, WIDE, Leak, Reset, StateRange
from snnc.ir.target import NeuronModel, Target

LONGEST_LADDER = 256
"""Levels of one helper neuron, also where the machine has no limit: they are compared in turn."""


_ZERO, _NONE = Reset("value"), Reset("none")


@dataclass(frozen=True, eq=False)
class Limits:
    """The part of a target that rewrites look at.

    Attributes:
        levels, negative_levels: longest ladders.
        emission: whether a table turns counts into what is sent.
        payload: largest magnitude one packet says.
        signed: whether packets have a sign.
        weight: largest |weight| of a synapse.
        forget: the leak that keeps nothing from step to step; None: the machine has none.
        reach: largest |v| that ``forget`` removes entirely; None: any.
        hold: the leak that keeps everything; None: the machine has none.
        reset_once: a reset rule for neurons that forget anyway.
        reset_never: a reset rule that leaves the membrane alone; None: the machine has none.
        shift: left shift of inputs; thresholds are multiples of ``2^shift``, plus ``above``.
        above: 1 where the machine fires above its register, else 0.
        state: interval of the membrane.
    """

    levels: int = LONGEST_LADDER
    negative_levels: int = LONGEST_LADDER
    emission: bool = True
    payload: int = 1 << 31
    signed: bool = True
    weight: int = 1 << 40
    forget: Leak | None = MEMORYLESS
    reach: int | None = None
    hold: Leak | None = NO_LEAK
    reset_once: Reset = _ZERO
    reset_never: Reset | None = _NONE
    shift: int = 0
    above: int = 0
    state: StateRange = WIDE

    def threshold(self, level: IntArray) -> IntArray:
        """Register value such that a neuron whose input sums to u fires for u >= ``level``."""
        scaled = level << self.shift
        # above: v > ((level - 1) << shift) is the same for multiples of 2^shift.
        return scaled - (1 << self.shift) + 1 if self.above else scaled


ANYTHING = Limits()
"""No machine at all: what simulators of the network itself use."""


def limits_of(target: Target) -> Limits:
    """The limits of a machine."""
    model, spike = target.neuron, target.spike
    bits = spike.payload_bits - int(spike.signed)
    payload = (1 << bits) - 1 if bits > 0 else None
    says_counts = payload is not None or bool(spike.codes)
    levels = min(_ladder(model.levels), payload or LONGEST_LADDER) if says_counts else 1
    half = 1 << (min(model.state_bits, model.accumulator_bits or model.state_bits) - 1)
    forget, reach = _forgetting(model)
    return Limits(
        levels,
        min(_ladder(model.negative_levels), payload or levels) if spike.signed else 0,
        model.emission,
        payload or levels,
        spike.signed,
        (1 << (max(target.core.weight.bits) - int(target.core.weight.signed))) - 1,
        forget,
        reach,
        _holding(model),
        _reset(model, ("zero", "value", "none", "subtract")) or _NONE,
        _reset(model, ("none", "subtract")),
        max(model.threshold_shift, model.input_shift[0]),
        int(model.comparator == ">"),
        StateRange(-half, half - 1, model.state_overflow),
    )


def _ladder(levels: int | None) -> int:
    return LONGEST_LADDER if levels is None else min(levels, LONGEST_LADDER)


def _forgetting(model: NeuronModel) -> tuple[Leak | None, int | None]:
    """A leak by 0, or one that rounds every small potential to 0."""
    if model.leak != "multiplicative":
        return None, None
    lowest = (model.leak_multiplier or (0, 0))[0]
    if lowest == 0:
        return MEMORYLESS, None
    if model.leak_rounding == "toward_zero":
        leak = Leak(np.array(lowest), model.leak_bits, "toward_zero")
        return leak, ((1 << model.leak_bits) - 1) // lowest
    return None, None


def _holding(model: NeuronModel) -> Leak | None:
    one = 1 << model.leak_bits
    keeps = model.leak != "multiplicative" or (model.leak_multiplier or (0, one))[1] == one
    return NO_LEAK if keeps else None


def _reset(
    model: NeuronModel, wanted: tuple[Literal["zero", "value", "none", "subtract"], ...]
) -> Reset | None:
    """The first rule of ``wanted`` that the machine offers; it subtracts, or sets, 0."""
    for kind in wanted:
        if kind in model.reset:
            return Reset("value" if kind == "zero" else kind)
    return None
