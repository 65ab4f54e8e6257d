"""Which nets share virtual channels: the fewest classes such that packets never wait in a circle.

All waits of the routes form one graph of places (``waits``); a net of class v causes its waits
between the v-th copies of the links.  A circle of waits lies within a strongly connected component
of that graph, so only nets with waits inside one have a choice to make.

CP-SAT chooses: Boolean "net n has class v" implies "wait d exists in class v", and every circle
found so far lacks one of its waits.  Circles are added as solutions show them (cutting planes),
in all classes they could occur in.  Beyond ``EXACT`` nets, and as the hint, nets are taken one by
one into the first class that stays without a circle.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from ortools.sat.python import cp_model
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from snnc.compiler.route.waits import Waits
from snnc.compiler.solver import new_solver
from snnc.ir.arrays import IntArray
from snnc.ir.jit import lean_kernel as kernel

EXACT = 300
"""Most nets for which CP-SAT decides."""
ROUNDS = 60
EFFORT = 2.0
"""CP-SAT's deterministic time per number of classes, in its units of roughly a second."""
CIRCLES_PER_ROUND = 40


@dataclass(frozen=True, eq=False)
class Lanes:
    """Classes of virtual channels.

    Attributes:
        lane: [nets] class of each net.
        classes: how many are used.
        fewest: proven that no fewer do, when whole nets are assigned.
        engine: "none needed", "CP-SAT", "first fit" or "by shape".
    """

    lane: IntArray
    classes: int
    fewest: bool
    engine: str


@dataclass(frozen=True, eq=False)
class Conflict:
    """The waits that could be on a circle.

    Attributes:
        nets: [choosers] nets with such waits.
        ptr, wait: [choosers + 1], [entries]: the waits of each.
        before, after: [waits] places.
        free: [waits] whether a wait exists whatever the classes (cores that refuse packets).
        port: [places] whether a place is a core's port, which has no classes.
    """

    nets: IntArray
    ptr: IntArray
    wait: IntArray
    before: IntArray
    after: IntArray
    free: IntArray
    port: IntArray


def assign(found: Waits, nets: int, most: int, seed: int = 0) -> Lanes | None:
    """Classes for all nets, at most ``most``; None when none were found.

    Args:
        found: the waits of the routes.
        nets: number of nets.
        most: virtual channels per link.
        seed: of CP-SAT.
    """
    conflict = conflict_of(found)
    if _circle_free(conflict, np.zeros(conflict.nets.size, np.int64), 1):
        return Lanes(np.zeros(nets, np.int64), 1, True, "none needed")
    greedy, needed = first_fit(conflict)
    exact = conflict.nets.size <= EXACT
    fewest = True
    for classes in range(2, min(most, needed) + 1):
        if exact and classes < needed:
            chosen, proven = _solve(conflict, classes, seed)
            if chosen is None:
                fewest &= proven
                continue
            return Lanes(_spread(conflict, chosen, nets), classes, fewest, "CP-SAT")
        if classes >= needed:
            # One class was not enough, so two are the fewest there can be.
            known = fewest and (exact or classes == 2)
            return Lanes(_spread(conflict, greedy, nets), classes, known, "first fit")
    return None


def _spread(conflict: Conflict, lane: IntArray, nets: int) -> IntArray:
    result = np.zeros(nets, np.int64)
    result[conflict.nets] = lane
    return result


