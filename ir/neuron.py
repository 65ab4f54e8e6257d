"""The integer neuron in normal form: one record for every LIF-family neuron.

One logical step ``t`` of one neuron, in this order (all integers, exact)::

    x   = (sum of inputs) << input_shift
    cur = range_c(round(cm * cur / 2^cs) + x)          only with ``current``; else cur = x
    v   = range_v(round(m * v / 2^s) + cur + sum of bias_k for which t >= onset_k)
    B   = thresholds + ((beta * a) >> beta_shift)      a = 0 without ``adaptation``
    T   = B + q with ``recovery``, else B
    c   = #{k : v >= T_k} - #{j : -v >= negative_thresholds_j}
    if q > 0:  c = 0, and v = reset value if ``refractory_hold``
    v   = v - R c | (c != 0 ? r : v) | v | (c > 0 ? rho+ v : c < 0 ? rho- v : v)
    v   = range_v(v)
    a   = round(am * a / 2^as) + gain * [c != 0]  |  round(am * (a + gain * [c != 0]) / 2^as)
          |  clip(a + (c != 0 ? up : -down), 0, max)
    q   = c != 0 ? refractory : max(q - 1, 0)  |  round(rm * (q + factor * B_1 * [c != 0]) / 2^rs)
    emit c, or emission[c], or v when ``emit`` is "state"

With ``delta`` (``emit`` is "delta") the lines from B on are, for a sigma-delta neuron::

    y   = max(v, 0)  |  v
    d   = range_v(y - a)
    s   = |d| >= thresholds_1 ? clip(d >> shift) to the message's range : 0
    a   = |d| >= thresholds_1 ? (y  |  range_v(a + (s << shift))) : a
    emit s

State starts at ``v = initial``, cur = a = q = 0 for every sample.  Comparison is always ``>=``;
importers turn ``v > theta`` into ``v >= theta + 1`` (Fang et al., SpikingJelly, 2023, for the
unified charge-fire-reset step; Davies et al., IEEE Micro 38(1), 2018, for the two-state form).
Parameters broadcast to the population's shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from snnc.ir.arrays import IntArray, Shape, check_broadcast, integers, size_of
from snnc.ir.errors import ModelError
from snnc.ir.nodes import Rounding


def _zero() -> IntArray:
    return np.zeros((), np.int64)


def _no_levels() -> IntArray:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Leak:
    """``x <- round(multiplier * x / 2^shift)`` once per step."""

    multiplier: IntArray
    shift: int = 0
    rounding: Rounding = "floor"

    def __post_init__(self) -> None:
        object.__setattr__(self, "multiplier", integers("leak multiplier", self.multiplier))
        if not 0 <= self.shift <= 30 or self.multiplier.min() < 0:
            raise ModelError("a leak multiplier is >= 0 and its shift in 0..30", found=self.shift)

    @property
    def is_identity(self) -> bool:
        """True when the state is kept unchanged."""
        return bool((self.multiplier == 1 << self.shift).all())


NO_LEAK = Leak(np.array(1))
MEMORYLESS = Leak(np.array(0))


@dataclass(frozen=True)
class StateRange:
    """Interval a state lives in, and what happens beyond: clip, or two's-complement wrap."""

    low: int
    high: int
    overflow: Literal["saturate", "wrap"] = "saturate"

    def __post_init__(self) -> None:
        if not -(2**62) < self.low <= 0 <= self.high < 2**62:
            raise ModelError("a state range holds 0 and fits 63 bits", found=self)


WIDE = StateRange(-(2**40), 2**40)


@dataclass(frozen=True, eq=False)
class GatedBias:
    """``value`` is added in every step ``t >= onset`` of a sample."""

    value: IntArray
    onset: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", integers("bias", self.value))
        if self.onset < 0:
            raise ModelError("a bias onset is not negative", found=self.onset)


@dataclass(frozen=True, eq=False)
class Reset:
    """What a spike does to the membrane.

    ``subtract``: v -= amount * c.  ``value``: v = amount.  ``none``.  ``multiply``: v *= up when
    c > 0, v *= down when c < 0 (SpikeLM's leak that depends on the last spike).
    """

    kind: Literal["subtract", "value", "none", "multiply"]
    amount: IntArray = field(default_factory=_zero)
    up: int = 1
    down: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "amount", integers("reset amount", self.amount))


@dataclass(frozen=True, eq=False)
class Adaptation:
    """Threshold offset driven by the neuron's own spikes.

    ``decay``: a = leak(a) + gain * [c != 0] (ALIF, Bellec et al. 2018).
    ``raise_decay``: a = leak(a + gain * [c != 0]) (ALIF of lava-dl: the step that follows decays
    first, what the spike has raised included).
    ``step``: a = clip(a + (c != 0 ? gain : -decrement), 0, maximum) (US11551074B2).
    """

    kind: Literal["decay", "raise_decay", "step"]
    gain: IntArray
    leak: Leak = NO_LEAK
    decrement: int = 0
    maximum: int = 2**40
    beta: int = 1
    beta_shift: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "gain", integers("adaptation gain", self.gain))


