"""The bound of crowds: below brute force on tiny meshes, above Gilmore-Lawler on dense layers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.placing import problem_of, toy, unicast

from snnc.compiler.place import crowds, place
from snnc.compiler.place.baselines import random_sites
from snnc.compiler.place.bound import bound_of_flows, lower_bound
from snnc.compiler.place.crowds import bound_of_crowds, least_distances
from snnc.compiler.place.flows import Flows
from snnc.compiler.place.problem import Problem, Sites
from snnc.ir.arrays import RealArray


def mesh(width: int, height: int) -> Sites:
    count = width * height
    return Sites(np.arange(count), np.zeros(count, np.int64), width, count, 1)


def layers(sites: Sites, sizes: list[int], rng: np.random.Generator) -> tuple[Flows, RealArray]:
    """Layers that send all to all, and the same as a matrix."""
    cores = sum(sizes)
    matrix = np.zeros((cores, cores))
    first = 0
    for one, two in itertools.pairwise(sizes):
        matrix[first : first + one, first + one : first + one + two] = rng.random((one, two))
        first += one
    a, b = np.nonzero(matrix)
    nowhere = np.zeros((0, 2), np.int64)
    return Flows.of_pairs(sites, cores, nowhere, a, b, matrix[a, b]), matrix


@pytest.mark.parametrize("cells", range(2, 7))
def test_no_set_of_cells_has_less_distance_than_the_least(cells: int) -> None:
    board = list(itertools.product(range(4), range(3)))
    least = min(
        sum(abs(x - u) + abs(y - v) for (x, y), (u, v) in itertools.combinations(chosen, 2))
        for chosen in itertools.combinations(board, cells)
    )
    assert 0.7 * least <= least_distances(cells) <= least


@pytest.mark.parametrize("radius", [3, 5, 9, 20])
def test_round_sets_of_cells_come_close_to_the_least(radius: int) -> None:
    x, y = (a.ravel() for a in np.mgrid[-radius : radius + 1, -radius : radius + 1])
    x, y = x[x**2 + y**2 <= radius**2], y[x**2 + y**2 <= radius**2]
    total = 0.5 * sum(np.abs(z[:, None] - z).sum() for z in (x, y))
    assert 0.95 * total <= least_distances(x.size) <= total


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 3), min_size=2, max_size=4))
def test_no_placement_beats_the_bound(seed: int, sizes: list[int]) -> None:
    sites, rng = mesh(3, 2), np.random.default_rng(seed)
    sizes = sizes[:2] if sum(sizes) > 6 else sizes
    flows, matrix = layers(sites, sizes, rng)
    distance = np.abs(sites.xy[:, None] - sites.xy).sum(axis=2)
    best = min(
        float((matrix * distance[np.ix_(site, site)]).sum())
        for site in itertools.permutations(range(6), sum(sizes))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crowds, "FEW", 0)
        assert bound_of_crowds(flows) <= best * (1 + 1e-6)


def test_a_pair_of_even_layers_is_bounded_tightly() -> None:
    sites = mesh(8, 8)
    matrix = np.ones((32, 32))
    flows = Flows.of_blocks(sites, 64, iter([(0, 32, matrix)]), 1.0)
    placed = place(flows, 0, "low", 60.0)
    assert bound_of_crowds(flows) >= 0.9 * placed.objective
    assert placed.bound <= placed.objective


def test_dense_layers_are_bounded_better_than_core_by_core() -> None:
    flows, _ = layers(mesh(12, 12), [48, 48, 48], np.random.default_rng(0))
    alone = bound_of_crowds(flows)
    assert bound_of_flows(flows) == alone  # the better of the two
    assert alone <= place(flows, 0, "low", 60.0).objective


def test_the_bound_of_a_problem_knows_crowds_too() -> None:
    edges = [(a, 20 + b, 1.0) for a in range(20) for b in range(20)]
    target = toy(grid=(7, 7), usable_cores=49, cores_per_router=1)
    problem = problem_of(target, unicast(40, edges))
    assert lower_bound(problem) >= bound_of_crowds(Flows.of(problem)) > 0
    shared = toy(grid=(5, 5), usable_cores=50, cores_per_router=2)
    assert bound_of_crowds(Flows.of(problem_of(shared, unicast(40, edges)))) == 0


def test_crowds_of_cores_that_are_no_neighbours_by_number_are_found() -> None:
    sites, rng = mesh(6, 6), np.random.default_rng(3)
    name = random_sites(Problem(sites, 0, 36, *(np.zeros(0, np.int64),) * 4), 1)
    a, b = (np.ravel(x) for x in np.mgrid[0:18, 18:36])
    nowhere = np.zeros((0, 2), np.int64)
    rate = rng.integers(1, 9, a.size).astype(float)
    plain = Flows.of_pairs(sites, 36, nowhere, a, b, rate)
    mixed = Flows.of_pairs(sites, 36, nowhere, name[a], name[b], rate)
    assert bound_of_crowds(mixed) == pytest.approx(bound_of_crowds(plain), rel=1e-9)
    assert bound_of_crowds(plain) > 0
