from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import Snnc
from support.nir_files import affine, chain, if_
from support.paths import ROOT

import snnc as package
from snnc.tallies import Tally

DEMO = Path(str(files("snnc"))) / "demo_data"
DIGITS = DEMO / "digits_cnn.nir"
IMAGES = DEMO / "digits_test.npz"
COMMANDS = ("compile", "report", "run", "verify", "check", "inspect", "targets", "demo")
SOURCE = ("--calibration", IMAGES, "--encode", "direct", "--timesteps", 10)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(snnc: Snnc, command: str) -> None:
    found = snnc(command, "--help")
    assert found.code == 0
    assert "Usage: snnc " + command in found.out
    assert "--json" in found.out
    assert callable(getattr(package, command))
    assert getattr(package, command).__doc__


def test_the_program_starts_without_heavy_libraries() -> None:
    code = (
        "import sys\n"
        "from snnc.cli.shell import _run\n"
        "assert _run(['report', '--help']) == 0\n"
        "heavy = {'numba', 'ortools', 'h5py', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_version_and_help_and_nothing(snnc: Snnc) -> None:
    assert snnc("--version").out == f"snnc {package.__version__}\n"
    assert "compile" in snnc("--help").out
    assert "Usage" in snnc().out


def test_report_shows_every_section(snnc: Snnc, compiled: Path) -> None:
    found = snnc("report", compiled)
    assert found.code == 0
    for part in (
        "small on Intel Loihi", "lif1", "core occupancy", "resources of the used cores",
        "placement", "energy per sample", "unpriced", "certificate assumes", "unchecked",
        "certified free", "ticks from input to output",
    ):  # fmt: skip
        assert part in found.out, part


def test_report_as_json_is_one_versioned_object(snnc: Snnc, compiled: Path) -> None:
    found = snnc("report", compiled, "--json")
    assert found.json["schema"] == "snnc-report/1"
    assert found.json["placement"][0]["use"]
    assert found.json["provenance"]["model"]["name"] == "small.nir"
    assert found.err == ""


def test_report_as_html_is_self_contained(snnc: Snnc, compiled: Path, tmp_path: Path) -> None:
    target = tmp_path / "r.html"
    assert snnc("report", compiled, "--html", target).code == 0
    text = target.read_text()
    assert text.count("<svg") == 2
    assert "lif1" in text
    for outside in ("http://", "https://", "<script", "src=", "@import", "url("):
        assert outside not in text, outside


def test_run_compares_with_the_reference(snnc: Snnc, compiled: Path, data: Path) -> None:
    found = snnc("run", compiled, "--input", data)
    assert found.code == 0
    for part in ("accuracy", "ticks per sample", "cycles per sample", "energy per sample",
                 "0 mismatches against the reference"):  # fmt: skip
        assert part in found.out, part


@pytest.mark.parametrize("backend", ["cycle", "functional", "reference"])
def test_all_backends_agree(snnc: Snnc, compiled: Path, data: Path, backend: str) -> None:
    found = snnc("run", compiled, "--input", data, "--backend", backend, "--json").json
    reference = snnc("run", compiled, "--input", data, "--backend", "reference", "--json").json
    assert found["schema"] == "snnc-run/1"
    assert found["predictions"] == reference["predictions"]
    assert found["spikes"] == reference["spikes"]
    assert sum(found["spikes"].values()) > 100
    assert found["mismatches"] == (None if backend == "reference" else 0)
    assert (found["cycle"] is not None) == (backend == "cycle")


def test_both_network_models_count_the_same_and_say_which_they_are(
    snnc: Snnc, compiled: Path, data: Path
) -> None:
    words = ("run", compiled, "--input", data, "--json")
    model, flit = snnc(*words).json, snnc(*words, "--noc", "flit").json
    assert flit["mismatches"] == 0
    assert flit["spikes"] == model["spikes"]
    for found, name in ((model, "transaction"), (flit, "flit")):
        timing = found["cycle"]["timing"]
        assert timing["noc"] == name
        assert sum(timing["limits"].values()) == 4 * (found["cycle"]["ticks_per_sample"] + 1)
        assert timing["peak_receive_queue"] >= 0
    assert flit["cycle"]["events"] == model["cycle"]["events"]
    assert flit["cycle"]["timing"].keys() == model["cycle"]["timing"].keys()


def test_run_writes_a_trace(snnc: Snnc, compiled: Path, data: Path, tmp_path: Path) -> None:
    trace = tmp_path / "t.npz"
    found = snnc("run", compiled, "--input", data, "--trace", trace, "--json").json
    with np.load(trace) as arrays:
        assert arrays["lif1.value"].sum() == found["spikes"]["lif1"]
        assert arrays["output.out"].shape == (4, 6, 5)
        assert arrays["chip.spikes"].shape[0] == 4


def test_verify_says_yes_with_exit_code_0(snnc: Snnc, compiled: Path, data: Path) -> None:
    found = snnc("verify", compiled)
    assert found.code == 0
    assert "verified" in found.out
    again = snnc("verify", compiled, "--input", data, "--samples", 3, "--json").json
    assert again["ok"]
    assert again["equality"]["samples"] == 3
    assert again["equality"]["mismatches"] == {"functional": 0, "cycle": 0}
    assert "nothing fired" not in found.out


def test_verify_says_when_there_was_nothing_to_compare(
    snnc: Snnc, compiled: Path, data: Path, tmp_path: Path
) -> None:
    with np.load(data) as arrays:
        np.savez(tmp_path / "silence.npz", **{k: 0 * v for k, v in arrays.items()})
    found = snnc("verify", compiled, "--input", tmp_path / "silence.npz")
    assert found.code == 0
    assert "nothing fired" in found.out


def test_targets_lists_and_describes(snnc: Snnc) -> None:
    assert "loihi1" in snnc("targets").out
    assert snnc("targets", "--json").json["schema"] == "snnc-targets/1"
    loihi = snnc("targets", "loihi1").out
    assert "synapse_mem" in loihi
    assert "self-check: sound" in loihi
    assert snnc("targets", "toy-mesh", "--json").json["id"] == "toy-mesh"


def test_check_is_a_gate(snnc: Snnc) -> None:
    yes = snnc("check", DIGITS, "--target", "loihi1", "--json")
    assert (yes.code, yes.json["ok"]) == (0, True)
    assert {"lif1", "conv1"} <= {node["node"] for node in yes.json["nodes"]}
    no = snnc("check", DIGITS, "--target", "truenorth")
    assert no.code == 1
    assert "refused" in no.out
    assert "cannot be compiled" in no.out


def test_inspect_shows_nodes_and_assumptions(snnc: Snnc) -> None:
    found = snnc("inspect", DIGITS, "--json").json
    shapes = {node["name"]: node["output_shape"] for node in found["nodes"]}
    assert shapes["conv3"] == [32, 4, 4]
    assert found["assumptions"]
    assert "conv1" in snnc("inspect", DIGITS).out


def test_inspect_shows_what_is_known_of_a_refused_model(snnc: Snnc, tmp_path: Path) -> None:
    bad = affine(np.zeros((2, 5)), np.zeros(2))
    model = chain(tmp_path / "bad.nir", (3,), if_((3,)), bad)
    found = snnc("inspect", model)
    assert found.code == 2
    assert "Affine" in found.out
    assert found.err.startswith("error: ")
    told = snnc("inspect", model, "--json")
    assert (told.code, told.err) == (2, "")
    nodes = {node["name"]: node for node in told.json["nodes"]}
    assert nodes["n0"]["output_shape"] == [3]
    assert nodes["n1"]["output_shape"] is None
    assert nodes["n1"]["inputs"] == ["n0"]
    assert nodes["n1"]["parameters"]["weight"] == {"shape": [2, 5], "min": 0.0, "max": 0.0}
    assert "n1" in told.json["error"]["where"]
    assert snnc("inspect", DIGITS, "--json").json["error"] is None


def test_missed_deadlines_and_lost_inputs_are_shown(
    snnc: Snnc, compiled: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Tally.cycle_summary

    def late(tally: Tally, *given: Any) -> dict[str, Any] | None:
        found = whole(tally, *given)
        assert found is not None
        return {
            **found,
            "notes": ["a guess"],
            "stray_inputs": 5,
            "timing": {**found["timing"], "deadline_misses": 7},
        }

    monkeypatch.setattr(Tally, "cycle_summary", late)
    shown = snnc("run", compiled, "--input", data).out
    assert "7 ticks need more time" in shown
    assert "inputs lost" in shown
    assert "a guess" in shown


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped network compiled by the real program in another process and hash seed."""
    path = tmp_path_factory.mktemp("digits") / "digits.snnc"
    words = ["compile", str(DIGITS), *map(str, SOURCE), "-o", str(path), "--json",
             "--time-limit", "60"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "snnc", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == "snnc-compile/1"
    return path


def test_compiling_again_gives_the_same_bytes(snnc: Snnc, digits: Path, tmp_path: Path) -> None:
    again, build = tmp_path / "again.snnc", tmp_path / "build"
    found = snnc("compile", DIGITS, *SOURCE, "-o", again, "--build-dir", build, "--time-limit", 60)
    assert found.code == 0, found.err
    assert again.read_bytes() == digits.read_bytes()
    names = {str(p.relative_to(build)) for p in build.rglob("*") if p.is_file()}
    assert {"log.txt", "time_per_stage.json", "config.json", "report.json", "report.html",
            "ir/frontend.json", "ir/map.json", "ir/map.npz"} <= names  # fmt: skip
    repeated = tmp_path / "repeated.snnc"
    found = snnc(
        "compile", DIGITS, "--config", build / "config.json", "--calibration", IMAGES,
        "--encode", "direct", "-o", repeated,
    )  # fmt: skip
    assert found.code == 0, found.err
    assert repeated.read_bytes() == digits.read_bytes()


def test_the_shipped_network_runs_exactly(snnc: Snnc, digits: Path) -> None:
    found = snnc(
        "run", digits, "--input", IMAGES, "--backend", "functional", "--compare", 20, "--json"
    ).json
    assert found["samples"] == 360
    assert found["mismatches"] == 0
    assert found["accuracy"] > 0.97
    assert found["notes"] == ["static values: direct coding, as calibrated"]


def test_compile_stops_after_a_stage_and_dumps_it(snnc: Snnc, tmp_path: Path) -> None:
    folder, path = tmp_path / "ir", tmp_path / "never.snnc"
    found = snnc(
        "compile", DIGITS, *SOURCE, "--stop-after", "quantize", "--dump-ir", folder, "-o", path
    )
    assert found.code == 0
    assert "stopped after quantize" in found.out
    assert not path.exists()
    assert sorted(p.name for p in folder.glob("*.json")) == [
        "frontend.json", "normalise.json", "quantize.json",
    ]  # fmt: skip
    assert json.loads((folder / "quantize.json").read_text())["network"]["$"] == "IntegerNetwork"


@pytest.mark.slow
def test_the_demo_runs(snnc: Snnc) -> None:
    found = snnc("demo", "--samples", 5)
    assert found.code == 0
    assert "0 mismatches against the reference" in found.out
    transcript = (ROOT / "README.md").read_text().partition("<!-- transcript: demo -->")[2]
    compiled = transcript.partition("```text\n")[2].partition("360 samples on")[0]
    printed = [line.rstrip() for line in found.out.splitlines()]
    assert [line for line in compiled.splitlines() if line not in printed] == []


def test_run_says_on_how_many_samples_it_was_compared(
    snnc: Snnc, compiled: Path, data: Path
) -> None:
    assert "on the first 2 of 4 samples" in snnc("run", compiled, "--input", data).out
    every = snnc("run", compiled, "--input", data, "--compare", 9)
    assert "on all 4 of 4 samples" in every.out
    assert "not compared" in snnc("run", compiled, "--input", data, "--compare", 0).out


def test_help_shows_text_in_full(snnc: Snnc) -> None:
    for command in ("compile", "check", "inspect"):
        assert "as (inputs," in snnc(command, "--help").out


def test_labels_that_are_no_class_are_said(snnc: Snnc, compiled: Path, tmp_path: Path) -> None:
    data = tmp_path / "d.npz"
    np.savez(data, x=np.zeros((3, 6, 1, 6, 6), np.uint8), y=np.array([0, 4, 5]))
    found = snnc("run", compiled, "--input", data, "--json").json
    assert found["notes"] == ["1 labels are none of the 5 classes 0 to 4 of out"]
    assert found["ties"] == {"out": 3}
    assert "3 samples tied" in snnc("run", compiled, "--input", data).out
