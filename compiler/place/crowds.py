"""Lower bound on the weighted hops of a crowd: cores whose flows no cut separates cheaply.

Let d_1 >= d_2 >= ... be the flows of the cores of a crowd (sums over its other cores), lambda the
second smallest eigenvalue of its normalised Laplacian ``I - D^-1/2 W D^-1/2``, and F(k) the least
sum of distances of k cores, each pair once.  No placement of the crowd has fewer weighted hops than

    lambda * sum over k of (d_k - d_(k+1)) F(k) / k.

- Manhattan distances are of negative type: ``sum X_ij dist_ij <= 0`` for every positive
  semidefinite X with zero row sums (Schoenberg 1938).  With ``X = D - W - lambda (D - d d' / vol)``
  (vol the sum of all d) the flows can be replaced by ``lambda d_i d_j / vol`` without raising the
  cost.
- d is a sum of nested sets: ``(d_k - d_(k+1))`` times the k cores of the largest d.  For S in T
  negative type gives ``2 D(S, T) >= (|T| / |S|) D(S, S) + (|S| / |T|) D(T, T)`` for the sums of
  distances D between sets, and so ``sum d_i d_j dist_ij >= vol * sum (d_k - d_(k+1)) 2 F(k) / k``
  over ordered pairs.
- k cores, at most s per router, are smeared over their cells to a density of at most s.  Mean
  distance is concave in the density (negative type), so a region of area k / s has the least: at
  least ``CITY sqrt(k / s)`` (Bender, Bender, Demaine & Fekete, J. Phys. A 37, 2004).  Between
  points of two cells of a column the mean distance along x is 1/3 instead of 0, so that
  ``D >= CITY k^2.5 / sqrt(s) - (sum h^2 + sum r^2) / 3`` with h and r cores in the columns and
  rows.  The h cores of a column have ``D_y >= (h^3 / s - s h) / 3``, smeared likewise, and by
  negative type ``sum D_y(column) / h <= D_y / k``.  So ``sum h^2 / 3 <= s D_y / k + s k / 3``, rows
  alike, and ``D (1 + s / k) >= CITY k^2.5 / sqrt(s) - 2 s k / 3``.

Crowds here are a class of cores with the same partners, and these partners, with half of every
flow: the other half belongs to the crowds of the partners.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cholesky

from snnc.compiler.place.flows import Flows
from snnc.ir.arrays import IntArray, RealArray

CITY = 0.6502459  # mean Manhattan distance in the best shape of area 1, rounded down
SMALLEST, LARGEST = 2, 2048  # cores of a class
FEW = 10  # partners of a core on average, below which nobody looks for crowds
WORK = 10**12  # multiplications for all crowds
STEP = 0.005  # in which lambda is looked for
ROUNDING = 1e-9  # more than what sums and factors of these sizes can be wrong by
LEFT = 4e-5  # more than its root: what a singular value can be wrong by


def least_distances(cells: int | RealArray, slots: int = 1) -> RealArray:
    """No so many cores, ``slots`` per router, have a smaller sum of distances, each pair once."""
    k = np.maximum(np.asarray(cells, np.float64), 1.0)
    area = (CITY * k**2.5 / np.sqrt(slots) - 2 * slots * k / 3) / (1 + slots / k)
    apart = k * (k - slots)  # all but ``slots`` cores are at least at distance 1 from a core
    result: RealArray = 0.5 * np.maximum(np.maximum(area, apart), 0.0)
    return result


def bounds_of_crowds(flows: Flows, charged: RealArray) -> tuple[float, IntArray]:
    """(sum of the bounds of some crowds, cores of their classes), where these are better.

    Args:
        flows: of all cores.
        charged: [cores] what else is known of half of a core's flows.
    """
    if flows.sites.mesh.wraps or flows.degree < FEW:
        return 0.0, np.zeros(0, np.int64)
    classes = _classes(flows)
    partners = [int(_entries(flows, cores[0]).size) for cores in classes]
    work = sum(c.size * p * min(c.size, p) for c, p in zip(classes, partners, strict=True))
    if work > WORK:
        return 0.0, np.zeros(0, np.int64)
    slots = int(flows.sites.room.max(initial=1))
    total, share = 0.0, 1.0
    members: list[IntArray] = [np.zeros(0, np.int64)]
    for cores in classes:
        bound, share = _bound(_between(flows, cores), slots, charged[cores].sum(), share)
        if bound > charged[cores].sum():
            total += bound
            members.append(cores)
    return total, np.concatenate(members)


def _classes(flows: Flows) -> list[IntArray]:
    """Cores by equal partners; members rise; classes of a useful size."""
    found: dict[bytes, list[int]] = {}
    length = np.diff(flows.run_at)
    for core in range(flows.cores):
        runs = slice(flows.run_ptr[core], flows.run_ptr[core + 1])
        if runs.start < runs.stop:
            key = flows.run_first[runs].tobytes() + length[runs].tobytes()
            found.setdefault(key, []).append(core)
    return [np.array(c) for c in found.values() if SMALLEST <= len(c) <= LARGEST]


def _entries(flows: Flows, core: int) -> IntArray:
    """Entries of a core's flows to other cores."""
    runs = range(flows.run_ptr[core], flows.run_ptr[core + 1])
    found = [np.zeros(0, np.int64)]
    for r in runs:
        begin, end = int(flows.run_at[r]), int(flows.run_at[r + 1])
        found.append(np.arange(begin, begin + min(end - begin, flows.cores - flows.run_first[r])))
    return np.concatenate(found)


