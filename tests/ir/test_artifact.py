from __future__ import annotations

import io
import json
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.files import Edit, rewrite
from support.tiny import tiny_deployment

from snnc.ir import artifact, package
from snnc.ir.atomic import atomic_file
from snnc.ir.deployment import Deployment
from snnc.ir.errors import ArtifactError, OutputError
from snnc.ir.npy import read_npy, write_npy
from snnc.simulators import reference


@pytest.fixture
def path(tmp_path: Path) -> Path:
    result = tmp_path / "tiny.snnc"
    artifact.write(tiny_deployment(), result)
    return result


def set_json(name: str, key: str, value: object) -> Edit:
    def edit(parts: dict[str, bytes]) -> None:
        parts[name] = json.dumps({**json.loads(parts[name]), key: value}).encode()

    return edit


def same(a: Deployment, b: Deployment) -> bool:
    return written(a) == written(b)


def written(deployment: Deployment) -> dict[str, bytes]:
    parts = artifact._members(deployment)
    return {name: b"".join(artifact._bytes(part)) for name, part in parts.items()}


def test_reading_gives_back_what_was_written(path: Path) -> None:
    deployment = artifact.read(path)
    assert same(deployment, tiny_deployment())
    x = {"in": np.array([[[1, 0], [1, 1], [0, 1], [1, 1], [1, 1]]])}
    assert reference.run(deployment.network, x).mismatches(
        reference.run(tiny_deployment().network, x)
    ) == {"lif": 0, "output out": 0}


