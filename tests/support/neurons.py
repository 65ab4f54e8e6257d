"""Random neuron populations that use every feature of the normal form."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.ir.neuron import (
    Adaptation,
    DeltaCode,
    GatedBias,
    Leak,
    Neuron,
    Recovery,
    Reset,
    StateRange,
)

ROUNDINGS = ("floor", "toward_zero", "half_even")


def random_neuron(
    rng: np.random.Generator,
    name: str = "n",
    source: str = "x",
    shape: tuple[int, ...] = (5,),
    *,
    scale: int = 100,
    binary: bool = False,
    simple: bool = False,
    readout: bool = False,
) -> Neuron:
    """A population of ``shape``.

    Args:
        rng: decides everything.
        name: of the population.
        source: the node it reads.
        shape: of the population.
        scale: rough size of thresholds, biases and resets.
        binary: one positive threshold at most: emits 0 or 1.
        simple: no current, adaptation, refractory time or ladder: the common case.
        readout: emits its state instead of spikes.
    """

    def flag(probability: float = 0.5) -> bool:
        return bool(rng.random() < probability)

    def parameter(low: int, high: int) -> Any:
        extents = [shape, (shape[0], *(1,) * (len(shape) - 1)), ()]
        return rng.integers(low, high + 1, extents[rng.integers(3)])

    def leak(identity: float) -> Leak:
        if flag(identity):
            return Leak(np.array(1))
        shift = int(rng.integers(0, 13))
        rounding: Any = ROUNDINGS[rng.integers(3)]
        return Leak(parameter(0, (1 << shift) + (1 << shift >> 3)), shift, rounding)

    def bounds() -> StateRange:
        size = int(rng.choice([scale, 4 * scale, 2**15, 2**23, 2**40]))
        overflow: Any = "wrap" if flag() else "saturate"
        return StateRange(-int(rng.integers(0, size + 1)), size, overflow)

    def ladder(levels: int) -> Any:
        steps = rng.integers(0, scale + 1, (levels, *shape))
        steps[0] += rng.integers(-scale // 8, scale)
        return np.cumsum(steps, axis=0)

    def adaptation() -> Adaptation:
        kind: Any = rng.choice(["decay", "raise_decay", "step"])
        return Adaptation(
            kind,
            parameter(0, scale),
            leak(0.3),
            decrement=int(rng.integers(0, scale // 4 + 1)),
            maximum=int(rng.integers(0, 8 * scale)),
            beta=int(rng.integers(-2, 5)),
            beta_shift=int(rng.integers(0, 4)),
        )

    full = not simple
    if full and not binary and not readout and flag(0.15):
        return _sigma_delta(rng, name, source, shape, scale, leak, bounds, parameter)
    positive = 1 if binary or simple else int(rng.integers(1, 4))
    negative = int(rng.integers(0, 3)) if full and not binary and flag() else 0
    kind: Any = rng.choice(
        ["subtract", "value"] if simple else ["subtract", "value", "none", "multiply"]
    )
    table = recovery = None
    if full and positive == 1 and not negative and flag(0.3):
        recovery = Recovery(leak(0.1), int(rng.integers(0, 4)))
    if full and not binary and not readout and flag(0.3):
        table = rng.integers(-5, 9, negative + 1 + positive)
        table[negative] = 0
    return Neuron(
        name,
        (source,),
        shape,
        np.zeros(0, np.int64) if readout else ladder(positive),
        Reset(kind, parameter(-scale // 8, scale), int(rng.integers(-2, 3)), 1),
        leak=leak(0.5),
        current=leak(0.2) if full and flag() else None,
        input_shift=int(rng.integers(0, 4)) if flag(0.3) else 0,
        bias=tuple(
            GatedBias(parameter(-scale // 4, scale // 2), int(rng.integers(0, 4)))
            for _ in range(int(rng.integers(0, 3)))
        ),
        negative_thresholds=ladder(negative) if negative and not readout else np.zeros(0, np.int64),
        refractory=int(rng.integers(0, 4)) if full and not recovery and flag() else 0,
        refractory_hold=full and flag(),
        adaptation=adaptation() if full and flag() and not readout else None,
        state_range=bounds(),
        current_range=bounds(),
        initial=parameter(-scale, scale),
        emit="state" if readout else "count",
        emission=table,
        recovery=None if readout else recovery,
    )


def _sigma_delta(
    rng: np.random.Generator,
    name: str,
    source: str,
    shape: tuple[int, ...],
    scale: int,
    leak: Any,
    bounds: Any,
    parameter: Any,
) -> Neuron:
    """A population that sends changes; most often of an activation of its summed input."""
    usual = bool(rng.random() < 0.6)
    return Neuron(
        name,
        (source,),
        shape,
        parameter(0, scale)[None],
        Reset("none"),
        leak=Leak(np.array(0)) if usual else leak(0.3),
        current=Leak(np.array(1)) if usual else leak(0.5),
        bias=(GatedBias(parameter(-scale, scale), int(rng.integers(0, 3))),),
        state_range=bounds(),
        current_range=bounds(),
        emit="delta",
        delta=DeltaCode(
            str(rng.choice(["relu", "unit"])),  # type: ignore[arg-type]
            int(rng.integers(0, 5)),
            str(rng.choice(["change", "message"])),  # type: ignore[arg-type]
            int(rng.integers(2, 11)),
        ),
    )
