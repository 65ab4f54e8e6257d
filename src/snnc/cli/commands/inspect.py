"""``snnc inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snnc import api
from snnc.cli import options as opt
from snnc.cli import terminal
from snnc.cli.grouping import grouped

Inspected = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Trained network, or compiled one (.snnc).")
]
AnalysisTarget = Annotated[
    str | None,
    typer.Option(
        "--target",
        help="Hold widths against this chip's registers; a real network is quantized for it.",
    ),
]
AnalysisData = Annotated[
    Path | None,
    typer.Option(
        "--input",
        help=f"Count operations on this data: {opt.RECORDINGS}",
        show_default="upper bounds",
        rich_help_panel=opt.DATA_PANEL,
    ),
]
AnalysisSamples = Annotated[
    int,
    typer.Option(
        "--samples", help="Count on the first so many samples.", rich_help_panel=opt.DATA_PANEL
    ),
]
AnalysisSteps = Annotated[
    int | None,
    typer.Option(
        "--timesteps",
        help="Time steps per sample.",
        show_default="the data's, or one",
        rich_help_panel=opt.DATA_PANEL,
    ),
]


@grouped
def inspect_command(
    model: Inspected,
    *,
    target: AnalysisTarget = None,
    input: AnalysisData = None,
    samples: AnalysisSamples = 32,
    timesteps: AnalysisSteps = None,
    encode: opt.CalibrationEncode = None,
    bin_us: opt.CalibrationBinUs = None,
    seed: opt.EncoderSeed = 0,
    reading: opt.Reading,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Show a model's nodes, the assumptions about it, and its arithmetic.

    Value types, accumulator widths, places that multiply, operations and energy.
    Of a model that is refused, what the file holds and the reason; exit code 2.
    """
    from snnc.analysing import AnalysisOptions
    from snnc.cli.views import inspecting

    options = reading.options()
    wanted = AnalysisOptions(
        target, input, samples, timesteps, opt.input_options(encode, bin_us, None, seed)
    )
    result = api.inspect(opt.existing(model, "model file"), options, analysis=wanted)
    terminal.present(result, inspecting.show_inspection, as_json=as_json)
    if result.error is not None:
        raise typer.Exit(
            terminal.WRONG if as_json else terminal.refuse(result.error, as_json=False)
        )
