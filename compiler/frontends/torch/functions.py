"""Tensor functions on traced tensors: one small handler per function.

Handlers take the arguments of the function they stand for.  The tables of ``arithmetic``,
``layers``, ``moves`` and their like are keyed by the function's name, so ``torch.add``,
``Tensor.add`` and ``aten.add`` are one entry.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch

from snnc.compiler.frontends.torch import arithmetic, joining, layers, moves, pooling, selecting
from snnc.compiler.frontends.torch.build import Builder
from snnc.compiler.frontends.torch.handlers import Handler
from snnc.compiler.frontends.torch.layout import Value
from snnc.compiler.frontends.torch.tensor import is_shared, is_traced, link, traced, value_of
from snnc.ir.errors import UnsupportedError

MOVES: dict[str, Handler] = {**moves.TABLE, **selecting.TABLE, **joining.TABLE}
TABLE: dict[str, Handler] = {**arithmetic.TABLE, **layers.TABLE, **pooling.TABLE, **MOVES}

IDENTITY = frozenset((
    "contiguous", "clone", "detach", "detach_", "float", "double", "requires_grad_", "type_as",
    "data", "to", "type", "alias", "alpha_dropout_eval", "identity", "cpu", "positive",
    "__deepcopy__", "__copy__", "as_tensor",
))  # fmt: skip
METADATA = frozenset((
    "shape", "size", "dim", "ndim", "ndimension", "dtype", "numel", "nelement", "__len__",
    "is_floating_point", "is_complex", "requires_grad", "is_contiguous", "layout", "is_cuda",
    "is_sparse", "is_quantized", "is_mps", "is_meta", "grad_fn", "is_leaf", "stride",
    "element_size", "get_device", "is_cpu", "names", "__hash__", "is_nested", "is_xpu",
    "retain_grad", "grad", "_is_view", "itemsize", "nbytes", "__format__", "__repr__",
    "is_inference", "is_same_size", "is_signed", "is_tensor", "is_mkldnn", "is_ipu", "_version",
))  # fmt: skip
CONSTANTS = {
    "zeros_like": 0.0, "new_zeros": 0.0, "ones_like": 1.0, "new_ones": 1.0, "full_like": None,
    "new_full": None,
}  # fmt: skip
VALUES = frozenset(("item", "tolist", "__bool__", "__float__", "__int__", "__index__", "nonzero",
                    "numpy", "any", "all", "equal", "allclose", "__array__", "unique"))  # fmt: skip
DECISIONS = frozenset(("gt", "ge", "lt", "le", "eq", "ne", "greater", "greater_equal", "sign",
                       "heaviside", "where", "masked_fill", "bool", "floor_divide"))  # fmt: skip
SMOOTH = frozenset(("softmax", "log_softmax", "sigmoid", "tanh", "gelu", "silu", "exp", "log",
                    "relu", "leaky_relu", "elu", "hardtanh", "layer_norm", "group_norm", "pow",
                    "sqrt", "rsqrt", "instance_norm", "erf"))  # fmt: skip


def name_of(func: Any) -> str:
    """The plain name of a torch function, method or property getter."""
    name = getattr(func, "__name__", str(func))
    if name in ("__get__", "__set__"):
        owner = getattr(func.__self__, "__name__", "")
        return owner if name == "__get__" else f"set {owner}"
    return str(name)


def apply(builder: Builder, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result of a torch function on arguments some of which are traced.

    Raises:
        UnsupportedError: the function has no equivalent.
    """
    name = name_of(func)
    if name == "device":
        return torch.device("cpu")
    if name in METADATA:
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs)
    if name in CONSTANTS:
        return constant_like(name, args, kwargs, args[0].dtype)
    plain = name.strip("_") if name.startswith("__") else name
    in_place = name.startswith("__i") and plain[1:] in TABLE and plain not in TABLE
    if in_place:
        plain = plain[1:]
    elif plain.endswith("_") and plain.rstrip("_") in TABLE:
        plain, in_place = plain.rstrip("_"), True
    if plain in IDENTITY:
        return _same(builder, plain, args, kwargs)
    handler = TABLE.get(plain)
    if handler is None:
        raise unknown(builder, plain)
    like = next(x for x in leaves((args, kwargs)) if is_traced(x))
    result = call(builder, handler, plain, args, kwargs)
    if in_place or plain == "setitem":
        if is_shared(args[0]):
            raise UnsupportedError(
                "a change in place of a tensor of which another view lives",
                where=builder.where(),
                found=name,
                remedy="write x = x + y instead of x += y",
            )
        args[0].value = result
        return args[0]
    wrapped = _wrapped(result, like)
    if plain in MOVES:
        for view in wrapped if isinstance(wrapped, tuple) else (wrapped,):
            link(view, args[0])
    return wrapped