def conflict_of(found: Waits) -> Conflict:
    """Reduce the waits to those inside strongly connected components."""
    places = np.unique(np.concatenate([found.before, found.after]))
    before, after = np.searchsorted(places, found.before), np.searchsorted(places, found.after)
    size = places.size
    if not size:
        none = np.zeros(0, np.int64)
        return Conflict(none, np.zeros(1, np.int64), none, none, none, none, none)
    graph = sparse.csr_array((np.ones(before.size), (before, after)), shape=(size, size))
    _, part = connected_components(graph, directed=True, connection="strong")
    inside = part[before] == part[after]
    before, after, net = before[inside], after[inside], found.net[inside]
    key, wait = np.unique(before * size + after, return_inverse=True)
    wait = wait.reshape(-1)
    free = np.zeros(key.size, np.int64)
    free[wait[net < 0]] = 1
    pairs = np.unique(net[net >= 0] * max(key.size, 1) + wait[net >= 0])
    owner, wait = pairs // max(key.size, 1), pairs % max(key.size, 1)
    nets = np.unique(owner)
    ptr = np.searchsorted(owner, np.append(nets, np.iinfo(np.int64).max))
    port = (places >= found.routers**2).astype(np.int64)
    return Conflict(nets, ptr, wait, key // size, key % size, free, port)


def _graph(conflict: Conflict, classes: int) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Waits by class as a graph: (first, wait, end vertex of each), and [waits, classes] begin."""
    has_lanes = (1 - conflict.port)[:, None] * np.arange(classes)
    begin = conflict.before[:, None] * classes + has_lanes[conflict.before]
    end = conflict.after[:, None] * classes + has_lanes[conflict.after]
    vertices = conflict.port.size * classes
    order = np.argsort(begin.reshape(-1), kind="stable")
    first = np.searchsorted(begin.reshape(-1)[order], np.arange(vertices + 1))
    return first, order, end.reshape(-1)[order], begin


def _active(conflict: Conflict, lane: IntArray, classes: int) -> IntArray:
    """[waits * classes] whether some net causes a wait in a class."""
    active = np.repeat(conflict.free, classes)
    whose = np.repeat(lane, np.diff(conflict.ptr))
    active[conflict.wait * classes + whose] = 1
    return active


def _circle_free(conflict: Conflict, lane: IntArray, classes: int) -> bool:
    return not circles(conflict, lane, classes, 1)


def circles(conflict: Conflict, lane: IntArray, classes: int, most: int) -> list[IntArray]:
    """Short circles of active waits, each as entries ``wait * classes + class``; [] if none."""
    first, entry, end, _ = _graph(conflict, classes)
    on = _active(conflict, lane, classes)[entry] > 0
    vertices = conflict.port.size * classes
    source = np.repeat(np.arange(vertices), np.diff(first))
    graph = sparse.csr_array((np.ones(on.sum()), (source[on], end[on])), shape=(vertices, vertices))
    _, part = connected_components(graph, directed=True, connection="strong")
    inside = on & (part[source] == part[end])
    starts = np.unique(source[inside])
    found: dict[tuple[int, ...], IntArray] = {}
    ptr = np.searchsorted(source[inside], np.arange(vertices + 1))
    heads, names = end[inside], entry[inside]
    for vertex in starts[:: max(1, starts.size // most)].tolist():
        circle = _shortest_circle(ptr, heads, names, vertex)
        found.setdefault(tuple(sorted(circle)), np.array(circle))
        if len(found) >= most:
            break
    return list(found.values())


def _shortest_circle(ptr: IntArray, heads: IntArray, names: IntArray, begin: int) -> list[int]:
    """Breadth-first from a vertex of a strongly connected component back to itself."""
    came: dict[int, tuple[int, int]] = {}
    queue = deque([begin])
    while queue:
        here = queue.popleft()
        for k in range(int(ptr[here]), int(ptr[here + 1])):
            there = int(heads[k])
            if there == begin:
                path = [int(names[k])]
                while here != begin:
                    here, name = came[here]
                    path.append(name)
                return path[::-1]
            if there not in came:
                came[there] = (here, int(names[k]))
                queue.append(there)
    raise AssertionError("a strongly connected component without a circle")


def _solve(conflict: Conflict, classes: int, seed: int) -> tuple[IntArray | None, bool]:
    """(classes of the choosers or None, whether None is proven)."""
    model = cp_model.CpModel()
    size = conflict.nets.size
    own = [[model.new_bool_var("") for _ in range(classes)] for _ in range(size)]
    has: dict[int, cp_model.IntVar] = {}
    for n in range(size):
        model.add_exactly_one(own[n])
        for wait in conflict.wait[conflict.ptr[n] : conflict.ptr[n + 1]].tolist():
            for v in range(classes):
                entry = wait * classes + v
                if entry not in has:
                    has[entry] = model.new_bool_var("")
                model.add_implication(own[n][v], has[entry])
    model.add(own[0][0] == 1)
    solver = new_solver(seed)
    left = EFFORT
    for _ in range(ROUNDS):
        solver.parameters.max_deterministic_time = left
        status = solver.solve(model)
        left -= solver.response_proto.deterministic_time
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return None, status == cp_model.INFEASIBLE
        lane = np.array([[solver.value(x) for x in row] for row in own]).argmax(axis=1)
        found = circles(conflict, lane, classes, CIRCLES_PER_ROUND)
        if not found:
            return lane, True
        if left <= 0:
            break
        for circle in found:
            for copy in _copies(conflict, circle, classes):
                # Waits that exist anyway, whatever the classes, cannot be given up.
                choosable = [has[e] for e in copy if not conflict.free[e // classes]]
                model.add_bool_or([x.negated() for x in choosable])
    return None, False


def _copies(conflict: Conflict, circle: IntArray, classes: int) -> list[list[int]]:
    """The same circle with its classes permuted."""
    wait, lane = circle // classes, circle % classes
    used = np.unique(lane[conflict.free[wait] == 0])
    result = []
    for image in permutations(range(classes), used.size) if used.size < 4 else [tuple(used)]:
        renamed = np.zeros(classes, np.int64)
        renamed[used] = image
        result.append((wait * classes + renamed[lane]).tolist())
    return result


def first_fit(conflict: Conflict) -> tuple[IntArray, int]:
    """(class of every chooser, number of classes): those with most waits first."""
    size = conflict.nets.size
    # As many classes as choosers always do, but nobody has more than a few.
    classes = min(16, size)
    first, entry, end, begin = _graph(conflict, classes)
    place = np.zeros(entry.size, np.int64)
    place[entry] = np.arange(entry.size)
    active = np.repeat(conflict.free, classes)[entry]
    order = np.argsort(-np.diff(conflict.ptr), kind="stable")
    lane = np.zeros(size, np.int64)
    mark, stack = np.zeros(first.size, np.int64), np.zeros(first.size, np.int64)
    needed = _take_all(
        order, conflict.ptr, conflict.wait, begin.reshape(-1), first, end, place, active, mark,
        stack, np.zeros(first.size, np.int64), lane, classes,
    )  # fmt: skip
    return lane, needed


@kernel
def _take_all(
    order: IntArray,
    ptr: IntArray,
    wait: IntArray,
    begin: IntArray,
    first: IntArray,
    end: IntArray,
    place: IntArray,
    active: IntArray,
    mark: IntArray,
    stack: IntArray,
    cursor: IntArray,
    lane: IntArray,
    classes: int,
) -> int:
    """First fit; returns the classes used, more than ``classes`` when they do not suffice.

    ``active`` counts the nets that cause a wait; a new wait closes a circle when its end reaches
    its begin.
    """
    needed, visit = 1, 0
    for n in order:
        taken = -1
        for v in range(classes):
            for k in range(ptr[n], ptr[n + 1]):
                active[place[wait[k] * classes + v]] += 1
            circular = False
            for k in range(ptr[n], ptr[n + 1]):
                entry = wait[k] * classes + v
                if active[place[entry]] > 1 or circular:
                    continue
                # Depth first from the end of the new wait.
                visit += 1
                goal, depth = begin[entry], 1
                stack[0] = end[place[entry]]
                circular = stack[0] == goal
                mark[stack[0]] = visit
                cursor[stack[0]] = first[stack[0]]
                while depth > 0 and not circular:
                    here = stack[depth - 1]
                    if cursor[here] == first[here + 1]:
                        depth -= 1
                        continue
                    edge = cursor[here]
                    cursor[here] += 1
                    there = end[edge]
                    if active[edge] == 0 or mark[there] == visit:
                        continue
                    circular = there == goal
                    mark[there] = visit
                    cursor[there] = first[there]
                    stack[depth] = there
                    depth += 1
            if not circular:
                taken = v
                break
            for k in range(ptr[n], ptr[n + 1]):
                active[place[wait[k] * classes + v]] -= 1
        if taken < 0:
            return classes + 1
        lane[n] = taken
        needed = max(needed, taken + 1)
    return needed
