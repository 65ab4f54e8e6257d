"""Routes on a torus without virtual channels: which nets may cross the joined sides.

Around a torus links form rings, and packets that follow each other round one wait in a circle.
Trees that never cross the joined sides, in dimension order, cannot: their links can be numbered by
dimension, then along it.  So all nets begin with such a tree, and one by one, those that win most
hops first, they are given the tree they would like to have if no circle of waits comes of it.  At
the end no net could be given its tree without a circle, and there is none (Dally & Seitz, IEEE ToC
36(5), 1987: an acyclic graph of waits is enough).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnc.compiler.route.waits import waits
from snnc.ir.arrays import AnyArray, IntArray, RealArray
from snnc.ir.deployment import RouteTables
from snnc.ir.jit import inner_kernel, lean_kernel
from snnc.ir.topology import Mesh


def settle(
    wanted: RouteTables, within: RouteTables, rate: RealArray, mesh: Mesh
) -> tuple[RouteTables, AnyArray]:
    """(trees without a circle of waits, bool [nets] whether a net has the tree it wanted).

    Args:
        wanted: the trees of choice.
        within: trees of the same nets in dimension order that never cross the joined sides.
        rate: [nets] packets per sample.
        mesh: the torus.
    """
    saved = (np.diff(within.branch_ptr) - np.diff(wanted.branch_ptr)) * rate
    order = np.lexsort((-rate, -saved))
    sides, links = mesh.sides, mesh.routers * mesh.sides
    kept = np.zeros(wanted.nets, np.int64)
    _keep_all(
        order, *_turns(within, mesh), *_turns(wanted, mesh), mesh.neighbours.reshape(-1), sides,
        np.zeros(links * sides, np.int64), np.zeros(links, np.int64), np.zeros(links, np.int64),
        kept,
    )  # fmt: skip
    return picked(wanted, within, kept > 0), kept > 0


def _turns(tables: RouteTables, mesh: Mesh) -> tuple[IntArray, IntArray]:
    """[nets + 1], [waits]: by net, ``link * sides + direction of the next link``."""
    found = waits(tables, mesh.routers, False)
    begin, middle = found.before // mesh.routers, found.before % mesh.routers
    link = begin * mesh.sides + mesh.direction(begin, middle)
    turn = link * mesh.sides + mesh.direction(middle, found.after % mesh.routers)
    order = np.argsort(found.net, kind="stable")
    ptr = np.searchsorted(found.net[order], np.arange(tables.nets + 1))
    return ptr, turn[order]


@lean_kernel
def _keep_all(
    order: IntArray,
    within_ptr: IntArray,
    within: IntArray,
    wanted_ptr: IntArray,
    wanted: IntArray,
    there: IntArray,
    sides: int,
    active: IntArray,
    mark: IntArray,
    stack: IntArray,
    kept: IntArray,
) -> None:
    """``active`` counts the nets that wait at a turn; ``mark`` and ``stack`` are scratch, zero."""
    for turn in within:
        active[turn] += 1
    visit = 0
    for net in order:
        for k in range(within_ptr[net], within_ptr[net + 1]):
            active[within[k]] -= 1
        for k in range(wanted_ptr[net], wanted_ptr[net + 1]):
            active[wanted[k]] += 1
        circular = False
        for k in range(wanted_ptr[net], wanted_ptr[net + 1]):
            if active[wanted[k]] == 1 and not circular:
                visit += 1
                circular = _returns(wanted[k], there, sides, active, mark, stack, visit)
        if not circular:
            kept[net] = 1
            continue
        for k in range(wanted_ptr[net], wanted_ptr[net + 1]):
            active[wanted[k]] -= 1
        for k in range(within_ptr[net], within_ptr[net + 1]):
            active[within[k]] += 1


@inner_kernel
def _returns(
    turn: int,
    there: IntArray,
    sides: int,
    active: IntArray,
    mark: IntArray,
    stack: IntArray,
    visit: int,
) -> bool:
    """Whether waits lead from the link after the turn back to the one before it."""
    goal = turn // sides
    first = there[goal] * sides + turn % sides
    if first == goal:
        return True
    depth = 1
    stack[0] = first
    mark[first] = visit
    while depth > 0:
        depth -= 1
        link = stack[depth]
        for side in range(sides):
            if active[link * sides + side] > 0:
                following = there[link] * sides + side
                if following == goal:
                    return True
                if mark[following] != visit:
                    mark[following] = visit
                    stack[depth] = following
                    depth += 1
    return False


def picked(a: RouteTables, b: RouteTables, first: AnyArray) -> RouteTables:
    """The tree of ``a`` for the nets of ``first``, of ``b`` for the others."""
    size = np.where(first, np.diff(a.branch_ptr), np.diff(b.branch_ptr))
    ptr = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    begin = np.where(first, a.branch_ptr[:-1], a.branch_router.size + b.branch_ptr[:-1])
    place = np.repeat(begin - ptr[:-1], size) + np.arange(ptr[-1])
    net = np.repeat(first, np.diff(a.delivery_ptr))
    return replace(
        a,
        branch_ptr=ptr,
        branch_router=np.concatenate([a.branch_router, b.branch_router])[place],
        branch_parent=np.concatenate([a.branch_parent, b.branch_parent])[place],
        branch_lane=np.zeros(0, np.int8),
        delivery_branch=np.where(net, a.delivery_branch, b.delivery_branch),
    )
