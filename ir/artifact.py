"""The ``.snnc`` file: a compiled program as one ZIP (format in ``docs/artifact.md``).

Equal deployments give equal bytes: fixed timestamps, fixed member order, fixed compression.
Reading trusts nothing: sizes are checked before decompression, every member against its sha256,
arrays are plain numbers, and records are rebuilt by constructors that validate.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from snnc.ir.arrays import AnyArray
from snnc.ir.atomic import atomic_file
from snnc.ir.codec import decode, encode
from snnc.ir.core_tables import CoreTables, SharedCoreTables
from snnc.ir.deployment import Certificate, Deployment, RouteTables, Schedule
from snnc.ir.errors import ArtifactError, ModelError, UnsupportedError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.npy import npy_parts, read_npy
from snnc.ir.phased import Loop, Member, PhasedDeployment, Phases, Program
from snnc.ir.safezip import members, open_zip, read_member
from snnc.ir.subnetwork import subnetworks
from snnc.ir.target import Target

FORMAT = "snnc-artifact"
FORMAT_VERSION = 1
PHASED_VERSION = 2
"""Of programs of several phases; others stay readable by older versions."""
SHARED_VERSION = 3
"""Of programs, in one phase or several, that store equal rows of synapses once."""
LOOPED_VERSION = 4
"""Of programs whose phases take turns step by step."""
SIZE_LIMIT = 8 << 30
"""Largest decompressed artifact read, in bytes."""
_MANIFEST_LIMIT = 16 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
_TABLES: dict[str, type[Any] | tuple[type[Any], ...]] = {
    "schedule": Schedule,
    "cores": (CoreTables, SharedCoreTables),
    "routes": RouteTables,
    "certificate": Certificate,
}


@dataclass(frozen=True)
class ArtifactReport:
    """The part of an artifact that describes it; all JSON values."""

    provenance: Mapping[str, Any]
    report: Mapping[str, Any]
    manifest: Mapping[str, Any]


def write(program: Program, path: Path) -> None:
    """Write an artifact completely or not at all.

    Raises:
        OutputError: the path cannot be written.
    """
    parts = _members(program)
    manifest = {
        "format": FORMAT,
        "version": _version_of(program),
        "snnc": _snnc_version(),
        "members": {name: _checksum(part) for name, part in parts.items()},
    }
    with atomic_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, part in {"manifest.json": dump_json(manifest), **parts}.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED  # on zlib's usual level, which is 6
            info.create_system = 3  # else the byte would tell on which system it was written
            info.external_attr = 0o644 << 16
            info.file_size = sum(len(data) for data in _bytes(part))  # large ones need Zip64
            with archive.open(info, "w") as member:
                for data in _bytes(part):
                    member.write(data)


def _bytes(part: bytes | AnyArray) -> Iterable[bytes | memoryview]:
    """What a member stores, piece by piece: a large array is not copied."""
    return (part,) if isinstance(part, bytes) else npy_parts(part)


def _checksum(part: bytes | AnyArray) -> str:
    digest = hashlib.sha256()
    for data in _bytes(part):
        digest.update(data)
    return digest.hexdigest()


def _version_of(program: Program) -> int:
    """The oldest version that can say what the program holds."""
    if isinstance(program, PhasedDeployment) and program.loops:
        return LOOPED_VERSION
    phases = program.phases if isinstance(program, PhasedDeployment) else (program,)
    if any(isinstance(phase.cores, SharedCoreTables) for phase in phases):
        return SHARED_VERSION
    return PHASED_VERSION if isinstance(program, PhasedDeployment) else FORMAT_VERSION


def read(path: Path) -> Deployment:
    """Read a deployment, checking every member.

    Raises:
        ArtifactError: not an artifact, damaged, incomplete, or of a newer format.
        UnsupportedError: a program of several phases; ``read_program`` reads those too.
    """
    program = read_program(path)
    if isinstance(program, PhasedDeployment):
        raise several_phases(program, str(path))
    return program


def several_phases(program: PhasedDeployment, where: str) -> UnsupportedError:
    """What those say who cannot work with a program of several phases."""
    return UnsupportedError(
        "the program takes several phases, which this cannot do",
        where=where,
        found=f"{len(program.phases)} phases of {program.network.name}",
        allowed="one phase: a network that fits the machine at once",
        remedy="compile with --phases never, and more chips (--chips) or a larger target; "
        "snnc run, verify, report, inspect and compare know phases",
    )


def read_program(path: Path) -> Program:
    """Read a deployment, or phases, checking every member.

    Raises:
        ArtifactError: not an artifact, damaged, incomplete, or of a newer format.
    """
    with open_zip(path, "a .snnc artifact", ArtifactError) as archive:
        package = _Package(archive)
        arrays = package.arrays()
        network = _record(package.json("network.json"), arrays, IntegerNetwork, "network.json")
        tables = package.json("tables.json")
        target = _target(package.json("target.json"))
        chips = _field(tables, "chips", int, "tables.json")
        provenance, report = package.json("provenance.json"), package.json("report.json")
        if package.version == PHASED_VERSION or "phases" in tables:
            rows = _field(tables, "phases", list, "tables.json")
            members, steps = _all_members(rows, arrays), 0
            loops: tuple[Loop, ...] = ()
            if "loops" in tables:
                loops = _loops(tables, arrays)
                steps = _field(tables, "steps", int, "tables.json")
            phases = _phases(network, target, chips, rows, (members, loops), arrays)
            try:
                return PhasedDeployment(
                    network, target, chips, members, phases, provenance, report, loops, steps
                )
            except ModelError as error:
                raise _bad_phases(error) from error
        parts = _tables(tables, arrays, "tables.json")
        return Deployment(
            network=network,
            target=target,
            chips=chips,
            provenance=provenance,
            report=report,
            **parts,
        )


def _tables(row: dict[str, Any], arrays: Mapping[str, AnyArray], where: str) -> dict[str, Any]:
    """Schedule, core images, routes and certificate of one phase."""
    return {
        name: _record(_field(row, name, dict, where), arrays, cls, name)
        for name, cls in _TABLES.items()
    }


def _all_members(rows: list[Any], arrays: Mapping[str, AnyArray]) -> Phases:
    result = []
    for number, row in enumerate(rows):
        where = f"tables.json: phase {number + 1}"
        if not isinstance(row, dict):
            raise ArtifactError("a phase is not an object", where=where, found=type(row).__name__)
        found = _field(row, "members", list, where)
        result.append(tuple(_record(value, arrays, Member, where) for value in found))
    return tuple(result)


def _loops(tables: dict[str, Any], arrays: Mapping[str, AnyArray]) -> tuple[Loop, ...]:
    found = _field(tables, "loops", list, "tables.json")
    return tuple(_record(value, arrays, Loop, "tables.json: loops") for value in found)


def _phases(
    network: IntegerNetwork,
    target: Target,
    chips: int,
    rows: list[Any],
    held: tuple[Phases, tuple[Loop, ...]],
    arrays: Mapping[str, AnyArray],
) -> tuple[Deployment, ...]:
    """Deployments of all phases; their networks are those that members and loops ask for."""
    try:
        networks = subnetworks(network, *held)
    except ModelError as error:
        raise _bad_phases(error) from error
    return tuple(
        Deployment(
            part, target, chips, provenance={}, report={},
            **_tables(row, arrays, f"tables.json: phase {number + 1}"),
        )
        for number, (part, row) in enumerate(zip(networks, rows, strict=True))
    )  # fmt: skip


def _bad_phases(error: ModelError) -> ArtifactError:
    return ArtifactError(
        "the phases do not make up the network",
        where=f"tables.json: {error.where}",
        found=f"{error.problem}: {error.found}",
        allowed=error.allowed,
        remedy="the file was changed after snnc wrote it; compile the model again",
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


def _members(program: Program) -> dict[str, bytes | AnyArray]:
    """All members but the manifest, in file order; arrays become ``.npy`` files."""
    arrays: dict[str, AnyArray] = {}
    network = encode(program.network, arrays)
    tables: dict[str, Any]
    if isinstance(program, PhasedDeployment):
        tables = {"phases": [
            {"members": encode(members, arrays), **_encoded(phase, arrays)}
            for members, phase in zip(program.members, program.phases, strict=True)
        ]}  # fmt: skip
        if program.loops:
            tables |= {"loops": encode(program.loops, arrays), "steps": program.steps}
    else:
        tables = _encoded(program, arrays)
    target = program.target.model_dump(mode="json", by_alias=True)
    return {
        "provenance.json": dump_json(program.provenance),
        "report.json": dump_json(program.report),
        "target.json": dump_json(target),
        "network.json": dump_json(network),
        "tables.json": dump_json({"chips": program.chips, **tables}),
        **{f"arrays/{name}.npy": array for name, array in arrays.items()},
    }


def _encoded(deployment: Deployment, arrays: dict[str, AnyArray]) -> dict[str, Any]:
    return {name: encode(getattr(deployment, name), arrays) for name in _TABLES}


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
        self.version = _version(manifest, self._path)
        self._hashes: dict[str, Any] = _field(manifest, "members", dict, where)
        return manifest


def _version(manifest: Mapping[str, Any], path: str) -> int:
    found: int = _field(dict(manifest), "version", int, f"{path}:manifest.json")
    if found not in (FORMAT_VERSION, PHASED_VERSION, SHARED_VERSION, LOOPED_VERSION):
        raise ArtifactError(
            "the artifact has a newer format" if found > LOOPED_VERSION else "unknown format",
            where=path,
            found=f"format version {found}, written by snnc {manifest.get('snnc', '?')}",
            allowed=f"format version {FORMAT_VERSION} to {LOOPED_VERSION} "
            f"(this is snnc {_snnc_version()})",
            remedy=f"install snnc {manifest.get('snnc', '?')} or newer, or compile again",
        )
    return found


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


def _record(
    value: Any,
    arrays: Mapping[str, AnyArray],
    cls: type[Any] | tuple[type[Any], ...],
    where: str,
) -> Any:
    result = decode(value, arrays)
    if not isinstance(result, cls):
        raise ArtifactError(
            "a member holds the wrong record",
            where=where,
            found=type(result).__name__,
            allowed=" or ".join(c.__name__ for c in (cls if isinstance(cls, tuple) else (cls,))),
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
