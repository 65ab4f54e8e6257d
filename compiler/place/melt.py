"""Melting: a placement becomes a fluid that flows to fewer hops, and is frozen again.

Swaps cannot bend a whole mesh of cores: every step of the way looks worse.  Here cores have real
coordinates and all move at once:

1. Weighted hops are minimised for one implicit step of gradient descent: distances are replaced by
   quadratic ones of the same size and slope (iteratively reweighted least squares), which one
   sparse linear system per coordinate solves (conjugate gradients).
2. Cores are as dense as sites again: they move along the gradient of the potential of the excess
   density, the smallest displacement that removes it to first order (the projection of Chorin's
   method for incompressible fluids; Poisson's equation by cosine transforms).
3. In the end sites and cores are halved, along the longer side, until each core has a site.

Sites left free take part as cores without flows.  Coordinates are real numbers: unlike annealing,
melting gives the same on the same machine only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import fft

from snnc.compiler.place.flows import Flows
from snnc.compiler.place.problem import Sites
from snnc.compiler.place.watch import Watch
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import lean_kernel

BIN = 1.0  # cells along a bin of the density
BLUR = 0.7  # cells, of the density
NEAR = 1.0  # hops; shorter distances are quadratic
INNER = 20  # conjugate gradients per step
CLOSE = 1e-3  # of the first residue, at which they stop
FLATTEN = 3  # projections per step
MOMENTUM = 0.93  # of the last displacement, that a step starts with
STIFF = (0.0075, 0.025, 0.075, 0.2)  # of a core's mean flow: what holds it where it was
SHARES = (0.4, 0.3, 0.2, 0.1)  # of the steps
EDGE = 1e-3  # cells from the border of the mesh


class Fluid:
    """Density of cores and sites on a grid of bins, and the flow that makes them equal."""

    def __init__(self, sites: Sites) -> None:
        self.size = (float(sites.width), float(sites.routers // sites.width))
        nx, ny = (max(1, round(extent / BIN)) for extent in self.size)
        self.step = (self.size[0] / nx, self.size[1] / ny)
        turns = [np.arange(n) * np.pi / n for n in (nx, ny)]
        near = [(2 - 2 * np.cos(t)) / h**2 for t, h in zip(turns, self.step, strict=True)]
        smooth = [np.exp(-((t / h * BLUR) ** 2) / 2) for t, h in zip(turns, self.step, strict=True)]
        laplace = near[1][:, None] + near[0]
        laplace[0, 0] = 1.0
        self.green = smooth[1][:, None] * smooth[0] / laplace
        self.green[0, 0] = 0.0
        x, y = (sites.xy[:, k] + 0.5 for k in range(2))
        self.wanted = np.zeros((ny, nx))
        _deposit(x, y, *self.step, self.wanted)
        self.mean = float(self.wanted.mean())

    def flatten(self, x: RealArray, y: RealArray) -> None:
        """Move cores at (x, y) [cores] in place, by one projection."""
        there = np.zeros_like(self.wanted)
        _deposit(x, y, *self.step, there)
        excess = fft.dctn((there - self.wanted) / self.mean, type=2)
        potential = -fft.idctn(excess * self.green, type=2)
        along_x = np.zeros((there.shape[0], there.shape[1] + 1))
        along_y = np.zeros((there.shape[0] + 1, there.shape[1]))
        along_x[:, 1:-1] = np.diff(potential, axis=1) / self.step[0]
        along_y[1:-1] = np.diff(potential, axis=0) / self.step[1]
        _drift(x, y, *self.step, along_x, along_y)


@lean_kernel
def _deposit(x: RealArray, y: RealArray, hx: float, hy: float, density: RealArray) -> None:
    """Spread every core over the four nearest bins; what leaves the mesh is reflected."""
    ny, nx = density.shape
    for i in range(x.size):
        u, v = x[i] / hx - 0.5, y[i] / hy - 0.5
        a, b = int(np.floor(u)), int(np.floor(v))
        fu, fv = u - a, v - b
        left, right = max(a, 0), min(a + 1, nx - 1)
        lower, upper = max(b, 0), min(b + 1, ny - 1)
        density[lower, left] += (1 - fu) * (1 - fv)
        density[lower, right] += fu * (1 - fv)
        density[upper, left] += (1 - fu) * fv
        density[upper, right] += fu * fv


@lean_kernel
def _drift(
    x: RealArray, y: RealArray, hx: float, hy: float, along_x: RealArray, along_y: RealArray
) -> None:
    """Move cores by the displacement given on the faces of the bins, and keep them inside."""
    ny, nx = along_x.shape[0], along_y.shape[1]
    for i in range(x.size):
        u, v = x[i] / hx, y[i] / hy
        a, b = min(max(int(u), 0), nx - 1), min(max(int(v), 0), ny - 1)
        fu, fv = u - a, v - b
        c, d = int(np.floor(u - 0.5)), int(np.floor(v - 0.5))
        gu, gv = u - 0.5 - c, v - 0.5 - d
        left, right = max(c, 0), min(c + 1, nx - 1)
        lower, upper = max(d, 0), min(d + 1, ny - 1)
        dx = (along_x[lower, a] * (1 - fu) + along_x[lower, a + 1] * fu) * (1 - gv)
        dx += (along_x[upper, a] * (1 - fu) + along_x[upper, a + 1] * fu) * gv
        dy = (along_y[b, left] * (1 - fv) + along_y[b + 1, left] * fv) * (1 - gu)
        dy += (along_y[b, right] * (1 - fv) + along_y[b + 1, right] * fv) * gu
        x[i] = min(max(x[i] + dx, EDGE), nx * hx - EDGE)
        y[i] = min(max(y[i] + dy, EDGE), ny * hy - EDGE)


@lean_kernel
def _springs(
    cores: int, run_ptr: IntArray, run_first: IntArray, run_at: IntArray, weight: RealArray,
    p: RealArray, hold: float, spring: RealArray, stiff: RealArray,
) -> None:  # fmt: skip
    """Quadratic costs with the slopes of weight x distance at ``p`` [nodes]."""
    for a in range(cores):
        total = hold
        for r in range(run_ptr[a], run_ptr[a + 1]):
            shift = run_first[r] - run_at[r]
            for k in range(run_at[r], run_at[r + 1]):
                q = weight[k] / max(abs(p[a] - p[k + shift]), NEAR)
                spring[k] = q
                total += q
        stiff[a] = total


@lean_kernel
def _residue(
    cores: int, run_ptr: IntArray, run_first: IntArray, run_at: IntArray, spring: RealArray,
    stiff: RealArray, p: RealArray, out: RealArray,
) -> float:  # fmt: skip
    """``out`` = (stiffness matrix) ``p``; returns their product."""
    total = 0.0
    for a in range(cores):
        here = stiff[a] * p[a]
        for r in range(run_ptr[a], run_ptr[a + 1]):
            shift = run_first[r] - run_at[r]
            for k in range(run_at[r], run_at[r + 1]):
                here -= spring[k] * p[k + shift]
        out[a] = here
        total += here * p[a]
    return total


@lean_kernel
def _advance(
    length: float, image: RealArray, stiff: RealArray, way: RealArray, moved: RealArray,
    rest: RealArray,
) -> float:  # fmt: skip
    """Go along ``way``; returns the new residue's square, in the norm of its preconditioner."""
    total = 0.0
    for a in range(rest.size):
        moved[a] += length * way[a]
        rest[a] -= length * image[a]
        total += rest[a] * rest[a] / stiff[a]
    return total


