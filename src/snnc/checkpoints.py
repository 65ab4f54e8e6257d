"""Checkpoints of a stream or a run: its state and its tallies in one ``.npz``, nothing pickled."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnc.inputs.npz import npz_keys, read_npz
from snnc.ir.arrays import AnyArray
from snnc.ir.atomic import write_bytes
from snnc.ir.codec import encode
from snnc.ir.deployment import Deployment
from snnc.ir.errors import InputError
from snnc.ir.phased import Program

SCHEMA = "snnc-checkpoint/1"
_ABOUT = "about"


@dataclass(frozen=True)
class Checkpoint:
    """Where a stream or a run stands.

    Attributes:
        identity: what must be the same to go on: network, recording, bins, windows.
        progress: position in the recording and what was counted, as JSON values.
        state: arrays of ``functional.streaming.Stream``, or those that ``progress`` names.
    """

    identity: Mapping[str, Any]
    progress: Mapping[str, Any]
    state: Mapping[str, AnyArray]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the file, whole or not at all; raises ``OutputError``."""
    about = {"schema": SCHEMA, "identity": checkpoint.identity, "progress": checkpoint.progress,
             "sha256": _whole(checkpoint.progress, checkpoint.state)}  # fmt: skip
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    arrays: dict[str, Any] = {f"state.{k}": v for k, v in checkpoint.state.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays, about=text)
    write_bytes(path, buffer.getvalue())


def read_checkpoint(path: Path, identity: Mapping[str, Any]) -> Checkpoint:
    """Read a checkpoint that must belong to this run.

    Raises:
        InputError: unreadable, damaged, of another version, or of another run.
    """
    arrays = read_npz(path, npz_keys(path))
    about = _about(arrays.pop(_ABOUT, None), path)
    state = {name.removeprefix("state."): array for name, array in arrays.items()}
    if about.get("sha256") != _whole(about.get("progress"), state):
        raise InputError("the checkpoint is damaged", where=str(path), remedy="start anew")
    found = about.get("identity")
    differs = [
        name for name, value in identity.items()
        if not isinstance(found, dict) or found.get(name) != value
    ]  # fmt: skip
    progress = about.get("progress")
    if differs or not isinstance(progress, dict):
        raise InputError(
            "the checkpoint is of another run",
            where=str(path),
            found=f"another {', '.join(differs) or 'progress'}",
            remedy="resume with the artifact, recording and options that wrote it",
        )
    return Checkpoint(identity, progress, state)


def network_digest(deployment: Program) -> str:
    """sha256 of what a deployment computes: the same for equal networks on any chip."""
    arrays: dict[str, AnyArray] = {}
    text = json.dumps(encode(deployment.network, arrays), sort_keys=True).encode()
    return hashlib.sha256(text + _digest(arrays).encode()).hexdigest()


def program_digest(deployment: Deployment) -> str:
    """sha256 of the program and the machine: cores, routes, schedule and target."""
    tables: dict[str, AnyArray] = {}
    parts = (deployment.cores, deployment.routes, deployment.schedule)
    told = repr(encode(list(parts), tables)) + deployment.target.model_dump_json()
    program = hashlib.sha256(told.encode())
    for array in tables.values():
        program.update(np.ascontiguousarray(array).tobytes())
    return program.hexdigest()


def _about(array: AnyArray | None, path: Path) -> dict[str, Any]:
    try:
        about = json.loads(b"" if array is None else array.astype(np.uint8).tobytes())
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict) or about.get("schema") != SCHEMA:
        raise InputError(
            "not a checkpoint of this version of snnc",
            where=str(path),
            allowed=SCHEMA,
            remedy="start without --resume",
        )
    return about


def _whole(progress: Any, state: Mapping[str, AnyArray]) -> str:
    """sha256 of everything that a run goes on from."""
    told = json.dumps(progress, sort_keys=True) + _digest(state)
    return hashlib.sha256(told.encode()).hexdigest()


def _digest(arrays: Mapping[str, AnyArray]) -> str:
    """sha256 over names, types, shapes and values."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()
