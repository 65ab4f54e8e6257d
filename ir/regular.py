"""Files that end: what is read twice, or to its end, is a file on disk and no pipe or device."""

from __future__ import annotations

from pathlib import Path

from snnc.ir.errors import SnncError


def check_regular(path: Path, error: type[SnncError]) -> None:
    """Raise where there is something that is neither a file nor a folder; nothing is opened.

    A pipe that nobody writes to is waited for without end, and a device may never end.

    Raises:
        error: a pipe, device or socket.
        OSError: as ``Path.stat``, but for a missing file, which raises nothing.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise error(
            "not a file on disk",
            where=str(path),
            found="a pipe, device or socket",
            remedy="give the path of a file; write a pipe's content to one first",
        )
