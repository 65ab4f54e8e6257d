"""What ``snnc compare`` shows."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from snnc.results import CompareReport
from snnc.simulators.compare import LayerDifference


def show(console: Console, result: CompareReport) -> None:
    """Layers, where they part, what the neuron saw there, and how the readings differ."""
    a, b = result.sides
    console.print(f"a = {a}, b = {b}", markup=False, highlight=False)
    console.print(
        f"{result.input}: {result.samples} samples of {result.steps} steps",
        markup=False, highlight=False,
    )  # fmt: skip
    console.print(_layers(result))
    _show_first(console, result)
    _show_readings(console, result)
    for side, names in zip("ab", result.unpaired, strict=True):
        if names:
            console.print(f"only in {side}: {', '.join(names)}", style="yellow", markup=False)
    if result.same_class is not None:
        console.print(f"same class: {result.same_class} of {result.samples} samples")
    if result.correct is not None:
        correct = ", ".join(f"{s} {c}" for s, c in zip("ab", result.correct, strict=True))
        console.print(f"correct: {correct} of {result.samples}")
    for note in result.notes:
        console.print(f"data: {note}", style="yellow", markup=False, highlight=False)


def _layers(result: CompareReport) -> Table:
    table = Table(title="layers", title_justify="left")
    for name in ("a", "b", "shape"):
        table.add_column(name)
    for name in ("sum a", "sum b", "differing"):
        table.add_column(name, justify="right")
    table.add_column("first at")
    for layer in result.difference.layers:
        different, output = layer.names[1] != layer.names[0], layer.kind == "output"
        table.add_row(
            escape(layer.names[0]) + (" (output)" if output else ""),
            escape(layer.names[1]) if different else "",
            " x ".join(map(str, result.shapes[layer.names[0]])),
            *(f"{total:,.6g}" if output else f"{total:,.0f}" for total in layer.totals),
            Text(f"{layer.differing:,}", style="bold red" if layer.differing else "green"),
            "" if layer.first is None else f"step {layer.first.step}, sample {layer.first.sample}",
        )
    return table


def _show_first(console: Console, result: CompareReport) -> None:
    found = result.difference.first
    if found is None:
        console.print(Text("equal: no entry differs", style="bold green"))
        return
    layer, first = found
    console.print(
        Text(f"first difference: {_where(result, layer)}", style="bold red"),
    )
    for side, value, seen in zip("ab", (first.left, first.right), result.probes, strict=True):
        seeing = "" if seen is None else f"  ({seen})"
        console.print(f"  {side}: {value:g}{seeing}", markup=False, highlight=False)


def _where(result: CompareReport, layer: LayerDifference) -> str:
    assert layer.first is not None
    neuron = ", ".join(map(str, result.place(layer.names[0], layer.first.index)))
    kind = "output " if layer.kind == "output" else ""
    return (
        f"{kind}{layer.names[0]}, step {layer.first.step}, sample {layer.first.sample}, "
        f"neuron ({neuron})"
    )


def _show_readings(console: Console, result: CompareReport) -> None:
    """Only what the two took for granted differently; a recording does not say."""
    mine, theirs = result.assumptions
    if "recorded" in {*mine, *theirs}:
        return
    rows = [
        (key, mine.get(key, ""), theirs.get(key, ""))
        for key in dict.fromkeys((*mine, *theirs))
        if mine.get(key) != theirs.get(key)
    ]
    if rows:
        table = Table(title="what the two readings assume differently", title_justify="left")
        for name in ("", "a", "b"):
            table.add_column(name)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
