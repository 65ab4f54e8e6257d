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
from snnc.ir.npy import npy_parts
from snnc.ir.package import (
    FORMAT,
    FORMAT_VERSION,
    LOOPED_VERSION,
    PHASED_VERSION,
    SHARED_VERSION,
    Package,
    field,
    snnc_version,
)
from snnc.ir.phased import Loop, Member, PhasedDeployment, Phases, Program
from snnc.ir.safezip import open_zip
from snnc.ir.subnetwork import subnetworks
from snnc.ir.target import Target

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
        "snnc": snnc_version(),
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
        package = Package(archive)
        arrays = package.arrays()
        network = _record(package.json("network.json"), arrays, IntegerNetwork, "network.json")
        tables = package.json("tables.json")
        target = _target(package.json("target.json"))
        chips = field(tables, "chips", int, "tables.json")
        provenance, report = package.json("provenance.json"), package.json("report.json")
        if package.version == PHASED_VERSION or "phases" in tables:
            rows = field(tables, "phases", list, "tables.json")
            members, steps = _all_members(rows, arrays), 0
            loops: tuple[Loop, ...] = ()
            if "loops" in tables:
                loops = _loops(tables, arrays)
                steps = field(tables, "steps", int, "tables.json")
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
        name: _record(field(row, name, dict, where), arrays, cls, name)
        for name, cls in _TABLES.items()
    }


def _all_members(rows: list[Any], arrays: Mapping[str, AnyArray]) -> Phases:
    result = []
    for number, row in enumerate(rows):
        where = f"tables.json: phase {number + 1}"
        if not isinstance(row, dict):
            raise ArtifactError("a phase is not an object", where=where, found=type(row).__name__)
        found = field(row, "members", list, where)
        result.append(tuple(_record(value, arrays, Member, where) for value in found))
    return tuple(result)


def _loops(tables: dict[str, Any], arrays: Mapping[str, AnyArray]) -> tuple[Loop, ...]:
    found = field(tables, "loops", list, "tables.json")
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
        package = Package(archive)
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
