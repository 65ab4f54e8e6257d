"""Who waits for whom: the dependencies between channels that a set of trees causes.

A *place* is a directed link, ``from * routers + to``, or, where cores may refuse packets until
their own have left, a port of a core: ``routers ** 2 + 2 * core`` into it and one more out of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.deployment import RouteTables


@dataclass(frozen=True, eq=False)
class Waits:
    """All waits of all nets.

    Attributes:
        place: [branches] link that leads to a tree node, -1 for roots.
        before, after: [waits] place that a packet holds, and the next one that it waits for.
        before_branch, after_branch: [waits] tree node that the link leads to, -1 for ports.
        net: [waits] whose packet waits; -1: a core that accepts nothing until it has sent.
        routers: of the mesh.
    """

    place: IntArray
    before: IntArray
    after: IntArray
    before_branch: IntArray
    after_branch: IntArray
    net: IntArray
    routers: int


def waits(tables: RouteTables, routers: int, refusing: bool) -> Waits:
    """Collect the waits of all trees; with those through cores when cores may be ``refusing``."""
    net = np.repeat(np.arange(tables.nets), np.diff(tables.branch_ptr))
    inner = np.flatnonzero(tables.branch_parent >= 0)
    parent = np.full(net.size, -1, np.int64)
    parent[inner] = tables.branch_ptr[net[inner]] + tables.branch_parent[inner]
    router = tables.branch_router.astype(np.int64)
    place = np.full(net.size, -1, np.int64)
    place[inner] = router[parent[inner]] * routers + router[inner]
    later = inner[place[parent[inner]] >= 0]
    rows = [np.stack([place[parent[later]], place[later], parent[later], later, net[later]])]
    if refusing:
        rows += _through_cores(tables, place, parent, net, routers)
    before, after, held, wanted, whose = np.concatenate(rows, axis=1)
    return Waits(place, before, after, held, wanted, whose, routers)


def _through_cores(
    tables: RouteTables, place: IntArray, parent: IntArray, net: IntArray, routers: int
) -> list[IntArray]:
    """Rows of waits: out of cores, into cores, and from a core's input to its output."""
    ports = routers * routers
    sender = tables.net_core[net].astype(np.int64)
    nothing = np.full(net.size, -1, np.int64)
    first = np.flatnonzero((parent >= 0) & (sender >= 0))
    first = first[place[parent[first]] < 0]
    leaving = np.stack(
        [ports + 2 * sender[first] + 1, place[first], nothing[first], first, net[first]]
    )
    of = np.repeat(np.arange(tables.nets), np.diff(tables.delivery_ptr))
    at = tables.branch_ptr[of] + tables.delivery_branch
    held = np.where(place[at] >= 0, place[at], ports + 2 * sender[at] + 1)
    branch = np.where(place[at] >= 0, at, -1)
    known = np.flatnonzero((place[at] >= 0) | (sender[at] >= 0))
    into = ports + 2 * tables.delivery_core.astype(np.int64)
    arriving = np.stack([held, into, branch, np.full(at.size, -1), of])[:, known]
    cores = np.intersect1d(tables.delivery_core, tables.net_core[tables.net_core >= 0])
    cores = cores.astype(np.int64)
    none = np.full(cores.size, -1, np.int64)
    passing = np.stack([ports + 2 * cores, ports + 2 * cores + 1, none, none, none])
    return [leaving, arriving, passing]
