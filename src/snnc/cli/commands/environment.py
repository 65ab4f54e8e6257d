"""``snnc doctor`` and ``snnc setup``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from snnc import api
from snnc.cli import options as opt
from snnc.cli import terminal


def doctor_command(as_json: opt.Json = False, debug: opt.Debug = False) -> None:
    """Show what is installed, what is missing and why.

    Exit code 1 when something that snnc needs is missing.
    """
    result = api.doctor()
    if as_json:
        terminal.print_json(result.as_dict())
    else:
        table = Table(title="this installation", title_justify="left")
        for name in ("what", "state", "detail"):
            table.add_column(name)
        for finding in result.findings:
            bad = "bold red" if finding.needed or finding.state == "broken" else "yellow"
            style = "green" if finding.state == "present" else bad
            state = Text(finding.state, style=style)
            table.add_row(finding.name, state, Text(finding.detail))
        terminal.out().print(table)
    if not result.ok:
        raise typer.Exit(terminal.NO)


def setup_command(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="What to set up: lava.")],
    folder: Annotated[
        Path | None,
        typer.Option(help="Where.", show_default="$XDG_DATA_HOME/snnc/lava or ~/.local/share/..."),
    ] = None,
    as_json: opt.Json = False,
    debug: opt.Debug = False,
) -> None:
    """Make an environment for something that cannot live in snnc's own, and say what is done.

    lava: Python's venv with NumPy, SciPy and lava-nc 0.10.0, whose metadata refuse newer Pythons.
    """
    console = terminal.err() if as_json else terminal.out()

    def show(command: str) -> None:
        console.print(f"$ {command}", markup=False, highlight=False, soft_wrap=True)

    result = api.setup(what, folder, on_command=show)
    if as_json:
        terminal.print_json(result.as_dict())
        return
    console.print(
        f"works: lava-nc {result.versions['lava']} on Python {result.versions['python']}, "
        f"NumPy {result.versions['numpy']}, SciPy {result.versions['scipy']}",
        markup=False,
        highlight=False,
    )
    console.print(f"interpreter: {result.python}", markup=False, highlight=False, soft_wrap=True)
    if folder is not None:
        console.print(
            f"to use it: export SNNC_LAVA_PYTHON={result.python}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
