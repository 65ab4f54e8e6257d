"""Matrices that are convolutions, and matrices that are almost."""

import numpy as np
import pytest
from scipy import sparse

from snnc.compiler.normalise.recognise import convolution_of
from snnc.ir.expand import weight_matrix
from snnc.ir.weights import Conv


def kernel(outs, ins, *extent, seed=0):
    return np.random.default_rng(seed).standard_normal((outs, ins, *extent))


@pytest.mark.parametrize("extent", [(3,), (1,), (3, 3), (5, 3), (1, 1), (3, 1, 3)])
def test_a_convolution_is_found(extent):
    before = (2, *(7, 6, 5)[: len(extent)])
    pads = tuple((k // 2, k // 2) for k in extent)
    once = (1,) * len(extent)
    conv = Conv(kernel(4, 2, *extent), once, pads, once)
    matrix = sparse.csr_array(weight_matrix(conv, before))
    found = convolution_of(matrix, before, (4, *before[1:]))
    assert found is not None
    assert np.array_equal(found.values, conv.values)


def test_two_in_a_row_are_one():
    before = (2, 6, 7)
    point = Conv(kernel(3, 2, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1))
    depth = Conv(kernel(3, 1, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), groups=3)
    product = weight_matrix(depth, (3, 6, 7)) @ weight_matrix(point, before)
    found = convolution_of(sparse.csr_array(product), before, (3, 6, 7))
    assert found is not None
    assert found.kernel == (3, 3)
    assert np.allclose(found.values, depth.values * point.values)


def test_what_is_none():
    before = (2, 6, 7)
    conv = Conv(kernel(3, 2, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    matrix = weight_matrix(conv, before).tolil()
    matrix[0, 0] += 0.5  # one place has other weights
    assert convolution_of(sparse.csr_array(matrix), before, (3, 6, 7)) is None
    twice = weight_matrix(conv, before) @ weight_matrix(
        Conv(kernel(2, 2, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)), before
    )  # the padding between the two makes the border another kernel
    assert convolution_of(sparse.csr_array(twice), before, (3, 6, 7)) is None
    strided = Conv(kernel(3, 2, 3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1))
    assert (
        convolution_of(sparse.csr_array(weight_matrix(strided, before)), before, (3, 3, 4)) is None
    )
    assert convolution_of(sparse.csr_array((12, 12)), (2, 6), (2, 6)) is None
