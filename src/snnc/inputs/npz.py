"""Arrays from ``.npz`` files, never unpickled, never larger than their headers prove."""

from __future__ import annotations

from pathlib import Path

from snnc.ir.arrays import AnyArray
from snnc.ir.errors import InputError
from snnc.ir.npy import read_npy
from snnc.ir.safezip import members, open_zip, read_member

SIZE_LIMIT = 16 << 30
"""Largest decompressed ``.npz``, in bytes."""


def read_npz(path: Path, wanted: set[str] | None = None) -> dict[str, AnyArray]:
    """All arrays of a ``.npz`` (or those ``wanted``), by key.

    Raises:
        InputError: not a ``.npz``, damaged, too large, or holding anything but numbers.
    """
    with open_zip(path, "a .npz file", InputError) as archive:
        found = members(archive, SIZE_LIMIT, InputError)
        keys = {name.removesuffix(".npy"): info for name, info in found.items()}
        return {
            key: read_npy(read_member(archive, info, InputError), f"{path}:{key}", InputError)
            for key, info in keys.items()
            if wanted is None or key in wanted
        }
