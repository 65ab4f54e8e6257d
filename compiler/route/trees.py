"""Multicast trees in dimension order: the union of the XY (or YX) paths to all destinations."""

from __future__ import annotations

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.jit import lean_kernel as kernel


def grow(
    root: IntArray,
    dest_ptr: IntArray,
    dest_router: IntArray,
    width: int,
    routers: int,
    y_first: bool = False,
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
    """Grow all trees.

    The path in dimension order from a root to any router is unique, so paths that meet again have
    never parted and the union is a tree.

    Args:
        root: [nets] router a net starts at.
        dest_ptr: [nets + 1] slice of ``dest_router``.
        dest_router: [destinations] routers to reach.
        width: routers per row.
        routers: number of routers.
        y_first: along Y, then X.

    Returns:
        ``branch_ptr``, ``branch_router``, ``branch_parent``, ``delivery_branch`` as in
        ``ir.deployment.RouteTables``, and the hops to every destination.
    """
    start = np.repeat(root, np.diff(dest_ptr))
    distance = np.abs(start % width - dest_router % width)
    distance += np.abs(start // width - dest_router // width)
    room = root.size + int(distance.sum())
    branch_ptr = np.zeros(root.size + 1, np.int64)
    branch, parent = np.zeros(room, np.int32), np.zeros(room, np.int32)
    delivery = np.zeros(dest_router.size, np.int32)
    reach = np.zeros(dest_router.size, np.int32)
    stamp, node = np.full(routers, -1, np.int64), np.zeros(routers, np.int64)
    size = _grow(
        root, dest_ptr, dest_router, width, int(y_first), stamp, node,
        branch_ptr, branch, parent, delivery, reach,
    )  # fmt: skip
    return branch_ptr, branch[:size].copy(), parent[:size].copy(), delivery, reach


@kernel
def _grow(
    root: IntArray,
    dest_ptr: IntArray,
    dest_router: IntArray,
    width: int,
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
            while here != goal:
                dx = goal % width - here % width
                dy = goal // width - here // width
                if dx != 0 and (dy == 0 or not y_first):
                    step = here + (1 if dx > 0 else -1)
                else:
                    step = here + (width if dy > 0 else -width)
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
