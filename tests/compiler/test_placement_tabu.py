"""The tables of the tabu kernel against plain NumPy, value by value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.compiler.place import Quadratic
from snnc.compiler.place.pairs import scan
from snnc.compiler.place.tabu import EXACT, Tabu, _tabu
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import lean_kernel


@lean_kernel
def scanned(change: RealArray, vector: RealArray, halves: int, least: RealArray) -> float:
    """What the next step of the kernel would begin with."""
    if halves == 1:
        return scan(change, vector, 1, least.shape[0], least)
    return scan(change, vector, 2, least.shape[0], least)


def swap_changes(problem: Quadratic, site: IntArray) -> RealArray:
    """[n, n] cost change of every swap of two facilities, by definition; infinite for i >= j."""
    n, before = site.size, problem.cost(site)
    change = np.full((n, n), np.inf)
    for i in range(n):
        for j in range(i + 1, n):
            other = site.copy()
            other[[i, j]] = other[[j, i]]
            change[i, j] = problem.cost(other) - before
    return change


def check_tables(problem: Quadratic, steps: int, seed: int, halves: int, real: type) -> None:
    """Make some steps and compare all that the kernel then knows."""
    walk = Tabu(problem, seed)
    n: int = walk.size
    tables: Any = walk._tables
    table, change, left, vector, least = (tables[k] for k in (0, 2, 3, 4, 5))
    assert (tables[1], table.dtype) == (halves, real)
    site = np.random.default_rng(seed).permutation(n).astype(np.uint32)
    start, best = walk.cost(site.astype(np.int64)), np.empty(n, np.int64)
    arguments: Any = (steps, site, *tables, best, start, np.inf, walk._state)
    found = _tabu(*arguments)
    assert found == walk.cost(best) <= start
    lowest = scanned(change, vector, halves, least)

    p = site.astype(np.int64)
    assert (np.sort(p) == np.arange(n)).all()
    expected = swap_changes(walk._problem, p)
    until = np.minimum(left[0][:, p][:, :n], left[0][:, p][:, :n].T)
    tabu = (until > steps) & np.isfinite(expected)
    assert (np.isinf(change[:n, :n]) == (tabu | np.isinf(expected))).all()
    assert np.isinf(change[n:]).all()
    assert np.isinf(change[:, n:]).all()
    assert (change[:n, :n][~tabu] == expected[~tabu]).all()
    assert lowest == expected[~tabu].min()
    assert least.min() == lowest

    parked, value = (tables[k][..., : tabu.sum()] for k in (6, 7))
    i, j = parked[:2]
    assert {*zip(i.tolist(), j.tolist(), strict=True)} == {*zip(*np.nonzero(tabu), strict=True)}
    assert (parked[2] == until[i, j]).all()
    u, w = vector[0 : 2 * halves : 2], vector[1 : 2 * halves : 2]
    last = ((u[:, i] - u[:, j]) * (w[:, i] - w[:, j])).sum(axis=0)
    assert (value - last == expected[i, j]).all()


@st.composite
def problems(draw: st.DrawFn) -> tuple[Quadratic, int, type]:
    """A problem with idle sites and linear costs, its halves, and the numbers it needs."""
    n = draw(st.integers(2, 40))
    m = n + draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    large = draw(st.booleans())
    flow = rng.integers(-3, 9, (n, n)).astype(float) * (1_000_000 if large else 1)
    distance = rng.integers(0, 9, (m, m)).astype(float)
    flow[0, 1], distance[0, 1] = flow[1, 0] + 2, distance[1, 0] + 2
    even = draw(st.booleans())
    if even:
        distance = distance + distance.T
    linear = rng.integers(-5, 20, (n, m)).astype(float) * draw(st.integers(0, 1))
    return Quadratic(flow, distance, linear), 1 if even else 2, np.float64 if large else np.float32


@given(problems(), st.integers(0, 70), st.integers(0, 2**32))
@settings(max_examples=40)
def test_tables_after_some_steps_are_those_of_plain_numpy(
    case: tuple[Quadratic, int, type], steps: int, seed: int
) -> None:
    problem, halves, real = case
    check_tables(problem, steps, seed, halves, real)


@pytest.mark.parametrize("beyond", [0, 1])
def test_numbers_become_wide_where_32_bits_are_not_exact(beyond: int) -> None:
    n = 12
    rng = np.random.default_rng(5)
    pattern = rng.integers(0, 2, (n, n))
    distance = np.triu(pattern, 1) + np.triu(pattern, 1).T
    # A row of equal flows f has the sum (n - 1) f, counted twice; the kernel's numbers are then
    # below 4 * 2 (n - 1) f + 16 f.
    flow = int((EXACT - 1) // (8 * (n - 1) + 16)) + beyond
    flows = np.full((n, n), float(flow))
    flows[0, 1] = flows[1, 0] = 0.0  # else all assignments cost the same
    problem = Quadratic.of(flows, distance.astype(float))
    check_tables(problem, 50, 3, 1, np.float64 if beyond else np.float32)


def test_a_run_of_no_steps_returns_its_start() -> None:
    rng = np.random.default_rng(2)
    problem = Quadratic.of(rng.random((9, 9)), rng.random((9, 9)))
    walk: Any = Tabu(problem, 0)
    start = rng.permutation(9)
    site, cost = walk.run(start, 0, np.inf)
    assert (site == start).all()
    assert cost == walk.cost(start)
