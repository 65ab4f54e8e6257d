"""Lower bound on the weighted hops of cores that talk all to all.

Cores with the same partners are a class, and all flows between two classes are a *crowd*: n cores
on n different sites.  Its cost is at least ``(lambda / n) F(n)``, where lambda is the second
smallest eigenvalue of its weighted Laplacian L and F(n) the least sum of distances of n cells:

- Manhattan distances d are of negative type: ``sum X_ij d_ij <= 0`` for every positive semidefinite
  matrix X with zero row sums (Schoenberg 1938).  With ``X = L - lambda (I - J / n)`` the flows can
  be replaced by equal ones, lambda / n between any two cores, without raising the cost.
- n cells are a region of area n, whose points are at least ``CITY sqrt(n)`` apart on average
  (Bender, Bender, Demaine & Fekete, J. Phys. A 37, 2004).  Between points of two cells of a column
  the mean distance along x is 1/3 instead of 0, so that the sum over ordered pairs of cells is
  ``D >= CITY n^2.5 - (sum h^2 + sum r^2) / 3`` with h and r cells in the columns and rows.
  Negative type again bounds columns by ``sum h^2 / 3 <= D_y / n + columns / 3``, rows alike, and
  so ``D (1 + 1 / n) >= CITY n^2.5 - 2 n / 3``.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cholesky

from snnc.compiler.place.flows import Flows
from snnc.ir.arrays import IntArray, RealArray

CITY = 0.6502459  # mean Manhattan distance in the best shape of area 1, rounded down
SMALLEST, LARGEST = 3, 4096  # cores of a crowd
FEW = 10  # partners of a core on average, below which nobody looks for crowds
WORK = 10**12  # third powers of the sizes of all crowds
STEP = 0.01  # of the smallest flow of a core, in which lambda is looked for


def least_distances(cells: int) -> float:
    """No ``cells`` different cells of a mesh have a smaller sum of distances, each pair once."""
    total: float = (CITY * cells**2.5 - 2 * cells / 3) / (1 + 1 / cells)
    return max(0.5 * total, 0.5 * cells * (cells - 1))


def bound_of_crowds(flows: Flows) -> float:
    """No placement has fewer weighted hops; 0 where several cores share a router or few talk."""
    if int(flows.sites.room.max(initial=1)) > 1 or flows.degree < FEW:
        return 0.0
    members = _classes(flows)
    pairs = _crowds(flows, members)
    sizes = [members[one].size + members[two].size for one, two in pairs]
    if sum(float(size) ** 3 for size in sizes) > WORK:
        return 0.0
    total, share = 0.0, 1.0
    for (one, two), size in zip(pairs, sizes, strict=True):
        weight = _between(flows, members[one], members[two])
        smallest, share = _lambda(weight, share)
        total += smallest / size * least_distances(size)
    return total * flows.unit


def _classes(flows: Flows) -> list[IntArray]:
    """Cores by equal partners; members rise, fixed points and silent cores are left out."""
    found: dict[bytes, list[int]] = {}
    length = np.diff(flows.run_at)
    for core in range(flows.cores):
        runs = slice(flows.run_ptr[core], flows.run_ptr[core + 1])
        if runs.start < runs.stop:
            key = flows.run_first[runs].tobytes() + length[runs].tobytes()
            found.setdefault(key, []).append(core)
    return [np.array(cores) for cores in found.values()]


def _crowds(flows: Flows, members: list[IntArray]) -> list[tuple[int, int]]:
    """Pairs of classes that talk, if together they are a crowd of a useful size."""
    label = np.full(flows.nodes, -1, np.int64)
    for k, cores in enumerate(members):
        label[cores] = k
    pairs = []
    for k, cores in enumerate(members):
        a = cores[0]
        for r in range(flows.run_ptr[a], flows.run_ptr[a + 1]):
            first = int(flows.run_first[r])
            partners = label[first : first + int(flows.run_at[r + 1] - flows.run_at[r])]
            pairs += [(k, int(other)) for other in np.unique(partners) if other > k]
    sizes = {pair: members[pair[0]].size + members[pair[1]].size for pair in pairs}
    return [pair for pair in sorted(sizes) if SMALLEST <= sizes[pair] <= LARGEST]


def _between(flows: Flows, one: IntArray, two: IntArray) -> RealArray:
    """[one, two] weights, less what they were rounded up by."""
    weight = np.zeros((one.size, two.size))
    for row, a in enumerate(one):
        for r in range(flows.run_ptr[a], flows.run_ptr[a + 1]):
            first, begin, end = flows.run_first[r], flows.run_at[r], flows.run_at[r + 1]
            low, high = np.searchsorted(two, (first, first + end - begin))
            weight[row, low:high] = flows.weight[begin + two[low:high] - first]
    return weight if flows.unit == 1.0 else np.maximum(weight - 1.0, 0.0)


def _lambda(weight: RealArray, share: float) -> tuple[float, float]:
    """(number not above the second smallest eigenvalue of the Laplacian of [a, b] flows, share).

    It is a share of the smallest flow of a core, and proven by a Cholesky factor; ``share`` is
    where the search begins, that of a crowd alike.
    """
    a, b = weight.shape
    n = a + b
    laplacian = np.zeros((n, n))
    laplacian[:a, a:] = -weight
    laplacian[a:, :a] = -weight.T
    flow = -laplacian.sum(axis=1)
    least, top = float(flow.min()), 2 * float(flow.max())
    # Equal entries are an eigenvector of value 0: raised to ``top`` it does not count.
    laplacian += top / n
    share = min(share + STEP, 1.0)
    while share > 0.0:
        np.fill_diagonal(laplacian, flow + top / n - (share * least + 1e-9 * top))
        try:
            cholesky(laplacian, check_finite=False)
        except LinAlgError:
            share -= STEP
            continue
        return share * least, share
    return 0.0, 1.0
