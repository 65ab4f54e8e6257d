"""One logical step of a neuron population: the equations of ``snnc.ir.neuron``, line by line."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.ir.neuron import DeltaCode, Leak, Neuron, StateRange
from snnc.simulators.reference.operators import round_shift


class PopulationState:
    """State of one population for a batch: arrays [samples, *shape]."""

    def __init__(self, neuron: Neuron, samples: int) -> None:
        self.neuron = neuron
        self.v = np.zeros((samples, *neuron.shape), np.int64) + neuron.initial
        self.current = np.zeros_like(self.v)
        self.a = np.zeros_like(self.v)
        self.q = np.zeros_like(self.v)

    def step(self, inputs: Any, t: int) -> Any:
        """Advance by logical step ``t`` with the summed inputs; return what is emitted."""
        n = self.neuron
        x = inputs << n.input_shift
        if n.current is not None:
            x = self.current = bounded(_leak(n.current, self.current) + x, n.current_range)
        bias = sum((b.value for b in n.bias if t >= b.onset), start=np.int64(0))
        v = bounded(_leak(n.leak, self.v) + x + bias, n.state_range)
        if n.emit == "state":
            self.v = v
            return v
        if n.delta is not None:
            self.v = v
            return self._change(n.delta, v)

        adaptation = n.adaptation
        offset = (adaptation.beta * self.a >> adaptation.beta_shift) if adaptation else 0
        recovering = self.q if n.recovery is not None else 0
        c = np.zeros_like(v)
        for threshold in n.thresholds:
            c += v >= threshold + offset + recovering
        for threshold in n.negative_thresholds:
            c -= -v >= threshold
        silent = (self.q > 0) & (n.recovery is None)
        c = np.where(silent, 0, c)
        if n.refractory_hold:
            v = np.where(silent, n.reset.amount if n.reset.kind == "value" else 0, v)

        self.v = bounded(self._reset(v, c), n.state_range)
        self._adapt(c)
        if n.recovery is not None:
            met = n.recovery.factor * (n.thresholds[0] + offset)
            self.q = _leak(n.recovery.leak, self.q + met * (c != 0))
        else:
            self.q = np.where(c != 0, n.refractory, np.maximum(self.q - 1, 0))
        return c if n.emission is None else n.emission[c + n.negative_levels]

    def _change(self, code: DeltaCode, v: Any) -> Any:
        """What a sigma-delta neuron sends; ``a`` is what its receivers have been told."""
        bounds = self.neuron.state_range
        y = np.maximum(v, 0) if code.activation == "relu" else v
        d = bounded(y - self.a, bounds)
        sends = np.abs(d) >= self.neuron.thresholds[0]
        message = np.clip(np.where(sends, d >> code.shift, 0), -code.limit, code.limit)
        told = y if code.feedback == "change" else bounded(self.a + (message << code.shift), bounds)
        self.a = np.where(sends, told, self.a)
        return message

    def _reset(self, v: Any, c: Any) -> Any:
        reset = self.neuron.reset
        if reset.kind == "subtract":
            return v - reset.amount * c
        if reset.kind == "value":
            return np.where(c != 0, reset.amount, v)
        if reset.kind == "multiply":
            return np.where(c > 0, reset.up * v, np.where(c < 0, reset.down * v, v))
        return v

    def _adapt(self, c: Any) -> None:
        rule = self.neuron.adaptation
        if rule is None:
            return
        if rule.kind == "decay":
            self.a = _leak(rule.leak, self.a) + rule.gain * (c != 0)
        elif rule.kind == "raise_decay":
            self.a = _leak(rule.leak, self.a + rule.gain * (c != 0))
        else:
            moved = self.a + np.where(c != 0, rule.gain, -rule.decrement)
            self.a = np.clip(moved, 0, rule.maximum)


def _leak(leak: Leak, x: Any) -> Any:
    return round_shift(leak.multiplier * x, leak.shift, leak.rounding)


def bounded(x: Any, bounds: StateRange) -> Any:
    """``range(x)``: clipped to the ends of a register, or wrapped."""
    if bounds.overflow == "saturate":
        return np.clip(x, bounds.low, bounds.high)
    return (x - bounds.low) % (bounds.high - bounds.low + 1) + bounds.low
