"""NIR neurons to ``RealNeuron``: the differential equation and the dialect become one update.

NIR: ``tau dv/dt = (v_leak - v) + r I`` and, for the Cuba kinds,
``tau_syn dI/dt = -I + w_in S`` (Pedersen et al., Nature Communications 2024,
doi 10.1038/s41467-024-52259-9), here with a step of ``dt`` and the current updated first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.compiler.frontends.nir.dialect import Dialect
from snnc.compiler.frontends.record import Notes, RawNode
from snnc.ir.arrays import RealArray, Shape
from snnc.ir.errors import ModelError, UnsupportedError
from snnc.ir.real_neuron import RealNeuron, ResetRule, ResetTiming

KINDS = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Threshold")
FIELDS = {
    "I": ("r",),
    "IF": ("r", "v_threshold", "v_reset"),
    "LI": ("tau", "r", "v_leak"),
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "w_in", "v_threshold", "v_reset"),
    "Threshold": ("threshold",),
}
# A gain this close to 1 was 1 before the exporter rounded tau to float32.
UNIT_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Context:
    """What a neuron's lowering needs besides the node."""

    dialect: Dialect
    notes: Notes
    recurrent: bool


def declared_shape(node: RawNode) -> Shape | None:
    """Shape of the largest parameter, or None if all are single numbers."""
    shapes = [node.real(label).shape for label in FIELDS[node.kind] if node.has(label)]
    sized = [shape for shape in shapes if int(np.prod(shape)) > 1]
    return max(sized, key=lambda s: int(np.prod(s))) if sized else None


def lower_neuron(node: RawNode, operand: str, shape: Shape, context: Context) -> RealNeuron:
    """One population of ``shape`` fed by ``operand``."""
    build = {"Threshold": _threshold, "I": _integrator, "IF": _integrator}.get(node.kind, _leaky)
    return build(_Parameters(node, shape, context.notes), operand, context)


@dataclass(frozen=True)
class _Parameters:
    """Access to a node's parameters, fitted to the population's shape."""

    node: RawNode
    shape: Shape
    notes: Notes

    def get(self, label: str, default: float | None = None) -> RealArray:
        """The field, broadcastable to the shape; a constant array becomes one number."""
        values = self.node.real(label, default)
        if values.size == 1 or bool((values == values.flat[0]).all()):
            self._check(label, values)
            return np.asarray(values.flat[0])
        return self._check(label, values)

    def _check(self, label: str, values: RealArray) -> RealArray:
        if values.size == 1 or values.shape == self.shape:
            return values
        trimmed = values
        while trimmed.ndim > len(self.shape) and trimmed.shape[0] == 1:
            trimmed = trimmed[0]
        # Equal rank keeps broadcasting unambiguous: (C, 1, 1) per channel, never (W,).
        fits = len(trimmed.shape) == len(self.shape) and all(
            have in (1, want) for have, want in zip(trimmed.shape, self.shape, strict=True)
        )
        if not fits:
            raise ModelError(
                "the parameter does not fit what flows into the node",
                where=self.node.where(label),
                found=f"parameter {values.shape}, input {self.shape}",
                allowed=f"{self.shape}, or a single number",
                remedy="check the shapes of the layer before this node",
            )
        if trimmed.shape != values.shape:
            self.notes.add("leading axes of 1 ignored", f"{self.node.name}.{label}")
        return trimmed

    def positive(self, label: str) -> RealArray:
        """A field that must be above zero."""
        values = self.get(label)
        if (values <= 0).any():
            raise ModelError(
                "the value must be positive",
                where=self.node.where(label),
                found=f"smallest {float(values.min()):g}",
                allowed="> 0",
                remedy=_POSITIVE_REMEDY.get(label, ""),
            )
        return values


_POSITIVE_REMEDY = {
    "tau": "a negative time constant means beta > 1: constrain the leak in training",
    "tau_mem": "a negative time constant means beta > 1: constrain the leak in training",
    "tau_syn": "a negative time constant means alpha > 1: constrain the leak in training",
    "v_threshold": "a neuron that fires without input cannot be compiled; retrain or edit it",
    "threshold": "a threshold that fires without input cannot be compiled",
}


def _threshold(p: _Parameters, operand: str, context: Context) -> RealNeuron:
    """z = [x > threshold]: a neuron that forgets everything at once; NIR says strictly above."""
    zero, one = np.zeros(()), np.ones(())
    threshold = p.positive("threshold")
    return RealNeuron(p.node.name, (operand,), p.shape, zero, one, zero, threshold, reset="none")


def _integrator(p: _Parameters, operand: str, context: Context) -> RealNeuron:
    """dv/dt = r I.  r = 1 and r = 1/dt both mean ``v += I``: exporters disagree on the unit."""
    r, dt = p.get("r"), context.dialect.dt
    gain = _unit(r * dt)
    if (r == 1).all():
        gain = np.ones(())
        if dt != 1:
            context.notes.add("unit gain of IF", f"{p.node.name}: r = 1 read as v += I")
    return _population(p, operand, context, np.ones(()), gain, np.zeros(()), None, None)


