from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support.cli import DIGITS, Snnc, refused
from support.paths import ROOT

PAGE = (ROOT / "docs" / "inspect.md").read_text(encoding="utf-8")
IMAGES = DIGITS.with_name("digits_test.npz")


def test_a_model_is_analysed_without_data(snnc: Snnc) -> None:
    found = snnc("inspect", DIGITS, "--timesteps", 10, "--json").json["analysis"]
    assert (found["form"], found["basis"], found["timesteps"]) == ("real", "bound", 10)
    assert found["spike_driven"]
    assert not found["full_spike"]
    assert found["widths"] == []


def test_on_data_and_for_a_target(snnc: Snnc) -> None:
    found = snnc(
        "inspect", DIGITS, "--target", "loihi1", "--input", IMAGES, "--encode", "direct",
        "--timesteps", 10, "--samples", 3, "--json",
    ).json["analysis"]  # fmt: skip
    assert (found["form"], found["basis"], found["samples"]) == ("integer", "measured", 3)
    assert {w["verdict"] for w in found["widths"] if w["register"] != "value"} == {"proven"}
    with np.load(IMAGES) as images:
        pixels = images["x"][:3].sum() / 3
    first = next(row for row in found["operators"] if row["node"] == "conv1")
    assert first["operands"] == ["cnt(16)"]
    assert 0.8 * pixels * 10 * 144 < first["per_sample"] < pixels * 10 * 144  # borders read less
    assert found["energy_45nm_j"] == pytest.approx(0.9e-12 * found["ac_per_sample"])


def test_a_compiled_network_is_held_against_its_own_target(snnc: Snnc, compiled: Path) -> None:
    found = snnc("inspect", compiled, "--json").json
    assert found["analysis"]["form"] == "integer"
    assert all(w["has"] for w in found["analysis"]["widths"] if w["register"] == "state")
    shown = snnc("inspect", compiled).out
    for words in ("value types", "accumulator widths", "operations per sample", "45 nm"):
        assert words in shown


def test_the_fields_are_the_documented_ones(snnc: Snnc, compiled: Path) -> None:
    found = snnc("inspect", compiled, "--json").json["analysis"]
    table = PAGE.split("## `analysis` of", 1)[1]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert set(found) == {
        name.removesuffix("[]") for name in re.findall(r"`([^`]+)`", "".join(rows))
    }
    known = set(re.findall(r"`([a-z_0-9]+)`", table))
    for record in (found["edges"][0], found["widths"][0], found["operators"][0]):
        assert set(record) <= known


def test_what_cannot_be_quantized_is_analysed_as_it_is(snnc: Snnc) -> None:
    found = snnc("inspect", DIGITS, "--target", "truenorth", "--timesteps", 4, "--json").json
    assert found["analysis"]["form"] == "real"
    assert "not quantized for truenorth" in found["analysis"]["notes"][0]


def test_bad_options(snnc: Snnc, tmp_path: Path) -> None:
    refused(snnc("inspect", DIGITS, "--samples", 0), "--samples")
    refused(snnc("inspect", DIGITS, "--target", "nochip"), "nochip")
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 3, 7)))
    refused(snnc("inspect", DIGITS, "--input", tmp_path / "d.npz"), "shape")
