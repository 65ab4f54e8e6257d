"""Freedom from deadlock: an acyclic channel-dependency graph (Dally & Seitz, IEEE ToC 36(5), 1987).

Every packet occupies one channel buffer and waits for the next channel of its path.  If the graph
of all such waits has no cycle, some packet can always move.
"""

from __future__ import annotations

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.deployment import Certificate, RouteTables
from snnc.ir.errors import VerificationError
from snnc.ir.jit import lean_kernel as kernel
from snnc.ir.topology import Mesh

ASSUMPTIONS = (
    "a packet is a single flit: it occupies one channel buffer at a time",
    "branches of a multicast packet are served independently: a blocked branch holds no other",
    "a core always accepts a packet that has arrived, within finite time and whatever it sends",
    "channels are the directed links between neighbouring routers, one virtual channel (0) each",
)


def certify(tables: RouteTables, mesh: Mesh) -> Certificate:
    """Order all used channels so that every path only goes forward.

    Raises:
        VerificationError: the channel-dependency graph has a cycle; the routers on it are named.
    """
    key, parent_key = _channel_keys(tables, mesh.routers)
    channels, index = np.unique(key, return_inverse=True)
    held = parent_key >= 0
    before = np.searchsorted(channels, parent_key[held])
    after = index.reshape(-1)[held]
    waits = np.unique(before * max(channels.size, 1) + after)
    before, after = waits // max(channels.size, 1), waits % max(channels.size, 1)
    start = np.searchsorted(before, np.arange(channels.size + 1))
    waiting, order = np.zeros(channels.size, np.int64), np.zeros(channels.size, np.int64)
    placed = _kahn(start, after, waiting, order)
    if placed < channels.size:
        raise _cycle(channels, start, after, order[:placed], mesh)
    pairs = channels[order]
    zero = np.zeros(pairs.size, np.int64)
    rows = np.stack([pairs // mesh.routers, pairs % mesh.routers, zero], axis=1)
    return Certificate(rows.astype(np.int32), ASSUMPTIONS)


def _channel_keys(tables: RouteTables, routers: int) -> tuple[IntArray, IntArray]:
    """(channel into a tree node, channel into its parent or -1) of every node but the roots."""
    net = np.repeat(np.arange(tables.nets), np.diff(tables.branch_ptr))
    parent = tables.branch_ptr[net] + tables.branch_parent
    router = tables.branch_router.astype(np.int64)
    inner = tables.branch_parent >= 0
    into = np.where(inner, router[np.where(inner, parent, 0)] * routers + router, -1)
    return into[inner], into[parent[inner]]


@kernel
def _kahn(start: IntArray, after: IntArray, waiting: IntArray, order: IntArray) -> int:
    """Fill the topological ``order``; fewer than its size placed means a cycle.

    ``waiting``, zero at the beginning, is scratch.
    """
    size = order.size
    for k in range(after.size):
        waiting[after[k]] += 1
    placed = 0
    for c in range(size):
        if waiting[c] == 0:
            order[placed] = c
            placed += 1
    done = 0
    while done < placed:
        c = order[done]
        done += 1
        for k in range(start[c], start[c + 1]):
            waiting[after[k]] -= 1
            if waiting[after[k]] == 0:
                order[placed] = after[k]
                placed += 1
    return placed


def _cycle(
    channels: IntArray, start: IntArray, after: IntArray, placed: IntArray, mesh: Mesh
) -> VerificationError:
    """Walk backwards among the channels that could not be ordered until one repeats."""
    stuck = np.ones(channels.size, bool)
    stuck[placed] = False
    before = np.repeat(np.arange(channels.size), np.diff(start))
    previous = np.full(channels.size, -1)
    inside = stuck[before] & stuck[after]
    previous[after[inside]] = before[inside]
    seen: list[int] = []
    here = int(np.flatnonzero(stuck)[0])
    while here not in seen:
        seen.append(here)
        here = int(previous[here])
    loop = [*seen[seen.index(here) :], here][::-1]
    names = [
        f"{mesh.xy(int(channels[c]) // mesh.routers)}->{mesh.xy(int(channels[c]) % mesh.routers)}"
        for c in loop
    ]
    return VerificationError(
        "the routes can deadlock: channels wait for each other in a circle",
        where="channel-dependency graph",
        found=" waits for ".join(names),
        allowed="an acyclic graph",
        remedy="route one of these nets in dimension order, or on another virtual channel",
    )
