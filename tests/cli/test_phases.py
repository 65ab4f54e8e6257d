"""Programs of several phases through every command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from support import nets
from support.cli import DIGITS, Snnc, refused
from support.paths import ROOT
from support.phase_networks import tiny_machine, with_prices

import snnc as package
from snnc.checkpoints import write_checkpoint
from snnc.compiler.options import CompileOptions
from snnc.ir.errors import CapacityError, OptionError
from snnc.ir.target import Target

STEPS = 6


def written(target: Target, path: Path) -> str:
    raw = target.model_dump(mode="json", by_alias=True) | {"id": "few-cores", "aliases": []}
    path.write_text(yaml.safe_dump(raw))
    return str(path)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> str:
    target = tiny_machine(4, neurons=32, axons=400, bits=65536)
    return written(with_prices(target), tmp_path_factory.mktemp("target") / "few.yaml")


@pytest.fixture(scope="module")
def phased(machine: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("phases") / "residual.snnc"
    options = CompileOptions(target=machine, timesteps=STEPS, phases="auto", time_limit_s=1)
    package.compile(nets.residual(), options, output=path)
    return path


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "d.npz"
    rng = np.random.default_rng(0)
    np.savez(path, x=(rng.random((5, STEPS, 16)) < 0.4).astype(np.uint8), y=np.arange(5))
    return path


def test_a_network_that_does_not_fit_tells_of_phases(machine: str) -> None:
    with pytest.raises(CapacityError, match="--phases auto"):
        package.compile(nets.residual(), CompileOptions(target=machine, timesteps=STEPS))


def test_a_network_that_fits_takes_one_phase(tmp_path: Path) -> None:
    plain = CompileOptions(target="toy-mesh", timesteps=STEPS)
    free = CompileOptions(target="toy-mesh", timesteps=STEPS, phases="auto")
    one, other = (package.compile(nets.mlp(), o).deployment for o in (plain, free))
    assert one is not None
    assert other is not None
    assert one.report == other.report


@pytest.mark.parametrize("words", ["0", "-1", "sometimes"])
def test_the_option_takes_three_kinds_of_values(snnc: Snnc, words: str) -> None:
    refused(snnc("compile", DIGITS, "--phases", words), "--phases", "never, auto, or a number")


def test_machines_without_time_steps_take_no_phases(snnc: Snnc) -> None:
    words = ("compile", DIGITS, "--target", "speck2f", "--timesteps", 2, "--phases", "auto")
    refused(snnc(*words), "--phases", "speck2f", "leave it out")


def test_a_number_limits_the_phases(machine: str) -> None:
    options = CompileOptions(target=machine, timesteps=STEPS, phases="2")
    assert options.phases == 2
    with pytest.raises(CapacityError, match="more phases than allowed"):
        package.compile(nets.residual(), options)
    assert CompileOptions.from_dict(options.to_dict()) == options


def test_the_chip_runs_all_phases_as_the_reference(snnc: Snnc, phased: Path, events: Path) -> None:
    found = snnc("run", phased, "--input", events, "--compare", 5, "--json").json
    assert found["mismatches"] == 0
    assert sum(found["spikes"].values()) > 100
    told, timing = found["phases"], found["cycle"]["timing"]
    assert told["count"] == len(told["by_phase"]) == 3
    run = sum(row["seconds_per_sample"] for row in told["by_phase"])
    assert run == pytest.approx(timing["seconds_per_sample"]["mean"])
    load = told["reload"]["seconds"]
    assert load == pytest.approx(told["reload"]["bytes"] * 1e-9)
    assert told["one_by_one"]["seconds_per_sample"] == pytest.approx(run + load)
    assert told["batched"] == {
        "batch": 5,
        "seconds_per_sample": pytest.approx(run + load / 5),
        "joules_per_sample": pytest.approx(
            found["cycle"]["energy"]["dynamic_j_per_sample"]["mean"] + told["reload"]["joules"] / 5
        ),
    }
    assert found["cycle"]["energy"]["idle"]["spikes"] == 0
    assert sum(row["ticks"] for row in told["by_phase"]) == found["ticks_per_sample"]


def test_all_simulators_classify_alike(snnc: Snnc, phased: Path, events: Path) -> None:
    runs = {
        backend: snnc("run", phased, "--input", events, "--backend", backend, "--json").json
        for backend in ("functional", "reference", "cycle")
    }
    for name in ("predictions", "spikes", "correct"):
        assert runs["functional"][name] == runs["reference"][name] == runs["cycle"][name]
    assert runs["reference"]["phases"] is None
    assert runs["functional"]["phases"]["by_phase"][0]["seconds_per_sample"] is None


def test_threads_change_nothing(snnc: Snnc, phased: Path, tmp_path: Path) -> None:
    many = tmp_path / "many.npz"
    x = (np.random.default_rng(1).random((40, STEPS, 16)) < 0.3).astype(np.uint8)
    np.savez(many, x=x)
    one, two = (snnc("run", phased, "--input", many, "--threads", n, "--json").json for n in (1, 2))
    assert one["spikes"] == two["spikes"]
    assert one["predictions"] == two["predictions"]
    assert one["cycle"]["packets"] == two["cycle"]["packets"]


def test_a_deadline_counts_the_loading(snnc: Snnc, phased: Path, events: Path) -> None:
    free = snnc("run", phased, "--input", events, "--json").json
    slowest = free["cycle"]["timing"]["seconds_per_sample"]["max"]
    tight = slowest + free["phases"]["reload"]["seconds"] / 2  # enough without loading
    late = snnc("run", phased, "--input", events, "--deadline", tight, "--json")
    assert late.code == 1
    assert late.json["deadline"]["missed"] > 0
    wide = 2 * free["phases"]["one_by_one"]["seconds_per_sample"]
    assert snnc("run", phased, "--input", events, "--deadline", wide).code == 0


def test_verify_checks_every_phase(snnc: Snnc, phased: Path) -> None:
    found = snnc("verify", phased, "--json").json
    assert found["ok"]
    assert found["structure"]["checked"]["phases"] > 1000
    assert found["structure"]["checked"]["deadlock"] > 0
    assert found["equality"]["mismatches"] == {"functional": 0, "cycle": 0}


def test_the_report_shows_phases_and_their_costs(snnc: Snnc, phased: Path) -> None:
    text = snnc("report", phased).out
    assert "3 phases" in text
    assert "load" in text
    assert "samples in a batch" in text
    found = snnc("report", phased, "--json").json
    assert found["schema"] == "snnc-phased-report/1"
    assert [row["members"][0]["population"] for row in found["phases"]] == ["a", "b", "c"]
    assert all(row["cores"] <= 4 for row in found["phases"])
    cost = found["cost"]
    assert cost["ticks_per_sample"] == sum(row["ticks"] for row in found["phases"])
    moved = {row["batch"]: row["moved_bytes_per_sample"] for row in cost["by_batch"]}
    traffic = cost["buffer_traffic_bytes_per_sample"]
    assert moved[1] == cost["reload"]["bytes"] + traffic
    assert moved[1000] < moved[10] < moved[1]
    # a and b, 80 neurons of 6 steps, are kept at the same time for c.
    assert cost["buffer_bytes_per_sample"]["any_spikes"] == 2 * 80 * STEPS // 8
    assert cost["step_by_step"]["reload_bytes_per_sample"] == STEPS * cost["reload"]["bytes"]


def test_the_fields_of_the_report_are_the_documented_ones(snnc: Snnc, phased: Path) -> None:
    page = (ROOT / "docs" / "phases.md").read_text()
    known = {w.removesuffix("[]").split(".")[-1] for w in re.findall(r"`([\w.]+(?:\[\])?)`", page)}
    found = snnc("report", phased, "--json").json
    records = [found, found["plan"], found["cost"], found["cost"]["reload"], found["phases"][0],
               found["phases"][0]["members"][0], found["phases"][0]["reads"], found["target"],
               found["cost"]["by_batch"][0], found["cost"]["step_by_step"],
               found["cost"]["buffer_bytes_per_sample"]]  # fmt: skip
    for record in records:
        assert set(record) <= known, set(record) - known


def test_one_phase_is_reported_as_a_program_of_its_own(
    snnc: Snnc, phased: Path, compiled: Path, tmp_path: Path
) -> None:
    found = snnc("report", phased, "--phase", 2, "--json").json
    assert found["schema"] == "snnc-report/1"
    assert [row["name"] for row in found["layers"]] == ["b"]
    page = tmp_path / "b.html"
    assert snnc("report", phased, "--phase", 2, "--html", page).code == 0
    assert "phase 2" in page.read_text()
    refused(snnc("report", phased, "--phase", 4), "--phase", "1 to 3")
    refused(snnc("report", compiled, "--phase", 1), "one phase: leave it out")
    refused(snnc("report", phased, "--html", tmp_path / "no.html"), "--phase K")


def test_a_trace_holds_the_spikes_of_all_phases(
    snnc: Snnc, phased: Path, events: Path, tmp_path: Path
) -> None:
    path = tmp_path / "t.npz"
    assert snnc("run", phased, "--input", events, "--trace", path).code == 0
    with np.load(path) as trace:
        assert {"a.step", "b.step", "c.step", "output.out"} <= set(trace.files)
    same = snnc("compare", phased, path, "--input", events, "--json")
    assert same.json["equal"]


@pytest.mark.parametrize("backend", ["cycle", "functional"])
def test_a_run_resumes_between_batches(
    snnc: Snnc, phased: Path, events: Path, tmp_path: Path, backend: str
) -> None:
    saved, trace = tmp_path / "c.npz", tmp_path / "t.npz"
    words = ("run", phased, "--input", events, "--backend", backend, "--trace", trace, "--json")
    saving = ("--checkpoint", saved, "--checkpoint-every", 2)
    kept: list[bytes] = []

    def watch(path: Path, checkpoint: Any) -> None:
        write_checkpoint(path, checkpoint)
        if path == saved:
            kept.append(path.read_bytes())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("snnc.resuming.write_checkpoint", watch)
        whole = snnc(*words, *saving).json
    plain, written = snnc(*words).json, trace.read_bytes()
    saved.write_bytes(kept[0])
    trace.unlink()
    found = snnc(*words, *saving, "--resume").json
    assert (whole["resumed_at"], found["resumed_at"]) == (None, 2)
    assert trace.read_bytes() == written
    assert found["cycle"] == whole["cycle"]
    assert found["phases"] == whole["phases"]
    for name in ("predictions", "spikes", "mismatches", "accuracy"):
        assert found[name] == plain[name]
    if backend == "cycle":
        for mine, other in zip(*(r["phases"]["by_phase"] for r in (found, plain)), strict=True):
            assert mine == pytest.approx(other)
            assert mine["seconds_per_sample"] > 0


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--backend", "lava"), ("--backend", "one phase", "3 phases")),
        (("--early-stop", 1), ("--early-stop", "3 phases")),
        (("--trace", "t.h5"), ("--trace", ".npz")),
        (("--trace", "t.json"), ("--trace", ".npz")),
    ],
)
def test_what_phases_cannot_do_is_refused_by_name(
    snnc: Snnc,
    phased: Path,
    events: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[object, ...],
    parts: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(snnc("run", phased, "--input", events, *words), *parts)


def test_other_commands_refuse_by_name(snnc: Snnc, phased: Path, tmp_path: Path) -> None:
    recording = tmp_path / "r.npy"
    kinds = [("t", "<u4"), ("x", "<u2"), ("y", "<u2"), ("p", "<u1")]
    np.save(recording, np.zeros(3, kinds))
    for words in (
        ("stream", phased, "--input", recording),
        ("export", phased, "--to", "lava", "-o", tmp_path / "lava"),
        ("export", phased, "--to", "netx", "-o", tmp_path / "x.net"),
    ):
        refused(snnc(*words), "several phases", "3 phases", "--phases never")


def test_a_program_in_memory_is_refused_alike(machine: str, tmp_path: Path) -> None:
    options = CompileOptions(target=machine, timesteps=STEPS, phases="auto", time_limit_s=1)
    program = package.compile(nets.residual(), options, build_dir=tmp_path / "build").deployment
    assert program is not None
    with pytest.raises(package.SnncError, match="several phases"):
        package.export(program, "lava", tmp_path / "lava")
    pages = sorted(path.name for path in (tmp_path / "build").glob("*.html"))
    assert pages == [f"report-phase-{k}.html" for k in (1, 2, 3)]
    stage = json.loads((tmp_path / "build" / "ir" / "map.json").read_text())
    assert [len(row) for row in stage["plan"]["phases"]] == [1, 1, 1]


def test_a_deadline_needs_the_time_of_loading(snnc: Snnc, events: Path, tmp_path: Path) -> None:
    target = tiny_machine(4, neurons=32, axons=400, bits=65536)
    options = CompileOptions(
        target=written(target, tmp_path / "m.yaml"), timesteps=STEPS, phases="auto", time_limit_s=1
    )
    program = package.compile(nets.residual(), options).deployment
    assert program is not None
    with pytest.raises(OptionError, match="load_byte"):
        package.run(program, events, deadline=1.0)
    found = package.run(program, events).as_dict()["phases"]
    assert found["reload"]["unpriced"] == ["latency", "energy"]
    assert found["one_by_one"]["seconds_per_sample"] is None


def test_inspect_shows_the_whole_network(snnc: Snnc, phased: Path) -> None:
    names = [row["name"] for row in snnc("inspect", phased, "--json").json["nodes"]]
    assert {"a", "b", "c", "out"} <= set(names)
