"""AEDAT recordings, versions 2.0, 3.1 and 4.0, packet by packet in bounded memory.

The formats are those of docs.inivation.com ("AEDAT File Formats").  Version 4 holds FlatBuffers,
which are read here field by field with every offset checked; compressed packets need ``lz4`` or
``zstandard`` and are cut off beyond a limit.  Nothing in a file is executed.

Time counts from the first event.  Rows are the file's y addresses: their origin is the upper left
corner in versions 3.1 and 4, the lower left one in version 2.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from snnc.inputs.events import CHUNK_EVENTS, Chunk, Position, unreadable
from snnc.ir.arrays import AnyArray, IntArray
from snnc.ir.errors import InputError, MissingPackageError
from snnc.ir.regular import check_regular

SUFFIXES = (".aedat", ".aedat4")
PACKET_LIMIT = 64 << 20
"""Bytes of one packet, on disk and unpacked."""
HEADER_LIMIT = 1 << 20
_LINE_LIMIT = 1 << 16
_CLOCK = 1 << 32
_LATEST = 1 << 60
_POLARITY = 1  # type of packets of version 3.1
_COMPRESSIONS = ("none", "lz4", "lz4", "zstd", "zstd")
_EVENT4 = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1"), ("", "u1", 3)])
_EVENT3 = np.dtype([("data", "<u4"), ("t", "<i4")])
_EVENT2 = np.dtype([("address", ">u4"), ("t", ">u4")])


@dataclass
class _Packet:
    """Where a packet begins: byte, events before it, state of the clock."""

    offset: int
    event: int
    wraps: int
    last_us: int


class AedatFile:
    """Events of an AEDAT file from any position; used as ``streams.EventFile``.

    Raises:
        InputError: no such file, not AEDAT, a version or camera that is not read, no event.
        MissingPackageError: what unpacks the file is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            check_regular(path, InputError)
            self._file: IO[bytes] = path.open("rb")
            self._size = path.stat().st_size
        except OSError as error:
            raise unreadable(path, error) from error
        try:
            self._packet = _Packet(0, 0, 0, 0)
            self._layout = _layout(self)
            self._origin = 0
            first = next(self.chunks(Position()), None)
            if first is None:
                raise InputError("the recording holds no event", where=str(path),
                                 found=f"{self._size} bytes, all header")  # fmt: skip
            self._origin = int(first.time_us[0])
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def chunks(self, position: Position) -> Iterator[Chunk]:
        """As ``EventFile.chunks``.

        Raises:
            InputError: a packet that is cut, too large or damaged.
        """
        packet = _Packet(
            position.packet or self._layout.start,
            position.event - position.inside,
            position.wraps,
            position.last_us,
        )
        skipped = position.inside
        for chunk, began in self._layout.packets(packet):
            if chunk.x.size > skipped:
                self._check(chunk)
                self._packet = began
                times = chunk.time_us - self._origin
                yield Chunk(*(c[skipped:] for c in chunk._replace(time_us=times)))
            skipped = 0

    def moved(self, position: Position, chunk: Chunk, taken: int) -> Position:
        """As ``EventFile.moved``: the packet in work, and how many of its events are taken."""
        if not taken:
            return position
        event, packet = position.event + taken, self._packet
        return Position(event, packet.wraps, packet.last_us, packet.offset, event - packet.event)

    def read(self, offset: int, size: int, what: str) -> bytes:
        """Bytes of the file that must be there.

        Raises:
            InputError: they are not, or are too many.
        """
        if not 0 <= size <= PACKET_LIMIT:
            raise self.wrong(f"{what} is too large", f"{size} bytes at byte {offset}",
                             f"{PACKET_LIMIT} bytes")  # fmt: skip
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) != size:
            found = f"{len(data)} of {size} bytes at byte {offset}"
            raise self.wrong(f"the recording ends in the middle of {what}", found, "a whole file")
        return data

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._size

    def lines(self) -> tuple[list[bytes], int]:
        """Header lines, which begin with #, and the byte behind them."""
        self._file.seek(0)
        lines: list[bytes] = []
        end = 0
        while (line := self._file.readline(_LINE_LIMIT)).startswith(b"#"):
            if len(line) == _LINE_LIMIT or end + len(line) > HEADER_LIMIT:
                raise self.wrong("the header is too long", f"{end + len(line)} bytes",
                                 f"{HEADER_LIMIT} bytes, {_LINE_LIMIT} a line")  # fmt: skip
            lines.append(line.rstrip(b"\r\n"))
            end += len(line)
            if line.startswith((b"#!END-HEADER", b"#!AER-DAT4")):
                break
        return lines, end

    def wrong(self, problem: str, found: object, allowed: object) -> InputError:
        """An error about this file."""
        return InputError(problem, where=str(self.path), found=found, allowed=allowed,
                          remedy="record or convert it again")  # fmt: skip

    def _check(self, chunk: Chunk) -> None:
        for name, column, least in (("x", chunk.x, 0), ("y", chunk.y, 0),
                                    ("time", chunk.time_us, -_LATEST)):  # fmt: skip
            if (column < least).any() or (column > _LATEST).any():
                raise self.wrong("an event is impossible", f"{name} {int(column.min())}",
                                 "numbers that are not negative")  # fmt: skip


