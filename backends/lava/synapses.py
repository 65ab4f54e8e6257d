"""Weights as Lava's synapse processes, exactly, within the widths Lava documents.

``Dense`` and ``Sparse`` hold 8-bit weights: [0, 255], [-255, 0], or even numbers of [-256, 254]
where signs are mixed, times 2^exponent.  A mixed weight w is stored as 2w with the exponent
lowered by one.  Wider weights become several processes whose sums add up at the neuron.  ``Conv``
ignores the exponent and wraps its sums to 24 bits, so it is used where neither matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.backends.lava.plan import Matrix, Process
from snnc.ir.arrays import AnyArray, IntArray, Shape
from snnc.ir.integer_network import linear_bound
from snnc.ir.weights import Conv

EXCITATORY, INHIBITORY, MIXED = "EXCITATORY", "INHIBITORY", "MIXED"
SUM_BITS = 31
CONV_BITS = 23
MESSAGE_BITS = 24
DENSE_SHARE = 0.25
MAX_DELAY = 63
SPARSE_EXTENT = 1 << 24
"""Rows times columns beyond which Lava's Sparse takes minutes and gigabytes to start."""
DELAYED_WORK = 1 << 20
"""Weights times delays beyond which Lava's DelayDense, which goes through all of them in every
step, is left for a queue in front of a plain process."""
_INT8 = 127


@dataclass(frozen=True, eq=False)
class Digits:
    """One process's share of a weight: ``values << exponent`` (>> where negative), exact."""

    values: IntArray
    exponent: int
    sign_mode: str


def digits(weights: IntArray) -> list[Digits]:
    """Shares that add up to ``weights``, each within Lava's widths."""
    rest = np.asarray(weights, np.int64)
    if not rest.any():
        return [Digits(rest, 0, EXCITATORY)]
    exponent = _twos(rest)
    rest = rest >> exponent
    if rest.min() >= 0 and rest.max() <= 255:
        return [Digits(rest, exponent, EXCITATORY)]
    if rest.max() <= 0 and rest.min() >= -255:
        return [Digits(rest, exponent, INHIBITORY)]
    result = []
    while rest.any():
        low = ((rest + 128) & 255) - 128
        if low.any():
            result.append(Digits(2 * low, exponent - 1, MIXED))
        rest, exponent = (rest - low) >> 8, exponent + 8
    return result


def _twos(values: IntArray) -> int:
    """Largest k such that 2^k divides every value."""
    bits = int(np.bitwise_or.reduce(np.abs(values), axis=None))
    return (bits & -bits).bit_length() - 1


def matrix_processes(
    name: str, matrix: Any, source_bound: int, binary: bool, delay: int
) -> list[Process] | None:
    """A sparse or dense matrix as Lava's Dense, DelayDense or Sparse processes.

    Args:
        name: of the first process.
        matrix: [outputs, inputs], int64, compressed rows.
        source_bound: largest absolute value the source sends.
        binary: the source sends 0 and 1 only.
        delay: time steps the spikes are held back; None is returned where Lava's own delayed
            synapses do not take it.

    Returns:
        None where a sum could leave 32 bits, or the delay or the extent is too much.
    """
    matrix.sum_duplicates()
    row_sums = np.zeros(matrix.shape[0], object)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    np.add.at(row_sums, rows, np.abs(matrix.data.astype(object)))
    # A mixed weight is stored doubled, so that one bit is lost on the way.
    if int(row_sums.max(initial=0)) * source_bound >= 1 << (SUM_BITS - 1):
        return None
    outputs, inputs = matrix.shape
    dense = matrix.nnz >= DENSE_SHARE * outputs * inputs
    if not dense and outputs * inputs > SPARSE_EXTENT:
        return None
    if delay and (delay > MAX_DELAY or outputs * inputs * (delay + 1) > DELAYED_WORK):
        return None
    values = matrix.toarray() if dense or delay else matrix.data
    message = 0 if binary else MESSAGE_BITS
    result = []
    for position, part in enumerate(digits(values)):
        label = name if not position else f"{name}.high{position}"
        parameters = {
            "weight_exp": part.exponent,
            "num_weight_bits": 8,
            "sign_mode": part.sign_mode,
            "num_message_bits": message,
        }
        arrays: dict[str, AnyArray] = {}
        matrices: dict[str, Matrix] = {}
        kind = "Dense" if dense or delay else "Sparse"
        if kind == "Dense":
            arrays["weights"] = part.values.astype(np.int32)
        else:
            stored = part.values.astype(np.int32)
            matrices["weights"] = Matrix(stored, matrix.indices, matrix.indptr, matrix.shape)
        if delay:
            kind = "DelayDense"
            arrays["delays"] = np.full(matrix.shape, delay, np.int64)
        result.append(Process(label, kind, parameters, arrays, matrices))
    return result


def conv_process(
    name: str, conv: Conv, shape: Shape, source_bound: int, binary: bool, even: bool
) -> tuple[Process, Shape, Shape] | None:
    """A convolution as Lava's Conv; (process, its input shape, its output shape), channels last.

    Args:
        name: of the process.
        conv: weights and window.
        shape: of the input, channels first.
        source_bound: largest absolute value the source sends.
        binary: the source sends 0 and 1 only.
        even: weights of mixed sign must be even, as on the chip (Lava's CPU model does not care).

    Returns:
        None where Lava's Conv does not take it: three axes, unequal padding, weights or sums
        beyond their widths.
    """
    axes = len(conv.kernel)
    padding = tuple(before for before, _ in conv.padding)
    window = (*conv.kernel, *conv.stride, *conv.dilation, *padding, conv.groups)
    if (
        axes > 2
        or any(before != after for before, after in conv.padding)
        or max(window) > _INT8
        or linear_bound(conv, source_bound) >= 1 << CONV_BITS
        or not _conv_weights(conv.values, even)
    ):
        return None
    values, one = conv.values, (1,) * (2 - axes)
    if axes == 1:
        values = values[..., None]
    kernel = values[:, :, ::-1, ::-1].transpose(0, 2, 3, 1)  # Lava flips and wants channels last
    out = conv.output_shape(name, shape)
    in_shape = (*shape[1:], *one, shape[0])
    out_shape = (*out[1:], *one, out[0])
    parameters = {
        "input_shape": list(in_shape),
        "padding": [*padding, *(0,) * (2 - axes)],
        "stride": [*conv.stride, *one],
        "dilation": [*conv.dilation, *one],
        "groups": conv.groups,
        "num_message_bits": 0 if binary else MESSAGE_BITS,
    }
    arrays = {"weight": np.ascontiguousarray(kernel).astype(np.int32)}
    return Process(name, "Conv", parameters, arrays), in_shape, out_shape


def _conv_weights(values: AnyArray, even: bool) -> bool:
    low, high = int(values.min()), int(values.max())
    mixed = low < 0 < high
    return -256 <= low <= high <= 255 and not (mixed and even and (values & 1).any())


def wide_process(name: str, matrix: Any, wraps: bool) -> Process:
    """Any matrix as snnc's own synapses, with sums of 64 bits or of 32 that wrap."""
    stored = Matrix(matrix.data, matrix.indices, matrix.indptr, matrix.shape)
    return Process(name, "Sparse32" if wraps else "WideSparse", matrices={"weights": stored})


def scaled(conv: Conv, factor: int) -> Conv:
    """The convolution with weights times ``factor``."""
    return Conv(conv.values * factor, conv.stride, conv.padding, conv.dilation, conv.groups)
