"""Damaged ONNX files end in typed errors; nothing else, and never slowly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


NUMBERS = (-(1 << 62), -3, -1, 0, 1, 2, 7, 255, 1 << 20, 1 << 31, 1 << 40, (1 << 63) - 1)
OPERATORS = (
    "Conv", "Relu", "MaxPool", "Add", "Mul", "Reshape", "Flatten", "Gemm", "Concat", "Pad", "Slice",
    "Resize", "Transpose", "Squeeze", "Clip", "Gather", "Expand", "Range", "ConstantOfShape",
    "BatchNormalization", "AveragePool", "ReduceMean", "QuantizeLinear", "Softmax", "Cast",
)  # fmt: skip


def rewired(made: Any, random: np.random.Generator) -> bytes:
    """A well-formed file whose attributes, extents, operands or operators are others."""
    graph = made.graph
    names = [*(t.name for t in graph.initializer), *(o for n in graph.node for o in n.output), "x"]
    for _ in range(int(random.integers(1, 4))):
        chosen = graph.node[int(random.integers(len(graph.node)))]
        tensor = graph.initializer[int(random.integers(len(graph.initializer)))]
        number = int(random.choice(np.array(NUMBERS, object)))
        kind = int(random.integers(0, 6))
        if kind == 0 and chosen.input:
            chosen.input[int(random.integers(len(chosen.input)))] = str(random.choice(names))
        elif kind == 1:
            chosen.op_type = str(random.choice(OPERATORS))
        elif kind == 2 and chosen.attribute:
            attribute = chosen.attribute[int(random.integers(len(chosen.attribute)))]
            attribute.i = number
            attribute.ints[:] = [number] * int(random.integers(0, 6))
        elif kind == 3:
            tensor.dims[:] = [number] * int(random.integers(0, 4))
        elif kind == 4:
            tensor.data_type = int(random.integers(0, 26))
        else:
            values = random.choice([0, -1, 2, np.nan, np.inf, 1e38], len(tensor.raw_data) // 4)
            tensor.raw_data = values.astype(np.float32).tobytes()
    result: bytes = made.SerializeToString()
    return result


def outcomes(path: Path, count: int, seed: int) -> dict[str, int]:
    """How many mutated files were read, and how many refused, by error class."""
    random = np.random.default_rng(seed)
    model = files.cnn().SerializeToString()
    found: dict[str, int] = {}
    for k in range(count):
        path.write_bytes(mutated(model, random) if k % 2 else rewired(files.cnn(), random))
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
    assert found["UnsupportedError"] > 10


@pytest.mark.slow
def test_thousands_of_mutated_files_end_in_typed_errors(tmp_path: Path) -> None:
    found = outcomes(tmp_path / "m.onnx", 5000, 1)
    print(found)  # noqa: T201
    assert sum(found.values()) == 5000
