"""Placement by CP-SAT: optimal, or the best found with a proven bound, for few cores."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ortools.sat.python import cp_model

from snnc.compiler.geometry import path
from snnc.compiler.place.anneal import cost_of
from snnc.compiler.place.problem import Problem
from snnc.compiler.place.watch import Watch
from snnc.compiler.place.zones import settled
from snnc.compiler.solver import new_solver
from snnc.ir.arrays import IntArray

BoolArray = npt.NDArray[np.bool_]
LARGEST_COEFFICIENT = 1_000_000


@dataclass(frozen=True, eq=False)
class Solved:
    """A placement, its cost, and a bound no placement can beat."""

    site: IntArray
    cost: float
    bound: float


def model_size(problem: Problem) -> int:
    """Constraints the model would have, roughly."""
    if problem.sites.mesh.wraps:
        used = int((problem.sites.room > 0).sum())
        return used * int((np.diff(problem.dest_ptr) > 1).sum() + problem.dest.size * used)
    height = problem.sites.routers // problem.sites.width
    per_tree = 2 * problem.sites.width * height
    sizes = np.diff(problem.dest_ptr)
    trees = int(sizes[sizes > 1].sum()) * per_tree
    return trees + int(problem.dest.size) * 4 + problem.cores * problem.sites.routers


def solve(
    problem: Problem, start: IntArray, bound: float, effort: float, seed: int, watch: Watch
) -> Solved:
    """Improve a placement to the proven optimum, as far as the effort goes.

    Args:
        problem: what to place.
        start: sites to start from.
        bound: a known lower bound, added to the model.
        effort: deterministic time of the solver; equal efforts give equal results.
        seed: of the solver.
        watch: time limit behind the effort, and interrupt.
    """
    top = float(problem.weight.max(initial=0.0))
    if top == 0.0:
        return Solved(start, 0.0, 0.0)
    if watch.due():
        return Solved(start, cost_of(problem, start), bound)
    exact = bool((problem.weight == np.round(problem.weight)).all()) and top <= LARGEST_COEFFICIENT
    scale = 1.0 if exact else LARGEST_COEFFICIENT / top
    weight = np.floor(problem.weight * scale + (0.0 if not exact else 0.5)).astype(np.int64)
    model = cp_model.CpModel()
    at = _Positions(model, problem, start)
    terms = [(int(w), hops) for w, hops in zip(weight, _net_hops(model, problem, at), strict=True)]
    objective = sum(w * hops for w, hops in terms if w)
    model.add(objective >= int(np.ceil(bound * scale - 1e-6)) - (0 if exact else weight.size))
    model.minimize(objective)
    solver = new_solver(seed)
    solver.parameters.max_deterministic_time = effort
    solver.parameters.max_time_in_seconds = max(watch.left_s, 1e-3)
    status = _solved(solver, model, watch)
    proven = max(bound, solver.best_objective_bound / scale)
    cost = cost_of(problem, start)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        site = at.sites(solver)
        if cost_of(problem, site) < cost:
            start, cost = site, cost_of(problem, site)
    return Solved(start, cost, min(proven, cost))


def _solved(solver: cp_model.CpSolver, model: cp_model.CpModel, watch: Watch) -> Any:
    """Status of the solver, which works in a thread so that Ctrl-C reaches Python meanwhile."""
    status: list[Any] = []
    worker = threading.Thread(target=lambda: status.append(solver.solve(model)))
    worker.start()
    while worker.is_alive():
        worker.join(0.05)
        if watch.due():
            solver.stop_search()
    return status[0]


class _Positions:
    """Router of every core as one-hot Booleans and coordinates; the host port is fixed."""

    def __init__(self, model: cp_model.CpModel, problem: Problem, start: IntArray) -> None:
        self.problem = problem
        self.used = np.flatnonzero(problem.sites.room)
        self.here = [[model.new_bool_var("") for _ in self.used] for _ in range(problem.cores)]
        hint = problem.sites.router[start]
        for core, row in enumerate(self.here):
            model.add_exactly_one(row)
            for router, variable in zip(self.used, row, strict=True):
                model.add_hint(variable, bool(hint[core] == router))
        if problem.zones is not None:
            for core in problem.zones.held:
                allowed = problem.zones.allowed[problem.zones.zone[core]]
                near = set(problem.sites.router[allowed].tolist())
                for router, variable in zip(self.used, self.here[core], strict=True):
                    if int(router) not in near:
                        model.add(variable == 0)
        for k, router in enumerate(self.used):
            model.add(sum(row[k] for row in self.here) <= int(problem.sites.room[router]))

    def count(self, core: int, inside: BoolArray) -> Any:
        """1 when the core sits on one of the routers ``inside`` [used routers, Boolean]."""
        if core < 0:
            return int(inside[np.searchsorted(self.used, self.problem.host)])
        return sum(v for v, yes in zip(self.here[core], inside, strict=True) if yes)

    def axis(self, core: int, values: IntArray) -> Any:
        """A coordinate of the core; ``values`` is it per used router."""
        return sum(int(v) * x for v, x in zip(values, self.here[core], strict=True))

    def sites(self, solver: cp_model.CpSolver) -> IntArray:
        """Sites of a solution: routers, then the free slots there in order."""
        free = {int(r): np.flatnonzero(self.problem.sites.router == r).tolist() for r in self.used}
        chosen = [
            self.used[next(k for k, v in enumerate(row) if solver.boolean_value(v))]
            for row in self.here
        ]
        site = np.array([free[int(router)].pop(0) for router in chosen], np.int64)
        # Routers are right; within one, a pin to a slot may ask for a swap.
        return settled(self.problem.zones, self.problem.sites.xy, site)


def _net_hops(model: cp_model.CpModel, problem: Problem, at: _Positions) -> list[Any]:
    hops = []
    for net, sender in enumerate(problem.net_core):
        dests = problem.dest[problem.dest_ptr[net] : problem.dest_ptr[net + 1]]
        away = [int(d) for d in dests if d != sender]
        if len(away) <= 1:
            hops.append(sum(_distance(model, problem, at, int(sender), d) for d in away))
        else:
            hops.append(_tree(model, problem, at, int(sender), away))
    return hops


def _distance(model: cp_model.CpModel, problem: Problem, at: _Positions, a: int, b: int) -> Any:
    width = problem.sites.width
    if problem.sites.mesh.wraps:
        return _table_distance(model, problem, at, a, b)
    total: Any = 0
    for values, host in (
        (at.used % width, problem.host % width),
        (at.used // width, problem.host // width),
    ):
        gap = model.new_int_var(0, int(max(values.max(), host)), "")
        first = host if a < 0 else at.axis(a, values)
        model.add(gap >= first - at.axis(b, values))
        model.add(gap >= at.axis(b, values) - first)
        total = total + gap
    return total


def _tree(
    model: cp_model.CpModel, problem: Problem, at: _Positions, sender: int, dests: list[int]
) -> Any:
    """Edges of an XY tree: a channel is used when root and some destination lie on its two sides.

    Horizontally the row does not matter, vertically the column is the destination's.
    """
    if problem.sites.mesh.wraps:
        return _table_tree(model, problem, at, sender, dests)
    width = problem.sites.width
    height = problem.sites.routers // width
    x, y = at.used % width, at.used // width
    host = (problem.host % width, problem.host // width)
    sides = [((x <= k), (x > k), host[0] <= k) for k in range(width - 1)]
    edges: list[Any] = []
    for low, high, host_low in sides:
        for near, far, host_near in ((low, high, host_low), (high, low, not host_low)):
            root = int(host_near) if sender < 0 else at.count(sender, near)
            edges.append(_used(model, root, [at.count(d, far) for d in dests]))
    for column in range(width):
        for k in range(height - 1):
            for upward in (True, False):
                near, far = (y <= k, y > k) if upward else (y > k, y <= k)
                host_near = (host[1] <= k) == upward
                root = int(host_near) if sender < 0 else at.count(sender, near)
                inside = far & (x == column)
                edges.append(_used(model, root, [at.count(d, inside) for d in dests]))
    return sum(edges)


def _table_distance(
    model: cp_model.CpModel, problem: Problem, at: _Positions, a: int, b: int
) -> Any:
    """Distances from a table: at least those from the router where ``a`` is."""
    table = problem.sites.mesh.distance(at.used[:, None], at.used[None])
    if a < 0:
        return at.axis(b, problem.sites.mesh.distance(np.array(problem.host), at.used))
    most = int(table.max())
    gap = model.new_int_var(0, most, "")
    for row, here in zip(table, at.here[a], strict=True):
        model.add(gap >= at.axis(b, row)).only_enforce_if(here)
    return gap


def _table_tree(
    model: cp_model.CpModel, problem: Problem, at: _Positions, sender: int, dests: list[int]
) -> Any:
    """Routers, but the root, that lie on a path in dimension order to some destination."""
    mesh = problem.sites.mesh
    roots = np.array([problem.host]) if sender < 0 else at.used
    on_path = np.zeros((roots.size, at.used.size, mesh.routers), np.bool_)
    for k, root in enumerate(roots.tolist()):
        for j, goal in enumerate(at.used.tolist()):
            on_path[k, j, path(mesh, root, goal)] = True
    edges: list[Any] = []
    for router in range(mesh.routers):
        edge = model.new_bool_var("")
        for k, root in enumerate(roots.tolist()):
            inside = on_path[k, :, router]
            if root == router or not inside.any():
                continue
            here = 1 if sender < 0 else at.here[sender][k]
            for dest in dests:
                model.add(edge >= here + at.count(dest, inside) - 1)
        edges.append(edge)
    return sum(edges)


def _used(model: cp_model.CpModel, root: Any, far: list[Any]) -> Any:
    edge = model.new_bool_var("")
    for term in far:
        model.add(edge >= root + term - 1)
    return edge
