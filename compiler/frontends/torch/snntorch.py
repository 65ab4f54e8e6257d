"""Converters of snnTorch 1.x: Leaky, Synaptic, RLeaky, RSynaptic.

A neuron fires where U > threshold.  With ``reset_delay`` (its default) the reset of a spike acts
one step later, on the new potential; Leaky's reset to zero acts before the leak and so at once.
Without, snnTorch resets twice (Eshraghian et al., Proc. IEEE 111(9), 2023, and its source).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.compiler.frontends.torch.call import Call
from snnc.compiler.frontends.torch.layout import Value
from snnc.compiler.frontends.torch.registry import converts
from snnc.compiler.frontends.torch.states import check_own, integrated, looped_once, returned
from snnc.compiler.frontends.torch.tensor import numpy_of, traced, value_of

_NEURONS = "snntorch._neurons."


@converts(_NEURONS + "leaky.Leaky")
def leaky(call: Call) -> Any:
    """``U = beta U + X``."""
    reads = call.stepped(call.value(), sequence=False)
    spikes, mem = _neuron(call, reads, at_once=True)
    check_own(call, _given(call, 1, "mem"), mem)
    return _result(call, spikes, mem)


@converts(_NEURONS + "synaptic.Synaptic")
def synaptic(call: Call) -> Any:
    """``I = alpha I + X``; ``U = beta U + I``."""
    reads = call.stepped(call.value(), sequence=False)
    syn = integrated(call, reads, ".syn", _decay(call, reads, call.module.alpha))
    spikes, mem = _neuron(call, reads, syn)
    check_own(call, _given(call, 1, "syn"), syn)
    check_own(call, _given(call, 2, "mem"), mem)
    return _result(call, spikes, syn, mem)


@converts(_NEURONS + "rleaky.RLeaky")
def recurrent_leaky(call: Call) -> Any:
    """``U = beta U + X + V S[t-1]``."""

    def build(reads: Value) -> tuple[Value, ...]:
        return _closed(call, reads, lambda total: _neuron(call, total))

    reads = call.stepped(call.value(), sequence=False)
    spikes, mem = looped_once(call, reads, build)
    check_own(call, _given(call, 1, "spk"), spikes)
    check_own(call, _given(call, 2, "mem"), mem)
    return _result(call, spikes, mem)


@converts(_NEURONS + "rsynaptic.RSynaptic")
def recurrent_synaptic(call: Call) -> Any:
    """``I = alpha I + X + V S[t-1]``; ``U = beta U + I``."""
    if not call.module.reset_delay:
        raise call.refuse(
            "RSynaptic without reset_delay, which fails in snnTorch itself",
            remedy="set reset_delay=True",
        )

    def neurons(total: Value) -> tuple[Value, ...]:
        syn = integrated(call, total, ".syn", _decay(call, total, call.module.alpha))
        spikes, mem = _neuron(call, total, syn)
        return spikes, syn, mem

    def build(reads: Value) -> tuple[Value, ...]:
        return _closed(call, reads, neurons)

    reads = call.stepped(call.value(), sequence=False)
    spikes, syn, mem = looped_once(call, reads, build)
    for position, (label, value) in enumerate(
        (("spk", spikes), ("syn", syn), ("mem", mem)), start=1
    ):
        check_own(call, _given(call, position, label), value)
    return _result(call, spikes, syn, mem)


@converts(_NEURONS + "neurons.SpikingNeuron", catch_all=True)
def other(call: Call) -> Any:
    """Any other neuron of snnTorch."""
    raise call.refuse(
        "a neuron of snnTorch that snnc has no equation for",
        remedy="use Leaky, Synaptic, RLeaky or RSynaptic, or register it: docs/custom-neurons.md",
    )


def _given(call: Call, position: int, label: str) -> Any:
    """A state argument, by position or name."""
    return call.inputs[position] if len(call.inputs) > position else call.options.get(label)


def _decay(call: Call, reads: Value, parameter: Any) -> Any:
    """snnTorch clamps its decays to [0, 1] in every forward pass."""
    return call.parameter(reads, np.clip(numpy_of(parameter), 0, 1))


def _closed(call: Call, reads: Value, neurons: Any) -> tuple[Value, ...]:
    """Add the recurrent weights' answer to the spikes of the step before, then close the loop."""
    before = call.builder.feedback(reads.dims)
    back = value_of(call.module.recurrent(traced(before, call.inputs[0])))
    values: tuple[Value, ...] = neurons(call.builder.sum([reads, back]))
    call.builder.close(before, values[0])
    return values


def _neuron(
    call: Call, reads: Value, syn: Value | None = None, *, at_once: bool = False
) -> tuple[Value, Value]:
    """The spiking population, and its potential as snnTorch returns it.

    Args:
        syn: the synaptic current, for its part in the returned potential.
        at_once: a reset to zero acts before the leak of the next step.
    """
    module = call.module
    if module.state_quant or module.inhibition:
        raise call.refuse(
            "quantized states or lateral inhibition",
            f"state_quant {module.state_quant}, inhibition {module.inhibition}",
            "leave both off; snnc quantizes the state itself",
        )
    mechanism = {0: "subtract", 1: "zero", 2: "none"}[int(module.reset_mechanism_val)]
    now = mechanism == "none" or (mechanism == "zero" and (at_once or not module.reset_delay))
    late = "next_step" if module.reset_delay else "snntorch_subtract"
    decay = _decay(call, reads, module.beta)
    threshold = call.parameter(reads, numpy_of(module.threshold))
    current: dict[str, Any] = {}
    if syn is not None:
        alpha = _decay(call, reads, module.alpha)
        current = {"current_decay": alpha, "current_gain": np.ones(())}
    spikes = call.population(
        reads, decay=decay, gain=np.ones(()), offset=np.zeros(()), threshold=threshold,
        comparator=">", reset=mechanism, reset_timing="now" if now else late, **current,
    )  # fmt: skip
    graded = numpy_of(module.graded_spikes_factor)
    mem = _potential(call, reads if syn is None else syn, spikes, mechanism, decay, threshold)
    return (spikes if (graded == 1).all() else call.builder.scale(spikes, graded)), mem


def _potential(
    call: Call, x: Value, spikes: Value, mechanism: str, decay: Any, threshold: Any
) -> Value:
    """The potential as a population of its own: linear in input and spikes, but for a reset to 0.

    Dropped with all unneeded nodes when the model only hands it back.
    """
    builder = call.builder
    if mechanism == "subtract":
        taken = builder.delayed(spikes, 1) if call.module.reset_delay else spikes
        x = builder.sum([x, builder.scale(taken, -np.broadcast_to(threshold, taken.element_shape))])
    mem = integrated(call, x, ".mem", decay)
    if mechanism == "zero":
        builder.unavailable[mem.node] = (
            "the potential of a neuron that resets to zero is used outside the neuron",
            'use its spikes, or reset_mechanism="none" or "subtract" in this layer',
        )
    return mem


def _result(call: Call, spikes: Value, *states: Value) -> Any:
    """As snnTorch: the spikes alone where the module keeps its state and is not an output."""
    module = call.module
    if module.init_hidden and not module.output:
        return returned(call, spikes)
    return tuple(returned(call, value) for value in (spikes, *states))
