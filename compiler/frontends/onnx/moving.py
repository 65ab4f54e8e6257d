"""ONNX operators that only move values: each becomes a reshape or a gather."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from snnc.compiler.frontends.onnx.graph import OnnxNode
from snnc.compiler.frontends.onnx.wiring import MAX_ELEMENTS, Rules, Wiring, axis_of
from snnc.ir.arrays import AnyArray, Shape, size_of
from snnc.ir.errors import ModelError, UnsupportedError


def _same(wiring: Wiring, node: OnnxNode) -> str:
    return wiring.operand(node)[0]


def _dropout(wiring: Wiring, node: OnnxNode) -> str:
    training = wiring.graph.constants.get(node.inputs[2]) if node.has_input(2) else None
    if node.has_input(2) and (training is None or training.any()):
        raise UnsupportedError(
            "dropout in training mode",
            where=node.where(),
            remedy="call model.eval() before exporting",
        )
    return wiring.operand(node)[0]


def _cast(wiring: Wiring, node: OnnxNode) -> str:
    if node.integer("to") not in (1, 10, 11, 16):  # FLOAT, FLOAT16, DOUBLE, BFLOAT16
        raise UnsupportedError(
            "data cast to other than real numbers", where=node.where(), found=node.integer("to")
        )
    return wiring.operand(node)[0]


def _reshaped(wiring: Wiring, node: OnnxNode, shape: Shape) -> str:
    name, before = wiring.operand(node)
    if size_of(before) != size_of(shape) or min(shape, default=1) < 1:
        raise ModelError(
            "reshape must keep the number of elements",
            where=node.where(),
            found=f"(1, {', '.join(map(str, before))}) to (1, {', '.join(map(str, shape))})",
        )
    return wiring.index(node.name, (name,), shape)


def _flatten(wiring: Wiring, node: OnnxNode) -> str:
    _, shape = wiring.operand(node)
    axis = node.integer("axis", 1)
    if axis not in (1, -len(shape)):
        raise UnsupportedError(
            "only the batch axis may stay in front", where=node.where(), found=f"axis {axis}",
            allowed=1,
        )  # fmt: skip
    return _reshaped(wiring, node, (size_of(shape),))


def _reshape(wiring: Wiring, node: OnnxNode) -> str:
    """The batch, 1, may be written as 1, as 0 ("as it was") or as -1 ("what is left")."""
    _, shape = wiring.operand(node)
    legacy = "shape" in node.attributes  # before opset 5
    wanted = list(node.integers("shape") if legacy else wiring.graph.integers(node, 1, "new shape"))
    before = (1, *shape)
    if not node.integer("allowzero", 0):
        wanted = [before[k] if e == 0 and k < len(before) else e for k, e in enumerate(wanted)]
    if wanted.count(-1) == 1:
        known = size_of(tuple(e for e in wanted if e != -1))
        rest = size_of(before) // known if known > 0 else 0
        wanted = [rest if e == -1 else e for e in wanted]
    if not wanted or wanted[0] != 1:
        raise UnsupportedError(
            "a reshape that moves values into the batch axis",
            where=node.where(),
            found=f"{before} to {tuple(wanted)}",
            allowed="(1, ...)",
        )
    return _reshaped(wiring, node, tuple(wanted[1:]))


def _axes(wiring: Wiring, node: OnnxNode) -> Shape | None:
    if node.has_input(1):
        return wiring.graph.integers(node, 1, "axes")
    return node.integers("axes") if "axes" in node.attributes else None


def _squeeze(wiring: Wiring, node: OnnxNode) -> str:
    _, shape = wiring.operand(node)
    axes = _axes(wiring, node)
    if axes is None:
        raise UnsupportedError(
            "a squeeze of every axis, the batch as well", where=node.where(),
            remedy="name the axes",
        )  # fmt: skip
    gone = {axis_of(node, axis, shape) for axis in axes}
    return _reshaped(wiring, node, tuple(n for k, n in enumerate(shape) if k not in gone))


def _unsqueeze(wiring: Wiring, node: OnnxNode) -> str:
    _, shape = wiring.operand(node)
    axes = _axes(wiring, node) or ()
    result = list(shape)
    for axis in sorted(axis_of(node, a, (*shape, *axes)) for a in axes):
        result.insert(axis, 1)
    return _reshaped(wiring, node, tuple(result))


def _gathered(
    wiring: Wiring, node: OnnxNode, move: Callable[[AnyArray], AnyArray], most: int = 0
) -> str:
    """Apply ``move`` to the operand's positions; -1 stands for a zero."""
    name, shape = wiring.operand(node)
    if most > MAX_ELEMENTS:
        raise ModelError("a tensor is too large", where=node.where(), found=f"{most:,} elements")
    index = move(np.arange(size_of(shape)).reshape(shape))
    return wiring.index(node.name, (name,), index.shape, index.reshape(-1))


