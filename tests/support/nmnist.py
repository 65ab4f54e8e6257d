"""Decode N-MNIST recordings: 5 bytes per event, x, y, polarity (1 bit), time in µs (23 bits)."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from snnc.ir.arrays import IntArray


def decode(raw: bytes, steps: int, step_us: int = 1000) -> IntArray:
    """Events as counts [steps, 2, 34, 34], channel = polarity bit."""
    events = np.frombuffer(raw, np.uint8).reshape(-1, 5).astype(np.int64)
    time = (events[:, 2] & 0x7F) << 16 | events[:, 3] << 8 | events[:, 4]
    step, polarity = time // step_us, events[:, 2] >> 7
    frames = np.zeros((steps, 2, 34, 34), np.int64)
    kept = step < steps
    where = (step[kept], polarity[kept], events[kept, 1], events[kept, 0])
    np.add.at(frames, where, 1)
    return frames


def recordings(archive: Path, count: int, steps: int = 310) -> IntArray:
    """The first ``count`` recordings of a zip, by file name: [count, steps, 2, 34, 34]."""
    with zipfile.ZipFile(archive) as folder:
        names = sorted(n for n in folder.namelist() if n.endswith((".bs2", ".bin")))
        return np.stack([decode(folder.read(name), steps) for name in names[:count]])
