"""Paths in dimension order, for kernels: which steps lead from router to router.

The same geometry as ``ir.topology.Mesh``, which says it for arrays and without compiling.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from snnc.ir.jit import inner_kernel
from snnc.ir.topology import Mesh

FLAT, HEXAGONAL, UNWRAPPED = range(3)
"""Kinds: four neighbours; six on a torus; six on a torus whose joined sides are not crossed."""


class Grid(NamedTuple):
    """Routers per row, rows, and the kind of links."""

    width: int
    height: int
    kind: int


def grid_of(mesh: Mesh, wrap: bool = True) -> Grid:
    """The grid of a mesh; ``wrap`` False: paths never cross the joined sides of a torus."""
    kind = (HEXAGONAL if wrap else UNWRAPPED) if mesh.wraps else FLAT
    return Grid(mesh.width, mesh.height, kind)


@inner_kernel
def length(dx: int, dy: int) -> int:
    """Hops on a hexagonal grid: diagonal steps where both have the same sign."""
    if (dx > 0) == (dy > 0):
        return int(max(abs(dx), abs(dy)))
    return int(abs(dx) + abs(dy))


@inner_kernel
def offset(grid: Grid, here: int, goal: int) -> tuple[int, int, int]:
    """Signed steps of a shortest path: diagonal, along x, along y; see ``Mesh.offset``."""
    width = grid.width
    dx, dy = goal % width - here % width, goal // width - here // width
    if grid.kind == 0:
        return 0, dx, dy
    if grid.kind == 1:
        other_x = dx - width if dx > 0 else dx + width
        other_y = dy - grid.height if dy > 0 else dy + grid.height
        least, x, y = length(dx, dy), dx, dy
        for k in range(1, 4):
            cx = other_x if k >= 2 else dx
            cy = other_y if k % 2 == 1 else dy
            hops = length(cx, cy)
            if hops < least:
                least, x, y = hops, cx, cy
        dx, dy = x, y
    diagonal = 0
    if dx > 0 and dy > 0:
        diagonal = min(dx, dy)
    elif dx < 0 and dy < 0:
        diagonal = max(dx, dy)
    return diagonal, dx - diagonal, dy - diagonal


@inner_kernel
def hops(grid: Grid, here: int, goal: int) -> int:
    """Hops of a shortest path."""
    diagonal, dx, dy = offset(grid, here, goal)
    return int(abs(diagonal) + abs(dx) + abs(dy))


@inner_kernel
def advanced(grid: Grid, here: int, along_x: int, along_y: int) -> int:
    """The router that is so far away, across the joined sides if need be."""
    if grid.kind == 0:
        return int(here + along_y * grid.width + along_x)
    x = (here % grid.width + along_x) % grid.width
    y = (here // grid.width + along_y) % grid.height
    return int(y * grid.width + x)


def path(mesh: Mesh, begin: int, end: int) -> list[int]:
    """Routers on the path in dimension order, both ends included."""
    x, y = mesh.xy(begin)
    result = [begin]
    steps = mesh.offset(np.array(begin), np.array(end)).tolist()
    for count, (along_x, along_y) in zip(steps, ((1, 1), (1, 0), (0, 1)), strict=True):
        sign = 1 if count > 0 else -1
        for _ in range(abs(count)):
            x, y = (x + sign * along_x) % mesh.width, (y + sign * along_y) % mesh.height
            result.append(mesh.router(x, y))
    return result


@inner_kernel
def first_step(diagonal: int, dx: int, dy: int, y_first: int) -> tuple[int, int]:
    """The next step in dimension order: diagonal links first, then along x and y."""
    if diagonal != 0:
        return (1, 1) if diagonal > 0 else (-1, -1)
    if dx != 0 and (dy == 0 or not y_first):
        return (1, 0) if dx > 0 else (-1, 0)
    return (0, 1) if dy > 0 else (0, -1)
