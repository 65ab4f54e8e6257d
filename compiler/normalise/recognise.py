"""Finds the convolution in a matrix: 1x1 - pad - depthwise - 1x1 is one k x k kernel (RepConv)."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from snnc.ir.arrays import Shape, size_of
from snnc.ir.expand import weight_matrix
from snnc.ir.weights import Conv

LARGEST_REACH = 7
_TOLERANCE = 1e-12  # products in another order round differently


def convolution_of(matrix: sparse.csr_array, before: Shape, after: Shape) -> Conv | None:
    """The stride-1 convolution with zero padding that this matrix is, or None.

    Args:
        matrix: [elements of ``after``, elements of ``before``].
        before, after: shapes (channels, *spatial) of equal spatial extent.
    """
    extent = before[1:]
    if not 1 <= len(extent) <= 3 or after[1:] != extent or len(before) != len(after):
        return None
    places = size_of(extent)
    middle = int(np.ravel_multi_index([n // 2 for n in extent], extent))
    rows = matrix[middle::places]  # one output place, every output channel
    kernel = np.asarray(rows.toarray()).reshape(after[0], before[0], *extent)
    used = np.nonzero(np.abs(kernel).sum(axis=(0, 1)))
    if not used[0].size:
        return None
    reach = [int(np.abs(axis - n // 2).max()) for axis, n in zip(used, extent, strict=True)]
    if max(reach) > LARGEST_REACH or any(2 * r + 1 > n for r, n in zip(reach, extent, strict=True)):
        return None
    window = tuple(slice(n // 2 - r, n // 2 + r + 1) for r, n in zip(reach, extent, strict=True))
    once = (1,) * len(extent)
    found = Conv(kernel[:, :, *window], once, tuple((r, r) for r in reach), once)
    difference = abs(weight_matrix(found, before) - matrix)
    largest = float(np.abs(matrix.data).max(initial=0.0))
    return found if difference.max() <= _TOLERANCE * largest else None
