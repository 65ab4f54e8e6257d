"""Neurons with one linear charge equation: IF, LIF, PLIF, I-LIF, ternary, CUBA, KLIF.

In all of them V starts at v_reset (0 without one), a spike is H >= v_threshold, and the reset is
V = v_reset, or V = H - S v_threshold where v_reset is None.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.compiler.frontends.torch.call import Call
from snnc.compiler.frontends.torch.registry import converts
from snnc.compiler.frontends.torch.tensor import traced

_NEURON = "spikingjelly.activation_based.neuron."
_OLD = "spikingjelly.clock_driven.neuron."


def sequence(call: Call) -> bool:
    """Whether the module loops over axis 0 itself."""
    return getattr(call.module, "step_mode", "s") == "m"


def names(*parts: str) -> tuple[str, ...]:
    """Qualified names, ``module.Class`` below the neuron package."""
    return tuple(_NEURON + part for part in parts)


def require_spikes(call: Call) -> None:
    """Raise where the module emits the smooth function that stands in for its spikes."""
    if not getattr(getattr(call.module, "surrogate_function", None), "spiking", True):
        raise call.refuse(
            "a neuron that emits its surrogate instead of spikes",
            "surrogate_function.spiking is False",
            "set surrogate_function.spiking = True",
        )


def reset_of(call: Call) -> dict[str, Any]:
    """Threshold, comparator, reset rule and initial state of a ``BaseNode``."""
    module = call.module
    require_spikes(call)
    threshold = call.number_of(module.v_threshold)
    if module.v_reset is None:
        return {"threshold": np.array(threshold), "comparator": ">=", "reset": "subtract"}
    rest = call.number_of(module.v_reset)
    fields: dict[str, Any] = {"threshold": np.array(threshold), "comparator": ">="}
    if rest:
        fields |= {"reset": "value", "reset_value": np.array(rest), "initial": np.array(rest)}
    else:
        fields |= {"reset": "zero"}
    return fields


def charge(call: Call, rate: float, *, decay_input: bool) -> dict[str, Any]:
    """``V + rate (X - (V - rest))`` with ``decay_input``, else ``V - rate (V - rest) + X``."""
    rest = 0.0 if call.module.v_reset is None else call.number_of(call.module.v_reset)
    return {
        "decay": np.array(1.0 - rate),
        "gain": np.array(rate if decay_input else 1.0),
        "offset": np.array(rate * rest),
    }


@converts(*names("integrate_and_fire.IFNode", "integrate_and_fire.SimpleIFNode"))
def if_node(call: Call) -> Any:
    """``H = V + X``."""
    fields = {"decay": np.ones(()), "gain": np.ones(()), "offset": np.zeros(())}
    return call.neuron(call.value(), sequence=sequence(call), **fields, **reset_of(call))


@converts(*names("lif.LIFNode", "lif.SimpleLIFNode"))
def lif_node(call: Call) -> Any:
    """``H = V + (X - (V - v_reset)) / tau``, or ``H = V - (V - v_reset) / tau + X``."""
    rate = 1.0 / call.number_of(call.module.tau)
    fields = charge(call, rate, decay_input=call.module.decay_input)
    return call.neuron(call.value(), sequence=sequence(call), **fields, **reset_of(call))


@converts(*names("plif.ParametricLIFNode"))
def parametric_lif_node(call: Call) -> Any:
    """LIF with ``1 / tau = sigmoid(w)``."""
    rate = call.number_of(call.module.w.detach().double().sigmoid())
    fields = charge(call, rate, decay_input=call.module.decay_input)
    return call.neuron(call.value(), sequence=sequence(call), **fields, **reset_of(call))


@converts(*names("ilif.ILIFNode"))
def ilif_node(call: Call) -> Any:
    """``H = (1 - 1/tau) V + X``; ``S = round(clip(H / v_threshold, 0, D))``, ties to even."""
    count = call.number_of(call.module.surrogate_function.max_spike_count)
    rate = 1.0 / call.number_of(call.module.tau)
    return call.neuron(
        call.value(), sequence=sequence(call),
        decay=np.array(1.0 - rate), gain=np.ones(()), offset=np.zeros(()),
        threshold=np.array(call.number_of(call.module.v_threshold)), comparator=">=",
        reset="subtract", multi_spike=int(count), rounding="half_even",
    )  # fmt: skip


@converts(*names("ternary.TernaryIFNode", "ternary.TernaryLIFNode"))
def ternary_node(call: Call) -> Any:
    """IF or LIF that also fires -1 where ``-H >= v_threshold``."""
    fields: dict[str, Any] = {
        "decay": np.ones(()), "gain": np.ones(()), "offset": np.zeros(())
    }  # fmt: skip
    if hasattr(call.module, "tau"):
        rate = 1.0 / call.number_of(call.module.tau)
        fields = charge(call, rate, decay_input=call.module.decay_input)
    return call.neuron(
        call.value(), sequence=sequence(call), **fields, **reset_of(call), negative_spikes=1
    )


@converts(*names("lif_variants.CUBALIFNode"))
def cuba_lif_node(call: Call) -> Any:
    """``C = c_decay C + X``; ``H = v_decay V + C``."""
    module = call.module
    return call.neuron(
        call.value(), sequence=sequence(call),
        current_decay=np.array(call.number_of(module.c_decay)), current_gain=np.ones(()),
        decay=np.array(call.number_of(module.v_decay)), gain=np.ones(()), offset=np.zeros(()),
        **reset_of(call),
    )  # fmt: skip


@converts(*names("lif_variants.KLIFNode"))
def klif_node(call: Call) -> Any:
    """``H = relu(k H_lif)``; with ``scale_reset`` the reset acts on H / k with v_threshold / k.

    For k > 0 the membrane is k times a LIF's that does not fall below 0.
    """
    module = call.module
    k = call.number_of(module.k)
    rest = 0.0 if module.v_reset is None else call.number_of(module.v_reset)
    if k <= 0 or rest < 0:
        raise call.refuse("a KLIF neuron with k <= 0 or v_reset < 0", f"k {k}, v_reset {rest}")
    fields = {**charge(call, 1.0 / call.number_of(module.tau), decay_input=module.decay_input)}
    fields |= {**reset_of(call), "minimum": 0.0}
    if module.scale_reset:
        fields["threshold"] = fields["threshold"] / k
    else:
        for label in ("decay", "gain", "offset"):
            fields[label] = k * fields[label]
    return call.neuron(call.value(), sequence=sequence(call), **fields)


@converts(*names("integrate_and_fire.NonSpikingIFNode", "lif.NonSpikingLIFNode"))
def non_spiking_node(call: Call) -> Any:
    """An integrator without threshold: the list of its potentials, or how ``decode`` joins them."""
    rate = 1.0 / call.number_of(call.module.tau) if hasattr(call.module, "tau") else None
    value = call.stepped(call.value(), sequence=True)
    potential = call.population(
        value, decay=np.array(1.0 - (rate or 0.0)), gain=np.array(rate or 1.0),
        offset=np.zeros(()), threshold=None, reset="none",
    )  # fmt: skip
    decode = call.module.decode
    sequence_of_v = traced(potential, call.inputs[0])
    if decode is None:
        return list(sequence_of_v.unbind(0))
    if decode == "mean-mem":
        return sequence_of_v.mean(0)
    if decode == "last_mem":
        return sequence_of_v[-1]
    raise call.refuse("this readout of a membrane over time", decode, 'use "last_mem"')
