"""AEDAT and other recordings: what is read, in bounded memory, and what is refused."""

from __future__ import annotations

import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from support.event_files import aedat2, aedat3, aedat4, event_packet, random_events, table
from support.paths import require_data

from snnc.inputs import aedat
from snnc.inputs.events import Chunk, Position
from snnc.inputs.recordings import read_recordings
from snnc.inputs.streams import open_events
from snnc.ir.errors import InputError, MissingPackageError, SnncError

FOUND = random_events(950, seed=1)
FILES = {
    "davis.aedat": aedat2(FOUND),
    "dvs.aedat": aedat2(FOUND, "DVS128"),
    "three.aedat": aedat3(FOUND),
    "four.aedat4": aedat4(FOUND),
}


def taken(path: Path, position: Position | None = None) -> list[Chunk]:
    source = open_events(path)
    try:
        return list(source.chunks(position or Position()))
    finally:
        source.close()


def columns(chunks: list[Chunk]) -> tuple[np.ndarray, ...]:
    return tuple(np.concatenate(c) for c in zip(*chunks, strict=True))


def assert_events(found: tuple[np.ndarray, ...], wanted: np.ndarray, origin: int) -> None:
    for name, column in zip("xyp", found[:3], strict=True):
        np.testing.assert_array_equal(column, wanted[name])
    np.testing.assert_array_equal(found[3], wanted["t"] - origin)


