"""``snnc demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snnc import api
from snnc.cli import options as opt
from snnc.cli import terminal
from snnc.results import CompileResult


def demo_command(
    samples: Annotated[
        int | None,
        typer.Option(help="Run the first so many images.", show_default="all 360"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Keep the compiled network."),
    ] = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Compile the shipped digits network and run real test images on the emulated chip."""
    from snnc.cli.views import compiling, running

    def compiled(result: CompileResult) -> None:
        stages.close()
        if not as_json:
            compiling.show(terminal.out(), result)

    with (
        compiling.Stages(show=not as_json) as stages,
        running.progress(show=not as_json) as on_progress,
    ):
        result = api.demo(
            output,
            samples=samples,
            on_stage=stages,
            on_compiled=compiled,
            on_progress=on_progress,
        )
    if as_json:
        terminal.print_json(result.as_dict())
    else:
        running.show(terminal.out(), result.run)
