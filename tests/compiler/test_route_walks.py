"""Loops over trees against the same sums written with arrays of branches."""

from __future__ import annotations

import numpy as np
import pytest

from snnc.compiler.route.trees import grow
from snnc.compiler.route.waits import waits
from snnc.compiler.route.walks import channel_loads, distinct_waits, link_loads, reach
from snnc.ir.deployment import RouteTables
from snnc.ir.target import LinkKind
from snnc.ir.topology import Mesh


def routes(mesh: Mesh, seed: int, lanes: int) -> RouteTables:
    """Random trees in dimension order, in random classes of virtual channels."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 5, 40)
    ptr = np.concatenate([[0], np.cumsum(size)])
    goals = [rng.choice(mesh.routers, n, replace=False) for n in size]
    root = rng.integers(0, mesh.routers, size.size)
    branch_ptr, branch, parent, delivery, _ = grow(root, ptr, np.concatenate(goals), mesh)
    lane = np.repeat(rng.integers(0, lanes, size.size), np.diff(branch_ptr))
    lane[branch_ptr[:-1]] = 0
    none = np.zeros(0, np.int64)
    return RouteTables(
        root, branch_ptr, branch, parent, ptr, delivery, np.concatenate(goals),
        np.zeros(1, np.int64), none, lane.astype(np.int8),
    )  # fmt: skip


@pytest.mark.parametrize("links", ["mesh", "hex_torus"])
@pytest.mark.parametrize(("width", "height", "lanes"), [(5, 4, 1), (2, 3, 3), (7, 1, 2)])
def test_loads_hops_and_waits(links: LinkKind, width: int, height: int, lanes: int) -> None:
    mesh = Mesh(width, height, width, height, 1, links)
    tables = routes(mesh, width, lanes)
    net = np.repeat(np.arange(tables.nets), np.diff(tables.branch_ptr))
    up = np.where(tables.branch_parent < 0, -1, tables.branch_ptr[net] + tables.branch_parent)
    packets = np.random.default_rng(1).integers(0, 9, tables.nets).astype(np.float64)
    router = tables.branch_router.astype(np.int64)
    key = router[up] * mesh.routers + router
    inner = up >= 0
    expected, of = np.unique(key[inner], return_inverse=True)
    channels, load = channel_loads(tables, packets, mesh)
    assert (channels[:, 0] * mesh.routers + channels[:, 1]).tolist() == expected.tolist()
    assert load.tolist() == np.bincount(of, packets[net[inner]]).tolist()

    cost = np.random.default_rng(2).integers(1, 9, mesh.routers * mesh.sides).astype(np.float64)
    used, priced = link_loads(tables, packets, mesh, cost)
    assert used.sum() == expected.size
    assert priced.sum() == (link_loads(tables, packets, mesh)[1] * cost).sum()

    depth = np.zeros(router.size, np.int64)
    for k in range(router.size):
        depth[k] = depth[up[k]] + 1 if up[k] >= 0 else 0
    of_net = np.repeat(np.arange(tables.nets), np.diff(tables.delivery_ptr))
    leaves = tables.branch_ptr[of_net] + tables.delivery_branch
    assert reach(tables).tolist() == depth[leaves].tolist()

    found = waits(tables, mesh.routers, False)
    lane = tables.branch_lane.astype(np.int64)
    before = found.before * 16 + lane[found.before_branch]
    after = found.after * 16 + lane[found.after_branch]
    channel, held, wanted = distinct_waits(tables, mesh)
    name = (channel[:, 0] * mesh.routers + channel[:, 1]) * 16 + channel[:, 2]
    assert set(name.tolist()) == set((found.place * 16 + lane)[found.place >= 0].tolist())
    pairs = list(zip(name[held].tolist(), name[wanted].tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert set(pairs) == set(zip(before.tolist(), after.tolist(), strict=True))
