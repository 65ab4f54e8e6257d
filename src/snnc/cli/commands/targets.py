"""``snnc targets``."""

from __future__ import annotations

from typing import Annotated

import typer

from snnc import api
from snnc.cli import options as opt
from snnc.cli import terminal


def targets_command(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Show this one completely."),
    ] = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """List the chips, or show one with the source of every number."""
    from snnc.cli.views import verdicts

    result = api.targets(name)
    if as_json:
        terminal.print_json(result)
        return
    from snnc.backends.targets import check_target, load

    verdicts.show_targets(terminal.out(), result, [] if name is None else check_target(load(name)))
