"""Converters of sinabs 3.x: IAF, LIF, ALIF, ExpLeak, their squeezed and recurrent forms.

``I = a_syn (I + X)``; ``V = a_mem V + (1 - a_mem) I`` (without ``norm_input``: ``+ I``); spikes by
``spike_fn``; reset by ``reset_fn``; then V stays above ``min_v_mem``.  Tensors are [batch, time,
...], squeezed ones [batch * time, ...].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from snnc.compiler.frontends.torch.call import Call
from snnc.compiler.frontends.torch.layout import AxisError, Value, describe, element, has, size
from snnc.compiler.frontends.torch.registry import converts
from snnc.compiler.frontends.torch.tensor import numpy_of, traced, value_of
from snnc.ir.real_neuron import RealAdaptation

_LAYERS = "sinabs.layers."


def names(*kinds: str) -> tuple[str, ...]:
    """Qualified names below ``sinabs.layers``."""
    return tuple(_LAYERS + kind for kind in kinds)


@converts(*names("iaf.IAF", "lif.LIF", "exp_leak.ExpLeak", "alif.ALIF"))
def over_time(call: Call) -> Any:
    """[batch, time, ...]."""
    return _placed(call, _sequences(call))


@converts(*names("iaf.IAFSqueeze", "lif.LIFSqueeze", "exp_leak.ExpLeakSqueeze",
                 "alif.ALIFSqueeze"))  # fmt: skip
def squeezed(call: Call) -> Any:
    """[batch * time, ...]: which rows are steps of one sample does not matter to the network."""
    value = call.value()
    if call.number or not has(value.dims[0], "n"):
        raise AxisError(
            "a squeezed layer reads batch times time on its first axis",
            where=call.where,
            found=describe(value.dims),
        )
    return _placed(call, value)


@converts(*names("iaf.IAFRecurrent", "lif.LIFRecurrent"))
def recurrent(call: Call) -> Any:
    """The recurrent weights' answer to the spikes of a step is added to the next step's input."""
    value = _sequences(call)
    builder, like = call.builder, call.inputs[0]
    step = replace(value, dims=(value.dims[0], *value.dims[2:]))
    before = builder.feedback(step.dims)
    spikes = call.population(builder.sum([step, before]), **_fields(call, step))
    answer = call.module.rec_connect(traced(spikes, like)).reshape(step.shape)
    builder.close(before, value_of(answer))
    return traced(replace(spikes, dims=value.dims), like)


@converts(*names("pool2d.SumPool2d"))
def sum_pool(call: Call) -> Any:
    """LPPool2d of norm 1: the sum over the window."""
    import torch

    module = call.module
    return torch.nn.functional.avg_pool2d(
        call.inputs[0], module.kernel_size, module.stride, ceil_mode=module.ceil_mode,
        divisor_override=1,
    )  # fmt: skip


@converts("sinabs.layers.stateful_layer.StatefulLayer", catch_all=True)
def other(call: Call) -> Any:
    """Any other layer of sinabs with state."""
    raise call.refuse(
        "a layer of sinabs that snnc has no equation for",
        remedy="use IAF, LIF, ALIF or ExpLeak, or register it: docs/custom-neurons.md",
    )


def _sequences(call: Call) -> Value:
    """The argument, [batch, time, ...].

    Raises:
        AxisError: its axes are others.
    """
    value = call.value()
    first, second = (*value.dims, element(1), element(1))[:2]
    timed = (has(second, "t") and len(second) == 1) or size(second) == 1
    if call.number or not (has(first, "n") and len(first) == 1 and timed and len(value.dims) > 1):
        raise AxisError(
            "sinabs layers read tensors [batch, time, ...]",
            where=call.where,
            found=describe(value.dims),
            remedy="pass time_axis=1, and call each layer once on the whole sequence",
        )
    return value


def _placed(call: Call, value: Value) -> Any:
    """The population, on the axes it was given."""
    kept = [dim for dim in value.dims if size(dim) != 1 or has(dim, "t", "n")]
    plain = replace(value, dims=tuple(kept)) if value.dims[1:2] == (element(1),) else value
    spikes = call.population(plain, **_fields(call, plain))
    return traced(replace(spikes, dims=value.dims), call.inputs[0])


def _fields(call: Call, value: Value) -> dict[str, Any]:
    """The equation, as fields of ``RealNeuron``."""
    module = call.module
    alpha = call.parameter(value, numpy_of(module.alpha_mem_calculated))
    gain = 1 - alpha if module.norm_input else np.ones(())
    fields: dict[str, Any] = {"decay": alpha, "gain": gain, "offset": np.zeros(())}
    adaptive = hasattr(module, "adapt_scale")
    if module.alpha_syn_calculated is not None:
        syn = call.parameter(value, numpy_of(module.alpha_syn_calculated))
        fields |= {"current_decay": syn, "current_gain": syn}
        if adaptive:  # ALIF stores the normalised current as the current
            fields |= {"current_decay": syn * gain, "current_gain": syn * gain, "gain": np.ones(())}
    if module.spike_fn is None:
        if module.min_v_mem is not None:
            raise call.refuse("a readout whose potential is clipped", "min_v_mem")
        return fields | {"threshold": None, "reset": "none"}
    if module.min_v_mem is not None:
        fields["minimum"] = call.number_of(module.min_v_mem)
    threshold = call.parameter(value, numpy_of(module.b0 if adaptive else module.spike_threshold))
    return fields | _spiking(call, value, threshold, adaptive)


def _spiking(call: Call, value: Value, threshold: Any, adaptive: bool) -> dict[str, Any]:
    """Threshold, number of spikes per step, reset, adaptation."""
    module = call.module
    most = _most(call)
    fields: dict[str, Any] = {"threshold": threshold, "comparator": ">=", "multi_spike": most}
    kind, taken = type(module.reset_fn).__name__, getattr(module.reset_fn, "subtract_value", None)
    if kind == "MembraneReset" and module.reset_fn.reset_value == 0:
        fields["reset"] = "zero"
    elif kind == "MembraneSubtract":
        fields["reset"] = "subtract"
        if taken is not None and (np.asarray(numpy_of(taken)) != threshold).any():
            if adaptive or not most:
                raise call.refuse("this subtraction at this kind of threshold", f"{taken}")
            levels = np.arange(1, most + 1).reshape(-1, *(1,) * np.ndim(threshold))
            fields |= {"ladder": levels * threshold, "threshold": np.asarray(numpy_of(taken))}
    else:
        raise call.refuse(
            "a reset that sinabs adds to silent neurons as well, or one of your own",
            f"{kind} {getattr(module.reset_fn, 'reset_value', '')}",
            "use MembraneSubtract() or MembraneReset()",
        )
    if adaptive:
        rho = call.parameter(value, numpy_of(module.alpha_adapt_calculated))
        scale = call.parameter(value, numpy_of(module.adapt_scale))
        follows = kind == "MembraneSubtract" and taken is None
        fields["adaptation"] = RealAdaptation(rho, 1 - rho, scale, in_reset=follows)
    return fields


def _most(call: Call) -> int:
    """Largest number of spikes per step; 0 is any number."""
    function = call.module.spike_fn
    name: str = getattr(function, "__name__", type(function).__name__)
    known: dict[str, Callable[[], int]] = {
        "MultiSpike": lambda: 0,
        "SingleSpike": lambda: 1,
        "MaxSpike": lambda: int(function.max_num_spikes_per_bin or 0),
    }
    if name not in known:
        raise call.refuse("this spike function", name, "use MultiSpike, SingleSpike or MaxSpike")
    return known[name]()
