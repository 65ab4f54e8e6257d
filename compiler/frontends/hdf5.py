"""Read HDF5 files without trusting them: what the frontends for such files share.

Nothing stored is executed.  Sizes are checked before a byte of a dataset is read, so that a small
file cannot ask for a large memory, and links out of the file are not followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from snnc.compiler.frontends.heap import endless_heap
from snnc.ir.arrays import AnyArray
from snnc.ir.errors import ModelFileError

MAX_FILE_BYTES = 2**31
MAX_RANK = 8
MAX_TEXT = 1000
FREE_BYTES = 64 * 2**20
# Deflate reaches 1:1030 at best; a larger ratio is storage that was declared and never written.
MAX_RATIO = 1100


@dataclass(frozen=True)
class Format:
    """A kind of HDF5 file, for messages.

    Attributes:
        name: what people call it.
        writer: what makes such a file.
        remedy: what to do with a file that is something else.
    """

    name: str
    suffix: str
    writer: str
    remedy: str


@contextmanager
def opened(path: Path, kind: Format) -> Iterator[tuple[Any, int]]:
    """The root group and the size in bytes of a checked file.

    Raises:
        ModelFileError: missing, too large, not HDF5, or damaged anywhere that is read.
    """
    size = _check_file(path, kind)
    try:
        with h5py.File(path, "r") as root:
            yield root, size
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        raise ModelFileError(
            "the file is damaged or was not completely written",
            where=str(path),
            found=f"{size} bytes, {str(error)[:200]}",
            remedy="export the model again; an exporter that crashed leaves half a file behind",
        ) from error


def _check_file(path: Path, kind: Format) -> int:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ModelFileError("not a file", where=str(path), allowed=f"a {kind.suffix} file")
        with path.open("rb") as stream:
            start = stream.read(16)
    except OSError as error:
        raise ModelFileError(
            "cannot open the file", where=str(path), found=error.strerror
        ) from error
    if size > MAX_FILE_BYTES:
        raise ModelFileError(
            "the file is too large", where=str(path), found=size, allowed=f"{MAX_FILE_BYTES} bytes"
        )
    if not h5py.is_hdf5(str(path)):
        raise ModelFileError(
            f"not a {kind.name} file: it is not HDF5",
            where=str(path),
            found=f"{size} bytes that start with {start!r}",
            allowed=f"a file written by {kind.writer}",
            remedy=kind.remedy,
        )
    heap = endless_heap(path)
    if heap is not None:
        raise ModelFileError(
            "the file is damaged: its texts cannot be read",
            where=str(path),
            found=f"endless heap at byte {heap}",
            remedy="copy or export the file again",
        )
    return size


class Reader:
    """Reads members of one file under a budget of bytes."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.budget = min(MAX_FILE_BYTES, FREE_BYTES + MAX_RATIO * size)

    def member(self, group: Any, name: str, place: str) -> Any:
        """A member that really lies in this file."""
        link = group.get(name, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ModelFileError(
                "links to other places are not followed",
                where=f"{self.name}: {place}",
                found=type(link).__name__,
            )
        return group[name]

    def value(self, group: Any, name: str, place: str) -> AnyArray | str:
        """One dataset as a text or an array of numbers (or of texts, for edges)."""
        data = self.member(group, name, place)
        where = f"{self.name}: {place}"
        if not isinstance(data, h5py.Dataset):
            raise ModelFileError("a dataset is required", where=where, found=type(data).__name__)
        if data.is_virtual or data.external:
            raise ModelFileError("data outside the file are not read", where=where)
        text = h5py.check_string_dtype(data.dtype) is not None
        if (
            data.shape is None
            or len(data.shape) > MAX_RANK
            or (not text and (data.dtype.kind not in "fiub" or data.dtype.itemsize > 8))
        ):
            raise ModelFileError(
                "not a plain array of numbers",
                where=where,
                found=f"{data.dtype} {data.shape}",
                allowed=f"float, integer or text, at most {MAX_RANK} axes",
            )
        self.charge(int(data.size) * int(data.dtype.itemsize), where)
        if not text:
            return np.asarray(data[()])
        return self.texts(data, where)

    def texts(self, data: Any, where: str) -> AnyArray | str:
        """One text, or an array of texts, read in slices: many entries may share one long text."""
        self.check_lengths(data, where)
        if data.shape == ():
            text = text_of(data[()])
            return self.name_text("" if text is None else text, where)
        rows = max(1, FREE_BYTES // max(1, self.size))
        result = np.empty(data.shape, object)
        for first in range(0, data.shape[0], rows):
            part = np.asarray(data[first : first + rows], object)
            for entry in part.reshape(-1):
                self.name_text(text_of(entry) or "", where)
            result[first : first + rows] = part
        return result

    def check_lengths(self, data: Any, where: str) -> None:
        """Refuse a damaged reference to a text before the library allocates what it asks for.

        A reference starts with the length of its text (HDF5 File Format Specification 3.0, IV.B).
        Those of chunked datasets are not looked at; they are as many bytes at most as 32 bits say.
        """
        offset, stored = data.id.get_offset(), data.id.get_storage_size()
        if (
            offset is None
            or not data.size
            or h5py.check_string_dtype(data.dtype).length is not None
        ):
            return
        with Path(data.file.filename).open("rb") as stream:
            stream.seek(offset)
            raw = np.frombuffer(stream.read(stored), np.uint8)
        if raw.size != stored:
            return  # beyond the end of the file: the library refuses this itself
        lengths = raw.reshape(data.size, -1)[:, :4].copy().view("<u4")
        longest = int(lengths.max())
        if longest > self.size:
            raise ModelFileError(
                "the file is damaged: a text is longer than the file",
                where=where,
                found=f"{longest} bytes in a file of {self.size}",
                remedy="copy or export the file again",
            )

    def name_text(self, text: str, where: str) -> str:
        """Refuse texts that no node name or type can be."""
        if len(text) > MAX_TEXT:
            raise ModelFileError(
                "a text is too long", where=where, found=len(text), allowed=MAX_TEXT
            )
        return text

    def charge(self, size: int, where: str) -> None:
        """Take ``size`` bytes from the budget."""
        self.budget -= size
        if self.budget < 0:
            raise ModelFileError(
                "the file asks for more memory than it can hold data",
                where=where,
                found=f"{size} bytes declared in a file of {self.size} bytes",
                remedy="if the file is genuine, write it without compression",
            )


def text_of(value: object) -> str | None:
    """A stored text; None when the value is none."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return value if isinstance(value, str) else None


def names(group: Any, where: str) -> list[str]:
    """Member names in a fixed order; h5py returns undecodable ones as bytes."""
    names = list(group)
    bad = [name for name in names if not isinstance(name, str)]
    if bad:
        raise ModelFileError("a name is not text", where=where, found=bad[0])
    return sorted(names)
