"""Mapping: partition, assemble, place and route, with a report of what it cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from collections.abc import Mapping as Table
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from snnc.compiler.assemble import assemble
from snnc.compiler.assemble_shared import assemble_shared
from snnc.compiler.chip_count import chips_for, chips_report, most_chips
from snnc.compiler.encode import AnyTables, encode, sent_pairs
from snnc.compiler.layerwise import one_core_each, place_layers
from snnc.compiler.mapping_report import Usage, mapping_report
from snnc.compiler.objective import PLACED, Objective
from snnc.compiler.options import (
    EFFORTS,
    PARTITIONERS,
    ROUTINGS,
    Partitioner,
    RoutingRule,
    check_choice,
    check_seed,
)
from snnc.compiler.partition import Partition, partition
from snnc.compiler.partition.limits import Limits
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.wiring import Wiring, wire
from snnc.compiler.pins import Pin, check_names, classes
from snnc.compiler.place import (
    Effort,
    Goal,
    Placement,
    Problem,
    Progress,
    Sites,
    Zones,
    place,
    silent,
    sites_of,
    start_of,
)
from snnc.compiler.place.pinned import zones_of
from snnc.compiler.rounds import Routed, place_for_routes
from snnc.compiler.route import route
from snnc.compiler.route.links import link_cycles
from snnc.compiler.traffic import Traffic, nets_of
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.deployment import Certificate, RouteTables, Schedule, SourceSpace
from snnc.ir.errors import CapacityError, OptionError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input
from snnc.ir.shared_expansion import AnyExpansion, expand_large
from snnc.ir.target import Target
from snnc.ir.topology import Mesh, mesh_of, usable_chips


class Retimed(Protocol):
    """What mapping needs of ``snnc.compiler.retime.Retiming``."""

    @property
    def schedule(self) -> Schedule:
        """Logical to physical time."""

    @property
    def extra_delay(self) -> Table[tuple[str, str, int], int]:
        """Ticks beyond the minimum by (source, population, logical delay)."""


@dataclass(frozen=True)
class MapOptions:
    """How hard to try.

    Attributes:
        seed: equal seeds give equal mappings, unless the time limit strikes.
        time_limit_s: wall-clock limit of placement.
        effort: "low", "normal" (about a second for a chip) or "high".
        start: [cores, 3] x, y, slot of a former placement, to be improved.
        progress: called with (share of the placement search done, weighted hops now).
        partitioner: which populations are also cut as hypergraphs, see ``partition``.
        routing: see ``snnc.compiler.route.route``.
        pins: populations held to a place.
        objective: weights of what the mapping shall be good for.
    """

    seed: int = 0
    time_limit_s: float = 5.0
    effort: Effort = "normal"
    start: IntArray | None = None
    progress: Progress = silent
    partitioner: Partitioner = "auto"
    routing: RoutingRule = "xy"
    pins: tuple[Pin, ...] = ()
    objective: Objective = field(default_factory=Objective)

    def __post_init__(self) -> None:
        check_choice("--effort", self.effort, EFFORTS)
        check_choice("--partitioner", self.partitioner, PARTITIONERS)
        check_choice("--routing", self.routing, ROUTINGS)
        if not self.time_limit_s > 0:
            raise OptionError(
                "the time limit must be positive", where="--time-limit", found=self.time_limit_s
            )
        check_seed(self.seed)


@dataclass(frozen=True, eq=False)
class Mapping:
    """A network on a machine: what a ``Deployment`` takes over, and the report."""

    cores: AnyTables
    routes: RouteTables
    certificate: Certificate
    report: dict[str, Any]
    chips: int


class _Clock:
    """Seconds per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = round(now - self._last, 4)
        self._last = now


