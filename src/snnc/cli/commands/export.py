"""``snnc export`` and ``snnc trace``: files for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snnc import api
from snnc.cli import options as opt
from snnc.cli import terminal
from snnc.cli.grouping import grouped

ModelOrArtifact = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Trained network, or compiled network (.snnc).")
]
To = Annotated[str, typer.Option("--to", help="Format to write: lava, netx, nir or onnx.")]
ExportOut = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File to write.", show_default="MODEL's name and suffix"),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Option of the format; nir: reader, dt, precision, approximate (docs/nir.md).",
    ),
]
RecordedTrace = Annotated[
    Path, typer.Argument(metavar="TRACE", help="Recorded by snnc run --trace FILE.h5.")
]
TraceTo = Annotated[str, typer.Option("--to", help="Format to write: perfetto.")]
TraceOut = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File to write.", show_default="TRACE's name.json"),
]


@grouped
def export_command(
    model: ModelOrArtifact,
    to: To,
    *,
    output: ExportOut = None,
    assignments: Set = None,
    reading: opt.Reading,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Write a network or a compiled program as a file of another tool.

    What the format cannot say is refused by name.
    """
    from snnc.assignments import assigned
    from snnc.cli.views import exporting
    from snnc.exporting import format_of

    form = format_of(to)
    result = api.export(
        opt.existing(model, "file"),
        to,
        output or Path(f"{model.stem}{form.suffix}"),
        assigned(form.options, assignments or (), "--set"),
        reading=reading.options(),
    )
    terminal.present(result, exporting.show, as_json=as_json)


def trace_command(
    trace: RecordedTrace,
    to: TraceTo = "perfetto",
    output: TraceOut = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Convert a recorded trace for a browser: ui.perfetto.dev or chrome://tracing."""
    from snnc.cli.views import exporting

    result = api.convert_trace(trace, to, output or trace.with_suffix(".json"))
    terminal.present(result, exporting.show_trace, as_json=as_json)
