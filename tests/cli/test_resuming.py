"""``snnc run --checkpoint``: a kill in the middle changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.chains import chain, chain_inputs, speck
from support.cli import Snnc, refused
from support.deployed import deployed
from support.killed import Moment, killed

from snnc.checkpoints import Checkpoint, write_checkpoint
from snnc.ir import artifact

SILENT = ("seconds", "resumed_at")
SAMPLES = 12


def told(found: dict[str, Any]) -> str:
    """What two equal runs have in common, as the text they print."""
    return json.dumps({name: value for name, value in found.items() if name not in SILENT})


@pytest.fixture(scope="module")
def many(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples of ``data``, again and again."""
    path = tmp_path_factory.mktemp("many") / "many.npz"
    with np.load(data) as arrays:
        x = arrays["x"]
    np.savez(path, x=np.concatenate([x] * (SAMPLES // len(x))))
    return path


def saved_at(path: Path) -> int:
    with np.load(path) as arrays:
        return int(json.loads(arrays["about"].tobytes())["progress"]["found"]["done"])


@pytest.mark.parametrize(("moment", "at"), [("before", 4), ("after", 6)])
def test_kill_9_and_resume_give_the_same_report(
    snnc: Snnc, compiled: Path, many: Path, tmp_path: Path, moment: Moment, at: int
) -> None:
    saved = tmp_path / "c.npz"
    words = ("run", compiled, "--input", many, "--compare", 3, "--noc", "flit", "--json",
             "--trace", tmp_path / "t.h5")  # fmt: skip
    saving = ("--checkpoint", saved, "--checkpoint-every", 2)
    killed((*words, *saving), saved, moment, 3)
    assert not (tmp_path / "t.h5").exists()
    assert saved_at(saved) == at
    found = snnc(*words, *saving, "--resume").json
    assert found["resumed_at"] == at
    trace = (tmp_path / "t.h5").read_bytes()
    other = ("--checkpoint", tmp_path / "other.npz", "--checkpoint-every", 2)
    whole = snnc(*words, *other).json
    assert (tmp_path / "t.h5").read_bytes() == trace
    assert whole["resumed_at"] is None
    assert told(found) == told(whole)
    assert snnc(*words, *saving, "--resume").json["resumed_at"] == SAMPLES  # nothing left to do


@pytest.mark.parametrize("form", ["npz", "json", "h5"])
def test_a_trace_of_a_resumed_run_has_the_same_bytes(
    snnc: Snnc, compiled: Path, many: Path, tmp_path: Path, form: str
) -> None:
    words = ("run", compiled, "--input", many, "--samples", 7, "--compare", 0)
    saved, found, plain = (tmp_path / name for name in ("c.npz", f"t.{form}", f"plain.{form}"))
    traced = (*words, "--trace", found)
    saving = ("--checkpoint", saved, "--checkpoint-every", 2)
    assert snnc(*words, "--trace", plain).code == 0
    assert snnc(*traced, *saving).code == 0
    whole = found.read_bytes()
    if form != "h5":  # which is laid out in the order of the batches
        assert whole == plain.read_bytes()
    _cut_back(saved, snnc, (*traced, "--checkpoint"), tmp_path)
    assert saved_at(saved) == 4
    (tmp_path / "c.npz.trace-4.npz").unlink()  # of a batch that the checkpoint does not count on
    found.unlink()
    refused(snnc(*words, *saving, "--resume"), "another run", "options")
    assert snnc(*traced, *saving, "--resume").code == 0
    assert found.read_bytes() == whole
    assert snnc(*traced, *saving, "--resume").code == 0  # once more, and the last sample only
    assert found.read_bytes() == whole


def test_traces_whose_beginning_is_lost_or_damaged_are_refused(
    snnc: Snnc, compiled: Path, data: Path, tmp_path: Path
) -> None:
    saved, trace = tmp_path / "c.npz", tmp_path / "t.h5"
    words = ("run", compiled, "--input", data, "--compare", 0, "--trace", trace)
    saving = ("--checkpoint", saved, "--checkpoint-every", 2)
    refused(snnc(*words, "--checkpoint", trace), "--checkpoint", "two files")
    assert snnc(*words, *saving).code == 0
    trace.unlink()
    part = tmp_path / "c.npz.trace-0.npz"
    good = part.read_bytes()
    for broken in (good[: len(good) // 2], b"no part", b""):
        part.write_bytes(broken)
        refused(snnc(*words, *saving, "--resume"))
    part.unlink()
    refused(snnc(*words, *saving, "--resume"), "cannot be opened", "trace-0")
    part.write_bytes(good)
    with np.load(part) as arrays:
        about = json.loads(arrays["about"].tobytes())
        state = {k.removeprefix("state."): v for k, v in arrays.items() if k != "about"}
    whole = about["progress"]["part"]
    for changed in (
        {},
        {"part": None},
        {"part": whole | {"result": None}},
        {"part": whole | {"chip": whole["chip"] | {"trace": 1}}},
        {"part": whole | {"chip": whole["chip"] | {"timing": None, "trace": {"$": "Trace"}}}},
    ):
        write_checkpoint(part, Checkpoint(about["identity"], changed, state))
        refused(snnc(*words, *saving, "--resume"), "trace so far cannot be read")
    assert not trace.exists()
    assert all(path.name.startswith("c.npz") for path in tmp_path.iterdir())


def test_runs_of_asynchronous_machines_resume(snnc: Snnc, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    program, events = tmp_path / "chain.snnc", tmp_path / "x.npz"
    artifact.write(deployed(chain(rng), speck("drop", 2), 4), program)
    np.savez(events, x=chain_inputs(rng, 6, 4, rate=0.3)["x"])
    words = ("run", program, "--input", events, "--compare", 5, "--json")
    saving = ("--checkpoint", tmp_path / "c.npz", "--checkpoint-every", 2)
    whole = snnc(*words, *saving).json
    assert whole["cycle"]["asynchronous"]["dropped_packets"] > 0
    assert any("spike counts of single neurons" in note for note in whole["notes"])
    assert whole["mismatches"] == 0
    _cut_back(tmp_path / "c.npz", snnc, (*words, "--checkpoint"), tmp_path)
    found = snnc(*words, *saving, "--resume").json
    assert found["resumed_at"] == 4
    assert told(found) == told(whole)


def _cut_back(saved: Path, snnc: Snnc, words: tuple[object, ...], tmp_path: Path) -> None:
    """A checkpoint of the first four samples in the place of the last one, as a kill leaves it."""
    from snnc import resuming

    kept: list[bytes] = []
    write = resuming.write_checkpoint

    def watch(path: Path, checkpoint: Any) -> None:
        write(path, checkpoint)
        if path == saved:  # and not the trace of a batch
            kept.append(path.read_bytes())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resuming, "write_checkpoint", watch)
        snnc(*words, saved, "--checkpoint-every", 2)
    saved.write_bytes(kept[1])


def test_checkpoints_of_another_run_are_refused(
    snnc: Snnc, compiled: Path, data: Path, many: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "c.npz"
    words = ("run", compiled, "--input", data)
    saving = ("--checkpoint", saved, "--checkpoint-every", 2)
    refused(snnc(*words, "--resume"), "--resume", "--checkpoint FILE")
    refused(snnc(*words, *saving, "--resume"), "cannot be opened")
    refused(snnc(*words, "--checkpoint", saved, "--checkpoint-every", 0), "at least 1")
    refused(snnc(*words, "--checkpoint", data), "replace an input")
    assert snnc(*words, *saving).code == 0
    good = saved.read_bytes()
    refused(snnc(*words, *saving, "--resume", "--noc", "flit"), "another run", "options")
    refused(snnc("run", compiled, "--input", many, *saving, "--resume"), "another run", "data")
    with np.load(saved) as arrays:
        parts = dict(arrays)
    about = json.loads(parts["about"].tobytes())
    about["progress"]["found"]["done"] = 1
    parts["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(saved, **parts)
    refused(snnc(*words, *saving, "--resume"), "damaged")
    for broken in (good[: len(good) // 2], b"no checkpoint", b""):
        saved.write_bytes(broken)
        refused(snnc(*words, *saving, "--resume"))
    saved.write_bytes(good)
    assert snnc(*words, *saving, "--resume").code == 0
