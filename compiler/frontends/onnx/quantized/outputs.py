"""What the network's user reads: quantized integers, or a sum with its scale and bias."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.compiler.frontends.onnx.quantized.build import Builder
from snnc.compiler.frontends.onnx.quantized.values import Float, Tensor, run
from snnc.ir.errors import UnsupportedError
from snnc.ir.neuron import MEMORYLESS, GatedBias, Neuron, Reset
from snnc.ir.nodes import Output

FRACTION_BITS = 8
"""Steps between two neighbouring sums where scales or biases have no common grid."""
PROBE = (1000, -1000, 77)


def output(builder: Builder, name: str, value: Tensor) -> Output:
    """The output node that reads a tensor; populations are added as needed."""
    first = next((n for n in builder.graph.nodes if name in n.outputs), None)
    where = f"{builder.graph.file}: output '{name}'"
    if first is None or value.raw:
        raise UnsupportedError("the network does nothing", where=where)
    if value.level is not None:
        source = builder.population(first, value)
    else:
        source = _potential(builder, where, name, value)
    label = name
    while label in builder.wiring.shape:
        label = f"{label}.output"
    builder.wiring.shape[label] = value.shape
    return Output(label, (source,))


def _potential(builder: Builder, where: str, name: str, value: Tensor) -> str:
    """A population that emits the sum on one grid for all classes."""
    scale, shift = _affine(where, value)
    grid, exact = _grid(scale, shift)
    factor, bias = (np.rint(x / grid).astype(np.int64) for x in (scale, shift))
    if not exact:
        builder.notes[name] = (
            "scales or biases of the classes have no common grid: they are rounded to "
            f"{grid:.3g}, 2^-{FRACTION_BITS} of the smallest step of a class"
        )
    offset = bias + factor * value.offset
    source = builder.scaled(f"{name}.scaled", value.source, factor * value.factor)
    none = np.zeros((0, *(1,) * len(value.shape)), np.int64)
    terms = (GatedBias(offset),) if offset.any() else ()
    return builder.wiring.add(
        lambda named, inputs: Neuron(
            named, inputs, value.shape, none, Reset("none"), leak=MEMORYLESS, bias=terms,
            emit="state", grid=(float(grid),),
        ),
        f"{name}.readout", (source,), value.shape,
    )  # fmt: skip


def _affine(where: str, value: Tensor) -> tuple[Float, Float]:
    """(a, b) such that the value is ``a t + b`` of the integer t.

    Raises:
        UnsupportedError: the steps are not affine.
    """
    axes = (1,) * len(value.shape)

    def f(t: int) -> Any:
        return run(value.after, np.full(axes, t, np.float64) * value.scale.astype(np.float64))

    shift = f(0)
    scale = f(1) - shift
    straight = all(np.allclose(f(t), scale * t + shift, rtol=1e-9, atol=0) for t in PROBE)
    if not straight or (scale == 0).any():
        raise UnsupportedError(
            "the output is an activation in floating point",
            where=where,
            remedy="end the network with its last sum, or with a QuantizeLinear",
        )
    return scale, shift


def _grid(scale: Float, shift: Float) -> tuple[Any, bool]:
    """The step of the output's integers, and whether scales and biases are whole steps."""
    step = np.abs(scale).min()
    for grid in (step, step / (1 << FRACTION_BITS)):
        parts = np.concatenate([(scale / grid).reshape(-1), (shift / grid).reshape(-1)])
        if (np.abs(parts - np.rint(parts)) <= 1e-9 * np.maximum(1, np.abs(parts))).all():
            return grid, True
    return step / (1 << FRACTION_BITS), False
