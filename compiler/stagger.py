"""Injection offsets: when in a tick each core begins its sweep, so that bursts do not coincide.

All cores begin a tick together, so their packets meet on the links and at the cores that listen to
several of them.  A core that is done long before the slowest may begin later without making the
tick longer.  Expected packets, from measured rates, are spread evenly over each sweep; time is cut
into bins; the starts are chosen to lower the sum over (link or core, bin) of utilisation ** 4, core
by core until nothing improves, and for few cores CP-SAT then lowers the largest utilisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ortools.sat.python import cp_model

from snnc.compiler.estimate import packets_per_net, rate_vector
from snnc.compiler.route.links import link_cycles
from snnc.compiler.solver import new_solver
from snnc.compiler.stagger_kernels import LEVELS, Rows, add_core, add_cores, settle
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.deployment import Deployment
from snnc.ir.target import EventKind, Target

BINS = 64
EXACT = 10
"""Most cores that may move for which CP-SAT is asked."""
EXACT_LEVELS = 6
MARGIN = 0.9
"""Share of a fixed tick that expected work may fill."""


@dataclass(frozen=True, eq=False)
class Load:
    """What cores send in one tick, on average.

    Attributes:
        sweep: [cores] cycles of a sweep.
        finish: [cores] cycles from the sweep's begin until the last of its packets is accumulated
            by cores that do nothing else.
        work: cycles of the core that accumulates longest.
        ptr: [cores + 1] slice of the rows below: what the core's packets pass.
        place: [rows] link or, after all links, core.
        busy: [rows] cycles they occupy it.
        delay: [rows] cycles after the sweep's begin at which the first of them is there.
        places: links and cores.
    """

    sweep: RealArray
    finish: RealArray
    work: float
    ptr: IntArray
    place: IntArray
    busy: RealArray
    delay: RealArray
    places: int


def stagger(
    deployment: Deployment, rates: Mapping[str, RealArray], seed: int = 0
) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Starts of all cores in cycles, and what is expected of them.

    Args:
        deployment: placed and routed.
        rates: packets per sample of every element, by input or population.
        seed: of CP-SAT.
    """
    load = expected(deployment, rates)
    horizon = _horizon(load, deployment.target)
    slack = np.maximum(0.0, horizon - load.finish)
    sends = np.diff(load.ptr) > 0
    slack[~sends] = 0.0
    start = np.zeros(slack.size)
    bins = _Bins(load, horizon)
    before = bins.utilisation(start)
    start = _descend(bins, start, slack)
    engine = "descent"
    movable = np.flatnonzero(slack >= 1.0)
    if 0 < movable.size <= EXACT:
        better = _exact(bins, start, slack, movable, seed)
        if better is not None:
            start, engine = better, "CP-SAT"
    whole = np.floor(start).astype(np.int64)
    after = bins.utilisation(whole.astype(np.float64))
    if after.max(initial=0.0) > before.max(initial=0.0):
        whole[:] = 0
        after = before
    return tuple(whole.tolist()), {
        "engine": engine,
        "cores_moved": int((whole > 0).sum()),
        "latest_start_cycles": int(whole.max(initial=0)),
        "horizon_cycles": float(horizon),
        "expected_peak_utilisation": [float(before.max(initial=0)), float(after.max(initial=0))],
    }


