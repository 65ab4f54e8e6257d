"""The type of a handler, and argument helpers that several tables share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from snnc.compiler.frontends.torch.build import Builder
from snnc.compiler.frontends.torch.layout import Value
from snnc.ir.arrays import Shape
from snnc.ir.errors import UnsupportedError

KNOWN = "docs/torch.md lists what can be traced"
Handler = Callable[..., Any]


def per_axis(number: Any, axes: int) -> Shape:
    """One integer, or one per axis, as one per axis."""
    values = tuple(number) if isinstance(number, tuple | list) else (number,)
    return tuple(int(n) for n in (values * axes if len(values) == 1 else values))


def axes_of(value: Value, dim: Any) -> tuple[int, ...]:
    """A ``dim`` argument as sorted axes that are not negative; None is all of them."""
    rank = len(value.dims)
    given = range(rank) if dim is None else dim if isinstance(dim, Sequence) else (dim,)
    return tuple(sorted({int(axis) % rank for axis in given}))


def refuse(builder: Builder, problem: str, found: object = "", remedy: str = "") -> Exception:
    """The error to raise."""
    return UnsupportedError(problem, where=builder.where(), found=found, remedy=remedy or KNOWN)
