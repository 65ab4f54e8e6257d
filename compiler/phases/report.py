"""What phases cost: loading, buffering, time.  Schema ``snnc-phased-report/1``, docs/phases.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from snnc.compiler.phases.streams import Stream
from snnc.compiler.summary import approximations, describe_network
from snnc.ir.deployment import Deployment
from snnc.ir.neuron import Neuron
from snnc.ir.nodes import Input
from snnc.ir.phased import Loop, PhasedDeployment
from snnc.ir.subnetwork import replayed
from snnc.ir.target import Target

SCHEMA = "snnc-phased-report/1"
BATCHES = (1, 10, 100, 1000)
MEMORY_UNITS = {"bit": 8, "byte": 1}


def phased_report(
    program: PhasedDeployment,
    plan: Mapping[str, Any],
    streams: Mapping[str, Stream],
    checked: Mapping[str, Any],
    quantized: Mapping[str, Any],
    conversion: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The report of a phased program.

    Args:
        program: its phases carry their own reports.
        plan: how the phases were found.
        streams: bytes that every input and population sends in a sample.
        checked: what the independent checker found about the phases.
        quantized: report of the quantizer.
        conversion: what the conversion of an ANN cost.
    """
    images = [image_bytes(phase) for phase in program.phases]
    rows = [_phase(program, number, image, streams) for number, image in enumerate(images)]
    traffic = sum(row["reads"]["bytes"] + row["writes"]["bytes"] for row in rows)
    total = sum(image["bytes"] * program.loads_of(k) for k, image in enumerate(images))
    loops = [_loop(program, loop, images) for loop in program.loops]
    each = traffic + sum(loop["state_bytes_per_sample"] for loop in loops)
    unchecked = [u for phase in program.phases for u in phase.report["unchecked"]]
    return {
        "schema": SCHEMA,
        "network": describe_network(program.network),
        "target": {
            "id": program.target.id,
            "name": program.target.name,
            "chips": program.chips,
            "cores_available": plan["machine_cores"],
        },
        "timesteps": program.timesteps,
        "assumptions": _assumptions(program),
        "conversion": None if conversion is None else dict(conversion),
        "quantize": dict(quantized),
        "approximations": approximations(quantized),
        "unchecked": list(dict.fromkeys(unchecked)),
        "plan": dict(plan),
        "phases": rows,
        "cost": {
            "ticks_per_sample": program.ticks,
            "reload": load_cost(program.target, total),
            "reload_basis": images[0]["basis"],
            "buffer_bytes_per_sample": _largest_buffer(program, streams),
            "buffer_traffic_bytes_per_sample": traffic,
            "by_batch": [
                {"batch": batch, "moved_bytes_per_sample": math.ceil(total / batch) + each}
                for batch in BATCHES
            ],
            "loops": loops,
            "step_by_step": {
                "reload_bytes_per_sample": sum(i["bytes"] for i in images) * program.timesteps,
                "state_bytes_per_sample": _state_bytes(program, program.network.populations),
            },
        },
        "check": dict(checked),
    }


def image_bytes(deployment: Deployment) -> dict[str, Any]:
    """Bytes that loading a phase writes, as far as the target says what its memories hold."""
    target = deployment.target
    used = [core["use"] for core in deployment.report["placement"]]
    sums: dict[bool, dict[str, float]] = {True: {}, False: {}}
    for name, resource in target.core.resources.items():
        part = MEMORY_UNITS.get(resource.capacity.u)
        if part is not None and used and name in used[0]:
            exact = bool(resource.use or resource.use_per_axon)
            sums[exact][name] = sum(use[name][0] / part for use in used)
    if sums[True]:
        total = math.ceil(sum(sums[True].values()))
        return {"bytes": total, "basis": f"memory in use: {', '.join(sums[True])}"}
    if sums[False]:  # pools may hold one another, so the fullest stands for all
        name = max(sums[False], key=lambda n: sums[False][n])
        return {"bytes": math.ceil(sums[False][name]), "basis": f"lower bound of {name}"}
    bits = max(target.core.weight.bits)
    weights = math.ceil(deployment.cores.rows.synapses * bits / 8)
    return {"bytes": weights, "basis": f"weights of {bits} bits; no memory is described in bytes"}


def load_cost(target: Target, count: int) -> dict[str, Any]:
    """Bytes with their time and energy; null where the target has no price for ``load_byte``."""
    cost = target.costs.load_byte
    seconds = None if cost.latency is None else count * cost.latency
    joules = None if cost.energy is None else count * cost.energy
    unpriced = [name for name, value in (("latency", seconds), ("energy", joules)) if value is None]
    return {"bytes": count, "seconds": seconds, "joules": joules, "unpriced": unpriced}


