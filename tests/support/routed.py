"""Machines whose routers can be told more than XY, nets for them, and routed random networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from support.noc_traffic import drain
from support.simple_mapping import Options, simple_mapping
from support.small_targets import quantity, small_target

from snnc.compiler.route import route
from snnc.compiler.route.shapes import with_lanes
from snnc.compiler.traffic import Traffic, traffic
from snnc.ir.deployment import Deployment
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.target import Target
from snnc.ir.topology import Mesh
from snnc.simulators.cycle.timing import Fidelity


def machine(
    width: int = 3,
    height: int = 3,
    *,
    lanes: int = 1,
    shapes: tuple[str, ...] = ("xy", "yx", "minimal", "any"),
    consumption: str = "always",
    entries: int | None = None,
    key_bits: int = 32,
    **changes: Any,
) -> Target:
    """A small machine with these virtual channels and shapes of routes."""
    target = small_target(width, height, **changes)
    noc = target.noc.model_dump() | {
        "virtual_channels": quantity(lanes),
        "route_shapes": shapes,
        "consumption": consumption,
        "table_entries": None if entries is None else quantity(entries),
        "key_bits": key_bits,
    }
    return target.model_copy(update={"noc": type(target.noc).model_validate(noc)})


def moved(rows: list[tuple[int, list[int]]], cores: int, rate: float = 1.0) -> Traffic:
    """Nets by sending core and receiving cores; every net has one source of its own."""
    sizes = [len(dest) for _, dest in rows]
    return Traffic(
        cores,
        np.array([core for core, _ in rows], np.int64),
        np.full(len(rows), rate),
        np.cumsum([0, *sizes]),
        np.array([d for _, dest in rows for d in sorted(dest)], np.int64),
        np.arange(len(rows) + 1),
        np.arange(len(rows)),
    )


def random_flow(seed: int, cores: int, nets: int, many: int) -> Traffic:
    """Random nets of up to ``many`` destinations; some from the host, some without traffic."""
    rng = np.random.default_rng(seed)
    most = min(many, cores)
    rows = [
        (
            int(rng.integers(-1, cores)),
            rng.choice(cores, int(rng.integers(1, most + 1)), replace=False).tolist(),
        )
        for _ in range(nets)
    ]
    rate = rng.integers(0, 20, nets).astype(float)
    return replace(moved(rows, cores), rate=rate)


def routed_deployment(
    network: IntegerNetwork,
    seed: int,
    rule: str,
    chips: int,
    lanes: int,
    holes: int,
    **changes: Any,
) -> Deployment:
    """A random network on a machine with defective cores, routed by the compiler."""
    neurons = sum(p.size for p in network.populations)
    target = machine(
        3, 3, lanes=lanes, cores_per_router=2, signed=True,
        payload_bits=8, buffer=1 + seed % 2, injection=1 + seed % 3, receive=1 + seed % 2,
        **({"multicast": bool(seed % 3)} | changes),
    )  # fmt: skip
    broken = tuple((k % 3, k // 3, 0) for k in range(holes))
    topology = target.topology.model_copy(update={"defects": broken, "usable_cores": 18 - holes})
    target = target.model_copy(update={"topology": topology})
    options = Options(max(3, -(-neurons // 12)), interleave=bool(seed % 2), seed=seed)
    draft = simple_mapping(network, target, 12, chips, options)
    draft = replace(draft, cores=replace(draft.cores, location=around(draft, broken)))
    cores = draft.cores
    pairs = np.unique(
        cores.axon_source.astype(np.int64) * cores.count
        + np.repeat(np.arange(cores.count), np.diff(cores.axon_ptr))
    )
    home = np.full(draft.sources.total, -1, np.int64)
    home[cores.neuron_source] = np.repeat(np.arange(cores.count), np.diff(cores.neuron_ptr))
    rate = np.random.default_rng(seed).integers(0, 9, home.size).astype(float)
    flow = traffic(
        pairs // cores.count, pairs % cores.count, home, cores.count, rate, target.noc.multicast
    )
    router = cores.location[:, 1].astype(np.int64) * draft.mesh.width + cores.location[:, 0]
    routing = route(flow, router, target, draft.mesh, rule)  # type: ignore[arg-type]
    return replace(draft, routes=routing.tables, certificate=routing.certificate)


def around(draft: Deployment, broken: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """Places of all cores, in their order, with those on defective places moved to free ones."""
    mesh, chip_width = draft.mesh, draft.mesh.chip_width
    taken = {tuple(row) for row in draft.cores.location.tolist()}
    free = [
        (x, y, slot)
        for y in range(mesh.height)
        for x in range(mesh.width)
        for slot in range(mesh.cores_per_router)
        if (x, y, slot) not in taken and (x % chip_width, y % mesh.chip_height, slot) not in broken
    ]
    location = draft.cores.location.copy()
    for core, (x, y, slot) in enumerate(location.tolist()):
        if (x % chip_width, y % mesh.chip_height, slot) in broken:
            location[core] = free.pop(0)
    return location


def cycling(deployment: Deployment, lane: np.ndarray | None = None) -> Deployment:
    """The deployment with nets on classes of virtual channels and no certificate."""
    routes = deployment.routes
    if lane is not None:
        routes = with_lanes(routes, lane)
    return replace(deployment, routes=routes)


def saturate(deployment: Deployment, fidelity: Fidelity, packets: int = 10) -> bool:
    """Whether the network comes to an end when every net sends this many packets at once."""
    routes = deployment.routes
    load = [
        (core, k, 0.0)
        for core in range(deployment.cores.count)
        for k in range(int(routes.send_ptr[2 + core] - routes.send_ptr[1 + core]))
        for _ in range(packets)
    ]
    return drain(deployment, load, 0.0, fidelity).last >= 0


def around_the_border(mesh: Mesh, start: int, end: int) -> list[int]:
    """Clockwise along the border of the mesh: a ring, as if it were closed by a wrap-around."""
    width, height = mesh.width, mesh.height
    ring = [mesh.router(x, 0) for x in range(width)]
    ring += [mesh.router(width - 1, y) for y in range(1, height)]
    ring += [mesh.router(x, height - 1) for x in range(width - 2, -1, -1)]
    ring += [mesh.router(0, y) for y in range(height - 2, 0, -1)]
    path = [start]
    while path[-1] != end:
        path.append(ring[(ring.index(path[-1]) + 1) % len(ring)])
    return path
