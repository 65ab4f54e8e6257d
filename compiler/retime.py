"""Logical zero-delay time to ticks: offsets, extra delays and the period of the program.

A chip needs ``min_delay`` ticks from a spike to its integration, the framework none.  With
``offset[p]`` the tick of population p's first step and ``K`` ticks per logical step, a projection
(source, p, d) takes ``K d + offset[p] - offset[source]`` ticks.  Across a barrier d is negative:
the population's window begins when the source's ends.  What exceeds the minimum is held in an
axonal delay line.  Offsets are the solution of a system of difference constraints with
least delay storage (Leiserson & Saxe, "Retiming synchronous circuitry", Algorithmica 6, 1991,
problem "OPT2"), solved by CP-SAT.  Biases follow by themselves: nothing updates before its window.

A sender that spreads its counts over n slots takes n - 1 ticks longer, and K is at least n: the
last slot arrives when its target updates, the others in the ticks before, where they are added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ortools.sat.python import cp_model

from snnc.compiler.solver import new_solver
from snnc.compiler.steps import sample_steps
from snnc.ir.deployment import Schedule
from snnc.ir.errors import CompilerBugError, OptionError, UnsupportedError
from snnc.ir.expand import Projection
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.shared_expansion import AnyExpansion, SharedProjection, expand_large
from snnc.ir.target import Target
from snnc.ir.wire import WireCode

Key = tuple[str, str, int]
SOLVER_EFFORT = 60.0  # deterministic time, not seconds: equal inputs give equal schedules


@dataclass(frozen=True)
class Retiming:
    """When everything happens.

    Attributes:
        schedule: timesteps, period and the offset of every population (inputs: 0, not listed).
        extra_delay: ticks beyond the minimum, by (source, population, logical delay).
        report: period, latency per output, delay storage, solver status; JSON values only.
    """

    schedule: Schedule
    extra_delay: Mapping[Key, int]
    report: Mapping[str, Any]


@dataclass(frozen=True)
class _Edge:
    """A projection as a constraint: ``period * delay + offset[to] - offset[from] >= least``."""

    key: Key
    elements: int
    least: int

    @property
    def source(self) -> str:
        return self.key[0]

    @property
    def population(self) -> str:
        return self.key[1]

    @property
    def delay(self) -> int:
        return self.key[2]

    def extra(self, period: int, offset: Mapping[str, int]) -> int:
        """Ticks beyond the minimum under a schedule; inputs have offset 0."""
        start = offset.get(self.source, 0)
        return period * self.delay + offset[self.population] - start - self.least


def retime(
    network: IntegerNetwork,
    target: Target,
    timesteps: int,
    *,
    balance: bool = True,
    expansion: AnyExpansion | None = None,
    codes: Mapping[str, WireCode] | None = None,
) -> Retiming:
    """Schedule a network whose operators are all expandable.

    Args:
        network: in logical time.
        target: gives ``execution.min_delay`` and ``core.max_delay``.
        timesteps: logical steps of one sample.
        balance: False leaves every extra delay 0, as a mapper without retiming does; the spikes
            are then wrong wherever two paths of different length meet.
        expansion: ``expand_large(network)``, when the caller already has it.
        codes: wire codes by input and population name; others send in one tick.

    Raises:
        OptionError: ``timesteps`` < 1, or not those of the network's sums over time.
        UnsupportedError: an edge must be held longer than the target's longest delay.
    """
    if timesteps < 1:
        raise OptionError("at least one time step", where="--timesteps", found=timesteps)
    sample_steps(network, timesteps)
    parts = expansion or expand_large(network, kernels=target.core.stores_kernels)
    names = tuple(p.name for p in parts.populations)
    heard = {p.source for p in parts.projections}
    sent = {n: code for n, code in (codes or {}).items() if n in heard or code.refire}
    edges = _edges(parts, target.execution.min_delay, sent)
    period = _period(names, edges, max((code.slots for code in sent.values()), default=1))
    if balance:
        offset, status = _solve(names, edges, period, target)
        extra = {edge.key: edge.extra(period, offset) for edge in edges}
    else:
        offset, status = _longest_paths(names, edges, period), "not balanced"
        extra = {edge.key: 0 for edge in edges}
    schedule = Schedule(timesteps, period, offset, sent)
    return Retiming(schedule, extra, _report(parts, edges, schedule, extra, status))


def _edges(parts: AnyExpansion, min_delay: int, codes: Mapping[str, WireCode]) -> tuple[_Edge, ...]:
    inputs = {node.name for node in parts.inputs}
    return tuple(
        _Edge(
            (p.source, p.population, p.delay),
            _senders(p),
            (0 if p.source in inputs else min_delay)
            + (codes[p.source].slots - 1 if p.source in codes else 0),
        )
        for p in parts.projections
    )


def _senders(projection: Projection | SharedProjection) -> int:
    """Source elements with synapses."""
    if isinstance(projection, SharedProjection):
        return int(np.count_nonzero(projection.rows.lengths))
    return int(np.count_nonzero(np.diff(projection.row_ptr)))


def _period(names: tuple[str, ...], edges: tuple[_Edge, ...], least: int) -> int:
    """Smallest K >= ``least`` such that every cycle has K x (logical delays) >= (minimum ticks)."""
    hop = max((edge.least for edge in edges), default=0)
    # A cycle has at most len(names) hops and at least one logical delay.
    low, high = least, max(least, hop * len(names))
    while low < high:
        middle = (low + high) // 2
        if _feasible(names, edges, middle):
            high = middle
        else:
            low = middle + 1
    if not _feasible(names, edges, low):
        raise CompilerBugError("a loop without logical delay reached the retimer", found=names)
    return low


def _feasible(names: tuple[str, ...], edges: tuple[_Edge, ...], period: int) -> bool:
    offset = _relax(names, edges, period, len(names) + 1)
    return all(edge.extra(period, offset) >= 0 for edge in edges)


def _relax(
    names: tuple[str, ...], edges: tuple[_Edge, ...], period: int, rounds: int
) -> dict[str, int]:
    """Bellman-Ford: the smallest offsets that satisfy the lower bounds, if a solution exists."""
    offset = dict.fromkeys(names, 0)
    for _ in range(rounds):
        changed = False
        for edge in edges:
            missing = -edge.extra(period, offset)
            if missing > 0 and edge.source != edge.population:
                offset[edge.population] += missing
                changed = True
        if not changed:
            break
    return offset


def _longest_paths(names: tuple[str, ...], edges: tuple[_Edge, ...], period: int) -> dict[str, int]:
    return _relax(names, edges, period, len(names) + 1)


@dataclass(frozen=True)
class _Model:
    """The constraint model; ``excess`` relaxes the longest delay to explain infeasibility."""

    cp: cp_model.CpModel
    offset: Mapping[str, Any]
    extra: Mapping[Key, Any]
    excess: Mapping[Key, Any]

    def storage(self, edges: tuple[_Edge, ...]) -> Any:
        return sum(edge.elements * self.extra[edge.key] for edge in edges)


def _model(
    names: tuple[str, ...], edges: tuple[_Edge, ...], period: int, longest: int | None, relax: bool
) -> _Model:
    cp = cp_model.CpModel()
    # In an optimal vertex every offset hangs on a chain of tight constraints.
    span = max((edge.least + period * edge.delay for edge in edges), default=0) + (longest or 0)
    horizon = (len(names) + 1) * (span + 1)
    limit = horizon + span if longest is None or relax else longest
    offset = {name: cp.new_int_var(0, horizon, name) for name in names}
    extra, excess = {}, {}
    for edge in edges:
        held = cp.new_int_var(0, limit, "")
        start = offset.get(edge.source, 0)
        cp.add(held == period * edge.delay + offset[edge.population] - start - edge.least)
        extra[edge.key] = held
        if relax and longest is not None:
            excess[edge.key] = cp.new_int_var(0, limit, "")
            cp.add(held - excess[edge.key] <= longest)
    return _Model(cp, offset, extra, excess)


def _solver() -> cp_model.CpSolver:
    solver = new_solver()
    solver.parameters.max_deterministic_time = SOLVER_EFFORT
    return solver


def _solve(
    names: tuple[str, ...], edges: tuple[_Edge, ...], period: int, target: Target
) -> tuple[dict[str, int], str]:
    """Least delay storage first, then the smallest offsets (unique: solutions form a lattice)."""
    limit = target.core.max_delay.v
    longest = None if limit is None else int(limit)
    model = _model(names, edges, period, longest, relax=False)
    solver = _solver()
    storage = model.storage(edges)
    model.cp.minimize(storage)
    first = solver.solve(model.cp)
    if first == cp_model.INFEASIBLE:
        raise _too_long(names, edges, period, target)
    if first not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        raise CompilerBugError("the retimer found no schedule", found=solver.status_name(first))
    offset = _values(solver, model.offset)
    model.cp.add(storage == round(solver.objective_value))
    model.cp.minimize(sum(model.offset.values()))
    second = solver.solve(model.cp)
    if second in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        offset = _values(solver, model.offset)
    proven = first == second == cp_model.OPTIMAL
    return offset, "optimal" if proven else "feasible"


def _values(solver: cp_model.CpSolver, variables: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(solver.value(variable)) for name, variable in variables.items()}


def _too_long(
    names: tuple[str, ...], edges: tuple[_Edge, ...], period: int, target: Target
) -> UnsupportedError:
    """Name the edges that need the longest delays: those that cannot be cured by others."""
    limit = int(target.core.max_delay.v or 0)
    model = _model(names, edges, period, limit, relax=True)
    model.cp.minimize(sum(model.excess.values()))
    solver = _solver()
    solver.solve(model.cp)
    needs = {key: int(solver.value(model.extra[key])) for key in model.excess}
    guilty = [f"{a} -> {b} needs {n}" for (a, b, _), n in needs.items() if n > limit]
    return UnsupportedError(
        "a skip or delayed connection must wait longer than the target's axons can hold a spike",
        where="; ".join(guilty[:6]),
        found=f"up to {max(needs.values(), default=0)} extra ticks",
        allowed=f"{limit} extra ticks on {target.id} (core.max_delay)",
        remedy="shorten the branch that is skipped, or choose a target with longer axonal delays",
    )


def _report(
    parts: AnyExpansion,
    edges: tuple[_Edge, ...],
    schedule: Schedule,
    extra: Mapping[Key, int],
    status: str,
) -> dict[str, Any]:
    storage = sum(edge.elements * extra[edge.key] for edge in edges)
    delayed = [
        {"source": e.source, "population": e.population, "logical_delay": e.delay,
         "extra_ticks": extra[e.key], "elements": e.elements}
        for e in edges if extra[e.key]
    ]  # fmt: skip
    return {
        "period": schedule.period,
        "ticks_per_sample": schedule.ticks,
        "latency_ticks": {name: schedule.offset[p] for name, p in parts.readout.items()},
        "offset": dict(schedule.offset),
        "delayed": delayed,
        "delay_storage": storage,
        "longest_extra_delay": max(extra.values(), default=0),
        "solver": status,
    }
