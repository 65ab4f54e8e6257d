"""Weight widths under a memory budget: the least estimated error that fits (``--memory-budget``).

Each population takes one width.  Rounding its weights adds noise to its input; relative to the
threshold, its variance per step is the sum of a neuron's squared weight errors, each times the
mean square of what its source sends, over theta^2 (for a readout: over the largest signal).  The
sum over populations is minimised exactly as a multiple-choice knapsack by CP-SAT.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from ortools.sat.python import cp_model

from snnc.compiler.quantize.grids import FEW_BITS, clipped_at
from snnc.compiler.quantize.parameters import Parameters
from snnc.compiler.quantize.rows import Rows, by_group
from snnc.compiler.solver import new_solver
from snnc.ir.arrays import RealArray, Shape, size_of
from snnc.ir.errors import CompilerBugError, OptionError
from snnc.ir.weights import Conv, Weights, with_values

BITS_PER_KIB = 8192
SCALE = 1e9  # errors as integers, relative to the largest


@dataclass(frozen=True)
class Candidate:
    """What a population costs and loses at each width.

    Attributes:
        synapses: stored weights after a convolution is unrolled.
        error: estimated noise by width.
    """

    name: str
    synapses: int
    error: Mapping[int, float]


def candidate(
    parameters: Parameters,
    rows: Sequence[Rows],
    widths: Sequence[int],
    power: Callable[[str], float],
) -> Candidate:
    """A population's cost and estimated error at each width.

    ``power`` is the mean square of what one element of a source sends in a step.
    """
    groups = by_group(list(rows), parameters.count)
    strength = [replace(r, weights=_constant(r, power(r.writer.node.inputs[0]))) for r in rows]
    powers = by_group(strength, parameters.count)
    synapses = sum(_synapses(r.weights, r.writer.shape, r.writer.out_shape) for r in rows)
    if parameters.is_readout:
        most = max(float((w**2 * p).sum()) for w, p in zip(groups, powers, strict=True))
        scale = np.full(parameters.count, most or 1.0)
    else:
        scale = parameters.theta**2
    share = np.bincount(parameters.groups.reshape(-1)) / parameters.groups.size
    error = {
        bits: sum(
            float(part * _noise(w, p, bits) / s)
            for part, w, p, s in zip(share, groups, powers, scale, strict=True)
        )
        for bits in widths
    }
    return Candidate(parameters.neuron.name, synapses, error)


def _constant(rows: Rows, value: float) -> Weights:
    return with_values(rows.weights, np.full(rows.weights.values.shape, value))


def _noise(weights: RealArray, power: RealArray, bits: int) -> float:
    """Variance that rounding adds to a neuron's input, on the grid the quantizer would take."""
    largest = max(1, (1 << (bits - 1)) - 1)
    few = bits <= FEW_BITS
    top = clipped_at(weights, bits, largest) if few else float(np.abs(weights).max(initial=0.0))
    step = top / largest
    if step == 0:
        return 0.0
    taken = np.clip(np.rint(weights / step), -largest, largest)
    if bits == 1:
        taken = np.sign(weights)
    return float((power * (taken * step - weights) ** 2).sum())


def _synapses(weights: Weights, shape: Shape, out: Shape) -> int:
    """Entries of the unrolled matrix: taps inside the image, axis by axis."""
    if not isinstance(weights, Conv):
        return int(np.count_nonzero(weights.values))
    pairs = 1
    for axis, (n, k) in enumerate(zip(shape[1:], weights.kernel, strict=True)):
        at = (
            np.arange(out[1 + axis])[:, None] * weights.stride[axis]
            + np.arange(k) * weights.dilation[axis]
            - weights.padding[axis][0]
        )
        pairs *= int(((at >= 0) & (at < n)).sum())
    return size_of(weights.values.shape[:2]) * pairs


def choose_widths(candidates: Sequence[Candidate], budget_kib: float) -> dict[str, int]:
    """Width of every population, with the least total error whose weights fit the budget.

    Raises:
        OptionError: not even the narrowest widths fit.
    """
    widths = sorted(candidates[0].error)
    least = sum(c.synapses for c in candidates) * widths[0]
    if least > budget_kib * BITS_PER_KIB:
        raise OptionError(
            "the weights do not fit the memory budget at any width",
            where="--memory-budget",
            found=f"{budget_kib:g} KiB",
            allowed=f"at least {least / BITS_PER_KIB:.3g} KiB, with {widths[0]} bit(s) everywhere",
        )
    model = cp_model.CpModel()
    worst = max(max(c.error.values()) for c in candidates) or 1.0
    taken = {(c.name, b): model.new_bool_var(f"{c.name}={b}") for c in candidates for b in widths}
    for c in candidates:
        model.add_exactly_one(taken[c.name, b] for b in widths)
    cost = sum(c.synapses * b * taken[c.name, b] for c in candidates for b in widths)
    model.add(cost <= int(budget_kib * BITS_PER_KIB))
    model.minimize(
        sum(
            round(c.error[b] / worst * SCALE) * taken[c.name, b] for c in candidates for b in widths
        )
    )
    solver = new_solver()
    status = solver.solve(model)
    if status != cp_model.OPTIMAL:  # the narrowest widths fit, and nothing limits the search
        raise CompilerBugError("no best weight widths found", found=solver.status_name(status))
    return {c.name: b for c in candidates for b in widths if solver.value(taken[c.name, b])}
