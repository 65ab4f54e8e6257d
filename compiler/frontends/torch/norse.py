"""Converters of Norse 1.x: LIF, LI and IAF neurons with and without synaptic current.

``I = (1 - dt / tau_syn) I + X``; ``V = V + dt / tau_mem (v_leak - V + I)``; a spike is V > v_th
(Pehle and Pedersen, Norse, 2021).  Cells run one step per call, the others whole sequences.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from snnc.compiler.frontends.torch.call import Call
from snnc.compiler.frontends.torch.layout import Value
from snnc.compiler.frontends.torch.linear import dense
from snnc.compiler.frontends.torch.registry import converts
from snnc.compiler.frontends.torch.states import held, looped_once, returned
from snnc.compiler.frontends.torch.tensor import numpy_of

_MODULES = "norse.torch.module."


def names(*kinds: str) -> tuple[str, ...]:
    """Qualified names below ``norse.torch.module``."""
    return tuple(_MODULES + kind for kind in kinds)


@converts(*names(
    "lif.LIFCell", "lif_box.LIFBoxCell", "leaky_integrator.LICell",
    "leaky_integrator_box.LIBoxCell", "iaf.IAFCell",
))  # fmt: skip
def cell(call: Call) -> Any:
    """One step per call."""
    state = held(call)
    reads = call.stepped(call.value(), sequence=False)
    return returned(call, call.population(reads, **_fields(call, reads))), state


@converts(*names("lif.LIF", "leaky_integrator.LI", "iaf.IAF"))
def layer(call: Call) -> Any:
    """Whole sequences over axis 0."""
    state = held(call)
    reads = call.stepped(call.value(), sequence=True)
    return returned(call, call.population(reads, **_fields(call, reads))), state


@converts(*names("lif.LIFRecurrentCell"))
def recurrent_cell(call: Call) -> Any:
    """``I += W X + R S[t-1]``, one step per call."""
    state = held(call)
    reads = call.stepped(call.value(), sequence=False)
    (spikes,) = looped_once(call, reads, lambda x: (_recurrent(call, x),))
    return returned(call, spikes), state


@converts(*names("lif.LIFRecurrent"))
def recurrent_layer(call: Call) -> Any:
    """The same over whole sequences."""
    state = held(call)
    reads = call.stepped(call.value(), sequence=True)
    spikes = _recurrent(call, replace(reads, dims=reads.dims[1:]))
    return returned(call, replace(spikes, dims=(reads.dims[0], *spikes.dims))), state


@converts(*names("snn.SNNCell", "snn.SNN", "snn.SNNRecurrentCell", "snn.SNNRecurrent"),
          catch_all=True)  # fmt: skip
def other(call: Call) -> Any:
    """Any other neuron of Norse."""
    raise call.refuse(
        "a neuron of Norse that snnc has no equation for",
        remedy="use LIF, LIFBox, LI or IAF, or register it: docs/custom-neurons.md",
    )


def _recurrent(call: Call, reads: Value) -> Value:
    """The population with its own spikes of the step before."""
    builder, module, place = call.builder, call.module, call.builder.place
    builder.place = lambda: f"{call.name}.weights"  # the population has the module's name
    forward = dense(builder, reads, numpy_of(module.input_weights), None)
    before = builder.feedback(forward.dims)
    back = dense(builder, before, numpy_of(module.recurrent_weights), None)
    builder.place = place
    spikes = call.population(builder.sum([forward, back]), **_fields(call, forward))
    builder.close(before, spikes)
    return spikes


def _fields(call: Call, reads: Value) -> dict[str, Any]:
    """The equation, as fields of ``RealNeuron``; rates in the precision of the module."""
    module, p = call.module, call.module.p

    def per_neuron(parameter: Any) -> Any:
        return call.parameter(reads, numpy_of(parameter))

    fields: dict[str, Any] = {"decay": np.ones(()), "gain": np.ones(()), "offset": np.zeros(())}
    if hasattr(p, "tau_mem_inv"):
        rate, leak = per_neuron(module.dt * p.tau_mem_inv), per_neuron(p.v_leak)
        fields = {"decay": 1 - rate, "gain": rate, "offset": rate * leak, "initial": leak}
    if hasattr(p, "tau_syn_inv"):
        syn = per_neuron(module.dt * p.tau_syn_inv)
        fields |= {"current_decay": 1 - syn, "current_gain": np.ones(())}
    if not hasattr(p, "v_th"):
        return fields | {"threshold": None, "reset": "none"}
    fields |= {"threshold": per_neuron(p.v_th), "comparator": ">"}
    method = getattr(getattr(p, "reset_method", None), "__name__", "reset_value")
    if method == "reset_subtract":
        return fields | {"reset": "subtract"}
    if method != "reset_value":
        raise call.refuse("a reset method of your own", method, "use reset_value or reset_subtract")
    rest = per_neuron(p.v_reset)
    if rest.any():
        return fields | {"reset": "value", "reset_value": rest}
    return fields | {"reset": "zero"}
