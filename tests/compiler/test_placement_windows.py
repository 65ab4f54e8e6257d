"""Windows whose cores are assigned anew: exact where cores are strangers, never worse elsewhere."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from snnc.compiler.place import Flows, Problem, Sites, Zones, cost_of
from snnc.compiler.place.watch import Watch
from snnc.compiler.place.windows import OfFlows, OfNets, Prices, polished, tiles
from snnc.ir.arrays import IntArray

WIDTH, HEIGHT, SLOTS = 12, 10, 2


def machine(links: Any = "mesh", width: int = WIDTH, height: int = HEIGHT) -> Sites:
    """Some cores are missing."""
    every = np.arange(width * height * SLOTS)
    alive = np.random.default_rng(0).random(every.size) < 0.9
    every = every[alive]
    return Sites(every // SLOTS, every % SLOTS, width, width * height, SLOTS, links)


def problem(seed: int, links: Any = "mesh", cores: int = 120, widest: int = 4) -> Problem:
    rng = np.random.default_rng(seed)
    count = 2 * cores
    size = rng.integers(1, widest + 1, count)
    ptr = np.concatenate([[0], np.cumsum(size)])
    dest = np.concatenate([rng.choice(cores, n, replace=False) for n in size])
    sender = rng.integers(-1, cores, count)
    return Problem(machine(links), 5, cores, sender, ptr, dest, rng.integers(1, 50, count) / 2.0)


def scattered(given: Problem, seed: int) -> IntArray:
    return np.random.default_rng(seed).permutation(given.sites.count)[: given.cores]


def prices(given: Problem, site: IntArray, trees: bool) -> Prices:
    return OfNets(given, site) if trees else OfFlows(Flows.of(given), site)


@pytest.mark.parametrize("links", ["mesh", "hex_torus"])
@pytest.mark.parametrize("trees", [False, True])
def test_it_saves_what_it_says(links: str, trees: bool) -> None:
    given = problem(3, links, widest=4 if trees else 1)
    site = scattered(given, 1)
    found = polished(prices(given, site, trees), site, 0, 10**7, Watch(1e9))
    again = polished(prices(given, site, trees), site, 0, 10**7, Watch(1e9))
    assert np.array_equal(found.site, again.site)
    assert np.unique(found.site).size == given.cores
    unit = prices(given, site, trees).unit
    assert found.saved > 0
    before, after = cost_of(given, site), cost_of(given, found.site)
    assert after < 0.8 * before
    assert before - after == pytest.approx(found.saved * unit)


@pytest.mark.parametrize("seed", range(20))
def test_strangers_are_assigned_to_the_optimum(seed: int) -> None:
    """Cores that talk to fixed points only; swaps alone would not always find the best."""
    rng = np.random.default_rng(seed)
    sites = Sites(np.arange(9), np.zeros(9, np.int64), 3, 9, 1)
    points = rng.integers(0, 3, (4, 2))
    pairs = np.array(list(itertools.product(range(6), range(4))))
    rate = rng.integers(1, 20, len(pairs)).astype(float)
    flows = Flows.of_pairs(sites, 6, points, pairs[:, 0], 6 + pairs[:, 1], rate)
    away = np.abs(sites.xy[:, None, :] - points[None]).sum(axis=2)
    price = rate.reshape(6, 4) @ away.T
    best = min(price[np.arange(6), list(p)].sum() for p in itertools.permutations(range(9), 6))
    start = rng.permutation(9)[:6]
    found = polished(OfFlows(flows, start), start, seed, 10**6, Watch(1e9))
    assert price[np.arange(6), found.site].sum() == best


def test_zones_hold() -> None:
    given = problem(4)
    zone = np.full(given.cores, -1)
    zone[:30] = np.arange(30) % 2
    allowed = np.stack([given.sites.xy[:, 0] < 4, given.sites.xy[:, 0] >= 8])
    given = dataclasses.replace(given, zones=Zones(zone, allowed))
    assert given.zones is not None
    inside = [np.flatnonzero(mask) for mask in allowed]
    site = np.full(given.cores, -1)
    for k in range(2):
        site[:30][zone[:30] == k] = inside[k][:15]
    site[30:] = np.setdiff1d(np.arange(given.sites.count), site[:30])[: given.cores - 30]
    for trees in (False, True):
        found = polished(prices(given, site, trees), site, 0, 10**7, Watch(1e9))
        assert found.saved > 0
        assert given.zones.permits(found.site)


def test_a_watch_that_is_due_changes_nothing() -> None:
    given = problem(5)
    site = scattered(given, 2)
    found = polished(prices(given, site, True), site, 0, 10**7, Watch(0.0))
    assert found.saved == 0
    assert np.array_equal(found.site, site)


@pytest.mark.parametrize("shift", [0, 1])
def test_every_site_is_in_one_window(shift: int) -> None:
    sites = machine(width=70, height=41)
    windows = list(tiles(sites, shift))
    assert len(windows) > 9
    assert np.array_equal(np.sort(np.concatenate(windows)), np.arange(sites.count))
