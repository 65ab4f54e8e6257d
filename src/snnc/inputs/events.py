"""Events in the order of a file, a chunk at a time, and where a reader of them stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from snnc.ir.arrays import IntArray
from snnc.ir.errors import InputError

CHUNK_EVENTS = 1 << 16
"""Events read at a time."""
EVENT_BYTES = 5
"""Of an event of N-MNIST."""


class Chunk(NamedTuple):
    """Events in the order of the file: equally long int64 arrays."""

    x: IntArray
    y: IntArray
    polarity: IntArray
    time_us: IntArray


@dataclass
class Position:
    """Where a reader stands; everything it needs to go on from there.

    Attributes:
        event: events taken.
        wraps: how often the clock of the file has begun again.
        last_us: time stamp of the last event, as the file says it.
        packet, inside: of files of packets: byte where the packet in work begins (0: the first)
            and events of it that are taken; the clock is then that before the packet.
    """

    event: int = 0
    wraps: int = 0
    last_us: int = 0
    packet: int = 0
    inside: int = 0

    def as_dict(self) -> dict[str, int]:
        """JSON values."""
        return asdict(self)


class EventSource(Protocol):
    """A recording from which events are taken chunk by chunk, from any position."""

    path: Path

    def close(self) -> None:
        """Close the file."""

    def chunks(self, position: Position) -> Iterator[Chunk]:
        """Events from a position on, which is moved by whoever takes them."""

    def moved(self, position: Position, chunk: Chunk, taken: int) -> Position:
        """The position behind the first events of a chunk that began at ``position``."""


def unreadable(path: Path, error: OSError) -> InputError:
    """What to raise where a recording cannot be opened or read."""
    return InputError(
        "the recording cannot be read", where=str(path), found=error.strerror or str(error)
    )
