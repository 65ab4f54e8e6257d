"""What ``snnc run`` and ``snnc demo`` show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from snnc.cli import terminal
from snnc.reporting.numbers import quantity, share
from snnc.results import RunReport

if TYPE_CHECKING:
    from snnc.running import Progress as OnProgress


@contextmanager
def progress(*, show: bool) -> Iterator[OnProgress]:
    """A progress bar on stderr that appears with the first sample."""
    console = terminal.err()
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
        of = f" (output {escape(next(iter(result.predictions)))})"
        yield (
            "accuracy" + (of if len(result.predictions) > 1 else ""),
            f"{share(result.accuracy)}   {result.correct} of {result.samples} correct",
        )
    yield _equality_row(result)
    for name, classes in result.predictions.items():
        shown = " ".join(map(str, classes[:20])) + (" ..." if len(classes) > 20 else "")
        tied = result.ties[name]
        note = f"\n{tied} samples tied: the lowest of the best classes" if tied else ""
        yield f"classes ({escape(name)})", shown + note
    if result.early_stop is not None:
        yield from _stop_rows(result.early_stop, result.steps)
    yield "time steps per sample", f"{result.steps}"
    yield "ticks per sample", f"{result.ticks}"
    if result.cycle is not None:
        yield from _cycle_rows(result.cycle)
    if result.deadline is not None:
        yield _deadline_row(result.deadline, result.samples)
    if result.phases is not None:
        yield from _phase_rows(result.phases)
    spikes = sum(result.spikes.values())
    yield "spikes per sample", f"{spikes / result.samples:,.1f}"
    yield "simulated in", f"{result.seconds:.2f} s on this computer"


def _equality_row(result: RunReport) -> tuple[str, str]:
    """Mismatches, and on how much of the run they were looked for."""
    c = result.compared
    if c is None:
        is_truth = result.backend == "reference"
        return "reference", "this is the reference" if is_truth else "not compared (--compare 0)"
    style = "bold green" if not c.total else "bold red"
    every = c.samples == result.samples
    extent = "all" if every else "the first"
    more = "" if every else f"; --compare {result.samples} compares all"
    return (
        "reference",
        f"[{style}]{c.total} mismatches against the reference[/{style}]\n"
        f"on {extent} {c.samples} of {result.samples} samples ({c.spikes:,} spikes){more}",
    )


def _stop_rows(stop: Mapping[str, Any], steps: int) -> Iterator[tuple[str, str]]:
    took = stop["steps"]
    yield (
        "early stop",
        f"after {took['mean']:.1f} of {steps} steps on average "
        f"({took['min']:.0f} to {took['max']:.0f}; {escape(stop['output'])} {stop['decoder']}, "
        f"margin {stop['margin']:g})\n{share(stop['share_saved'])} of the synaptic events saved",
    )


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
        if cycle["asynchronous"] is None:
            classes = [f"{name} {ticks:,}" for name, ticks in timing["limits"].items() if ticks]
            yield "ticks limited by", f"{', '.join(classes)}   (network-on-chip: {timing['noc']})"
        else:
            busiest = max(cycle["asynchronous"]["cores"], key=lambda core: core["busy_share"])
            yield (
                "busiest core",
                f"core {busiest['core']} ({busiest['layer']}): {busiest['busy_share']:.1%} of the "
                f"time, up to {busiest['queue_high_water']} packets waiting",
            )
        if cycle["samples"] > 1:
            yield (
                "latency",
                ", ".join(
                    f"{name} {quantity(value, 's')}" for name, value in timing["latency_s"].items()
                ),
            )
        if timing["throughput_per_s"] is not None:
            yield "throughput", f"{timing['throughput_per_s']:,.4g} samples/s, one after the other"
    yield from _trouble(cycle)
    events = sum(n for kind, n in cycle["events"].items() if kind.startswith("synapse_op_"))
    yield "synaptic events", f"{events / cycle['samples']:,.0f} per sample"
    dynamic, static = energy["dynamic_j_per_sample"], energy["static_j_per_sample"]
    if dynamic is None:
        yield "energy", "unpriced: the target publishes no cost per event"
    else:
        still = "unpriced" if static is None else quantity(static["mean"], "J")
        yield (
            "energy per sample",
            f"{quantity(dynamic['mean'], 'J')} dynamic, {still} static; an estimate",
        )
        yield from _idle_rows(energy["idle"])
        yield from _unpriced(cycle, "energy")
    if timing is not None:
        yield from _unpriced(cycle, "latency")
    packets, hops = (cycle[name] / cycle["samples"] for name in ("packets", "hops"))
    yield "traffic per sample", f"{packets:,.0f} packets, {hops:,.0f} hops"
    for note in cycle["notes"]:
        yield "note", escape(note)


def _phase_rows(phases: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What loading adds to the times and energies above, which are of the phases' own ticks."""
    reload, batch = phases["reload"], phases["batched"]
    told = f"{phases['count']}, one after the other; {quantity(reload['bytes'], 'B')} to load"
    for name, unit in (("seconds", "s"), ("joules", "J")):
        alone, shared = (p[f"{name}_per_sample"] for p in (phases["one_by_one"], batch))
        if alone is not None:
            told += (
                f"\nwith loading {quantity(alone, unit)} per sample one by one, "
                f"{quantity(shared, unit)} when {batch['batch']} share it"
            )
    if reload["unpriced"]:
        told += f"\nloading without {' and '.join(reload['unpriced'])} (unpriced)"
    yield "phases", told


def _idle_rows(idle: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """What of the dynamic energy the input causes, and what silence costs as well."""
    if idle is None:
        return
    yield (
        "of that dynamic",
        f"{quantity(idle['active_j_per_sample'], 'J')} active; {quantity(idle['dynamic_j'], 'J')} "
        f"idle, as on silence ({idle['spikes']:,} spikes)",
    )


def _deadline_row(deadline: Mapping[str, Any], samples: int) -> tuple[str, str]:
    limit = quantity(deadline["deadline_s"], "s")
    if deadline["met"]:
        return "deadline", f"[bold green]met[/bold green] ({limit}) by all {samples} samples"
    return (
        "deadline",
        f"[bold red]missed[/bold red] ({limit}) by {deadline['missed']} of {samples} samples, "
        f"first sample {deadline['first_missed']}; the slowest is "
        f"{quantity(-deadline['slack_s'], 's')} late",
    )


def _trouble(cycle: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What would make a chip compute something else; absent in every sound deployment."""
    if cycle["stray_inputs"]:
        yield "inputs lost", f"[bold red]{cycle['stray_inputs']:,}[/bold red]"
    if cycle["timing"] is not None and cycle["timing"]["deadline_misses"]:
        misses = cycle["timing"]["deadline_misses"]
        yield "deadline misses", f"[bold red]{misses:,} ticks need more time[/bold red]"


def _unpriced(cycle: Mapping[str, Any], quantity: str) -> Iterator[tuple[str, str]]:
    """Events that happened and are missing in a sum, because nobody published their cost."""
    missing = sorted({e["kind"] for e in cycle["unpriced"] if e["quantity"] == quantity})
    if missing:
        yield f"{quantity} without", ", ".join(missing) + " (unpriced)"
