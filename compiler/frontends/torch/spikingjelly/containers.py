"""Layers with memory that are not neurons: delays, recurrent containers, count slots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from snnc.compiler.frontends.torch.call import Call
from snnc.compiler.frontends.torch.layout import Value, element
from snnc.compiler.frontends.torch.registry import converts
from snnc.compiler.frontends.torch.spikingjelly.neurons import sequence
from snnc.compiler.frontends.torch.tensor import traced, value_of
from snnc.ir.errors import ModelError

_LAYER = "spikingjelly.activation_based.layer."


@converts(_LAYER + "misc.Delay")
def delay(call: Call) -> Any:
    """``y[t] = x[t - delay_steps]``."""
    value, steps = call.value(), int(call.module.delay_steps)
    call.stepped(value, sequence=sequence(call))
    return traced(call.builder.delayed(value, steps) if steps else value, call.inputs[0])


@converts(_LAYER + "dropout.Dropout", _LAYER + "dropout.Dropout2d")
def dropout(call: Call) -> Any:
    """Identity in evaluation mode."""
    if call.module.training:
        raise ModelError("a dropout in training mode", where=call.where, remedy="model.eval()")
    return call.inputs[0]


@converts(_LAYER + "misc.SpikeCountToBinary")
def to_slots(call: Call) -> Any:
    """A count as binary slots; linear layers see their sum, so nothing needs to be expanded."""
    value = call.builder.unpooled(call.value())
    return traced(replace(value, slots=int(call.module.num_slots)), call.inputs[0])


@converts(_LAYER + "misc.TemporalBinSum")
def from_slots(call: Call) -> Any:
    """The sum over the slots of every step."""
    value, slots = call.value(), int(call.module.num_slots)
    if value.slots != slots:
        raise call.refuse(
            "TemporalBinSum that does not undo a SpikeCountToBinary",
            f"{slots} slots after {value.slots}",
        )
    return traced(replace(value, slots=1), call.inputs[0])


@converts(_LAYER + "container.ElementWiseRecurrentContainer")
def element_wise_recurrent(call: Call) -> Any:
    """``y[t] = sub_module(f(y[t-1], x[t]))``."""
    module = call.module

    def body(x: Any, y: Any) -> Any:
        return module.sub_module(module.element_wise_function(y, x))

    return _recurrent(call, body, None)


@converts(_LAYER + "container.LinearRecurrentContainer")
def linear_recurrent(call: Call) -> Any:
    """``y[t] = sub_module(W [x[t], y[t-1]])``."""
    import torch

    module = call.module

    def body(x: Any, y: Any) -> Any:
        return module.sub_module(module.rc(torch.cat((x, y), dim=-1)))

    return _recurrent(call, body, int(module.sub_module_out_features))


def _recurrent(call: Call, body: Callable[[Any, Any], Any], width: int | None) -> Any:
    """One step of the container, its output fed back with a delay of one step.

    Args:
        body: (x, y before) to y.
        width: extent of y's last axis; None where y has the shape of x.
    """
    reads = call.stepped(call.value(), sequence=sequence(call))
    like = call.inputs[0]
    key = id(call.module)
    if call.number:
        return traced(replace(call.builder.memory[key], steps=(call.number,)), like)
    timed = sequence(call)
    inner = replace(reads, dims=reads.dims[1:], steps=None) if timed else reads
    dims = inner.dims if width is None else (*inner.dims[:-1], element(width))
    before = call.builder.feedback(dims)
    result = value_of(body(traced(inner, like), traced(before, like)))
    call.builder.close(before, result)
    after: Value = replace(result, steps=reads.steps)
    if timed:
        after = replace(after, dims=(reads.dims[0], *result.dims))
    call.builder.memory[key] = after
    return traced(after, like)