def _layout(file: AedatFile) -> _Version2 | _Version3 | _Version4:
    lines, start = file.lines()
    version = lines[0] if lines else b""
    if version.startswith(b"#!AER-DAT4"):
        return _Version4(file, start)
    if version.startswith(b"#!AER-DAT3.1"):
        if b"#!END-HEADER" not in lines:
            raise file.wrong("the header has no end", f"{len(lines)} lines", "#!END-HEADER")
        return _Version3(file, start)
    if version.startswith(b"#!AER-DAT2"):
        return _Version2(file, start, lines)
    raise file.wrong("not an AEDAT file that is read", (version or b"no header line")[:40],
                     "versions 2.0, 3.1, 4.0")  # fmt: skip


class _Version2:
    """Big-endian pairs of address and time; what an address means depends on the camera."""

    def __init__(self, file: AedatFile, start: int, lines: list[bytes]) -> None:
        self.start, self._file = start, file
        chip = next((line for line in lines if b"AEChip:" in line), b"").split(b".")[-1].strip()
        self._davis = b"davis" in chip.lower()
        if not self._davis and b"dvs128" not in chip.lower():
            raise file.wrong("addresses of a camera that is not known", chip[:80] or b"no AEChip",
                             "DAVIS and DVS128 cameras")  # fmt: skip

    def packets(self, packet: _Packet) -> Iterator[tuple[Chunk, _Packet]]:
        wraps, last, event = packet.wraps, packet.last_us, packet.event
        offset = packet.offset
        while offset < self._file.size:
            size = min(CHUNK_EVENTS * _EVENT2.itemsize, self._file.size - offset)
            if size % _EVENT2.itemsize:
                found = f"{size % _EVENT2.itemsize} bytes too many"
                raise self._file.wrong(
                    "the recording ends in the middle of an event", found, "8 bytes each"
                )
            records = np.frombuffer(self._file.read(offset, size, "an event"), _EVENT2)
            here = _Packet(offset, event, wraps, last)
            time = records["t"].astype(np.int64)
            turns = wraps + np.cumsum(np.diff(time, prepend=last) < -_CLOCK // 2)
            wraps, last = int(turns[-1]), int(time[-1])
            chunk = self._events(records["address"].astype(np.int64), time + _CLOCK * turns)
            yield chunk, here
            event += chunk.x.size
            offset += size

    def _events(self, address: IntArray, time: IntArray) -> Chunk:
        if self._davis:  # bit 31: a sample of the frame; bit 10: a special event
            kept = address & 0x8000_0400 == 0
            x, y, polarity = address >> 12 & 0x3FF, address >> 22 & 0x1FF, address >> 11 & 1
        else:  # bit 15: an external signal
            kept = address & 0x8000 == 0
            x, y, polarity = address >> 1 & 0x7F, address >> 8 & 0x7F, address & 1
        return Chunk(*(c[kept] for c in (x, y, polarity, time)))


class _Version3:
    """Packets of typed events behind a header of 28 bytes."""

    def __init__(self, file: AedatFile, start: int) -> None:
        self.start, self._file = start, file

    def packets(self, packet: _Packet) -> Iterator[tuple[Chunk, _Packet]]:
        offset, event, file = packet.offset, packet.event, self._file
        while offset < file.size:
            head = file.read(offset, 28, "a packet's header")
            kind, _, each, _, turns, _, number, _ = struct.unpack("<hhiiiiii", head)
            if each < 1 or number < 0:
                found = f"{number} events of {each} bytes at byte {offset}"
                raise file.wrong("a packet's header is impossible", found, "positive sizes")
            here, offset = _Packet(offset, event, 0, 0), offset + 28
            if kind == _POLARITY:
                chunk = self._events(offset, each, number, turns)
                yield chunk, here
                event += chunk.x.size
            elif offset + each * number > file.size:
                file.read(offset, file.size - offset + 1, "a packet")
            offset += each * number

    def _events(self, offset: int, each: int, number: int, turns: int) -> Chunk:
        if each != _EVENT3.itemsize:
            raise self._file.wrong("a polarity event has another size", f"{each} bytes",
                                   f"{_EVENT3.itemsize} bytes")  # fmt: skip
        data = self._file.read(offset, each * number, "a packet")
        records = np.frombuffer(data, _EVENT3)
        word = records["data"].astype(np.int64)
        time = records["t"].astype(np.int64) + (turns << 31)
        valid = word & 1 == 1
        columns = (word >> 17 & 0x7FFF, word >> 2 & 0x7FFF, word >> 1 & 1, time)
        return Chunk(*(c[valid] for c in columns))


class _Version4:
    """A FlatBuffer with the compression, then packets of several streams."""

    def __init__(self, file: AedatFile, start: int) -> None:
        self._file = file
        (size,) = struct.unpack("<I", file.read(start, 4, "the header"))
        if size > HEADER_LIMIT:
            raise file.wrong("the header is too long", f"{size} bytes", f"{HEADER_LIMIT} bytes")
        table = _Table(file, file.read(start, 4 + size, "the header"), b"IOHE")
        compression, end = table.number(0, "<i", 0), table.number(1, "<q", -1)
        if not 0 <= compression < len(_COMPRESSIONS):
            raise file.wrong("an unknown compression", compression, ", ".join(_COMPRESSIONS))
        self.start = start + 4 + size
        self._end = end if self.start <= end <= file.size else file.size
        self._unpack = _unpacker(_COMPRESSIONS[compression])
        self._stream: int | None = None
        self._others: set[int] = set()

    def packets(self, packet: _Packet) -> Iterator[tuple[Chunk, _Packet]]:
        offset, event, file = packet.offset, packet.event, self._file
        while offset < self._end:
            stream, size = struct.unpack("<ii", file.read(offset, 8, "a packet's header"))
            here = _Packet(offset, event, 0, 0)
            if stream in self._others:
                if offset + 8 + size > self._end or size < 0:
                    file.read(offset + 8, file.size - offset, "a packet")
            else:
                chunk = self._events(stream, file.read(offset + 8, size, "a packet"))
                if chunk is not None:
                    yield chunk, here
                    event += chunk.x.size
            offset += 8 + size

    def _events(self, stream: int, packed: bytes) -> Chunk | None:
        """The events of a packet; None of another stream."""
        try:
            data = self._unpack(packed)
        except (RuntimeError, ValueError, EOFError, MemoryError) as error:
            raise self._file.wrong("a packet cannot be unpacked", str(error)[:200],
                                   f"up to {PACKET_LIMIT} bytes") from error  # fmt: skip
        if data[8:12] != b"EVTS":
            self._others.add(stream)
            return None
        if self._stream not in (None, stream):
            raise self._file.wrong("several streams of events", f"streams {self._stream}, {stream}",
                                   "one camera")  # fmt: skip
        self._stream = stream
        records = _Table(self._file, data, b"EVTS").structs(0, _EVENT4)
        columns = (records[name].astype(np.int64) for name in ("x", "y", "p", "t"))
        return Chunk(*columns)


class _Table:
    """The root table of a size-prefixed FlatBuffer; every offset is checked before it is used."""

    def __init__(self, file: AedatFile, data: bytes, identifier: bytes) -> None:
        self._file, self._data = file, data
        if data[8:12] != identifier:
            raise file.wrong("a FlatBuffer of another kind", data[8:12], identifier)
        self._at = 4 + self._get(4, "<I")
        self._slots = self._at - self._get(self._at, "<i")
        self._size = self._get(self._slots, "<H")

    def number(self, field: int, form: str, default: int) -> int:
        """A scalar field."""
        at = self._field(field)
        return default if at is None else self._get(at, form)

    def structs(self, field: int, record: Any) -> AnyArray:
        """A vector of structs; none is an empty one."""
        at = self._field(field)
        if at is None:
            return np.zeros(0, record)
        at += self._get(at, "<I")
        count = self._get(at, "<I")
        if at + 4 + count * record.itemsize > len(self._data):
            raise self._file.wrong("a packet is damaged", f"{count} events announced",
                                   f"{len(self._data)} bytes")  # fmt: skip
        return np.frombuffer(self._data, record, count, at + 4)

    def _field(self, field: int) -> int | None:
        slot = 4 + 2 * field
        offset = self._get(self._slots + slot, "<H") if slot + 2 <= self._size else 0
        return self._at + offset if offset else None

    def _get(self, at: int, form: str) -> int:
        if not 0 <= at <= len(self._data) - struct.calcsize(form):
            raise self._file.wrong("a packet is damaged", f"an offset of {at}",
                                   f"{len(self._data)} bytes")  # fmt: skip
        return int(struct.unpack_from(form, self._data, at)[0])


def _unpacker(kind: str) -> Any:
    """A function from packed to unpacked bytes, at most ``PACKET_LIMIT`` of them."""
    if kind == "none":
        return lambda packed: packed
    try:
        if kind == "lz4":
            import lz4.frame

            return lambda packed: _whole(
                lz4.frame.LZ4FrameDecompressor().decompress(packed, PACKET_LIMIT + 1)
            )
        import zstandard

        return lambda packed: _whole(_zstd(zstandard, packed))
    except ImportError as error:
        raise MissingPackageError(
            "this recording is compressed",
            where=kind,
            found=f"no package {error.name}",
            remedy="pip install 'snnc[events]'",
        ) from error


def _zstd(zstandard: Any, packed: bytes) -> bytes:
    try:
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)) as stream:
            data: bytes = stream.read(PACKET_LIMIT + 1)
            return data
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


def _whole(data: bytes) -> bytes:
    if len(data) > PACKET_LIMIT:
        raise ValueError(f"more than {PACKET_LIMIT} bytes")
    return data
