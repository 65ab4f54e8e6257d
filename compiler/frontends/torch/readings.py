"""How a model's example inputs can be read: which axis is time, which the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from snnc.compiler.frontends.torch.build import Builder
from snnc.compiler.frontends.torch.layout import AxisError, Dim, element
from snnc.ir.arrays import Shape
from snnc.ir.errors import ModelError, OptionError, SnncError, UnsupportedError

Result = TypeVar("Result")


def likely_axes(model: Any) -> tuple[int | None, ...]:
    """Which time axes to try, the likeliest first: where the framework's neurons loop over one."""
    if any(type(m).__module__.startswith("sinabs.") for m in model.modules()):
        return (1, None)
    sequences = any(getattr(m, "step_mode", "s") == "m" for m in model.modules())
    return (0, None) if sequences else (None, 0)


def fitting(
    time_axis: Any, likely: tuple[int | None, ...], attempt: Callable[[int | None], Result]
) -> Result:
    """The result under the given time axis, or under the first that fits when it is "auto".

    Args:
        likely: what to try, in this order.

    Raises:
        UnsupportedError: no reading fits; the most telling refusal.
    """
    if time_axis != "auto":
        return attempt(time_axis)
    refusals: list[SnncError] = []
    for axis in likely:
        try:
            return attempt(axis)
        except (UnsupportedError, OptionError) as error:
            refusals.append(error)
    # What went wrong behind a wrong reading of the axes says nothing to the user.
    wrong = (AxisError, OptionError)
    raise next((e for e in refusals if not isinstance(e, wrong)), refusals[0])


def check(model: Any, example: Any, steps: int | None, time_axis: Any) -> list[Any]:
    """The example inputs as a list.

    Raises:
        OptionError, ModelError, UnsupportedError: arguments of ``from_torch`` that do not fit.
    """
    if not isinstance(model, torch.nn.Module):
        raise OptionError("a model is a torch.nn.Module", where="model", found=type(model).__name__)
    if isinstance(model, torch.jit.ScriptModule):
        raise UnsupportedError(
            "a scripted module cannot be traced", where="model", remedy="pass the original module"
        )
    if time_axis not in ("auto", None, 0, 1):
        raise OptionError(
            "no such time axis", where="time_axis", found=time_axis, allowed='0, 1, None, "auto"'
        )
    if steps is not None and steps < 1:
        raise OptionError("must be at least 1", where="steps", found=steps)
    training = [path for path, m in model.named_modules() if m.training]
    if training:
        raise ModelError(
            "the model is in training mode",
            where=training[0] or "model",
            found=f"{len(training)} of its modules",
            remedy="call model.eval() first",
        )
    examples = list(example) if isinstance(example, tuple | list) else [example]
    for given in examples or [None]:
        if not isinstance(given, torch.Tensor) or given.ndim < 1 or not given.numel():
            raise OptionError(
                "an example input is a tensor with a batch axis",
                where="example_input",
                found=getattr(given, "shape", type(given).__name__),
            )
    return examples


def input_dims(
    builder: Builder, shape: Shape, time_axis: int | None, least_batch: int
) -> tuple[Dim, ...]:
    """Dimensions of an input of this shape.

    Raises:
        OptionError: it has no such time axis, or not ``steps`` long.
    """
    dims: list[Dim] = [element(extent) for extent in shape]
    batch = 0
    if time_axis is not None:
        batch = 1 - time_axis
        if len(shape) < 2 or builder.steps not in (None, shape[time_axis]):
            raise OptionError(
                "the example input has no such time axis",
                where="time_axis",
                found=f"{shape}, steps {builder.steps}",
            )
        builder.steps = shape[time_axis]
        if shape[time_axis] > 1:
            dims[time_axis] = (("t", shape[time_axis]),)
    if max(shape[batch], least_batch) > 1:
        dims[batch] = (("n", max(shape[batch], least_batch)),)
    return tuple(dims)
