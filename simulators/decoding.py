"""From what an output shows step by step to one score per class, and when that is enough.

Every decoder is a state that each step updates, so a run can stop as soon as the leading class is
far enough ahead (``EarlyStop``) and decide exactly as it would by looking back at that step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.errors import OptionError

Kind = Literal["count", "sum", "last", "max", "first", "leaky"]
KINDS: tuple[Kind, ...] = get_args(Kind)
OF_SPIKES: tuple[Kind, ...] = ("count", "first")
"""Decoders that need spikes: a readout of a state sends none."""


@dataclass(frozen=True)
class Decoder:
    """How an output's values over time become scores.

    Attributes:
        kind: "sum" adds all values; "count" is the same for spikes; "last" and "max" take the
            last and the largest value; "first" gives ``steps - step`` of an element's first
            spike, 0 without one; "leaky" is ``y = decay y + value``, read after the last step.
        decay: of "leaky".
    """

    kind: Kind
    decay: float = 0.0

    @staticmethod
    def parse(text: str) -> Decoder:
        """A decoder from ``KIND``, ``leaky:tau=STEPS`` or ``leaky:decay=FACTOR``.

        Raises:
            OptionError: an unknown kind, or a parameter missing or out of range.
        """
        name, _, rest = text.partition(":")
        key, _, value = rest.partition("=")
        for kind in KINDS:
            if kind == name and (kind == "leaky") == (key in ("tau", "decay")):
                return Decoder(kind, _decay(key, value, text) if rest else 0.0)
        raise OptionError(
            "no such decoder",
            where="--decode",
            found=text,
            allowed=", ".join(KINDS[:-1]) + ", leaky:tau=STEPS, leaky:decay=FACTOR",
        )

    def running(self, values: AnyArray) -> Iterator[AnyArray]:
        """Scores [samples, elements] after every step of [samples, steps, *shape]."""
        samples, steps = values.shape[:2]
        flat = values.reshape(samples, steps, -1)
        score: AnyArray = np.zeros((samples, flat.shape[2]), flat.dtype)
        for step in range(steps):
            score = self.update(score, flat[:, step], step, steps)
            yield score

    def update(self, score: AnyArray, value: AnyArray, step: int, steps: int) -> AnyArray:
        """The scores after one more step of values."""
        if self.kind in ("sum", "count"):
            return score + value
        if self.kind == "leaky":
            return self.decay * score + value
        if self.kind == "first":
            fresh: AnyArray = np.where((score == 0) & (value != 0), steps - step, score)
            return fresh
        if self.kind == "max" and step:
            return np.maximum(score, value)
        return value

    def scores(self, values: AnyArray) -> AnyArray:
        """Scores [samples, elements] after the last step."""
        *_, last = self.running(values)
        return last


def _decay(key: str, text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if key == "tau" and 0 < value < float("inf"):
        return float(np.exp(-1 / value))
    if key == "decay" and 0 <= value <= 1:
        return value
    allowed = "tau > 0 steps" if key == "tau" else "a decay from 0 to 1"
    raise OptionError("out of range", where="--decode", found=where, allowed=allowed)


@dataclass(frozen=True)
class EarlyStop:
    """Stop after the first step in which the best score leads the second by ``margin``.

    The input-aware stop of PRIME (Liu et al., 2024) on any decoder; ``output`` decides.
    """

    output: str
    decoder: Decoder
    margin: float

    def reached(self, score: AnyArray) -> AnyArray:
        """[samples] whether the margin is reached; never with a single element."""
        if score.shape[1] < 2:
            return np.zeros(len(score), bool)
        best = np.partition(score, -2, axis=1)
        far: AnyArray = best[:, -1] - best[:, -2] >= self.margin
        return far

    def steps(self, values: AnyArray) -> IntArray:
        """[samples] steps taken until the margin is reached, for whole outputs."""
        taken = np.full(len(values), values.shape[1], np.int64)
        for step, score in enumerate(self.decoder.running(values)):
            taken = np.where(self.reached(score), np.minimum(taken, step + 1), taken)
        return taken


def classes(score: AnyArray) -> IntArray:
    """Class per sample: the largest score, the lowest index on ties."""
    result: IntArray = np.argmax(score, axis=1)
    return result


def tied(score: AnyArray) -> int:
    """Samples in which several elements share the largest score, e.g. all silent."""
    best = (score == score.max(axis=1, keepdims=True)).sum(axis=1)
    return int(np.count_nonzero(best > 1))
