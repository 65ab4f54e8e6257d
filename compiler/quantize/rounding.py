"""Rounding of weights that keeps what they compute on calibration data.

The nearest integers are not the best ones: rounding errors of inputs that fire together add up.
For an output y = w x the squared error of integers q on the grid s is ``(w/s - q)^T H (w/s - q)``
with the second moments ``H = E[x x^T]`` of its inputs.  One weight after the other is rounded, and
the rest moves to cancel the error made (Frantar et al., "GPTQ", ICLR 2023, after Hassibi & Stork,
1993); then single weights step up or down as long as that lowers the error (Nagel et al., "Up or
Down?", ICML 2020, search instead of descent).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from scipy import linalg

from snnc.ir.arrays import IntArray, RealArray, Shape
from snnc.ir.network import Network
from snnc.ir.nodes import Linear
from snnc.ir.weights import Conv, Dense, Sparse
from snnc.simulators.reference.real import run_real

WIDEST = 2048  # inputs of one output: H has the square of it
DAMPING = 0.01  # of the mean of H's diagonal: moments come from few samples
PASSES = 4  # over all weights of an output, in the search
ROWS = 4096  # positions of a convolution that are multiplied at once

Moments = Mapping[str, RealArray]
"""By linear operator, [groups, inputs, inputs]."""


def moments(network: Network, data: Mapping[str, RealArray]) -> dict[str, RealArray]:
    """Second moments of the inputs of each dense or convolutional operator, summed.

    Args:
        network: the real, normalised network.
        data: by input name, [samples, steps, *shape].
    """
    wanted = [n for n in network.of_type(Linear) if _inputs_of(n.weights) is not None]
    found: dict[str, RealArray] = {n.name: np.zeros(_inputs_of(n.weights) or ()) for n in wanted}

    def add(value: Mapping[str, RealArray]) -> None:
        for node in wanted:
            for group, rows in enumerate(_patches(node.weights, value[node.inputs[0]])):
                for start in range(0, len(rows), ROWS):
                    part = rows[start : start + ROWS]
                    found[node.name][group] += part.T @ part

    run_real(network, data, record=(), observe=add)
    return found


def beyond_moments(network: Network) -> list[str]:
    """Operators that keep the nearest integers: sparse ones, and more than ``WIDEST`` inputs."""
    return [n.name for n in network.of_type(Linear) if _inputs_of(n.weights) is None]


def _inputs_of(weights: Dense | Conv | Sparse) -> tuple[int, int, int] | None:
    """Shape of the moments; None where they are too large, or each output has its own inputs."""
    if isinstance(weights, Sparse):
        return None
    groups = weights.groups if isinstance(weights, Conv) else 1
    inputs = int(np.prod(weights.values.shape[1:]))
    return (groups, inputs, inputs) if inputs <= WIDEST else None


def _patches(weights: Dense | Conv | Sparse, x: RealArray) -> list[RealArray]:
    """Per group, rows of inputs [samples x positions, inputs] in the order of the weights."""
    if not isinstance(weights, Conv):
        return [x.reshape(-1, weights.values.shape[1])]
    out: Shape = weights.output_shape("conv", x.shape[1:])[1:]
    padded = np.pad(x, [(0, 0), (0, 0), *weights.padding])
    taps = []
    for tap in itertools.product(*(range(k) for k in weights.kernel)):
        window = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, weights.dilation, out, weights.stride, strict=True)
        )
        taps.append(padded[(slice(None), slice(None), *window)])
    stacked = np.stack(taps, axis=2)  # [samples, channels, taps, *positions]
    parts = np.split(stacked, weights.groups, axis=1)
    return [
        np.moveaxis(p.reshape(len(x), p.shape[1] * p.shape[2], -1), 1, 2).reshape(
            -1, p.shape[1] * p.shape[2]
        )
        for p in parts
    ]


def rounded(real: RealArray, moment: RealArray, largest: int) -> IntArray:
    """Integers near ``real`` [outputs, ...] of least squared error on the data.

    Args:
        real: weights in units of their grid.
        moment: [groups, inputs, inputs]; the outputs are divided evenly among the groups.
        largest: largest magnitude.
    """
    rows = real.reshape(len(moment), -1, moment.shape[1])
    parts = [_group(w, h, largest) for w, h in zip(rows, moment, strict=True)]
    return np.concatenate(parts).reshape(real.shape)


def _group(real: RealArray, moment: RealArray, largest: int) -> IntArray:
    nearest = np.clip(np.rint(real), -largest, largest)
    scale = float(np.mean(np.diag(moment)))
    if scale <= 0:  # nothing ever arrives
        return nearest.astype(np.int64)
    h = moment / scale + DAMPING * np.eye(len(moment))
    order = np.argsort(-np.diag(h), kind="stable")  # the loudest first, the quiet ones make up
    fed_back = np.empty_like(nearest)
    fed_back[:, order] = _feed_back(real[:, order], h[np.ix_(order, order)], largest)
    tried = [_descend(start, real, h, largest) for start in (nearest, fed_back)]
    better = _error(tried[0], real, h) <= _error(tried[1], real, h)
    return np.where(better[:, None], *tried).astype(np.int64)


def _feed_back(real: RealArray, h: RealArray, largest: int) -> RealArray:
    """Column by column; each error moves the columns that follow."""
    upper = linalg.cholesky(linalg.inv(h), lower=False)
    work, taken = real.copy(), np.empty_like(real)
    for column in range(real.shape[1]):
        there = real[:, column] != 0  # no synapse stays none
        taken[:, column] = there * np.clip(np.rint(work[:, column]), -largest, largest)
        error = (work[:, column] - taken[:, column]) / upper[column, column]
        work[:, column + 1 :] -= error[:, None] * upper[column, column + 1 :]
    return taken


def _descend(taken: RealArray, real: RealArray, h: RealArray, largest: int) -> RealArray:
    """Steps of one while they lower the error, over all columns up to ``PASSES`` times."""
    taken = taken.copy()
    slope = (taken - real) @ h  # half the gradient
    diagonal = np.diag(h)
    for _ in range(PASSES):
        moved = False
        for column in range(real.shape[1]):
            step = -np.sign(slope[:, column])
            gain = np.abs(slope[:, column]) * 2 - diagonal[column]
            fits = np.abs(taken[:, column] + step) <= largest
            allowed = (gain > 1e-12) & fits & (real[:, column] != 0)
            change = np.where(allowed, step, 0.0)
            if change.any():
                moved = True
                taken[:, column] += change
                slope += change[:, None] * h[column]
        if not moved:
            break
    return taken


def _error(taken: RealArray, real: RealArray, h: RealArray) -> RealArray:
    off = taken - real
    result: RealArray = np.einsum("ij,jk,ik->i", off, h, off, optimize=True)
    return result
