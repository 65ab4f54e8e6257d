"""Sums, products, matrix products, reductions and the rounding rules of integer neurons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from snnc.compiler.frontends.torch.build import Builder
from snnc.compiler.frontends.torch.handlers import Handler, axes_of, refuse
from snnc.compiler.frontends.torch.layout import (
    AxisError,
    Value,
    broadcast,
    describe,
    element,
    expand,
    has,
    permute,
    reshape,
    size,
)
from snnc.compiler.frontends.torch.linear import dense, matrix
from snnc.compiler.frontends.torch.tensor import numpy_of
from snnc.ir.arrays import size_of
from snnc.ir.nodes import MatMul, Reduce
from snnc.ir.real_neuron import RealNeuron


def add(builder: Builder, a: Any, b: Any, *, alpha: Any = 1) -> Value:
    """``a + alpha * b``."""
    if not isinstance(a, Value):
        return builder.bias(_scaled(builder, b, alpha), numpy_of(a))
    if not isinstance(b, Value):
        return builder.bias(a, numpy_of(b) * float(alpha)) if a.clip is None else _half(a, b)
    return builder.sum([a, _scaled(builder, b, alpha)])


def sub(builder: Builder, a: Any, b: Any, *, alpha: Any = 1) -> Value:
    """``a - alpha * b``."""
    return add(builder, a, b, alpha=-alpha)


def rsub(builder: Builder, a: Any, b: Any, *, alpha: Any = 1) -> Value:
    """``b - alpha * a``."""
    return add(builder, b, a, alpha=-alpha)


def mul(builder: Builder, a: Any, b: Any) -> Value:
    """``a * b``."""
    if isinstance(a, Value) and isinstance(b, Value):
        return builder.product(a, b)
    value, factor = (a, b) if isinstance(a, Value) else (b, a)
    return builder.scale(value, numpy_of(factor))


def div(builder: Builder, a: Any, b: Any, *, rounding_mode: Any = None) -> Value:
    """``a / b`` by a constant."""
    if isinstance(b, Value) or rounding_mode is not None:
        raise refuse(builder, "a division by a value of the network", rounding_mode or "")
    divisor = numpy_of(b)
    if not divisor.all():
        raise refuse(builder, "a division by zero")
    return builder.scale(a, 1.0 / divisor)


def neg(builder: Builder, a: Value) -> Value:
    """``-a``."""
    return builder.scale(a, -1.0)


def _scaled(builder: Builder, value: Value, factor: Any) -> Value:
    return builder.scale(value, numpy_of(factor))


# -- integer firing rules written out -------------------------------------------------------------


def clamp(builder: Builder, a: Value, min: Any = None, max: Any = None) -> Value:
    """``clip``: only as the first half of ``round(clip(x, 0, D))``."""
    if isinstance(min, Value) or isinstance(max, Value) or min is None or max is None:
        raise refuse(builder, "a clamp needs two constant bounds", f"{min} to {max}")
    if a.clip is not None:
        raise refuse(builder, "two clamps in a row")
    return replace(a, clip=(float(min), float(max)))


def _half(a: Value, b: Any) -> Value:
    """``clip(x) + 1/2`` on its way to a floor."""
    offset = float(numpy_of(b))
    return replace(a, clip=(*(a.clip or ()), offset))


def round_(builder: Builder, a: Value) -> Value:
    """``round(clip(x, low, high))``: a neuron without memory, ties to even (I-LIF, T = 1)."""
    return _stateless(builder, a, "half_even")


def floor(builder: Builder, a: Value) -> Value:
    """``floor(clip(x, low, high) + 1/2)``: the same with ties up; without the half, plain steps."""
    bounds = tuple(a.clip or ())
    return _stateless(builder, a, "half_up" if bounds[2:] == (0.5,) else "floor")


def _stateless(builder: Builder, a: Value, rounding: str) -> Value:
    bounds = tuple(a.clip or ())
    wanted = 3 if rounding == "half_up" else 2
    if len(bounds) != wanted or any(b != round(b) for b in bounds[:2]):
        raise refuse(
            builder,
            "a rounding outside of an integer firing rule",
            f"bounds {bounds}",
            "write round(clamp(x, 0, D)), or register the neuron: docs/torch.md",
        )
    low, high = int(bounds[0]), int(bounds[1])
    if low > 0 or high < 1:
        raise refuse(builder, "an integer firing rule emits 0 and up to D spikes", (low, high))
    node = builder.tensor(builder.unpooled(replace(a, clip=None)))
    shape = builder.shapes[node]
    name = builder.add(
        RealNeuron, (node,), shape, (low, high, rounding), shape=shape,
        decay=np.zeros(()), gain=np.ones(()), offset=np.zeros(()), threshold=np.ones(()),
        comparator=">=", reset="none", multi_spike=high, negative_spikes=-low, rounding=rounding,
    )  # fmt: skip
    return builder.result(a, name)


# -- reductions -----------------------------------------------------------------------------------


def mean(builder: Builder, a: Value, dim: Any = None, keepdim: bool = False, *, dtype: Any = None,
         ) -> Value:  # fmt: skip
    """Mean over element axes, or over time as the last act on it."""
    del dtype
    return _reduced(builder, a, dim, keepdim, "mean")


def sum_(builder: Builder, a: Value, dim: Any = None, keepdim: bool = False, *, dtype: Any = None,
         ) -> Value:  # fmt: skip
    """Sum over element axes, or over time as the last act on it."""
    del dtype
    return _reduced(builder, a, dim, keepdim, "sum")


def _reduced(builder: Builder, a: Value, dim: Any, keepdim: bool, how: Any) -> Value:
    axes = axes_of(a, dim if dim != [] else None)
    if any(has(a.dims[axis], "n") for axis in axes):
        raise AxisError("a reduction over the batch", where=builder.where(), found=describe(a.dims))
    count = 1
    for axis in axes:
        count *= size(a.dims[axis]) if not has(a.dims[axis], "t") else 1
    result = _over_time(builder, a, axes, how)
    spatial = tuple(axis for axis in axes if not has(a.dims[axis], "t"))
    if any(size(a.dims[axis]) > 1 for axis in spatial):
        result = _over_elements(builder, result, spatial, "sum")
        if how == "mean":
            result = builder.scale(result, 1.0 / count)
    return result if keepdim else without(result, axes)


def _over_time(builder: Builder, a: Value, axes: tuple[int, ...], how: Any) -> Value:
    joined = [axis for axis in axes if has(a.dims[axis], "t")]
    if not joined:
        return a
    if any(len(a.dims[axis]) > 1 for axis in joined):
        raise refuse(builder, "a sum over time and elements on one axis", describe(a.dims))
    dims = tuple(element(1) if k in joined else dim for k, dim in enumerate(a.dims))
    return replace(builder.unpooled(a), dims=dims, pooled=how)


def _over_elements(builder: Builder, a: Value, axes: tuple[int, ...], op: Any) -> Value:
    """Reduce over axes of elements, keeping them with extent 1."""
    order = [k for k in range(len(a.dims)) if k not in axes] + list(axes)
    moved = permute(a, order)
    kept = replace(moved, dims=moved.dims[: len(order) - len(axes)]).element_shape
    width = int(np.prod([size(a.dims[axis]) for axis in axes]))
    node = builder.tensor(moved, (*kept, width))
    name = builder.add(Reduce, (node,), (*kept, 1), op, suffix=f".{op}", op=op, axes=(len(kept),))
    dims = tuple(element(1) if k in axes else dim for k, dim in enumerate(a.dims))
    return builder.result(a, name, dims)


def without(value: Value, axes: tuple[int, ...]) -> Value:
    """Drop axes of extent 1."""
    kept = [dim for k, dim in enumerate(value.dims) if k not in axes]
    return replace(value, dims=tuple(kept))


def amax(builder: Builder, a: Value, dim: Any = None, keepdim: bool = False) -> Value:
    """Maximum over element axes."""
    axes = axes_of(a, dim)
    if any(has(a.dims[axis], "t", "n") for axis in axes):
        raise refuse(builder, "a maximum over time or batch", describe(a.dims))
    result = _over_elements(builder, builder.unpooled(a), axes, "max")
    return result if keepdim else without(result, axes)


class Extremum(NamedTuple):
    """What ``torch.max`` along an axis returns; where the maximum is, a network does not say."""

    values: Value
    indices: None = None


def max_(builder: Builder, a: Value, dim: Any = None, keepdim: bool = False) -> Any:
    """``torch.max``."""
    if isinstance(dim, Value):
        raise refuse(builder, "an elementwise maximum")
    result = amax(builder, a, dim, keepdim)
    return result if dim is None else Extremum(result)


# -- matrix products ------------------------------------------------------------------------------


def matmul(builder: Builder, a: Any, b: Any) -> Value:
    """Matrix product over the last two axes; a constant operand is a linear layer."""
    if not isinstance(b, Value):
        return dense(builder, a, np.asarray(numpy_of(b)).T, None)
    if not isinstance(a, Value):
        return matrix(builder, numpy_of(a), b)
    if len(a.dims) < 2 or len(b.dims) < 2:
        raise refuse(builder, "a product of a matrix and a vector of the network", describe(b.dims))
    a, b = builder.unpooled(a), builder.unpooled(b)
    inner, joint = a.dims[-1], has(a.dims[-1], "t")
    wrong = inner != b.dims[-2] if joint else has(b.dims[-2], "t")
    if wrong or any(has(dim, "n") for dim in (*a.dims[-2:], *b.dims[-2:])):
        raise AxisError(
            "a matrix product whose axes do not line up",
            where=builder.where(),
            found=f"{describe(a.dims)} and {describe(b.dims)}",
        )
    batch = broadcast(a.dims[:-2], b.dims[:-2], builder.where())
    left = expand(a, (*batch, *a.dims[-2:]), builder.where())
    right = expand(b, (*batch, *b.dims[-2:]), builder.where())
    frame = builder.common_frame([a, b])
    heads = Value("", batch).element_shape
    rows, terms, columns = (
        size_of(Value("", (dim,)).element_shape) for dim in (a.dims[-2], inner, b.dims[-1])
    )
    names = (
        builder.tensor(left, (*heads, rows, terms)),
        builder.tensor(right, (*heads, terms, columns)),
    )
    name = builder.add(MatMul, names, (*heads, rows, columns), suffix=".matmul")
    product = builder.result(frame, name, (*batch, a.dims[-2], b.dims[-1]))
    return builder.over_time(product) if joint else product


def einsum(builder: Builder, equation: str, *operands: Any) -> Value:
    """Einstein sums of two operands that are a batched matrix product."""
    values = list(operands[0]) if isinstance(operands[0], tuple | list) else list(operands)
    if len(values) != 2 or "." in equation or not all(isinstance(v, Value) for v in values):
        raise refuse(builder, "an einsum other than a product of two tensors", equation)
    sides, _, out = equation.replace(" ", "").partition("->")
    a, b = sides.split(",")
    batch = [c for c in out if c in a and c in b]
    rows, columns = [c for c in out if c not in b], [c for c in out if c not in a]
    inner = [c for c in a if c in b and c not in out]
    if {*a} != {*batch, *rows, *inner} or {*b} != {*batch, *columns, *inner}:
        raise refuse(builder, "an einsum that sums over one operand alone", equation)
    extent = dict(zip(a + b, (*values[0].shape, *values[1].shape), strict=True))

    def shaped(value: Value, letters: str, first: list[str], second: list[str]) -> Value:
        moved = permute(value, [letters.index(c) for c in (*batch, *first, *second)])
        ends = [int(np.prod([extent[c] for c in group])) for group in (first, second)]
        return reshape(moved, [*(extent[c] for c in batch), *ends], builder.where())

    product = matmul(
        builder, shaped(values[0], a, rows, inner), shaped(values[1], b, inner, columns)
    )
    order = [*batch, *rows, *columns]
    wide = reshape(product, [extent[c] for c in order], builder.where())
    return permute(wide, [order.index(c) for c in out])


TABLE: dict[str, Handler] = {
    "add": add, "radd": add, "sub": sub, "subtract": sub, "rsub": rsub, "mul": mul, "rmul": mul,
    "multiply": mul, "div": div, "truediv": div, "true_divide": div, "divide": div, "neg": neg,
    "negative": neg, "clamp": clamp, "clip": clamp, "round": round_, "floor": floor, "mean": mean,
    "sum": sum_, "amax": amax, "max": max_, "matmul": matmul, "bmm": matmul, "mm": matmul,
    "rmatmul": lambda builder, a, b: matmul(builder, b, a), "einsum": einsum,
    "logical_and": mul, "bitwise_and": mul,
}  # fmt: skip
TABLE["and"] = TABLE["logical_and"]
