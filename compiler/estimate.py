"""Expected traffic and energy of a deployment, from spike rates and its tables alone.

Counts are exact for the given rates: what a spike costs in packets, hops and synaptic operations
is known from the tables.  Prices are the target's; an event without a price stays "unpriced".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from snnc.compiler.route.walks import channel_loads
from snnc.compiler.traffic import weighted
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.deployment import Deployment
from snnc.ir.nodes import Input
from snnc.ir.rows import AT_ONCE
from snnc.ir.target import EventKind, Target


@dataclass(frozen=True, eq=False)
class Traffic:
    """Expected load per sample.

    Attributes:
        channels: [channels, 2] from-router, to-router, for channels that carry anything.
        load: [channels] packets per sample.
        counts: expected events per sample by cost-table name.
    """

    channels: IntArray
    load: RealArray
    counts: Mapping[str, float]


def rate_vector(deployment: Deployment, rates: Mapping[str, RealArray]) -> RealArray:
    """Expected spikes per sample of every source id; sources without a rate count 0."""
    space = deployment.sources
    vector = np.zeros(space.total)
    for name, values in rates.items():
        first = space.first[name]
        vector[first : first + space.size[name]] = np.asarray(values).reshape(-1)
    return vector


def traffic(deployment: Deployment, rates: Mapping[str, RealArray]) -> Traffic:
    """Packets per channel and events per sample for given spikes per sample and source."""
    vector = rate_vector(deployment, rates)
    packets = packets_per_net(deployment, vector)
    channels, load = channel_loads(deployment.routes, packets, deployment.mesh)
    channels, load = channels[load > 0], load[load > 0]
    return Traffic(channels, load, _counts(deployment, vector, packets, channels, load))


def priced(target: Target, counts: Mapping[str, float]) -> dict[str, Any]:
    """Energy of counted events: ``terms``, ``total_j`` of the priced ones and ``unpriced`` names.

    ``total_j`` is None when nothing that happened has a price.
    """
    table = target.costs
    if table.scope == "all_in":
        counts = {"all_in_synaptic_event": synaptic_events(counts)}
    terms = [_term(target, event, count) for event, count in counts.items() if count]
    known = [term["energy_j"] for term in terms if term["energy_j"] is not None]
    return {
        "cost_set": target.default_cost,
        "scope": table.scope,
        "note": table.note,
        "terms": terms,
        "total_j": sum(known) if known else None,
        "unpriced": [term["event"] for term in terms if term["energy_j"] is None],
    }


def synaptic_events(counts: Mapping[str, float]) -> float:
    """Row entries read, whatever their encoding."""
    return sum(count for kind, count in counts.items() if kind.startswith("synapse_op_"))


def _term(target: Target, event: str, count: float) -> dict[str, Any]:
    kind: EventKind = event  # type: ignore[assignment]
    cost = target.costs.events.get(kind)
    each = cost.energy if cost is not None else None
    return {
        "event": event,
        "count": float(count),
        "energy_j": None if each is None else float(count * each),
        "evidence": cost.ev if cost is not None else "unknown",
    }


def packets_per_net(deployment: Deployment, vector: RealArray) -> RealArray:
    """[nets] packets for so many spikes of every source."""
    routes = deployment.routes
    sender = np.repeat(np.arange(vector.size), np.diff(routes.send_ptr))
    return weighted(routes.send_net, vector[sender], routes.nets)


def _operations(deployment: Deployment, vector: RealArray) -> dict[str, float]:
    """Row entries read, by event."""
    cores = deployment.cores
    names = deployment.target.core.encodings
    length, total = np.diff(cores.rows.shape_ptr), np.zeros(len(names))
    for first in range(0, cores.axon_source.size, AT_ONCE):
        part = slice(first, first + AT_ONCE)
        # A packet reads one row of a pair of axons; both are equally long.
        row = np.where(cores.axon_sign[part] < 0, 0, length[cores.rows.shape[part]])
        total += weighted(
            cores.axon_encoding[part], vector[cores.axon_source[part]] * row, len(names)
        )
    count = {f"synapse_op_{kind}": 0.0 for kind in ("dense", "sparse", "bitmask")}
    for name, value in zip(names, total, strict=True):
        thin = name in ("sparse", "bitmask")
        count[f"synapse_op_{name if thin else 'dense'}"] += float(value)
    return count


def _counts(
    deployment: Deployment,
    vector: RealArray,
    packets: RealArray,
    channels: IntArray,
    load: RealArray,
) -> dict[str, float]:
    cores, routes, mesh = deployment.cores, deployment.routes, deployment.mesh
    operations = _operations(deployment, vector)
    y, chip = channels // mesh.width, mesh.chip(channels)
    between = chip[:, 0] != chip[:, 1]
    east_west = (y[:, 0] == y[:, 1]) & ~between
    from_host = routes.net_core < 0
    inputs = sum(deployment.sources.size[n.name] for n in deployment.network.of_type(Input))
    counts = {
        **operations,
        "neuron_access": float(cores.neuron_source.size * deployment.schedule.ticks),
        "neuron_update": float(cores.neuron_source.size * deployment.schedule.timesteps),
        "spike_generate": vector[inputs:].sum(),
        "message_out": packets[~from_host].sum(),
        "message_in": (packets * np.diff(routes.delivery_ptr)).sum(),
        "hop_ew": load[east_west].sum(),
        "hop_ns": load[~east_west & ~between].sum(),
        "hop_chip": load[between].sum(),
        "host_in": packets[from_host].sum(),
    }
    assert set(counts) < set(get_args(EventKind))
    return {name: float(value) for name, value in counts.items()}