def map_network(
    network: IntegerNetwork,
    retiming: Retimed,
    target: Target,
    chips: int | None = 1,
    rates: Table[str, RealArray] | None = None,
    options: MapOptions | None = None,
    expansion: AnyExpansion | None = None,
) -> Mapping:
    """Map a legalized network onto chips of a target.

    Args:
        network: legal for the target.
        retiming: its schedule and extra delays.
        target: machine description; the only source of constraints.
        chips: number of chips, joined into one mesh; None: as ``chips_for`` says.
        rates: expected packets per sample of every element, by input or population name; those
            not listed count one packet per element.
        options: seed, effort and time limit.
        expansion: ``expand_large(network)``, when the caller already has it.

    Raises:
        CapacityError: it does not fit; the text names resource, layer and number of chips.
        UnsupportedError: a core's weights need more axon types than the target has.
        OptionError: an option or the number of chips is not allowed, or a pin is impossible.
    """
    chosen = options or MapOptions()
    given = None if chips is None else mesh_of(target, chips)
    clock = _Clock()
    parts = expansion or expand_large(network, kernels=target.core.stores_kernels)
    clock.lap("expand")
    pairs = {name for name, code in retiming.schedule.codes.items() if code.pair}
    wiring = wire(parts, SourceSpace.of(network), retiming.extra_delay, rates, pairs)
    meter = Meter(wiring, Limits.of(target))
    whole = target.layers is not None
    names = [p.name for p in wiring.populations]
    check_names(chosen.pins, names, [node.name for node in network.of_type(Input)])
    apart = classes(chosen.pins, names) if chosen.pins else None
    division = one_core_each(wiring) if whole else _partition(meter, target, given, chosen, apart)
    chips = chips_for(division.cores, target) if chips is None else chips
    mesh = given or mesh_of(target, chips)
    sites = sites_of(target, mesh)
    cores_of = [np.unique(division.core[a:b]) for a, b in pairwise(meter.first)]
    zones = zones_of(chosen.pins, names, cores_of, division.cores, sites, mesh)
    clock.lap("partition")
    made = assemble_shared if wiring.shared else assemble
    encoded = encode(made(wiring, division), meter)
    tables = encoded.tables
    flow = _flow(wiring, tables, target)
    clock.lap("assemble")
    usage: Usage = dict(encoded.usage)
    if whole:
        wanted = [term for term in (*PLACED, "cores") if chosen.objective.weights.get(term)]
        if wanted:
            raise OptionError(
                "whole layers are assigned so that the busiest core is least busy",
                where="--objective",
                found=", ".join(wanted),
                allowed="energy, which changes nothing here",
                remedy=f"leave it out on {target.id}",
            )
        if chosen.start is not None:
            raise OptionError(
                "whole layers are assigned to the cores of this target exactly, without a start",
                where="--placement-start",
                found=target.id,
                remedy="leave it out",
            )
        placement, memories = place_layers(network, target, wiring, chosen.seed, zones)
        usage |= memories
        clock.lap("place")
        routing = route(flow, placement.router, target, mesh, chosen.routing, chosen.seed)
        rounds: tuple[dict[str, Any], ...] = ()
        clock.lap("route")
    else:
        routed = place_and_route(flow, sites, target, mesh, chosen, zones, clock.lap)
        placement, routing, rounds = routed.placement, routed.routing, routed.rounds
    tables = replace(tables, location=placement.location.astype(np.int32))
    report = mapping_report(wiring, tables, usage, division, placement, flow, routing, mesh)
    report["objective"] = _objective(chosen.objective, placement) | {"rounds": list(rounds)}
    report["synapse_storage"] = encoded.storage
    reached = set(usable_chips(target, mesh))
    every = range(mesh.routers // (mesh.chip_width * mesh.chip_height))
    report["chips"] = chips_report(target, chips)
    report["chips_unreachable"] = [chip for chip in every if chip not in reached]
    report["seconds"] = clock.seconds
    return Mapping(tables, routing.tables, routing.certificate, report, chips)


def place_and_route(
    flow: Traffic,
    sites: Sites,
    target: Target,
    mesh: Mesh,
    options: MapOptions,
    zones: Zones | None = None,
    lap: Callable[[str], None] = lambda _stage: None,
) -> Routed:
    """Cores onto sites, nets onto links.

    Args:
        flow: nets between cores.
        sites: where cores can be.
        target, mesh: the machine.
        options: as of ``map_network``.
        zones: where some cores must be.
        lap: called with the name of a stage that has ended.

    Raises:
        SnncError: as ``place`` and ``route``.
    """
    host = mesh.router(*target.topology.host_router)
    problem = Problem.of(flow, sites, host, zones)
    start = None if options.start is None else start_of(problem, options.start)
    goal = Goal(
        Problem.directed(flow, sites, host, zones), options.objective, link_cycles(target, mesh),
        mesh.chip(np.arange(mesh.routers)), options.routing == "yx",
    )  # fmt: skip
    placement = place(
        problem, options.seed, options.effort, options.time_limit_s, start, options.progress, goal
    )
    lap("place")
    routed = place_for_routes(
        goal, placement, flow, target, mesh, options.routing, options.seed, options.effort,
        options.time_limit_s,
    )  # fmt: skip
    lap("route")
    return routed


def _objective(objective: Objective, placement: Placement) -> dict[str, Any]:
    """Weights and terms of the first placement and of the last; empty for whole layers."""
    terms = {
        term: {"weight": objective.weights.get(term, 0.0), "before": before, "after": after}
        for term, (before, after) in placement.terms.items()
    }
    total = {
        when: objective.total({term: value[k] for term, value in placement.terms.items()})
        for k, when in enumerate(("before", "after"))
        if terms
    }
    return {"terms": terms, "total": total}


def _partition(
    meter: Meter, target: Target, mesh: Mesh | None, options: MapOptions, apart: IntArray | None
) -> Partition:
    """``partition`` for the chips that can be reached; a refusal says which cannot.

    Args:
        mesh: of the chips; None: of as many as there can be.
    """
    usable = most_chips(target) if mesh is None else len(usable_chips(target, mesh))
    try:
        price = options.objective.cores_and_traffic
        return partition(meter, usable, options.seed, options.partitioner, apart, price)
    except CapacityError as error:
        chips = usable if mesh is None else mesh.routers // (mesh.chip_width * mesh.chip_height)
        if usable == chips or "more cores" not in error.problem:
            raise
        broken = ", ".join(f"{a}-{b}" for a, b in target.topology.broken_chip_links)
        raise CapacityError(
            error.problem,
            where=error.where,
            found=error.found,
            allowed=f"{error.allowed}; {chips - usable} of {chips} chips cannot be used because of "
            f"broken links ({broken})",
            remedy="arrange the chips so that a larger rectangle around the host's is whole "
            "(--chips, topology.chip_arrangement), or repair topology.broken_chip_links",
        ) from None


def _flow(wiring: Wiring, tables: AnyTables, target: Target) -> Traffic:
    start, dest = sent_pairs(tables, wiring.sources.total)
    core_of = np.full(wiring.sources.total, -1, np.int64)
    core = np.repeat(np.arange(tables.count), np.diff(tables.neuron_ptr))
    core_of[tables.neuron_source] = core
    return nets_of(start, dest, core_of, tables.count, wiring.rate, target.noc.multicast)
