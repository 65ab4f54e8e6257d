"""The ``.snnc`` file: a ``Deployment`` as one ZIP (format in ``docs/artifact.md``).

Equal deployments give equal bytes: fixed timestamps, fixed member order, fixed compression.
Reading trusts nothing: sizes are checked before decompression, every member against its sha256,
arrays are plain numbers, and records are rebuilt by constructors that validate.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from snnc.ir.arrays import AnyArray
from snnc.ir.atomic import atomic_file
from snnc.ir.codec import decode, encode
from snnc.ir.deployment import Certificate, CoreTables, Deployment, RouteTables, Schedule
from snnc.ir.errors import ArtifactError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.npy import read_npy, write_npy
from snnc.ir.safezip import members, open_zip, read_member
from snnc.ir.target import Target

FORMAT = "snnc-artifact"
FORMAT_VERSION = 1
SIZE_LIMIT = 8 << 30
"""Largest decompressed artifact read, in bytes."""
_MANIFEST_LIMIT = 16 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
_TABLES: dict[str, type[Any]] = {
    "schedule": Schedule,
    "cores": CoreTables,
    "routes": RouteTables,
    "certificate": Certificate,
}


@dataclass(frozen=True)
class ArtifactReport:
    """The part of an artifact that describes it; all JSON values."""

    provenance: Mapping[str, Any]
    report: Mapping[str, Any]
    manifest: Mapping[str, Any]


def write(deployment: Deployment, path: Path) -> None:
    """Write an artifact completely or not at all.

    Raises:
        OutputError: the path cannot be written.
    """
    parts = _members(deployment)
    manifest = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "snnc": _snnc_version(),
        "members": {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()},
    }
    with atomic_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, data in {"manifest.json": dump_json(manifest), **parts}.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3  # else the byte would tell on which system it was written
            info.external_attr = 0o644 << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED, 6)


def read(path: Path) -> Deployment:
    """Read a deployment, checking every member.

    Raises:
        ArtifactError: not an artifact, damaged, incomplete, or of a newer format.
    """
    with open_zip(path, "a .snnc artifact", ArtifactError) as archive:
        package = _Package(archive)
        arrays = package.arrays()
        network = _record(package.json("network.json"), arrays, IntegerNetwork, "network.json")
        tables = package.json("tables.json")
        parts = {
            name: _record(_field(tables, name, dict, "tables.json"), arrays, cls, name)
            for name, cls in _TABLES.items()
        }
        return Deployment(
            network=network,
            target=_target(package.json("target.json")),
            chips=_field(tables, "chips", int, "tables.json"),
            provenance=package.json("provenance.json"),
            report=package.json("report.json"),
            **parts,
        )


def read_report(path: Path) -> ArtifactReport:
    """Read only provenance and report, in milliseconds whatever the artifact's size.

    Raises:
        ArtifactError: as ``read``, for the members concerned.
    """
    with open_zip(path, "a .snnc artifact", ArtifactError) as archive:
        package = _Package(archive)
        return ArtifactReport(
            package.json("provenance.json"), package.json("report.json"), package.manifest
        )


def dump_json(value: object) -> bytes:
    """Compact UTF-8 JSON with a final newline; NumPy scalars become numbers; no NaN."""
    arrays: dict[str, AnyArray] = {}
    plain = encode(value, arrays)
    if arrays:
        raise TypeError("a JSON document holds no arrays")
    text = json.dumps(plain, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return (text + "\n").encode()


def _members(deployment: Deployment) -> dict[str, bytes]:
    """All members but the manifest, in file order."""
    arrays: dict[str, AnyArray] = {}
    network = encode(deployment.network, arrays)
    tables = {name: encode(getattr(deployment, name), arrays) for name in _TABLES}
    target = deployment.target.model_dump(mode="json", by_alias=True)
    return {
        "provenance.json": dump_json(deployment.provenance),
        "report.json": dump_json(deployment.report),
        "target.json": dump_json(target),
        "network.json": dump_json(network),
        "tables.json": dump_json({"chips": deployment.chips, **tables}),
        **{f"arrays/{name}.npy": write_npy(array) for name, array in arrays.items()},
    }


class _Package:
    """An open artifact whose manifest has been read and whose members match it by name."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members = members(archive, SIZE_LIMIT, ArtifactError)
        self._path = archive.filename or ""
        self.manifest = self._read_manifest()
        listed, present = set(self._hashes), set(self._members) - {"manifest.json"}
        if listed != present:
            missing = sorted(listed - present)
            raise ArtifactError(
                "a member is missing" if missing else "a member is not in the manifest",
                where=self._path,
                found=", ".join((missing or sorted(present - listed))[:5]),
                remedy="compile the model again",
            )

    def json(self, name: str) -> dict[str, Any]:
        """A checked JSON member, which must be an object."""
        return _json_object(self._checked(name), f"{self._path}:{name}")

    def arrays(self) -> dict[str, AnyArray]:
        """All checked arrays, by the name the JSON members use."""
        return {
            name.removeprefix("arrays/").removesuffix(".npy"): read_npy(
                self._checked(name), f"{self._path}:{name}", ArtifactError
            )
            for name in self._members
            if name.startswith("arrays/")
        }

    def _checked(self, name: str) -> bytes:
        if name not in self._members:
            raise ArtifactError(
                "a member is missing",
                where=self._path,
                found=f"no {name}",
                remedy="compile the model again",
            )
        data = read_member(self._archive, self._members[name], ArtifactError)
        if hashlib.sha256(data).hexdigest() != self._hashes.get(name):
            raise ArtifactError(
                "a member does not match its checksum",
                where=f"{self._path}:{name}",
                remedy="the file was changed after snnc wrote it; compile the model again",
            )
        return data

    def _read_manifest(self) -> dict[str, Any]:
        info = self._members.get("manifest.json")
        if info is None or info.file_size > _MANIFEST_LIMIT:
            raise ArtifactError(
                "not a .snnc artifact",
                where=self._path,
                found="a ZIP file without manifest.json" if info is None else "a huge manifest",
                remedy="artifacts are written by: snnc compile MODEL --target NAME -o out.snnc",
            )
        where = f"{self._path}:manifest.json"
        manifest = _json_object(read_member(self._archive, info, ArtifactError), where)
        if manifest.get("format") != FORMAT:
            raise ArtifactError("not a .snnc artifact", where=where, allowed=f"format {FORMAT}")
        _check_version(manifest, self._path)
        self._hashes: dict[str, Any] = _field(manifest, "members", dict, where)
        return manifest


