"""Classes of recordings: a text file ``id<TAB>class``, or folders named by class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from snnc.ir.arrays import IntArray
from snnc.ir.errors import InputError
from snnc.ir.regular import check_regular

_SIZE_LIMIT = 64 << 20


def read_labels(
    data: Path, names: Sequence[str], labels: Path | None
) -> tuple[IntArray | None, str]:
    """Classes of the named recordings and a note which file gave them.

    Without ``labels``, the ``.txt`` files beside ``data`` are tried; one is taken only when it
    covers every recording and no other file does.

    Raises:
        InputError: the given file is malformed or lacks a recording.
    """
    ids = [_identifier(name) for name in names]
    if labels is not None:
        table = _parse(labels)
        missing = [i for i in ids if i not in table]
        if missing:
            raise InputError(
                "recordings without a label",
                where=str(labels),
                found=f"{len(missing)} missing, first {missing[0]}",
                allowed="one line id<TAB>class per recording",
            )
        return _column(table, ids), ""
    fitting = [(path, table) for path, table in _siblings(data) if all(i in table for i in ids)]
    if len(fitting) != 1:
        return None, ""
    path, table = fitting[0]
    return _column(table, ids), f"labels from {path.name} beside the data"


def class_of_folder(names: Sequence[str]) -> IntArray | None:
    """Classes from folders called ``0`` to ``9999``, as N-MNIST is published; else None."""
    parents = [PurePosixPath(name).parent.name for name in names]
    if not all(p.isdecimal() and len(p) <= 4 for p in parents):
        return None
    return np.array([int(p) for p in parents], np.int64)


def _siblings(data: Path) -> list[tuple[Path, dict[str, int]]]:
    tables = []
    for path in sorted(data.absolute().parent.glob("*.txt"))[:50]:
        try:
            tables.append((path, _parse(path)))
        except InputError:
            continue  # any other text file
    return tables


def _parse(path: Path) -> dict[str, int]:
    try:
        check_regular(path, InputError)
        if path.stat().st_size > _SIZE_LIMIT:
            raise InputError("the label file is too large", where=str(path))
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "the label file cannot be read", where=str(path), found=str(error)
        ) from error
    table = {}
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields or line.lstrip().startswith("#"):
            continue
        if len(fields) != 2 or not fields[1].isdecimal() or len(fields[1]) > 9:
            raise InputError(
                "malformed label file",
                where=f"{path}:{number}",
                found=line[:80],
                allowed="id<TAB>class",
            )
        table[_identifier(fields[0])] = int(fields[1])
    return table


def _identifier(name: str) -> str:
    stem = PurePosixPath(name).stem
    return stem.lstrip("0") or stem


def _column(table: dict[str, int], ids: Sequence[str]) -> IntArray:
    return np.array([table[i] for i in ids], np.int64)
