"""Flows charged to the cores at their ends, so that the bound of Gilmore and Lawler is large.

Half of a flow may be charged to either end, or any other share: every choice gives a bound.  The
bound is a concave function of the shares, and its slope is how far a partner is ranked by the one
end less how far by the other: a core with few partners leaves its flows to the one with many.
Subgradient ascent (Shor, Minimization Methods for Non-Differentiable Functions, 1985) finds shares
that are nearly best; the best ones met are kept, so that nothing is lost against halves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnc.compiler.place.flows import Flows
from snnc.compiler.place.problem import Problem
from snnc.compiler.traffic import weighted
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.jit import kernel

BoolArray = npt.NDArray[np.bool_]
LOOKS = 10**8  # at entries, of all steps
STEPS = 60
CHUNK = 2**22  # entries looked at together, beside the rows of one core
PATIENCE, WORTH = 10, 1e-3  # steps that must win such a part
GRAIN = 2.0**-20  # shares are multiples: a share and its rest have no rounding error


@dataclass(frozen=True, eq=False)
class Rows:
    """The flows of cores to their partners; of all cores, both directions.

    Attributes:
        placed: number of all cores.
        ptr: [cores + 1] slices of the other arrays.
        partner: [entries] rising within a core; numbers from ``placed`` on are fixed points.
        weight: [entries] flow.
        unit: rate of weight 1.
        less: weights may have been rounded up by less.
    """

    placed: int
    ptr: IntArray
    partner: IntArray
    weight: RealArray
    unit: float = 1.0
    less: float = 0.0

    @property
    def cores(self) -> int:
        """Number of cores."""
        return int(self.ptr.size - 1)

    @property
    def longest(self) -> int:
        """Most partners of a core."""
        return int(np.diff(self.ptr).max(initial=0))

    @staticmethod
    def of_flows(flows: Flows, first: int = 0, end: int | None = None) -> Rows:
        """The cores of some flows, or those from ``first`` to ``end``."""
        last = flows.cores if end is None else end
        at = flows.run_at[flows.run_ptr[first : last + 1]]
        partner = np.empty(int(at[-1] - at[0]), np.int32)
        _partners(flows.run_first, flows.run_at, int(flows.run_ptr[first]), partner)
        weight = flows.weight[at[0] : at[-1]].astype(np.float64)
        less = 0.0 if flows.unit == 1.0 else 1.0
        return Rows(flows.cores, at - at[0], partner, weight, flows.unit, less)

    @staticmethod
    def of_pairs(cores: int, a: IntArray, b: IntArray, rate: RealArray) -> Rows:
        """From pairs of cores in any order; the same pair may come twice."""
        key = np.minimum(a, b) * cores + np.maximum(a, b)
        pair, index = np.unique(key, return_inverse=True)
        total = weighted(index.reshape(-1), rate, pair.size)
        row = np.concatenate([pair // cores, pair % cores])
        partner = np.concatenate([pair % cores, pair // cores])
        order = np.lexsort((partner, row))
        ptr = np.searchsorted(row[order], np.arange(cores + 1))
        return Rows(cores, ptr, partner[order].astype(np.int32), np.tile(total, 2)[order])

    @staticmethod
    def of(problem: Problem, nets: BoolArray | None = None) -> Rows:
        """``Problem.flow`` between cores, without rounding; of some [nets] only where given."""
        sender, dest, weight = problem.flow
        kept = sender >= 0
        if nets is not None:
            kept &= nets[away_nets(problem)]
        return Rows.of_pairs(problem.cores, sender[kept], dest[kept], weight[kept])


def away_nets(problem: Problem) -> IntArray:
    """Net of every entry of ``Problem.flow``."""
    net = np.repeat(np.arange(problem.net_core.size), np.diff(problem.dest_ptr))
    found: IntArray = net[problem.net_core[net] != problem.dest]
    return found


def halves(rows: Rows) -> RealArray:
    """[entries] half of every flow for either end; nothing of flows to fixed points."""
    return np.where(rows.partner < rows.placed, np.float32(0.5), np.float32(0.0))


def best_shares(rows: Rows, near: RealArray, held: IntArray | None = None) -> RealArray:
    """[entries] shares of every flow; both ends together have all of it.

    Args:
        rows: flows.
        near: [partners] distances to the nearest sites, rising.
        held: cores whose flows stay halved.
    """
    share = halves(rows)
    steps = min(STEPS, LOOKS // max(share.size, 1))
    if not steps:
        return share
    mate = np.arange(share.size, dtype=np.int32)
    _mates(rows.ptr, rows.partner, rows.ptr[:-1].copy(), mate)
    counted = np.ones(rows.cores, np.bool_)
    if held is not None:
        counted[held] = False
        _release(rows.ptr, rows.partner, counted, mate)
    upto, own = _upto(rows, near), np.zeros(rows.cores)
    rank = np.zeros(share.size, np.float32)
    best, top, last = share.copy(), -1.0, -1.0
    for step in range(steps):
        _rank(rows.ptr, rows.weight, rows.less, share, upto, counted, own, rank)
        total = float(own.sum())
        if total > top:
            best[:], top = share, total
        if step % PATIENCE == PATIENCE - 1:
            if top < last * (1 + WORTH):
                break
            last = top
        _move(mate, rank, 1.0 / np.sqrt(step + 1.0), share)
    return best


def charged(rows: Rows, share: RealArray, near: RealArray) -> RealArray:
    """[cores] what is charged to every core, heaviest charges over the nearest sites."""
    own, all_cores = np.zeros(rows.cores), np.ones(rows.cores, np.bool_)
    nothing = np.zeros(0, np.float32)
    upto = _upto(rows, near)
    _rank(rows.ptr, rows.weight, rows.less, share, upto, all_cores, own, nothing)
    return own * rows.unit


def charged_halves(flows: Flows, near: RealArray) -> RealArray:
    """[cores] ``charged`` with halves, for flows of any number."""
    at = flows.run_at[flows.run_ptr[: flows.cores + 1]]
    result, first = np.zeros(flows.cores), 0
    while first < flows.cores:
        end = max(first + 1, int(np.searchsorted(at, at[first] + CHUNK, "right")) - 1)
        rows = Rows.of_flows(flows, first, end)
        result[first:end] = charged(rows, halves(rows), near)
        first = end
    return result


def heaviest(rows: Rows, share: RealArray) -> RealArray:
    """[cores, most partners] what is charged, in falling order."""
    row = np.repeat(np.arange(rows.cores), np.diff(rows.ptr))
    value = np.maximum(rows.weight - rows.less, 0.0) * share.astype(np.float64) * rows.unit
    order = np.lexsort((-value, row))
    result = np.zeros((rows.cores, rows.longest))
    result[row, np.arange(row.size) - rows.ptr[row]] = value[order]
    return result


@kernel
def _partners(run_first: IntArray, run_at: IntArray, run: int, partner: IntArray) -> None:
    """Partners of the entries from a run on."""
    k = 0
    while k < partner.size:
        for other in range(run_at[run + 1] - run_at[run]):
            partner[k] = run_first[run] + other
            k += 1
        run += 1


@kernel
def _mates(ptr: IntArray, partner: IntArray, at: IntArray, mate: IntArray) -> None:
    """Entry of the other direction, or itself for fixed points; ``at`` begins as ``ptr``."""
    for a in range(ptr.size - 1):
        for k in range(ptr[a], ptr[a + 1]):
            b = partner[k]
            if b < ptr.size - 1:
                mate[at[b]] = k
                at[b] += 1


@kernel
def _release(ptr: IntArray, partner: IntArray, counted: BoolArray, mate: IntArray) -> None:
    """Flows of cores that are not counted keep their shares."""
    for a in range(ptr.size - 1):
        for k in range(ptr[a], ptr[a + 1]):
            b = partner[k]
            if b < ptr.size - 1 and not (counted[a] and counted[b]):
                mate[k] = k


def _upto(rows: Rows, near: RealArray) -> RealArray:
    return np.concatenate([[0.0], np.cumsum(near[: rows.longest])])


@kernel
def _rank(
    ptr: IntArray, weight: RealArray, less: float, share: RealArray, upto: RealArray,
    counted: BoolArray, own: RealArray, rank: RealArray,
) -> None:  # fmt: skip
    """``own``: what is charged to every core; ``rank``, if it has entries: the slopes.

    Equal charges are ranked alike: the mean over their order is a slope as good as any.
    """
    for a in range(ptr.size - 1):
        begin, size = ptr[a], ptr[a + 1] - ptr[a]
        charge = np.empty(size)
        for k in range(size):
            value = max(np.float64(weight[begin + k]) - less, 0.0)
            charge[k] = -value * np.float64(share[begin + k])
        own[a] = 0.0
        if not counted[a]:
            continue
        if rank.size == 0:
            charge.sort()
            for k in range(size):
                own[a] -= charge[k] * (upto[k + 1] - upto[k])
            continue
        order = np.argsort(charge)
        k = 0
        while k < size:
            here, end = charge[order[k]], k + 1
            while end < size and charge[order[end]] == here:
                end += 1
            span = upto[end] - upto[k]
            own[a] -= here * span
            for j in range(k, end):
                rank[begin + order[j]] = span / (end - k)
            k = end


@kernel
def _move(mate: IntArray, rank: RealArray, step: float, share: RealArray) -> None:
    for k in range(mate.size):
        other = mate[k]
        if other > k:
            one, two = np.float64(rank[k]), np.float64(rank[other])
            value = np.float64(share[k]) + step * (one - two) / (one + two + 1.0)
            value = np.floor(min(max(value, 0.0), 1.0) / GRAIN) * GRAIN
            share[k] = value
            share[other] = 1.0 - value
