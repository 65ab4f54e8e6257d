"""Trees along the cheapest links: one net is taken out and grown again under the others' load.

Links are numbered ``router * 4 + direction`` (+x, -x, +y, -y).  What a link costs a net is how much
the sum over links of (busy time / scale) ** power would rise, times a factor per link, plus a
little for the hop itself; lowering that sum at a high power flattens the busiest links.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import inlined, inner_kernel, lean_kernel

BUILDERS = ("xy", "yx", "minimal", "any", "west first", "east first", "low first", "high first")
"""How a tree may be grown.  The four last are minimal too, but packets to the west (east, smaller
y, larger y) go there first, so that two of the eight turns never occur (Glass & Ni, ISCA 1992)."""
XY, YX, MINIMAL, ANY, WEST, EAST, LOW, HIGH = range(8)
TINY = 1e-4
NOWHERE = 1e300
Int32 = npt.NDArray[np.int32]


class Links(NamedTuple):
    """The mesh and what its links carry.

    Attributes:
        width: routers per row.
        cycles: [4 * routers] cycles a packet occupies a link.
        busy: [4 * routers] cycles per sample, of all nets' present trees.
        factor: [4 * routers] multiplies prices; 1 unless somebody perturbs them.
    """

    width: int
    cycles: RealArray
    busy: RealArray
    factor: RealArray


class Nets(NamedTuple):
    """Nets between routers and their present trees, each in a room of its own.

    Attributes:
        root: [nets] router where a net starts.
        rate: [nets] packets per sample.
        ptr: [nets + 1] slice of ``dest``.
        dest: [destinations] distinct routers, nearest first.
        room: [nets + 1] slice of ``router`` and ``parent``; as long as the longest tree.
        size: [nets] tree nodes in use.
        router, parent: [rooms] as in ``ir.deployment.RouteTables``.
        built: [nets] index into ``BUILDERS`` of the present tree.
    """

    root: Int32
    rate: RealArray
    ptr: IntArray
    dest: Int32
    room: IntArray
    size: IntArray
    router: Int32
    parent: Int32
    built: IntArray


class Scratch(NamedTuple):
    """Room for one tree and one search.

    Attributes:
        stamp, node: [routers] last tree a router was put in, and where in it.
        router, parent: [longest room] the tree being grown.
        best: [routers] price from a cell of the rectangle to the destination.
        along_x: [routers] whether the first step from that cell goes along x.
        counts: trees grown so far; size of the present one.
    """

    stamp: IntArray
    node: IntArray
    router: Int32
    parent: Int32
    best: RealArray
    along_x: IntArray
    counts: IntArray


@inner_kernel
def price(links: Links, link: int, rate: float, scale: float, squarings: int) -> float:
    """What one more net of this rate on the link costs; never 0."""
    extra = rate * links.cycles[link]
    after = (links.busy[link] + extra) * scale
    before = links.busy[link] * scale
    for _ in range(squarings):
        after *= after
        before *= before
    return float((after - before + TINY * extra) * links.factor[link] + 1e-30)


@inlined
def _add(s: Scratch, router: int, parent: int) -> int:
    """Append a node to the tree being grown."""
    size = s.counts[1]
    s.router[size] = router
    s.parent[size] = parent
    s.stamp[router] = s.counts[0]
    s.node[router] = size
    s.counts[1] = size + 1
    return int(size)


@inner_kernel
def _walk(width: int, s: Scratch, root: int, goal: int, x_first: int) -> None:
    """Join the goal by the dimension-ordered path from the root."""
    here, at = root, 0
    while here != goal:
        dx, dy = goal % width - here % width, goal // width - here // width
        if dx != 0 and (x_first or dy == 0):
            step = here + (1 if dx > 0 else -1)
        else:
            step = here + (width if dy > 0 else -width)
        at = s.node[step] if s.stamp[step] == s.counts[0] else _add(s, step, at)
        here = step


@inner_kernel
def _search(
    links: Links, s: Scratch, origin: int, goal: int, rate: float, scale: float, squarings: int
) -> None:
    """Join the goal to the tree nodes between origin and goal by the cheapest shortest path.

    Cell (i, j) is i steps along x and j along y back from the goal towards the origin.
    """
    width, tree = links.width, s.counts[0]
    if s.stamp[goal] == tree:
        return
    nx, ny = origin % width - goal % width, origin // width - goal // width
    step_x, step_y = (1 if nx > 0 else -1), (width if ny > 0 else -width)
    # A packet travels against the steps of the search.
    link_x, link_y = (1 if nx > 0 else 0), (3 if ny > 0 else 2)
    nx, ny = abs(nx), abs(ny)
    found, at_i, at_j = NOWHERE, -1, -1
    for j in range(ny + 1):
        for i in range(nx + 1):
            cell = goal + i * step_x + j * step_y
            cost, along_x = NOWHERE, 1
            if i == 0 and j == 0:
                cost = 0.0
            if i > 0 and s.stamp[cell - step_x] != tree:
                cost = s.best[cell - step_x] + price(
                    links, cell * 4 + link_x, rate, scale, squarings
                )
            if j > 0 and s.stamp[cell - step_y] != tree:
                other = s.best[cell - step_y] + price(
                    links, cell * 4 + link_y, rate, scale, squarings
                )
                if other < cost:
                    cost, along_x = other, 0
            s.best[cell] = cost
            s.along_x[cell] = along_x
            if s.stamp[cell] == tree and cost < found:
                found, at_i, at_j = cost, i, j
    at = s.node[goal + at_i * step_x + at_j * step_y]
    while at_i > 0 or at_j > 0:
        if s.along_x[goal + at_i * step_x + at_j * step_y]:
            at_i -= 1
        else:
            at_j -= 1
        at = _add(s, goal + at_i * step_x + at_j * step_y, at)


@inlined
def _nearest(width: int, s: Scratch, goal: int) -> int:
    """The node of the present tree that is nearest to the goal."""
    result, least = s.router[0], NOWHERE
    for k in range(s.counts[1]):
        here = s.router[k]
        distance = abs(here % width - goal % width) + abs(here // width - goal // width)
        if distance < least:
            result, least = here, distance
    return int(result)


@inner_kernel
def _grow(
    links: Links, nets: Nets, s: Scratch, net: int, builder: int, scale: float, squarings: int
) -> float:
    """Grow a tree in the scratch room; returns its price."""
    width, root, rate = links.width, nets.root[net], nets.rate[net]
    s.counts[0] += 1
    s.counts[1] = 0
    _add(s, root, -1)
    for d in range(nets.ptr[net], nets.ptr[net + 1]):
        goal = nets.dest[d]
        dx, dy = goal % width - root % width, goal // width - root // width
        if builder == XY or (builder == WEST and dx < 0) or (builder == EAST and dx > 0):
            _walk(width, s, root, goal, 1)
        elif builder == YX or (builder == LOW and dy < 0) or (builder == HIGH and dy > 0):
            _walk(width, s, root, goal, 0)
        else:
            origin = _nearest(width, s, goal) if builder == ANY else root
            _search(links, s, origin, goal, rate, scale, squarings)
    total = 0.0
    for k in range(1, s.counts[1]):
        link = link_between(width, s.router[s.parent[k]], s.router[k])
        total += price(links, link, rate, scale, squarings)
    return total


@inner_kernel
def link_between(width: int, here: int, there: int) -> int:
    """Number of the link between two neighbours."""
    step = there - here
    if step == 1 and width > 1:
        return here * 4
    if step == -1 and width > 1:
        return here * 4 + 1
    return here * 4 + (2 if step > 0 else 3)


@inner_kernel
def _occupy(links: Links, nets: Nets, net: int, sign: float) -> None:
    """Add the net's present tree to the load, or take it away."""
    first = nets.room[net]
    for k in range(first + 1, first + nets.size[net]):
        link = link_between(links.width, nets.router[first + nets.parent[k]], nets.router[k])
        links.busy[link] += sign * nets.rate[net] * links.cycles[link]