def _check_version(manifest: Mapping[str, Any], path: str) -> None:
    found = _field(dict(manifest), "version", int, f"{path}:manifest.json")
    if found != FORMAT_VERSION:
        raise ArtifactError(
            "the artifact has a newer format" if found > FORMAT_VERSION else "unknown format",
            where=path,
            found=f"format version {found}, written by snnc {manifest.get('snnc', '?')}",
            allowed=f"format version {FORMAT_VERSION} (this is snnc {_snnc_version()})",
            remedy=f"install snnc {manifest.get('snnc', '?')} or newer, or compile again",
        )


def _json_object(data: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ArtifactError("a member is not JSON", where=where, found=str(error)) from error
    if not isinstance(value, dict):
        raise ArtifactError("a member is not a JSON object", where=where, found=type(value))
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _field(record: dict[str, Any], name: str, kind: type[Any], where: str) -> Any:
    value = record.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ArtifactError(
            "a field is missing or of the wrong type",
            where=f"{where}: {name}",
            found=type(value).__name__,
            allowed=kind.__name__,
        )
    return value


def _record(value: Any, arrays: Mapping[str, AnyArray], cls: type[Any], where: str) -> Any:
    result = decode(value, arrays)
    if not isinstance(result, cls):
        raise ArtifactError(
            "a member holds the wrong record",
            where=where,
            found=type(result).__name__,
            allowed=cls.__name__,
        )
    return result


def _target(value: dict[str, Any]) -> Target:
    try:
        return Target.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise ArtifactError(
            "the target in the artifact is not valid",
            where="target.json: " + ".".join(map(str, first["loc"])),
            found=first["msg"],
        ) from error


def _snnc_version() -> str:
    try:
        return version("snnc")
    except PackageNotFoundError:  # a source tree on the path, not installed
        return "unknown"