def expected(deployment: Deployment, rates: Mapping[str, RealArray]) -> Load:
    """Average packets per tick of every core, and how long they take."""
    target, routes, cores = deployment.target, deployment.routes, deployment.cores
    vector = rate_vector(deployment, rates) / deployment.schedule.timesteps
    packets = packets_per_net(deployment, vector)
    access, update = _cycles(target, "neuron_access"), _cycles(target, "neuron_update")
    spike, out = _cycles(target, "spike_generate"), _cycles(target, "message_out")
    into = _cycles(target, "message_in")
    owner = np.repeat(np.arange(cores.count), np.diff(cores.neuron_ptr))
    fired = _sum(owner, vector[cores.neuron_source], cores.count)
    own = routes.net_core >= 0
    sent = _sum(routes.net_core[own], packets[own], cores.count)
    sweep = np.diff(cores.neuron_ptr) * (access + update) + fired * spike + sent * out
    # What cores accumulate, and what one packet costs them on average.
    row = np.array([_cycles(target, f"synapse_op_{name}") for name in target.core.encodings])  # type: ignore[arg-type]
    per_axon = vector[cores.axon_source] * cores.rows.lengths * row[cores.axon_encoding]
    of = np.repeat(np.arange(routes.nets), np.diff(routes.delivery_ptr))
    arriving = _sum(routes.delivery_core, packets[of], cores.count)
    axon_core = np.repeat(np.arange(cores.count), np.diff(cores.axon_ptr))
    work = arriving * into + _sum(axon_core, per_axon, cores.count)
    service = np.divide(work, arriving, out=np.zeros(cores.count), where=arriving > 0)
    return _rows(deployment, packets, sweep, work, service)