@lean_kernel
def _turn(share: float, rest: RealArray, stiff: RealArray, way: RealArray) -> None:
    """The next conjugate direction."""
    for a in range(rest.size):
        way[a] = rest[a] / stiff[a] + share * way[a]


def _relaxed(flows: Flows, p: RealArray, hold: float, spring: RealArray) -> RealArray:
    """One implicit step of the coordinate ``p`` [nodes]; fixed points stay."""
    n = flows.cores
    runs = flows.run_ptr, flows.run_first, flows.run_at
    stiff, image = np.empty(n), np.empty(n)
    _springs(n, *runs, flows.weight, p, hold, spring, stiff)
    _residue(n, *runs, spring, stiff, p, image)
    rest = hold * p[:n] - image
    moved, way = p.copy(), np.zeros_like(p)
    now = first = _advance(0.0, image, stiff, way, moved, rest)
    share = 0.0
    for _ in range(INNER):
        if now <= CLOSE**2 * first:
            break
        _turn(share, rest, stiff, way)
        length = now / _residue(n, *runs, spring, stiff, way, image)
        before, now = now, _advance(length, image, stiff, way, moved, rest)
        share = now / before
    return moved


def pictures(sites: Sites, site: IntArray) -> Iterator[tuple[RealArray, RealArray]]:
    """(x, y) [sites] of the cores placed at ``site``, then of free sites: where to melt from.

    As they are, and the mesh stretched to a strip of twice its length, along x or y, which is
    folded in the middle.  Layers in a row become a horseshoe; no small step leads from one to the
    other.
    """
    order = np.concatenate([site, np.setdiff1d(np.arange(sites.count), site)])
    x, y = (sites.xy[order, k] + 0.5 for k in range(2))
    width, height = float(sites.width), float(sites.routers // sites.width)
    yield x, y
    yield _folded(x, width, y, height)
    yield _folded(y, height, x, width)[::-1]


def _folded(
    u: RealArray, length: float, v: RealArray, across: float
) -> tuple[RealArray, RealArray]:
    forth = 2 * u < length
    along = np.where(forth, 2 * u, 2 * length - 2 * u)
    return along, np.where(forth, across + v, across - v) / 2


def melted(
    flows: Flows, picture: tuple[RealArray, RealArray], steps: int, watch: Watch
) -> IntArray:
    """[cores] another placement, from ``picture`` by ``steps`` steps; it may cost more or less."""
    sites, n = flows.sites, flows.cores
    fluid = Fluid(sites)
    now: Sequence[RealArray] = picture
    before = now
    fixed = [flows.fixed[:, k] + 0.5 for k in range(2)]
    mean = flows.weight.sum(dtype=np.float64) / max(n, 1)
    spring = np.zeros(flows.weight.size, np.float32)
    for stiff, share in zip(STIFF, SHARES, strict=True):
        for _ in range(max(1, round(share * steps))):
            if watch.due():
                break
            ahead = [p + MOMENTUM * (p - q) for p, q in zip(now, before, strict=True)]
            before = now
            for k in range(2):
                nodes = np.concatenate([ahead[k][:n], fixed[k]])
                ahead[k][:n] = _relaxed(flows, nodes, stiff * mean, spring)[:n]
                np.clip(ahead[k], EDGE, fluid.size[k] - EDGE, out=ahead[k])
            for _ in range(FLATTEN):
                fluid.flatten(*ahead)
            now = ahead
    return frozen(sites, now[0], now[1])[:n]


def frozen(sites: Sites, x: RealArray, y: RealArray) -> IntArray:
    """[sites] a different site for each of as many real coordinates, near to it.

    Sites and points are sorted along the longer side of the sites and cut into halves of equal
    number, again and again.
    """
    point, place = np.arange(x.size), np.arange(x.size)
    points, places = (x, y), (sites.xy[:, 0], sites.xy[:, 1])
    start = np.zeros(1, np.int64)
    while start.size < x.size:
        size = np.diff(start, append=x.size)
        part = np.repeat(np.arange(start.size), size)
        spans = [
            np.maximum.reduceat(c[place], start) - np.minimum.reduceat(c[place], start)
            for c in places
        ]
        wide = (spans[0] >= spans[1])[part]
        for order, (u, v) in ((point, points), (place, places)):
            major = np.where(wide, u[order], v[order])
            minor = np.where(wide, v[order], u[order])
            order[:] = order[np.lexsort((minor, major, part))]
        start = np.unique(np.concatenate([start, start + size // 2]))
    found = np.empty(x.size, np.int64)
    found[point] = place
    return found
