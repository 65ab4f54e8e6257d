"""Where an artifact comes from: enough to make the same bytes again, nothing about the machine."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from snnc.compiler.options import CompileOptions
from snnc.ir.artifact import dump_json
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.npy import write_npy
from snnc.ir.target import Target

PACKAGES = ("snnc", "numpy", "scipy", "numba", "ortools")


class _Data(Protocol):
    @property
    def values(self) -> Mapping[str, Any]: ...


def provenance(
    model: Path | Network | IntegerNetwork,
    options: CompileOptions,
    target: Target,
    network: Network | IntegerNetwork,
    data: _Data | None,
) -> dict[str, Any]:
    """JSON object with versions, hashes, options and the assumptions of the frontend."""
    named = {**options.to_dict(), "target": target.id}  # a path would name the machine
    return {
        "versions": {"python": platform.python_version(), **{p: _version(p) for p in PACKAGES}},
        "model": {
            "name": model.name,
            "sha256": _model_hash(model),
            # Weights may lie in files beside the model: the network as it was read covers them.
            "network_sha256": _model_hash(network),
        },
        "target": {"id": target.id, "sha256": target_hash(target)},
        "calibration": None if data is None else {"sha256": _data_hash(data.values)},
        "options": named,
        "assumptions": dict(network.assumptions),
    }


def target_hash(target: Target) -> str:
    """Sha256 of the resolved target as compact JSON."""
    return hashlib.sha256(dump_json(target.model_dump(mode="json", by_alias=True))).hexdigest()


def _model_hash(model: Path | Network | IntegerNetwork) -> str:
    """Of the file's bytes, or of every field of every node."""
    if isinstance(model, Path):
        return hashlib.sha256(model.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for node in sorted(model.nodes, key=lambda n: n.name):
        _update(digest, node)
    return digest.hexdigest()


def _update(digest: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        digest.update(write_npy(value))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        digest.update(type(value).__name__.encode())
        for field in dataclasses.fields(value):
            _update(digest, getattr(value, field.name))
    elif isinstance(value, tuple | list):
        digest.update(f"{len(value)}:".encode())
        for part in value:
            _update(digest, part)
    else:
        digest.update(f"{value!r};".encode())


def _data_hash(values: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for name in sorted(values):
        digest.update(name.encode())
        digest.update(write_npy(values[name]))
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a source tree on the path, not installed
        return "unknown"
