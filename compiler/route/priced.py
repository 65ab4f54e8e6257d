"""Trees along the cheapest links: one net is taken out and grown again under the others' load.

Links are numbered ``router * sides + direction`` (``ir.topology.DIRECTIONS``).  What a link costs
a net is how much the sum over links of (busy time / scale) ** power would rise, times a factor per
link, plus a little for the hop itself; lowering that sum at a high power flattens the busiest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from snnc.compiler.geometry import Grid, advanced, first_step, hops, offset
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import inlined, inner_kernel, lean_kernel

BUILDERS = (
    "xy", "yx", "minimal", "any", "west first", "east first", "low first", "high first",
    "unwrapped",
)  # fmt: skip
"""How a tree may be grown.  The four last but one are minimal too, but packets to the west (east,
smaller y, larger y) go there first, so that two of the eight turns never occur (Glass & Ni, ISCA
1992).  "unwrapped": as xy, but never across the joined sides of a torus."""
XY, YX, MINIMAL, ANY, WEST, EAST, LOW, HIGH, WITHIN = range(9)
TINY = 1e-4
NOWHERE = 1e300
Int32 = npt.NDArray[np.int32]


class Links(NamedTuple):
    """The mesh and what its links carry.

    Attributes:
        grid, within: the routers; and with paths that never cross joined sides.
        sides: directions of a router.
        there: [links] router at which a link ends, -1: no link.
        cycles: [links] cycles a packet occupies a link.
        busy: [links] cycles per sample, of all nets' present trees.
        factor: [links] multiplies prices; 1 unless somebody perturbs them.
    """

    grid: Grid
    within: Grid
    sides: int
    there: IntArray
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
        best: [routers] price from a cell of the parallelogram to the destination.
        step: [routers] link of the first step from that cell, -1: none.
        counts: trees grown so far; size of the present one.
    """

    stamp: IntArray
    node: IntArray
    router: Int32
    parent: Int32
    best: RealArray
    step: IntArray
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


@inner_kernel
def link_between(links: Links, here: int, there: int) -> int:
    """Number of the link between two neighbours."""
    link = here * links.sides
    while links.there[link] != there:
        link += 1
    return int(link)


@inlined
def _side(along_x: int, along_y: int) -> int:
    """Number of a direction, see ``ir.topology.DIRECTIONS``."""
    back = 1 if along_x + along_y < 0 else 0
    if along_x != 0 and along_y != 0:
        return 4 + back
    return back if along_x != 0 else 2 + back


@inlined
def _link(links: Links, here: int, side: int, there: int) -> int:
    """As ``link_between``; the direction is known, but on a narrow torus another one may do."""
    link = here * links.sides + side
    return link if links.there[link] == there else link_between(links, here, there)


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
def _walk(grid: Grid, s: Scratch, root: int, goal: int, y_first: int) -> None:
    """Join the goal by the dimension-ordered path from the root."""
    here, at = root, 0
    diagonal, dx, dy = offset(grid, root, goal)
    while here != goal:
        along_x, along_y = first_step(diagonal, dx, dy, y_first)
        if diagonal != 0:
            diagonal -= along_x
        else:
            dx -= along_x
            dy -= along_y
        step = advanced(grid, here, along_x, along_y)
        at = s.node[step] if s.stamp[step] == s.counts[0] else _add(s, step, at)
        here = step


@inner_kernel
def _search(
    links: Links, s: Scratch, origin: int, goal: int, rate: float, scale: float, squarings: int
) -> None:
    """Join the goal to the tree nodes between origin and goal by the cheapest shortest path.

    Shortest paths take steps of two kinds, a and b.  Cell (i, j) is i steps of kind a and j of
    kind b back from the goal towards the origin.
    """
    grid, tree = links.grid, s.counts[0]
    if s.stamp[goal] == tree:
        return
    diagonal, dx, dy = offset(grid, origin, goal)
    ax, ay, count_a, bx, by, count_b = (
        1 if dx > 0 else -1,
        0,
        abs(dx),
        0,
        1 if dy > 0 else -1,
        abs(dy),
    )
    if diagonal != 0 and dx != 0:
        bx = by = 1 if diagonal > 0 else -1
        count_b = abs(diagonal)
    elif diagonal != 0:
        ax = ay = 1 if diagonal > 0 else -1
        count_a = abs(diagonal)
    side_a, side_b = _side(ax, ay), _side(bx, by)
    found, at = NOWHERE, -1
    row = goal
    for j in range(count_b + 1):
        cell = row
        for i in range(count_a + 1):
            cost, step = (0.0 if cell == goal else NOWHERE), -1
            if i > 0:
                following = advanced(grid, cell, ax, ay)
                if s.stamp[following] != tree:
                    step = _link(links, cell, side_a, following)
                    cost = s.best[following] + price(links, step, rate, scale, squarings)
            if j > 0:
                following = advanced(grid, cell, bx, by)
                if s.stamp[following] != tree:
                    other = _link(links, cell, side_b, following)
                    dear = s.best[following] + price(links, other, rate, scale, squarings)
                    if dear < cost:
                        cost, step = dear, other
            s.best[cell] = cost
            s.step[cell] = step
            if s.stamp[cell] == tree and cost < found:
                found, at = cost, cell
            if i < count_a:
                cell = advanced(grid, cell, -ax, -ay)
        if j < count_b:
            row = advanced(grid, row, -bx, -by)
    node = s.node[at]
    while at != goal:
        at = links.there[s.step[at]]
        node = _add(s, at, node)


@inlined
def _nearest(grid: Grid, s: Scratch, goal: int) -> int:
    """The node of the present tree that is nearest to the goal."""
    result, least = s.router[0], NOWHERE
    for k in range(s.counts[1]):
        here = s.router[k]
        distance = hops(grid, here, goal)
        if distance < least:
            result, least = here, distance
    return int(result)


@inner_kernel
def _grow(
    links: Links, nets: Nets, s: Scratch, net: int, builder: int, scale: float, squarings: int
) -> float:
    """Grow a tree in the scratch room; returns its price."""
    grid, root, rate = links.grid, nets.root[net], nets.rate[net]
    s.counts[0] += 1
    s.counts[1] = 0
    _add(s, root, -1)
    for d in range(nets.ptr[net], nets.ptr[net + 1]):
        goal = nets.dest[d]
        _, dx, dy = offset(grid, root, goal)
        if builder == WITHIN:
            _walk(links.within, s, root, goal, 0)
        elif builder == XY or (builder == WEST and dx < 0) or (builder == EAST and dx > 0):
            _walk(grid, s, root, goal, 0)
        elif builder == YX or (builder == LOW and dy < 0) or (builder == HIGH and dy > 0):
            _walk(grid, s, root, goal, 1)
        else:
            origin = _nearest(grid, s, goal) if builder == ANY else root
            _search(links, s, origin, goal, rate, scale, squarings)
    total = 0.0
    for k in range(1, s.counts[1]):
        link = link_between(links, s.router[s.parent[k]], s.router[k])
        total += price(links, link, rate, scale, squarings)
    return total


@inner_kernel
def _occupy(links: Links, nets: Nets, net: int, sign: float) -> None:
    """Add the net's present tree to the load, or take it away."""
    first = nets.room[net]
    for k in range(first + 1, first + nets.size[net]):
        link = link_between(links, nets.router[first + nets.parent[k]], nets.router[k])
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
            link = link_between(links, nets.router[first + nets.parent[k]], nets.router[k])
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
