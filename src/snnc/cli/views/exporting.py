"""What ``snnc export`` shows."""

from __future__ import annotations

from rich.console import Console

from snnc.results import ExportResult, TraceResult


def show(console: Console, result: ExportResult) -> None:
    """The file, how it is to be read, and what it does not say."""
    for name, value in result.details.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        console.print(f"{name.replace('_', ' ')}: {value}", markup=False, highlight=False)
    for note in result.notes:
        console.print(f"note: {note}", style="yellow", markup=False, highlight=False)
    for loss in result.approximations:
        console.print(f"approximated: {loss}", style="bold yellow", markup=False, highlight=False)
    files = [result.path] if result.path.is_file() else list(result.path.rglob("*"))
    size = sum(file.stat().st_size for file in files)
    console.print(f"wrote [bold]{result.path}[/bold], {size / 1e6:.2f} MB")


def show_trace(console: Console, result: TraceResult) -> None:
    """The file, and how much of the trace is in it."""
    if result.left_out:
        note = f"note: {result.left_out} samples are left out: browsers open no larger files"
        console.print(note, style="yellow", markup=False, highlight=False)
    size = result.path.stat().st_size
    console.print(
        f"wrote [bold]{result.path}[/bold], {result.samples} samples, {size / 1e6:.2f} MB"
    )