def _rows(
    deployment: Deployment,
    packets: RealArray,
    sweep: RealArray,
    work: RealArray,
    service: RealArray,
) -> Load:
    routes, mesh, target = deployment.routes, deployment.mesh, deployment.target
    net = np.repeat(np.arange(routes.nets), np.diff(routes.branch_ptr))
    parent = np.where(routes.branch_parent < 0, -1, routes.branch_ptr[net] + routes.branch_parent)
    hop = max(1.0, _cycles(target, "hop_ew"), _cycles(target, "hop_ns"))
    depth = np.zeros(net.size)
    above = parent.astype(np.int64)
    while (above >= 0).any():
        depth += above >= 0
        above = np.where(above >= 0, parent[above], -1)
    inner = np.flatnonzero((parent >= 0) & (packets[net] > 0))
    begin = routes.branch_router[parent[inner]].astype(np.int64)
    side = mesh.direction(begin, routes.branch_router[inner])
    links = mesh.sides * mesh.routers
    cycles = link_cycles(target, mesh)
    of = np.repeat(np.arange(routes.nets), np.diff(routes.delivery_ptr))
    leaving = routes.branch_ptr[of] + routes.delivery_branch
    place = np.concatenate(
        [begin * mesh.sides + side, links + routes.delivery_core.astype(np.int64)]
    )
    owner = np.concatenate([net[inner], of])
    busy = packets[owner]
    busy[: inner.size] *= cycles[place[: inner.size]]
    busy[inner.size :] *= service[routes.delivery_core]
    delay = hop * np.concatenate([depth[inner] - 1, depth[leaving]])
    core = routes.net_core[owner].astype(np.int64)
    cores = deployment.cores.count
    places = links + cores
    fine = (core >= 0) & (busy > 0)
    key, index = np.unique(core[fine] * places + place[fine], return_inverse=True)
    index = index.reshape(-1)
    total = _sum(index, busy[fine], key.size)
    late = _sum(index, (busy * delay)[fine], key.size) / np.maximum(total, 1e-300)
    tail = np.zeros(cores)
    at_core = key % places >= links
    np.maximum.at(tail, key[at_core] // places, (late + total)[at_core])
    ptr = np.searchsorted(key // places, np.arange(cores + 1))
    longest = float(work.max(initial=0.0))
    return Load(sweep, sweep + tail, longest, ptr, key % places, total, late, places)


def _cycles(target: Target, kind: EventKind) -> float:
    """Cycles of one event; 0 where nobody published its latency."""
    cost = target.costs.events.get(kind)
    seconds = cost.latency if cost is not None else None
    return (seconds or 0.0) / float(target.execution.cycle_s.v or 1.0)


def _sum(index: IntArray, weight: RealArray, size: int) -> RealArray:
    return np.bincount(index, weights=weight, minlength=size).astype(np.float64)


def _horizon(load: Load, target: Target) -> float:
    """Cycles in which expected work must end: as long as without offsets, or most of the tick."""
    longest = max(float(load.finish.max(initial=0.0)), load.work)
    execution = target.execution
    if execution.sync == "fixed_tick" and execution.tick_s.v and execution.cycle_s.v:
        longest = max(longest, MARGIN * execution.tick_s.v / execution.cycle_s.v)
    return longest


class _Bins:
    """Utilisation of links and cores over time for given starts."""

    def __init__(self, load: Load, horizon: float) -> None:
        self.load = load
        self.used, self.place = np.unique(load.place, return_inverse=True)
        self.place = self.place.reshape(-1)
        edges = np.linspace(0.0, max(horizon, 1e-9), BINS + 1)
        self.rows = Rows(
            load.ptr, self.place, load.busy / float(edges[1]), load.delay,
            np.maximum(load.sweep, float(edges[1])), edges,
        )  # fmt: skip

    def profile(self, core: int, start: float) -> RealArray:
        """[rows of the core, BINS] utilisation by its own packets."""
        first, last = self.load.ptr[core : core + 2].tolist()
        result = np.zeros((last - first, BINS))
        add_core(self.rows, core, start, np.arange(last) - first, result)
        return result

    def places_of(self, core: int) -> IntArray:
        result: IntArray = self.place[int(self.load.ptr[core]) : int(self.load.ptr[core + 1])]
        return result

    def utilisation(self, start: RealArray) -> RealArray:
        """[places, BINS] with every core's start."""
        total = np.zeros((self.used.size, BINS))
        add_cores(self.rows, start, total)
        return total


def _descend(bins: _Bins, start: RealArray, slack: RealArray) -> RealArray:
    """Move one core at a time to its best start, those with most traffic first."""
    start = start.copy()
    total = bins.utilisation(start)
    traffic = np.add.reduceat(np.append(bins.load.busy, 0.0), bins.load.ptr[:-1])
    order = np.argsort(-traffic, kind="stable")
    order = order[slack[order] >= 1.0]
    settle(bins.rows, order, slack, start, total, np.zeros(LEVELS + 1), np.zeros(BINS))
    return start


def _exact(
    bins: _Bins, start: RealArray, slack: RealArray, movable: IntArray, seed: int
) -> RealArray | None:
    """CP-SAT on a few levels per core: the least possible peak; None when it is no lower."""
    grain = 1 << 20
    peak = float(bins.utilisation(start).max(initial=0.0))
    fixed = start.copy()
    model = cp_model.CpModel()
    rest = bins.utilisation(fixed)
    for core in movable.tolist():
        rest[bins.places_of(core)] -= bins.profile(core, float(start[core]))
    terms: dict[tuple[int, int], list[tuple[int, cp_model.IntVar]]] = {}
    chosen: list[tuple[int, list[float], list[cp_model.IntVar]]] = []
    scale = grain / max(peak, 1e-12)
    for core in movable.tolist():
        levels = [*np.linspace(0.0, float(slack[core]), EXACT_LEVELS).tolist(), float(start[core])]
        own = [model.new_bool_var("") for _ in levels]
        model.add_exactly_one(own)
        for k, variable in enumerate(own):
            model.add_hint(variable, k == len(levels) - 1)
        chosen.append((core, levels, own))
        places = bins.places_of(core)
        for variable, level in zip(own, levels, strict=True):
            profile = np.round(bins.profile(core, level) * scale).astype(np.int64)
            for row, bin_ in zip(*np.nonzero(profile), strict=True):
                key = (int(places[row]), int(bin_))
                terms.setdefault(key, []).append((int(profile[row, bin_]), variable))
    worst = model.new_int_var(0, 2 * grain, "worst")
    model.add(worst >= int(rest.max(initial=0.0) * scale))
    for (place, bin_), row in terms.items():
        base = int(max(0.0, rest[place, bin_]) * scale)
        model.add(base + sum(cost * variable for cost, variable in row) <= worst)
    model.minimize(worst)
    solver = new_solver(seed)
    solver.parameters.max_deterministic_time = 3.0
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    for core, levels, own in chosen:
        fixed[core] = next(x for x, v in zip(levels, own, strict=True) if solver.value(v))
    return fixed if float(bins.utilisation(fixed).max()) < peak * (1 - 1e-6) else None
