"""Real recordings through the whole program: the published N-MNIST network on loihi1."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import Snnc
from support.paths import ROOT, require_data


@pytest.mark.slow
def test_the_published_network_classifies_real_recordings_on_the_chip(
    snnc: Snnc, tmp_path: Path
) -> None:
    model = require_data("nir", "cnn_sinabs.nir")
    data = require_data("nmnist", "nmnist_test100_bs2.zip")
    output = tmp_path / "nmnist.snnc"
    found = snnc(
        "compile", model, "--dialect", "nir", "--reset", "zero", "--threshold", ">",
        "--calibration", data, "--timesteps", 310, "-o", output,
    )  # fmt: skip
    assert found.code == 0, found.err
    run = snnc("run", output, "--input", data, "--compare", 1, "--json").json
    assert run["correct"] >= 99
    assert run["mismatches"] == 0
    assert run["notes"] == [
        "labels from test100.txt beside the data",
        "251 of 385596 events lie after step 310 of 1000 us and are cut",
    ]


@pytest.mark.slow
def test_its_own_reading_counts_spikes_that_binary_packets_carry(
    snnc: Snnc, tmp_path: Path
) -> None:
    """sinabs fires floor(v / threshold) spikes per step: bit planes on a binary toy-mesh."""
    model = require_data("nir", "cnn_sinabs.nir")
    data = require_data("nmnist", "nmnist_test100_bs2.zip")
    text = (ROOT / "backends" / "targets" / "toy-mesh.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("id: toy-mesh", "id: binary"), ("aliases: [toy]", "aliases: []"),
        ("payload_bits: 17", "payload_bits: 0"),
        ("  signed: true\n  codes", "  signed: false\n  codes"),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    target, output = tmp_path / "binary.yaml", tmp_path / "nmnist.snnc"
    target.write_text(text, encoding="utf-8")
    common = ("compile", model, "--target", target, "--chips", 16, "--calibration", data,
              "--timesteps", 310, "-o", output)  # fmt: skip
    refused = snnc(*common)
    assert refused.code == 2
    assert "--max-spikes" in refused.err
    assert snnc(*common, "--max-spikes", 15).code == 0
    codes = snnc("report", output, "--json").json["schedule"]["wire_codes"]
    assert {(code["kind"], code["slots"]) for name, code in codes.items() if name != "input"} == {
        ("bitplane", 4)
    }
    run = snnc("run", output, "--input", data, "--samples", 2, "--json").json
    assert (run["mismatches"], run["correct"]) == (0, 2)
