"""One run as a folder of plain files: what the worker reads, and the events it writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnc.backends.lava import widths
from snnc.backends.lava.errors import LavaError
from snnc.backends.lava.plan import Connection, Plan, Process
from snnc.ir.arrays import AnyArray, IntArray

FORMAT = "snnc-lava/1"
EVENT_SUFFIX = ".events"
INT32 = 2**31


@dataclass(frozen=True, eq=False)
class Job:
    """A plan with data.

    Attributes:
        inputs: by input, integers [samples, steps, ...]; steps as the plan's windows.
        probes: (population, variable), Lava's ``u`` or ``v`` to record in every time step.
        record: whether spikes are written; False only measures how fast Lava is.
    """

    plan: Plan
    inputs: Mapping[str, IntArray]
    probes: Sequence[tuple[str, str]] = ()
    record: bool = True

    @property
    def samples(self) -> int:
        """Samples of the data."""
        return len(next(iter(self.inputs.values())))


def write_job(job: Job, folder: Path, token: str) -> None:
    """Write ``network.json`` and ``arrays.npz``; ``token`` begins the names of shared memory.

    Raises:
        LavaError: a parameter or input value beyond Lava's widths.
    """
    plan, total = job.plan, job.plan.time_steps(job.samples)
    sources = [_source(plan, name, job.inputs[name], total) for name in plan.inputs]
    processes = [*sources, *plan.processes]
    links = list(plan.connections)
    for index, (name, emitter) in enumerate(plan.emitters.items() if job.record else ()):
        window = plan.windows[name].as_dict()
        parameters = {
            "shape": [_size(processes, emitter)],
            "path": f"{index}{EVENT_SUFFIX}",
            "window": window,
        }
        processes.append(Process(f"{name}.events", "EventRecorder", parameters))
        links.append(Connection(emitter, "s_out", (), f"{name}.events", "s_in"))
    for index, (name, variable) in enumerate(job.probes):
        parameters = {"process": name, "variable": variable}
        processes.append(Process(f"probe{index}", "Monitor", parameters))
    widths.check(processes)
    arrays: dict[str, AnyArray] = {}
    record = {
        "format": FORMAT,
        "name": plan.name,
        "token": token,
        "steps": total,
        "processes": [_record(process, arrays) for process in processes],
        "connections": [
            {"source": c.source, "out": c.out, "through": c.through, "target": c.target,
             "in": c.into}
            for c in links
        ],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "network.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    with (folder / "arrays.npz").open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_events(folder: Path, job: Job) -> dict[str, IntArray]:
    """By population, int64 [events, 4]: sample, step, flat neuron, value; in time order.

    While the last sample reaches the last layers, the first ones already live in one that does
    not exist; that is left out.
    """
    found: dict[str, IntArray] = {}
    for index, name in enumerate(job.plan.emitters):
        path = folder / f"{index}{EVENT_SUFFIX}"
        data = path.read_bytes() if path.exists() else b""
        rows = np.frombuffer(data, np.int64).reshape(-1, 4)
        found[name] = rows[rows[:, 0] < job.samples]
    return found


def _source(plan: Plan, name: str, values: IntArray, total: int) -> Process:
    """The input as Lava's ring buffer: [elements, time steps], zero outside samples."""
    window, samples = plan.windows[name], len(values)
    flat = values.reshape(samples, values.shape[1], -1)
    if flat.shape[1] != window.steps:
        raise LavaError(
            "the network was planned for another number of steps",
            where=name,
            found=flat.shape[1],
            allowed=window.steps,
        )
    if flat.size and max(int(flat.max()), -int(flat.min())) >= INT32:
        raise LavaError(
            "Lava's ring buffer holds 32 bits", where=name, found=f"up to {int(flat.max())}"
        )
    data = np.zeros((plan.inputs[name], total), np.int32)
    for sample in range(samples):
        start = sample * window.stride + window.first - 1
        data[:, start : start + window.period * window.steps : window.period] = flat[sample].T
    return Process(name, "Source", {}, {"data": data})


def _size(processes: Sequence[Process], name: str) -> int:
    for process in processes:
        if process.name == name:
            size: int = process.parameters["shape"][0]
            return size
    raise KeyError(name)


def _record(process: Process, arrays: dict[str, AnyArray]) -> dict[str, Any]:
    def stored(array: AnyArray) -> str:
        key = f"a{len(arrays)}"
        arrays[key] = np.asarray(array)
        return key

    return {
        "name": process.name,
        "kind": process.kind,
        "parameters": process.parameters,
        "arrays": {label: stored(array) for label, array in process.arrays.items()},
        "matrices": {
            label: {
                "data": stored(m.data),
                "indices": stored(m.indices),
                "indptr": stored(m.indptr),
                "shape": list(m.shape),
            }
            for label, m in process.matrices.items()
        },
    }