@dataclass(frozen=True, eq=False)
class Recovery:
    """Relative refractory state q: a spike raises it by ``factor`` times the threshold it met.

    q = leak(q + factor * B_1 * [c != 0]), B_1 the lowest threshold with its adaptation and
    without q; the membrane is compared with B + q (ALIF of lava-dl 0.6.0,
    ``slayer/neuron/dynamics/adaptive_threshold.py``, factor 2).
    """

    leak: Leak
    factor: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.factor < 2**16:
            raise ModelError("a recovery factor is 0..65535", found=self.factor)


@dataclass(frozen=True)
class DeltaCode:
    """How a sigma-delta neuron sends changes of its activation (``lava.proc.sdn``, 0.10.0).

    Attributes:
        activation: "relu" for max(v, 0), "unit" for v.
        shift: a change is sent in units of 2^shift, rounded toward minus infinity.
        feedback: what counts as sent: the "change", though its message was rounded (Lava's
            fixed-point model), or the "message", whose rounding is then made up for later
            (Lava's corrected model).
        message_bits: width of a message in two's complement without its lowest value, where it
            clips; None: whatever the state's range asks for.
    """

    activation: Literal["relu", "unit"] = "relu"
    shift: int = 0
    feedback: Literal["change", "message"] = "change"
    message_bits: int | None = None

    def __post_init__(self) -> None:
        bits = self.message_bits
        if not 0 <= self.shift <= 30 or (bits is not None and not 2 <= bits <= 62):
            raise ModelError(
                "a message is shifted by 0..30 and has 2..62 bits",
                found=f"{self.shift}, {self.message_bits}",
            )

    @property
    def limit(self) -> int:
        """Largest message; no limit is one that no state reaches."""
        return 2**62 if self.message_bits is None else (1 << (self.message_bits - 1)) - 1


