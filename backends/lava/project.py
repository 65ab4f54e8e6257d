"""A network as a Python project for Lava that needs no snnc: what ``snnc export --to lava`` writes.

``network.py`` builds it process by process, ``weights.npz`` holds the numbers, ``run.py`` runs it;
``lava_import.py`` and ``snnc_*.py`` are copies.  Names of a model are
written as string literals only.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snnc.backends.lava import widths
from snnc.backends.lava.environment import STANDALONE
from snnc.backends.lava.plan import Connection, Plan, Process
from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.errors import OutputError

COPIED = ("lava_import.py", "snnc_processes.py", "snnc_alif.py", "snnc_sigma_delta.py")
TEMPLATE = STANDALONE / "project" / "run.py"
CPU_ONLY = ("IntegerNeuron", "ALIF", "Axon", "WideSparse", "Sparse32", "Operator", "EventRecorder")
_CLASSES = {
    "LIF": "LIFReset", "SigmaDelta": "SigmaDeltaReset", "Delta": "DeltaReset",
    "Sigma": "SigmaReset",
}  # fmt: skip
_HEAD = '''"""{name} as Lava processes, written by snnc.  The numbers are in weights.npz."""

from lava.magma.core.process.process import AbstractProcess
from lava.proc.conv.process import Conv
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.io.reset import Reset
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIFReset, TernaryLIF
from lava.proc.sparse.process import Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix
from snnc_alif import ALIF
from snnc_processes import Axon, IntegerNeuron, Operator, Sparse32, WideSparse
from snnc_sigma_delta import DeltaReset, SigmaDeltaReset, SigmaReset

INPUTS = {inputs!r}
"""Size of every input."""

WINDOWS = {windows!r}
"""When each input and population lives: its first time step, logical steps per sample, time steps
per logical step and from one sample to the next."""

POPULATIONS = {populations!r}
"""Populations whose spikes run.py records."""


def build(w, inputs) -> "dict[str, AbstractProcess]":
    """All processes, connected; ``w`` is weights.npz, ``inputs`` [size, time steps] by name."""
    p: "dict[str, AbstractProcess]" = {{}}
    for name in INPUTS:
        p[name] = RingBuffer(data=inputs[name])
'''
_README = """# {name} on Lava

Written by snnc {version}.  Needs lava-nc 0.10.0, NumPy and SciPy, not snnc; on Python 3.10
`pip install lava-nc==0.10.0`, on newer ones

    pip install 'numpy<2.4' scipy networkx asteval
    pip install --ignore-requires-python --no-deps lava-nc==0.10.0

    python run.py --check               # recorded input: the spikes snnc's reference gives
    python run.py x.npz spikes.npz      # arrays by input name, integers [samples, steps, ...]

| file | what |
|---|---|
| `network.py` | the processes, one by one |
| `weights.npz` | weights, thresholds, biases |
| `run.py` | runs it; `HARDWARE` at its top is the one switch for a chip |
| `check.npz` | input and spikes to compare with |
| `snnc_processes.py`, `snnc_alif.py`, `snnc_sigma_delta.py` | processes Lava lacks |
| `lava_import.py` | import on newer Pythons |

## On a chip

