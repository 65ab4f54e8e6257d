"""Run networks on Lava: ``python snnc_worker.py FOLDER...`` (or ``--probe``).

Standalone: standard library, NumPy, SciPy and lava-nc 0.10.0, with ``lava_import.py`` and the
other ``snnc_*.py`` beside it; Python 3.10 syntax.  Each FOLDER holds ``network.json`` (processes
with their parameters, connections, number of steps) and ``arrays.npz`` (plain numbers); the
recorders write ``NAME.events`` files there.

Standard output is one JSON object per line: ``{"step": n, "of": m}`` while a network runs,
``{"done": folder, ...}`` after it, ``{"error": kind, "problem": ..., "found": ...}`` before exit
code 1.  When standard input closes, everything that was started here is killed: no run outlives
the process that asked for it.
"""

from __future__ import annotations

import json
import os
import resource
import secrets
import signal
import sys
import threading
import time
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import lava_import
import numpy as np

PIECE_SECONDS = 2.0
"""How long one piece of a run should take: after each, progress is reported."""
TOKENS: set = set()
"""How the names of shared memory made here begin."""


class RefusedError(Exception):
    """A network or an environment that cannot run; the arguments are kind, problem, found."""


def main(arguments: list) -> int:
    """Run the folders in order; the exit code is 0 when all ran."""
    try:
        facts = environment()
        if arguments == ["--probe"]:
            say(**facts)
            return 0
        _die_with_parent()
        for folder in arguments:
            run(Path(folder))
    except RefusedError as refused:
        kind, problem, found = refused.args
        say(error=kind, problem=problem, found=found)
        return 1
    except Exception as error:
        say(
            error="failed", problem="Lava raised an error", found=f"{type(error).__name__}: {error}"
        )
        return 1
    return 0


def say(**record: Any) -> None:
    """One line of JSON."""
    print(json.dumps(record), flush=True)


def environment() -> dict:
    """Versions of what matters; raises where Lava cannot be used."""
    from importlib import metadata

    python = ".".join(map(str, sys.version_info[:3]))
    try:
        version = metadata.version("lava-nc")
    except metadata.PackageNotFoundError:
        raise RefusedError("absent", "lava-nc is not installed", f"Python {python}") from None
    if version != lava_import.LAVA_VERSION:
        raise RefusedError("version", "another version of lava-nc", version)
    try:
        lava_import.prepare()
    except ImportError as error:
        raise RefusedError("absent", "lava-nc cannot be imported", str(error)) from error
    import scipy

    return {
        "python": python, "lava": version, "numpy": np.__version__, "scipy": scipy.__version__,
        "executable": sys.executable,
    }  # fmt: skip


def _die_with_parent() -> None:
    """Kill this process group as soon as standard input closes."""

    def watch() -> None:
        try:
            while os.read(0, 4096):
                pass
        except OSError:
            pass
        for token in TOKENS:
            for path in Path("/dev/shm").glob(f"{token}_*"):
                path.unlink(missing_ok=True)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    if os.getpgrp() == os.getpid():  # started as a group of its own, as snnc does
        threading.Thread(target=watch, daemon=True).start()


def name_shared_memory(token: str) -> None:
    """Give shared memory names that begin with ``token``, so that leftovers can be found."""
    TOKENS.add(token)
    shared_memory._make_filename = lambda: f"/{token}_{secrets.token_hex(6)}"  # type: ignore


def run(folder: Path) -> None:
    """Build and run one network."""
    started = time.perf_counter()
    spent = _cpu_seconds()
    job = json.loads((folder / "network.json").read_text())
    if job.get("format") != "snnc-lava/1":
        raise RefusedError("format", "not a network of this worker", str(job.get("format")))
    name_shared_memory(job["token"])
    with np.load(folder / "arrays.npz", allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    processes = {record["name"]: build(record, arrays, folder) for record in job["processes"]}
    for link in job["connections"]:
        connect(link, processes)
    total = int(job["steps"])
    probes = []
    for record in job["processes"]:
        process = processes[record["name"]]
        if record["kind"] == "Monitor":
            process.probe(_variable(record, processes), total)
            probes.append((record, process))
        elif record["kind"] == "Reset":
            process.connect_var(_variable(record, processes))
    times = [time.perf_counter() - started, 0.0]
    parts = components(job)
    for number, first in enumerate(parts):
        _run_part(processes[first], total, number, len(parts), times)
    for record, monitor in probes:
        _save_probe(folder, record, monitor)
    # Only here: after an error Lava's stop() waits for ever; snnc kills the whole group instead.
    for first in parts:
        processes[first].stop()
    say(
        done=str(folder),
        start_seconds=times[0],
        run_seconds=times[1],
        steps=total,
        cpu_seconds=_cpu_seconds() - spent,
    )


def _cpu_seconds() -> float:
    """Of this process and of those it has waited for, which Lava does when it stops."""
    every = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(who)[:2]) for who in every)


