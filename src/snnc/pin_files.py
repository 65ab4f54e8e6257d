"""Pins from the command line and from a file, as the one value that ``CompileOptions`` holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from snnc.compiler.pins import SEPARATOR
from snnc.ir.errors import OptionError

MAX_BYTES = 1 << 20


class _Loader(yaml.BaseLoader):
    """Strings only, and no key twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for k, key in enumerate(keys) if key in keys[:k]]
        if twice:
            raise ValueError(f"{twice[0]} has two places"[:300])
        return super().construct_mapping(node, deep)


def joined(words: Sequence[str] | None, path: Path | None) -> str | None:
    """Pins of ``--pin`` and ``--pins``; None without any.

    Raises:
        OptionError: the file is no mapping of populations to places.
    """
    pins = [*(words or ()), *(() if path is None else read(path))]
    return SEPARATOR.join(pins) or None


def read(path: Path) -> list[str]:
    """``POPULATION@PLACE`` of every line of a YAML mapping.

    Raises:
        OptionError: as ``joined``.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        # Plain strings only: no tags, and "1,2" stays what it is.
        value = yaml.load(content.decode("utf-8"), Loader=_Loader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise _refused(path, " ".join(str(error).split())[:300]) from error
    if not isinstance(value, dict):
        raise _refused(path, type(value).__name__)
    pins = [(name, place) for name, place in value.items()]
    for name, place in pins:
        if not (isinstance(name, str) and isinstance(place, str)):
            raise _refused(path, f"a {type(place).__name__} as the place of {name}"[:300])
    return [f"{name}@{place}" for name, place in pins]


def _refused(path: Path, found: str) -> OptionError:
    return OptionError(
        "not a file of pins",
        where=f"--pins {path}",
        found=found,
        allowed="lines such as `conv1: 0,0` or `fc: chip:1`",
        remedy="correct the file; docs/placement.md describes pins",
    )