`HARDWARE = True` in `run.py` takes Lava's `Loihi2HwCfg` instead of its CPU simulation.  That needs
Intel's own extension of Lava; it was never tried here.  What has no model for a chip runs on the
host: {cpu_only}.  Lava's convolution and weights are within the chip's 8 bits where the table in
snnc's docs/lava.md says so.
"""


def write_project(
    plan: Plan,
    folder: Path,
    check: Mapping[str, AnyArray],
    version: str,
) -> None:
    """Write the project into a new folder, completely or not at all.

    Args:
        plan: the network.
        folder: must not exist.
        check: arrays of ``check.npz``: "input NAME" and "spikes NAME" (rows sample, step, neuron,
            value).
        version: of snnc.

    Raises:
        OutputError: the folder exists or cannot be written.
        LavaError: a parameter beyond Lava's widths.
    """
    widths.check(plan.processes)
    if folder.exists():
        raise OutputError("the output folder exists", where=str(folder), remedy="name a new one")
    arrays: dict[str, AnyArray] = {}
    text = "".join(_network(plan, arrays))
    try:
        with tempfile.TemporaryDirectory(prefix=".snnc-", dir=folder.parent) as temporary:
            place = Path(temporary) / "project"
            place.mkdir()
            (place / "network.py").write_text(text, encoding="utf-8")
            (place / "README.md").write_text(_readme(plan, version), encoding="utf-8")
            shutil.copyfile(TEMPLATE, place / "run.py")
            for name in COPIED:
                shutil.copyfile(STANDALONE / name, place / name)
            np.savez_compressed(place / "weights.npz", allow_pickle=False, **arrays)
            np.savez_compressed(place / "check.npz", allow_pickle=False, **check)
            place.rename(folder)
    except OSError as error:
        raise OutputError(
            "the folder cannot be written", where=str(folder), found=error.strerror or str(error)
        ) from error


def _readme(plan: Plan, version: str) -> str:
    own = sorted({p.kind for p in plan.processes if p.kind in CPU_ONLY})
    return _README.format(
        name=_title(plan), version=version, cpu_only=", ".join(own) or "nothing but the recorders"
    )


def _title(plan: Plan) -> str:
    """The network's name without anything that could end a docstring."""
    return "".join(c if c.isalnum() or c in "-_. " else "_" for c in plan.name)


def _network(plan: Plan, arrays: dict[str, AnyArray]) -> Iterator[str]:
    yield _HEAD.format(
        name=_title(plan),
        inputs=dict(plan.inputs),
        windows={name: window.as_dict() for name, window in plan.windows.items()},
        populations=list(plan.emitters),
    )
    late = []
    for process in plan.processes:
        if process.kind == "Reset":
            late.append(process)
            continue
        yield "".join(_process(process, arrays))
    for connection in plan.connections:
        yield _connection(connection)
    for process in late:
        yield _reset(process)
    yield "    return p\n"


def _process(process: Process, arrays: dict[str, AnyArray]) -> Iterator[str]:
    values: dict[str, Any] = {}
    for label, value in process.parameters.items():
        text = f"SignMode.{value}" if label == "sign_mode" else _literal(label, value)
        values[label] = _fields(value) if isinstance(value, dict) else text
    for label, array in process.arrays.items():
        *groups, last = label.split(".")
        place = values
        for group in groups:
            place = place[group]
        place[last] = _stored(f"{process.name}.{label}", array, arrays)
    for label, m in process.matrices.items():
        parts = (("data", m.data), ("indices", m.indices), ("indptr", m.indptr))
        names = [_stored(f"{process.name}.{label}.{n}", a, arrays) for n, a in parts]
        values[label] = f"csr_matrix(({', '.join(names)}), shape={m.shape})"
    yield f"    p[{process.name!r}] = {_CLASSES.get(process.kind, process.kind)}(\n"
    yield f"        name={process.name!r},\n"
    for label, value in values.items():
        yield f"        {label}={_dictionary(value) if isinstance(value, dict) else value},\n"
    yield "    )\n"


def _fields(value: Mapping[str, Any]) -> dict[str, str]:
    return {label: repr(entry) for label, entry in value.items()}


def _dictionary(fields: Mapping[str, str]) -> str:
    inner = "".join(f"            {label!r}: {text},\n" for label, text in fields.items())
    return "{\n" + inner + "        }"


def _literal(label: str, value: Any) -> str:
    return repr(tuple(value) if isinstance(value, list) else value)


def _stored(name: str, array: AnyArray, arrays: dict[str, AnyArray]) -> str:
    arrays[name] = array
    return f"w[{name!r}]"


def _connection(c: Connection) -> str:
    seen = "".join(f".{verb}({tuple(argument)})" for verb, argument in c.through)
    return f"    p[{c.source!r}].{c.out}{seen}.connect(p[{c.target!r}].{c.into})\n"


def _reset(process: Process) -> str:
    q = process.parameters
    return (
        f"    p[{process.name!r}] = Reset(interval={q['interval']}, offset={q['offset']})\n"
        f"    p[{process.name!r}].connect_var(p[{q['process']!r}].{q['variable']})\n"
    )


def check_arrays(
    inputs: Mapping[str, IntArray], spikes: Mapping[str, IntArray]
) -> dict[str, AnyArray]:
    """The arrays of ``check.npz``."""
    given = {f"input {name}": values for name, values in inputs.items()}
    return {**given, **{f"spikes {name}": rows for name, rows in spikes.items()}}