def _between(flows: Flows, cores: IntArray) -> RealArray:
    """[class, partners] halves of the flows, less what they were rounded up by."""
    first = int(flows.run_at[flows.run_ptr[cores[0]]])
    entries = _entries(flows, cores[0]) - first
    begin = flows.run_at[flows.run_ptr[cores]]
    weight = flows.weight[begin[:, None] + entries].astype(np.float64)
    if flows.unit != 1.0:
        weight = np.maximum(weight - 1.0, 0.0)
    half: RealArray = 0.5 * flows.unit * weight
    return half


def _bound(weight: RealArray, slots: int, wanted: float, share: float) -> tuple[float, float]:
    """(bound of a crowd, its lambda); 0 where no lambda gives more than ``wanted``.

    Args:
        weight: [class, partners] flows.
        slots: cores per router.
        wanted: smaller bounds are of no use.
        share: where the search for lambda begins, that of a crowd alike.
    """
    weight = weight[:, weight.sum(axis=0) > 0]
    rows, columns = weight.sum(axis=1), weight.sum(axis=0)
    if min(weight.shape) < SMALLEST or not (rows > 0).all():
        return 0.0, share
    flow = -np.sort(-np.concatenate([rows, columns]))
    count = np.arange(1.0, flow.size + 1)
    # The mean distance of k cores grows with k: it is the mean over their subsets.
    mean = np.maximum.accumulate(least_distances(count, slots) / (count * np.maximum(count - 1, 1)))
    top = float(-np.diff(flow, append=0.0) @ (mean * (count - 1))) * (1 - ROUNDING)
    least = wanted / top if top > 0 else 1.0
    if least >= 1.0:
        return 0.0, share
    found = _lambda(weight / np.sqrt(rows[:, None] * columns), rows / rows.sum(), share, least)
    return found * top, found or share


def _lambda(flow: RealArray, part: RealArray, share: float, least: float) -> float:
    """A number not above the second eigenvalue of a crowd, 0 if that is below ``least``.

    Flows go between a class and its partners only, so that the eigenvalues are 1 -+ the singular
    values of the normalised ``flow`` [class, partners]; the largest is 1, with the roots of
    ``part`` for a vector.  The next is bounded by a Cholesky factor.
    """
    if flow.shape[0] > flow.shape[1]:
        root = flow.T @ np.sqrt(part)  # the other singular vector
        flow, part = flow.T, root**2
    square = -(flow @ flow.T) + np.outer(np.sqrt(part), np.sqrt(part))
    share = min(share + STEP, 1.0)
    while share > least:
        np.fill_diagonal(square, part - (flow**2).sum(axis=1) + (1.0 - share) ** 2)
        try:
            cholesky(square, check_finite=False)
        except LinAlgError:
            share -= STEP
            continue
        return max(share - LEFT, 0.0)
    return 0.0
