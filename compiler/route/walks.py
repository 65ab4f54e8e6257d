"""Sums over the branches of all trees, in memory for links and nets instead of branches.

A tree node and its parent name a link: ``router * sides + side`` (``ir.topology.Mesh``).
"""

from __future__ import annotations

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray, RealArray
from snnc.ir.deployment import RouteTables
from snnc.ir.jit import inner_kernel, lean_kernel
from snnc.ir.topology import Mesh


def link_loads(
    tables: RouteTables, packets: RealArray, mesh: Mesh, cost: RealArray | None = None
) -> tuple[AnyArray, RealArray]:
    """([sides * routers] links that trees use, what passes over them).

    Args:
        tables: the trees.
        packets: [nets].
        mesh: the routers.
        cost: [sides * routers] what a packet counts on a link; None: 1.
    """
    size = mesh.routers * mesh.sides
    used, load = np.zeros(size, np.bool_), np.zeros(size)
    each = np.ones(size) if cost is None else cost
    _add_loads(
        tables.branch_ptr, tables.branch_router, tables.branch_parent,
        mesh.neighbours.reshape(-1), mesh.sides, packets, each, used, load,
    )  # fmt: skip
    return used, load


def channel_loads(routes: RouteTables, rate: RealArray, mesh: Mesh) -> tuple[IntArray, RealArray]:
    """([channels, 2] from-router and to-router of every link used, [channels] packets over it).

    Args:
        routes: trees of all nets.
        rate: [nets] packets.
        mesh: the routers.
    """
    used, load = link_loads(routes, rate, mesh)
    link = np.flatnonzero(used)
    ends = np.stack([link // mesh.sides, mesh.neighbours.reshape(-1)[link]], axis=1)
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    return ends[order], load[link[order]]


def reach(tables: RouteTables) -> IntArray:
    """[deliveries] hops from the root; parents come before their children."""
    hops = np.zeros(tables.delivery_branch.size, np.int64)
    longest = int(np.diff(tables.branch_ptr).max(initial=0))
    _count_hops(
        tables.branch_ptr, tables.branch_parent, tables.delivery_ptr, tables.delivery_branch,
        np.zeros(longest, np.int64), hops,
    )  # fmt: skip
    return hops


def distinct_waits(tables: RouteTables, mesh: Mesh) -> tuple[IntArray, IntArray, IntArray]:
    """Channels that trees use, and which waits for which.

    Returns:
        [channels, 3] from-router, to-router, class, by rising link and class; [waits] number of
        the channel that a packet holds, and of the next one of its path, different pairs.
    """
    sides, lanes = mesh.sides, tables.lanes
    used = np.zeros(mesh.routers * sides * lanes, np.bool_)
    waiting = np.zeros(used.size * sides * lanes, np.bool_)
    there = mesh.neighbours.reshape(-1)
    _mark_waits(
        tables.branch_ptr, tables.branch_router, tables.branch_parent, tables.branch_lane, there,
        sides, lanes, used, waiting,
    )  # fmt: skip
    channel = np.flatnonzero(used)
    link, lane = channel // lanes, channel % lanes
    pair = np.flatnonzero(waiting)
    held, side, wanted = pair // (sides * lanes), pair // lanes % sides, pair % lanes
    after = (there[held // lanes] * sides + side) * lanes + wanted
    return (
        np.stack([link // sides, there[link], lane], axis=1),
        np.searchsorted(channel, held),
        np.searchsorted(channel, after),
    )


@inner_kernel
def _link(begin: int, end: int, there: IntArray, sides: int) -> int:
    """The link between two neighbours; there is one."""
    for side in range(sides):
        if there[begin * sides + side] == end:
            return begin * sides + side
    return 0


@lean_kernel
def _add_loads(
    branch_ptr: IntArray, router: IntArray, parent: IntArray, there: IntArray, sides: int,
    packets: RealArray, cost: RealArray, used: AnyArray, load: RealArray,
) -> None:  # fmt: skip
    for net in range(branch_ptr.size - 1):
        first = branch_ptr[net]
        for k in range(first, branch_ptr[net + 1]):
            if parent[k] >= 0:
                link = _link(router[first + parent[k]], router[k], there, sides)
                used[link] = True
                load[link] += packets[net] * cost[link]


@lean_kernel
def _count_hops(
    branch_ptr: IntArray, parent: IntArray, delivery_ptr: IntArray, leaves: IntArray,
    depth: IntArray, hops: IntArray,
) -> None:  # fmt: skip
    """``depth`` [nodes of the largest tree] is scratch."""
    for net in range(branch_ptr.size - 1):
        first = branch_ptr[net]
        for k in range(branch_ptr[net + 1] - first):
            depth[k] = 0 if parent[first + k] < 0 else depth[parent[first + k]] + 1
        for d in range(delivery_ptr[net], delivery_ptr[net + 1]):
            hops[d] = depth[leaves[d]]


@lean_kernel
def _mark_waits(
    branch_ptr: IntArray, router: IntArray, parent: IntArray, lane: IntArray, there: IntArray,
    sides: int, lanes: int, used: AnyArray, waiting: AnyArray,
) -> None:  # fmt: skip
    """Mark links by class, and (link and class, side and class of the next link)."""
    for net in range(branch_ptr.size - 1):
        first = branch_ptr[net]
        for k in range(first, branch_ptr[net + 1]):
            if parent[k] < 0:
                continue
            up = first + parent[k]
            link = _link(router[up], router[k], there, sides)
            used[link * lanes + lane[k]] = True
            if parent[up] < 0:
                continue
            before = _link(router[first + parent[up]], router[up], there, sides)
            held = before * lanes + lane[up]
            waiting[(held * sides + link - router[up] * sides) * lanes + lane[k]] = True