def test_equal_deployments_give_equal_bytes(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.snnc"
    artifact.write(artifact.read(path), again)
    assert again.read_bytes() == path.read_bytes()


def test_the_report_reads_without_the_tables(path: Path) -> None:
    rewrite(path, lambda parts: parts.update({"tables.json": b"{"}), checksums=False)
    assert artifact.read_report(path).report["numbers"] == [1, 2.5, None]
    with pytest.raises(ArtifactError, match=r"tables.json.*does not match its checksum"):
        artifact.read(path)


def test_one_flipped_byte_in_any_member_is_refused(path: Path) -> None:
    good = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    assert len(infos) > 20
    for info in infos:
        start = info.header_offset + 30 + len(info.filename)
        broken = bytearray(good)
        broken[start + info.compress_size // 2] ^= 0x55
        path.write_bytes(broken)
        with pytest.raises(ArtifactError):
            artifact.read(path)


def test_any_flipped_byte_is_refused_or_harmless(path: Path) -> None:
    good = path.read_bytes()
    for position in range(0, len(good), 7):
        broken = bytearray(good)
        broken[position] ^= 1 << (position % 8)
        path.write_bytes(broken)
        try:
            deployment = artifact.read(path)
        except ArtifactError:
            continue
        assert same(deployment, tiny_deployment()), position


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(path: Path, part: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    with pytest.raises(ArtifactError, match=r"not a \.snnc artifact, or truncated"):
        artifact.read(path)


def test_a_missing_file_and_a_foreign_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be opened"):
        artifact.read(tmp_path / "absent.snnc")
    other = tmp_path / "other.snnc"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(ArtifactError, match="a ZIP file without manifest"):
        artifact.read(other)


def test_a_newer_format_says_which_snnc_is_needed(path: Path) -> None:
    def newer(parts: dict[str, bytes]) -> None:
        set_json("manifest.json", "version", artifact.LOOPED_VERSION + 1)(parts)
        set_json("manifest.json", "snnc", "9.8.7")(parts)

    rewrite(path, newer)
    with pytest.raises(ArtifactError, match=r"newer format(?s:.)*install snnc 9\.8\.7 or newer"):
        artifact.read_report(path)


@pytest.mark.parametrize("name", ["tables.json", "network.json", "target.json", "report.json"])
def test_a_missing_member_is_named(path: Path, name: str) -> None:
    rewrite(path, lambda parts: parts.pop(name) and None)
    with pytest.raises(ArtifactError, match=f"a member is missing(?s:.)*{name}"):
        artifact.read(path)


def test_members_and_manifest_must_agree(path: Path) -> None:
    rewrite(path, lambda parts: parts.update({"extra.json": b"{}"}), checksums=False)
    with pytest.raises(ArtifactError, match="not in the manifest"):
        artifact.read(path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (set_json("tables.json", "chips", "two"), "missing or of the wrong type"),
        (set_json("tables.json", "schedule", {"$": "Leak", "multiplier": 1}), "wrong record"),
        (set_json("tables.json", "cores", {"$": "Path"}), "unknown record class"),
        (set_json("tables.json", "routes", {"$": "Schedule"}), "malformed"),
        (set_json("tables.json", "schedule", {"a": 1}), "wrong record"),
        (set_json("network.json", "nodes", []), "not valid"),
        (set_json("network.json", "nodes", [{"$array": "a999"}]), "an array is missing"),
        (set_json("target.json", "id", 7), "target in the artifact"),
        (lambda parts: parts.update({"report.json": b"[" * 100000}), "not JSON"),
        (lambda parts: parts.update({"report.json": b'{"x": NaN}'}), "not JSON"),
        (lambda parts: parts.update({"report.json": b"[]"}), "not a JSON object"),
    ],
)
def test_wrong_records_are_refused_by_name(path: Path, edit: Edit, message: str) -> None:
    rewrite(path, edit)
    with pytest.raises(ArtifactError, match=message):
        artifact.read(path)


def test_tables_of_real_numbers_are_refused(path: Path) -> None:
    def floats(parts: dict[str, bytes]) -> None:
        for name in [n for n in parts if n.startswith("arrays/")]:
            array = read_npy(parts[name], name, ArtifactError)
            parts[name] = write_npy(array.astype(np.float64) + 0.5)

    rewrite(path, floats)
    with pytest.raises(ArtifactError, match="a record is"):
        artifact.read(path)


def test_pickled_objects_are_refused(path: Path, tmp_path: Path) -> None:
    evil = tmp_path / "evil.npy"
    np.save(evil, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    rewrite(path, lambda parts: parts.update({"arrays/a0.npy": evil.read_bytes()}))
    with pytest.raises(ArtifactError, match="never unpickles"):
        artifact.read(path)


def test_a_huge_claimed_array_is_refused_without_allocating_it(path: Path) -> None:
    data = write_npy(np.zeros(4, np.int64)).replace(b"(4,), }   ", b"(10**12,)}")
    huge = write_npy(np.zeros(4, np.int64)).replace(b"(4,), }          ", b"(444444444444,),}")
    for array in (data, huge):
        with pytest.raises(ArtifactError, match=r"header|not a readable"):
            read_npy(array, "x", ArtifactError)


def test_hostile_zip_members_are_refused(path: Path) -> None:
    for name in ("../evil", "/etc/evil", "a\\b", "c:evil"):
        hostile = path.with_suffix(".zip")
        with zipfile.ZipFile(hostile, "w") as archive:
            archive.writestr(name, "x")
        with pytest.raises(ArtifactError, match="leaves the archive"):
            artifact.read(hostile)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("report.json", "{}")
    with pytest.raises(ArtifactError, match="same name"):
        artifact.read(path)


def test_a_decompression_bomb_is_refused_by_its_declared_size(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "SIZE_LIMIT", 1000)
    with pytest.raises(ArtifactError, match="too large once decompressed"):
        artifact.read(path)


def test_arrays_round_trip_in_any_order_and_type() -> None:
    for array in (
        np.arange(6, dtype=np.int8).reshape(2, 3),
        np.array(3.5),
        np.zeros((0, 3), np.int64),
        np.arange(4, dtype=">i4"),
        np.array([True, False]),
    ):
        back = read_npy(write_npy(array), "x", ArtifactError)
        assert back.shape == array.shape
        assert (back == array).all()
    column_major = np.asfortranarray(np.arange(6).reshape(2, 3))
    buffer = io.BytesIO()
    np.save(buffer, column_major)
    assert (read_npy(buffer.getvalue(), "x", ArtifactError) == column_major).all()


def test_an_unwritable_path_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("x")
    for bad, message in (
        (tmp_path, "the output path is a folder"),
        (tmp_path / "absent" / "a.snnc", "does not exist"),
        (blocker / "a.snnc", "not a folder"),
    ):
        with pytest.raises(OutputError, match=message):
            artifact.write(tiny_deployment(), bad)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_a_failure_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(TypeError), atomic_file(path) as file:
        file.write("text")  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="No space"), atomic_file(path) as file:
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
