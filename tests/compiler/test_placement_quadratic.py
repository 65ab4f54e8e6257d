"""Quadratic assignment: the tabu search and the proof against brute force and published optima."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import require_data

from snnc.compiler.place import Quadratic, assign
from snnc.compiler.place.branch import prove
from snnc.compiler.place.memetic import search
from snnc.compiler.place.watch import Watch
from snnc.ir.errors import ModelError

OPTIMA = ("nug12", "chr12a", "rou12", "scr12", "tai12a", "had12", "nug20", "tai20a", "esc16a")


@st.composite
def problems(draw: st.DrawFn) -> Quadratic:
    """Small problems: symmetric or not, with idle sites, whole or real numbers."""
    n = draw(st.integers(2, 5))
    m = draw(st.integers(n, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    flow = rng.integers(0, 9, (n, n)).astype(float)
    distance = rng.integers(0, 9, (m, m)).astype(float)
    if draw(st.booleans()):
        distance += distance.T
    if draw(st.booleans()):
        flow *= rng.random((n, n))
    linear = rng.integers(0, 20, (n, m)).astype(float) * draw(st.integers(0, 1))
    return Quadratic(flow, distance, linear)


@given(problems())
def test_search_and_proof_find_the_optimum_of_brute_force(problem: Quadratic) -> None:
    n, m = problem.linear.shape
    best = min(problem.cost(np.array(p)) for p in itertools.permutations(range(m), n))
    found = search(problem, np.arange(n), 0, 20_000, Watch(60.0))
    proof = prove(problem, np.arange(n), 10**6)
    assert proof.cost == pytest.approx(best, abs=1e-9)
    assert proof.bound == proof.cost
    assert problem.cost(proof.site) == pytest.approx(proof.cost)
    assert found.cost == pytest.approx(best, rel=1e-6, abs=1e-6)


@given(problems())
def test_a_cut_proof_still_bounds_the_optimum(problem: Quadratic) -> None:
    start = np.arange(problem.flow.shape[0])
    cut, full = prove(problem, start, 1), prove(problem, start, 10**6)
    assert cut.bound <= full.cost + 1e-9


def test_equal_seeds_give_equal_assignments() -> None:
    rng = np.random.default_rng(1)
    problem = Quadratic.of(rng.random((14, 14)), rng.random((14, 14)))
    watch = Watch(60.0)
    one, two = (search(problem, np.arange(14), 7, 50_000, watch) for _ in range(2))
    assert (one.site == two.site).all()
    assert watch.complete


def test_a_problem_of_unequal_matrices_is_refused() -> None:
    with pytest.raises(ModelError, match="a site for each"):
        Quadratic.of(np.zeros((3, 3)), np.zeros((2, 2)))


def instance(folder: Path) -> tuple[Quadratic, float]:
    """A QAPLIB instance and its published optimum."""
    numbers = [int(word) for word in (folder / f"{folder.name}.txt").read_text().split()]
    n = numbers[0]
    first, second = np.array(numbers[1 : 1 + 2 * n * n], float).reshape(2, n, n)
    optimum = float((folder / "solution.txt").read_text().split()[1])
    return Quadratic.of(second, first), optimum


@pytest.mark.parametrize("name", OPTIMA)
def test_published_optima_are_reached(name: str) -> None:
    problem, optimum = instance(require_data("mapping", "qaplib", name))
    found = assign(problem, effort="normal", time_limit_s=20.0)
    assert found.cost == optimum
    if problem.flow.shape[0] <= 12:
        assert found.bound == optimum
