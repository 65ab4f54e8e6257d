"""The bounds on weighted hops: below brute force on tiny machines, above what halves would give."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.placing import multicast, problem_of, toy, unicast

from snnc.compiler.place import Zones, bound, cost_of, crowds, place, shares
from snnc.compiler.place.baselines import random_sites
from snnc.compiler.place.bound import bound_of_flows, lower_bound
from snnc.compiler.place.crowds import bounds_of_crowds, least_distances
from snnc.compiler.place.flows import Flows
from snnc.compiler.place.problem import Problem, Sites
from snnc.compiler.place.shares import Rows, best_shares, charged, charged_halves, halves
from snnc.ir.arrays import IntArray, RealArray

NOWHERE = np.zeros((0, 2), np.int64)


def mesh(width: int, height: int, slots: int = 1) -> Sites:
    count = width * height
    router = np.repeat(np.arange(count), slots)
    return Sites(router, np.tile(np.arange(slots), count), width, count, slots)


def layers(sites: Sites, sizes: list[int], rng: np.random.Generator) -> tuple[Flows, RealArray]:
    """Layers that send all to all, and the same as a matrix."""
    cores = sum(sizes)
    matrix = np.zeros((cores, cores))
    first = 0
    for one, two in itertools.pairwise(sizes):
        matrix[first : first + one, first + one : first + one + two] = rng.random((one, two))
        first += one
    a, b = np.nonzero(matrix)
    return Flows.of_pairs(sites, cores, NOWHERE, a, b, matrix[a, b]), matrix


def best_cost(problem: Problem) -> float:
    """Of all placements within the zones."""
    choices = map(np.array, itertools.permutations(range(problem.sites.count), problem.cores))
    zones = problem.zones
    return min(cost_of(problem, c) for c in choices if zones is None or zones.permits(c))


def crowds_of(flows: Flows) -> float:
    return bounds_of_crowds(flows, np.zeros(flows.cores))[0]


@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("cells", range(2, 7))
def test_no_set_of_cells_has_less_distance_than_the_least(cells: int, slots: int) -> None:
    board = list(itertools.product(range(4), range(3 if slots == 1 else 2), range(slots)))
    least = min(
        sum(abs(x - u) + abs(y - v) for (x, y, _), (u, v, _) in itertools.combinations(group, 2))
        for group in itertools.combinations(board[:16], cells)
    )
    assert (0.7 if slots == 1 else 0.5) * least <= least_distances(cells, slots) <= least


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("radius", [3, 5, 9, 20])
def test_round_sets_of_cells_come_close_to_the_least(radius: int, slots: int) -> None:
    x, y = (a.ravel() for a in np.mgrid[-radius : radius + 1, -radius : radius + 1])
    x, y = (z[x**2 + y**2 <= radius**2] for z in (x, y))
    total = 0.5 * slots**2 * sum(np.abs(z[:, None] - z).sum() for z in (x, y))
    assert 0.95 * total <= least_distances(slots * x.size, slots) <= total


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    fan=st.integers(1, 4),
    links=st.sampled_from(["mesh", "hex_torus"]),
    slots=st.integers(1, 2),
    pinned=st.booleans(),
    broken=st.booleans(),
)
def test_no_placement_beats_the_bound(
    seed: int, fan: int, links: str, slots: int, pinned: bool, broken: bool
) -> None:
    rng = np.random.default_rng(seed)
    grid = (3, 2) if slots == 1 else (3, 1)
    defects = [(0, 0, 0)] if broken else []
    target = toy(
        grid=grid, usable_cores=6, cores_per_router=slots, links=links, defects=defects,
        host_router=(int(rng.integers(0, 3)), 0),
    )  # fmt: skip
    cores = int(rng.integers(2, 6))
    nets = [
        (
            int(rng.integers(-1, cores)),
            np.sort(rng.choice(cores, rng.integers(1, min(fan, cores) + 1), False)).tolist(),
            float(rng.integers(1, 20)) if rng.random() < 0.5 else float(rng.random()),
        )
        for _ in range(int(rng.integers(1, 12)))
    ]
    problem = problem_of(target, multicast(cores, nets))
    if pinned:
        allowed = np.zeros((1, problem.sites.count), bool)
        allowed[0, rng.choice(problem.sites.count, 2, replace=False)] = True
        zone = np.where(np.arange(cores) == rng.integers(0, cores), 0, -1)
        problem = replace(problem, zones=Zones(zone, allowed))
    best = best_cost(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crowds, "FEW", 0)
        assert lower_bound(problem) <= best * (1 + 1e-9)
        patch.setattr(bound, "ASSIGNMENT_CORES", 0)
        assert lower_bound(problem) <= best * (1 + 1e-9)
        patch.setattr(bound, "NEAR_CORES", 0)
        assert lower_bound(problem) <= best * (1 + 1e-9)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32), st.lists(st.integers(1, 3), min_size=2, max_size=4), st.integers(1, 2)
)
def test_no_placement_beats_a_crowd(seed: int, sizes: list[int], slots: int) -> None:
    sites, rng = mesh(3, 3 - slots, slots), np.random.default_rng(seed)
    sizes = sizes[:2] if sum(sizes) > 6 else sizes
    flows, matrix = layers(sites, sizes, rng)
    distance = np.abs(sites.xy[:, None] - sites.xy).sum(axis=2)
    best = min(
        float((matrix * distance[np.ix_(site, site)]).sum())
        for site in itertools.permutations(range(6), sum(sizes))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crowds, "FEW", 0)
        assert crowds_of(flows) <= best * (1 + 1e-6)
        assert bound_of_flows(flows) <= best * (1 + 1e-6)


def test_unequal_crowds_are_bounded_below_their_best_placement() -> None:
    """One strong core among weak ones: only the nested sets of the proof tell them apart."""
    sites, rng = mesh(4, 2), np.random.default_rng(5)
    weight = rng.random((3, 4)) * np.array([9.0, 1.0, 0.2])[:, None]
    matrix = np.zeros((7, 7))
    matrix[:3, 3:] = weight
    a, b = np.nonzero(matrix)
    flows = Flows.of_pairs(sites, 7, NOWHERE, a, b, matrix[a, b])
    distance = np.abs(sites.xy[:, None] - sites.xy).sum(axis=2)
    best = min(
        float((matrix * distance[np.ix_(site, site)]).sum())
        for site in itertools.permutations(range(8), 7)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crowds, "FEW", 0)
        assert 0.3 * best <= crowds_of(flows) <= best


def test_a_pair_of_even_layers_is_bounded_tightly() -> None:
    matrix = np.ones((32, 32))
    flows = Flows.of_blocks(mesh(8, 8), 64, iter([(0, 32, matrix)]), 1.0)
    placed = place(flows, 0, "low", 60.0)
    assert bound_of_flows(flows) >= 0.9 * placed.objective
    assert placed.bound <= placed.objective


@pytest.mark.parametrize("slots", [1, 4])
def test_dense_layers_are_bounded_better_than_core_by_core(slots: int) -> None:
    sites = mesh(12, 12) if slots == 1 else mesh(6, 6, slots)
    flows, _ = layers(sites, [48, 48, 48], np.random.default_rng(0))
    alone, members = bounds_of_crowds(flows, np.zeros(144))
    rows = Rows.of_flows(flows)
    near = np.sort(np.abs(sites.xy[:, None] - sites.xy).sum(axis=2), axis=1).min(axis=0)[1:]
    assert sorted(members) == list(range(144))
    assert bound_of_flows(flows) == pytest.approx(alone, rel=0.01)
    assert alone > charged(rows, halves(rows), near).sum()
    assert alone <= place(flows, 0, "low", 60.0).objective


def test_crowds_know_no_torus_and_are_looked_for_among_many_partners() -> None:
    edges = [(a, 20 + b, 1.0) for a in range(20) for b in range(20)]
    target = toy(grid=(7, 7), usable_cores=49, cores_per_router=1)
    problem = problem_of(target, unicast(40, edges))
    assert lower_bound(problem) >= crowds_of(Flows.of(problem)) > 0
    ring = toy(grid=(7, 7), usable_cores=49, cores_per_router=1, links="hex_torus")
    assert crowds_of(Flows.of(problem_of(ring, unicast(40, edges)))) == 0
    assert crowds_of(Flows.of(problem_of(target, unicast(40, edges[:150])))) == 0


def test_crowds_of_cores_that_are_no_neighbours_by_number_are_found() -> None:
    sites, rng = mesh(6, 6), np.random.default_rng(3)
    name = random_sites(Problem(sites, 0, 36, *(np.zeros(0, np.int64),) * 4), 1)
    a, b = (np.ravel(x) for x in np.mgrid[0:18, 18:36])
    rate = rng.integers(1, 9, a.size).astype(float)
    plain = Flows.of_pairs(sites, 36, NOWHERE, a, b, rate)
    mixed = Flows.of_pairs(sites, 36, NOWHERE, name[a], name[b], rate)
    assert crowds_of(mixed) == pytest.approx(crowds_of(plain), rel=0.01)
    assert crowds_of(plain) > 0


def star(leaves: int) -> tuple[IntArray, IntArray, RealArray]:
    """A core that talks to all others."""
    return np.zeros(leaves, np.int64), np.arange(1, leaves + 1), np.ones(leaves)


def test_a_hub_is_charged_all_of_its_flows() -> None:
    rows = Rows.of_pairs(13, *star(12))
    near = np.repeat([1.0, 2.0, 3.0], [4, 8, 12])
    assert charged(rows, halves(rows), near).sum() == 0.5 * (4 + 16) + 0.5 * 12
    assert charged(rows, best_shares(rows, near), near).sum() == 4 + 16
    flows = Flows.of_pairs(mesh(5, 5), 13, NOWHERE, *star(12))
    assert bound_of_flows(flows) == 20  # the hub in the middle


@pytest.mark.parametrize("held", [False, True])
def test_shares_of_a_flow_add_up_and_never_lose_to_halves(held: bool) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 60, (2, 300))
    rows = Rows.of_pairs(60, a[a != b], b[a != b], rng.random(int((a != b).sum())))
    near = np.repeat(np.arange(1.0, 9.0), 4 * np.arange(1, 9))
    kept = np.arange(10) if held else None
    share = best_shares(rows, near, kept)
    row = np.repeat(np.arange(60), np.diff(rows.ptr))
    table = np.full((60, 60), np.nan)
    table[row, rows.partner] = share
    both = table + table.T
    assert (both[~np.isnan(both)] == 1).all()
    assert (share != 0.5).any()
    if held:
        assert (share[(row < 10) | (rows.partner < 10)] == 0.5).all()
    counted = row >= 10 if held else row >= 0
    better = charged(rows, share, near)[np.unique(row[counted])].sum()
    assert better > charged(rows, halves(rows), near)[np.unique(row[counted])].sum()


def test_flows_in_pieces_are_charged_as_in_one() -> None:
    flows, _ = layers(mesh(9, 9), [20, 30, 20], np.random.default_rng(2))
    rows, near = Rows.of_flows(flows), np.repeat(np.arange(1.0, 9.0), 4 * np.arange(1, 9))
    whole = charged(rows, halves(rows), near)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shares, "CHUNK", 100)
        assert charged_halves(flows, near).tolist() == whole.tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bound, "NEAR_CORES", 0)
        fine = bound_of_flows(flows)
        patch.setattr(bound, "MOST_ENTRIES", 0)
        assert 0 < bound_of_flows(flows) <= fine


def test_a_tree_needs_an_edge_for_every_further_router() -> None:
    target = toy(grid=(5, 5), usable_cores=25, cores_per_router=1)
    nets = [(k, [d for d in range(25) if d != k], 2.0) for k in range(3)]
    problem = problem_of(target, multicast(25, nets))
    assert lower_bound(problem) == 3 * 2 * 24 == cost_of(problem, np.arange(25))
    shared = toy(grid=(5, 5), usable_cores=25, cores_per_router=4)
    assert lower_bound(problem_of(shared, multicast(25, nets))) >= 3 * 2 * 6
