"""The program ``snnc``: its commands in the order of ``snnc --help``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from snnc.cli.commands.check import check_command
from snnc.cli.commands.compare import compare_command
from snnc.cli.commands.compile import compile_command
from snnc.cli.commands.demo import demo_command
from snnc.cli.commands.environment import doctor_command, setup_command
from snnc.cli.commands.export import export_command, trace_command
from snnc.cli.commands.inspect import inspect_command
from snnc.cli.commands.report import report_command
from snnc.cli.commands.run import run_command
from snnc.cli.commands.stream import stream_command
from snnc.cli.commands.targets import targets_command
from snnc.cli.commands.verify import verify_command

app = typer.Typer(
    name="snnc",
    help="Compile trained spiking neural networks to neuromorphic chips, bit-exactly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def command() -> Any:
    """The whole command line as a Click command (of Click, or of Typer's own copy)."""
    return typer.main.get_command(app)


def _version(wanted: bool) -> None:
    if wanted:
        from snnc import __version__

        typer.echo(f"snnc {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    del version


for name, command_function in (
    ("compile", compile_command),
    ("report", report_command),
    ("run", run_command),
    ("stream", stream_command),
    ("verify", verify_command),
    ("check", check_command),
    ("inspect", inspect_command),
    ("compare", compare_command),
    ("export", export_command),
    ("trace", trace_command),
    ("targets", targets_command),
    ("doctor", doctor_command),
    ("setup", setup_command),
    ("demo", demo_command),
):
    app.command(name)(command_function)
