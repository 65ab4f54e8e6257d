"""Event-camera recordings as samples: N-MNIST (``.bin``, ``.bs2``) alone or in bulk, others alone.

One event is five bytes: x, y, polarity (top bit of byte 2) and a 23-bit big-endian time stamp in
microseconds (Orchard et al., Frontiers in Neuroscience 9:437, 2015).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from snnc.inputs.events import EVENT_BYTES, Position, unreadable
from snnc.inputs.labels import class_of_folder, read_labels
from snnc.inputs.streams import open_events
from snnc.ir.arrays import AnyArray, IntArray, Shape
from snnc.ir.errors import InputError
from snnc.ir.regular import check_regular
from snnc.ir.safezip import members, open_zip, read_member

SUFFIXES = (".bin", ".bs2")
ALONE = (".dat", ".aedat", ".aedat4")
"""Formats of which one file is one sample, see ``snnc.inputs.streams``."""
RECORDING_LIMIT = 64 << 20
"""Largest single recording, in bytes."""
TOTAL_LIMIT = 4 << 30
"""Largest folder or zip of recordings, in bytes."""


@dataclass(frozen=True, eq=False)
class Recording:
    """One recording: equally long arrays of column, row, polarity (0, 1) and time in us."""

    name: str
    x: IntArray
    y: IntArray
    polarity: IntArray
    time_us: IntArray


@dataclass(frozen=True, eq=False)
class RecordingSet:
    """Recordings in order, with their classes where known."""

    recordings: tuple[Recording, ...]
    labels: IntArray | None
    notes: tuple[str, ...]


def is_recording(path: Path) -> bool:
    """True for what this module reads: recordings, folders, zips."""
    return path.is_dir() or path.suffix.lower() in (*SUFFIXES, *ALONE, ".zip")


def read_recordings(path: Path, labels: Path | None, limit: int | None = None) -> RecordingSet:
    """Read a recording, a folder or a zip of recordings in natural order of their names.

    Args:
        path: ``.bin``, ``.bs2``, ``.dat``, ``.aedat``, ``.aedat4``, ``.zip`` or folder.
        labels: text file ``id<TAB>class``; None looks for one beside ``path``.
        limit: read only the first so many.

    Raises:
        InputError: not recordings, truncated, too large, or labels that do not cover them.
    """
    if path.suffix.lower() in ALONE and not path.is_dir():
        return RecordingSet((_alone(path),), read_labels(path, [path.name], labels)[0], ())
    named = list(_named_bytes(path, limit))
    if not named:
        raise InputError(
            "no recordings found",
            where=str(path),
            allowed=f"files ending in {' or '.join(SUFFIXES)}",
        )
    names = [name for name, _ in named]
    classes, note = read_labels(path, names, labels)
    if classes is None:
        classes = class_of_folder(names)
    recordings = tuple(parse(data, name) for name, data in named)
    return RecordingSet(recordings, classes, (note,) if note else ())


def parse(data: bytes, name: str) -> Recording:
    """Decode the bytes of one recording; raises ``InputError`` when they are cut."""
    if len(data) % EVENT_BYTES or not data:
        raise InputError(
            "not an N-MNIST recording, or truncated",
            where=name,
            found=f"{len(data)} bytes",
            allowed=f"a positive multiple of {EVENT_BYTES} bytes",
        )
    raw = np.frombuffer(data, np.uint8).reshape(-1, EVENT_BYTES)
    high, middle, low = (raw[:, k].astype(np.int32) for k in (2, 3, 4))
    time = ((high & 0x7F) << 16) | (middle << 8) | low
    return Recording(name, raw[:, 0], raw[:, 1], high >> 7, time)


def bin_events(recording: Recording, shape: Shape, steps: int, bin_us: int) -> AnyArray:
    """Count events per time bin: uint32 [steps, 2, rows, columns] (channel = polarity bit).

    Events from ``steps * bin_us`` on are left out; see ``late_events``.

    Raises:
        InputError: the network's input is no event camera of this size.
    """
    check_sensor(shape, recording)
    _, rows, columns = shape
    step = recording.time_us // bin_us
    kept = step < steps
    x, y, polarity = (a[kept].astype(np.int64) for a in (recording.x, recording.y,
                                                         recording.polarity))  # fmt: skip
    cell = ((step[kept] * 2 + polarity) * rows + y) * columns + x
    counts = np.bincount(cell, minlength=steps * 2 * rows * columns)
    return counts.astype(np.uint32).reshape(steps, *shape)


def late_events(recording: Recording, steps: int, bin_us: int) -> int:
    """Number of events after the last bin."""
    return int(np.count_nonzero(recording.time_us >= steps * bin_us))


def check_sensor(shape: Shape, recording: Recording) -> None:
    """Raise ``InputError`` unless the input is (2, rows, columns) and holds every event."""
    if len(shape) != 3 or shape[0] != 2:
        raise InputError(
            "the network's input is not an event camera",
            where=recording.name,
            found=f"input shape {shape}",
            allowed="(2, rows, columns): one channel per polarity",
            remedy="give the data as .npz with x of [samples, steps, *shape]",
        )
    if recording.y.size and (recording.y.max() >= shape[1] or recording.x.max() >= shape[2]):
        raise InputError(
            "an event lies outside the network's input",
            where=recording.name,
            found=f"row {recording.y.max()}, column {recording.x.max()}",
            allowed=f"rows below {shape[1]}, columns below {shape[2]}",
        )


def _alone(path: Path) -> Recording:
    """All events of one file, as long as they are no more than a recording may hold."""
    source, parts, events = open_events(path), [], 0
    try:
        for chunk in source.chunks(Position()):
            x, y, polarity, time = chunk
            parts.append((*(c.astype(np.int32) for c in (x, y, polarity)), time))
            events += chunk.x.size
            if events > RECORDING_LIMIT // EVENT_BYTES:
                raise InputError(
                    "the recording is too long for one sample",
                    where=str(path),
                    found=f"more than {events} events",
                    allowed=f"{RECORDING_LIMIT // EVENT_BYTES} events",
                    remedy="run it as a stream: snnc stream",
                )
    finally:
        source.close()
    if not events:
        raise InputError("the recording holds no event", where=str(path))
    x, y, polarity, time = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Recording(path.name, x, y, polarity, time)


def _named_bytes(path: Path, limit: int | None) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        try:
            files = [p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()]
        except OSError as error:  # something vanished while the folder was read
            raise InputError(
                "the folder cannot be read",
                where=str(path),
                found=f"{error.strerror or type(error).__name__}: {error.filename}",
                remedy="give a folder of recordings that nobody changes meanwhile",
            ) from error
        for file in sorted(files, key=lambda p: _natural(str(p.relative_to(path))))[:limit]:
            yield str(file.relative_to(path)), _read(file)
    elif path.suffix.lower() == ".zip":
        with open_zip(path, "a zip of recordings", InputError) as archive:
            found = members(archive, TOTAL_LIMIT, InputError)
            names = [n for n in found if PurePosixPath(n).suffix.lower() in SUFFIXES]
            for name in sorted(names, key=_natural)[:limit]:
                yield name, read_member(archive, found[name], InputError)
    else:
        yield path.name, _read(path)


def _read(path: Path) -> bytes:
    try:
        check_regular(path, InputError)
        size = path.stat().st_size
        if size > RECORDING_LIMIT:
            raise InputError(
                "the recording is too large",
                where=str(path),
                found=f"{size} bytes",
                allowed=f"{RECORDING_LIMIT} bytes",
            )
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def _natural(name: str) -> tuple[int, str]:
    """Numbers in numeric order, then names."""
    stem = PurePosixPath(name).stem
    return (int(stem) if stem.isdecimal() else -1, name)
