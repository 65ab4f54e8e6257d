"""What ``snnc export`` shows."""

from __future__ import annotations

from rich.console import Console

from snnc.results import ExportResult


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
