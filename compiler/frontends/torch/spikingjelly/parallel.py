"""The parallel spiking neuron family (Fang et al., NeurIPS 2023, arXiv:2304.12760)."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.compiler.frontends.torch.call import Call
from snnc.compiler.frontends.torch.registry import converts
from snnc.compiler.frontends.torch.spikingjelly.neurons import names, sequence
from snnc.compiler.frontends.torch.tensor import numpy_of, traced

WAIT = "a parallel spiking neuron whose spikes depend on later inputs or on the step's number"


@converts(*names("psn.SlidingPSN"))
def sliding_psn(call: Call) -> Any:
    """``s[t] = [sum_i w_i x[t - k + 1 + i] + b >= 0]``: delayed copies and a plain threshold."""
    builder = call.builder
    value = call.stepped(call.value(), sequence=sequence(call))
    weights = numpy_of(call.module.weight)
    parts = []
    for age, weight in enumerate(weights[::-1]):
        if weight:
            past = builder.delayed(value, age) if age else value
            parts.append(builder.scale(past, weight))
    if not parts:
        raise call.refuse("a sliding PSN whose weights are all zero")
    summed = builder.sum(parts) if len(parts) > 1 else parts[0]
    bias = call.number_of(call.module.bias)
    # A firing threshold is positive; a bias that is not negative moves both sides up.
    offset = 0.0 if bias < 0 else bias + 1.0
    spikes = call.population(
        summed, decay=np.zeros(()), gain=np.ones(()), offset=np.array(offset),
        threshold=np.array(-bias if bias < 0 else 1.0), comparator=">=", reset="none",
    )  # fmt: skip
    return traced(spikes, call.inputs[0])


@converts(*names("psn.PSN"))
def psn(call: Call) -> Any:
    """Refused: every spike depends on all steps."""
    raise call.refuse(WAIT, "PSN", "train a SlidingPSN")


@converts(*names("psn.MaskedPSN"))
def masked_psn(call: Call) -> Any:
    """Refused: row t of its matrix is a set of weights of step t only."""
    raise call.refuse(WAIT, "MaskedPSN", "train a SlidingPSN, whose weights all steps share")
