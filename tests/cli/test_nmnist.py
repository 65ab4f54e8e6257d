"""Real recordings through the whole program: the published N-MNIST network on loihi1."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import Snnc
from support.paths import require_data


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
