"""Few-spike neurons (Stöckl and Maass, 2021): a function of one number, as weighted spikes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from snnc.compiler.frontends.torch.call import Call
from snnc.compiler.frontends.torch.layout import Value, elements, size
from snnc.compiler.frontends.torch.registry import converts
from snnc.compiler.frontends.torch.spikingjelly.neurons import names, require_spikes
from snnc.compiler.frontends.torch.spikingjelly.steps import in_step, population, threshold
from snnc.compiler.frontends.torch.tensor import numpy_of, traced


@converts(*names("few_spike.FewSpikeNode"), catch_all=True)
def few_spike_node(call: Call) -> Any:
    """``z_k = [v >= theta_k]; v = v - h_k z_k``, emitted as ``d_k z_k``: K populations in a row.

    In step mode "s" the sum over k is one value; in mode "m" the input's sum over K steps is v,
    and step k emits term k.
    """
    if type(call.module).__name__ != "FewSpikeNode":
        raise call.refuse(
            "a few-spike neuron with an encoding of its own", remedy="use FewSpikeNode"
        )
    require_spikes(call)
    builder, module = call.builder, call.module
    theta, after, weight = (numpy_of(x) for x in (module.theta, module.h, module.d))
    sequence = module.step_mode == "m"
    value = builder.unpooled(
        call.stepped(call.value(), sequence=True) if sequence else call.value()
    )
    gate = value
    if sequence:
        if size(value.dims[0]) not in (1, theta.size):
            raise call.refuse(
                "a few-spike neuron sees as many steps as its table is long",
                f"{size(value.dims[0])} steps, {theta.size} entries",
            )
        gate = builder.over_time(value)
    node = builder.tensor(gate)
    gate = Value(node, elements(builder.shapes[node]))
    terms = [gate]
    emitted: list[Value] = []
    for k, level in enumerate(theta):
        summed = builder.sum(terms) if len(terms) > 1 else gate
        fires = population(call, summed.node, f".spike{k}", **threshold(-float(level)))
        spikes = replace(gate, node=fires)
        terms.append(builder.scale(spikes, -float(after[k])))
        shown = replace(gate, node=in_step(builder, fires, k)) if sequence else spikes
        emitted.append(builder.scale(shown, np.asarray(weight[k])))
    total = builder.sum(emitted) if len(emitted) > 1 else emitted[0]
    return traced(builder.result(value, builder.tensor(total)), call.inputs[0])
