"""The report as one self-contained HTML file: no script, no external resource."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from snnc.ir.atomic import check_writable, write_bytes
from snnc.ir.errors import OptionError
from snnc.reporting import numbers, svg
from snnc.reporting.phases import is_phased
from snnc.reporting.terminal import mapping_choices, placement_quality
from snnc.results import Report


def write_html(found: Report, path: Path) -> None:
    """Write the report atomically.

    Raises:
        OutputError: the path cannot be written.
        OptionError: the report is of several phases.
    """
    check_writable(path)
    if is_phased(found.report):
        raise OptionError(
            "the page shows one phase, and the program has several",
            where="--html",
            found=f"{len(found.report['phases'])} phases",
            allowed="--phase K beside it",
        )
    write_bytes(path, render(found).encode())


def render(found: Report) -> str:
    """The HTML text."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                              lstrip_blocks=True)  # fmt: skip
    environment.filters.update(quantity=numbers.quantity, count=numbers.count, pretty=_pretty)
    text = files("snnc.reporting").joinpath("report.html.j2").read_text(encoding="utf-8")
    report = found.report
    return environment.from_string(text).render(
        report=report,
        provenance=found.provenance,
        colours=svg.colours(report),
        placement=Markup(svg.placement(report)),
        channels=Markup(svg.channels(report)),
        resources=resources(report),
        quality=placement_quality(report["map"]["placement"]),
        choices=mapping_choices(report["map"]),
    )


def resources(report: Mapping[str, Any]) -> list[str]:
    """Resources of a core that have a known capacity."""
    use = report["placement"][0]["use"]
    return [name for name, (_, capacity) in use.items() if capacity]


def _pretty(value: object) -> str:
    return json.dumps(value, indent=1)
