"""Endless event recordings, read in bounded memory: one window of time steps after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from snnc.inputs.aedat import AedatFile
from snnc.inputs.events import (
    CHUNK_EVENTS,
    EVENT_BYTES,
    Chunk,
    EventSource,
    Position,
    unreadable,
)
from snnc.ir.arrays import AnyArray, IntArray, Shape
from snnc.ir.errors import InputError
from snnc.ir.npy import read_header
from snnc.ir.regular import check_regular

GAP_LIMIT = 10_000_000
"""Time steps without an event after which the time stamps cannot be right."""
SUFFIXES = (".bin", ".bs2", ".dat", ".npy", ".aedat", ".aedat4")
_WRAP = 1 << 23  # an N-MNIST time stamp has 23 bits
_HEADER_LIMIT = 1 << 16


@dataclass(frozen=True)
class _Format:
    """Records of one size behind a header."""

    start: int
    record: Any
    clock: int | None = None


def open_events(path: Path) -> EventSource:
    """A recording of any format that is read as a stream.

    Raises:
        InputError: no such file, or a format that is not read as a stream.
        MissingPackageError: what unpacks the file is not installed.
    """
    if path.suffix.lower() in (".aedat", ".aedat4"):
        return AedatFile(path)
    return EventFile(path)


class EventFile:
    """Events of a file from any position, a chunk at a time.

    Raises:
        InputError: no such file, or a format that is not read as a stream.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            check_regular(path, InputError)
            self._file: IO[bytes] = path.open("rb")
        except OSError as error:
            raise unreadable(path, error) from error
        try:
            self._format = _format(path, self._file)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def chunks(self, position: Position) -> Iterator[Chunk]:
        """Events from a position on, which is moved by whoever takes them.

        Raises:
            InputError: a last event that is cut, or numbers no event can have.
        """
        size = self._format.record.itemsize
        self._file.seek(self._format.start + position.event * size)
        wraps, last = position.wraps, position.last_us
        while data := self._file.read(size * CHUNK_EVENTS):
            if len(data) % size:
                raise InputError(
                    "the recording ends in the middle of an event",
                    where=str(self.path),
                    found=f"{len(data) % size} bytes too many",
                    allowed=f"events of {size} bytes",
                )
            x, y, polarity, time = self._columns(np.frombuffer(data, self._format.record))
            clock = self._format.clock
            if clock is not None:
                turns = wraps + np.cumsum(np.diff(time, prepend=last) < -clock // 2)
                wraps, last = int(turns[-1]), int(time[-1])
                time = time + clock * turns
            yield Chunk(x, y, polarity, time)

    def moved(self, position: Position, chunk: Chunk, taken: int) -> Position:
        """The position behind the first events of a chunk that began at ``position``."""
        if not taken:
            return position
        wraps, last = divmod(int(chunk.time_us[taken - 1]), self._format.clock or 1 << 62)
        return Position(position.event + taken, wraps, last)

    def _columns(self, records: AnyArray) -> Chunk:
        if self.path.suffix.lower() in (".bin", ".bs2"):
            high, middle, low = (records[f"t{k}"].astype(np.int64) for k in range(3))
            time = ((high & 0x7F) << 16) | (middle << 8) | low
            x, y = (records[k].astype(np.int64) for k in "xy")
            return Chunk(x, y, high >> 7, time)
        if self.path.suffix.lower() == ".dat":
            word = records["address"].astype(np.int64)
            time = records["t"].astype(np.int64)
            return Chunk(word & 0x3FFF, (word >> 14) & 0x3FFF, word >> 28 & 1, time)
        time, x, y, polarity = (records[k] for k in "txyp")
        for name, column in zip("txyp", (time, x, y, polarity), strict=True):
            if (column < 0).any() or (column > np.iinfo(np.int64).max // 2).any():
                raise InputError("negative or huge numbers", where=f"{self.path}:{name}")
        return Chunk(*(c.astype(np.int64) for c in (x, y, polarity, time)))


class WindowReader:
    """Cuts the events of a file into windows of time steps.

    Attributes:
        position: behind the last event taken.
        late: events taken whose step was over already; they are left out.
    """

    def __init__(
        self, file: EventSource, shape: Shape, bin_us: int, position: Position, late: int = 0
    ) -> None:
        if len(shape) != 3 or shape[0] != 2:
            raise InputError(
                "the network's input is not an event camera",
                where=str(file.path),
                found=f"input shape {shape}",
                allowed="(2, rows, columns): one channel per polarity",
            )
        self.position, self.late = position, late
        self._file, self._shape, self._bin_us = file, shape, bin_us
        self._chunks = file.chunks(position)
        self._rest: Chunk | None = None

    def read(self, first: int, steps: int) -> IntArray:
        """Count events: int64 [steps, 2, rows, columns], fewer steps where the events end.

        The window ends with the first event, in the order of the file, of a later step.

        Raises:
            InputError: an event outside the sensor, or ``GAP_LIMIT`` steps without one.
        """
        counts = np.zeros((steps, *self._shape), np.int64)
        last = -1
        while (chunk := self._rest or next(self._chunks, None)) is not None:
            step = chunk.time_us // self._bin_us - first
            over = np.flatnonzero(step >= steps)
            taken = int(over[0]) if over.size else step.size
            self._count(Chunk(*(c[:taken] for c in chunk)), step[:taken], counts)
            last = max(last, int(step[:taken].max(initial=-1)))
            self.position = self._file.moved(self.position, chunk, taken)
            self._rest = Chunk(*(c[taken:] for c in chunk)) if over.size else None
            if over.size:
                self._check_gap(int(step[taken]))
                return counts
        return counts[: last + 1]

    def _count(self, chunk: Chunk, step: IntArray, counts: IntArray) -> None:
        _, rows, columns = self._shape
        beyond = (chunk.x >= columns) | (chunk.y >= rows) | (chunk.polarity > 1)
        if beyond.any():
            k = int(beyond.argmax())
            raise InputError(
                "an event lies outside the network's input",
                where=f"{self._file.path}, event {self.position.event + k}",
                found=f"row {chunk.y[k]}, column {chunk.x[k]}, polarity {chunk.polarity[k]}",
                allowed=f"rows below {rows}, columns below {columns}, polarity 0 or 1",
            )
        now = step >= 0
        self.late += int(now.size - np.count_nonzero(now))
        cell = ((step * 2 + chunk.polarity) * rows + chunk.y) * columns + chunk.x
        np.add.at(counts.reshape(-1), cell[now], 1)

    def _check_gap(self, ahead: int) -> None:
        if ahead > GAP_LIMIT:
            raise InputError(
                "time stamps jump",
                where=f"{self._file.path}, event {self.position.event}",
                found=f"{ahead} time steps of {self._bin_us} us without an event",
                allowed=GAP_LIMIT,
                remedy="check the file, or give wider bins: --bin-us",
            )


def _format(path: Path, file: IO[bytes]) -> _Format:
    suffix = path.suffix.lower()
    if suffix in (".bin", ".bs2"):
        fields = [("x", "u1"), ("y", "u1"), ("t0", "u1"), ("t1", "u1"), ("t2", "u1")]
        record: np.dtype[Any] = np.dtype(fields)
        assert record.itemsize == EVENT_BYTES
        return _Format(0, record, _WRAP)
    if suffix == ".dat":
        return _prophesee(path, file)
    if suffix == ".npy":
        return _structured(path, file)
    raise InputError(
        "this recording cannot be streamed",
        where=str(path),
        found={".mat": "MATLAB: read only as a whole"}.get(suffix, suffix or "no suffix"),
        allowed=", ".join(SUFFIXES),
        remedy="write it as a structured NumPy array with the fields t (us), x, y and p",
    )  # fmt: skip


def _prophesee(path: Path, file: IO[bytes]) -> _Format:
    """DAT version 1 or 2: text lines that begin with %, type and size of events, events.

    An event is a 32-bit time stamp in microseconds and a word: x in bits 0 to 13, y in 14 to 27,
    polarity in 28.
    """
    start = 0
    while (line := file.readline(_HEADER_LIMIT)).startswith(b"% ") and start < _HEADER_LIMIT:
        start += len(line)
    kind = line[:2] if start else b""
    if kind not in (b"\x00\x08", b"\x0c\x08"):
        raise InputError(
            "not a Prophesee DAT file of CD events",
            where=str(path),
            found=kind.hex() or "no header",
            allowed="event type 0 or 12, 8 bytes each",
        )
    return _Format(start + 2, np.dtype([("t", "<u4"), ("address", "<u4")]), 1 << 32)


def _structured(path: Path, file: IO[bytes]) -> _Format:
    """A structured NumPy array with the fields t, x, y and p, in any order."""
    shape, _, dtype, start = read_header(file.read(_HEADER_LIMIT), str(path), InputError)
    fields = dtype.names or ()
    if dtype.hasobject or len(shape) != 1 or not {"t", "x", "y", "p"} <= set(fields) or any(
        dtype[name].kind not in "iub" for name in "txyp"
    ):  # fmt: skip
        raise InputError(
            "not an array of events",
            where=str(path),
            found=f"{str(dtype)[:200]} {shape}",
            allowed="one axis of integer fields t (us), x, y and p",
        )
    return _Format(start, dtype)