def _phase(
    program: PhasedDeployment, number: int, image: Mapping[str, Any], streams: Mapping[str, Stream]
) -> dict[str, Any]:
    phase = program.phases[number]
    played = set(replayed(program.network, phase.network).values())
    shared = _shared_inputs(program)
    inputs = {node.name for node in phase.network.of_type(Input)} & shared
    owned = program.owned(number)
    written = _written(program, number)
    return {
        "members": [
            {
                "population": member.population,
                "neurons": None if member.part is None else list(member.part),
                "again": member not in owned,
            }
            for member in program.members[number]
        ],
        "cores": phase.cores.count,
        "ticks": program.ticks_of(number),
        "reload": load_cost(program.target, image["bytes"] * program.loads_of(number)),
        "reads": _moved(streams, played | inputs),
        "writes": _moved(streams, written),
        "report": dict(phase.report),
    }


def _moved(streams: Mapping[str, Stream], names: set[str]) -> dict[str, Any]:
    found = [streams[name] for name in sorted(names)]
    return {
        "streams": [stream.name for stream in found],
        "bytes": sum(stream.bytes for stream in found),
        "raster_bytes": sum(stream.raster_bytes for stream in found),
    }


def _shared_inputs(program: PhasedDeployment) -> set[str]:
    """Inputs of the network that more than one phase reads."""
    times: dict[str, int] = {}
    for phase in program.phases:
        for node in phase.network.of_type(Input):
            times[node.name] = times.get(node.name, 0) + 1
    return {n.name for n in program.network.of_type(Input) if times.get(n.name, 0) > 1}


def _written(program: PhasedDeployment, number: int) -> set[str]:
    """Populations whose last neurons run in a phase and that a later one plays in."""
    later = {
        population
        for phase in program.phases[number + 1 :]
        for population in replayed(program.network, phase.network).values()
    }
    return {m.population for m in program.owned(number)
            if program.owner[m.population][-1] == number} & later  # fmt: skip


def _largest_buffer(program: PhasedDeployment, streams: Mapping[str, Stream]) -> dict[str, int]:
    """Most bytes that the host holds for one sample while a phase runs or the next is loaded."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for number, phase in enumerate(program.phases):
        for population in replayed(program.network, phase.network).values():
            loop = program.loop_of(number)
            first[population] = program.owner[population][0]
            last[population] = number if loop is None else loop.last - 1
    held = [
        [streams[name] for name in first if first[name] <= number <= last[name]]
        for number in range(len(program.phases))
    ]
    return {
        "any_spikes": max(sum(s.raster_bytes for s in row) for row in held),
        "expected": max(sum(s.bytes for s in row) for row in held),
    }


def _loop(
    program: PhasedDeployment, loop: Loop, images: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What phases in turns cost: their synapses for every block, and states saved and loaded."""
    phases = range(loop.first, loop.last)
    turns = program.loads_of(loop.first)
    names = {m.population for number in phases for m in program.members[number]}
    held = [node for node in program.network.populations if node.name in names]
    # Nothing is loaded before the first block, or saved after the last.
    loaded = (turns - 1) * _state_bytes(program, held)
    return {
        "phases": [loop.first + 1, loop.last],
        "block_steps": loop.block,
        "turns": turns,
        "reload_bytes": turns * sum(images[number]["bytes"] for number in phases),
        "state_bytes_per_sample": 2 * loaded,
        "state_loading_per_sample": load_cost(program.target, loaded),
    }


def _state_bytes(program: PhasedDeployment, neurons: Sequence[Neuron]) -> int:
    """Neuron state to save once, or to load."""
    model = program.target.neuron
    total = 0
    for neuron in neurons:
        bits = model.state_bits + (0 if neuron.current is None else model.current_bits)
        if neuron.adaptation is not None or neuron.recovery is not None or neuron.delta is not None:
            bits += model.state_bits
        bits += neuron.refractory.bit_length()
        total += math.ceil(neuron.size * bits / 8)
    return total


def _assumptions(program: PhasedDeployment) -> dict[str, str]:
    result = dict(program.network.assumptions)
    for phase in program.phases:
        found = {name: text for name, text in phase.report["assumptions"].items()
                 if name.startswith("schedule.")}  # fmt: skip
        result |= {name: result.get(name, text) for name, text in found.items()}
    if program.loops:
        result["phases.loops"] = (
            "phases of a loop take turns block by block of steps; the host reads the states of "
            "their neurons at the end of a block and writes them before the next"
        )
    result["phases.host"] = (
        "the host hears every spike that a later phase reads, keeps it, and plays it in at the "
        "same step; between samples and phases neurons start from reset"
    )
    return result
