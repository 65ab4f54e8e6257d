"""Neurons of a ``.net`` layer: Lava's fixed-point LIF as a ``Neuron`` in normal form.

Lava 0.10.0, ``proc/lif/models.py``, ``PyLifModelBitAcc``, with M = 2^23 and tz(x) = x / 2^12
rounded toward zero, in every step::

    u = wrap(tz(u (4096 - iDecay)) + (a << 6))            in (-M, M]
    v = clip(tz(v (4096 - vDecay)) + u + (bias << 6))     in [-(M - 1), M - 1]
    s = v > vThMant << 6;  v = 0 where s

which the normal form holds exactly: leaks of 12 bits rounded toward zero, ``>`` as ``>=`` of one
more, reset to zero.
"""

from __future__ import annotations

import numpy as np

from snnc.compiler.frontends.record import Notes, RawNode
from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.errors import ModelError, UnsupportedError
from snnc.ir.neuron import GatedBias, Leak, Neuron, Reset, StateRange

DECAY_BITS = 12
STATE_SHIFT = 6
M = 1 << 23
CURRENT = StateRange(-M + 1, M, "wrap")
POTENTIAL = StateRange(-M + 1, M - 1)
BIAS_RANGE = (-(1 << 12), (1 << 12) - 1)
SILENT = (1 << 17) - 1
"""The largest threshold register; lava-dl writes it (or more) where a layer shall not fire."""

_OTHER = {
    "SIGMA_DELTA": "lava-dl writes SDNN for its sigma-delta neurons",
    "RF": "its state is complex",
    "RF_PHASE": "its state is complex",
    "ADRF": "its state is complex",
}
_LIF = ("type", "iDecay", "vDecay", "vThMant")
_USED = {
    "LOIHI": _LIF,
    "CUBA": _LIF,
    "ALIF": (*_LIF, "thDecay", "refDecay", "vThStep"),
    "SDNN": ("type", "activation", "vThMant", "sigma_output"),
}
"""Neuron types, and which of their parameters act."""
# Of the surrogate gradient and of old exporters; they do not act in Lava.
_TRAINING = ("theta", "tauRho", "scaleRho")
# Lava's LIF ignores these, so only the value that changes nothing is accepted.
_NEUTRAL = {"refDelay": 1, "gradedSpike": 0, "messageBits": 0, "wgtExp": 0, "weight_exp": 0}


def neuron(
    layer: RawNode, source: str, shape: Shape, shift: int, delay: IntArray, last: bool, notes: Notes
) -> Neuron:
    """The population of a layer with weights.

    Args:
        layer: the stored record.
        source: node that sums the weighted input.
        shape: of the population.
        shift: of the weighted input; 6 in Lava, more where common factors left the weights.
        delay: steps by which the input is delayed, one number per neuron or one for all.
        last: the layer is the network's output, so it may be one that does not fire.
        notes: receives what was assumed.
    """
    biases = gated(bias(layer, shape), delay)
    if not fires(layer, last, notes):
        current = leak_of(layer, "neuron/iDecay", shape, 0)
        leak = leak_of(layer, "neuron/vDecay", shape, 1 << DECAY_BITS)
        none = np.zeros((0, *(1,) * len(shape)), np.int64)
        return Neuron(
            layer.name, (source,), shape, none, Reset("none"), leak, current, shift, biases,
            state_range=POTENTIAL, current_range=CURRENT, emit="state",
        )  # fmt: skip
    return Neuron(
        layer.name, (source,), shape, _threshold(layer, shape), Reset("value"),
        leak_of(layer, "neuron/vDecay", shape), leak_of(layer, "neuron/iDecay", shape), shift,
        biases, state_range=POTENTIAL, current_range=CURRENT,
    )  # fmt: skip


def input_neuron(layer: RawNode, source: str, shape: Shape) -> Neuron:
    """The population of an input layer: netx writes the values to the neurons' bias registers."""
    check(layer)
    return Neuron(
        layer.name, (source,), shape, _threshold(layer, shape), Reset("value"),
        leak_of(layer, "neuron/vDecay", shape), None, STATE_SHIFT, state_range=POTENTIAL,
    )  # fmt: skip


def fires(layer: RawNode, last: bool, notes: Notes) -> bool:
    """Whether the layer sends spikes, or its potential is the network's output."""
    if any(label.startswith("neuron/") for label in layer.fields):
        check(layer)
        if not last or layer.integers("neuron/vThMant")[0] < SILENT:
            return True
        text = f"threshold {layer.integers('neuron/vThMant')[0]} never fires: the output is v"
    else:
        text = "no neurons in the file: as netx, u sums the input without leak and the output is u"
    if not last:
        raise UnsupportedError(
            "a layer without neurons inside the network",
            where=layer.where("neuron"),
            remedy="only the last layer may be an integrator",
        )
    notes.add(layer.name, text)
    return False