@inner_kernel
def _settle(nets: Nets, s: Scratch, net: int, builder: int) -> None:
    """Make the tree in the scratch room the net's present one."""
    first = nets.room[net]
    nets.size[net] = s.counts[1]
    nets.built[net] = builder
    for k in range(s.counts[1]):
        nets.router[first + k] = s.router[k]
        nets.parent[first + k] = s.parent[k]


@lean_kernel
def start(links: Links, nets: Nets, s: Scratch, builder: int) -> None:
    """Give every net the tree of one builder, one after the other."""
    for net in range(nets.root.size):
        _grow(links, nets, s, net, builder, 1.0, 1)
        _settle(nets, s, net, builder)
        _occupy(links, nets, net, 1.0)


@lean_kernel
def improve(
    links: Links,
    nets: Nets,
    s: Scratch,
    order: IntArray,
    builders: IntArray,
    scale: float,
    squarings: int,
) -> int:
    """Grow every net anew in the given order; returns how many trees became cheaper."""
    changed = 0
    for net in order:
        _occupy(links, nets, net, -1.0)
        first, rate = nets.room[net], nets.rate[net]
        present = 0.0
        for k in range(first + 1, first + nets.size[net]):
            link = link_between(links.width, nets.router[first + nets.parent[k]], nets.router[k])
            present += price(links, link, rate, scale, squarings)
        before = present
        for b in range(builders.size):
            cost = _grow(links, nets, s, net, builders[b], scale, squarings)
            if cost < present * (1.0 - 1e-9):
                present = cost
                _settle(nets, s, net, builders[b])
        changed += 1 if present < before else 0
        _occupy(links, nets, net, 1.0)
    return changed


@lean_kernel
def redraw(
    links: Links,
    nets: Nets,
    s: Scratch,
    builder: int,
    scale: float,
    squarings: int,
    drawn: Nets,
) -> None:
    """Grow each net as if it alone were moved, into ``drawn``; the present trees stay."""
    for net in range(nets.root.size):
        _occupy(links, nets, net, -1.0)
        _grow(links, nets, s, net, builder, scale, squarings)
        _settle(drawn, s, net, builder)
        _occupy(links, nets, net, 1.0)


@lean_kernel
def deliver(nets: Nets, s: Scratch, dest_ptr: IntArray, dest: Int32, node: Int32) -> None:
    """Fill in the tree node at which every destination of every net is reached."""
    for net in range(nets.root.size):
        s.counts[0] += 1
        first = nets.room[net]
        for k in range(nets.size[net]):
            s.stamp[nets.router[first + k]] = s.counts[0]
            s.node[nets.router[first + k]] = k
        for d in range(dest_ptr[net], dest_ptr[net + 1]):
            node[d] = s.node[dest[d]]
