"""Weights: what their constructors accept, and the shapes they produce."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from snnc.ir.errors import ModelError
from snnc.ir.integer_network import linear_bound
from snnc.ir.weights import Conv, Dense, Sparse, with_values

ONE = ((0, 0),)


def test_integers_stay_integers_and_reals_stay_reals() -> None:
    assert Dense(np.array([[1, 2]], np.int8)).values.dtype == np.int64
    assert Dense(np.array([[1, 2]], np.float32)).values.dtype == np.float64


def test_weights_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Dense(np.array([[1, 2]])).values[0, 0] = 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(ModelError, match=r"1 of 2 values are NaN or infinite(.|\n)*diverged"):
        Dense(np.array([[1.0, bad]]))


@pytest.mark.parametrize("values", [np.array([["a"]]), np.array([[1j]])])
def test_only_numbers_are_weights(values: Any) -> None:
    with pytest.raises(ModelError, match="real numbers are required"):
        Dense(values)


def test_an_unsigned_weight_beyond_63_bits_is_refused() -> None:
    with pytest.raises(ModelError, match="must fit 64 bits with sign"):
        Dense(np.array([[2**63]], np.uint64))


@pytest.mark.parametrize("shape", [(3,), (0, 3), (2, 2, 2)])
def test_a_dense_weight_is_a_matrix(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"matrix \[out, in\]"):
        Dense(np.zeros(shape))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.ones((2, 3))}, "out, in / groups"),
        ({"stride": (1, 1)}, "one entry per axis"),
        ({"stride": (0,)}, "are positive"),
        ({"dilation": (0,)}, "are positive"),
        ({"padding": ((0, -1),)}, "not negative"),
        ({"groups": 3}, "groups divides the channels"),
        ({"groups": 0}, "are positive"),
    ],
)
def test_a_malformed_convolution_is_refused(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {
        "values": np.ones((2, 1, 3)), "stride": (1,), "padding": ONE, "dilation": (1,),
    }  # fmt: skip
    assert Conv(**good).kernel == (3,)
    with pytest.raises(ModelError, match=message):
        Conv(**{**good, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"row_ptr": np.array([0, 2])},
        {"row_ptr": np.array([1, 2, 3])},
        {"row_ptr": np.array([0, 3, 2])},
        {"row_ptr": np.array([0, 1, 2])},
        {"column": np.array([0, 1, 4])},
        {"column": np.array([0, -1, 2])},
        {"column": np.array([0, 1])},
        {"shape": (3,)},
    ],
)
def test_a_malformed_sparse_weight_is_refused(change: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "row_ptr": np.array([0, 2, 3]), "column": np.array([0, 1, 3]),
        "values": np.array([5, 6, 7]), "inputs": 4, "shape": (2,),
    }  # fmt: skip
    assert Sparse(**good).output_shape("n", (2, 2)) == (2,)
    with pytest.raises(ModelError, match=r"malformed sparse weight|integer values"):
        Sparse(**{**good, **change})


def test_a_sparse_weight_names_the_input_it_wants() -> None:
    weights = Sparse(np.array([0, 1]), np.array([0]), np.array([1]), 4, (1,))
    with pytest.raises(ModelError, match=r"lin: (.|\n)*allowed: 4 elements"):
        weights.output_shape("lin", (3,))


def test_new_values_keep_the_shape() -> None:
    dense = Dense(np.array([[1.5, 2.5]]))
    assert with_values(dense, np.array([[1, 2]])).values.tolist() == [[1, 2]]
    with pytest.raises(ModelError, match="keep the shape"):
        with_values(dense, np.array([1, 2]))


def test_the_bound_of_a_sparse_weight_is_exact_beyond_53_bits() -> None:
    big = 2**54 + 1
    weights = Sparse(np.array([0, 0, 2]), np.array([0, 1]), np.array([big, -big]), 2, (2,))
    assert linear_bound(weights, 3) == 6 * big
