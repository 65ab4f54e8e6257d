"""The first difference of two runs, against a search written out entry by entry."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from snnc.simulators.compare import (
    Divergence,
    RunDifference,
    compare_runs,
    compare_spikes,
    compare_values,
    paired,
)
from snnc.simulators.result import Events, RunResult

SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, max_side=4)
COUNTS = SHAPES.flatmap(
    lambda shape: st.tuples(*(hnp.arrays(np.int64, shape, elements=st.integers(-1, 2)),) * 2)
)


def run(**rasters: Any) -> RunResult:
    """A result whose populations have these rasters [samples, steps, neurons]."""
    dense = {name: np.asarray(raster) for name, raster in rasters.items()}
    spikes = {name: Events.from_dense(raster) for name, raster in dense.items()}
    counts = {name: np.abs(raster).sum(axis=(1, 2)) for name, raster in dense.items()}
    return RunResult({}, spikes, counts)


def searched(left: Any, right: Any) -> Divergence | None:
    """The first difference by going through steps, samples and neurons."""
    samples, steps, neurons = left.shape
    for step, sample, index in product(range(steps), range(samples), range(neurons)):
        a, b = left[sample, step, index], right[sample, step, index]
        if a != b:
            return Divergence(step, sample, index, a, b)
    return None


@settings(max_examples=150)
@given(COUNTS)
def test_spikes_and_values_are_compared_entry_by_entry(pair: Any) -> None:
    left, right = pair
    for found in (
        compare_spikes(("a", "b"), Events.from_dense(left), Events.from_dense(right)),
        compare_values(("a", "b"), left, right),
    ):
        assert found.differing == np.count_nonzero(left != right)
        assert found.largest == np.abs(left - right).max()
        assert found.first == searched(left, right)
    totals = compare_spikes(("a", "b"), Events.from_dense(left), Events.from_dense(right)).totals
    assert totals == (np.abs(left).sum(), np.abs(right).sum())


@settings(max_examples=60)
@given(COUNTS, st.integers(1, 3))
def test_batches_joined_are_the_whole(pair: Any, cut: int) -> None:
    left, right = pair
    parts = [compare_runs(run(a=left[part]), run(a=right[part]))
             for part in (slice(0, cut), slice(cut, None)) if left[part].size]  # fmt: skip
    joined = parts[0] if len(parts) == 1 else parts[0].joined(parts[1])
    assert joined == compare_runs(run(a=left), run(a=right))


def test_the_first_difference_is_the_earliest_step_then_the_earliest_layer() -> None:
    left = {name: np.zeros((2, 3, 2), int) for name in ("a", "b", "c")}
    right = {name: raster.copy() for name, raster in left.items()}
    right["a"][0, 2, 0] = 1
    right["b"][1, 1, 1] = 1
    right["c"][0, 1, 0] = 1
    found = compare_runs(run(**left), run(**right))
    assert found.differing == 3
    assert found.first is not None
    layer, first = found.first
    assert layer.names == ("b", "b")
    assert first == Divergence(step=1, sample=1, index=1, left=0, right=1)


def test_equal_runs_have_no_first_difference() -> None:
    raster = np.ones((1, 2, 3), int)
    found = compare_runs(run(a=raster), run(a=raster))
    assert (found.first, found.differing) == (None, 0)
    assert found.layers[0].totals == (6, 6)


def test_silent_populations_agree() -> None:
    silent = np.zeros((1, 2, 3), int)
    assert compare_runs(run(a=silent), run(a=silent)).differing == 0


def test_outputs_are_equal_within_a_tolerance() -> None:
    left, right = np.zeros((1, 2, 1)), np.array([[[1e-9], [2e-3]]])
    results = [RunResult({"y": values}, {}, {}) for values in (left, right)]
    assert compare_runs(*results).differing == 2
    found = compare_runs(*results, tolerance=1e-6)
    assert found.differing == 1
    assert found.first is not None
    assert found.first[1] == Divergence(1, 0, 0, 0.0, 2e-3)


def test_large_integers_are_compared_exactly() -> None:
    left = np.full((1, 1, 1), 2**60)
    assert compare_values(("y", "y"), left, left + 1).differing == 1


@pytest.mark.parametrize(
    ("left", "right", "want"),
    [
        ({"a": (2,), "b": (3,)}, {"b": (3,), "a": (2,)}, (("a", "a"), ("b", "b"))),
        ({"a": (2,), "b": (3,)}, {"x": (2,), "y": (3,)}, (("a", "x"), ("b", "y"))),
        ({"a": (2,), "b": (3,)}, {"x": (9,), "y": (3,)}, (("b", "y"),)),
        ({"a": (2,), "b": (2,)}, {"b": (2,), "x": (2,)}, (("a", "x"), ("b", "b"))),
        ({"a": (2,)}, {"a": (3,)}, ()),
    ],
)
def test_layers_are_paired_by_name_then_by_order_and_shape(
    left: Any, right: Any, want: Any
) -> None:
    assert paired(left, right) == want


def test_no_layers_make_an_empty_difference() -> None:
    empty = RunResult({}, {}, {})
    assert compare_runs(empty, empty) == RunDifference(0, ())