@pytest.mark.parametrize("name", FILES)
def test_all_events_are_read_and_nothing_else(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    assert_events(columns(taken(path)), FOUND, int(FOUND["t"][0]))


@pytest.mark.parametrize("name", FILES)
def test_reading_goes_on_from_any_event(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aedat, "CHUNK_EVENTS", 64)
    path = tmp_path / name
    path.write_bytes(FILES[name])
    for cut in (1, 99, 100, 101, 333, 949):
        source = open_events(path)
        position, left = Position(), cut
        for chunk in source.chunks(position):
            some = min(left, chunk.x.size)
            position = source.moved(position, chunk, some)
            left -= some
            if not left:
                break
        source.close()
        assert position.event == cut
        again = Position(**position.as_dict())
        assert_events(columns(taken(path, again)), FOUND[cut:], int(FOUND["t"][0]))


def test_clocks_that_begin_again_go_on(tmp_path: Path) -> None:
    late = FOUND.copy()
    late["t"] += (1 << 32) - int(FOUND["t"][400])
    for name, data in (("a.aedat", aedat2(late)), ("b.aedat", aedat3(late))):
        (tmp_path / name).write_bytes(data)
        assert_events(columns(taken(tmp_path / name)), late, int(late["t"][0]))


@pytest.mark.parametrize("kind", ["lz4", "zstd"])
def test_compressed_packets_are_unpacked(kind: str, tmp_path: Path) -> None:
    if kind == "lz4":
        pack = pytest.importorskip("lz4.frame").compress
    else:
        pack = pytest.importorskip("zstandard").ZstdCompressor().compress
    path = tmp_path / "e.aedat4"
    path.write_bytes(aedat4(FOUND, compression=1 if kind == "lz4" else 3, pack=pack))
    assert_events(columns(taken(path)), FOUND, int(FOUND["t"][0]))


@pytest.mark.parametrize("kind", ["lz4", "zstd"])
def test_packets_that_unpack_to_too_much_are_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "lz4":
        pack = pytest.importorskip("lz4.frame").compress
    else:
        pack = pytest.importorskip("zstandard").ZstdCompressor().compress
    monkeypatch.setattr(aedat, "PACKET_LIMIT", 1 << 18)
    packed = pack(bytes(1 << 24))
    bomb = struct.pack("<ii", 0, len(packed)) + packed
    header = table(b"IOHE", [struct.pack("<i", 1 if kind == "lz4" else 3)])
    path = tmp_path / "bomb.aedat4"
    path.write_bytes(b"#!AER-DAT4.0\r\n" + header + bomb)
    with pytest.raises(InputError, match="cannot be unpacked"):
        taken(path)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lz4", None)
    monkeypatch.setitem(__import__("sys").modules, "lz4.frame", None)
    path = tmp_path / "e.aedat4"
    path.write_bytes(aedat4(FOUND, compression=1))
    with pytest.raises(MissingPackageError, match=r"snnc\[events\]"):
        taken(path)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    many = random_events(400_000, seed=2)
    path = tmp_path / "long.aedat4"
    path.write_bytes(aedat4(many, packet=4000))
    tracemalloc.start()
    source = open_events(path)
    assert sum(chunk.x.size for chunk in source.chunks(Position())) == many.size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    source.close()
    assert peak < path.stat().st_size / 4


HEADER4 = b"#!AER-DAT4.0\r\n" + table(b"IOHE", [struct.pack("<i", 0)])


def packet(data: bytes, stream: int = 0) -> bytes:
    return struct.pack("<ii", stream, len(data)) + data


GOOD = event_packet(FOUND[:10])
REFUSED = {
    "a.aedat": (b"#!AER-DAT1.0\r\n" + bytes(64), "versions 2.0, 3.1, 4.0"),
    "b.aedat": (b"no header", "no header line"),
    "c.aedat": (b"#!AER-DAT2.0\r\n# AEChip: ch.unizh.Cochlea\r\n" + bytes(64), "not known"),
    "d.aedat": (aedat2(FOUND)[:-3], "middle of an event"),
    "e.aedat": (b"#!AER-DAT3.1\r\n#Format: RAW\r\n", "no end"),
    "f.aedat": (aedat3(FOUND)[:-4], "middle of a packet"),
    "g.aedat": (aedat3(FOUND[:100])[:-36] + struct.pack("<hhiiiiii", 1, 0, 8, 4, 0, 9, -9, 9),
                "impossible"),
    "h.aedat": (b"#!AER-DAT3.1\r\n#!END-HEADER\r\n"
                + struct.pack("<hhiiiiii", 1, 0, 1 << 20, 4, 0, 9, 1 << 12, 9), "another size"),
    "i.aedat4": (HEADER4 + packet(GOOD)[:-8], "middle of a packet"),
    "j.aedat4": (HEADER4 + packet(GOOD) + packet(GOOD, 2), "several streams"),
    "k.aedat4": (HEADER4 + struct.pack("<ii", 0, 1 << 30), "too large"),
    "l.aedat4": (HEADER4 + struct.pack("<ii", 0, -5), "too large"),
    "m.aedat4": (b"#!AER-DAT4.0\r\n" + table(b"IOHE", [struct.pack("<i", 77)]), "compression"),
    "n.aedat4": (b"#!AER-DAT4.0\r\n" + struct.pack("<I", 1 << 31), "too long"),
    "o.aedat4": (HEADER4, "no event"),
    "p.aedat4": (HEADER4 + packet(table(b"EVTS", [struct.pack("<I", 1 << 20)])), "damaged"),
    "q.aedat4": (HEADER4 + packet(table(b"EVTS", [struct.pack("<I", 4)],
                                        struct.pack("<I", 1 << 30))), "events announced"),
    "r.aedat4": (HEADER4 + packet(event_packet(np.array(
        [(0, 40_000, 1, 1)], FOUND.dtype))), "impossible"),
    "s.aedat": (b"#!AER-DAT2.0\n# AEChip: Davis240C\n" + b"#" * (1 << 17), "header is too long"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_broken_files_are_refused(name: str, tmp_path: Path) -> None:
    data, text = REFUSED[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=text) as caught:
        taken(tmp_path / name)
    assert name in caught.value.where


def test_mutated_files_end_in_events_or_typed_errors(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, data in FILES.items():
        path = tmp_path / name
        for _ in range(60):
            raw = bytearray(data[: random.integers(20, len(data))])
            for at in random.integers(0, min(len(raw), 400), 3):
                raw[at] = random.integers(256)
            path.write_bytes(raw)
            with suppress(SnncError):
                taken(path)


def test_published_samples_are_read() -> None:
    pytest.importorskip("lz4.frame")
    x, y, polarity, time = columns(taken(require_data("events", "tonic_sample.aedat4")))
    assert (x.size, x.max(), y.max()) == (111_954, 319, 239)  # a camera of 320 x 240
    assert set(polarity.tolist()) == {0, 1}
    assert (np.diff(time) >= 0).all()
    assert (time[0], time[-1]) == (0, 589_917)


def test_the_published_header_without_events_is_told() -> None:
    with pytest.raises(InputError, match="no event"):
        taken(require_data("events", "tonic_sample_aedat_header.aedat"))


def test_a_file_is_one_sample(tmp_path: Path) -> None:
    path = tmp_path / "four.aedat4"
    path.write_bytes(FILES["four.aedat4"])
    (recording,) = read_recordings(path, None).recordings
    np.testing.assert_array_equal(recording.x, FOUND["x"])
    np.testing.assert_array_equal(recording.time_us, FOUND["t"] - FOUND["t"][0])
    dat = read_recordings(require_data("events", "tonic_sample_ncars.dat"), None)
    assert dat.recordings[0].x.size == (16165 - 93) // 8
