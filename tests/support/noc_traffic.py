"""Packets on small machines: any machine, any destinations, either network model."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from support.simple_mapping import Options, Path, route_tables, simple_mapping, x_then_y
from support.small_targets import small_target

from snnc.ir.deployment import Deployment
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.neuron import GatedBias, Neuron, Reset
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.target import Target
from snnc.ir.topology import Mesh
from snnc.ir.types import BIN
from snnc.ir.weights import Dense
from snnc.simulators.cycle import ends, flit, flit_tables, noc, noc_tables
from snnc.simulators.cycle.noc_tables import NocTables
from snnc.simulators.cycle.timing import Fidelity

Packet = tuple[int, int, float]
"""Sending core (one per router, in router order), which of its sends, time."""


def machine_with(
    target: Target, destinations: dict[int, list[int]], chips: int = 1, path: Path = x_then_y
) -> Deployment:
    """One core with one neuron per router; ``destinations`` are the cores that hear a core."""
    routers = target.topology.grid[0] * target.topology.grid[1] * chips
    one = Dense(np.ones((routers, 1), np.int64))
    nodes = (
        Input("x", (1,), BIN),
        Linear("w", ("x",), one),
        Neuron("a", ("w",), (routers,), np.array([1]), Reset("value")),
        Output("out", ("a",)),
    )
    deployment = simple_mapping(
        IntegerNetwork("machine", nodes), target, 1, chips, Options(neurons_per_core=1)
    )
    listeners = [np.zeros(0, np.int64)] + [
        np.array(destinations.get(core, []), np.int64) for core in range(routers)
    ]
    routes = route_tables(
        deployment.network, deployment.sources, target, deployment.mesh, deployment.cores,
        listeners, path,
    )  # fmt: skip
    return replace(deployment, routes=routes)


class Outcome(NamedTuple):
    """A drained network."""

    last: int
    tables: NocTables
    state: noc.NocState | flit.FlitState
    receive_end: np.ndarray


def drain(
    deployment: Deployment,
    packets: list[Packet],
    service: float = 0.0,
    fidelity: Fidelity = "transaction",
) -> Outcome:
    """Send packets in the given order per core."""
    machine = noc_tables.describe(deployment)
    routes = deployment.routes
    reaches = int(np.diff(routes.delivery_ptr)[routes.send_net].sum())
    tables, buffers = noc_tables.build(deployment, machine, np.full(reaches, service))
    ordered = sorted(packets, key=lambda packet: packet[0])
    sends = [int(routes.send_ptr[1 + core]) + which for core, which, _ in ordered]
    counts = np.bincount([p[0] for p in ordered], minlength=machine.senders)
    releases = ends.Releases(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.array(sends, np.int32),
        np.array([float(p[2]) for p in ordered]),
    )
    if fidelity == "flit":
        tables, flits = flit_tables.new_state(deployment, machine, tables, buffers)
        last = flit.drain(tables, flits, releases)
        return Outcome(last, tables, flits, flits.receive_end.copy())
    state = noc.new_state(tables, buffers)
    last = noc.drain(tables, state, releases)
    return Outcome(last, tables, state, state.receive_end.copy())


def clockwise(mesh: Mesh, start: int, end: int) -> list[int]:
    """Always around the ring of a 2 x 2 mesh: a turn that XY forbids closes the cycle."""
    ring = [0, 1, 3, 2]
    path = [start]
    while path[-1] != end:
        path.append(ring[(ring.index(path[-1]) + 1) % 4])
    return path


def ring_deployment(path: Path) -> tuple[Deployment, dict[str, np.ndarray]]:
    """Four cores whose neurons fire in every step and reach the core at the other corner."""
    opposite = np.array([3, 2, 1, 0])
    weights = np.zeros((4, 4), np.int64)
    weights[opposite, np.arange(4)] = 1
    on = GatedBias(np.array(5))
    nodes = (
        Input("x", (4,), BIN),
        Linear("wx", ("x",), Dense(np.eye(4, dtype=np.int64))),
        Neuron("a", ("wx",), (4,), np.array([1]), Reset("value"), bias=(on,)),
        Linear("wa", ("a",), Dense(weights)),
        Neuron("b", ("wa",), (4,), np.array([1]), Reset("value")),
        Output("out", ("b",)),
    )
    network = IntegerNetwork("ring", nodes)
    target = small_target(2, 2, buffer=1, injection=1, receive=1)
    deployment = simple_mapping(
        network, target, 4, options=Options(neurons_per_core=2, interleave=True), path=path
    )
    return deployment, {"x": np.zeros((1, 4, 4), np.int64)}
