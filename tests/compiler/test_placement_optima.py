"""Annealing against published optima: grid instances of QAPLIB are placements on a mesh."""

from __future__ import annotations

import numpy as np
import pytest
from support.paths import require_data

from snnc.compiler.place.anneal import anneal
from snnc.compiler.place.bound import lower_bound
from snnc.compiler.place.problem import Problem, Sites
from snnc.compiler.place.watch import Watch
from snnc.compiler.traffic import Traffic


def instance(name: str) -> tuple[Problem, float]:
    """A problem whose cost is the instance's, and its published optimum."""
    folder = require_data("mapping", "qaplib", name)
    size, *numbers = (int(w) for w in (folder / f"{name}.txt").read_text().split())
    distance, flow = np.reshape(numbers, (2, size, size))
    width = next((k for k in range(1, size) if distance[0, k] < distance[0, k - 1]), size)
    site = np.arange(size)
    x, y = site % width, site // width
    assert (distance == abs(x[:, None] - x) + abs(y[:, None] - y)).all()
    sender, dest = np.nonzero(flow)
    routers = width * -(-size // width)
    sites = Sites(site, np.zeros(size, np.int64), width, routers, 1)
    rate = flow[sender, dest].astype(float)
    nothing = np.zeros(0, np.int64)
    ptr = np.arange(sender.size + 1)
    traffic = Traffic(size, sender, rate, ptr, dest, nothing, nothing)
    optimum = float((folder / "solution.txt").read_text().split()[1])
    return Problem.of(traffic, sites, 0), optimum


@pytest.mark.parametrize("name", ["nug12", "nug15", "nug20", "nug30", "tho30", "sko42", "wil50"])
def test_annealing_comes_within_two_percent_of_the_published_optimum(name: str) -> None:
    problem, optimum = instance(name)
    assert lower_bound(problem) <= optimum
    assert optimum <= anneal(problem, 0, 20_000_000, Watch(60.0)).cost <= 1.02 * optimum