def _transpose(wiring: Wiring, node: OnnxNode) -> str:
    _, shape = wiring.operand(node)
    order = node.integers("perm", tuple(range(len(shape) + 1))[::-1])
    if sorted(order) != list(range(len(shape) + 1)) or order[0] != 0:
        raise UnsupportedError(
            "a transpose that does not keep the batch in front",
            where=node.where(),
            found=order,
        )
    axes = tuple(axis - 1 for axis in order[1:])
    return _gathered(wiring, node, lambda positions: positions.transpose(axes))


def _concat(wiring: Wiring, node: OnnxNode) -> str:
    operands = [wiring.operand(node, k) for k in range(len(node.inputs))]
    shapes = [shape for _, shape in operands]
    axis = axis_of(node, node.integer("axis", 1), shapes[0])
    rests = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(rests) > 1 or any(len(shape) != len(shapes[0]) for shape in shapes):
        raise ModelError("tensors that do not fit side by side", where=node.where(), found=shapes)
    first, parts = 0, []
    for shape in shapes:
        parts.append(first + np.arange(size_of(shape)).reshape(shape))
        first += size_of(shape)
    index = np.concatenate(parts, axis=axis)
    names = tuple(name for name, _ in operands)
    return wiring.index(node.name, names, index.shape, index.reshape(-1))


