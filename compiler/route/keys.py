"""Keys and router tables, where routers look packets up by key and mask (SpiNNaker class).

Every net gets a block of keys, one per source that sends on it, and all blocks have one size: a
power of two.  The number of a block is the net's *code*.  A router sends a packet as the first of
its entries says that matches ``key & mask``, and one that none matches straight on, out of the
side opposite to the one it came from.  Keys of nets that never pass a router may match anything.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.compiler.route.minimise import Cube, minimise
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import KeyTables, RouteTables
from snnc.ir.errors import CapacityError
from snnc.ir.target import Target
from snnc.ir.topology import Mesh

Route = tuple[int, tuple[int, ...]]
"""Bits of the links to take (``ir.topology.DIRECTIONS``) and the cores that get a copy."""


def key_tables(tables: RouteTables, target: Target, mesh: Mesh) -> tuple[KeyTables, dict[str, Any]]:
    """Keys of all sources, minimised tables of all routers, and the report of their sizes.

    Raises:
        CapacityError: keys are too narrow, or a router's table overflows.
    """
    assert target.noc.table_entries is not None
    low, source_key, codes = _keys(tables, target, mesh)
    found, used = _passing(tables, mesh)
    capacity = target.noc.table_entries.v
    cubes: list[tuple[Cube, Route]] = []
    ptr = np.zeros(mesh.routers + 1, np.int64)
    plain, worst = 0, (0, 0, 0)
    for router in range(mesh.routers):
        rows = found.get(router, [])
        ptr[router + 1] = ptr[router]
        if not rows:
            continue
        routes = sorted({route for _, route, _ in rows})
        number = {route: k for k, route in enumerate(routes)}
        code = codes[[net for net, _, _ in rows]]
        label = np.array([number[route] for _, route, _ in rows])
        straight = np.array([default for _, _, default in rows])
        plain = max(plain, int((~straight).sum()))
        entries = minimise(code, label, straight)
        cubes += [(cube, routes[which]) for cube, which in entries]
        ptr[router + 1] += len(entries)
        worst = max(worst, (len(entries), router, len(rows)))
    if capacity is not None and worst[0] > capacity:
        x, y = mesh.xy(worst[1])
        raise CapacityError(
            "the routing table of a router overflows",
            where=f"router ({x}, {y})",
            found=f"{worst[0]:,} entries after minimisation, for {worst[2]:,} nets that pass",
            allowed=f"{int(capacity):,} entries (noc.table_entries)",
            remedy=f"{worst[0] - int(capacity):,} more would do; or let fewer nets pass it: "
            "more neurons per core, another placement (--seed), other routes (--routing)",
        )
    cores = [copies for _, (_, copies) in cubes]
    whole = (1 << target.noc.key_bits) - 1
    result = KeyTables(
        source_key,
        ptr,
        np.array([cube[0] << low for cube, _ in cubes], np.int64),
        np.array([cube[1] << low & whole for cube, _ in cubes], np.int64),
        np.array([route[0] for _, route in cubes], np.int64),
        np.concatenate([[0], np.cumsum([len(c) for c in cores])]).astype(np.int64),
        np.array([core for c in cores for core in c], np.int64),
    )
    x, y = mesh.xy(worst[1])
    return result, {
        "capacity": None if capacity is None else int(capacity),
        "entries": int(ptr[-1]),
        "largest": worst[0],
        "largest_at": [x, y],
        "largest_without_minimising": plain,
        "routers": used,
        "key_bits_used": low + int(codes.max(initial=0)).bit_length(),
    }


def _keys(tables: RouteTables, target: Target, mesh: Mesh) -> tuple[int, IntArray, IntArray]:
    """(bits of a source within its block, [sources] keys or -1, [nets] codes)."""
    sources = tables.send_ptr.size - 1
    sender = np.repeat(np.arange(sources), np.diff(tables.send_ptr))
    members = np.bincount(tables.send_net, minlength=tables.nets)
    low = max(0, int(members.max(initial=1)) - 1).bit_length()
    high = max(0, tables.nets - 1).bit_length()
    if low + high > target.noc.key_bits:
        raise CapacityError(
            "the keys of this machine are too narrow",
            where=f"noc.key_bits of {target.id}",
            found=f"{low + high} bits for {tables.nets:,} nets of up to {members.max():,} sources",
            allowed=f"{target.noc.key_bits} bits",
            remedy="fewer sets of destinations: more neurons per core, or fewer cores per layer",
        )
    codes = np.empty(tables.nets, np.int64)
    codes[_neighbours(tables, mesh)] = np.arange(tables.nets)
    order = np.argsort(tables.send_net, kind="stable")
    first = np.searchsorted(tables.send_net[order], np.arange(tables.nets))
    within = np.arange(order.size) - first[tables.send_net[order]]
    key = np.full(sources, -1, np.int64)
    key[sender[order]] = (codes[tables.send_net[order]] << low) + within
    return low, key, codes


def _neighbours(tables: RouteTables, mesh: Mesh) -> IntArray:
    """Nets in an order in which those that start close together and go the same way are close."""
    root = tables.branch_router[tables.branch_ptr[:-1]].astype(np.int64)
    net = np.repeat(np.arange(tables.nets), np.diff(tables.branch_ptr))
    count = np.maximum(np.bincount(net, minlength=tables.nets), 1)
    router = tables.branch_router.astype(np.int64)
    x = np.bincount(net, router % mesh.width, tables.nets) / count
    y = np.bincount(net, router // mesh.width, tables.nets) / count
    return np.lexsort((x, y, tables.net_core, _interleaved(root, mesh)))


def _interleaved(router: IntArray, mesh: Mesh) -> IntArray:
    """Z-order: the bits of x and y alternate, so that squares of routers share a prefix."""
    x, y = router % mesh.width, router // mesh.width
    result = np.zeros(router.size, np.int64)
    for bit in range(16):
        result |= ((x >> bit) & 1) << (2 * bit) | ((y >> bit) & 1) << (2 * bit + 1)
    return result


def _passing(
    tables: RouteTables, mesh: Mesh
) -> tuple[dict[int, list[tuple[int, Route, bool]]], int]:
    """By router: (net, what is done with it, whether going straight on does that); and how many."""
    net = np.repeat(np.arange(tables.nets), np.diff(tables.branch_ptr))
    inner = np.flatnonzero(tables.branch_parent >= 0)
    parent = tables.branch_ptr[net[inner]] + tables.branch_parent[inner]
    router = tables.branch_router.astype(np.int64)
    way = mesh.direction(router[parent], router[inner])
    arrived = np.full(router.size, -1)
    arrived[inner] = way
    out = np.zeros(router.size, np.int64)
    np.bitwise_or.at(out, parent, 1 << way)
    cores: dict[int, list[int]] = {}
    of = np.repeat(np.arange(tables.nets), np.diff(tables.delivery_ptr))
    at = tables.branch_ptr[of] + tables.delivery_branch
    for branch, core in zip(at.tolist(), tables.delivery_core.tolist(), strict=True):
        cores.setdefault(branch, []).append(core)
    found: dict[int, list[tuple[int, Route, bool]]] = {}
    for branch in range(router.size):
        links, copies = int(out[branch]), tuple(sorted(cores.get(branch, [])))
        straight = arrived[branch] >= 0 and not copies and links == 1 << int(arrived[branch])
        row = (int(net[branch]), (links, copies), bool(straight))
        found.setdefault(int(router[branch]), []).append(row)
    return found, len(found)
