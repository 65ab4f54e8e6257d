"""``RealNeuron`` to the fields of a NIR neuron, under a dialect's reading of them.

The inverse of ``frontends.nir.neurons``.  A stored time constant becomes a decay by a formula that
rounds, so every parameter is searched among the floating-point numbers around the solution until
the reader's own formula gives the decay back; float32 is preferred where it loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from snnc.compiler.frontends.nir.dialect import Dialect
from snnc.ir.arrays import AnyArray, RealArray
from snnc.ir.errors import UnsupportedError
from snnc.ir.real_neuron import RealNeuron

Fields = dict[str, AnyArray]
_NEAR = np.arange(-3, 4)


def compact(values: RealArray) -> AnyArray:
    """The same numbers in 32 bits where that loses nothing."""
    with np.errstate(over="ignore"):
        short = values.astype(np.float32)
    return short if bool((short == values).all()) else np.asarray(values, np.float64)


def neuron_fields(neuron: RealNeuron, dialect: Dialect) -> tuple[str, Fields]:
    """NIR type and fields, all with the population's full shape.

    Raises:
        UnsupportedError: the membrane is none of NIR's.
    """
    kind = _kind(neuron)
    if kind == "Threshold":
        return kind, {"threshold": _full(neuron, neuron.threshold)}
    if kind in ("I", "IF"):
        fields = {"r": _integrator_gain(neuron, dialect)}
    else:
        fields = _leaky(neuron, dialect)
    if neuron.threshold is not None:
        fields["v_threshold"] = _full(neuron, neuron.threshold)
        fields["v_reset"] = _full(neuron, neuron.reset_value)
    return kind, {label: compact(values) for label, values in fields.items()}


def _kind(neuron: RealNeuron) -> str:
    spiking = neuron.threshold is not None
    if neuron.current_decay is not None:
        _check_decay(neuron, "current_decay", neuron.current_decay)
        _check_decay(neuron, "decay", neuron.decay)
        return "CubaLIF" if spiking else "CubaLI"
    if _is_threshold(neuron):
        return "Threshold"
    if (neuron.decay == 1).all():
        if (neuron.offset != 0).any():
            raise UnsupportedError(
                "NIR's IF has no leak that could hold a constant input",
                where=f"{neuron.name}.offset",
                found=f"up to {float(np.abs(neuron.offset).max()):g} per step",
                remedy="put the constant into the bias of the layer before",
            )
        return "IF" if spiking else "I"
    _check_decay(neuron, "decay", neuron.decay)
    return "LIF" if spiking else "LI"


def _is_threshold(neuron: RealNeuron) -> bool:
    """A neuron without memory that fires above its threshold: NIR's Threshold."""
    return (
        neuron.threshold is not None
        and neuron.reset == "none"
        and neuron.comparator == ">"
        and neuron.multi_spike == 1
        and not neuron.decay.any()
        and not neuron.offset.any()
        and bool((neuron.gain == 1).all())
    )


def _check_decay(neuron: RealNeuron, label: str, decay: RealArray) -> None:
    if (decay < 0).any() or (decay >= 1).any():
        raise UnsupportedError(
            "NIR's leaky neurons lose between nothing and all of their state per step",
            where=f"{neuron.name}.{label}",
            found=f"{float(decay.min()):g} to {float(decay.max()):g}",
            allowed="0 <= decay < 1, or decay 1 for the whole population without a current",
            remedy="constrain the leak in training",
        )


def _integrator_gain(neuron: RealNeuron, dialect: Dialect) -> RealArray:
    """``r = 1`` means ``v += I`` to most readers, ``r = 1/dt`` to SpikingJelly."""
    gain = _full(neuron, neuron.gain)
    if dialect.name != "spikingjelly" and (gain == 1).all():
        return gain
    return solved(gain, gain / dialect.dt, lambda r: unit(r * dialect.dt))


def _leaky(neuron: RealNeuron, dialect: Dialect) -> Fields:
    cuba = neuron.current_decay is not None
    tau, rate = _time_constant(_full(neuron, neuron.decay), dialect)
    gain, offset = _full(neuron, neuron.gain), _full(neuron, neuron.offset)
    fields: Fields = {"tau_mem" if cuba else "tau": tau}
    fields["r"] = _resistance(gain, tau, rate, dialect)
    fields["v_leak"] = solved(offset, offset / rate, lambda leak: rate * leak)
    if neuron.current_decay is not None:
        fields["tau_syn"], syn_rate = _time_constant(_full(neuron, neuron.current_decay), dialect)
        current_gain = _full(neuron, neuron.current_gain)
        fields["w_in"] = np.ones_like(rate)
        if dialect.integration != "exponential":
            fields["w_in"] = solved(
                current_gain, current_gain / syn_rate, lambda w: unit(syn_rate * w)
            )
    return fields


def _time_constant(decay: RealArray, dialect: Dialect) -> tuple[RealArray, RealArray]:
    """The time constant of a decay, and the rate that the reader makes of it."""
    dt = dialect.dt

    def rate_of(tau: RealArray) -> RealArray:
        if dialect.integration == "euler":
            return np.asarray(np.minimum(dt / tau, 1.0))
        return np.asarray(1 - np.exp(-dt / tau))

    with np.errstate(divide="ignore"):
        tau = dt / (1 - decay) if dialect.integration == "euler" else -dt / np.log(decay)
    # An exponential that has vanished below the last digit of 1.
    tau = np.where(decay == 0, dt if dialect.integration == "euler" else dt / 64, tau)
    tau = solved(decay, tau, lambda t: 1 - rate_of(t))
    return tau, rate_of(tau)


def _resistance(gain: RealArray, tau: RealArray, rate: RealArray, dialect: Dialect) -> RealArray:
    """The ``r`` of a gain; dialects with an input gain of their own have one that implies it."""
    if dialect.integration == "sinabs":
        return np.ones_like(gain)
    if dialect.integration == "exponential":
        return np.asarray(tau * np.exp(-dialect.dt / tau) / dialect.dt)
    return solved(gain, gain / rate, lambda r: unit(rate * r))


def unit(gain: RealArray) -> RealArray:
    """As the reader: exactly 1 where rounding left almost 1."""
    return np.asarray(np.where(np.abs(gain - 1) < 1e-6, 1.0, gain))


def solved(
    wanted: RealArray, guess: RealArray, formula: Callable[[RealArray], RealArray]
) -> RealArray:
    """The number next to ``guess`` for which the reader's formula comes closest to ``wanted``.

    A float32 number where that is exact for the whole array, else float64.
    """
    short = _closest(wanted, guess.astype(np.float32), formula)
    if bool((formula(short) == wanted).all()):
        return short
    return _closest(wanted, guess, formula)


def _closest(
    wanted: RealArray, guess: AnyArray, formula: Callable[[RealArray], RealArray]
) -> RealArray:
    best = guess.astype(np.float64)
    error = np.abs(formula(best) - wanted)
    for steps in _NEAR:
        near = (guess + steps * np.spacing(guess)).astype(np.float64)
        with np.errstate(divide="ignore", over="ignore"):
            candidate = np.abs(formula(near) - wanted)
        better = candidate < error
        best, error = np.where(better, near, best), np.where(better, candidate, error)
    return best


def _full(neuron: RealNeuron, values: RealArray | None) -> RealArray:
    """A parameter with the population's shape; None counts as 0."""
    array = np.zeros(()) if values is None else values
    return np.array(np.broadcast_to(array, neuron.shape))
