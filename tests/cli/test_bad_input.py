"""Every wrong input: one screen, exit code 2, nothing written; under --json a JSON error."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.cli import DIGITS, Snnc, refused
from support.paths import require_data

from snnc import api


def edited(tmp_path: Path, edit: Callable[[h5py.File], None]) -> Path:
    """The shipped model with something broken."""
    path = tmp_path / "model.nir"
    shutil.copy(DIGITS, path)
    with h5py.File(path, "r+") as file:
        edit(file)
    return path


def replace(file: h5py.File, path: str, value: object) -> None:
    del file[path]
    file[path] = value


def missing_shape(file: h5py.File) -> None:
    del file["node/nodes/input/shape"]


def nan_weight(file: h5py.File) -> None:
    weight = file["node/nodes/fc/weight"][()]
    weight[0, 0] = np.nan
    replace(file, "node/nodes/fc/weight", weight)


def unknown_type(file: h5py.File) -> None:
    replace(file, "node/nodes/lif3/type", "Transformer")


def wrong_weight_shape(file: h5py.File) -> None:
    replace(file, "node/nodes/fc/weight", np.zeros((10, 7)))


def dangling(file: h5py.File) -> None:
    edges = [*file["node/edges"][()].tolist(), [b"lif5", b"ghost"]]
    replace(file, "node/edges", np.array(edges, dtype=object))


def disconnected(file: h5py.File) -> None:
    edges = [e for e in file["node/edges"][()].tolist() if e[1] != b"conv2"]
    replace(file, "node/edges", np.array(edges, dtype=object))


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        (nan_weight, ("fc", "weight", "finite")),
        (unknown_type, ("lif3", "Transformer")),
        (wrong_weight_shape, ("fc",)),
        (dangling, ("ghost",)),
        (disconnected, ("conv2",)),
    ],
)
def test_broken_models_are_refused_by_node(
    snnc: Snnc, tmp_path: Path, edit: Callable[[h5py.File], None], parts: tuple[str, ...]
) -> None:
    model, output = edited(tmp_path, edit), tmp_path / "out.snnc"
    refused(snnc("compile", model, "--timesteps", 4, "-o", output), *parts)
    assert [p.name for p in tmp_path.iterdir()] == ["model.nir"]
    under_json = snnc("compile", model, "--timesteps", 4, "-o", output, "--json")
    assert under_json.code == 2
    assert under_json.json["schema"] == "snnc-error/1"
    assert under_json.json["problem"]
    assert snnc("check", model).code in (1, 2)


def test_a_missing_input_shape_is_inferred_and_said(snnc: Snnc, tmp_path: Path) -> None:
    found = snnc("inspect", edited(tmp_path, missing_shape))
    assert found.code == 0
    assert "missing input shape: input read as (1, 8, 8)" in found.out


def test_files_that_are_no_model_are_refused(snnc: Snnc, tmp_path: Path) -> None:
    text, cut, out = tmp_path / "text.nir", tmp_path / "cut.nir", tmp_path / "out.snnc"
    text.write_text("hello")
    cut.write_bytes(DIGITS.read_bytes()[:2000])
    for model in (text, cut):
        refused(snnc("compile", model, "--timesteps", 4, "-o", out), model.name)
        assert snnc("check", model).code == 2
        assert snnc("inspect", model).code == 2
    refused(snnc("compile", tmp_path / "absent.nir"), "no such model file")
    refused(snnc("compile", tmp_path), "a folder")
    assert not out.exists()


def test_what_the_target_cannot_do_is_refused(snnc: Snnc, tmp_path: Path) -> None:
    out = tmp_path / "out.snnc"
    words = ("compile", DIGITS, "--timesteps", 4, "-o", out)
    refused(snnc(*words, "--target", "truenorth"), "truenorth", "lif1", "leak")
    refused(snnc(*words, "--target", "toy-mesh"), "toy-mesh", "chips")
    refused(snnc(*words, "--target", "lohi1"), "did you mean", "loihi1")
    refused(snnc(*words, "--chips", 0), "--chips")
    refused(snnc(*words, "--weight-bits", 40), "--weight-bits")
    refused(snnc(*words, "--time-limit", 0), "--time-limit")
    refused(snnc(*words, "--seed", -1), "--seed")
    refused(snnc(*words, "--stop-after", "lunch"), "--stop-after", "quantize")
    refused(snnc(*words, "--dialect", "klingon"), "--dialect", "snntorch")
    refused(snnc(*words, "--dt", -1), "--dt")
    refused(snnc("compile", DIGITS, "-o", out), "--timesteps")
    assert not out.exists()


def test_an_unwritable_output_is_refused_before_any_work(
    snnc: Snnc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snnc.compiler.pipeline.Compilation.run", None)  # would fail if reached
    blocker = tmp_path / "file"
    blocker.write_text("")
    words = ("compile", DIGITS, "--timesteps", 4, "-o")
    refused(snnc(*words, tmp_path / "absent" / "o.snnc"), "does not exist", "mkdir")
    refused(snnc(*words, blocker / "o.snnc"), "not a folder")
    refused(snnc(*words, tmp_path), "is a folder")
    refused(snnc(*words, tmp_path / "o.snnc", "--build-dir", blocker / "b"), "cannot be created")


def test_a_build_folder_says_why_a_compilation_failed(snnc: Snnc, tmp_path: Path) -> None:
    words = ("compile", DIGITS, "--timesteps", 4, "--target", "truenorth")
    refused(snnc(*words, "-o", tmp_path / "o.snnc", "--build-dir", tmp_path / "b"), "truenorth")
    log = (tmp_path / "b" / "log.txt").read_text()
    assert "frontend" in log
    assert "error: " in log
    assert not (tmp_path / "o.snnc").exists()


def test_two_folders_for_the_ir_are_refused(snnc: Snnc, tmp_path: Path) -> None:
    folders = ("--dump-ir", tmp_path / "ir", "--build-dir", tmp_path / "build")
    words = ("compile", DIGITS, "--timesteps", 10, *folders, "-o", tmp_path / "o.snnc")
    refused(snnc(*words), "--dump-ir", "holds the IR of every stage already", "give one of them")
    assert list(tmp_path.iterdir()) == []


def test_configurations_that_are_none_are_refused(snnc: Snnc, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    for text, part in (
        ("{", "cannot be read"),
        ("{}", "not a configuration"),
        ('{"schema": "snnc-config/1", "options": {"colour": 1}}', "unknown option"),
        ('{"schema": "snnc-config/1", "options": {"chips": "two"}}', "not a number of chips"),
        ('{"schema": "snnc-config/1", "options": {"chips": true}}', "wrong type"),
    ):
        config.write_text(text)
        refused(snnc("compile", DIGITS, "--config", config), part)


def test_wrong_data_is_refused(snnc: Snnc, compiled: Path, tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    for arrays, parts in (
        ({"x": np.zeros((2, 6, 1, 5, 6))}, ("wrong shape", "6, 6")),
        ({"x": np.zeros((2, 3, 1, 6, 6))}, ("too few time steps",)),
        ({"x": np.full((2, 6, 1, 6, 6), 0.5)}, ("not whole events", "encode")),
        ({"x": np.full((2, 6, 1, 6, 6), 3)}, ("leave the range",)),
        ({"x": np.array([{}], object)}, ("never unpickles",)),
        ({"x": np.zeros((2, 1, 6, 6))}, ("need an encoding",)),
        ({"z": np.zeros(3)}, ("lacks data",)),
    ):
        np.savez(path, **arrays)  # type: ignore[arg-type]
        refused(snnc("run", compiled, "--input", path), *parts)
    path.write_text("hello")
    refused(snnc("run", compiled, "--input", path), "not a .npz")
    refused(snnc("run", compiled, "--input", tmp_path / "absent"), "no such file")


def test_wrong_run_options_are_refused(snnc: Snnc, compiled: Path, data: Path) -> None:
    words = ("run", compiled, "--input", data)
    refused(snnc(*words, "--backend", "abacus"), "cycle, functional, reference")
    refused(snnc(*words, "--noc", "pigeon"), "transaction, flit")
    refused(snnc(*words, "--noc", "flit", "--backend", "functional"), "only the cycle simulator")
    refused(snnc(*words, "--samples", 0), "--samples")
    refused(snnc(*words, "--compare", -1), "--compare")
    refused(snnc(*words, "--encode", "direct"), "has a time axis already")
    refused(snnc(*words, "--encode", "morse"), "unknown encoding")
    refused(snnc(*words, "--trace", data.parent / "no" / "t.npz"), "does not exist")
    refused(snnc(*words, "--nonsense"), "No such option")


def test_damaged_and_newer_artifacts_are_refused(
    snnc: Snnc, compiled: Path, data: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.snnc"
    whole = compiled.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    for words in (("report", bad), ("run", bad, "--input", data), ("verify", bad)):
        refused(snnc(*words), "truncated")
    with zipfile.ZipFile(compiled) as archive:  # a member of the program: nobody reads the report
        parts = [m for m in archive.infolist() if m.filename.startswith("arrays/")]
        part = max(parts, key=lambda m: m.compress_size)
    broken = bytearray(whole)
    broken[part.header_offset + 30 + len(part.filename) + part.compress_size // 2] ^= 255
    bad.write_bytes(broken)
    refused(snnc("run", bad, "--input", data), part.filename)
    with zipfile.ZipFile(compiled) as old, zipfile.ZipFile(bad, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "manifest.json":
                content = content.replace(b'"version":1,"snnc":"', b'"version":9,"snnc":"9.')
            new.writestr(name, content)
    refused(snnc("report", bad), "newer format", "install snnc 9.")


def test_an_internal_error_is_short_and_reportable(
    snnc: Snnc, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(path: object, **_: object) -> None:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr(api, "report", explode)
    found = snnc("report", compiled)
    assert found.code == 70
    assert "internal error" in found.err
    assert "please report it" in found.err
    assert "Traceback" not in found.err
    debug = snnc("report", compiled, "--debug")
    log = Path(next(word for word in debug.err.split() if word.endswith(".log")))
    assert "ZeroDivisionError: surprise" in log.read_text()
    log.unlink()
    under_json = snnc("report", compiled, "--json")
    assert under_json.code == 70
    assert under_json.json["error"] == "internal"


def test_names_in_a_model_cannot_steer_the_terminal(
    snnc: Snnc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename(file: h5py.File) -> None:
        file.move("node/nodes/lif1", "node/nodes/lif\x1b[2J\x9b1")

    model = edited(tmp_path, rename)
    for command in ("check", "inspect"):
        found = snnc(command, model)
        assert "lif\ufffd[2J\ufffd1" in found.out + found.err
        assert not {"\x1b", "\x9b"} & set(found.out + found.err)


def test_comparing_on_no_samples_is_refused(snnc: Snnc, compiled: Path) -> None:
    refused(snnc("verify", compiled, "--samples", 0), "--samples", "at least 1")


def test_interruption_is_not_an_error_report(
    snnc: Snnc, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(path: object, **_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "report", interrupt)
    found = snnc("report", compiled)
    assert found.code == 130
    assert "interrupted" in found.err


def test_published_historical_files_import_with_assumptions_or_are_refused(snnc: Snnc) -> None:
    for path in sorted(require_data("nir", "historical").glob("*.nir")):
        found = snnc("check", path, "--json")
        if found.code == 0:
            assert found.json["assumptions"], path.name
        elif found.code == 1:
            assert any(n["verdict"] == "refused" for n in found.json["nodes"]), path.name
        else:
            assert found.code == 2
            assert path.name in found.json["where"]
        assert found.err == ""
