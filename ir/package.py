"""An open artifact: a ZIP whose manifest names every member with its checksum."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from snnc.ir.arrays import AnyArray
from snnc.ir.errors import ArtifactError
from snnc.ir.npy import read_npy
from snnc.ir.safezip import members, read_member

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


class Package:
    """An open artifact whose manifest has been read and whose members match it by name.

    Raises:
        ArtifactError: no artifact, one of a newer format, or members that are missing or too many.
    """

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
        self._hashes: dict[str, Any] = field(manifest, "members", dict, where)
        return manifest


def _version(manifest: Mapping[str, Any], path: str) -> int:
    found: int = field(dict(manifest), "version", int, f"{path}:manifest.json")
    if found not in (FORMAT_VERSION, PHASED_VERSION, SHARED_VERSION, LOOPED_VERSION):
        raise ArtifactError(
            "the artifact has a newer format" if found > LOOPED_VERSION else "unknown format",
            where=path,
            found=f"format version {found}, written by snnc {manifest.get('snnc', '?')}",
            allowed=f"format version {FORMAT_VERSION} to {LOOPED_VERSION} "
            f"(this is snnc {snnc_version()})",
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


def field(record: dict[str, Any], name: str, kind: type[Any], where: str) -> Any:
    """A value of a JSON object that must be there, and of this type.

    Raises:
        ArtifactError: it is not.
    """
    value = record.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ArtifactError(
            "a field is missing or of the wrong type",
            where=f"{where}: {name}",
            found=type(value).__name__,
            allowed=kind.__name__,
        )
    return value


def snnc_version() -> str:
    """The version that writes and reads here."""
    try:
        return version("snnc")
    except PackageNotFoundError:  # a source tree on the path, not installed
        return "unknown"
