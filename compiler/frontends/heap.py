"""Check the text storage of an HDF5 file before the HDF5 library reads it.

Texts live in "global heap collections" (HDF5 File Format Specification 3.0, section III.E).  The
library walks a collection object by object and loops forever on a free object of size zero, so a
damaged file would hang the process instead of failing.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

SIGNATURE = b"GCOL\x01"
HEADER = 16


def endless_heap(path: Path) -> int | None:
    """File offset of the first collection the HDF5 library would never finish, or None."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = data.find(SIGNATURE)
        while start >= 0:
            if _is_endless(data, start):
                return start
            start = data.find(SIGNATURE, start + 1)
    return None


def _is_endless(data: mmap.mmap, start: int) -> bool:
    """Walk one collection as the library does: does a step make no progress?"""
    if start + HEADER > len(data):
        return False
    (total,) = struct.unpack_from("<Q", data, start + 8)
    if total > len(data) - start:
        return False  # the library refuses this itself; or these bytes are weights
    position = HEADER
    while position + HEADER <= total:
        index, _, size = struct.unpack_from("<HH4xQ", data, start + position)
        step = size if index == 0 else HEADER + -(-size // 8) * 8
        if step == 0:
            return True
        position += step
    return False
