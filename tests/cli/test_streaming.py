"""``snnc stream``: windows, files of events, checkpoints, and a kill in the middle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import Snnc, refused
from support.event_files import aedat3, aedat4
from support.killed import Moment, killed
from support.mapped import camera_deployment
from support.paths import require_data

import snnc as package
from snnc.checkpoints import Checkpoint, write_checkpoint
from snnc.inputs.streams import GAP_LIMIT, EventFile, Position, WindowReader
from snnc.ir import artifact
from snnc.ir.errors import InputError
from snnc.simulators import reference

EVENT = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "<u1")])
SILENT = ("seconds", "resumed_at")
FUNCTIONAL: tuple[object, ...] = ("--backend", "functional")
CHIP: tuple[object, ...] = ("--backend", "cycle", "--noc", "flit")


def events(count: int, seed: int = 0, gap_us: int = 40) -> np.ndarray:
    """Sorted random events of a camera of 4 x 4 pixels."""
    random = np.random.default_rng(seed)
    found = np.zeros(count, EVENT)
    found["t"] = np.cumsum(random.integers(0, 2 * gap_us, count))
    for name, high in (("x", 4), ("y", 4), ("p", 2)):
        found[name] = random.integers(0, high, count)
    return found


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("camera") / "camera.snnc"
    artifact.write(camera_deployment(), path)
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "e.npy"
    np.save(path, events(20_000))
    return path


def told(found: dict[str, Any]) -> dict[str, Any]:
    """What two equal runs have in common."""
    return {name: value for name, value in found.items() if name not in SILENT}


def nmnist_bytes(found: np.ndarray) -> bytes:
    """The five bytes of an N-MNIST event, whose clock begins again after 2^23 us."""
    time_us = found["t"] & 0x7FFFFF
    columns = [found["x"], found["y"], found["p"] << 7 | time_us >> 16, time_us >> 8 & 255,
               time_us & 255]  # fmt: skip
    return np.stack([c.astype(np.uint8) for c in columns], axis=1).tobytes()


def dat_bytes(found: np.ndarray) -> bytes:
    """A Prophesee DAT file."""
    records = np.zeros(found.size, [("t", "<u4"), ("a", "<u4")])
    records["t"] = found["t"]
    records["a"] = found["x"] | found["y"].astype(np.uint32) << 14 | (
        found["p"].astype(np.uint32) << 28
    )  # fmt: skip
    return b"% Version 2\n% Height 4\n\x00\x08" + records.tobytes()


def test_a_stream_is_one_long_sample(snnc: Snnc, camera: Path, recording: Path) -> None:
    words = ("stream", camera, "--input", recording, "--bin-us", 500, "--json")
    found = snnc(*words, "--window", 37).json
    data = np.load(recording)
    steps = int(data["t"][-1]) // 500 + 1
    dense = np.zeros((1, steps, 2, 4, 4), np.int64)
    np.add.at(dense, (0, data["t"] // 500, data["p"], data["y"], data["x"]), 1)
    truth = reference.run(artifact.read(camera).network, {"in": dense})
    assert (found["steps"], found["events"], found["late_events"]) == (steps, data.size, 0)
    assert found["spikes"] == {"lif": int(truth.spike_counts["lif"][0])}
    assert found["windows"] == -(-steps // 37)
    (counts,) = found["class_counts"].values()
    expected = [
        int(truth.outputs["out"][0, k : k + 37].sum(axis=0).argmax()) for k in range(0, steps, 37)
    ]
    assert counts == np.bincount(expected, minlength=3).tolist()
    assert found["recent_classes"]["out"] == expected[-100:]
    shown = snnc(*words[:-1]).out
    assert "windows per class" in shown


@pytest.mark.parametrize("form", ["bin", "dat"])
def test_all_formats_hold_the_same_events(
    snnc: Snnc, camera: Path, tmp_path: Path, form: str
) -> None:
    found = events(3000, gap_us=9000)  # 27 s: the clock of N-MNIST wraps three times
    np.save(tmp_path / "e.npy", found)
    write = {"bin": nmnist_bytes, "dat": dat_bytes}[form]
    (tmp_path / f"e.{form}").write_bytes(write(found))
    runs = [
        snnc("stream", camera, "--input", tmp_path / f"e.{suffix}", "--bin-us", 5000, "--json").json
        for suffix in ("npy", form)
    ]
    assert told(runs[0]) == told(runs[1])
    assert runs[0]["spikes"]["lif"] > 0


@pytest.mark.parametrize("form", ["npy", "bin", "dat"])
@pytest.mark.parametrize("chunk", [7, 1000])
def test_reading_goes_on_from_any_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, chunk: int
) -> None:
    monkeypatch.setattr("snnc.inputs.streams.CHUNK_EVENTS", chunk)
    found, path = events(500, gap_us=50_000), tmp_path / f"e.{form}"
    if form == "npy":
        np.save(path, found)
    else:
        path.write_bytes({"bin": nmnist_bytes, "dat": dat_bytes}[form](found))
    file, position = EventFile(path), Position()
    whole = WindowReader(file, (2, 4, 4), 10_000, Position())
    for first in range(0, 3000, 50):
        expected = whole.read(first, 50)
        again = EventFile(path)
        reader = WindowReader(again, (2, 4, 4), 10_000, position)
        np.testing.assert_array_equal(reader.read(first, 50), expected)
        position = reader.position
        again.close()
    assert position == whole.position
    file.close()


def test_late_events_are_counted_and_left_out(snnc: Snnc, camera: Path, tmp_path: Path) -> None:
    found = events(1000)
    mixed = np.concatenate([found, found[:10]])
    np.save(tmp_path / "a.npy", found)
    np.save(tmp_path / "b.npy", mixed)
    words = ("--bin-us", 500, "--window", 10, "--json")
    a, b = (
        snnc("stream", camera, "--input", tmp_path / name, *words).json
        for name in ("a.npy", "b.npy")
    )
    assert (a["late_events"], b["late_events"]) == (0, 10)
    assert (a["spikes"], a["steps"]) == (b["spikes"], b["steps"])


@pytest.mark.parametrize("cut", [40, 411])
@pytest.mark.parametrize("simulator", [FUNCTIONAL, CHIP])
def test_a_resumed_run_equals_an_uninterrupted_one(
    snnc: Snnc,
    camera: Path,
    recording: Path,
    tmp_path: Path,
    cut: int,
    simulator: tuple[object, ...],
) -> None:
    words = ("stream", camera, "--input", recording, "--bin-us", 500, "--window", 8, "--json",
             *simulator)  # fmt: skip
    saving = ("--checkpoint", tmp_path / "c.npz", "--checkpoint-every", 16)
    snnc(*words, *saving, "--steps", cut)
    found = snnc(*words, *saving, "--resume").json
    assert found["resumed_at"] == cut // 16 * 16
    assert told(found) == told(snnc(*words).json)


def test_the_chip_decides_the_same_and_tells_time_and_energy(
    snnc: Snnc, camera: Path, recording: Path
) -> None:
    words = ("stream", camera, "--input", recording, "--bin-us", 500, "--window", 37)
    functional, chip = (snnc(*words, *more, "--json").json for more in (FUNCTIONAL, CHIP))
    only = ("backend", "chip")
    assert {k: v for k, v in told(functional).items() if k not in only} == {
        k: v for k, v in told(chip).items() if k not in only
    }
    account = chip["chip"]
    assert account["noc"] == "flit"
    assert account["events"]["spike_generate"] == chip["spikes"]["lif"]
    assert account["events"]["host_in"] == chip["events"]
    assert len(account["recent_seconds"]) == account["windows"] <= 100
    assert sum(account["recent_seconds"]) == pytest.approx(account["seconds"])
    assert sum(account["recent_dynamic_j"]) == pytest.approx(account["dynamic_j"])
    recorded = chip["steps"] * chip["bin_us"] * 1e-6
    assert account["share_of_real_time"] == pytest.approx(account["seconds"] / recorded)
    assert functional["chip"] is None
    assert "of real time" in snnc(*words, *CHIP).out
    refused(snnc(*words, "--backend", "reference"), "--backend", "functional, cycle")
    refused(snnc(*words, "--noc", "flit"), "--noc", "--backend cycle")
    refused(snnc(*words, "--backend", "cycle", "--noc", "fast"), "--noc", "transaction")


@pytest.mark.parametrize(("moment", "at"), [("before", 400), ("after", 600)])
@pytest.mark.parametrize("simulator", [FUNCTIONAL, CHIP])
def test_kill_9_and_resume_give_the_same_result(
    snnc: Snnc,
    camera: Path,
    recording: Path,
    tmp_path: Path,
    simulator: tuple[object, ...],
    moment: Moment,
    at: int,
) -> None:
    saved = tmp_path / "c.npz"
    words = ("stream", camera, "--input", recording, "--bin-us", 100, "--window", 10, "--json",
             *simulator)  # fmt: skip
    saving = ("--checkpoint", saved, "--checkpoint-every", 200)
    killed((*words, *saving), saved, moment, 3)
    found = snnc(*words, *saving, "--resume", "--steps", at + 305).json
    assert found["resumed_at"] == at
    assert told(found) == told(snnc(*words, "--steps", at + 305).json)


def test_unreadable_and_foreign_checkpoints_are_refused(
    snnc: Snnc, camera: Path, compiled: Path, recording: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "c.npz"
    words = ("stream", camera, "--input", recording, "--bin-us", 500, "--window", 8)
    saving = ("--checkpoint", saved, "--checkpoint-every", 8)
    refused(snnc(*words, "--resume"), "--resume", "--checkpoint FILE")
    refused(snnc(*words, *saving, "--resume"), "cannot be opened")
    snnc(*words, *saving, "--steps", 80)
    refused(snnc(*words, *saving, *CHIP, "--resume"), "of another run", "backend")
    good = saved.read_bytes()
    other = (*words[:-1], 9)
    refused(snnc(*other, *saving, "--resume"), "of another run", "window")
    np.save(tmp_path / "other.npy", events(200, seed=1))
    changed = (*words[:3], tmp_path / "other.npy", *words[4:])
    refused(snnc(*changed, *saving, "--resume"), "of another run", "recording")
    for broken in (good[: len(good) // 2], b"no checkpoint", b""):
        saved.write_bytes(broken)
        refused(snnc(*words, *saving, "--resume"))
    with np.load(_written(saved, good)) as file:
        arrays = dict(file)
    np.savez(saved, **(arrays | {"state.v": arrays["state.v"] + 1}))
    refused(snnc(*words, *saving, "--resume"), "damaged")
    np.savez(saved, **{k: v for k, v in arrays.items() if k != "about"})
    refused(snnc(*words, *saving, "--resume"), "not a checkpoint")
    np.savez(saved, about=np.frombuffer(b"[" * 100_000, np.uint8))
    refused(snnc(*words, *saving, "--resume"), "not a checkpoint")


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_recordings_that_cannot_be_streamed_are_refused(
    snnc: Snnc, camera: Path, compiled: Path, recording: Path, tmp_path: Path
) -> None:
    def words(path: Path, model: Path = camera) -> tuple[object, ...]:
        return ("stream", model, "--input", path, "--bin-us", 500)

    refused(snnc(*words(tmp_path / "no.npy")), "cannot be read")
    (tmp_path / "e.aedat4").write_bytes(b"x")
    refused(snnc(*words(tmp_path / "e.aedat4")), "not an AEDAT file")
    for name, part in (("e.mat", "MATLAB"), ("e.csv", ".csv")):
        (tmp_path / name).write_bytes(b"x")
        refused(snnc(*words(tmp_path / name)), "cannot be streamed", part)
    (tmp_path / "cut.bin").write_bytes(nmnist_bytes(events(9))[:-2])
    refused(snnc(*words(tmp_path / "cut.bin")), "middle of an event")
    (tmp_path / "bad.dat").write_bytes(b"% Version 2\n\x0e\x08" + b"0" * 80)
    refused(snnc(*words(tmp_path / "bad.dat")), "not a Prophesee DAT")
    np.save(tmp_path / "plain.npy", np.zeros(4))
    refused(snnc(*words(tmp_path / "plain.npy")), "not an array of events")
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    refused(snnc(*words(tmp_path / "object.npy")), "not an array of events")
    (tmp_path / "text.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00import os; os.x()")
    refused(snnc(*words(tmp_path / "text.npy")), "not a readable .npy")
    outside = events(50)
    outside["x"][7] = 4
    np.save(tmp_path / "outside.npy", outside)
    refused(snnc(*words(tmp_path / "outside.npy")), "outside the network's input", "event 7")
    jump = events(50)
    jump["t"][30:] += 500 * (GAP_LIMIT + 2)
    np.save(tmp_path / "jump.npy", jump)
    refused(snnc(*words(tmp_path / "jump.npy")), "time stamps jump")
    negative = events(50)
    negative["t"][3] = -1
    np.save(tmp_path / "negative.npy", negative)
    refused(snnc(*words(tmp_path / "negative.npy")), "negative")
    refused(snnc(*words(recording, compiled)), "not an event camera")
    refused(snnc(*words(recording), "--window", 0), "--window")
    refused(snnc(*words(recording), "--window", 10**9), "too long")
    refused(snnc(*words(recording), "--encode", "poisson"), "time axis")
    refused(snnc(*words(recording), "--checkpoint", recording), "replace an input file")


def test_published_recordings_are_read() -> None:
    folder = require_data("events")
    for name, shape, count in (
        ("tonic_sample_nmnist.bin", (2, 34, 34), 4325),
        ("tonic_sample_ncars.dat", (2, 100, 120), 2009),
    ):
        file = EventFile(folder / name)
        reader = WindowReader(file, shape, 1000, Position())
        total = sum(int(reader.read(k, 10).sum()) for k in range(0, 500, 10))
        assert (total, reader.late, reader.position.event) == (count, 0, count)
        file.close()
    with pytest.raises(InputError, match="cannot be streamed"):
        EventFile(folder / "tonic_sample.aedat4")


@pytest.mark.parametrize("simulator", [FUNCTIONAL, CHIP])
def test_an_empty_recording_takes_no_time(
    snnc: Snnc, camera: Path, tmp_path: Path, simulator: tuple[object, ...]
) -> None:
    np.save(tmp_path / "none.npy", events(0))
    words = ("stream", camera, "--input", tmp_path / "none.npy", "--bin-us", 500, *simulator)
    assert snnc(*words).code == 0
    found = snnc(*words, "--json").json
    assert (found["steps"], found["windows"], found["digest"]) == (0, 0, "")
    if simulator is CHIP:
        chip = found["chip"]
        assert (chip["ticks"], chip["seconds"], chip["share_of_real_time"]) == (0, 0.0, None)
        assert chip["window_seconds"] is None


def test_the_python_call_is_the_same(camera: Path, recording: Path, snnc: Snnc) -> None:
    options = package.StreamOptions(window=16, steps=64)
    steps: list[int] = []
    inputs = package.InputOptions(bin_us=500)
    found = package.stream(
        camera, recording, options=options, inputs=inputs, on_window=steps.append
    ).as_dict()
    assert steps == [16, 32, 48, 64]
    words = ("--bin-us", 500, "--window", 16, "--steps", 64, "--json")
    assert told(found) == told(snnc("stream", camera, "--input", recording, *words).json)


def test_aedat_streams_as_the_same_events_in_an_array(
    snnc: Snnc, camera: Path, tmp_path: Path
) -> None:
    found = events(3000)
    found["t"] -= found["t"][0]
    np.save(tmp_path / "e.npy", found)
    wanted = snnc("stream", camera, "--input", tmp_path / "e.npy", "--bin-us", 500, "--json").json
    for name, data in (("e.aedat", aedat3(found)), ("e.aedat4", aedat4(found))):
        (tmp_path / name).write_bytes(data)
        words = ("stream", camera, "--input", tmp_path / name, "--bin-us", 500, "--json")
        assert told(snnc(*words).json) == told(wanted)
        saved = (*words, "--checkpoint", tmp_path / f"{name}.npz", "--checkpoint-every", 40)
        snnc(*saved, "--steps", 90)
        assert told(snnc(*saved, "--resume").json) == told(wanted)


def test_a_checkpoint_of_the_chip_that_was_tampered_with_is_refused(
    snnc: Snnc, camera: Path, recording: Path, tmp_path: Path
) -> None:
    """The digest in the file is not a signature: whoever changes a number can make a new one."""
    saved = tmp_path / "c.npz"
    words = ("stream", camera, "--input", recording, "--bin-us", 500, "--window", 8, *CHIP,
             "--checkpoint", saved, "--checkpoint-every", 8)  # fmt: skip
    snnc(*words, "--steps", 80)
    with np.load(saved) as file:
        arrays = dict(file)
    about = json.loads(arrays["about"].tobytes())
    state = {k.removeprefix("state."): v for k, v in arrays.items() if k != "about"}
    account = about["progress"]["chip"]
    for told_account, changed in (
        (account | {"seconds": -1.0}, state),
        (None, state),
        (account, state | {"ring": state["ring"][:, :-1]}),
        (account, state | {"host.source": state["host.source"] + 10**6} | _one_pulse()),
        (account, state | {"network.turn": state["network.turn"] - 7}),
    ):
        progress = about["progress"] | {"chip": told_account}
        write_checkpoint(saved, Checkpoint(about["identity"], progress, changed))
        refused(snnc(*words, "--resume"), "c.npz")
    write_checkpoint(saved, Checkpoint(about["identity"], about["progress"], state))
    assert snnc(*words, "--resume").code == 0


def _one_pulse() -> dict[str, np.ndarray]:
    return {f"host.{name}": np.array([v]) for name, v in
            (("tick", 80), ("source", 10**6), ("value", 1))}  # fmt: skip
