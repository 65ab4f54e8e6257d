"""Freedom from deadlock: an acyclic channel-dependency graph (Dally & Seitz, IEEE ToC 36(5), 1987).

Every packet occupies one channel buffer and waits for the next channel of its path.  If the graph
of all such waits has no cycle, some packet can always move.
"""

from __future__ import annotations

import numpy as np

from snnc.compiler.route.waits import waits
from snnc.compiler.route.walks import distinct_waits
from snnc.ir.arrays import IntArray, sorted_unique
from snnc.ir.deployment import Certificate, RouteTables
from snnc.ir.errors import VerificationError
from snnc.ir.jit import lean_kernel as kernel
from snnc.ir.topology import Mesh

SINGLE_FLIT = (
    "a packet is a single flit: it occupies one channel buffer at a time",
    "branches of a multicast packet are served independently: a blocked branch holds no other",
)
ALWAYS = "a core always accepts a packet that has arrived, within finite time and whatever it sends"
AFTER_SENDING = (
    "a core accepts a packet that has arrived within finite time once its own packets have left; "
    "this wait is in the order"
)
ONE_CLASS = "channels are the directed links between neighbouring routers, one virtual channel each"
CLASSES = (
    "channels are the directed links between neighbouring routers with {0} classes of virtual "
    "channels each; a packet takes only channels of its class"
)
MOST_LANES = 16


def certify(tables: RouteTables, mesh: Mesh, refusing: IntArray | None = None) -> Certificate:
    """Order all used channels so that every path only goes forward.

    Args:
        tables: trees with their classes of virtual channels.
        mesh: the joined mesh.
        refusing: [cores] router of every core, where cores accept packets only while none of
            their own waits to be sent; None where they always accept.

    Raises:
        VerificationError: the channel-dependency graph has a cycle; what is on it is named.
    """
    if refusing is None:
        vertices, before, after = _between_links(tables, mesh)
    else:
        vertices, before, after = _with_ports(tables, mesh)
    start = np.searchsorted(before, np.arange(vertices.size + 1))
    waiting, order = np.zeros(vertices.size, np.int64), np.zeros(vertices.size, np.int64)
    placed = _kahn(start, after, waiting, order)
    if placed < vertices.size:
        loop = _cycle(vertices.size, start, after, order[:placed])
        raise _circular([_name(int(vertices[c]), mesh, tables.lanes) for c in loop])
    assumptions = (
        *SINGLE_FLIT,
        ALWAYS if refusing is None else AFTER_SENDING,
        ONE_CLASS if tables.lanes == 1 else CLASSES.format(tables.lanes),
    )
    rows = _rows(vertices[order], mesh.routers, refusing)
    return Certificate(rows.astype(np.int32), assumptions)


def _between_links(tables: RouteTables, mesh: Mesh) -> tuple[IntArray, IntArray, IntArray]:
    """([vertices] channels, rising, [waits] vertices of different pairs that wait)."""
    channels, before, after = distinct_waits(tables, mesh)
    name = (channels[:, 0] * mesh.routers + channels[:, 1]) * MOST_LANES + channels[:, 2]
    order = np.argsort(name)
    place = np.empty(order.size, np.int64)
    place[order] = np.arange(order.size)
    size = max(order.size, 1)
    pairs = np.sort(place[before] * size + place[after])
    return name[order], pairs // size, pairs % size


def _with_ports(tables: RouteTables, mesh: Mesh) -> tuple[IntArray, IntArray, IntArray]:
    """As ``_between_links``, with the ports of cores that may refuse packets."""
    found = waits(tables, mesh.routers, True)
    lane = tables.branch_lane.astype(np.int64)
    held, wanted = found.before_branch, found.after_branch
    before = found.before * MOST_LANES + np.where(held >= 0, lane[held], 0)
    after = found.after * MOST_LANES + np.where(wanted >= 0, lane[wanted], 0)
    used = found.place >= 0
    own = found.place[used] * MOST_LANES + lane[used]
    vertices = sorted_unique(np.concatenate([own, before, after]))
    size = max(vertices.size, 1)
    pairs = sorted_unique(np.searchsorted(vertices, before) * size
                          + np.searchsorted(vertices, after))  # fmt: skip
    return vertices, pairs // size, pairs % size


def _rows(vertices: IntArray, routers: int, core_router: IntArray | None) -> IntArray:
    """[vertices, 3] as in ``Certificate.channels``."""
    place, lane = vertices // MOST_LANES, vertices % MOST_LANES
    begin, end = place // routers, place % routers
    if core_router is not None:
        port = place >= routers * routers
        number = place[port] - routers * routers
        begin[port] = end[port] = core_router[number // 2]
        lane[port] = number
    return np.stack([begin, end, lane], axis=1)


def _name(vertex: int, mesh: Mesh, lanes: int) -> str:
    place, lane = divmod(vertex, MOST_LANES)
    if place >= mesh.routers**2:
        core, out = divmod(place - mesh.routers**2, 2)
        return f"core {core} {'sending' if out else 'receiving'}"
    link = f"{mesh.xy(place // mesh.routers)}->{mesh.xy(place % mesh.routers)}"
    return link if lanes == 1 else f"{link} class {lane}"


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


def _cycle(size: int, start: IntArray, after: IntArray, placed: IntArray) -> list[int]:
    """Walk backwards among the channels that could not be ordered until one repeats."""
    stuck = np.ones(size, bool)
    stuck[placed] = False
    before = np.repeat(np.arange(size), np.diff(start))
    previous = np.full(size, -1)
    inside = stuck[before] & stuck[after]
    previous[after[inside]] = before[inside]
    seen: list[int] = []
    here = int(np.flatnonzero(stuck)[0])
    while here not in seen:
        seen.append(here)
        here = int(previous[here])
    return [*seen[seen.index(here) :], here][::-1]


def _circular(names: list[str]) -> VerificationError:
    through_cores = any(name.startswith("core") for name in names)
    return VerificationError(
        "the routes can deadlock: channels wait for each other in a circle",
        where="channel-dependency graph",
        found=" waits for ".join(names),
        allowed="an acyclic graph",
        remedy="choose a machine whose cores always accept packets (noc.consumption: always), or "
        "a network without this loop between cores"
        if through_cores
        else "route one of these nets in dimension order, or on another virtual channel",
    )
