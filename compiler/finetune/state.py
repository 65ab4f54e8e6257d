"""A population of real neurons in torch: the equations of ``snnc.ir.real_neuron``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from snnc.compiler.finetune.surrogate import fire
from snnc.compiler.quantize.parameters import ladder, negative_ladder
from snnc.ir.arrays import AnyArray
from snnc.ir.real_neuron import RealNeuron


def tensor(values: AnyArray) -> Any:
    """A float64 copy."""
    return torch.from_numpy(np.array(values, np.float64))


class State:
    """Potentials, currents and last spikes of a batch: tensors [samples, *shape].

    What a spike resets passes no gradient, as in Fang et al. (2021), which keeps the gradients
    through time from growing.
    """

    def __init__(self, neuron: RealNeuron, samples: int) -> None:
        self.neuron = neuron
        self.constant = {
            label: None if value is None else tensor(value)
            for label in ("decay", "gain", "offset", "threshold", "reset_value", "current_decay",
                          "current_gain")
            for value in (getattr(neuron, label),)
        }  # fmt: skip
        self.up = [(tensor(level), strict) for level, strict in ladder(neuron)]
        self.down = [(tensor(level), strict) for level, strict in negative_ladder(neuron)]
        shape = (samples, *neuron.shape)
        self.v = tensor(neuron.initial).expand(shape)
        self.current = torch.zeros(shape, dtype=torch.float64)
        self.s = torch.zeros(shape, dtype=torch.float64)

    def step(self, x: Any) -> Any:
        """Advance one step; spike counts, or the potential without threshold."""
        n, k = self.neuron, self.constant
        if k["current_decay"] is not None:
            x = self.current = k["current_decay"] * self.current + k["current_gain"] * x
        v = k["decay"] * self.v + k["gain"] * x + k["offset"]
        if k["threshold"] is None:
            self.v = v
            return v
        if n.reset_timing == "next_step":
            v = self._reset(v)
        self.s = self._spikes(v)
        if n.reset_timing == "now":
            v = self._reset(v)
        self.v = v if n.minimum is None else torch.clamp(v, min=n.minimum)
        return self.s

    def _spikes(self, v: Any) -> Any:
        """How many thresholds lie below v, less those of the negative counts below -v."""
        theta = self.constant["threshold"]
        count = torch.zeros_like(v)
        for level, strict in self.up:
            count = count + fire((v - level) / theta, strict)
        for level, strict in self.down:
            count = count - fire((-v - level) / theta, strict)
        return count

    def _reset(self, v: Any) -> Any:
        s, rule = self.s.detach(), self.neuron.reset
        if rule == "subtract":
            return v - s * self.constant["threshold"]
        if rule == "none":
            return v
        rest = self.constant["reset_value"]
        return torch.where(s != 0, torch.zeros_like(v) if rest is None else rest.expand_as(v), v)
