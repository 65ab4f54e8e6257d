"""Reports of machines that say less about themselves than the shipped ones."""

from __future__ import annotations

import copy
import io
from pathlib import Path

from rich.console import Console

from snnc import api
from snnc.reporting.html import render
from snnc.reporting.terminal import show_report
from snnc.results import Report


def shown(report: Report) -> str:
    console = Console(file=io.StringIO(), width=80)
    show_report(console, report)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_machine_without_known_capacities_has_a_report(compiled: Path) -> None:
    found = api.report(compiled)
    report = copy.deepcopy(dict(found.report))
    for core in report["placement"]:
        core["use"] = {name: [used, 0] for name, (used, _) in core["use"].items()}
    bare = Report(found.artifact, report, found.provenance)
    assert "unknown" in shown(bare)
    assert "<svg" in render(bare)


def test_an_energy_nobody_published_is_called_unpriced(compiled: Path) -> None:
    found = api.report(compiled)
    report = copy.deepcopy(dict(found.report))
    energy = report["traffic"]["energy"]
    energy |= {"scope": "unpriced", "total_j": None}
    energy["unpriced"] = [term["event"] for term in energy["terms"]]
    for term in energy["terms"]:
        term["energy_j"] = None
    text = shown(Report(found.artifact, report, found.provenance))
    assert "unpriced: the target publishes no cost per event" in text
    assert " J" not in text


def test_a_report_fits_a_terminal_of_80_columns(compiled: Path) -> None:
    text = shown(api.report(compiled))
    assert max(map(len, text.splitlines())) <= 80
    order = ["energy", "layers", "resources of the used cores", "placement (", "core occupancy"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
