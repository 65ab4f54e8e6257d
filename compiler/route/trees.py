"""Multicast trees in dimension order: the union of the XY (or YX) paths to all destinations.

Where there are diagonal links, they come first.
"""

from __future__ import annotations

import numpy as np

from snnc.compiler.geometry import Grid, advanced, first_step, grid_of, offset
from snnc.ir.arrays import IntArray
from snnc.ir.jit import lean_kernel as kernel
from snnc.ir.topology import Mesh


def grow(
    root: IntArray,
    dest_ptr: IntArray,
    dest_router: IntArray,
    mesh: Mesh,
    y_first: bool = False,
    wrap: bool = True,
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
    """Grow all trees.

    The path in dimension order from a root to any router is unique, so paths that meet again have
    never parted and the union is a tree.  On a torus two ways round can be equally short: where
    such paths meet again, the first one stays, which is as short.

    Args:
        root: [nets] router a net starts at.
        dest_ptr: [nets + 1] slice of ``dest_router``.
        dest_router: [destinations] routers to reach.
        mesh: the routers.
        y_first: along Y, then X.
        wrap: on a torus, across the joined sides where that is shorter.

    Returns:
        ``branch_ptr``, ``branch_router``, ``branch_parent``, ``delivery_branch`` as in
        ``ir.deployment.RouteTables``, and the hops to every destination.
    """
    start = np.repeat(root, np.diff(dest_ptr))
    distance = mesh.distance(start, dest_router, wrap)
    room = root.size + int(distance.sum())
    branch_ptr = np.zeros(root.size + 1, np.int64)
    branch, parent = np.zeros(room, np.int32), np.zeros(room, np.int32)
    delivery = np.zeros(dest_router.size, np.int32)
    reach = np.zeros(dest_router.size, np.int32)
    stamp, node = np.full(mesh.routers, -1, np.int64), np.zeros(mesh.routers, np.int64)
    size = _grow(
        root, dest_ptr, dest_router, grid_of(mesh, wrap), int(y_first), stamp, node,
        branch_ptr, branch, parent, delivery, reach,
    )  # fmt: skip
    if size < room:
        branch, parent = branch[:size].copy(), parent[:size].copy()
    return branch_ptr, branch, parent, delivery, reach


@kernel
def _grow(
    root: IntArray,
    dest_ptr: IntArray,
    dest_router: IntArray,
    grid: Grid,
    y_first: int,
    stamp: IntArray,
    node: IntArray,
    branch_ptr: IntArray,
    branch: IntArray,
    parent: IntArray,
    delivery: IntArray,
    reach: IntArray,
) -> int:
    """Walk every path; a router met before in the same net is not added again.

    ``stamp``, -1 at the beginning, and ``node`` are scratch per router.
    """
    nets = root.size
    size = 0
    for net in range(nets):
        first = size
        branch[size] = root[net]
        parent[size] = -1
        stamp[root[net]] = net
        node[root[net]] = 0
        size += 1
        for d in range(dest_ptr[net], dest_ptr[net + 1]):
            here = root[net]
            goal = dest_router[d]
            hops = 0
            diagonal, dx, dy = offset(grid, here, goal)
            while here != goal:
                along_x, along_y = first_step(diagonal, dx, dy, y_first)
                if diagonal != 0:
                    diagonal -= along_x
                else:
                    dx -= along_x
                    dy -= along_y
                step = advanced(grid, here, along_x, along_y)
                if stamp[step] != net:
                    stamp[step] = net
                    node[step] = size - first
                    branch[size] = step
                    parent[size] = node[here]
                    size += 1
                here = step
                hops += 1
            delivery[d] = node[here]
            reach[d] = hops
        branch_ptr[net + 1] = size
    return size
