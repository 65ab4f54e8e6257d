"""Mutated files of every kind end in a network or a typed refusal, in bounded time and memory."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from typing import Any

import numpy as np
import pytest
from support.paths import ROOT

from snnc.inputs.npz import read_npz
from snnc.ir.errors import InputError
from snnc.ir.npy import read_npy, write_npy


def _tool() -> Any:
    path = ROOT / "benchmarks" / "fuzz_files.py"
    spec = importlib.util.spec_from_file_location("fuzz_files", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_files"] = module
    spec.loader.exec_module(module)
    return module


TOOL = _tool()


@pytest.fixture(scope="module")
def seeds() -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = TOOL.seeds_of([], list(TOOL.READERS))
    return found


@pytest.mark.parametrize("kind", ["nir", "net", "snnc", "npz", "onnx"])
def test_mutated_files_are_read_or_refused(kind: str, seeds: dict[str, list[bytes]]) -> None:
    if kind not in seeds:
        pytest.skip("the package onnx is not installed")
    found = TOOL.fuzz(kind, seeds[kind], 60, seed=3, seconds=30.0, megabytes=300.0)
    assert found.failures == []
    assert sum(found.outcomes.values()) == 60
    assert found.outcomes["read"] < 40
    assert len(found.outcomes) > 1


def test_equal_cases_are_equal(
    seeds: dict[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [TOOL.case("npz", seeds["npz"], number, 0) for number in range(20)]
    monkeypatch.setattr("time.time", lambda: 2e9)  # at another moment
    assert first == [TOOL.case("npz", seeds["npz"], number, 0) for number in range(20)]
    assert len(set(first)) > 10


def broken(path: Any) -> None:
    """A reader with every defect that is looked for."""
    letter = path.read_bytes()[:1]
    while letter == b"h":
        pass
    if letter == b"s":
        signal.pause()
    if letter == b"d":
        os._exit(3)
    if letter == b"b":
        raise RuntimeError("a defect")


@pytest.mark.parametrize(
    ("letter", "words"), [("h", "processor time"), ("d", "died, exit code 3"), ("b", "a defect")]
)
def test_a_reader_that_hangs_dies_or_breaks_is_found(
    letter: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TOOL.READERS, "npz", broken)
    monkeypatch.setattr(
        TOOL, "case", lambda kind, seeds, number, seed: letter.encode() if number == 1 else b"ok"
    )
    found = TOOL.fuzz("npz", [b"ok"], 3, seed=0, seconds=1.0, megabytes=300.0)
    assert [number for number, _ in found.failures] == [1]
    assert words in found.failures[0][1]
    assert found.outcomes["read"] == 2


def test_a_reader_that_sleeps_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the clock tells that, and it tells it of no other case: all of them sleep."""
    monkeypatch.setitem(TOOL.READERS, "npz", broken)
    monkeypatch.setattr(TOOL, "case", lambda *_: b"s")
    found = TOOL.fuzz("npz", [b"ok"], 2, seed=0, seconds=1.0, megabytes=300.0, silence_s=0.1)
    assert [number for number, _ in found.failures] == [0, 1]
    assert all("silent" in words for _, words in found.failures)


def test_a_reader_that_cannot_even_start_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOOL.READERS, "npz", broken)
    found = TOOL.fuzz("npz", [b"d"], 3, seed=0, seconds=1.0, megabytes=300.0)
    assert found.failures == [(-1, "the reader died, exit code 3")]


@pytest.mark.parametrize("header", [b"{'descr': '<f8', 'shape': (((", b"", b"{'''", b"\xff\xfe("])
def test_an_array_with_a_broken_header_is_refused(header: bytes, tmp_path: Any) -> None:
    whole = write_npy(np.ones(3))
    data = whole[:8] + len(header).to_bytes(2, "little") + header + whole[-24:]
    with pytest.raises(InputError, match="not a readable"):
        read_npy(data, "x", InputError)
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", data)
    with pytest.raises(InputError, match="not a readable"):
        read_npz(tmp_path / "a.npz", ["x"])


def test_a_zip_member_without_a_name_is_refused(tmp_path: Any) -> None:
    import zipfile

    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("x"), b"1")
    data = path.read_bytes()
    # Both headers name a member of length 1; the name's byte is left out and its length is 0.
    local, central = data.index(b"PK\x03\x04"), data.index(b"PK\x01\x02")
    broken = bytearray(data)
    del broken[central + 46]
    broken[central + 28 : central + 30] = b"\0\0"
    broken[local + 26 : local + 28] = b"\0\0"
    del broken[local + 30]
    end = broken.index(b"PK\x05\x06")
    size, start = central + 46 - central, central - 1
    broken[end + 12 : end + 16] = size.to_bytes(4, "little")
    broken[end + 16 : end + 20] = start.to_bytes(4, "little")
    path.write_bytes(bytes(broken))
    with pytest.raises(InputError):
        read_npz(path, ["x"])
