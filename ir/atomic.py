"""Writing a file completely or not at all: temporary name in the same folder, then rename."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from snnc.ir.errors import OutputError


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that appears under ``path`` only when the block ends without error.

    Raises:
        OutputError: the path cannot be written; nothing is left behind.
    """
    check_writable(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; a result is as readable as any file its user writes.
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise _unwritable(path, error) from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file atomically; raises ``OutputError`` where it cannot."""
    with atomic_file(path) as file:
        file.write(data)


def check_writable(path: Path) -> None:
    """Raise ``OutputError`` early, before any work, when ``path`` cannot become a file."""
    try:
        folder, other = path.is_dir(), path.exists() and not path.is_file()
    except OSError as error:  # such as a name that is too long
        raise _unwritable(path, error) from error
    if folder:
        raise OutputError(
            "the output path is a folder", where=str(path), remedy="name a file inside it"
        )
    if other:
        raise OutputError(
            "the output would replace a pipe, device or socket",
            where=str(path),
            remedy="name a file; it is written beside its place and then moved there",
        )
    parent = path.parent
    if not parent.is_dir():
        raise OutputError(
            "the folder of the output path does not exist",
            where=str(path),
            found=f"{parent} is {'not a folder' if parent.exists() else 'missing'}",
            remedy=f"create it: mkdir -p {parent}",
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(
            "the folder of the output path is not writable",
            where=str(path),
            found=f"no write permission on {parent}",
            remedy="choose another folder",
        )


def check_separate(path: Path, *read: Path | None) -> None:
    """Raise ``OutputError`` when writing ``path`` would replace a file that is being read."""
    for source in read:
        if source is not None and path.exists() and source.exists() and path.samefile(source):
            raise OutputError(
                "the output would replace an input file",
                where=str(path),
                found=f"{source} is read by the same command",
                remedy="choose another output path",
            )


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        "the file cannot be written",
        where=str(path),
        found=error.strerror or str(error),
        remedy="choose another path, or free disk space",
    )
