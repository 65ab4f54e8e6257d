"""Files that are no NIR, damaged or made to do harm end in one typed error, quickly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support.nir_files import affine, chain, if_, lif

from snnc.compiler.frontends import hdf5 as storage
from snnc.compiler.frontends.nir import hdf5, read
from snnc.compiler.options import CompileOptions
from snnc.compiler.reading import read_finished
from snnc.ir.errors import (
    ModelError,
    ModelFileError,
    SnncError,
)


def test_a_file_that_is_not_hdf5_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "net.nir"
    path.write_bytes(b"PK\x03\x04 a torch checkpoint")
    with pytest.raises(ModelFileError, match="not HDF5") as caught:
        read_finished(path, CompileOptions())
    assert "PK" in str(caught.value)
    assert "exported" in str(caught.value)
    path.write_bytes(b"")
    with pytest.raises(ModelFileError, match="not HDF5"):
        read_finished(path, CompileOptions())


def test_a_missing_file_a_folder_and_another_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot open"):
        read_finished(tmp_path / "no.nir", CompileOptions())
    with pytest.raises(ModelFileError, match="cannot be opened"):
        read_finished(tmp_path / "no.onnx", CompileOptions())
    (tmp_path / "folder.nir").mkdir()
    with pytest.raises(ModelFileError, match="not a file"):
        read_finished(tmp_path / "folder.nir", CompileOptions())
    (tmp_path / "net.tflite").write_bytes(b"\x08\x07")
    with pytest.raises(ModelFileError, match="NIR"):
        read_finished(tmp_path / "net.tflite", CompileOptions())


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(part: float, tmp_path: Path) -> None:
    path = chain(tmp_path / "net.nir", (20,), affine(np.eye(20), np.ones(20)), lif((20,)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(ModelFileError, match="damaged"):
        read(path)


def test_hdf5_that_is_not_nir_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as root:
        root["x"] = np.zeros(3)
    with pytest.raises(ModelFileError, match="not a NIR graph"):
        read(tmp_path / "data.h5")


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    """Change a written file."""
    with h5py.File(path, "r+") as root:
        change(root)


def test_a_half_written_node_is_named(tmp_path: Path) -> None:
    path = chain(tmp_path / "net.nir", (2,), if_((2,)))
    edit(path, lambda root: root.__delitem__("node/nodes/n0/type"))
    with pytest.raises(ModelFileError, match="node 'n0', field 'type'"):
        read(path)


def test_a_small_file_cannot_ask_for_a_large_memory(tmp_path: Path) -> None:
    path = chain(tmp_path / "net.nir", (2,), if_((2,)))

    def never_written(root: Any) -> None:
        root["node/nodes/n0"].create_dataset("tau", shape=(2**34,), dtype="f8", chunks=(2**16,))

    edit(path, never_written)
    with pytest.raises(ModelFileError, match="more memory") as caught:
        read(path)
    assert "n0/tau" in str(caught.value)


def test_a_compressed_bomb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = chain(tmp_path / "net.nir", (2,), if_((2,)))

    def bombs(root: Any) -> None:
        for i in range(12):
            root["node/nodes/n0"].create_dataset(
                f"z{i}", data=np.zeros(2**20), compression="gzip", compression_opts=1,
                chunks=(2**20,),
            )  # fmt: skip

    edit(path, bombs)
    with h5py.File(path) as root:
        assert root["node/nodes/n0/z0"].id.get_storage_size() < 2**16
    limits = {"FREE_BYTES": 2**20, "MAX_RATIO": 50}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setattr(storage, name, value)
        with pytest.raises(ModelFileError, match="more memory"):
            read(path)


def test_one_long_text_shared_by_many_edges_is_refused(tmp_path: Path) -> None:
    path = chain(tmp_path / "net.nir", (2,), if_((2,)))

    def long_name(root: Any) -> None:
        del root["node/edges"]
        pairs = np.full((50, 2), "x" * 5000, object)
        root["node"].create_dataset("edges", data=pairs, dtype=h5py.string_dtype())

    edit(path, long_name)
    with pytest.raises(ModelFileError, match="too long"):
        read(path)


def test_links_out_of_the_file_are_not_followed(tmp_path: Path) -> None:
    other = chain(tmp_path / "other.nir", (2,), if_((2,)))
    path = chain(tmp_path / "net.nir", (2,), if_((2,)))

    def link(root: Any) -> None:
        root["node/nodes/n1"] = h5py.ExternalLink(other.name, "/node/nodes/n0")

    edit(path, link)
    with pytest.raises(ModelFileError, match="ExternalLink"):
        read(path)


def test_groups_that_contain_themselves_end(tmp_path: Path) -> None:
    path = chain(tmp_path / "net.nir", (2,), if_((2,)))

    def knot(root: Any) -> None:
        del root["node/nodes/n0"]
        root["node/nodes/n0"] = root["node"]

    edit(path, knot)
    with pytest.raises(ModelFileError, match="nested too deeply"):
        read(path)


def test_too_many_nodes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = chain(tmp_path / "net.nir", (2,), *[if_((2,)) for _ in range(8)])
    monkeypatch.setattr(hdf5, "MAX_NODES", 5)
    with pytest.raises(ModelFileError, match="too many nodes"):
        read(path)
    monkeypatch.setattr(hdf5, "MAX_NODES", 50)
    monkeypatch.setattr(hdf5, "MAX_EDGES", 3)
    with pytest.raises(ModelFileError, match="too many edges"):
        read(path)
    monkeypatch.setattr(storage, "MAX_FILE_BYTES", 1000)
    with pytest.raises(ModelFileError, match="too large"):
        read(path)


def test_values_that_are_not_plain_numbers_are_refused(tmp_path: Path) -> None:
    for dtype in (np.complex128, [("a", "f4"), ("b", "f4")], h5py.ref_dtype):
        path = chain(tmp_path / "net.nir", (2,), if_((2,)))
        edit(path, lambda root, d=dtype: root["node/nodes/n0"].create_dataset("w", (2,), d))
        with pytest.raises(ModelFileError, match="plain array of numbers"):
            read(path)


def test_an_edge_list_of_triples_or_numbers_is_refused(tmp_path: Path) -> None:
    for data in (np.array([["a", "b", "c"]], object), np.zeros((2, 2))):
        path = chain(tmp_path / "net.nir", (2,), if_((2,)))

        def replace(root: Any, data: Any = data) -> None:
            del root["node/edges"]
            dtype = h5py.string_dtype() if data.dtype == object else None
            root["node"].create_dataset("edges", data=data, dtype=dtype)

        edit(path, replace)
        with pytest.raises(ModelError, match="pairs of names"):
            read(path)


def test_a_text_longer_than_its_file_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = chain(tmp_path / "net.nir", (3,), affine(np.eye(3), np.ones(3)))
    with h5py.File(path) as file:
        offset = file["node/nodes/input/type"].id.get_offset()
    data = bytearray(path.read_bytes())
    data[offset : offset + 4] = (2**31).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match="longer than the file"):
        read_finished(path, CompileOptions())


def test_a_damaged_text_heap_is_refused_instead_of_hanging(tmp_path: Path) -> None:
    path = chain(tmp_path / "net.nir", (2,), if_((2,)))
    data = bytearray(path.read_bytes())
    heap = data.find(b"GCOL")
    position = 16
    while int.from_bytes(data[heap + position : heap + position + 2], "little"):
        size = int.from_bytes(data[heap + position + 8 : heap + position + 16], "little")
        position += 16 + -(-size // 8) * 8
    data[heap + position + 8 : heap + position + 16] = bytes(8)  # the free rest has no size
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match="texts cannot be read"):
        read(path)


def test_random_damage_is_either_harmless_or_refused(tmp_path: Path) -> None:
    path = chain(tmp_path / "net.nir", (4,), affine(np.eye(4), np.ones(4)), lif((4,)))
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(6)
    refused = 0
    for _ in range(50):
        broken = whole.copy()
        where = rng.integers(0, whole.size, size=int(rng.integers(1, 40)))
        broken[where] = rng.integers(0, 256, size=where.size)
        path.write_bytes(broken.tobytes())
        try:
            read(path)
        except SnncError:
            refused += 1
    assert 10 < refused < 50
