"""Checks of a deployment's tables before kernels index with them.

Compiled kernels do not check bounds, so a tampered or defective artifact must stop here.
"""

from __future__ import annotations

import numpy as np

from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.core_tables import CoreTables, SharedCoreTables
from snnc.ir.deployment import Deployment
from snnc.ir.errors import ArtifactError, UnsupportedError
from snnc.ir.rows import AT_ONCE
from snnc.simulators.cycle.program import senders_of_negative

MOST_CLASSES = 16
"""Classes of virtual channels."""


def check_deployment(deployment: Deployment) -> None:
    """Raise unless the simulator can run these tables.

    Raises:
        ArtifactError: tables that contradict each other.
        UnsupportedError: signed counts on a machine whose packets have no sign.
    """
    _check_cores(deployment)
    _check_routes(deployment)
    _check_sends(deployment)
    negative = senders_of_negative(deployment)
    if negative and not deployment.target.spike.signed:
        raise UnsupportedError(
            "a packet of this target has no sign, but these send negative counts",
            where=deployment.target.id,
            found=", ".join(negative),
            allowed="counts >= 0 (spike.signed: false)",
            remedy="choose a target with signed spikes",
        )


def _require(fine: bool | np.bool_, where: str, found: str) -> None:
    if not fine:
        raise ArtifactError(
            "the deployment's tables contradict each other",
            where=where,
            found=found,
            remedy="compile again; `snnc verify` shows every broken rule",
        )


def _pointers(where: str, ptr: IntArray, rows: int, entries: int) -> None:
    shaped = ptr.shape == (rows + 1,)
    fine = shaped and ptr[0] == 0 and ptr[-1] == entries and bool((np.diff(ptr) >= 0).all())
    _require(fine, where, f"not a rising table of {rows} slices over {entries} entries")


def _within(where: str, array: IntArray, low: int, high: AnyArray | int) -> None:
    if isinstance(high, int):  # without a temporary as large as the array
        fine = array.size == 0 or low <= int(array.min()) <= int(array.max()) < high
    else:
        fine = bool(((array >= low) & (array < high)).all())
    _require(fine, where, f"an index outside [{low}, {np.max(high, initial=0)})")


def _check_cores(deployment: Deployment) -> None:
    cores, total = deployment.cores, deployment.sources.total
    neurons, axons = cores.neuron_source.size, cores.axon_source.size
    _pointers("neuron_ptr", cores.neuron_ptr, cores.count, neurons)
    _pointers("axon_ptr", cores.axon_ptr, cores.count, axons)
    _require(cores.axon_delay.size == axons, "axon_delay", "one delay per axon")
    _require(cores.axon_encoding.size == axons, "axon_encoding", "one encoding per axon")
    _require(cores.axon_sign.size == axons, "axon_sign", "one sign per axon")
    _within("axon_sign", cores.axon_sign, -1, 2)
    _within("axon_delay", cores.axon_delay, 0, 1 << 20)
    _within("axon_encoding", cores.axon_encoding, 0, len(deployment.target.core.encodings))
    _within("axon_source", cores.axon_source, 0, total)
    falls = np.flatnonzero(cores.axon_source[1:] < cores.axon_source[:-1]) + 1
    rising = np.isin(falls, cores.axon_ptr)
    _require(bool(rising.all()), "axon_source", "sources that fall within a core")
    if isinstance(cores, CoreTables):
        slots = np.diff(cores.neuron_ptr)[cores.axon_core]
        synapses, ptr = cores.synapse_target.size, cores.synapse_ptr
        _pointers("synapse_ptr", ptr, axons, synapses)
        _require(cores.synapse_weight.size == synapses, "synapse_weight", "one weight per synapse")
        _within("synapse_target", cores.synapse_target, 0, np.repeat(slots, np.diff(ptr)))
    else:
        _check_rows(cores)
    _within("weights", cores.rows.weight, -(1 << 31), 1 << 31)
    start = deployment.schedule.core_start
    _require(len(start) in (0, cores.count), "core_start", "one start per core, or none")
    _check_neurons(deployment)


def _check_rows(cores: SharedCoreTables) -> None:
    """Rows that share shapes stay within their cores."""
    rows = cores.rows
    _require(rows.count == cores.axon_source.size, "rows", "one row per axon")
    length = np.diff(rows.shape_ptr)
    filled = np.flatnonzero(length)
    low, high = np.zeros(length.size, np.int64), np.full(length.size, -1, np.int64)
    if filled.size:
        starts = rows.shape_ptr[:-1][filled]
        low[filled] = np.minimum.reduceat(rows.offset, starts)
        high[filled] = np.maximum.reduceat(rows.offset, starts)
    size = np.diff(cores.neuron_ptr)
    for these, axons in cores.parts(AT_ONCE):
        shape, shift = rows.shape[axons], rows.shift[axons]
        slots = np.repeat(size[these], np.diff(cores.axon_ptr[these.start : these.stop + 1]))
        some = length[shape] > 0
        shape, shift, slots = shape[some], shift[some], slots[some]
        _within("rows", low[shape] + shift, 0, slots)
        _within("rows", high[shape] + shift, 0, slots)
        _require(bool((length[shape] <= slots).all()), "rows", "a row longer than its core")


