"""``.onnx`` files on the command line: check, inspect, compile, run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from support import onnx_files as files
from support.cli import Snnc, refused


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files.write(tmp_path_factory.mktemp("onnx") / "cnn.onnx", files.cnn())


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """Images without a time axis, with the ANN's own classes as labels."""
    x = np.random.default_rng(1).random((40, 3, 6, 6))
    path = tmp_path_factory.mktemp("images") / "x.npz"
    np.savez(path, x=x, y=files.runtime(model, x).argmax(axis=1))
    return path


def test_compile_tells_what_the_conversion_cost_and_run_repeats_it(
    snnc: Snnc, model: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o.snnc"
    found = snnc("compile", model, "--calibration", images, "--timesteps", 8, "-o", out, "--json")
    assert found.code == 0, found.err
    report = found.json["report"]
    conversion = report["conversion"]
    assert conversion["timesteps"] == report["schedule"]["timesteps"] == 8
    assert conversion["ann_accuracy"] == 1.0
    assert conversion["converted_accuracy"] >= 0.7
    assert conversion["compared_samples"] == 40
    ran = snnc("run", out, "--input", images, "--backend", "functional", "--json").json
    assert ran["accuracy"] == conversion["integer_accuracy"]
    assert ran["mismatches"] == 0
    shown = snnc("report", out).out
    assert "ANN 100.00 %, spiking" in shown
    assert "40 calibration samples, 8 steps" in shown


def test_steps_default_to_sixteen_and_options_count(snnc: Snnc, model: Path, images: Path) -> None:
    words = ["compile", model, "--calibration", images, "--stop-after", "normalise", "--json"]
    assert snnc(*words).code == 0
    assert snnc(*words, "--conversion", "percentile", "--percentile", 99).code == 0
    refused(snnc(*words[:-1], "--conversion", "guess"), "--conversion")
    refused(snnc(*words[:-1], "--dialect", "sinabs"), "--dialect")


def test_check_and_inspect_need_no_data(snnc: Snnc, model: Path) -> None:
    found = snnc("check", model, "--target", "loihi1", "--json")
    assert found.code == 0
    verdicts = {row["node"]: row["verdict"] for row in found.json["nodes"]}
    assert set(verdicts) >= {"n_c1", "n_p1", "n_y"}
    assert "every threshold is shown as 1" in found.json["assumptions"]["conversion"]
    shown = snnc("inspect", model, "--json")
    assert shown.code == 0
    assert any(row["kind"] == "RealNeuron" for row in shown.json["nodes"])


def test_a_refused_model_is_shown_with_the_reason(snnc: Snnc, tmp_path: Path) -> None:
    bad = files.model([files.node("Tanh", "x", "y")], {})
    path = files.write(tmp_path / "bad.onnx", bad)
    found = snnc("check", path, "--json")
    assert found.code == 1
    (row,) = found.json["nodes"]
    assert (row["node"], row["verdict"]) == ("n_y", "refused")
    assert snnc("inspect", path, "--json").json["nodes"][0]["kind"] == "Tanh"
    refused(snnc("compile", path, "-o", tmp_path / "o.snnc"), "bad.onnx: node 'n_y' (Tanh)")
    assert not (tmp_path / "o.snnc").exists()


def test_an_ann_without_data_is_refused(snnc: Snnc, model: Path, tmp_path: Path) -> None:
    refused(snnc("compile", model, "-o", tmp_path / "o.snnc"), "cnn.onnx", "--calibration")
