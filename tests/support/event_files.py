"""AEDAT files written byte by byte, by the format's pages at docs.inivation.com."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np

EVENT = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "<u1")])
Pack = Callable[[bytes], bytes]


def random_events(count: int, seed: int = 0, size: int = 4) -> np.ndarray:
    """Sorted random events of a camera of ``size`` x ``size`` pixels."""
    random = np.random.default_rng(seed)
    found = np.zeros(count, EVENT)
    found["t"] = np.cumsum(random.integers(0, 80, count))
    for name, high in (("x", size), ("y", size), ("p", 2)):
        found[name] = random.integers(0, high, count)
    return found


def aedat2(found: np.ndarray, chip: str = "Davis346red") -> bytes:
    """Version 2.0; between the events are samples of a frame (DAVIS) or signals (DVS128)."""
    x, y, p = (found[name].astype(np.int64) for name in "xyp")
    davis = "Davis" in chip
    words = np.zeros((found.size, 2, 2), ">u4")
    words[:, 0, 0] = y << 22 | x << 12 | p << 11 if davis else y << 8 | x << 1 | p
    words[:, 1, 0] = 0x8000_0123 if davis else 0x8001
    words[:, :, 1] = (found["t"] & 0xFFFF_FFFF)[:, None]
    header = f"#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.{chip}\r\n"
    return header.encode() + words.tobytes()


def aedat3(found: np.ndarray, packet: int = 100) -> bytes:
    """Version 3.1: packets of polarity events, one of them invalid, and packets of others."""
    parts = [b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n"]
    for first in range(0, found.size, packet):
        some = found[first : first + packet]
        turns = int(some["t"][0]) >> 31
        x, y, p = (some[name].astype(np.int64) for name in "xyp")
        events = np.zeros((some.size + 1, 2), "<u4")
        events[1:, 0] = x << 17 | y << 2 | p << 1 | 1
        events[1:, 1] = some["t"] - (turns << 31)
        head = (1, 0, 8, 4, turns, some.size + 1, some.size + 1, some.size)
        parts += [struct.pack("<hhiiiiii", *head), events.tobytes()]
        parts += [struct.pack("<hhiiiiii", 0, 0, 8, 4, 0, 1, 1, 1), bytes(8)]
    return b"".join(parts)


def table(identifier: bytes, fields: Sequence[bytes | None], tail: bytes = b"") -> bytes:
    """A size-prefixed FlatBuffer of one table; an offset field points to ``tail`` behind it."""
    slots, body = [], b"\0\0\0\0"
    for field in fields:
        slots.append(len(body) if field is not None else 0)
        body += field or b""
    vtable = struct.pack(f"<HH{len(slots)}H", 4 + 2 * len(slots), len(body), *slots)
    vtable += bytes(-len(vtable) % 8)
    root = 8 + len(vtable)
    body = struct.pack("<i", len(vtable)) + body[4:]
    data = struct.pack("<I", root) + identifier + vtable + body + tail
    return struct.pack("<I", len(data)) + data


def event_packet(found: np.ndarray) -> bytes:
    """A packet of events, as a FlatBuffer."""
    records = np.zeros(found.size, [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "<u4")])
    for name in "txyp":
        records[name] = found[name]
    tail = struct.pack("<I", found.size) + records.tobytes()
    return table(b"EVTS", [struct.pack("<I", 4)], tail)


def aedat4(found: np.ndarray, packet: int = 100, compression: int = 0, pack: Pack = bytes) -> bytes:
    """Version 4.0: packets of events on stream 0, others on stream 1."""
    parts = []
    for first in range(0, found.size, packet):
        for stream, data in ((0, event_packet(found[first : first + packet])),
                             (1, table(b"IMUS", [None]))):  # fmt: skip
            packed = pack(data)
            parts.append(struct.pack("<ii", stream, len(packed)) + packed)
    body = b"".join(parts)
    version = b"#!AER-DAT4.0\r\n"
    header = table(b"IOHE", [struct.pack("<i", compression), struct.pack("<q", -1)])
    end = len(version) + len(header) + len(body)
    header = table(b"IOHE", [struct.pack("<i", compression), struct.pack("<q", end)])
    return version + header + body + b"the table of packets, which nobody reads"
