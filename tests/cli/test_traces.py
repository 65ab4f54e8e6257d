"""Files of ``snnc run --trace``: the same run in every format, whole or not at all."""

from __future__ import annotations

import importlib.util
import json
import resource
import subprocess
import sys
from collections import Counter
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support.cli import Snnc, refused
from support.paths import ROOT

import snnc as package
from snnc import perfetto, running
from snnc.ir import artifact
from snnc.ir.errors import SimulationError
from snnc.ir.nodes import Input
from snnc.simulators import cycle


@pytest.fixture
def whole(compiled: Path, data: Path) -> cycle.CycleResult:
    """The run that all traces show."""
    deployment = artifact.read(compiled)
    name = deployment.network.of_type(Input)[0].name
    with np.load(data) as arrays:
        return cycle.run(deployment, {name: arrays["x"].astype(np.int64)}, trace=True)


def tree(group: Any) -> dict[str, Any]:
    """All datasets of a file by path."""
    found: dict[str, Any] = {}
    group.visititems(lambda name, item: found.update({name: item}) if hasattr(item, "dtype") else 0)
    return found


@pytest.mark.parametrize("batch", [1, 4])
def test_hdf5_holds_the_run_whatever_the_batches(
    snnc: Snnc,
    compiled: Path,
    data: Path,
    tmp_path: Path,
    whole: cycle.CycleResult,
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
) -> None:
    if batch == 1:
        monkeypatch.setattr(running, "BATCH_BYTES", 1)
    path = tmp_path / "t.h5"
    assert snnc("run", compiled, "--input", data, "--trace", path).code == 0
    with h5py.File(path) as file:
        assert file.attrs["schema"] == "snnc-trace/1"
        assert file.attrs["samples"] == 4
        for name, events in whole.result.spikes.items():
            group = file["spikes"][name]
            for column in ("sample", "step", "index", "value"):
                np.testing.assert_array_equal(group[column][:], getattr(events, column))
        for name, values in whole.result.outputs.items():
            np.testing.assert_array_equal(file["outputs"][name][:], values)
        assert whole.trace is not None
        for name, values in whole.trace.series().items():
            np.testing.assert_array_equal(file["chip"][name][:], values)
        for dataset in tree(file).values():
            assert dataset.compression == "gzip" or dataset.maxshape == dataset.shape
    assert [p.name for p in tmp_path.iterdir()] == ["t.h5"]


def test_the_series_add_up_to_the_report(whole: cycle.CycleResult) -> None:
    trace, timing = whole.trace, whole.timing
    assert trace is not None
    assert timing is not None
    assert trace.received.sum() == whole.counts["message_in"]
    assert trace.channel_load.sum() == whole.hops
    assert trace.stall_cycles.sum() == pytest.approx(timing.stall_cycles)
    ends = trace.tick_start[:, -1] + trace.tick_cycles[:, -1] + timing.barrier_s / timing.cycle_s
    np.testing.assert_allclose(ends, timing.cycles)
    slowest = np.maximum(trace.sweep_cycles, trace.receive_end).max(axis=2)
    assert (slowest <= trace.tick_cycles).all()
    assert (trace.receive_cycles <= trace.receive_end + 1e-9).all()
    assert ((trace.receive_cycles > 0) == (trace.received > 0)).all()


