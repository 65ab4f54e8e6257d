"""Products and reductions of affine tensors.

Writing operands as ``scale x node + constant``, a product is a product of nodes plus terms that
are linear in one of them, so what reaches a core is products of spikes and ordinary weights:
``(2k - 1)^T v = 2 k^T v - (sum of v)`` (Hamming attention).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from snnc.compiler.normalise.builder import Builder
from snnc.compiler.normalise.matrices import scale_columns, to_sparse
from snnc.ir.arrays import RealArray, Shape, size_of
from snnc.ir.errors import UnsupportedError
from snnc.ir.nodes import Add, Linear, MatMul, Mul, Reduce
from snnc.ir.real_neuron import RealNeuron
from snnc.ir.weights import Weights
from snnc.simulators.reference.operators import matmul, reduce


@dataclass(frozen=True)
class View:
    """``scale * node + constant``; None means 1 and 0."""

    node: str
    scale: RealArray | None = None
    constant: RealArray | None = None


def full(array: RealArray | None, shape: Shape, default: float) -> RealArray:
    """The array broadcast to a shape, or a constant."""
    result: RealArray = np.broadcast_to(default if array is None else array, shape).astype(float)
    return result


def multiply(made: Builder, node: Mul, a: View, b: View) -> View:
    """An elementwise product.

    Raises:
        UnsupportedError: neither operand is made of spikes alone.
    """
    shape = made.shapes[node.name]
    logic = _logic(made, node, a, b)
    if logic is not None:
        return logic
    _one_of_spikes(made, node, a, b)
    made.put(Mul(node.name, (a.node, b.node)), shape)
    scale = None
    if a.scale is not None or b.scale is not None:
        scale = full(a.scale, shape, 1.0) * full(b.scale, shape, 1.0)
    terms = [
        made.scaled(x.node, full(x.scale, shape, 1.0) * y.constant)
        for x, y in ((a, b), (b, a))
        if y.constant is not None and np.any(y.constant)
    ]
    constant = None
    if a.constant is not None and b.constant is not None:
        constant = full(a.constant, shape, 0.0) * b.constant
    return _total(made, node.name, scale, terms, constant)


def _logic(made: Builder, node: Mul, a: View, b: View) -> View | None:
    """``x (1 - y)`` and ``(1 - x)(1 - y)`` of bits: a threshold, whose result is a bit again."""
    literals = [_literal(made, view) for view in (a, b)]
    found = [literal for literal in literals if literal is not None]
    inverted = [sign for sign, _ in found if sign < 0]
    if len(found) < 2 or not inverted:
        return None
    shape = made.shapes[node.name]
    terms = tuple(
        made.scaled(view.node, np.array(-1.0)) if sign < 0 else view.node
        for view, (sign, _) in zip((a, b), found, strict=True)
    )
    total = made.put(Add(made.fresh(f"{node.name}.literals"), terms), shape)
    zero, one = np.zeros(()), np.ones(())
    made.put(
        RealNeuron(node.name, (total,), shape, decay=zero, gain=one, threshold=one,
                   offset=one * (len(inverted) - 1), comparator=">=", reset="zero"), shape
    )  # fmt: skip
    factor = found[0][1] * found[1][1]
    return View(node.name, None if factor == 1 else np.full((), factor))


def _literal(made: Builder, view: View) -> tuple[int, float] | None:
    """(+1, c) for c y and (-1, c) for c (1 - y) with y a tensor of bits; else None."""
    if view.node not in made.binary:
        return None
    scale = np.ones(1) if view.scale is None else np.asarray(view.scale).reshape(-1)
    if (scale != scale[0]).any():
        return None
    if view.constant is None or not np.any(view.constant):
        return 1, float(scale[0])
    return (-1, float(-scale[0])) if bool((view.constant == -scale[0]).all()) else None


def multiply_matrices(made: Builder, node: MatMul, a: View, b: View) -> View:
    """A batched matrix product; factors along the summed axis become weights of an operand.

    Raises:
        UnsupportedError: neither operand is made of spikes alone.
    """
    shape = made.shapes[node.name]
    left, rows = _along(made, a, -2 if node.transpose_a else -1)
    right, columns = _along(made, b, -1 if node.transpose_b else -2)
    _one_of_spikes(made, node, left, right)
    made.put(MatMul(node.name, (left.node, right.node), node.transpose_a, node.transpose_b), shape)
    scale = None
    if rows is not None or columns is not None:
        rows = np.ones(1) if rows is None else _turned(rows, node.transpose_a)
        columns = np.ones(1) if columns is None else _turned(columns, node.transpose_b)
        scale = full(rows * columns, shape, 1.0)
    terms = [
        _against_constant(made, node, position, x, full(y.constant, made.shapes[y.node], 0.0))
        for position, (x, y) in enumerate(((a, b), (b, a)))
        if y.constant is not None and np.any(y.constant)
    ]
    constant = None
    if a.constant is not None and b.constant is not None:
        parts = [full(v.constant, made.shapes[v.node], 0.0)[None] for v in (a, b)]
        constant = matmul(node, parts[0], parts[1])[0]
    return _total(made, node.name, scale, terms, constant)


def _turned(factor: RealArray, transposed: bool) -> RealArray:
    return np.swapaxes(factor, -1, -2) if transposed else factor


def _along(made: Builder, view: View, axis: int) -> tuple[View, RealArray | None]:
    """The operand, and its factor with extent 1 along the axis; else the factor becomes weights."""
    if view.scale is None:
        return view, None
    scale = full(view.scale, made.shapes[view.node], 1.0)
    first = np.take(scale, [0], axis)
    if bool((scale == first).all()):
        return view, first
    return View(made.scaled(view.node, view.scale), None, view.constant), None


def _against_constant(
    made: Builder, node: MatMul, position: int, view: View, constant: RealArray
) -> str:
    """The product of one operand with the other's constant, as weights on the first."""
    shape, out = made.shapes[view.node], made.shapes[node.name]
    matrix = _constant_matrix(node, position, shape, out, constant)
    weights: Weights = to_sparse(matrix, out)
    if view.scale is not None:
        weights = scale_columns(weights, view.scale, shape, out)
    name = made.fresh(f"{node.name}.{'ab'[position]}")
    return made.put(Linear(name, (view.node,), weights), out)


