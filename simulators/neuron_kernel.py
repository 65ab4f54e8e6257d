"""The complete neuron normal form of ``snnc.ir.neuron`` as one Numba kernel over flat arrays.

Both fast simulators advance neurons with ``update`` or ``step``.  A population's scalars are one
row of ``table``; what may differ from neuron to neuron (multipliers, thresholds, biases) is one
row of ``values`` per *distinct* broadcast position, so a convolution with one threshold per
channel stores one row per channel.  ``PackedNeurons.take`` reorders neurons without copying
either, e.g. into the order in which a core holds them.

Arithmetic is int64 with two's-complement wrap-around, as in the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from snnc.ir.arrays import IntArray
from snnc.ir.jit import inlined, lean_kernel
from snnc.ir.jit import inner_kernel as kernel
from snnc.ir.neuron import NO_LEAK, Leak, Neuron
from snnc.ir.row_shapes import index_type

# Columns of ``table``: the scalars of one population.
(
    INPUT_SHIFT, LEAK_SHIFT, LEAK_ROUNDING,
    HAS_CURRENT, CURRENT_SHIFT, CURRENT_ROUNDING, CURRENT_LOW, CURRENT_HIGH, CURRENT_WRAP,
    LOW, HIGH, WRAP,
    BIASES, ONSETS, LEVELS, NEGATIVE_LEVELS, EMIT_STATE,
    RESET, UP, DOWN, REFRACTORY, HOLD,
    ADAPTATION, ADAPT_SHIFT, ADAPT_ROUNDING, DECREMENT, MAXIMUM, BETA, BETA_SHIFT,
    HAS_EMISSION, EMISSION,
    RECOVERY, RECOVERY_SHIFT, RECOVERY_ROUNDING, DELTA, DELTA_SHIFT, DELTA_LIMIT, DELTA_EXACT,
    COLUMNS,
) = range(39)  # fmt: skip

# Offsets in a row of ``values``; biases, thresholds and negative thresholds follow LADDERS.
(
    MULTIPLIER, CURRENT_MULTIPLIER, AMOUNT, ADAPT_MULTIPLIER, GAIN, INITIAL, RECOVERY_MULTIPLIER,
    LADDERS,
) = range(8)  # fmt: skip

FLOOR, TOWARD_ZERO, HALF_EVEN = range(3)
SUBTRACT, VALUE, NONE, MULTIPLY = range(4)
NO_ADAPTATION, DECAY, STEP, RAISE_DECAY = range(4)
NO_DELTA, RELU, UNIT = range(3)

_ROUNDINGS = {"floor": FLOOR, "toward_zero": TOWARD_ZERO, "half_even": HALF_EVEN}
_RESETS = {"subtract": SUBTRACT, "value": VALUE, "none": NONE, "multiply": MULTIPLY}
_ADAPTATIONS = {"decay": DECAY, "step": STEP, "raise_decay": RAISE_DECAY}
_ACTIVATIONS = {"relu": RELU, "unit": UNIT}

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


class PackedNeurons(NamedTuple):
    """Parameters of a list of neurons; a named tuple because kernels take it as argument.

    Attributes:
        kind: int32 [neurons], row of ``table``: the neuron's population.
        row: [neurons], where the neuron's values begin in ``values``; int32 as long as it fits.
        table: int64 [populations, COLUMNS].
        values: int64, rows of all populations one after the other.
        onsets: int64, onsets of gated biases; a population's begin at ``table[kind, ONSETS]``.
        emissions: int64, emission tables; for the signed count c a population sends
            ``emissions[table[kind, EMISSION] + c]``.
    """

    kind: Int32
    row: Any
    table: Int64
    values: Int64
    onsets: Int64
    emissions: Int64

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(self.kind.size)

    def take(self, order: IntArray) -> PackedNeurons:
        """The neurons ``order[0], order[1], ...``; tables are shared."""
        return self._replace(kind=self.kind[order], row=self.row[order])


class State(NamedTuple):
    """State of a list of neurons, int64 [neurons] each; the letters of ``snnc.ir.neuron``."""

    v: Int64
    current: Int64
    a: Int64
    q: Int64


def pack(neurons: Sequence[Neuron]) -> PackedNeurons:
    """Pack populations one after the other, each in flat (C) order."""
    kinds, rows, tables = [], [], []
    values: list[Int64] = []
    onsets: list[int] = []
    emissions: list[int] = []
    first = 0
    for number, neuron in enumerate(neurons):
        block, position = _value_rows(neuron)
        kinds.append(np.full(neuron.size, number, np.int32))
        row = first + position * block.shape[1]
        rows.append(row.astype(index_type(first + block.size), copy=False))
        tables.append(_scalars(neuron, len(onsets), len(emissions)))
        values.append(block.reshape(-1))
        onsets.extend(bias.onset for bias in neuron.bias)
        emissions.extend(() if neuron.emission is None else neuron.emission.tolist())
        first += block.size
    return PackedNeurons(
        np.concatenate([np.zeros(0, np.int32), *kinds]),
        np.concatenate([np.zeros(0, np.int32), *rows]),
        np.array(tables, np.int64).reshape(-1, COLUMNS),
        np.concatenate([np.zeros(0, np.int64), *values]),
        np.array(onsets, np.int64),
        np.array(emissions, np.int64),
    )


def new_state(packed: PackedNeurons) -> State:
    """State of all neurons at the start of a sample."""
    state = State(*(np.zeros(packed.size, np.int64) for _ in range(4)))
    reset(packed, state)
    return state


def _value_rows(neuron: Neuron) -> tuple[Int64, Int64]:
    """Distinct parameter rows [rows, LADDERS + ...] and the row number of every neuron."""
    adaptation = neuron.adaptation
    parameters: list[Any] = [
        neuron.leak.multiplier,
        (neuron.current or NO_LEAK).multiplier,
        neuron.reset.amount,
        (adaptation.leak if adaptation else NO_LEAK).multiplier,
        adaptation.gain if adaptation else 0,
        neuron.initial,
        (neuron.recovery.leak if neuron.recovery else NO_LEAK).multiplier,
        *(bias.value for bias in neuron.bias),
        *neuron.thresholds,
        *neuron.negative_thresholds,
    ]
    shape = np.broadcast_shapes(*(np.shape(p) for p in parameters))
    shape = (1,) * (len(neuron.shape) - len(shape)) + shape
    block = np.stack([np.broadcast_to(p, shape).reshape(-1) for p in parameters], axis=1)
    position = np.arange(block.shape[0]).reshape(shape)
    return block.astype(np.int64), np.broadcast_to(position, neuron.shape).reshape(-1)


def _scalars(n: Neuron, first_onset: int, first_emission: int) -> list[int]:
    """One row of ``table``."""
    current = n.current or NO_LEAK
    row = [0] * COLUMNS
    row[INPUT_SHIFT] = n.input_shift
    row[LEAK_SHIFT], row[LEAK_ROUNDING] = _leak_scalars(n.leak)
    row[HAS_CURRENT] = n.current is not None
    row[CURRENT_SHIFT], row[CURRENT_ROUNDING] = _leak_scalars(current)
    bounds, wrap = n.current_range, n.current_range.overflow == "wrap"
    row[CURRENT_LOW], row[CURRENT_HIGH], row[CURRENT_WRAP] = bounds.low, bounds.high, wrap
    bounds, wrap = n.state_range, n.state_range.overflow == "wrap"
    row[LOW], row[HIGH], row[WRAP] = bounds.low, bounds.high, wrap
    row[BIASES], row[ONSETS] = len(n.bias), first_onset
    row[LEVELS], row[NEGATIVE_LEVELS] = n.levels, n.negative_levels
    row[EMIT_STATE] = n.emit == "state"
    row[RESET], row[UP], row[DOWN] = _RESETS[n.reset.kind], n.reset.up, n.reset.down
    row[REFRACTORY], row[HOLD] = n.refractory, n.refractory_hold
    if n.adaptation is not None:
        row[ADAPTATION] = _ADAPTATIONS[n.adaptation.kind]
        row[ADAPT_SHIFT], row[ADAPT_ROUNDING] = _leak_scalars(n.adaptation.leak)
        row[DECREMENT], row[MAXIMUM] = n.adaptation.decrement, n.adaptation.maximum
        row[BETA], row[BETA_SHIFT] = n.adaptation.beta, n.adaptation.beta_shift
    if n.recovery is not None:
        row[RECOVERY] = n.recovery.factor + 1  # 0: none
        row[RECOVERY_SHIFT], row[RECOVERY_ROUNDING] = _leak_scalars(n.recovery.leak)
    if n.delta is not None:
        row[DELTA], row[DELTA_SHIFT] = _ACTIVATIONS[n.delta.activation], n.delta.shift
        row[DELTA_LIMIT], row[DELTA_EXACT] = n.delta.limit, n.delta.feedback == "message"
    row[HAS_EMISSION] = n.emission is not None
    row[EMISSION] = first_emission + n.negative_levels
    return row


def _leak_scalars(leak: Leak) -> tuple[int, int]:
    return leak.shift, _ROUNDINGS[leak.rounding]


def reset(packed: PackedNeurons, state: State) -> None:
    """Put all neurons into the state a sample starts with."""
    np.take(packed.values[INITIAL:], packed.row, out=state.v, mode="clip")
    for other in (state.current, state.a, state.q):
        clear(other)


def clear(array: Int64) -> None:
    """Put zeros.  Where there are nothing else nothing is written: memory from ``np.zeros`` that
    nobody has written to is not there yet, and most neurons have one state only.
    """
    if array.any():
        array[:] = 0


@lean_kernel
def step(
    packed: PackedNeurons,
    state: State,
    first: int,
    last: int,
    accumulated: IntArray,
    t: int,
    index: Int32,
    value: Int64,
) -> int:
    """Advance the neurons [first, last) by logical step ``t``.

    ``accumulated[i]`` is the input sum of neuron ``first + i``; it is consumed and set to zero.
    Such i and their emitted nonzero values are written to ``index`` and ``value`` from their
    beginning, in rising order (both must hold ``last - first`` entries); returns how many there
    are.
    """
    emitted = 0
    for i in range(last - first):
        out = update(packed, state, first + i, accumulated[i], t)
        accumulated[i] = 0
        if out != 0:
            index[emitted] = i
            value[emitted] = out
            emitted += 1
    return emitted


@kernel
def update(packed: PackedNeurons, state: State, i: int, inputs: int, t: int) -> int:
    """Advance neuron ``i`` by logical step ``t``; return what it emits (``snnc.ir.neuron``)."""
    k = packed.table[packed.kind[i]]
    r = packed.row[i]
    p = packed.values
    x = inputs << k[INPUT_SHIFT]
    if k[HAS_CURRENT]:
        x += round_shift(
            p[r + CURRENT_MULTIPLIER] * state.current[i], k[CURRENT_SHIFT], k[CURRENT_ROUNDING]
        )
        x = bounded(x, k[CURRENT_LOW], k[CURRENT_HIGH], k[CURRENT_WRAP])
        state.current[i] = x
    for b in range(k[BIASES]):
        if t >= packed.onsets[k[ONSETS] + b]:
            x += p[r + LADDERS + b]
    v = round_shift(p[r + MULTIPLIER] * state.v[i], k[LEAK_SHIFT], k[LEAK_ROUNDING]) + x
    v = bounded(v, k[LOW], k[HIGH], k[WRAP])
    if k[EMIT_STATE]:
        state.v[i] = v
        return v
    if k[DELTA]:
        state.v[i] = v
        return _change(k, p[r + LADDERS + k[BIASES]], v, state, i)

    c = 0
    if k[RECOVERY]:
        c = _recovered(k, p, r, v, state, i)
    elif state.q[i] <= 0:
        c = _count(k, p, r + LADDERS + k[BIASES], v, state.a[i])
    elif k[HOLD]:
        v = p[r + AMOUNT] if k[RESET] == VALUE else 0
    state.v[i] = bounded(_after(k, p[r + AMOUNT], v, c), k[LOW], k[HIGH], k[WRAP])
    if k[ADAPTATION] != NO_ADAPTATION:
        state.a[i] = _adapted(k, p, r, state.a[i], c)
    if k[REFRACTORY]:
        state.q[i] = k[REFRACTORY] if c != 0 else max(state.q[i] - 1, 0)
    return packed.emissions[k[EMISSION] + c] if k[HAS_EMISSION] else c


@inlined
def _change(k: Any, threshold: int, v: int, state: State, i: int) -> int:
    """What a sigma-delta neuron sends; ``a`` is what its receivers have been told."""
    y = max(v, 0) if k[DELTA] == RELU else v
    d = bounded(y - state.a[i], k[LOW], k[HIGH], k[WRAP])
    if abs(d) < threshold:
        return 0
    limit: int = k[DELTA_LIMIT]
    message: int = min(max(d >> k[DELTA_SHIFT], -limit), limit)
    if k[DELTA_EXACT]:
        y = bounded(state.a[i] + (message << k[DELTA_SHIFT]), k[LOW], k[HIGH], k[WRAP])
    state.a[i] = y
    return message


@inlined
def _recovered(k: Any, p: Any, r: int, v: int, state: State, i: int) -> int:
    """Compare with the threshold and the relative refractory state, and move the latter."""
    level = p[r + LADDERS + k[BIASES]]
    if k[ADAPTATION] != NO_ADAPTATION:
        level += (k[BETA] * state.a[i]) >> k[BETA_SHIFT]
    q = state.q[i]
    c = 0
    if v >= level + q:
        c = 1
        q += (k[RECOVERY] - 1) * level
    state.q[i] = round_shift(
        p[r + RECOVERY_MULTIPLIER] * q, k[RECOVERY_SHIFT], k[RECOVERY_ROUNDING]
    )
    return c


@kernel
def round_shift(product: int, shift: int, rounding: int) -> int:
    """``round(product / 2^shift)``, see ``snnc.simulators.reference.operators``."""
    if shift == 0:
        return product
    if rounding == TOWARD_ZERO:
        return -(-product >> shift) if product < 0 else product >> shift
    down = product >> shift
    if rounding == HALF_EVEN:
        rest, half = product & ((1 << shift) - 1), 1 << (shift - 1)
        if rest > half or (rest == half and down & 1 == 1):
            return down + 1
    return down


@kernel
def bounded(x: int, low: int, high: int, wrap: int) -> int:
    """Clip ``x`` into [low, high], or wrap it around."""
    if low <= x <= high:
        return x
    if wrap:
        return (x - low) % (high - low + 1) + low
    return low if x < low else high


@inlined
def _count(k: Int64, p: Int64, ladder: int, v: int, a: int) -> int:
    offset = 0
    if k[ADAPTATION] != NO_ADAPTATION:
        offset = (k[BETA] * a) >> k[BETA_SHIFT]
    c = 0
    for level in range(k[LEVELS]):
        if v >= p[ladder + level] + offset:
            c += 1
    ladder += k[LEVELS]
    for level in range(k[NEGATIVE_LEVELS]):
        if -v >= p[ladder + level]:
            c -= 1
    return c


@inlined
def _after(k: Any, amount: int, v: int, c: int) -> int:
    """The membrane after a spike of count ``c``."""
    if c == 0:
        return v
    if k[RESET] == SUBTRACT:
        return v - amount * c
    if k[RESET] == VALUE:
        return amount
    if k[RESET] == MULTIPLY:
        factor: int = k[UP] if c > 0 else k[DOWN]
        return factor * v
    return v


@inlined
def _adapted(k: Any, p: Any, r: int, a: int, c: int) -> int:
    """The threshold state after a step with count ``c``."""
    if k[ADAPTATION] == RAISE_DECAY:
        raised = a + p[r + GAIN] if c != 0 else a
        return round_shift(p[r + ADAPT_MULTIPLIER] * raised, k[ADAPT_SHIFT], k[ADAPT_ROUNDING])
    if k[ADAPTATION] == DECAY:
        kept = round_shift(p[r + ADAPT_MULTIPLIER] * a, k[ADAPT_SHIFT], k[ADAPT_ROUNDING])
        return kept + p[r + GAIN] if c != 0 else kept
    moved: int = a + p[r + GAIN] if c != 0 else a - k[DECREMENT]
    maximum: int = k[MAXIMUM]
    return min(max(moved, 0), maximum)
