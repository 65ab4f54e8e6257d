"""The mapping part of the report: JSON values only, metrics as defined in docs/mapping.md."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.compiler.partition import Partition
from snnc.compiler.partition.wiring import Wiring
from snnc.compiler.place import Placement
from snnc.compiler.route import Routing
from snnc.compiler.traffic import Traffic
from snnc.ir.arrays import IntArray
from snnc.ir.deployment import CoreTables, SharedCoreTables
from snnc.ir.topology import Mesh

Usage = dict[str, tuple[IntArray, int | IntArray]]
"""By resource: use of every core, and its capacity (one number, or one per core)."""


def mapping_report(
    wiring: Wiring,
    tables: CoreTables | SharedCoreTables,
    usage: Usage,
    division: Partition,
    placement: Placement,
    flow: Traffic,
    routing: Routing,
    mesh: Mesh,
) -> dict[str, Any]:
    """Collect what the stages measured and decided."""
    return {
        "cores_used": tables.count,
        "chips_used": len({mesh.chip(int(r)) for r in placement.router}),
        "partition": division.report,
        "cores": _cores(wiring, tables, usage, mesh),
        "utilisation": _utilisation(usage),
        "placement": {
            "objective": placement.objective,
            "lower_bound": placement.bound,
            "gap": placement.gap,
            "engine": placement.engine,
            "complete": placement.complete,
            "interrupted": placement.interrupted,
        },
        "traffic": traffic_report(flow, routing, mesh),
        "routing": routing.report,
        "unchecked": division.report["unchecked"],
    }


def _cores(
    wiring: Wiring, tables: CoreTables | SharedCoreTables, usage: Usage, mesh: Mesh
) -> list[dict[str, Any]]:
    names = [p.name for p in wiring.populations]
    first = np.cumsum([wiring.first_neuron, *(p.size for p in wiring.populations)])
    rows = []
    for core in range(tables.count):
        part = slice(tables.neuron_ptr[core], tables.neuron_ptr[core + 1])
        of = np.searchsorted(first, tables.neuron_source[part], side="right") - 1
        size = np.bincount(of, minlength=len(names))
        x, y, slot = (int(v) for v in tables.location[core])
        rows.append(
            {
                "location": [x, y, slot],
                "chip": mesh.chip(mesh.router(x, y)),
                "populations": {names[p]: int(size[p]) for p in np.flatnonzero(size)},
                "use": {
                    name: [int(used[core]), int(np.broadcast_to(cap, used.shape)[core])]
                    for name, (used, cap) in usage.items()
                },
            }
        )
    return rows


def _utilisation(usage: Usage) -> dict[str, dict[str, float]]:
    """Mean and largest fill of the used cores, per resource."""
    return {
        name: {
            "mean": float((used / np.maximum(cap, 1)).mean()),
            "max": float((used / np.maximum(cap, 1)).max(initial=0)),
        }
        for name, (used, cap) in usage.items()
    }


def traffic_report(flow: Traffic, routing: Routing, mesh: Mesh) -> dict[str, Any]:
    """Packets, hops and the loads of links per sample; JSON values."""
    packets = float(flow.rate.sum())
    _, _, pair_rate = flow.pairs()
    unicast = float(pair_rate @ routing.reach)
    deliveries = float(pair_rate.sum())
    hops = float(flow.rate @ routing.hops)
    chip = np.array([mesh.chip(r) for r in range(mesh.routers)])
    ends = chip[routing.channels]
    crossing = routing.load[ends[:, 0] != ends[:, 1]] if routing.load.size else routing.load
    return {
        "nets": flow.nets,
        "packets": packets,
        "deliveries": deliveries,
        "weighted_hops": hops,
        "unicast_equivalent_hops": unicast,
        "mean_hops": unicast / deliveries if deliveries else 0.0,
        "max_hops": int(routing.reach.max(initial=0)),
        "mean_channel_load": float(routing.load.mean()) if routing.load.size else 0.0,
        "max_channel_load": float(routing.load.max(initial=0.0)),
        "channels_used": int(routing.load.size),
        "chip_crossings": float(crossing.sum()),
    }
