"""What ``snnc stream`` shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from snnc.cli import terminal
from snnc.reporting.numbers import quantity, share

if TYPE_CHECKING:
    from snnc.simulators.cycle.account import Account
    from snnc.streaming import StreamReport


@contextmanager
def progress(*, show: bool) -> Iterator[Callable[[int], None]]:
    """Steps run so far, on stderr; nobody knows how many there will be."""
    console = terminal.err()
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.completed:,} steps"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not (show and console.is_terminal),
    )
    task = bar.add_task("steps", total=None)
    with bar:
        yield lambda step: bar.update(task, completed=step)


def show(console: Console, result: StreamReport) -> None:
    """Print what a stream added up to."""
    p = result.progress
    table = Table(title=f"stream on {result.target}", show_header=False, title_justify="left")
    table.add_column(style="cyan")
    table.add_column()
    table.add_row("steps", f"{p.step:,} of {result.bin_us:,} us")
    if result.resumed_at is not None:
        table.add_row("resumed", f"at step {result.resumed_at:,}")
    late = f"; {p.late:,} came too late and are left out" if p.late else ""
    table.add_row("events", f"{p.events:,}{late}")
    for name, counts in p.classes.items():
        found = ", ".join(f"{k}: {n}" for k, n in enumerate(counts) if n)
        table.add_row(
            f"windows per class ({escape(name)})",
            f"{found}\n{p.windows:,} of {result.window} steps",
        )
    for name, spikes in p.spikes.items():
        table.add_row(f"spikes ({escape(name)})", f"{spikes:,}")
    if result.chip is not None and result.chip.windows:
        _chip(table, result, result.chip)
    table.add_row("digest", p.digest[:16])
    table.add_row("simulated in", f"{result.seconds:.2f} s on this computer")
    console.print(table)


def _chip(table: Table, result: StreamReport, chip: Account) -> None:
    """Time and energy of the emulated chip."""
    told = chip.as_dict()
    seconds, joule = told["window_seconds"], told["window_dynamic_j"]
    table.add_row("ticks", f"{chip.ticks:,} in {quantity(chip.seconds, 's')} on the chip")
    recorded = quantity(result.recorded_s, "s")
    table.add_row("of real time", f"{share(result.share_of_real_time)} of the {recorded} recorded")
    table.add_row(
        "per window",
        f"min {quantity(seconds['min'], 's')}, mean {quantity(seconds['mean'], 's')}, "
        f"max {quantity(seconds['max'], 's')}",
    )
    static = "static unknown" if chip.static_j is None else f"{quantity(chip.static_j, 'J')} static"
    table.add_row("energy", f"{quantity(told['dynamic_j'], 'J')} dynamic, {static}; an estimate")
    if joule is not None:
        table.add_row(
            "per window",
            f"min {quantity(joule['min'], 'J')}, mean {quantity(joule['mean'], 'J')}, "
            f"max {quantity(joule['max'], 'J')}",
        )
    table.add_row("traffic", f"{chip.packets:,} packets, {chip.hops:,} hops")
    limits = ", ".join(f"{name} {count:,}" for name, count in chip.limits.items() if count)
    table.add_row("ticks limited by", limits)
    missing = [f"{e['kind']} ({e['quantity']})" for e in chip.unpriced]
    if missing:
        table.add_row("unpriced", ", ".join(missing))
