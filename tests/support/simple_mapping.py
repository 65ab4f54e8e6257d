"""A deliberately simple mapper: the oracle for the real one and for the emulated chip.

It packs neurons without regard to capacity, places cores in any order, and routes along X, then
Y.  Offsets are longest paths; axon delays balance every projection.  It shares no code with the
compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from snnc.ir.deployment import (
    Certificate,
    CoreTables,
    Deployment,
    RouteTables,
    Schedule,
    SourceSpace,
)
from snnc.ir.expand import Projection, expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input
from snnc.ir.target import Target
from snnc.ir.topology import Mesh, mesh_of
from snnc.ir.wire import WireCode

Ints = npt.NDArray[np.int64]
Path = Callable[[Mesh, int, int], list[int]]


@dataclass(frozen=True)
class Options:
    """How to map.

    Attributes:
        neurons_per_core: core size.
        interleave: deal neurons like cards instead of cutting them into chunks.
        seed: order of cores on the mesh; None is row by row.
        balance: False leaves all axon delays at zero (wrong for skip connections).
        period: smallest period to try.
        codes: wire codes of senders.
    """

    neurons_per_core: int = 8
    interleave: bool = False
    seed: int | None = None
    balance: bool = True
    period: int = 1
    codes: Mapping[str, WireCode] = field(default_factory=dict)


def x_then_y(mesh: Mesh, start: int, end: int) -> list[int]:
    """Routers from start to end, X first."""
    (x, y), (end_x, end_y) = mesh.xy(start), mesh.xy(end)
    path = [start]
    while x != end_x:
        x += 1 if end_x > x else -1
        path.append(mesh.router(x, y))
    while y != end_y:
        y += 1 if end_y > y else -1
        path.append(mesh.router(x, y))
    return path


def simple_mapping(
    network: IntegerNetwork,
    target: Target,
    timesteps: int,
    chips: int = 1,
    options: Options | None = None,
    path: Path = x_then_y,
) -> Deployment:
    """Map a network onto as many cores as it needs."""
    options = options or Options()
    sources = SourceSpace.of(network)
    projections = expand(network).projections
    schedule = simple_schedule(network, target, timesteps, options.period, options.codes)
    mesh = mesh_of(target, chips)
    slots = pack_neurons(network, sources, options)
    location = place(mesh, len(slots), options.seed)
    cores, listeners = core_tables(network, sources, projections, schedule, target, slots, options)
    cores = CoreTables(location, *cores)
    routes = route_tables(network, sources, target, mesh, cores, listeners, path)
    return Deployment(
        network, target, chips, schedule, cores, routes, Certificate(np.zeros((0, 3), int), ()),
        {"mapper": "simple"}, {},
    )  # fmt: skip


def simple_schedule(
    network: IntegerNetwork,
    target: Target,
    timesteps: int,
    period: int = 1,
    codes: Mapping[str, WireCode] | None = None,
) -> Schedule:
    """Longest-path offsets with the smallest feasible period."""
    codes = codes or {}
    period = max(period, *(code.slots for code in codes.values()), 1)
    inputs = {node.name for node in network.of_type(Input)}
    names = [*inputs, *(p.name for p in network.populations)]
    edges = [
        (p.source, p.population, p.delay, hop_of(p.source, inputs, target, codes))
        for p in expand(network).projections
    ]
    for candidate in range(period, 1000):
        offset = dict.fromkeys(names, 0)
        for _ in range(len(names) + 1):
            changed = False
            for source, population, delay, hop in edges:
                least = offset[source] + hop - candidate * delay
                if least > offset[population]:
                    offset[population], changed = least, True
            if not changed:
                return Schedule(timesteps, candidate, offset, codes)
    raise AssertionError("a loop without delay")


def hop_of(source: str, inputs: set[str], target: Target, codes: Mapping[str, WireCode]) -> int:
    """Ticks until the last slot of a count can be integrated."""
    slots = codes[source].slots if source in codes else 1
    return slots - 1 + (0 if source in inputs else target.execution.min_delay)


def pack_neurons(network: IntegerNetwork, sources: SourceSpace, options: Options) -> list[Ints]:
    """Source ids of the neurons on every core."""
    inputs = sum(sources.size[node.name] for node in network.of_type(Input))
    ids = np.arange(inputs, sources.total)
    count = -(-ids.size // options.neurons_per_core)
    if options.interleave:
        return [ids[core::count] for core in range(count)]
    return [
        ids[i : i + options.neurons_per_core] for i in range(0, ids.size, options.neurons_per_core)
    ]


def place(mesh: Mesh, cores: int, seed: int | None) -> Ints:
    """Router x, router y and slot of every core."""
    places = mesh.routers * mesh.cores_per_router
    assert cores <= places, f"{cores} cores on {places} places"
    order = np.arange(places)
    if seed is not None:
        order = np.random.default_rng(seed).permutation(places)
    router = order[:cores] // mesh.cores_per_router
    slot = order[:cores] % mesh.cores_per_router
    return np.stack([router % mesh.width, router // mesh.width, slot], axis=1)


def core_tables(
    network: IntegerNetwork,
    sources: SourceSpace,
    projections: tuple[Projection, ...],
    schedule: Schedule,
    target: Target,
    slots: list[Ints],
    options: Options,
) -> tuple[tuple[Ints, ...], list[Ints]]:
    """Fields of ``CoreTables`` after ``location``, and the cores that listen to each source."""
    inputs = {node.name for node in network.of_type(Input)}
    core_of, slot_of = np.full(sources.total, -1), np.full(sources.total, -1)
    for core, ids in enumerate(slots):
        core_of[ids], slot_of[ids] = core, np.arange(ids.size)
    rows = []
    for p in projections:
        hop = hop_of(p.source, inputs, target, schedule.codes)
        lag = schedule.offset[p.population] - schedule.offset[p.source]
        delay = schedule.period * p.delay + lag - hop if options.balance else 0
        source = np.repeat(np.arange(p.row_ptr.size - 1), np.diff(p.row_ptr))
        neuron = sources.first[p.population] + p.target
        code = schedule.codes.get(p.source)
        for sign in (1, -1) if code is not None and code.pair else (0,):
            columns = (
                core_of[neuron], sources.first[p.source] + source, np.full(source.size, delay),
                np.full(source.size, sign), slot_of[neuron], p.weight * (sign or 1),
            )  # fmt: skip
            rows.append(np.stack(columns, axis=1))
    table = np.concatenate([np.zeros((0, 6), np.int64), *rows])
    table = table[np.lexsort(table.T[4::-1])]
    axons, lengths = np.unique(table[:, :4], axis=0, return_counts=True)
    listeners = [np.unique(axons[axons[:, 1] == s, 0]) for s in range(sources.total)]
    fields = (
        starts([ids.size for ids in slots]),
        np.concatenate(slots),
        starts(np.bincount(axons[:, 0], minlength=len(slots))),
        axons[:, 1],
        axons[:, 2],
        axons[:, 1] % len(target.core.encodings),
        starts(lengths),
        table[:, 4],
        table[:, 5],
        axons[:, 3],
    )
    return fields, listeners


def starts(lengths: npt.ArrayLike) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def route_tables(
    network: IntegerNetwork,
    sources: SourceSpace,
    target: Target,
    mesh: Mesh,
    cores: CoreTables,
    listeners: list[Ints],
    path: Path,
) -> RouteTables:
    """One net per sender and set of receivers, or per receiver without multicast."""
    router = cores.location[:, 1] * mesh.width + cores.location[:, 0]
    host = mesh.router(*target.topology.host_router)
    home = np.full(sources.total, -1)
    home[cores.neuron_source] = np.repeat(np.arange(cores.count), np.diff(cores.neuron_ptr))
    nets: dict[tuple[int, tuple[int, ...]], int] = {}
    sends = []
    for source, hearers in enumerate(listeners):
        groups = (
            [tuple(hearers)] if target.noc.multicast and hearers.size else [(c,) for c in hearers]
        )
        keys = [(int(home[source]), tuple(int(c) for c in group)) for group in groups]
        sends.append([nets.setdefault(key, len(nets)) for key in keys])
    trees = [
        tree(mesh, host if core < 0 else int(router[core]), [int(router[k]) for k in to], path)
        for core, to in nets
    ]
    return RouteTables(
        np.array([core for core, _ in nets], np.int64),
        starts([len(t[0]) for t in trees]),
        joined([t[0] for t in trees]),
        joined([t[1] for t in trees]),
        starts([len(t[2]) for t in trees]),
        joined([t[2] for t in trees]),
        joined([list(to) for _, to in nets]),
        starts([len(s) for s in sends]),
        joined(sends),
    )


def joined(lists: list[list[int]]) -> Ints:
    return np.array([value for part in lists for value in part], np.int64)


def tree(
    mesh: Mesh, root: int, ends: list[int], path: Path
) -> tuple[list[int], list[int], list[int]]:
    """Union of the paths to all ends: routers, parents, and the node of every end."""
    routers, parents = [root], [-1]
    for end in ends:
        previous = 0
        for router in path(mesh, root, end)[1:]:
            if router not in routers:
                routers.append(router)
                parents.append(previous)
            previous = routers.index(router)
    return routers, parents, [routers.index(end) for end in ends]
