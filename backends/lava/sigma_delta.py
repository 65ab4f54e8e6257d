"""Which populations are exactly Lava's Delta, SigmaDelta or Sigma, and with which parameters.

Lava's fixed-point models (``proc/sdn/models.py``, 0.10.0) in 32-bit integers that wrap, with
F = spike_exp + state_exp::

    sigma = sigma + a_in                    Delta: act = a_in << F;  Sigma: send sigma
    act = max(sigma + (bias << F), 0)
    delta = act - act before + residue
    s = |delta| >= vth << F ? delta : 0;  residue = delta - s;  send s >> state_exp

act - residue is the normal form's ``a``.  A message never clips there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from snnc.backends.lava.natives import NotLifError
from snnc.backends.lava.plan import Process, Window
from snnc.ir.arrays import IntArray
from snnc.ir.neuron import Neuron, StateRange, flat

WRAPS = StateRange(-(1 << 31), (1 << 31) - 1, "wrap")
LIMIT = 1 << 31
EXPONENT_LIMIT = 7


@dataclass(frozen=True, eq=False)
class Sdn:
    """Parameters of one of Lava's three processes.

    ``input_shift`` is what remains to be multiplied into the weights, 2^input_shift.
    """

    kind: Literal["SigmaDelta", "Delta", "Sigma"]
    vth: int = 0
    bias: IntArray | None = None
    relu: bool = True
    spike_exp: int = 0
    state_exp: int = 0
    input_shift: int = 0


def as_sdn(neuron: Neuron, input_bound: int, timesteps: int) -> Sdn:
    """The population as one of Lava's sigma-delta processes.

    Args:
        neuron: the population.
        input_bound: largest absolute sum of its inputs, before ``input_shift``.
        timesteps: logical steps of a sample.

    Raises:
        NotLifError: with the reason, if it is not.
    """
    n, arriving = neuron, input_bound << neuron.input_shift
    if n.initial.any() or any(b.onset for b in n.bias):
        raise NotLifError("an initial potential, or a bias that starts late")
    bias = sum((b.value for b in n.bias), start=np.zeros((), np.int64))
    if n.delta is None:
        if n.emit != "state" or not n.accumulates or bias.any():
            raise NotLifError("its potential is read, and is not the sum of its input")
        _check_range(n, timesteps * arriving)
        return Sdn("Sigma", input_shift=n.input_shift)
    if not n.has_sdn_states or n.delta.feedback != "change":
        raise NotLifError("a sigma-delta neuron that leaks, or makes up for rounding")
    if np.unique(n.thresholds).size > 1 or n.delta.shift > EXPONENT_LIMIT:
        raise NotLifError("thresholds that differ, or messages shifted by more than 7")
    vth = int(n.thresholds.flat[0])
    if n.current is None:
        return _encoder(n, vth, bias, arriving)
    _check_range(n, timesteps * arriving + int(np.abs(bias).max()))
    shift = min(_twos(vth, bias), EXPONENT_LIMIT + n.delta.shift)
    if shift < n.delta.shift:
        raise NotLifError(f"a threshold or bias that is no multiple of 2^{n.delta.shift}")
    return Sdn(
        "SigmaDelta", vth >> shift, flat(np.asarray(bias >> shift), n.shape),
        n.delta.activation == "relu",
        shift - n.delta.shift, n.delta.shift, n.input_shift,
    )  # fmt: skip


def sdn_process(name: str, size: int, sdn: Sdn, window: Window) -> Process:
    """Lava's own process, set to zero before the first step of every sample.

    Lava has reset intervals for its LIF only: ``standalone/snnc_sigma_delta.py`` adds them.
    """
    parameters: dict[str, Any] = {
        "shape": [size], "reset_interval": window.stride, "reset_offset": window.first,
    }  # fmt: skip
    arrays = {}
    if sdn.kind != "Sigma":
        parameters |= {"vth": sdn.vth, "spike_exp": sdn.spike_exp, "state_exp": sdn.state_exp}
    if sdn.kind == "SigmaDelta" and sdn.bias is not None:
        parameters["relu"] = sdn.relu
        arrays["bias"] = sdn.bias.astype(np.int32)
    return Process(name, sdn.kind, parameters, arrays)


def _encoder(n: Neuron, vth: int, bias: IntArray, arriving: int) -> Sdn:
    """Lava's Delta shifts its input by the same exponents as its threshold."""
    assert n.delta is not None
    spike_exp = n.input_shift - n.delta.shift
    if n.delta.activation != "unit" or bias.any() or not 0 <= spike_exp <= EXPONENT_LIMIT:
        raise NotLifError("a delta encoder with an activation, a bias, or other exponents")
    if vth % (1 << n.input_shift):
        raise NotLifError(f"a threshold of {vth}, no multiple of 2^{n.input_shift}")
    _check_range(n, arriving)
    return Sdn("Delta", vth >> n.input_shift, spike_exp=spike_exp, state_exp=n.delta.shift)


def _check_range(n: Neuron, bound: int) -> None:
    """Sums wrap at 32 bits as Lava's do, or neither they nor messages reach any end."""
    kept = (n.state_range, n.current_range) if n.current is not None else (n.state_range,)
    limit = n.delta.limit if n.delta is not None else LIMIT
    relu = n.delta is None or n.delta.activation == "relu"
    if relu and limit >= LIMIT and all(r == WRAPS for r in kept):
        return
    reach = bound if relu else 2 * bound
    ends = min(min(r.high, -r.low) for r in kept)
    shift = n.delta.shift if n.delta is not None else 0
    if reach > min(ends, LIMIT - 1) or (reach >> shift) + 1 > limit:
        raise NotLifError("its sums or messages may reach ends that are not Lava's 32 bits")


def _twos(vth: int, bias: IntArray) -> int:
    """Largest k such that 2^k divides threshold and biases."""
    bits = vth | int(np.bitwise_or.reduce(np.abs(bias), axis=None))
    return (bits & -bits).bit_length() - 1 if bits else 62