def _check_neurons(deployment: Deployment) -> None:
    """Every neuron of the network sits in exactly one slot."""
    sources, placed = deployment.sources, deployment.cores.neuron_source
    neurons = sum(population.size for population in deployment.network.populations)
    _within("neuron_source", placed, sources.total - neurons, sources.total)
    found = np.zeros(neurons, bool)
    found[placed - (sources.total - neurons)] = True
    fine = placed.shape == found.shape and bool(found.all())
    _require(fine, "neuron_source", "a neuron that is missing or placed twice")


def _check_routes(deployment: Deployment) -> None:
    routes, cores, mesh = deployment.routes, deployment.cores.count, deployment.mesh
    nodes, deliveries = routes.branch_router.size, routes.delivery_core.size
    _pointers("branch_ptr", routes.branch_ptr, routes.nets, nodes)
    _pointers("delivery_ptr", routes.delivery_ptr, routes.nets, deliveries)
    _within("branch_router", routes.branch_router, 0, mesh.routers)
    _within("net_core", routes.net_core, -1, cores)
    _within("delivery_core", routes.delivery_core, 0, cores)
    size = np.diff(routes.branch_ptr)
    _require(bool((size > 0).all()), "branch_ptr", "a net without a root")
    position = np.arange(nodes) - np.repeat(routes.branch_ptr[:-1], size)
    parent = routes.branch_parent
    _require(parent.size == nodes, "branch_parent", "one parent per tree node")
    tree = ((parent >= 0) == (position > 0)) & (parent < position)
    _require(bool(tree.all()), "branch_parent", "a node before its parent, or a second root")
    net = np.repeat(np.arange(routes.nets), np.diff(routes.delivery_ptr))
    _require(routes.delivery_branch.size == deliveries, "delivery_branch", "one per delivery")
    _within("delivery_branch", routes.delivery_branch, 0, size[net])
    _require(routes.branch_lane.size == nodes, "branch_lane", "one class per tree node")
    _within("branch_lane", routes.branch_lane, 0, MOST_CLASSES)
    _check_geometry(deployment)


def _check_geometry(deployment: Deployment) -> None:
    """Trees step between neighbours, start at the sender and end at the receivers."""
    routes, mesh = deployment.routes, deployment.mesh
    location = deployment.cores.location
    _within("location", location[:, 0], 0, mesh.width)
    _within("location", location[:, 1], 0, mesh.height)
    router = location[:, 1] * mesh.width + location[:, 0]
    first = np.repeat(routes.branch_ptr[:-1], np.diff(routes.branch_ptr))
    inner = routes.branch_parent >= 0
    a = routes.branch_router[(first + routes.branch_parent)[inner]]
    b = routes.branch_router[inner]
    joined = bool((mesh.direction(a, b) >= 0).all())
    _require(joined, "branch_router", "a hop between routers not joined")
    on_core = routes.net_core >= 0
    roots = routes.branch_router[routes.branch_ptr[:-1]][on_core]
    starts = bool((roots == router[routes.net_core[on_core]]).all())
    _require(starts, "branch_router", "a net that starts away from its sending core")
    net = np.repeat(np.arange(routes.nets), np.diff(routes.delivery_ptr))
    leaves = routes.branch_router[routes.branch_ptr[net] + routes.delivery_branch]
    ends = bool((leaves == router[routes.delivery_core]).all())
    _require(ends, "delivery_core", "a copy that leaves at another router than its core's")


def _check_sends(deployment: Deployment) -> None:
    """Every source sends only on nets of its own core, or of a host port."""
    routes, cores, total = deployment.routes, deployment.cores, deployment.sources.total
    _pointers("send_ptr", routes.send_ptr, total, routes.send_net.size)
    _within("send_net", routes.send_net, 0, routes.nets)
    _within("neuron_source", cores.neuron_source, 0, total)
    home = np.full(total, -1, np.int32)
    home[cores.neuron_source] = np.repeat(
        np.arange(cores.count, dtype=np.int32), np.diff(cores.neuron_ptr)
    )
    sender = np.repeat(home, np.diff(routes.send_ptr))
    same = bool((routes.net_core[routes.send_net] == sender).all())
    _require(same, "send_net", "a source that sends on another core's net")