def _slice(wiring: Wiring, node: OnnxNode) -> str:
    _, shape = wiring.operand(node)
    given: list[Shape | None]
    if "starts" in node.attributes:  # before opset 10
        given = [node.integers("starts"), node.integers("ends"),
                 node.integers("axes") if "axes" in node.attributes else None, None]  # fmt: skip
    else:
        labels = ("starts", "ends", "axes", "steps")
        given = [
            wiring.graph.integers(node, k, label) if node.has_input(k) else None
            for k, label in enumerate(labels, 1)
        ]
    starts, ends = given[0] or (), given[1] or ()
    axes, steps = given[2] or tuple(range(len(starts))), given[3] or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise ModelError("malformed slice", where=node.where(), found=given)
    index = [slice(None)] * len(shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = axis_of(node, axis, shape)
        below = step < 0 and end < -shape[place]
        index[place] = slice(start, None if below else end, step)
    return _gathered(wiring, node, lambda positions: positions[tuple(index)])


def _pad(wiring: Wiring, node: OnnxNode) -> str:
    _, shape = wiring.operand(node)
    mode = node.text("mode", "constant")
    value = float(np.sum(wiring.graph.reals(node, 2, "pad value"))) if node.has_input(2) else 0.0
    if mode != "constant" or value or node.real("value", 0.0):
        raise UnsupportedError("padding with other than zeros", where=node.where(), found=mode)
    pads = (
        node.integers("pads") if "pads" in node.attributes
        else wiring.graph.integers(node, 1, "pads")
    )  # fmt: skip
    rank = len(shape) + 1
    axes = wiring.graph.integers(node, 3, "axes") if node.has_input(3) else tuple(range(rank))
    widths = [(0, 0)] * len(shape)
    if len(pads) != 2 * len(axes) or min(pads, default=0) < 0:
        raise UnsupportedError("malformed or negative padding", where=node.where(), found=pads)
    for k, axis in enumerate(axes):
        pair = (pads[k], pads[k + len(axes)])
        if any(pair):
            widths[axis_of(node, axis, shape)] = pair
    out = size_of(tuple(n + a + b for n, (a, b) in zip(shape, widths, strict=True)))
    return _gathered(wiring, node, lambda p: np.pad(p, widths, constant_values=-1), out)


def _resize(wiring: Wiring, node: OnnxNode) -> str:
    """Nearest-neighbour resizing; each output position copies one input position."""
    _, shape = wiring.operand(node)
    if node.text("mode", "nearest") != "nearest":
        raise UnsupportedError(
            "resizing by interpolation",
            where=node.where(),
            found=node.text("mode"),
            allowed="nearest",
        )
    out = _resized(wiring, node, shape)
    if size_of(out) > MAX_ELEMENTS:
        raise ModelError("a tensor is too large", where=node.where(), found=out)
    lines = [_nearest(node, n, m) for n, m in zip(shape, out, strict=True)]
    return _gathered(wiring, node, lambda positions: positions[np.ix_(*lines)])


def _resized(wiring: Wiring, node: OnnxNode, shape: Shape) -> Shape:
    """Output shape from sizes or scales, which are given for all axes, the batch as well."""
    before = (1, *shape)
    upsample = node.op == "Upsample"
    if not upsample and node.has_input(3):
        wanted: Shape = wiring.graph.integers(node, 3, "sizes")
    else:
        scales = wiring.graph.reals(node, 1 if upsample else 2, "scales").reshape(-1)
        if scales.size != len(before) or not ((scales > 0) & (scales < 1 << 16)).all():
            raise ModelError("one scale per axis is required", where=node.where(), found=scales)
        wanted = tuple(int(np.floor(n * s)) for n, s in zip(before, scales, strict=True))
    if len(wanted) != len(before) or wanted[0] != 1 or min(wanted) < 1:
        raise UnsupportedError(
            "resizing that changes the batch", where=node.where(), found=f"{before} to {wanted}"
        )
    return wanted[1:]


def _nearest(node: OnnxNode, extent: int, wanted: int) -> AnyArray:
    """Input position of every output position along one axis."""
    if extent == wanted:
        return np.arange(extent)
    legacy = node.op == "Upsample"
    mode = "asymmetric" if legacy else node.text("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if legacy else node.text("nearest_mode", "round_prefer_floor")
    place = np.arange(wanted, dtype=np.float64)
    if mode == "asymmetric":
        place = place * extent / wanted
    elif mode in ("half_pixel", "pytorch_half_pixel"):
        place = (place + 0.5) * extent / wanted - 0.5
        if wanted == 1 and mode == "pytorch_half_pixel":
            place = np.zeros(1)
    elif mode == "align_corners":
        place = place * (extent - 1) / max(1, wanted - 1)
    else:
        raise UnsupportedError("unknown coordinates of a resize", where=node.where(), found=mode)
    roundings: dict[str, Callable[[AnyArray], AnyArray]] = {
        "floor": np.floor,
        "ceil": np.ceil,
        "round_prefer_floor": lambda x: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    }
    if rounding not in roundings:
        raise UnsupportedError("unknown rounding of a resize", where=node.where(), found=rounding)
    return np.clip(roundings[rounding](place), 0, extent - 1).astype(np.int64)


MOVING: Rules = {
    "Identity": _same,
    "Dropout": _dropout,
    "Cast": _cast,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Concat": _concat,
    "Slice": _slice,
    "Pad": _pad,
    "Resize": _resize,
    "Upsample": _resize,
}
