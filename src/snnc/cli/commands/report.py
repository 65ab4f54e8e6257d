"""``snnc report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snnc import api
from snnc.cli import options as opt
from snnc.cli import terminal

Html = Annotated[
    Path | None, typer.Option(help="Write the report as one self-contained HTML file.")
]
Phase = Annotated[
    int | None,
    typer.Option(help="Show one phase of a program of several, counted from 1."),
]


def report_command(
    artifact: opt.Artifact,
    html: Html = None,
    phase: Phase = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Show placement, occupancy, traffic, latency, energy estimate and certificate."""
    result = api.report(artifact, phase=phase)
    if html is not None:
        from snnc.ir.atomic import check_separate
        from snnc.reporting.html import write_html

        check_separate(html, artifact)
        write_html(result, html)
    if as_json:
        terminal.print_json(result.as_dict())
    elif html is None:
        from snnc.reporting.terminal import show_report

        show_report(terminal.out(), result)
    else:
        terminal.out().print(f"wrote {html}")
