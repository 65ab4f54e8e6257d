"""What ``snnc run`` and ``snnc demo`` show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from snnc.cli import shell
from snnc.ir.errors import OptionError
from snnc.reporting.numbers import quantity, share
from snnc.results import RunReport

if TYPE_CHECKING:
    from snnc.running import Backend
    from snnc.running import Progress as OnProgress

_BACKENDS = ("cycle", "functional", "reference")


def backend(name: str) -> Backend:
    """The backend of this name.

    Raises:
        OptionError: there is none.
    """
    if name not in _BACKENDS:
        raise OptionError(
            "unknown backend", where="--backend", found=name, allowed=", ".join(_BACKENDS)
        )
    return cast("Backend", name)


@contextmanager
def progress(*, show: bool) -> Iterator[OnProgress]:
    """A progress bar on stderr that appears with the first sample."""
    console = shell.err()
    bar = Progress(
        TextColumn("running samples"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (show and console.is_terminal),
    )
    task = bar.add_task("samples", total=None)

    def update(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield update
    finally:
        bar.stop()


def show(console: Console, result: RunReport) -> None:
    """Print a run: accuracy, equality, time and energy."""
    title = f"{result.samples} samples on {result.target}, {result.backend} simulator"
    table = Table(title=title, show_header=False, title_justify="left", min_width=60)
    table.add_column(style="cyan")
    table.add_column(justify="left")
    for label, value in _rows(result):
        table.add_row(label, value)
    console.print(table)
    for note in result.notes:
        console.print(f"data: {note}", style="yellow", markup=False, highlight=False)


def _rows(result: RunReport) -> Iterator[tuple[str, str]]:
    if result.correct is not None:
        yield "accuracy", f"{share(result.accuracy)}   {result.correct} of {result.samples} correct"
    for name, classes in result.predictions.items():
        shown = " ".join(map(str, classes[:20])) + (" ..." if len(classes) > 20 else "")
        yield f"classes ({name})", shown
    yield "time steps per sample", f"{result.steps}"
    yield "ticks per sample", f"{result.ticks}"
    if result.cycle is not None:
        yield from _cycle_rows(result.cycle)
    spikes = sum(result.spikes.values())
    yield "spikes", f"{spikes:,} ({spikes / result.samples:,.1f} per sample)"
    if result.compared is not None:
        c = result.compared
        style = "bold green" if not c.total else "bold red"
        yield (
            "reference",
            f"[{style}]{c.total} mismatches against the reference[/{style}]\n"
            f"{c.samples} samples, {c.spikes:,} spikes compared",
        )
    yield "simulated in", f"{result.seconds:.2f} s on this computer"


def _cycle_rows(cycle: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    timing, energy = cycle["timing"], cycle["energy"]
    if timing is not None:
        cycles, seconds = timing["cycles_per_sample"], timing["seconds_per_sample"]
        yield (
            "cycles per sample",
            f"{cycles['mean']:,.0f}   ({cycles['min']:,.0f} to {cycles['max']:,.0f}; "
            f"one cycle = {quantity(timing['cycle_s'], 's')})",
        )
        yield "time per sample", f"{quantity(seconds['mean'], 's')} on the chip"
        if timing["deadline_misses"]:
            late = (
                f"{timing['deadline_misses']:,} of {cycle['samples'] * cycle['ticks_per_sample']:,}"
            )
            yield (
                "deadline misses",
                f"[bold red]{late} ticks take longer than the chip's[/bold red]",
            )
    events = sum(cycle["events"].get(f"synapse_op_{kind}", 0) for kind in ("dense", "sparse"))
    yield "synaptic events", f"{events / cycle['samples']:,.0f} per sample"
    dynamic, static = energy["dynamic_j_per_sample"], energy["static_j_per_sample"]
    if energy["scope"] == "unpriced":
        yield "energy", "unpriced: the target publishes no cost per event"
    else:
        still = "unpriced" if static is None else quantity(static["mean"], "J")
        yield "energy per sample", f"{quantity(dynamic['mean'], 'J')} dynamic, {still} static"
    missing = sorted({e["kind"] for e in cycle["unpriced"] if e["quantity"] == "energy"})
    if missing and energy["scope"] != "unpriced":
        yield "unpriced", ", ".join(missing)
    if cycle["stray_inputs"]:
        lost = f"{cycle['stray_inputs']:,} inputs reached a neuron in a tick without update"
        yield "lost", f"[bold red]{lost}[/bold red]"
    yield "packets, hops", f"{cycle['packets']:,}, {cycle['hops']:,}"
