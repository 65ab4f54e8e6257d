"""Which populations are lava-dl's adaptive LIF, and with which parameters.

See ``standalone/snnc_alif.py`` for the equations: that is snnc's own process, since Lava has none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.backends.lava.natives import DECAY_SHIFT, STATE_SHIFT, NotLifError
from snnc.backends.lava.plan import Process, Window
from snnc.ir.arrays import IntArray
from snnc.ir.neuron import MEMORYLESS, NO_LEAK, Leak, Neuron, StateRange, flat

RANGE = StateRange(-(1 << 31), (1 << 31) - 1)


@dataclass(frozen=True, eq=False)
class Alif:
    """Parameters of ``snnc_alif.ALIF``, one per neuron each.

    ``input_shift`` is what remains to be multiplied into the weights, 2^input_shift.
    """

    du: IntArray
    dv: IntArray
    dth: IntArray
    dref: IntArray
    vth: IntArray
    vth_step: IntArray
    bias: IntArray
    input_shift: int


def as_alif(n: Neuron) -> Alif:
    """The population as lava-dl's adaptive LIF.

    Raises:
        NotLifError: with the reason, if it is not.
    """
    rule, recovery = n.adaptation, n.recovery
    if rule is None or recovery is None or rule.kind != "raise_decay" or recovery.factor != 2:
        raise NotLifError("no adaptive LIF of lava-dl: other adaptation")
    if rule.beta != 1 or rule.beta_shift or n.reset.kind != "none" or n.emission is not None:
        raise NotLifError("no adaptive LIF of lava-dl: scaled adaptation, reset, or a table")
    if n.initial.any() or any(b.onset for b in n.bias) or n.input_shift < STATE_SHIFT:
        raise NotLifError("no adaptive LIF of lava-dl: initial potential, late bias, small inputs")
    if (n.state_range, n.current_range) != (RANGE, RANGE):
        raise NotLifError("its states do not clip at 32 bits")
    bias = sum((b.value for b in n.bias), start=np.zeros((), np.int64))
    if bias.any() and n.current is not None and n.current.multiplier.any():
        raise NotLifError("its bias joins the potential behind a current that remembers")
    return Alif(
        _decay(n, n.current or MEMORYLESS),
        _decay(n, n.leak),
        _decay(n, rule.leak),
        _decay(n, recovery.leak),
        _mantissa(n, n.thresholds[0], "threshold"),
        _mantissa(n, rule.gain, "threshold step"),
        _mantissa(n, bias, "bias"),
        n.input_shift - STATE_SHIFT,
    )


def alif_process(name: str, size: int, alif: Alif, window: Window) -> Process:
    """snnc's process, set to zero before the first step of every sample."""
    parameters = {
        "shape": [size],
        "reset_interval": window.stride,
        "reset_offset": window.first,
    }
    labels = ("du", "dv", "dth", "dref", "vth", "vth_step", "bias")
    return Process(name, "ALIF", parameters, {label: getattr(alif, label) for label in labels})


def _decay(n: Neuron, leak: Leak) -> IntArray:
    if leak.shift > DECAY_SHIFT or leak.multiplier.max() > 1 << leak.shift:
        raise NotLifError(f"a leak of {leak.shift} bits, or one that grows")
    exact = leak.is_identity or not leak.multiplier.any()
    if not exact and leak.rounding != "toward_zero":
        raise NotLifError(f"a leak that rounds {leak.rounding}, in lava-dl toward zero")
    keep = leak.multiplier << (DECAY_SHIFT - leak.shift)
    return flat((NO_LEAK.multiplier << DECAY_SHIFT) - keep, n.shape)


def _mantissa(n: Neuron, value: IntArray, what: str) -> IntArray:
    if (value % (1 << STATE_SHIFT)).any() or (what != "bias" and value.min() < 0):
        raise NotLifError(f"a {what} that is no multiple of {1 << STATE_SHIFT}, or negative")
    return flat(np.asarray(value >> STATE_SHIFT), n.shape)
