"""From a plan to deployments: every phase scheduled, mapped, checked and reported on its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from snnc.compiler.map import Mapping as CoreMapping
from snnc.compiler.phases.plan import Plan, Planner
from snnc.compiler.phases.report import phased_report
from snnc.compiler.phases.sizes import Machine
from snnc.compiler.phases.streams import Stream
from snnc.compiler.retime import Retiming
from snnc.compiler.summary import summarize
from snnc.compiler.verify import verify, verify_phased
from snnc.compiler.wire import wire_codes
from snnc.ir.arrays import RealArray
from snnc.ir.deployment import Deployment
from snnc.ir.errors import CapacityError, OptionError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input
from snnc.ir.phased import Member, PhasedDeployment, origin
from snnc.ir.subnetwork import replayed, subnetworks
from snnc.ir.target import Target
from snnc.ir.wire import WireCode

Rates = Mapping[str, RealArray]
Measure = Callable[[Mapping[str, WireCode]], Rates]
"""Packets per sample of every element of the whole network, sent by these wire codes."""


@dataclass(frozen=True, eq=False)
class PhasedMapping:
    """Phases on a machine: what a ``PhasedDeployment`` takes over, and the report of the plan.

    Attributes:
        rates: by phase, packets per sample of its inputs and populations; None without data.
    """

    plan: Plan
    networks: tuple[IntegerNetwork, ...]
    retimings: tuple[Retiming, ...]
    mappings: tuple[CoreMapping, ...]
    rates: tuple[Rates | None, ...]
    streams: Mapping[str, Stream]
    report: dict[str, Any]


def check_target(target: Target, most: int | None) -> None:
    """Raise where a machine cannot take phases.

    Raises:
        OptionError: several phases are allowed, and the machine has no time steps in which spikes
            could be played in again, or cores that hold whole layers.
    """
    if most != 1 and (target.execution.sync == "async" or target.layers is not None):
        raise OptionError(
            "this machine works on events as they come, on cores that hold whole layers",
            where="--phases",
            found=target.id,
            allowed="never",
            remedy="leave it out, or choose a target with time steps",
        )


def phase(
    network: IntegerNetwork,
    machine: Machine,
    rates: Rates | None = None,
    most: int | None = None,
    measure: Measure | None = None,
) -> PhasedMapping:
    """Cut a legalized network into phases and map each.

    Args:
        network: legal for the machine's target.
        machine: what runs one phase at a time.
        rates: expected packets per sample of every element, by input or population name.
        most: largest number of phases; None: as many as it takes.
        measure: gives ``rates`` for other wire codes: the host may send what a population spreads
            over slots in another way.

    Raises:
        CapacityError: a loop or a neuron fits no phase, or more phases are needed than allowed.
        UnsupportedError: as ``retime`` and ``map_network``.
    """
    planner = Planner(network, machine, rates, most)
    while True:
        plan = planner.find()
        networks = subnetworks(network, plan.phases, plan.loops)
        done: list[tuple[Retiming, CoreMapping]] = []
        used = [_rates(network, machine, n, m, rates, measure)
                for n, m in zip(networks, plan.phases, strict=True)]  # fmt: skip
        try:
            for number, (part, known) in enumerate(zip(networks, used, strict=True)):
                done.append(_turned(machine, plan, number).map(part, known))
        except CapacityError as error:
            planner.refuse(plan, len(done), error)
            continue
        retimings, mappings = zip(*done, strict=True)
        report = {"plan": dict(plan.report), "seconds": [m.report["seconds"] for m in mappings]}
        return PhasedMapping(
            plan, networks, retimings, mappings, tuple(used), planner.streams, report
        )


def _turned(machine: Machine, plan: Plan, number: int) -> Machine:
    """The machine for the steps that a phase runs at a time."""
    for loop in plan.loops:
        if loop.first <= number < loop.last:
            return replace(machine, steps=min(loop.block, machine.steps))
    return machine


def _rates(
    network: IntegerNetwork,
    machine: Machine,
    part: IntegerNetwork,
    members: tuple[Member, ...],
    rates: Rates | None,
    measure: Measure | None,
) -> dict[str, RealArray] | None:
    """Packets per sample in a phase, in its names."""
    if rates is None:
        return None
    played = replayed(network, part)
    codes = wire_codes(part, machine.target, machine.wire_code)
    whole = wire_codes(network, machine.target, machine.wire_code)
    other = {p: codes[i] for i, p in played.items() if i in codes and codes[i] != whole.get(p)}
    sent = rates if not other or measure is None else measure({**whole, **other})
    inputs = [node.name for node in part.of_type(Input)]
    result = {name: np.asarray(sent[origin(network, name)[0]]) for name in inputs}
    for member in members:
        shape = network.shapes[member.population]
        flat = np.asarray(rates[member.population]).reshape(-1)
        result[member.name] = flat[member.neurons(shape)]
    return result


def finish(
    network: IntegerNetwork,
    machine: Machine,
    mapping: PhasedMapping,
    provenance: Mapping[str, Any],
    quantized: Mapping[str, Any],
    conversion: Mapping[str, Any] | None = None,
) -> PhasedDeployment:
    """The checked deployment with its report.

    Args:
        network: the whole network, as given to ``phase``.
        machine: as given to ``phase``.
        mapping: what ``phase`` returned.
        provenance: of the compilation.
        quantized: report of the quantizer.
        conversion: what the conversion of an ANN cost; None for spiking networks.

    Raises:
        VerificationError: a rule is broken; a defect in snnc.
    """
    phases = []
    for number, part in enumerate(mapping.networks):
        retiming, mapped = mapping.retimings[number], mapping.mappings[number]
        draft = Deployment(
            part, machine.target, machine.chips, retiming.schedule, mapped.cores, mapped.routes,
            mapped.certificate, {}, {},
        )  # fmt: skip
        stages = {"retime": retiming, "map": mapped, "quantize": SimpleNamespace(report={})}
        phases.append(summarize(draft, verify(draft).as_dict(), stages, mapping.rates[number]))
    turns = mapping.plan.loops, machine.steps if mapping.plan.loops else 0
    whole = PhasedDeployment(
        network, machine.target, machine.chips, mapping.plan.phases, tuple(phases), provenance,
        {}, *turns,
    )  # fmt: skip
    checked = verify_phased(whole, phases_too=False)
    report = phased_report(whole, mapping.plan.report, mapping.streams, checked.as_dict(),
                           quantized, conversion)  # fmt: skip
    bare = tuple(_without_report(deployment) for deployment in phases)
    return PhasedDeployment(
        network, machine.target, machine.chips, mapping.plan.phases, bare, provenance, report,
        *turns,
    )  # fmt: skip


def _without_report(deployment: Deployment) -> Deployment:
    """The report of a phase lies in that of the whole."""
    return Deployment(
        deployment.network, deployment.target, deployment.chips, deployment.schedule,
        deployment.cores, deployment.routes, deployment.certificate, {}, {},
    )  # fmt: skip
