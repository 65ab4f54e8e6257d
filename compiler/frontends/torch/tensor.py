"""Tensors without data that stand for values of the network while the model runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet, ref

import numpy as np
import torch

from snnc.compiler.frontends.torch.layout import Value
from snnc.ir.arrays import AnyArray

Handler = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]
_handler: list[Handler] = []


class Traced(torch.Tensor):  # type: ignore[misc]
    """A meta tensor with a ``value``; every operation on it goes to the active tracer.

    Attributes:
        value: what it stands for.
        base: the tensor this is a view of, while that lives.
        views: of this tensor, those that live.
    """

    value: Value
    base: Callable[[], Any]
    views: WeakSet[Any]

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Hand the operation to the tracer."""
        del types
        return _handler[-1](func, args, kwargs or {})


class handling:  # noqa: N801 - reads as a statement
    """While open, operations on traced tensors go to this handler."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    def __enter__(self) -> None:
        _handler.append(self.handler)

    def __exit__(self, *_: object) -> None:
        _handler.pop()


def traced(value: Value, like: Any) -> Any:
    """A traced tensor for a value, with the precision of another tensor."""
    with torch._C.DisableTorchFunctionSubclass():
        data = torch.empty(value.shape, dtype=like.dtype, device="meta")
        tensor = data.as_subclass(Traced)
    tensor.value = value
    tensor.base, tensor.views = _nothing, WeakSet()
    return tensor


def _nothing() -> None:
    return None


def link(view: Any, base: Any) -> None:
    """Remember that two traced tensors share memory in PyTorch."""
    if is_traced(view) and is_traced(base) and view is not base:
        view.base = ref(base)
        base.views.add(view)


def is_shared(tensor: Any) -> bool:
    """Whether a change in place would show in another living tensor."""
    return tensor.base() is not None or len(tensor.views) > 0


def is_traced(thing: object) -> bool:
    """Whether this stands for a value of the network."""
    return isinstance(thing, Traced)


def value_of(tensor: Any) -> Value:
    """The value a traced tensor stands for."""
    value: Value = tensor.value
    return value


def numpy_of(constant: Any) -> AnyArray:
    """A parameter, buffer or Python number as a float64 array."""
    if isinstance(constant, torch.Tensor):
        with torch.no_grad():
            return np.asarray(constant.detach().to(torch.float64).cpu().numpy())
    return np.asarray(constant, np.float64)
