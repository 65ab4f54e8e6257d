"""The report inside an artifact: what was compiled, where it lies, what it is expected to cost.

Schema ``snnc-report/1``, field by field in ``docs/report.md``.  JSON values only, and nothing
that differs between two equal compilations (no times, no paths).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from snnc.compiler import estimate
from snnc.ir.arrays import IntArray, RealArray
from snnc.ir.deployment import Deployment
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input, Output
from snnc.ir.topology import usable_chips

SCHEMA = "snnc-report/1"
NEGLIGIBLE = 1e-5  # what float32 checkpoints leave open


def summarize(
    draft: Deployment,
    checked: Mapping[str, Any],
    stages: Mapping[str, Any],
    rates: Mapping[str, RealArray] | None,
    conversion: Mapping[str, Any] | None = None,
) -> Deployment:
    """The deployment with its report.

    Args:
        draft: verified, without report.
        checked: what the independent checker found: utilization, unchecked resources.
        stages: results by stage name; their ``report`` mappings are taken over.
        rates: packets per sample of every element, or None when no data was given.
        conversion: what the conversion of an ANN cost; None for spiking networks.
    """
    owner = _owners(draft)
    # Seconds differ from run to run; the placement carries what "cores" says.
    mapped = stages["map"].report
    kept = {name: value for name, value in mapped.items() if name not in ("seconds", "cores")}
    report = {
        "schema": SCHEMA,
        "network": {
            **describe_network(draft.network),
            "synapses": int(draft.cores.rows.synapses),
        },
        "target": _target(draft),
        "assumptions": {**draft.network.assumptions, **_schedule_assumptions(draft)},
        "layers": _layers(draft, owner, rates),
        "placement": _placement(draft, owner, mapped["cores"]),
        "schedule": _schedule(draft),
        "conversion": None if conversion is None else dict(conversion),
        "quantize": dict(stages["quantize"].report),
        "retime": dict(stages["retime"].report),
        "map": kept,
        "check": dict(checked),
        "approximations": approximations(stages["quantize"].report),
        "unchecked": list(checked["unchecked"]),
        "traffic": _traffic(draft, rates),
        "certificate": {
            "channels": int(draft.certificate.channels.shape[0]),
            "statement": "the channels are listed in an order in which every packet only goes "
            "forward, so no cycle of waiting packets can form",
            "assumptions": list(draft.certificate.assumptions),
        },
    }
    return dataclasses.replace(draft, report=report)


def _schedule_assumptions(deployment: Deployment) -> dict[str, str]:
    """What the schedule takes for granted, and a description of a machine does not say."""
    schedule, result = deployment.schedule, {}
    if schedule.period > 1:
        result["schedule.period"] = (
            f"a population updates in one of {schedule.period} ticks; in the others the machine "
            "holds its state: no leak, no bias"
        )
    slotted = sorted(name for name, code in schedule.codes.items() if code.slots > 1)
    if slotted:
        result["schedule.wire_codes"] = (
            f"counts of {', '.join(slotted)} take several ticks; cores add up what arrives and "
            "update a neuron once per step, after the last slot"
        )
    late = [p.name for p in deployment.network.populations if p.bias and schedule.offset[p.name]]
    if late:
        result["schedule.bias"] = (
            f"the host switches the biases of {', '.join(late)} on in the tick of their first step"
        )
    return result


def approximations(quantized: Mapping[str, Any]) -> list[str]:
    """Where the integers are not the trained numbers, in words."""
    lines = []
    for name, layer in quantized.get("layers", {}).items():
        rounded, ratio = layer["groups"] - layer["exact_groups"], layer["weight_sqnr_db"]
        if rounded and ratio is not None:  # None: no error, whatever grid was taken
            lines.append(
                f"{name}: weights of {rounded} of {layer['groups']} channels are rounded to "
                f"{layer['weight_bits']} bits, signal to noise {ratio:.1f} dB"
            )
        lines += [f"{name}: {text}" for text in _rounded_parameters(layer)]
        count = layer.get("count")
        if count is not None and count["reachable"] > count["limit"]:
            lines.append(
                f"{name}: at most {count['limit']} spikes per step, where the weights allow up to "
                f"{count['reachable']} (--max-spikes)"
            )
        if not layer["accumulator"]["proven"]:
            lines.append(f"{name}: {layer['accumulator'].get('otherwise', 'width not proven')}")
    return lines + _asked_for(quantized) + _measured(quantized.get("fidelity", {}))


def _asked_for(quantized: Mapping[str, Any]) -> list[str]:
    """Leaks taken in another format, and neurons moved by corrections."""
    lines = []
    for name, leak in quantized.get("leaks", {}).items():
        if "lost_per_step" in leak:
            constant = leak["lost_per_step"]
            lines.append(f"{name}: instead of decaying, loses up to {constant:.2g} per step")
        elif max(leak.values()):
            lines.append(f"{name}: decays by shifts, off by up to {max(leak.values()):.2g}")
    lines += [
        f"{name}: rounded to the nearest, not by calibration (sparse, or too many inputs)"
        for name in quantized.get("rounded_to_nearest", ())
    ]
    for name, moved in quantized.get("corrections", {}).get("layers", {}).items():
        if moved.get("mean_shift"):
            lines.append(
                f"{name}: biases corrected, mean input was off by {moved['mean_shift']:.2g}"
            )
        if moved.get("spikes_off", 0) != moved.get("spikes_off_after", 0):
            lines.append(
                f"{name}: thresholds scaled to match spike rates, {moved['spikes_off']:,} spikes "
                f"off before and {moved['spikes_off_after']:,} after"
            )
    return lines


def _measured(fidelity: Mapping[str, Any]) -> list[str]:
    """Spikes and classes on calibration data: the trained network and its integers."""
    samples = fidelity.get("samples", 0)
    where = f"on {samples} calibration sample(s)"
    lines = [
        f"{name}: {layer['different']:,} spikes differ from the trained network's "
        f"{layer['spikes']:,} {where}"
        for name, layer in fidelity.get("layers", {}).items()
        if layer["different"]
    ]
    for name, output in fidelity.get("outputs", {}).items():
        if lines:  # without a different spike nothing is approximate
            text = f"{name}: {output['alike']} classified as by the trained network"
            if "correct" in output:
                text += (
                    f", {output['correct']} correct before and {output['integer_correct']} after"
                )
            lines.append(f"{text} {where}")
    return lines


def _rounded_parameters(layer: Mapping[str, Any]) -> list[str]:
    """Neuron parameters that are not the trained ones, beyond the precision of the checkpoint."""
    told = (
        ("threshold_error", "thresholds are off by up to {:.2g} of themselves"),
        ("reset_error", "resets are off by up to {:.2g} of the threshold"),
        ("bias_error", "biases are off by up to {:.2g} of the threshold per step"),
        ("state_rounding", "what leaks is rounded to {:.2g} of the threshold in every step"),
        ("leak_error", "the decay is off by up to {:.2g} per step"),
        ("current_leak_error", "the decay of the current is off by up to {:.2g} per step"),
    )
    return [text.format(layer[key]) for key, text in told if layer.get(key, 0.0) > NEGLIGIBLE]


def _owners(deployment: Deployment) -> IntArray:
    """[neurons in the tables] index of the population each belongs to."""
    firsts = [deployment.sources.first[p.name] for p in deployment.network.populations]
    result: IntArray = (
        np.searchsorted(np.array(firsts), deployment.cores.neuron_source, side="right") - 1
    )
    return result


def describe_network(network: IntegerNetwork) -> dict[str, Any]:
    """Inputs, outputs and size of a network as JSON values."""
    return {
        "name": network.name,
        "inputs": [
            {"name": n.name, "shape": list(n.shape), "type": str(n.type)}
            for n in network.of_type(Input)
        ],
        "outputs": [
            {
                "name": n.name,
                "shape": list(network.shapes[n.name]),
                "population": n.inputs[0],
                "readout": n.readout,
            }
            for n in network.of_type(Output)
        ],
        "populations": len(network.populations),
        "neurons": sum(population.size for population in network.populations),
    }


def _target(deployment: Deployment) -> dict[str, Any]:
    mesh, target = deployment.mesh, deployment.target
    return {
        "id": target.id,
        "name": target.name,
        "chips": deployment.chips,
        "mesh": [mesh.width, mesh.height],
        "chip_mesh": [mesh.chip_width, mesh.chip_height],
        "links": mesh.links,
        "cores_per_router": mesh.cores_per_router,
        "cores_used": deployment.cores.count,
        "cores_available": target.topology.usable_cores
        * len(usable_chips(target, deployment.mesh)),
        "unknown": list(target.unknown),
    }


def _layers(
    deployment: Deployment, owner: IntArray, rates: Mapping[str, RealArray] | None
) -> list[dict[str, Any]]:
    cores = deployment.cores
    core_of_neuron = np.repeat(np.arange(cores.count), np.diff(cores.neuron_ptr))
    synapses = _synapses_per_population(deployment, owner)
    layers = []
    for index, population in enumerate(deployment.network.populations):
        mine = np.flatnonzero(np.bincount(core_of_neuron[owner == index]))
        spikes = None if rates is None else float(np.sum(rates[population.name]))
        layers.append(
            {
                "name": population.name,
                "shape": list(population.shape),
                "neurons": population.size,
                "synapses": int(synapses[index]),
                "cores": mine.tolist(),
                "offset": int(deployment.schedule.offset.get(population.name, 0)),
                "spikes_per_sample": spikes,
            }
        )
    return layers


def _synapses_per_population(deployment: Deployment, owner: IntArray) -> IntArray:
    """Stored synapses by the population they feed."""
    total = np.zeros(len(deployment.network.populations), np.int64)
    np.add.at(total, owner, deployment.cores.fan_in)
    return total


def _placement(
    deployment: Deployment, owner: IntArray, mapped: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    cores, mesh = deployment.cores, deployment.mesh
    names = [p.name for p in deployment.network.populations]
    synapses = cores.core_synapses
    placement = []
    for core in range(cores.count):
        x, y, slot = (int(value) for value in cores.location[core])
        mine = owner[cores.neuron_ptr[core] : cores.neuron_ptr[core + 1]]
        counts = np.bincount(mine, minlength=len(names))
        placement.append(
            {
                "core": core,
                "x": x,
                "y": y,
                "slot": slot,
                "chip": mesh.chip(mesh.router(x, y)),
                "populations": {names[k]: int(counts[k]) for k in np.flatnonzero(counts)},
                "neurons": int(mine.size),
                "axons": int(cores.axon_ptr[core + 1] - cores.axon_ptr[core]),
                "synapses": int(synapses[core]),
                "use": mapped[core]["use"],
            }
        )
    return placement


def _schedule(deployment: Deployment) -> dict[str, Any]:
    schedule = deployment.schedule
    return {
        "timesteps": schedule.timesteps,
        "period": schedule.period,
        "ticks": schedule.ticks,
        "latency_ticks": {
            n.name: int(schedule.offset.get(n.inputs[0], 0))
            for n in deployment.network.of_type(Output)
        },
        "offset": {name: int(value) for name, value in schedule.offset.items()},
        "wire_codes": {name: dataclasses.asdict(code) for name, code in schedule.codes.items()},
        "core_start": list(schedule.core_start),
    }


def _traffic(deployment: Deployment, rates: Mapping[str, RealArray] | None) -> dict[str, Any]:
    """Expected load and energy per sample; without data there is nothing to expect."""
    if rates is None:
        return {
            "basis": "no calibration data: spike rates are not known, so traffic and energy are "
            "not estimated",
            "channels": [],
            "energy": None,
        }
    found = estimate.traffic(deployment, rates)
    counts = found.counts
    return {
        "basis": "mean packets per sample on the calibration data",
        "packets": counts["message_out"] + counts["host_in"],
        "hops": counts["hop_ew"] + counts["hop_ns"] + counts["hop_chip"],
        "synaptic_events": estimate.synaptic_events(counts),
        "busiest_channel": float(found.load.max(initial=0.0)),
        "channels": [
            [int(a), int(b), round(float(load), 3)]
            for (a, b), load in zip(found.channels, found.load, strict=True)
        ],
        "energy": estimate.priced(deployment.target, counts),
    }