def check(layer: RawNode) -> None:
    """Raise ``UnsupportedError`` unless the neuron is of a known type and nothing beyond it."""
    kind = layer.text("neuron/type")
    if kind is None or kind not in _USED:
        raise UnsupportedError(
            f"neuron type {kind} is not supported",
            where=layer.where("neuron/type"),
            found=f"{kind}: {_OTHER[str(kind)]}" if str(kind) in _OTHER else kind,
            allowed=", ".join(_USED),
            remedy="train with slayer.block.cuba, alif or sigma_delta",
        )
    for label in layer.fields:
        if label.startswith("neuron/"):
            _check_parameter(layer, label, _USED[kind])


def _check_parameter(layer: RawNode, label: str, used: tuple[str, ...]) -> None:
    name = label.removeprefix("neuron/")
    # netx sends the messages of sigma-delta neurons with 16 bits, which acts like any but 0.
    neutral = _NEUTRAL | ({"messageBits": 16} if "sigma_output" in used else {})
    if name in neutral:
        if set(layer.integers(label)) != {neutral[name]}:
            raise UnsupportedError(
                f"{name} is ignored by Lava, so the file does not do what it was trained for",
                where=layer.where(label),
                found=layer.integers(label)[:8],
                allowed=neutral[name],
                remedy=f"train with {name} = {neutral[name]}",
            )
    elif name not in (*used, *_TRAINING):
        raise UnsupportedError(
            "unknown neuron parameter",
            where=layer.where(label),
            allowed=", ".join((*used, *_NEUTRAL, *_TRAINING)),
            remedy="train with the neurons of lava-dl 0.6.0",
        )


def bias(layer: RawNode, shape: Shape) -> IntArray | None:
    """The mantissa, broadcastable to ``shape``; None when nothing is added."""
    if not layer.has("bias"):
        return None
    result = parameter(layer, "bias", shape, *BIAS_RANGE)
    return result if result.any() else None


def gated(
    mantissa: IntArray | None, delay: IntArray, shift: int = STATE_SHIFT
) -> tuple[GatedBias, ...]:
    """The bias of a neuron whose input is late by d steps starts d steps late as well."""
    if mantissa is None:
        return ()
    scaled = mantissa << shift
    return tuple(
        GatedBias(scaled * (delay == steps), int(steps))
        for steps in np.unique(delay)
        if (scaled * (delay == steps)).any()
    )


def parameter(layer: RawNode, label: str, shape: Shape, low: int, high: int) -> IntArray:
    """Integers in [low, high]: one, one per channel (first axis), or one per neuron."""
    values = whole(layer, label, low, high)
    if values.size == 1:
        return values.reshape((1,) * len(shape))
    if values.size == shape[0]:
        return values.reshape(-1, *(1,) * (len(shape) - 1))
    if values.size == size_of(shape):
        return values.reshape(shape)
    raise ModelError(
        "the number of values fits neither the channels nor the neurons",
        where=layer.where(label),
        found=values.size,
        allowed=f"1, {shape[0]} or {size_of(shape)}",
    )


def whole(layer: RawNode, label: str, low: int, high: int) -> IntArray:
    """A field as int64, unchanged in shape.

    Raises:
        ModelError: a value that is not an integer or lies outside [low, high].
    """
    values = layer.real(label)
    if (values != np.round(values)).any():
        raise ModelError(
            "values that are not integers",
            where=layer.where(label),
            found=f"e.g. {float(values[values != np.round(values)].flat[0]):g}",
            allowed="integers: Lava cuts off the fraction without saying so",
            remedy="export with quantization (pre_hook_fx=quantize_8bit)",
        )
    if values.min() < low or values.max() > high:
        raise ModelError(
            "values outside their register",
            where=layer.where(label),
            found=f"{values.min():g} to {values.max():g}",
            allowed=f"{low} to {high}: Lava clips or wraps beyond without saying so",
        )
    return values.astype(np.int64)


def leak_of(layer: RawNode, label: str, shape: Shape, default: int | None = None) -> Leak:
    """A decay of d in 0..4096 keeps (4096 - d) / 4096."""
    full = 1 << DECAY_BITS
    if default is not None and not layer.has(label):
        return Leak(np.array(full - default), DECAY_BITS, "toward_zero")
    return Leak(full - parameter(layer, label, shape, 0, full), DECAY_BITS, "toward_zero")


def _threshold(layer: RawNode, shape: Shape) -> IntArray:
    """One level: v > vThMant << 6 is v >= (vThMant << 6) + 1."""
    register = parameter(layer, "neuron/vThMant", shape, 0, (1 << 24) - 1)
    ladder: IntArray = ((register << STATE_SHIFT) + 1)[None]
    return ladder
