"""Reading ZIP files nobody vouches for: sizes are checked first, nothing is extracted to disk."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from snnc.ir.errors import SnncError
from snnc.ir.regular import check_regular

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


@contextmanager
def open_zip(path: Path, kind: str, error: type[SnncError]) -> Iterator[zipfile.ZipFile]:
    """Open a ZIP for reading; ``kind`` says in errors what the file should be.

    Raises:
        error: missing, unreadable, not a ZIP or truncated.
    """
    try:
        check_regular(path, error)
        archive = zipfile.ZipFile(path)
    except OSError as cause:
        raise error(
            "the file cannot be opened", where=str(path), found=cause.strerror or str(cause)
        ) from cause
    except DAMAGED as cause:
        raise error(
            f"not {kind}, or truncated",
            where=str(path),
            found=str(cause),
            remedy="check the path, and copy or create the file again",
        ) from cause
    with archive:
        yield archive


def members(
    archive: zipfile.ZipFile, limit: int, error: type[SnncError]
) -> dict[str, zipfile.ZipInfo]:
    """The members by name, after checking what they claim.

    Raises:
        error: duplicate or absolute or climbing names, links, encryption, or more than ``limit``
            bytes in total once decompressed.
    """
    found: dict[str, zipfile.ZipInfo] = {}
    where = archive.filename or ""
    for info in archive.infolist():
        if info.filename.endswith("/"):  # a folder; is_dir fails on an empty name
            continue
        problem = _problem(info, found)
        if problem:
            raise error(problem, where=where, found=info.filename[:200])
        found[info.filename] = info
    total = sum(info.file_size for info in found.values())
    if total > limit:
        raise error(
            "the file is too large once decompressed",
            where=where,
            found=f"{total} bytes",
            allowed=f"{limit} bytes",
        )
    return found


def _problem(info: zipfile.ZipInfo, found: dict[str, zipfile.ZipInfo]) -> str:
    name = PurePosixPath(info.filename)
    if not info.filename:
        return "a member has no name"
    if info.filename in found:
        return "two members have the same name"
    if name.is_absolute() or ".." in name.parts or "\\" in info.filename or ":" in info.filename:
        return "a member's name leaves the archive"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a member is a symbolic link"
    return "a member is encrypted" if info.flag_bits & 1 else ""


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, error: type[SnncError]) -> bytes:
    """Decompress one member in memory, never beyond its declared size.

    Raises:
        error: the checksum or the compressed stream is broken.
    """
    try:
        with archive.open(info) as stream:
            data = stream.read(info.file_size + 1)
    except (*DAMAGED, OSError) as cause:
        raise error(
            "a member is damaged",
            where=f"{archive.filename}:{info.filename}",
            found=str(cause),
            remedy="copy or create the file again",
        ) from cause
    if len(data) != info.file_size:
        raise error(
            "a member is truncated",
            where=f"{archive.filename}:{info.filename}",
            found=f"{len(data)} bytes",
            allowed=f"{info.file_size} bytes",
        )
    return data
