"""What ``snnc compile`` shows: the stages while they run, then the report."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.status import Status
from rich.table import Table

from snnc.cli import terminal
from snnc.reporting.terminal import show_report
from snnc.results import CompileResult, Report


class Stages:
    """Shows the running stage on stderr until its block ends; silent where nobody looks."""

    def __init__(self, *, show: bool) -> None:
        console = terminal.err()
        self._status: Status | None = None
        self._shown = 0.0
        if show and console.is_terminal:
            self._status = console.status("starting")
            self._status.start()

    def __call__(self, stage: str, seconds: float | None) -> None:
        """Called by the pipeline at a stage's start and end."""
        if self._status is None:
            return
        if seconds is None:
            self._status.update(stage)
        else:
            self._status.console.print(f"[dim]{stage:<12}{seconds:7.2f} s[/dim]")

    def placing(self, share: float, hops: float) -> None:
        """Called by the placement search: a bar beside the running stage, at most 10 per second."""
        now = time.monotonic()
        if self._status is None or now - self._shown < 0.1:
            return
        self._shown = now
        line = Table.grid(padding=(0, 1))
        text = f"placing {hops:,.0f} packet hops; Ctrl-C takes the best so far"
        line.add_row(ProgressBar(total=1.0, completed=share, width=30), text)
        self._status.update(line)

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the status line, which gives the terminal its cursor back."""
        if self._status is not None:
            self._status.stop()


def show(console: Console, result: CompileResult) -> None:
    """Print the outcome: report, notes, file."""
    if result.deployment is None:
        console.print(f"stopped after {result.stopped_after}; no artifact")
        return
    name = "" if result.artifact is None else result.artifact.name
    report = Report(name, result.deployment.report, result.deployment.provenance)
    show_report(console, report)
    for note in result.notes:
        console.print(f"calibration: {note}", style="yellow", markup=False, highlight=False)
    seconds = sum(result.seconds.values())
    if result.artifact is not None:
        size = result.artifact.stat().st_size
        console.print(f"wrote [bold]{result.artifact}[/bold], {size / 1e6:.2f} MB, {seconds:.2f} s")