@dataclass(frozen=True, eq=False)
class Neuron:
    """A population of neurons in normal form (see the module's docstring).

    Attributes:
        shape: of the population, without batch and time.
        thresholds: [K, ...] rising ladder, K >= 0; each level broadcasts to ``shape``.
        negative_thresholds: [J, ...] rising ladder on -v.
        emit: "count" sends c, "state" sends v (readouts; then both ladders are empty), "delta"
            sends changes (then the ladder is one threshold, and there is no reset).
        emission: [J + 1 + K] what is sent for the counts -J .. K, 0 for the count 0; None: the
            count itself.  The reset and all other states see the count, never its emission.
        grid: real value of one unit of v, one number or one per channel (first axis).
    """

    name: str
    inputs: tuple[str, ...]
    shape: Shape
    thresholds: IntArray
    reset: Reset
    leak: Leak = NO_LEAK
    current: Leak | None = None
    input_shift: int = 0
    bias: tuple[GatedBias, ...] = ()
    negative_thresholds: IntArray = field(default_factory=_no_levels)
    refractory: int = 0
    refractory_hold: bool = False
    adaptation: Adaptation | None = None
    state_range: StateRange = WIDE
    current_range: StateRange = WIDE
    initial: IntArray = field(default_factory=_zero)
    emit: Literal["count", "state", "delta"] = "count"
    grid: tuple[float, ...] = (1.0,)
    emission: IntArray | None = None
    recovery: Recovery | None = None
    delta: DeltaCode | None = None

    def __post_init__(self) -> None:
        for name in ("thresholds", "negative_thresholds", "initial"):
            object.__setattr__(self, name, integers(f"{self.name}.{name}", getattr(self, name)))
        self._check_ladders()
        self._check_emission()
        self._check_recovery()
        self._check_delta()
        for label, array in (
            ("leak", self.leak.multiplier),
            ("reset", self.reset.amount),
            ("initial", self.initial),
            *((f"bias {k}", bias.value) for k, bias in enumerate(self.bias)),
            *((("current", self.current.multiplier),) if self.current else ()),
            *((("adaptation", self.adaptation.gain),) if self.adaptation else ()),
            *((("recovery", self.recovery.leak.multiplier),) if self.recovery else ()),
        ):
            check_broadcast(f"{self.name}.{label}", array, self.shape)
        if not 0 <= self.input_shift <= 30 or self.refractory < 0:
            raise ModelError(
                "input_shift is 0..30 and refractory >= 0",
                where=self.name,
                found=f"{self.input_shift}, {self.refractory}",
            )
        if len(self.grid) not in (1, self.shape[0] if self.shape else 1):
            raise ModelError("a grid has one step, or one per channel", where=self.name)

    def _check_ladders(self) -> None:
        for label, ladder in (
            ("thresholds", self.thresholds),
            ("negative_thresholds", self.negative_thresholds),
        ):
            where = f"{self.name}.{label}"
            if ladder.ndim == 1:
                ladder = ladder.reshape(-1, *(1,) * len(self.shape))
                object.__setattr__(self, label, ladder)
            if ladder.ndim != 1 + len(self.shape):
                raise ModelError(
                    "a threshold ladder is [levels] or [levels, ...] with the population's axes",
                    where=where,
                    found=ladder.shape,
                )
            if ladder.shape[0]:
                check_broadcast(where, ladder[0], self.shape)
            if ladder.shape[0] > 1 and (np.diff(ladder, axis=0) < 0).any():
                raise ModelError("a threshold ladder must not fall", where=where)
        if self.emit == "state" and (self.levels or self.negative_levels):
            raise ModelError("a readout of the state has no thresholds", where=self.name)

    def _check_emission(self) -> None:
        if self.emission is None:
            return
        table = integers(f"{self.name}.emission", self.emission)
        object.__setattr__(self, "emission", table)
        wanted = self.negative_levels + 1 + self.levels
        if self.emit == "state" or table.shape != (wanted,) or table[self.negative_levels] != 0:
            raise ModelError(
                "an emission table has one value per signed count, and 0 for the count 0",
                where=self.name,
                found=f"{table.shape} values",
                allowed=f"({wanted},), for counts {-self.negative_levels} to {self.levels}",
            )

    def _check_recovery(self) -> None:
        if self.recovery is not None and (
            self.emit != "count" or self.levels != 1 or self.negative_levels or self.refractory
        ):
            raise ModelError(
                "a relative refractory state goes with one threshold, spikes, and no refractory "
                "time",
                where=self.name,
                found=f"{self.levels} thresholds, {self.negative_levels} negative ones, "
                f"refractory {self.refractory}, emit {self.emit}",
            )

    def _check_delta(self) -> None:
        if (self.delta is not None) != (self.emit == "delta"):
            raise ModelError(
                'emit "delta" and a delta code go together', where=self.name, found=self.emit
            )
        if self.delta is None:
            return
        if self.levels != 1 or self.negative_levels or self.thresholds.min() < 0:
            raise ModelError(
                "a sigma-delta neuron has one threshold, which is not negative, for changes in "
                "both directions",
                where=self.name,
                found=f"{self.levels} and {self.negative_levels} negative ones",
            )
        if (
            self.reset.kind != "none"
            or self.refractory
            or self.adaptation
            or (self.emission is not None)
        ):
            raise ModelError(
                "a sigma-delta neuron has no reset, refractory time, adaptation or emission table",
                where=self.name,
                found=f"reset {self.reset.kind}, refractory {self.refractory}",
            )

    @property
    def emitted(self) -> tuple[int, int]:
        """Smallest and largest integer a spiking population sends."""
        if self.delta is not None:
            bounds, limit = self.state_range, self.delta.limit
            low, high = bounds.low >> self.delta.shift, bounds.high >> self.delta.shift
            return max(low, -limit), min(high, limit)
        if self.emission is None:
            return -self.negative_levels, self.levels
        return int(self.emission.min()), int(self.emission.max())

    @property
    def accumulates(self) -> bool:
        """Whether the potential shows the sum of all input so far: the sigma of lava.proc.sdn."""
        keeps = self.current is not None and self.current.is_identity
        return keeps and not self.leak.multiplier.any()

    @property
    def has_sdn_states(self) -> bool:
        """Whether its states are a sigma, or none as those of a delta encoder."""
        encodes = self.delta is not None and self.current is None
        return self.accumulates or (encodes and not self.leak.multiplier.any())

    @property
    def size(self) -> int:
        """Number of neurons."""
        return size_of(self.shape)

    @property
    def levels(self) -> int:
        """Largest count the neuron emits; 1 for a sigma-delta neuron."""
        return int(self.thresholds.shape[0])

    @property
    def negative_levels(self) -> int:
        """Largest negative count the neuron emits."""
        return int(self.negative_thresholds.shape[0])


def flat(parameter: IntArray, shape: Shape) -> IntArray:
    """A parameter broadcast to the population and flattened: one int64 per neuron."""
    result: IntArray = np.broadcast_to(parameter, shape).reshape(-1)
    return result


def flat_ladder(ladder: IntArray, shape: Shape) -> IntArray:
    """A ladder as [levels, neurons]."""
    levels = ladder.shape[0]
    result: IntArray = np.broadcast_to(ladder, (levels, *shape)).reshape(levels, size_of(shape))
    return result
