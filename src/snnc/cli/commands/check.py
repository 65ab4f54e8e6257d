"""``snnc check``."""

from __future__ import annotations

from typing import Annotated

import typer

from snnc import api
from snnc.cli import options as opt
from snnc.cli import terminal
from snnc.cli.grouping import grouped

CheckTarget = Annotated[
    str | None,
    typer.Option("--target", help="Also ask whether this chip's neurons can express it."),
]


@grouped
def check_command(
    model: opt.Model,
    *,
    target: CheckTarget = None,
    reading: opt.Reading,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Say node by node whether a model can be compiled.

    Exit code 0: yes; 1: a node is refused; 2: the file cannot be read.
    """
    from snnc.cli.views import verdicts

    result = api.check(opt.existing(model, "model file"), target, reading.options())
    terminal.present(result, verdicts.show_check, as_json=as_json)
    if not result.ok:
        raise typer.Exit(terminal.NO)