def test_equal_runs_write_equal_bytes(
    snnc: Snnc, compiled: Path, data: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        for suffix in (".h5", ".json"):
            snnc("run", compiled, "--input", data, "--trace", tmp_path / (name + suffix))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_browser_trace_is_made_of_valid_events(
    snnc: Snnc, compiled: Path, data: Path, tmp_path: Path, whole: cycle.CycleResult
) -> None:
    path = tmp_path / "t.json"
    assert snnc("run", compiled, "--input", data, "--trace", path).code == 0
    found = json.loads(path.read_text())
    events = found["traceEvents"]
    by_phase = Counter(event["ph"] for event in events)
    assert set(by_phase) == {"M", "X", "C"}
    named = {(e["pid"], e.get("tid")) for e in events if e["name"].endswith("_name")}
    tracks: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for event in events:
        if event["ph"] == "X":
            assert (event["pid"], event["tid"]) in named
            assert event["dur"] >= 0 <= event["ts"]
            slot = tracks.setdefault((event["pid"], event["tid"]), [])
            slot.append((event["ts"], event["ts"] + event["dur"]))
        if event["ph"] == "C":
            assert all(isinstance(v, int) and v >= 0 for v in event["args"].values())
    for slices in tracks.values():  # slices of a track follow each other, as viewers demand
        assert all(a[1] <= b[0] + 1e-6 for a, b in pairwise(slices))
    ticks = [e for e in events if e["ph"] == "X" and (e["pid"], e["tid"]) == (perfetto.CHIP, 1)]
    assert whole.timing is not None
    assert [e["dur"] for e in ticks] == whole.timing.tick_cycles.reshape(-1).tolist()
    receives = [e for e in events if e["ph"] == "X" and e["name"] == "receive"]
    assert sum(e["args"]["packets"] for e in receives) == whole.counts["message_in"]


def test_a_browser_trace_ends_where_browsers_do_and_says_so(
    snnc: Snnc, compiled: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = perfetto.PerfettoWriter.__init__
    monkeypatch.setattr(
        perfetto.PerfettoWriter, "__init__", lambda self, file, d: limited(self, file, d, 1)
    )
    path = tmp_path / "t.json"
    found = snnc("run", compiled, "--input", data, "--trace", path, "--json").json
    (note,) = (n for n in found["notes"] if "browser" in n)
    assert "after 1 samples" in note
    names = {e["name"] for e in json.loads(path.read_text())["traceEvents"]}
    assert "sample 0, tick 0" in names
    assert "sample 1, tick 0" not in names


def test_formats_that_cannot_be_are_refused(
    snnc: Snnc, compiled: Path, data: Path, tmp_path: Path
) -> None:
    words = ("run", compiled, "--input", data)
    refused(snnc(*words, "--trace", tmp_path / "t.csv"), "suffix", ".h5")
    refused(
        snnc(*words, "--backend", "functional", "--trace", tmp_path / "t.json"), "--backend cycle"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("backend", ["functional", "reference"])
def test_other_backends_write_their_spikes(
    snnc: Snnc, compiled: Path, data: Path, tmp_path: Path, backend: str, whole: cycle.CycleResult
) -> None:
    path = tmp_path / "t.h5"
    assert snnc("run", compiled, "--input", data, "--backend", backend, "--trace", path).code == 0
    with h5py.File(path) as file:
        assert "chip" not in file
        for name, events in whole.result.spikes.items():
            np.testing.assert_array_equal(file["spikes"][name]["value"][:], events.value)


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".json"])
def test_a_full_disk_is_a_typed_error_and_leaves_no_file(
    compiled: Path, data: Path, tmp_path: Path, suffix: str
) -> None:
    """A limit on file sizes stands for the disk: writes fail in the middle of the file."""
    path = tmp_path / ("t" + suffix)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    words = ["-m", "snnc", "run", compiled, "--input", data, "--trace", path, "--json"]
    found = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True, text=True, preexec_fn=limit, timeout=600, check=False,
    )  # fmt: skip
    assert found.returncode == 2, found.stderr
    error = json.loads(found.stdout)
    assert (error["error"], error["where"]) == ("output", str(path))
    assert "Traceback" not in found.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_leaves_no_trace(
    compiled: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "BATCH_BYTES", 1)
    once, calls = running.Simulator.run, count()

    def fails(self: running.Simulator, *given: Any, **named: Any) -> Any:
        if next(calls) == 2:
            assert any(tmp_path.iterdir())  # the file under its temporary name
            raise SimulationError("stuck")
        return once(self, *given, **named)

    monkeypatch.setattr(running.Simulator, "run", fails)
    with pytest.raises(SimulationError):
        package.run(compiled, data, trace=tmp_path / "t.h5")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_the_example_draws_every_format(
    snnc: Snnc, compiled: Path, data: Path, tmp_path: Path, suffix: str, whole: cycle.CycleResult
) -> None:
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location("plot_trace", ROOT / "examples" / "plot_trace.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    path = tmp_path / ("t" + suffix)
    snnc("run", compiled, "--input", data, "--trace", path)
    found = {name: (steps, neurons) for name, steps, neurons in example.read_spikes(path, 2)}
    assert set(found) == set(whole.result.spikes)
    for name, events in whole.result.spikes.items():
        chosen = events.sample == 2
        np.testing.assert_array_equal(found[name][0], events.step[chosen])
        np.testing.assert_array_equal(found[name][1], events.index[chosen])


def test_a_recorded_trace_becomes_the_browser_trace_of_the_run(
    snnc: Snnc, compiled: Path, data: Path, tmp_path: Path
) -> None:
    for suffix in (".h5", ".json"):
        assert snnc("run", compiled, "--input", data, "--trace", tmp_path / f"a{suffix}").code == 0
    made = tmp_path / "b.json"
    found = snnc("trace", tmp_path / "a.h5", "--to", "perfetto", "-o", made, "--json").json
    assert found["samples"] == 4
    assert found["left_out"] == 0
    assert made.read_bytes() == (tmp_path / "a.json").read_bytes()
    assert snnc("trace", tmp_path / "a.h5").code == 0  # beside it, under its name


def test_traces_that_cannot_be_converted_are_refused(
    snnc: Snnc, compiled: Path, data: Path, tmp_path: Path
) -> None:
    good, out = tmp_path / "good.h5", tmp_path / "out.json"
    snnc("run", compiled, "--input", data, "--trace", good)
    untimed = tmp_path / "untimed.h5"
    snnc("run", compiled, "--input", data, "--backend", "functional", "--trace", untimed)
    refused(snnc("trace", untimed, "-o", out), "lacks a part")
    refused(snnc("trace", tmp_path / "none.h5", "-o", out), "no such trace")
    refused(snnc("trace", good, "--to", "vcd", "-o", out), "perfetto")
    refused(snnc("trace", good, "-o", good), "replace an input")
    whole = good.read_bytes()
    for name, content in (("cut", whole[: len(whole) // 2]), ("text", b"not HDF5")):
        path = tmp_path / f"{name}.h5"
        path.write_bytes(content)
        refused(snnc("trace", path, "-o", out), "damaged")
    for name, change in HOSTILE.items():
        path = tmp_path / f"{name}.h5"
        path.write_bytes(whole)
        with h5py.File(path, "r+") as file:
            change(file)
        refused(snnc("trace", path, "-o", out), path.name)
    assert not out.exists()


def _replace(file: Any, name: str, values: Any) -> None:
    del file[name]
    file[name] = values


HOSTILE = {
    "schema": lambda f: f.attrs.update({"schema": "snnc-trace/9"}),
    "width": lambda f: f["chip"].attrs.update({"mesh_width": 0}),
    "old": lambda f: f["chip"].attrs.pop("mesh_width"),
    "barrier": lambda f: f["chip"].attrs.update({"barrier_cycles": float("inf")}),
    "kind": lambda f: _replace(f, "chip/received", np.zeros(3, "S4")),
    "shape": lambda f: _replace(f, "chip/received", np.zeros((1, 2, 3))),
    "negative": lambda f: _replace(f, "chip/received", f["chip/received"][()] - 1),
    "endless": lambda f: _replace(f, "chip/tick_start", f["chip/tick_start"][()] + np.inf),
    "link": lambda f: _replace(f, "chip/received", h5py.SoftLink("/chip/sweep_cycles")),
    "names": lambda f: _replace(f, "chip/populations", np.zeros(3)),
}
