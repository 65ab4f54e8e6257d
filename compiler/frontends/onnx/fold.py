"""Operators whose operands are all constants, computed while reading.

Exporters write shapes as little graphs (Shape, Gather, Concat) and weights behind Transpose or
Cast.  An operator that is not in the table stays in the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx.graph import OnnxNode
from snnc.compiler.frontends.onnx.tensors import MAX_ELEMENTS, type_name
from snnc.ir.arrays import AnyArray, Shape, size_of
from snnc.ir.errors import ModelError, ModelFileError

Fold = Callable[[OnnxNode, Sequence[Any]], AnyArray]
MOST = MAX_ELEMENTS >> 3
"""Elements that one folded operator may produce."""


def fold(node: OnnxNode, operands: Sequence[AnyArray | None]) -> AnyArray | None:
    """The value of a node for constant operands (None for one left out), or None if unknown.

    Raises:
        ModelError: operands that the operator does not take.
        ModelFileError: a result too large to hold.
    """
    rule = _RULES.get(node.op)
    if node.domain or rule is None or len(node.outputs) != 1:
        return None
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(rule(node, operands))
    except (ValueError, IndexError, TypeError, OverflowError, AttributeError, MemoryError) as error:
        raise ModelError(
            "constants that the operator does not take",
            where=node.where(),
            found=f"{', '.join(_brief(o) for o in operands)}: {str(error)[:120]}",
        ) from error
    return value


def shape_constant(node: OnnxNode, shape: Shape) -> AnyArray:
    """What Shape and Size give for a tensor of this shape."""
    if node.op == "Size":
        return np.array(size_of(shape), np.int64)
    start, end = node.integer("start", 0), node.integer("end", len(shape))
    return np.array(shape[start:end], np.int64)


def _brief(operand: AnyArray | None) -> str:
    return "nothing" if operand is None else f"{operand.dtype} {operand.shape}"


def _bounded(node: OnnxNode, shape: Sequence[int]) -> Shape:
    result = tuple(int(extent) for extent in shape)
    if min(result, default=0) < 0 or size_of(result) > MOST:
        raise ModelFileError(
            "a constant is too large",
            where=node.where(),
            found=result,
            allowed=f"{MOST:,} elements",
        )
    return result


def _arithmetic(operation: Callable[..., Any]) -> Fold:
    def rule(node: OnnxNode, operands: Sequence[Any]) -> AnyArray:
        _bounded(node, np.broadcast_shapes(*(o.shape for o in operands)))
        result: AnyArray = operation(*operands)
        return result.astype(operands[-1].dtype) if result.dtype.kind != "b" else result

    return rule


def _divide(a: AnyArray, b: AnyArray) -> Any:
    """Integer division truncates toward zero, as in C."""
    if a.dtype.kind == "f":
        return np.divide(a, b)
    if not np.all(b):
        raise ValueError("division by zero")
    return np.trunc(a / b)


def _reshape(node: OnnxNode, operands: Sequence[Any]) -> AnyArray:
    """The new shape is an operand, before opset 5 an attribute."""
    data = operands[0]
    wanted = operands[1].tolist() if len(operands) > 1 else node.integers("shape")
    zero_copies = not node.integer("allowzero", 0)
    shape = [
        data.shape[axis] if extent == 0 and zero_copies else int(extent)
        for axis, extent in enumerate(wanted)
    ]
    result: AnyArray = data.reshape(shape)
    return result


def _axes(node: OnnxNode, operands: Sequence[Any]) -> tuple[int, ...] | None:
    if len(operands) > 1 and operands[1] is not None:
        return tuple(int(a) for a in operands[1].reshape(-1))
    return node.integers("axes") if "axes" in node.attributes else None


def _slice(node: OnnxNode, operands: Sequence[Any]) -> AnyArray:
    data = operands[0]
    if "starts" in node.attributes:  # before opset 10
        given = [node.integers(label) if label in node.attributes else None
                 for label in ("starts", "ends", "axes")]  # fmt: skip
        starts, ends, axes, steps = *given, None
    else:
        starts, ends, axes, steps = (
            None if o is None else tuple(int(v) for v in o.reshape(-1))
            for o in [*operands, None, None][1:5]
        )
    if starts is None or ends is None:
        raise ValueError("no starts or ends")
    axes = axes or tuple(range(len(starts)))
    steps = steps or (1,) * len(starts)
    index = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        below = step < 0 and end < -data.shape[axis]
        index[axis] = slice(start, None if below else end, step)
    result: AnyArray = data[tuple(index)]
    return result


def _cast(node: OnnxNode, operands: Sequence[Any]) -> AnyArray:
    result: AnyArray = operands[0].astype(type_name(node.integer("to")))
    return result


def _constant(node: OnnxNode, _: Sequence[Any]) -> AnyArray:
    kinds = {"value_float": np.float32, "value_floats": np.float32,
             "value_int": np.int64, "value_ints": np.int64}  # fmt: skip
    (label, value), *rest = node.attributes.items()
    if rest or not (label in kinds or isinstance(value, np.ndarray)):
        raise ValueError(f"attribute '{label}'")
    return value if isinstance(value, np.ndarray) else np.asarray(value, kinds[label])


def _constant_of_shape(node: OnnxNode, operands: Sequence[Any]) -> AnyArray:
    fill = np.asarray(node.attributes.get("value", np.zeros(1, np.float32))).reshape(-1)
    return np.full(_bounded(node, operands[0].tolist()), fill[0], fill.dtype)


def _range(node: OnnxNode, operands: Sequence[Any]) -> AnyArray:
    start, stop, step = (o.reshape(-1)[0] for o in operands)
    _bounded(node, [max(0, int(np.ceil((stop - start) / step)))])
    return np.arange(start, stop, step, dtype=operands[0].dtype)


def _expand(node: OnnxNode, operands: Sequence[Any]) -> AnyArray:
    shape = np.broadcast_shapes(operands[0].shape, tuple(operands[1].tolist()))
    return np.broadcast_to(operands[0], _bounded(node, shape)).copy()


def _gather(node: OnnxNode, operands: Sequence[Any]) -> AnyArray:
    data, index = operands
    axis = node.integer("axis", 0)
    extent = size_of(data.shape) // max(1, data.shape[axis])
    _bounded(node, [extent, index.size])
    result: AnyArray = np.take(data, index, axis=axis)
    return result


def _flatten(node: OnnxNode, operands: Sequence[Any]) -> AnyArray:
    data, axis = operands[0], node.integer("axis", 1)
    result: AnyArray = data.reshape(size_of(data.shape[:axis]), -1)
    return result


def _transpose(node: OnnxNode, operands: Sequence[Any]) -> AnyArray:
    permutation = node.integers("perm") if "perm" in node.attributes else None
    result: AnyArray = np.transpose(operands[0], permutation)
    return result


def _concat(node: OnnxNode, operands: Sequence[Any]) -> AnyArray:
    result: AnyArray = np.concatenate(operands, axis=node.integer("axis"))
    return result


_RULES: Mapping[str, Fold] = {
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Identity": lambda _, o: o[0],
    "Cast": _cast,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Squeeze": lambda n, o: np.squeeze(o[0], _axes(n, o)),
    "Unsqueeze": lambda n, o: np.expand_dims(o[0], _axes(n, o) or ()),
    "Concat": _concat,
    "Slice": _slice,
    "Gather": _gather,
    "Expand": _expand,
    "Range": _range,
    "Shape": lambda n, o: shape_constant(n, o[0].shape),
    "Size": lambda n, o: shape_constant(n, o[0].shape),
    "Add": _arithmetic(np.add),
    "Sub": _arithmetic(np.subtract),
    "Mul": _arithmetic(np.multiply),
    "Div": _arithmetic(_divide),
    "Pow": lambda n, o: _arithmetic(np.power)(n, o).astype(o[0].dtype),
    "Neg": _arithmetic(np.negative),
    "Sqrt": _arithmetic(np.sqrt),
    "Exp": _arithmetic(np.exp),
    "Reciprocal": _arithmetic(np.reciprocal),
    "Equal": _arithmetic(np.equal),
    "Where": lambda n, o: _arithmetic(np.where)(n, o),
}
