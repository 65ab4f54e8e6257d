"""What an event costs: joule and seconds by kind, and what the target does not say.

Prices come from one cost table of the target.  A ``per_term`` table prices single events; an
``all_in`` table prices a synaptic event with everything in it, so its single events must not be
added.  An event without a price keeps its count and is listed as unpriced.
"""

from __future__ import annotations

from typing import get_args

import numpy as np
import numpy.typing as npt

from snnc.ir.deployment import Deployment
from snnc.ir.target import CostTable, EventKind, Target
from snnc.simulators.cycle.result import Unpriced

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

KINDS: tuple[EventKind, ...] = get_args(EventKind)
ROW_KINDS: tuple[EventKind, ...] = ("synapse_op_dense", "synapse_op_sparse", "synapse_op_bitmask")
ALL_IN: EventKind = "all_in_synaptic_event"
_AT: dict[str, int] = {kind: number for number, kind in enumerate(KINDS)}


def row_kinds(deployment: Deployment) -> npt.NDArray[np.int8]:
    """[axons] index into ``ROW_KINDS``, by the row's encoding; crossbar rows count as dense."""
    number = {"sparse": 1, "bitmask": 2}
    kinds = np.array([number.get(name, 0) for name in deployment.target.core.encodings], np.int8)
    return kinds[deployment.cores.axon_encoding]


def prices(costs: CostTable) -> Float64:
    """[kinds] joule per event; NaN is unknown, 0 is contained in another price."""
    single = np.full(len(KINDS), np.nan)
    for kind, cost in costs.events.items():
        single[_AT[kind]] = np.nan if cost.energy is None else cost.energy
    if costs.scope == "unpriced":
        single[:] = np.nan
    if costs.scope == "all_in":
        all_in = single[_AT[ALL_IN]]
        single[:] = 0.0
        single[_AT[ALL_IN]] = all_in
    else:
        single[_AT[ALL_IN]] = 0.0
    return single


def latencies(target: Target) -> Float64:
    """[kinds] seconds per event; NaN is unknown."""
    seconds = np.full(len(KINDS), np.nan)
    for kind, cost in target.costs.events.items():
        seconds[_AT[kind]] = np.nan if cost.latency is None else cost.latency
    return seconds


def latency_of(target: Target, kind: str) -> float:
    """Seconds of one event; 0 when unknown (it is then listed as unpriced)."""
    return float(np.nan_to_num(latencies(target)[_AT[kind]]))


def unpriced(target: Target, total: Int64, timing: bool) -> tuple[Unpriced, ...]:
    """Events that happened but whose energy or latency the target does not know."""
    missing = []
    energy, latency = prices(target.costs), latencies(target)
    for number, kind in enumerate(KINDS):
        count = int(total[number])
        if count and np.isnan(energy[number]):
            missing.append(Unpriced(kind, "energy", count))
        if count and timing and kind != ALL_IN and np.isnan(latency[number]):
            missing.append(Unpriced(kind, "latency", count))
    return tuple(missing)
