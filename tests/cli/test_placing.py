"""``snnc compile --pin``, ``--pins`` and ``--objective``."""

from __future__ import annotations

from pathlib import Path

from support.cli import DIGITS, Snnc, refused

from snnc.backends.targets import load
from snnc.compiler.chip_count import chips_for

NAME = "lif3"


def test_the_command_line_takes_pins_and_files_of_pins(snnc: Snnc, tmp_path: Path) -> None:
    out, file = tmp_path / "d.snnc", tmp_path / "pins.yaml"
    common = (DIGITS, "--timesteps", 4, "--target", "loihi1", "--chips", 2, "--effort", "low",
              "-o", out, "--json")  # fmt: skip
    snnc("compile", *common, "--pin", f"{NAME}@15,3")
    report = snnc("report", out, "--json").json
    assert report["provenance"]["options"]["pin"] == f"{NAME}@15,3"
    held = [core for core in report["placement"] if NAME in core["populations"]]
    assert {(core["x"], core["y"]) for core in held} == {(15, 3)}
    file.write_text(f"{NAME}: chip:1\n")
    snnc("compile", *common, "--pins", file)
    assert snnc("report", out, "--json").json["check"]["checked"]["pins"] >= 2
    file.write_text("- fc2\n")
    refused(snnc("compile", *common[:-1], "--pins", file), "not a file of pins", "conv1: 0,0")
    file.write_text("a: [b\n")
    refused(snnc("compile", *common[:-1], "--pins", file), "not a file of pins")
    refused(snnc("compile", *common[:-1], "--pin", "nobody@0,0"), "no such population")


def test_the_report_shows_the_objective(snnc: Snnc, tmp_path: Path) -> None:
    out = tmp_path / "d.snnc"
    common = (DIGITS, "--timesteps", 4, "--target", "loihi1", "--effort", "low", "-o", out)
    snnc("compile", *common, "--objective", "energy=0.01,max_link=1", "--json")
    report = snnc("report", out, "--json").json
    assert report["provenance"]["options"]["objective"] == "energy=0.01,max_link=1"
    total = report["map"]["objective"]["total"]
    assert total["after"] <= total["before"]
    page = tmp_path / "r.html"
    assert "1 x max_link" in snnc("report", out).out
    snnc("report", out, "--html", page)
    assert "Objective: " in page.read_text()
    assert "1 x max_link" in page.read_text()
    refused(snnc("compile", *common, "--objective", "speed=1"), "no such term", "worst_latency")


def test_chips_are_asked_for_by_sides_or_as_many_as_needed(snnc: Snnc, tmp_path: Path) -> None:
    out = tmp_path / "d.snnc"
    common = (DIGITS, "--timesteps", 4, "--target", "toy-mesh", "--effort", "low", "-o", out)
    text = snnc("compile", *common, "--chips", 3).out
    assert "3 x 1 is long: ways are shorter on 4 chips, 2 x 2" in text
    snnc("compile", *common, "--chips", "1x3", "--json")
    target = snnc("report", out, "--json").json["target"]
    assert (target["chips"], target["mesh"]) == (3, [4, 12])
    assert snnc("verify", out, "--json").json["ok"]
    snnc("compile", *common, "--chips", "auto", "--json")
    report = snnc("report", out, "--json").json
    assert report["target"]["chips"] == chips_for(report["target"]["cores_used"], load("toy-mesh"))
    assert report["provenance"]["options"]["chips"] == "auto"
    refused(snnc("compile", *common, "--chips", "3 by 1"), "--chips", "8x5", "auto")