def components(job: dict) -> list:
    """One process of every connected part: Lava runs what hangs together.

    A source that nobody listens to is left out.
    """
    group = {record["name"]: record["name"] for record in job["processes"]}

    def root(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    links = [(link["source"], link["target"]) for link in job["connections"]]
    linked = {name for pair in links for name in pair}
    for source, target in links:
        group[root(source)] = root(target)
    return sorted({root(name) for name in linked})


def _run_part(first: Any, total: int, number: int, parts: int, times: list) -> None:
    """Run one connected part in pieces; adds to ``times`` what starting and running took."""
    import logging

    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    config = Loihi2SimCfg(select_tag="fixed_pt", loglevel=logging.ERROR)
    done, piece = 0, 1
    while done < total:
        before, steps = time.perf_counter(), min(piece, total - done)
        try:
            first.run(condition=RunSteps(num_steps=steps), run_cfg=config)
        except RuntimeError as error:
            raise _process_error(first, error) from error
        took = time.perf_counter() - before
        times[min(done, 1)] += took
        piece = 4 if not done else max(1, min(4 * piece, int(steps * PIECE_SECONDS / took)))
        done += steps
        say(step=(number * total + done) // parts, of=total)


def _process_error(first: Any, error: Exception) -> Exception:
    """What a process of Lava raised; Lava itself only counts such exceptions."""
    try:
        actors = first.runtime._messaging_infrastructure.actors
        found = [actor.exception for actor in actors if actor.exception]
        return RefusedError("process", "an error inside one of Lava's processes", repr(found[0][0]))
    except (AttributeError, IndexError):
        return error


def _variable(record: dict, processes: dict) -> Any:
    """The variable a monitor or reset is for."""
    return getattr(processes[record["parameters"]["process"]], record["parameters"]["variable"])


def _save_probe(folder: Path, record: dict, monitor: Any) -> None:
    print(
        monitor.get_data(),
        monitor.proc_params["n_ref_ports"],
        monitor.target_names,
        file=sys.stderr,
    )
    (values,) = (v for d in monitor.get_data().values() for v in d.values())
    np.save(folder / f"{record['name']}.npy", np.asarray(values).astype(np.int64))


def build(record: dict, arrays: dict, folder: Path) -> Any:
    """The Lava process of one record; array parameters are named in ``arrays``."""
    values = dict(record["parameters"])
    for label, key in record["arrays"].items():
        _put(values, label, arrays[key])
    for label, keys in record["matrices"].items():
        values[label] = _csr(keys, arrays)
    kind = record["kind"]
    if "path" in values:
        values["path"] = str(folder / values["path"])
    for label in ("shape", "input_shape", "padding", "stride", "dilation"):
        if label in values:
            values[label] = tuple(values[label])
    return PROCESSES[kind](name=record["name"], **values)


def _put(values: dict, label: str, array: Any) -> None:
    """Set ``values["a"]["b"]`` for a label "a.b"."""
    *groups, last = label.split(".")
    for group in groups:
        values = values[group]
    values[last] = array


def _csr(keys: dict, arrays: dict) -> Any:
    from scipy.sparse import csr_matrix

    parts = (arrays[keys["data"]], arrays[keys["indices"]], arrays[keys["indptr"]])
    return csr_matrix(parts, shape=tuple(keys["shape"]))


def connect(link: dict, processes: dict) -> None:
    """Connect an out-port, seen through reshapes and transpositions, to an in-port."""
    port = getattr(processes[link["source"]], link["out"])
    for verb, argument in link["through"]:
        port = getattr(port, verb)(tuple(argument))
    port.connect(getattr(processes[link["target"]], link["in"]))


def _source(data: Any, name: str) -> Any:
    from lava.proc.io.source import RingBuffer

    return RingBuffer(data=data)


def _lif(name: str, **parameters: Any) -> Any:
    from lava.proc.lif.process import LIFReset

    return LIFReset(name=name, **parameters)


def _ternary(name: str, **parameters: Any) -> Any:
    from lava.proc.lif.process import TernaryLIF

    return TernaryLIF(name=name, **parameters)


def _synapse(module: str, kind: str) -> Any:
    def make(name: str, **parameters: Any) -> Any:
        import importlib

        from lava.utils.weightutils import SignMode

        if kind == "Conv":
            lava_import.prepare_conv()

        if "sign_mode" in parameters:
            parameters["sign_mode"] = SignMode[parameters["sign_mode"]]
        return getattr(importlib.import_module(module), kind)(name=name, **parameters)

    return make


def _own(kind: str, module: str = "snnc_processes") -> Any:
    def make(name: str, **parameters: Any) -> Any:
        import importlib

        return getattr(importlib.import_module(module), kind)(name=name, **parameters)

    return make


def _monitor(name: str, **_: Any) -> Any:
    from lava.proc.monitor.process import Monitor

    return Monitor()


def _reset(name: str, interval: int, offset: int, **_: Any) -> Any:
    from lava.proc.io.reset import Reset

    return Reset(interval=interval, offset=offset)


PROCESSES: dict = {
    "Source": _source,
    "LIF": _lif,
    "TernaryLIF": _ternary,
    "Dense": _synapse("lava.proc.dense.process", "Dense"),
    "DelayDense": _synapse("lava.proc.dense.process", "DelayDense"),
    "Sparse": _synapse("lava.proc.sparse.process", "Sparse"),
    "Conv": _synapse("lava.proc.conv.process", "Conv"),
    **{kind: _own(f"{kind}Reset", "snnc_sigma_delta") for kind in ("SigmaDelta", "Delta", "Sigma")},
    "ALIF": _own("ALIF", "snnc_alif"),
    "Monitor": _monitor,
    "Reset": _reset,
    **{kind: _own(kind) for kind in (
        "IntegerNeuron", "Axon", "WideSparse", "Sparse32", "Operator", "EventRecorder"
    )},
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
