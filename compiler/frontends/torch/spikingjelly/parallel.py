"""The parallel spiking neuron family (Fang et al., NeurIPS 2023, arXiv:2304.12760).

``h[t] = sum_s W[t, s] x[s] + b[t]`` and a spike where ``h[t] >= 0``, without a reset.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.compiler.frontends.torch.call import Call
from snnc.compiler.frontends.torch.layout import Value, elements, size
from snnc.compiler.frontends.torch.registry import converts
from snnc.compiler.frontends.torch.spikingjelly.neurons import names, require_spikes, sequence
from snnc.compiler.frontends.torch.spikingjelly.steps import (
    by_step,
    ever,
    in_step,
    population,
    repeated,
    threshold,
)
from snnc.compiler.frontends.torch.tensor import numpy_of, traced
from snnc.ir.arrays import RealArray


@converts(*names("psn.SlidingPSN"))
def sliding_psn(call: Call) -> Any:
    """``s[t] = [sum_i w_i x[t - k + 1 + i] + b >= 0]``: delayed copies and a plain threshold."""
    require_spikes(call)
    value = call.stepped(call.value(), sequence=sequence(call))
    weights = numpy_of(call.module.weight)
    summed = _aged(call, value, dict(enumerate(weights[::-1])))
    bias = call.number_of(call.module.bias)
    return traced(call.population(summed, **threshold(bias)), call.inputs[0])


@converts(*names("psn.PSN"))
def psn(call: Call) -> Any:
    """Every spike depends on all steps."""
    return _by_matrix(call, numpy_of(call.module.weight), loops=True)


@converts(*names("psn.MaskedPSN"))
def masked_psn(call: Call) -> Any:
    """A PSN whose matrix a mask has made causal; while it fades in, the matrix is what is left."""
    return _by_matrix(call, numpy_of(call.module.masked_weight()), loops=sequence(call))


def _by_matrix(call: Call, weights: RealArray, *, loops: bool) -> Any:
    """One population [T, ...] of which row t decides about step t, and one that reads row t then.

    A causal row reads the past in its own step.  Otherwise all rows wait for the last step, which
    sees everything, and a barrier brings them back to the first.
    """
    require_spikes(call)
    builder = call.builder
    value = builder.unpooled(call.stepped(call.value(), sequence=loops))
    steps = weights.shape[0]
    if loops and size(value.dims[0]) not in (1, steps):
        raise call.refuse(
            "a parallel spiking neuron made for another number of steps",
            f"{size(value.dims[0])} steps, its T is {steps}",
            f"trace it with {steps} steps",
        )
    node = builder.tensor(value)
    shape = builder.shapes[node]
    column = (steps, *(1,) * len(shape))
    row = np.arange(steps)
    wide = Value(repeated(builder, node, steps), elements((steps, *shape)))
    causal = not np.triu(weights, 1).any()
    if causal:  # row t reads x[t - age]
        factors = {age: np.where(row >= age, weights[row, row - age], 0) for age in range(steps)}
    else:  # in the last step, x[s] is T - 1 - s steps old
        factors = {steps - 1 - s: weights[:, s] for s in range(steps)}
    summed = _aged(call, wide, {age: f.reshape(column) for age, f in factors.items()})
    bias = numpy_of(call.module.bias).reshape(column)
    rows = population(call, summed.node, ".rows", **threshold(bias))
    if not causal:
        rows = ever(builder, in_step(builder, rows, steps - 1), steps)
    builder.notes.add(f"steps.{call.name}", f"{steps}; weights and bias of their own in each")
    fires = population(call, by_step(builder, rows), "", **threshold(-1.0))
    return traced(builder.result(value, fires), call.inputs[0])


def _aged(call: Call, value: Value, factors: dict[int, Any]) -> Value:
    """``sum over ages of factor x[t - age]``."""
    builder = call.builder
    parts = [
        builder.scale(builder.delayed(value, age) if age else value, factor)
        for age, factor in factors.items()
        if np.any(factor)
    ]
    if not parts:
        raise call.refuse("a parallel spiking neuron whose weights are all zero")
    return builder.sum(parts) if len(parts) > 1 else parts[0]