def _constant_matrix(
    node: MatMul, position: int, shape: Shape, out: Shape, constant: RealArray
) -> sparse.csr_array:
    """Matrix [elements of the product, elements of operand ``position``]."""
    rows, columns = out[-2:]
    batch = size_of(out[:-2])
    mine = np.arange(size_of(shape)).reshape(batch, *shape[-2:])
    other = constant.reshape(batch, *constant.shape[-2:])
    if (node.transpose_a, node.transpose_b)[position]:
        mine = mine.swapaxes(1, 2)
    if (node.transpose_b, node.transpose_a)[position]:
        other = other.swapaxes(1, 2)
    target = np.arange(batch * rows * columns).reshape(batch, rows, columns, 1)
    if position == 0:  # y[r, c] = sum_i mine[r, i] other[i, c]
        column, value = mine[:, :, None, :], other.swapaxes(1, 2)[:, None, :, :]
    else:  # y[r, c] = sum_i other[r, i] mine[i, c]
        column, value = mine.swapaxes(1, 2)[:, None, :, :], other[:, :, None, :]
    target, column, value = np.broadcast_arrays(target, column, value)
    used = value != 0
    entries = (value[used], (target[used], column[used]))
    return sparse.csr_array(entries, shape=(size_of(out), size_of(shape)))


def fold_reduction(made: Builder, node: Reduce, view: View) -> View:
    """A sum or maximum over axes and steps; what varies along axes becomes weights of the operand.

    A constant is there in every step, so a sum over time holds it as often.

    Raises:
        UnsupportedError: a constant that varies along the axes of a maximum.
    """
    shape = made.shapes[view.node]
    scale, constant, operand = view.scale, view.constant, view.node
    if scale is not None:
        whole = full(scale, shape, 1.0)
        first = whole
        for axis in node.axes:
            first = np.take(first, [0], axis)
        if bool((whole == first).all()) and (node.op == "sum" or bool((first >= 0).all())):
            scale = first
        else:
            operand, scale = made.scaled(view.node, scale), None
    if constant is not None:
        whole = full(constant, shape, 0.0)
        constant = reduce(node, whole[None])[0]
        if node.op == "sum" and node.steps:
            constant = constant * node.steps
        if node.op == "max" and not bool((whole == constant).all()):
            raise uneven_constant(node.name)
    made.put(replace(node, inputs=(operand,)), made.shapes[node.name])
    return View(node.name, scale, constant)


def uneven_constant(where: str) -> UnsupportedError:
    """The error for a maximum over values with different constants."""
    return UnsupportedError(
        "a bias that differs between the values of which a maximum is taken",
        where=where,
        found="a bias before a convolution with zero padding, or one per position",
        remedy="put the pooling behind a neuron, or the bias behind the pooling",
    )


def _total(
    made: Builder, name: str, scale: RealArray | None, terms: list[str], constant: RealArray | None
) -> View:
    if not terms:
        return View(name, scale, constant)
    total = made.put(
        Add(made.fresh(f"{name}.sum"), (made.scaled(name, scale), *terms)), made.shapes[name]
    )
    return View(total, None, constant)


def _one_of_spikes(made: Builder, node: Mul | MatMul, a: View, b: View) -> None:
    if a.node not in made.events and b.node not in made.events:
        raise UnsupportedError(
            "a product of two weighted sums is not spike-driven",
            where=node.name,
            found=f"{a.node} and {b.node}, neither made of spikes alone",
            remedy="put a spiking neuron before one of the operands",
        )
