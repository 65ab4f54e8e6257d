from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from snnc.ir.errors import OptionError
from snnc.simulators.decoding import Decoder, EarlyStop, classes, tied

VALUES = np.array([[[0, 0], [0, 2], [3, 0], [1, 0]]])


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("sum", [4, 2]),
        ("count", [4, 2]),
        ("last", [1, 0]),
        ("max", [3, 2]),
        ("first", [2, 3]),  # 4 steps: in the third (4 - 2) and the second (4 - 1)
        ("leaky:decay=0.5", [1 + 1.5, 0.5]),
        ("leaky:decay=0", [1, 0]),
        ("leaky:decay=1", [4, 2]),
    ],
)
def test_decoders_by_hand(text: str, scores: list[float]) -> None:
    assert Decoder.parse(text).scores(VALUES).tolist() == [scores]


def test_a_time_constant_is_a_decay() -> None:
    assert Decoder.parse("leaky:tau=20").decay == pytest.approx(math.exp(-1 / 20))


@pytest.mark.parametrize(
    "text", ["vote", "leaky", "leaky:tau", "leaky:tau=0", "leaky:decay=1.5", "sum:tau=3",
             "leaky:tau=x", "leaky:tau=inf"],
)  # fmt: skip
def test_malformed_decoders_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--decode"):
        Decoder.parse(text)


def test_the_lowest_of_the_best_wins_and_ties_are_counted() -> None:
    score = np.array([[0, 0, 0], [3, 1, 3], [1, 2, 0]])
    assert classes(score).tolist() == [0, 0, 1]
    assert tied(score) == 2


@given(
    values=hnp.arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(1, 8), st.integers(2, 4)),
                      elements=st.integers(-3, 5)),
    kind=st.sampled_from(["sum", "last", "max", "first", "leaky:decay=0.75"]),
    margin=st.integers(1, 8),
)  # fmt: skip
def test_a_run_stops_at_the_first_step_with_the_margin(
    values: np.ndarray, kind: str, margin: int
) -> None:
    decoder = Decoder.parse(kind)
    taken = EarlyStop("out", decoder, margin).steps(values)
    for sample, steps in enumerate(taken.tolist()):
        leads = []
        for step in range(values.shape[1]):
            # A first spike counts the steps that are left of the whole run.
            part = values[sample : sample + 1, : step + 1]
            rest = np.zeros((1, values.shape[1] - step - 1, values.shape[2]), np.int64)
            seen = np.concatenate([part, rest], axis=1) if kind == "first" else part
            best = sorted(decoder.scores(seen)[0].tolist())
            leads.append(best[-1] - best[-2] >= margin)
        assert steps == (leads.index(True) + 1 if True in leads else values.shape[1])


def test_one_class_never_leads() -> None:
    stop = EarlyStop("out", Decoder.parse("sum"), 1)
    assert stop.steps(np.ones((2, 3, 1), np.int64)).tolist() == [3, 3]
