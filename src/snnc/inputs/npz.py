"""Arrays from ``.npz`` files, never unpickled, never larger than their headers prove."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from snnc.ir.arrays import AnyArray
from snnc.ir.errors import InputError
from snnc.ir.npy import read_npy
from snnc.ir.safezip import members, open_zip, read_member

SIZE_LIMIT = 16 << 30
"""Largest decompressed ``.npz``, in bytes."""


def npz_keys(path: Path) -> tuple[str, ...]:
    """The keys of a ``.npz``; raises ``InputError`` where it is none."""
    with open_zip(path, "a .npz file", InputError) as archive:
        found = members(archive, SIZE_LIMIT, InputError)
        return tuple(sorted(name.removesuffix(".npy") for name in found))


def read_npz(path: Path, wanted: Collection[str]) -> dict[str, AnyArray]:
    """Those of the ``wanted`` arrays that a ``.npz`` holds; others are not looked at.

    Raises:
        InputError: not a ``.npz``, damaged, too large, or holding anything but numbers.
    """
    with open_zip(path, "a .npz file", InputError) as archive:
        found = members(archive, SIZE_LIMIT, InputError)
        keys = {name.removesuffix(".npy"): info for name, info in found.items()}
        return {
            key: read_npy(read_member(archive, info, InputError), f"{path}:{key}", InputError)
            for key, info in keys.items()
            if key in wanted
        }
