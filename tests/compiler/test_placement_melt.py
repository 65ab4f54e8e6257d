"""Melting: density, the implicit step, freezing, and what it adds to the huge engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.placing import is_legal, problem_of, toy, unicast

from snnc.compiler.place import cost_of, huge, melt, place
from snnc.compiler.place.flows import Flows
from snnc.compiler.place.huge import Walk, Work, bottom_blocks, spread
from snnc.compiler.place.problem import Problem, Sites
from snnc.compiler.place.watch import Watch
from snnc.compiler.place.zones import Zones
from snnc.ir.arrays import IntArray

COLD = Work(100, 5, 60)
MOLTEN = replace(COLD, melt=60, frozen=120)


def drifting(side: int, spare: int = 0, defects: tuple[tuple[int, int, int], ...] = ()) -> Problem:
    """Layers of ``side`` cores, each sends to four of the next, to itself and upwards."""
    count = side * side - len(defects) - spare
    rng = np.random.default_rng(1)
    edges = [
        (a, a + side + k, float(rng.integers(1, 9)))
        for a in range(count - side)
        for k in range(4)
        if a % side + k < side and a + side + k < count
    ]
    target = toy(grid=(side, side), usable_cores=side * side, cores_per_router=1, defects=defects)
    return problem_of(target, unicast(count, edges))


def machine(data: st.DataObject) -> Sites:
    """Sites of a mesh with some cores per router, some of which are dead."""
    width, height = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    slots = data.draw(st.integers(1, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    alive = np.flatnonzero(rng.random(width * height * slots) < 0.8)
    return Sites(alive // slots, alive % slots, width, width * height, slots)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_freezing_gives_every_core_its_own_site(data: st.DataObject) -> None:
    sites = machine(data)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    x, y = rng.random((2, sites.count)) * np.array([[sites.width], [9.0]])
    if data.draw(st.booleans()):
        x = np.full(sites.count, 0.5)  # all at one place
    found = melt.frozen(sites, x, y)
    assert (np.sort(found) == np.arange(sites.count)).all()
    order = rng.permutation(sites.count)
    u, v = (sites.xy[order, k] + 0.5 for k in range(2))
    # Who sits on a site stays at its router.
    assert (sites.router[melt.frozen(sites, u, v)] == sites.router[order]).all()


def test_freezing_moves_little_what_is_about_even() -> None:
    sites = drifting(32).sites
    jitter = np.random.default_rng(0).normal(0, 0.3, (2, 1024))
    x, y = (sites.xy[:, k] + jitter[k] for k in range(2))
    found = sites.xy[melt.frozen(sites, x, y)]
    assert np.abs(found - sites.xy).sum(axis=1).mean() < 1.5


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_pictures_are_in_the_mesh_and_even(data: st.DataObject) -> None:
    width, height = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    count = width * height
    sites = Sites(np.arange(count), np.zeros(count, np.int64), width, count, 1)
    site = np.random.default_rng(0).permutation(count)[: max(1, count // 2)]
    shown = list(melt.pictures(sites, site))
    assert len(shown) == 3
    assert (np.stack(shown[0], axis=1)[: site.size] == sites.xy[site] + 0.5).all()
    for x, y in shown:
        assert x.size == y.size == count
        assert ((x >= 0) & (x <= width) & (y >= 0) & (y <= height)).all()
        assert np.unique(np.stack([x, y]), axis=1).shape[1] == count
        if width % 2 == 0 and height % 2 == 0:
            assert x.mean() == pytest.approx(width / 2)
            assert y.mean() == pytest.approx(height / 2)


def test_a_fold_halves_the_mesh_and_keeps_neighbours_together() -> None:
    sites = drifting(16).sites
    _, (x, y), _ = melt.pictures(sites, np.arange(256))
    near = sites.xy[:, 0] < 8
    assert (y[near] >= 8).all()
    assert (y[~near] <= 8).all()
    step = np.abs(np.diff(x.reshape(16, 16), axis=1)) + np.abs(np.diff(y.reshape(16, 16), axis=1))
    beside = np.delete(step, 7, axis=1)  # but for those at the fold
    assert beside.max() == 2


def test_projections_even_out_the_density() -> None:
    sites = drifting(24).sites
    fluid = melt.Fluid(sites)
    x, y = (24 * ((sites.xy[:, k] + 0.5) / 24) ** 1.4 for k in range(2))

    def uneven() -> float:
        count = np.histogram2d(x, y, bins=6, range=[[0, 24], [0, 24]])[0]
        return float(count.std() / count.mean())

    before = uneven()
    for _ in range(20):
        fluid.flatten(x, y)
    assert uneven() < 0.2 * before
    assert (x > 0).all()
    assert (y < 24).all()


def test_the_implicit_step_solves_its_linear_system() -> None:
    rng = np.random.default_rng(0)
    n = 20
    a, b = rng.integers(0, n, (2, 60))
    sites = Sites(np.arange(25), np.zeros(25, np.int64), 5, 25, 1)
    host = np.array([[2, 0]])
    ends = np.concatenate([a, np.full(3, n)]), np.concatenate([b, np.arange(3)])
    flows = Flows.of_pairs(sites, n, host, *ends, rng.integers(1, 9, 63).astype(float))
    p = np.concatenate([rng.random(n) * 5, [2.5]])
    hold = 40.0
    matrix, right = hold * np.eye(n), hold * p[:n]
    for node in range(n):
        for r in range(flows.run_ptr[node], flows.run_ptr[node + 1]):
            for k in range(flows.run_at[r], flows.run_at[r + 1]):
                other = flows.run_first[r] + k - flows.run_at[r]
                q = flows.weight[k] / max(abs(p[node] - p[other]), melt.NEAR)
                matrix[node, node] += q
                if other < n:
                    matrix[node, other] -= q
                else:
                    right[node] += q * p[other]
    spring = np.zeros(flows.weight.size, np.float32)
    found = melt._relaxed(flows, p, hold, spring)
    assert found[n] == p[n]
    assert found[:n] == pytest.approx(np.linalg.solve(matrix, right), abs=1e-2)


def rows(problem: Problem) -> IntArray:
    return np.arange(problem.cores)


def test_melting_bends_what_annealing_leaves_straight() -> None:
    problem = drifting(48)
    flows = Flows.of(problem)
    level = huge.Level(flows, bottom_blocks(flows.sites), np.zeros(0, np.int64))
    plan = huge.Schedule(0.2, 0.02, 1, 120)
    straight = huge.anneal_level(level, rows(problem), plan, 0, Watch(120.0))
    start = huge.Spread(rows(problem), Walk(level, rows(problem), 0).cost)
    bent = huge._molten(level, start, 0, MOLTEN, Watch(120.0))
    assert bent.cost == cost_of(problem, bent.site)
    assert is_legal(problem, bent.site)
    assert bent.cost < 0.9 * straight.cost


@pytest.mark.parametrize("spare", [0, 40])
def test_it_is_legal_and_never_worse_on_broken_machines(
    spare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huge, "TOP", 64)
    problem = drifting(20, spare, ((3, 4, 0), (0, 0, 0), (19, 7, 0)))
    flows = Flows.of(problem)
    cold = spread(flows, 0, COLD, Watch(120.0))
    one, two = (spread(flows, 0, MOLTEN, Watch(120.0)) for _ in range(2))
    assert is_legal(problem, one.site)
    assert one.cost == cost_of(problem, one.site)
    assert one.cost <= cold.cost
    assert (one.site == two.site).all()


def test_former_placements_and_zones_are_kept() -> None:
    problem = drifting(18)
    flows = Flows.of(problem)
    zone = np.full(problem.cores, -1)
    zone[:6] = 0
    allowed = np.zeros((1, 324), np.bool_)
    allowed[0, 300:] = True
    held = replace(flows, zones=Zones(zone, allowed))
    found = spread(held, 0, replace(MOLTEN, top=20), Watch(120.0))
    assert held.zones is not None
    assert held.zones.permits(found.site)
    first = spread(flows, 0, replace(COLD, top=20), Watch(120.0))
    again = spread(flows, 1, MOLTEN, Watch(120.0), first.site)
    assert again.cost <= first.cost


def test_fixed_points_pull_while_cores_are_molten() -> None:
    sites = drifting(16).sites
    cores = np.arange(64)
    flows = Flows.of_pairs(sites, 256, np.array([[15, 15]]), np.full(64, 256), cores, np.ones(64))
    start = next(melt.pictures(sites, np.arange(256)))
    site = melt.melted(flows, start, 60, Watch(60.0))
    before = np.abs(sites.xy[:64] - 15).sum(axis=1).mean()
    assert np.abs(sites.xy[site[:64]] - 15).sum(axis=1).mean() < 0.6 * before


def test_a_cut_while_cores_are_molten_loses_nothing() -> None:
    problem = drifting(20)
    flows = Flows.of(problem)
    level = huge.Level(flows, bottom_blocks(flows.sites), np.zeros(0, np.int64))
    start = huge.Spread(rows(problem), Walk(level, rows(problem), 0).cost)

    class Impatient(Watch):
        asked = 0

        def due(self) -> bool:
            self.asked += 1
            return self.asked > 30

    found = huge._molten(level, start, 0, MOLTEN, Impatient(60.0))
    assert is_legal(problem, found.site)
    assert found.cost <= start.cost


def test_effort_decides_what_is_molten(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def note(flows: Flows, _seed: int, work: Work, _watch: Watch, _start: None) -> huge.Spread:
        asked.append(work.melt)
        return huge.Spread(np.arange(flows.cores), 1.0)

    monkeypatch.setattr("snnc.compiler.place.spread", note)
    flows = Flows.of(drifting(18))
    place(flows, 0, "low", 60.0)
    place(flows, 0, "normal", 60.0)
    place(Flows.of(drifting(12)), 0, "normal", 60.0)
    assert asked == [0, 100, 0]
