"""Simple placements: starts for the annealer, and what results are compared with."""

from __future__ import annotations

import numpy as np

from snnc.compiler.place.problem import Problem, Sites
from snnc.ir.arrays import IntArray


def row_major(problem: Problem) -> IntArray:
    """Cores in order, router by router, row by row."""
    return np.arange(problem.cores)


def random_sites(problem: Problem, seed: int) -> IntArray:
    """Uniformly random sites."""
    return np.random.default_rng(seed).permutation(problem.sites.count)[: problem.cores]


def hilbert(problem: Problem) -> IntArray:
    """Cores in order along a Hilbert curve over the mesh (as in Jin et al., ASPLOS 2023)."""
    return curve(problem.sites)[: problem.cores]


def curve(sites: Sites) -> IntArray:
    """[sites] sites in the order in which a Hilbert curve over the mesh meets them."""
    side = 1
    while side < max(sites.width, sites.routers // sites.width):
        side *= 2
    x, y = sites.xy[:, 0].copy(), sites.xy[:, 1].copy()
    distance = np.zeros(sites.count, np.int64)
    step = side // 2
    while step:
        right, upper = ((x & step) > 0).astype(np.int64), ((y & step) > 0).astype(np.int64)
        distance += step * step * ((3 * right) ^ upper)
        flip = (upper == 0) & (right == 1)
        x, y = np.where(flip, side - 1 - x, x), np.where(flip, side - 1 - y, y)
        turn = upper == 0
        x, y = np.where(turn, y, x), np.where(turn, x, y)
        step //= 2
    return np.argsort(distance, kind="stable")