def _leaky(p: _Parameters, operand: str, context: Context) -> RealNeuron:
    cuba = p.node.kind.startswith("Cuba")
    tau, r = p.positive("tau_mem" if cuba else "tau"), p.get("r")
    rate = _rate(p, "tau_mem" if cuba else "tau", tau, context)
    leak = p.get("v_leak")
    integration = context.dialect.integration
    _note_own_gain(p, context, tau, r)
    current_decay = current_gain = None
    gain = _unit(rate * r)
    if integration == "spyx":
        gain = np.ones(())
    elif integration == "exponential":
        gain = np.ones(()) if cuba else 1 - rate
    elif integration == "sinabs":
        gain = rate
    if cuba:
        current_rate = _rate(p, "tau_syn", p.positive("tau_syn"), context)
        current_decay = 1 - current_rate
        current_gain = _unit(current_rate * p.get("w_in", 1.0))
        if integration == "exponential":
            current_gain = current_decay
        if integration == "spyx":
            current_gain = np.ones(())
    return _population(
        p, operand, context, 1 - rate, gain, rate * leak, current_decay, current_gain
    )


def _note_own_gain(p: _Parameters, context: Context, tau: RealArray, r: RealArray) -> None:
    """Dialects other than Euler have input gains of their own; say so where the file has others."""
    dialect, name = context.dialect, p.node.name
    if dialect.integration == "euler":
        return
    implied = {
        "sinabs": np.ones(()),
        "spyx": 1 - dialect.dt / tau,
        "exponential": tau * np.exp(-dialect.dt / tau) / dialect.dt,
    }[dialect.integration]
    if not np.allclose(r, implied, rtol=1e-3):
        context.notes.add("input gain ignored", f"r of {name}: {dialect.name} has its own")
    w_in = np.ones(()) if dialect.integration == "sinabs" else p.get("w_in", 1.0)
    if not np.allclose(w_in, 1, rtol=1e-3):
        context.notes.add("input gain ignored", f"w_in of {name}: {dialect.name} has its own")


def _rate(p: _Parameters, label: str, tau: RealArray, context: Context) -> RealArray:
    """Fraction that leaks in one step; Euler needs tau >= dt, else the leak overshoots."""
    dt = context.dialect.dt
    if context.dialect.integration in ("exponential", "sinabs"):
        return np.asarray(1 - np.exp(-dt / tau))
    rate = np.asarray(dt / tau)
    if (rate > 1 + UNIT_TOLERANCE).any():
        raise ModelError(
            "the time constant is shorter than the time step",
            where=p.node.where(label),
            found=f"{label} = {float(tau.min()):g}, dt = {dt:g}",
            allowed=f"{label} >= dt",
            remedy="give the time step of the training with --dt; Norse 1.1 stores dt * tau "
            "instead of tau, such a file must be exported again",
        )
    return np.minimum(rate, 1.0)


def _unit(gain: RealArray) -> RealArray:
    """Exactly 1 where the exporter's rounding left almost 1."""
    return np.where(np.abs(gain - 1) < UNIT_TOLERANCE, 1.0, gain)


def _population(
    p: _Parameters,
    operand: str,
    context: Context,
    decay: RealArray,
    gain: RealArray,
    offset: RealArray,
    current_decay: RealArray | None,
    current_gain: RealArray | None,
) -> RealNeuron:
    if "v_threshold" not in FIELDS[p.node.kind]:
        context.notes.add("graded output", f"{p.node.name} emits its potential")
        return RealNeuron(
            p.node.name, (operand,), p.shape, decay, gain, offset, None, reset="none",
            current_decay=current_decay, current_gain=current_gain,
        )  # fmt: skip
    dialect = context.dialect
    threshold = p.positive("v_threshold")
    reset, reset_value, timing = _reset(p, context)
    return RealNeuron(
        p.node.name, (operand,), p.shape, decay, gain, offset, threshold,
        dialect.comparator, reset, reset_value, timing, dialect.multi_spike,
        current_decay, current_gain, _minimum(p, threshold, dialect),
    )  # fmt: skip


def _reset(p: _Parameters, context: Context) -> tuple[ResetRule, RealArray | None, ResetTiming]:
    dialect = context.dialect
    value = p.get("v_reset", 0.0)
    timing: ResetTiming = dialect.recurrent_timing if context.recurrent else "now"
    if dialect.reset == "subtract":
        if (value != 0).any():
            raise ModelError(
                "a reset potential and a reset by subtraction exclude each other",
                where=p.node.where("v_reset"),
                found=f"v_reset up to {float(np.abs(value).max()):g}",
                allowed="0 with --reset subtract",
                remedy="give --reset zero to reset to v_reset",
            )
        if dialect.fires_late and p.node.kind.startswith("Cuba"):
            return (
                "subtract",
                None,
                "now",
            )  # Spyx subtracts before the leak here, after it elsewhere
        return "subtract", None, timing if context.recurrent else dialect.subtract_timing
    if (value == 0).all():
        return "zero", None, timing
    return "value", value, timing


def _minimum(p: _Parameters, threshold: RealArray, dialect: Dialect) -> float | None:
    if not dialect.clamp:
        return None
    if np.ptp(threshold) != 0:
        raise UnsupportedError(
            "the clamp at minus the threshold needs one threshold per population",
            where=p.node.where("v_threshold"),
            found=f"{float(threshold.min()):g} to {float(threshold.max()):g}",
            remedy="read the file without clamp: --dialect nir --reset subtract",
        )
    return -float(threshold.flat[0])
