"""XY multicast trees: the union of the dimension-ordered paths to all destinations."""

from __future__ import annotations

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.jit import kernel


@kernel
def grow(
    root: IntArray, dest_ptr: IntArray, dest_router: IntArray, width: int, routers: int
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
    """Grow all trees.

    The XY path from a root to any router is unique, so paths that meet again have never parted
    and the union is a tree.

    Args:
        root: [nets] router a net starts at.
        dest_ptr: [nets + 1] slice of ``dest_router``.
        dest_router: [destinations] routers to reach.
        width: routers per row.
        routers: number of routers.

    Returns:
        ``branch_ptr``, ``branch_router``, ``branch_parent``, ``delivery_branch`` as in
        ``ir.deployment.RouteTables``, and the hops to every destination.
    """
    nets = root.size
    stamp = np.full(routers, -1, np.int64)
    node = np.zeros(routers, np.int64)
    branch_ptr = np.zeros(nets + 1, np.int64)
    delivery = np.zeros(dest_router.size, np.int32)
    reach = np.zeros(dest_router.size, np.int32)
    size = 0
    capacity = max(16, 4 * nets)
    branch = np.zeros(capacity, np.int32)
    parent = np.zeros(capacity, np.int32)
    for net in range(nets):
        first = size
        if size + 1 > capacity:
            capacity *= 2
            branch = np.concatenate((branch, np.zeros(capacity - branch.size, np.int32)))
            parent = np.concatenate((parent, np.zeros(capacity - parent.size, np.int32)))
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
                if dx != 0:
                    step = here + (1 if dx > 0 else -1)
                else:
                    step = here + (width if goal > here else -width)
                if stamp[step] != net:
                    if size + 1 > capacity:
                        capacity *= 2
                        branch = np.concatenate(
                            (branch, np.zeros(capacity - branch.size, np.int32))
                        )
                        parent = np.concatenate(
                            (parent, np.zeros(capacity - parent.size, np.int32))
                        )
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
    return branch_ptr, branch[:size].copy(), parent[:size].copy(), delivery, reach
