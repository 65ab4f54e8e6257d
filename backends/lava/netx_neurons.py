"""Populations as the ``neuron`` group and ``bias`` of a ``.net`` layer of lava-dl 0.6.0."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.backends.lava.alif import Alif
from snnc.backends.lava.natives import Lif
from snnc.backends.lava.sigma_delta import Sdn
from snnc.ir.arrays import IntArray
from snnc.ir.errors import UnsupportedError
from snnc.ir.neuron import Neuron

Known = Lif | Alif | Sdn
STATE_EXPONENT = 6
SPIKE_EXPONENT = 6
"""netx's own, where no encoder says another."""
BIAS_EXPONENT = 6
BIAS_LIMIT = (-4096, 4095)
_REMEDY = "snnc export --to lava writes any network"


def refusal(problem: str, where: str, found: object = "") -> UnsupportedError:
    """What a ``.net`` file cannot say."""
    return UnsupportedError(
        f"a .net file cannot say this: {problem}", where=where, found=found, remedy=_REMEDY
    )


def group(neuron: Neuron, known: Known, spike_exponent: int) -> dict[str, Any]:
    """The ``neuron`` group.

    Args:
        neuron: the population.
        known: its parameters.
        spike_exponent: with which netx shall read messages of sigma-delta neurons.

    Raises:
        UnsupportedError: a parameter that has no place there.
    """
    if isinstance(known, Lif):
        return {
            "type": "CUBA", "iDecay": known.du + 1, "vDecay": known.dv, "vThMant": known.vth,
            "refDelay": 1, "gradedSpike": False,
        }  # fmt: skip
    if isinstance(known, Alif):
        name = neuron.name
        return {
            "type": "ALIF",
            "iDecay": _per_channel(neuron, known.du, "current decays"),
            "vDecay": _per_channel(neuron, known.dv, "decays"),
            "thDecay": _per_channel(neuron, known.dth, "threshold decays"),
            "refDecay": _per_channel(neuron, known.dref, "refractory decays"),
            "vThMant": _single(known.vth, name, "thresholds"),
            "vThStep": _single(known.vth_step, name, "threshold steps"),
            "refDelay": 1,
            "gradedSpike": False,
        }
    result: dict[str, Any] = {"type": "SDNN", "activation": "relu", "vThMant": 0}
    if known.kind == "Sigma":
        return {**result, "sigma_output": True}
    if known.state_exp != STATE_EXPONENT:
        raise refusal(
            f"messages in other units than 2^{STATE_EXPONENT}", neuron.name, known.state_exp
        )
    if known.kind == "SigmaDelta" and not known.relu:
        raise refusal("an activation that is no ReLU", neuron.name)
    return {**result, "vThMant": int(_in_units(neuron, known, known.vth, spike_exponent))}


def bias(neuron: Neuron, known: Known, spike_exponent: int) -> IntArray | None:
    """Mantissas, one per channel or neuron of a dense layer; None where all are zero.

    Raises:
        UnsupportedError: biases that the format's register or layout does not hold.
    """
    if isinstance(known, Lif):
        total = known.bias_mant << known.bias_exp
        mantissa: IntArray = total >> BIAS_EXPONENT
        exact = bool((mantissa << BIAS_EXPONENT == total).all())
    elif isinstance(known, Alif):
        mantissa, exact = known.bias, True
    elif known.bias is None:
        return None
    else:
        mantissa, exact = _in_units(neuron, known, known.bias, spike_exponent), True
    if not mantissa.any() and exact:
        return None
    return per_channel_bias(neuron, mantissa if exact else None)


def per_channel_bias(neuron: Neuron, mantissa: IntArray | None) -> IntArray:
    """One of 13 bits per channel; None was no multiple of the unit."""
    if mantissa is not None:
        channels: IntArray = mantissa.reshape(neuron.shape[0], -1)
        same = bool((channels == channels[:, :1]).all())
        if same and BIAS_LIMIT[0] <= mantissa.min() <= mantissa.max() <= BIAS_LIMIT[1]:
            result: IntArray = channels[:, 0]
            return result
    raise refusal("biases that are not 13 bits times their unit, one per channel", neuron.name)


def _in_units(neuron: Neuron, known: Sdn, value: Any, spike_exponent: int) -> Any:
    """A threshold or bias, stored without 2^(spike_exp + state_exp)."""
    whole = value << known.spike_exp
    if np.any(whole % (1 << spike_exponent)):
        raise refusal(
            f"a threshold or bias that is no multiple of 2^{spike_exponent + STATE_EXPONENT}",
            neuron.name,
        )
    return whole >> spike_exponent


def _per_channel(neuron: Neuron, values: IntArray, what: str) -> Any:
    channels = values.reshape(neuron.shape[0], -1)
    if (channels != channels[:, :1]).any():
        raise refusal(f"{what} that differ within a channel", neuron.name)
    return int(values[0]) if (values == values[0]).all() else channels[:, 0]


def _single(values: IntArray, name: str, what: str) -> int:
    if (values != values[0]).any():
        raise refusal(f"{what} that differ within a layer", name)
    return int(values[0])
