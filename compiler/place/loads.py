"""What the nets of a placement add up to: hops, loads of links, crossings; kept up under moves."""

from __future__ import annotations

from typing import NamedTuple

from snnc.compiler.geometry import Grid, advanced, first_step, offset
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import inner_kernel, lean_kernel

EDGES, HOPS, FAR, LINKS, CROSSED = range(5)
"""What is summed over nets: tree edges, hops of deliveries, both norms, packets between chips."""


class Machine(NamedTuple):
    """What the kernels know of nets and machine; ``neighbour`` is by router and direction."""

    net_core: IntArray
    dest_ptr: IntArray
    dest: IntArray
    weight: RealArray
    cycles: RealArray
    chip: IntArray
    grid: Grid
    neighbour: IntArray
    sides: int
    host: int
    y_first: int
    far_unit: float
    link_unit: float


@inner_kernel
def _twelfth(x: float) -> float:
    cube = x * x * x
    return (cube * cube) * (cube * cube)


@inner_kernel
def _link(
    m: Machine, rate: float, begin: int, direction: int, end: int, load: RealArray, sums: RealArray
) -> None:
    """A net's packets over one link, or off it where ``rate`` is negative."""
    link = m.sides * begin + direction
    old = load[link]
    new = old + rate * m.cycles[link]
    load[link] = new
    sums[LINKS] += _twelfth(new / m.link_unit) - _twelfth(old / m.link_unit)
    if m.chip[begin] != m.chip[end]:
        sums[CROSSED] += rate


@inner_kernel
def put(
    m: Machine, net: int, sign: float, router: IntArray, low: IntArray, high: IntArray,
    load: RealArray, sums: RealArray,
) -> int:  # fmt: skip
    """Add a net to the sums and loads (sign 1), or take it off (-1); returns its longest path.

    ``low`` and ``high`` are scratch per column (or per row where packets go along Y first), on a
    torus per router and the number of trees so far.
    """
    width = m.grid.width
    root = m.host if m.net_core[net] < 0 else router[m.net_core[net]]
    if m.grid.kind != 0:
        return _walked(m, net, root, sign, router, low, high, load, sums)
    # u is the axis along which packets go first.
    step_u, step_v, toward_u, toward_v = 1, width, 0, 2
    u0, v0 = root % width, root // width
    if m.y_first:
        step_u, step_v, toward_u, toward_v = width, 1, 2, 0
        u0, v0 = v0, u0
    begin, end = m.dest_ptr[net], m.dest_ptr[net + 1]
    left, right, longest = u0, u0, 0
    rate = sign * m.weight[net]
    for d in range(begin, end):
        r = router[m.dest[d]]
        u = r // width if m.y_first else r % width
        left = min(left, u)
        right = max(right, u)
    for u in range(left, right + 1):
        low[u] = v0
        high[u] = v0
    for d in range(begin, end):
        r = router[m.dest[d]]
        u, v = r % width, r // width
        if m.y_first:
            u, v = v, u
        low[u] = min(low[u], v)
        high[u] = max(high[u], v)
        hops = abs(u - u0) + abs(v - v0)
        longest = max(longest, hops)
        sums[HOPS] += rate * hops
        sums[FAR] += sign * _twelfth(hops / m.far_unit)
    edges = right - left
    at = v0 * step_v
    for u in range(u0, right):
        _link(m, rate, at + u * step_u, toward_u, at + (u + 1) * step_u, load, sums)
    for u in range(left, u0):
        _link(m, rate, at + (u + 1) * step_u, toward_u + 1, at + u * step_u, load, sums)
    for u in range(left, right + 1):
        edges += high[u] - low[u]
        at = u * step_u
        for v in range(v0, high[u]):
            _link(m, rate, at + v * step_v, toward_v, at + (v + 1) * step_v, load, sums)
        for v in range(low[u], v0):
            _link(m, rate, at + (v + 1) * step_v, toward_v + 1, at + v * step_v, load, sums)
    sums[EDGES] += rate * edges
    return longest


@inner_kernel
def _walked(
    m: Machine, net: int, root: int, sign: float, router: IntArray, stamp: IntArray,
    count: IntArray, load: RealArray, sums: RealArray,
) -> int:  # fmt: skip
    """As ``put`` on a torus, step by step; a router met before is not added again."""
    count[0] += 1
    tree, longest, rate = count[0], 0, sign * m.weight[net]
    stamp[root] = tree
    for d in range(m.dest_ptr[net], m.dest_ptr[net + 1]):
        here, goal, hops = root, router[m.dest[d]], 0
        diagonal, dx, dy = offset(m.grid, here, goal)
        while here != goal:
            along_x, along_y = first_step(diagonal, dx, dy, m.y_first)
            if diagonal != 0:
                diagonal -= along_x
            else:
                dx -= along_x
                dy -= along_y
            after = advanced(m.grid, here, along_x, along_y)
            hops += 1
            if stamp[after] != tree:
                stamp[after] = tree
                side = 0
                while m.neighbour[here * m.sides + side] != after:
                    side += 1
                sums[EDGES] += rate
                _link(m, rate, here, side, after, load, sums)
            here = after
        longest = max(longest, hops)
        sums[HOPS] += rate * hops
        sums[FAR] += sign * _twelfth(hops / m.far_unit)
    return longest


@lean_kernel
def measure(
    m: Machine, router: IntArray, low: IntArray, high: IntArray, load: RealArray, sums: RealArray
) -> int:
    """All nets onto empty loads and sums; returns the longest path."""
    longest = 0
    for net in range(m.net_core.size):
        longest = max(longest, put(m, net, 1.0, router, low, high, load, sums))
    return longest
