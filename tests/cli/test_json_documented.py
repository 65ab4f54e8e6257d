"""``docs/report.md`` lists the fields of every ``--json`` object: all of them and no others."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from support.cli import Snnc
from support.paths import ROOT

DIGITS = Path(str(files("snnc"))) / "demo_data" / "digits_cnn.nir"
PAGE = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")


def words(text: str) -> set[str]:
    """Everything in backticks, ``layers[]`` as ``layers``, ``a.b`` as ``b``."""
    return {
        word.removesuffix("[]").split(".")[-1] for word in re.findall(r"`([\w.]+(?:\[\])?)`", text)
    }


def section(title: str) -> str:
    """Text from a heading to the next."""
    return PAGE.split(f"## `{title}", 1)[1].split("\n## ", 1)[0]


def outside_parentheses(text: str) -> str:
    """A list of fields without what is said about each."""
    while re.search(r"\([^()]*\)", text):
        text = re.sub(r"\([^()]*\)", "", text)
    return text


def fields(text: str) -> set[str]:
    """The top-level fields of a section's first paragraph."""
    return words(outside_parentheses(text.strip().split("\n\n")[0]))


def listed(command: str) -> set[str]:
    """The fields of ``verify``, ``check`` or ``inspect``, which share a section."""
    text = section("snnc-verify/1").split(f"`{command}`: ", 1)[1]
    return words(outside_parentheses(re.split(r"\n`\w+`: ", text)[0]))


def test_the_fields_of_a_run_are_the_documented_ones(
    snnc: Snnc, compiled: Path, data: Path
) -> None:
    found = snnc("run", compiled, "--input", data, "--json").json
    assert set(found) - {"schema"} == fields(section("snnc-run/1"))
    known = words(section("snnc-run/1"))
    cycle: dict[str, Any] = found["cycle"]
    for record in (found["compared"], cycle, cycle["timing"], cycle["energy"]):
        assert set(record) <= known, set(record) - known


def test_the_fields_of_a_report_are_the_documented_ones(snnc: Snnc, compiled: Path) -> None:
    found = snnc("report", compiled, "--json").json
    text = section("snnc-report/1")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    top = words(" ".join(row for row in rows if "." not in row))
    assert set(found) - {"schema", "artifact"} == top
    known = words(text)
    records = [found[n] for n in ("network", "target", "schedule", "check", "traffic",
                                  "certificate", "provenance")]  # fmt: skip
    records += [found["traffic"]["energy"], found["layers"][0], found["placement"][0]]
    for record in records:
        assert set(record) <= known, set(record) - known


def test_the_fields_of_a_compilation_are_the_documented_ones(snnc: Snnc, tmp_path: Path) -> None:
    found = snnc(
        "compile", DIGITS, "--timesteps", 2, "--stop-after", "frontend", "-o",
        tmp_path / "never.snnc", "--json",
    ).json  # fmt: skip
    assert set(found) - {"schema"} == fields(section("snnc-compile/1"))


@pytest.mark.parametrize("command", ["check", "inspect"])
def test_the_fields_about_a_model_are_the_documented_ones(snnc: Snnc, command: str) -> None:
    found = snnc(command, DIGITS, "--json").json
    assert set(found) - {"schema"} == listed(command)
    assert set(found["nodes"][0]) <= words(section("snnc-verify/1"))


def test_the_fields_of_a_verification_are_the_documented_ones(snnc: Snnc, compiled: Path) -> None:
    found = snnc("verify", compiled, "--json").json
    assert set(found) - {"schema"} == listed("verify")
    assert set(found["structure"]) <= words(PAGE)
    assert set(found["equality"]) <= words(section("snnc-run/1"))


def test_the_fields_of_an_error_are_the_documented_ones(snnc: Snnc, tmp_path: Path) -> None:
    found = snnc("report", tmp_path / "absent.snnc", "--json").json
    assert set(found) - {"schema"} == fields(section("snnc-error/1"))