def call(
    builder: Builder, handler: Handler, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """A handler's result for arguments that may be traced or values.

    Raises:
        UnsupportedError: an argument the handler does not take.
    """
    unwrapped = tuple(_unwrapped(a) for a in args)
    options = {key: _unwrapped(v) for key, v in kwargs.items() if key not in ("out", "inplace")}
    try:
        inspect.signature(handler).bind(builder, *unwrapped, **options)
    except TypeError as error:
        raise UnsupportedError(
            f"an argument of {name} that snnc does not know",
            where=builder.where(),
            found=error,
        ) from error
    return handler(builder, *unwrapped, **options)


def _unwrapped(thing: Any) -> Any:
    if is_traced(thing):
        return value_of(thing)
    if isinstance(thing, tuple | list) and not isinstance(thing, torch.Size):
        return type(thing)(_unwrapped(x) for x in thing)
    return thing


def _wrapped(result: Any, like: Any) -> Any:
    if isinstance(result, Value):
        return traced(result, like)
    if isinstance(result, arithmetic.Extremum):
        return result._replace(values=_wrapped(result.values, like))
    if isinstance(result, tuple | list):
        return tuple(_wrapped(x, like) for x in result)
    return result


def leaves(thing: Any) -> Any:
    """All parts of nested tuples, lists and dictionaries."""
    if isinstance(thing, dict):
        thing = list(thing.values())
    if isinstance(thing, tuple | list):
        for part in thing:
            yield from leaves(part)
    else:
        yield thing


def _same(builder: Builder, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    check_conversion(builder, name, (*args[1:], *kwargs.values()))
    if not is_traced(args[0]):  # constant.type_as(traced)
        return args[0]
    if name in ("requires_grad_", "detach_"):
        return args[0]
    same = traced(value_of(args[0]), args[0])
    if name != "clone":
        link(same, args[0])
    return same


def check_conversion(builder: Builder, name: str, arguments: tuple[Any, ...]) -> None:
    """Raise where values become integers or booleans."""
    dtypes = [x for x in leaves(arguments) if isinstance(x, torch.dtype)]
    if any(not dtype.is_floating_point for dtype in dtypes):
        raise UnsupportedError(
            "a conversion to integers or booleans inside the network",
            where=builder.where(),
            found=f"{name}({dtypes[0]})",
        )


def constant_like(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], dtype: Any) -> Any:
    """A constant tensor of the shape the function asks for (``zeros_like``, ``new_full``, ...)."""
    like, rest = args[0], list(args[1:])
    fill = CONSTANTS[name]
    if name.startswith("new_"):
        if fill is None:
            fill = kwargs.get("fill_value", rest[-1])
            rest = rest[:-1] if "fill_value" not in kwargs else rest
        shape = rest[0] if rest and isinstance(rest[0], tuple | list) else rest
    else:
        shape = like.shape
        fill = kwargs.get("fill_value", rest[0] if rest else 0.0) if fill is None else fill
    dtype = kwargs.get("dtype") or dtype
    return torch.full(tuple(int(n) for n in shape), float(fill), dtype=dtype)


def unknown(builder: Builder, name: str) -> UnsupportedError:
    """The error to raise for a function without a handler."""
    if name in VALUES:
        problem, remedy = (
            "the model's control flow needs the value of a tensor",
            "decide by shapes or attributes, or move the decision out of the model",
        )
    elif name in DECISIONS:
        problem, remedy = (
            "a decision on values outside of a neuron that snnc knows",
            "register the neuron's module: docs/torch.md",
        )
    elif name in SMOOTH:
        problem, remedy = (
            "an operation that no spiking chip computes",
            "replace it by a spiking neuron; a trained ANN comes in through ONNX",
        )
    elif name.startswith("set "):
        problem, remedy = "an attribute of a tensor is assigned", "compute a new tensor instead"
    else:
        problem, remedy = "an operation that snnc does not know", "docs/torch.md lists those known"
    return UnsupportedError(problem, where=builder.where(), found=name, remedy=remedy)
