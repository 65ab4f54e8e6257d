"""Intermediate results as files for people: ``<stage>.json`` beside ``<stage>.npz``."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snnc.ir.arrays import AnyArray
from snnc.ir.atomic import write_bytes
from snnc.ir.codec import encode
from snnc.ir.deployment import Deployment
from snnc.ir.errors import OutputError
from snnc.ir.phased import PhasedDeployment


def dump_stage(folder: Path, stage: str, value: object) -> None:
    """Write one stage's result; arrays are named in the JSON and lie in the ``.npz``.

    Raises:
        OutputError: the folder cannot be written.
    """
    arrays: dict[str, AnyArray] = {}
    plain = encode(_encodable(value), arrays)
    make_folder(folder)
    write_bytes(folder / f"{stage}.json", (json.dumps(plain, indent=1) + "\n").encode())
    if arrays:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        write_bytes(folder / f"{stage}.npz", buffer.getvalue())


def make_folder(folder: Path) -> None:
    """Create a folder; raises ``OutputError`` where it cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            "the folder cannot be created", where=str(folder), found=error.strerror or str(error)
        ) from error


def _encodable(value: object) -> Any:
    """The part of a stage result the codec knows; pass-internal records become mappings."""
    if isinstance(value, Deployment | PhasedDeployment):
        return {"provenance": value.provenance, "report": value.report, "chips": value.chips}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if type(value).__module__.startswith("snnc.ir."):
            return value
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {name: _encodable(item) for name, item in fields.items()}
    if isinstance(value, tuple):
        return [_encodable(item) for item in value]
    if isinstance(value, Mapping) and any(isinstance(key, tuple) for key in value):
        return [[*key, item] for key, item in value.items()]
    if isinstance(value, Mapping):
        return {key: _encodable(item) for key, item in value.items()}
    return value
