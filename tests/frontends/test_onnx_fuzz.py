"""Damaged ONNX files end in typed errors; nothing else, and never slowly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from support import onnx_files as files

from snnc.compiler.frontends import onnx as frontend
from snnc.compiler.frontends.onnx import OnnxOptions
from snnc.ir.errors import SnncError


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """Bytes flipped, cut out, doubled or replaced at a few places."""
    raw = bytearray(data)
    for _ in range(int(random.integers(1, 6))):
        place = int(random.integers(0, len(raw)))
        length = int(random.integers(1, 9))
        kind = int(random.integers(0, 5))
        if kind == 0:
            raw[place] ^= 1 << int(random.integers(0, 8))
        elif kind == 1:
            raw[place] = int(random.choice([0, 1, 0x7F, 0x80, 0xFF]))
        elif kind == 2:
            del raw[place : place + length]
        elif kind == 3:
            raw[place:place] = raw[place : place + length]
        else:
            raw[place : place + length] = random.bytes(length)
    return bytes(raw)


def outcomes(path: Path, count: int, seed: int) -> dict[str, int]:
    """How many mutated files were read, and how many refused, by error class."""
    random = np.random.default_rng(seed)
    models = [files.cnn().SerializeToString()]
    small = files.cnn()
    for tensor in small.graph.initializer:
        tensor.raw_data = bytes(len(tensor.raw_data))  # structure is most of the file
    models.append(small.SerializeToString())
    found: dict[str, int] = {}
    for k in range(count):
        path.write_bytes(mutated(models[k % 2], random))
        try:
            frontend.preview(frontend.read_file(path), OnnxOptions())
            name = "read"
        except SnncError as error:
            name = type(error).__name__
        found[name] = found.get(name, 0) + 1
    return found


def test_mutated_files_end_in_typed_errors(tmp_path: Path) -> None:
    found = outcomes(tmp_path / "m.onnx", 300, 0)
    assert sum(found.values()) == 300
    assert found["ModelError"] > 10
    assert found["ModelFileError"] > 10


@pytest.mark.slow
def test_thousands_of_mutated_files_end_in_typed_errors(tmp_path: Path) -> None:
    found = outcomes(tmp_path / "m.onnx", 5000, 1)
    print(found)  # noqa: T201
    assert sum(found.values()) == 5000
