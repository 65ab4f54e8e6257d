"""What ``snnc verify``, ``check`` and ``targets`` show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from snnc.results import CheckReport, Verification


def show_verification(console: Console, result: Verification) -> None:
    """Rules with the number of facts checked, then equality of the simulators."""
    table = Table(title="independent check", title_justify="left")
    table.add_column("rule")
    table.add_column("facts checked", justify="right")
    table.add_column("broken", justify="right")
    structure = result.structure
    for rule, facts in structure["checked"].items():
        broken = structure["broken"].get(rule, 0)
        style = "bold red" if broken else "green"
        table.add_row(rule, f"{facts:,}", Text(str(broken), style=style))
    console.print(table)
    for violation in structure["violations"]:
        console.print(f"  {violation}", style="red", markup=False, highlight=False)
    for line in structure["unchecked"]:
        console.print(f"  unchecked: {line}", style="yellow", markup=False, highlight=False)
    if result.equality is not None:
        e = result.equality
        console.print(f"{e.input}: {e.samples} samples of {e.steps} steps, {e.spikes:,} spikes")
        if not e.spikes:
            text = "  nothing fired, so little was compared: give typical data (--input)"
            console.print(text, style="yellow", markup=False)
        for backend, mismatches in e.mismatches.items():
            style = "bold red" if mismatches else "bold green"
            console.print(
                f"  {backend:<11}[{style}]{mismatches} mismatches against the reference[/{style}]"
            )
    console.print(
        Text("verified", style="bold green") if result.ok else Text("FAILED", style="bold red")
    )


def show_check(console: Console, result: CheckReport) -> None:
    """One row per node."""
    table = Table(title=f"{escape(result.model)} for {result.target or 'any target'}",
                  title_justify="left")  # fmt: skip
    for name in ("node", "type", "verdict", "why"):
        table.add_column(name)
    for node in result.nodes:
        style = {"ok": "green", "assumed": "yellow"}.get(node.verdict, "bold red")
        why = [node.problem] if node.problem else []
        for label, value in (("found", node.found), ("allowed", node.allowed),
                             ("what to do", node.remedy)):  # fmt: skip
            why += [f"{label}: {value}"] if value else []
        table.add_row(
            escape(node.node), node.kind, Text(node.verdict, style=style), Text("\n".join(why))
        )
    console.print(table)
    show_assumptions(console, result.assumptions)
    console.print(Text("can be compiled", style="bold green") if result.ok else
                  Text("cannot be compiled", style="bold red"))  # fmt: skip


def show_targets(console: Console, result: Mapping[str, Any], findings: Sequence[str]) -> None:
    """The list, or one target with every number, its source, and what its self-check found."""
    if "targets" in result:
        table = Table(title="targets", title_justify="left")
        for name in ("id", "name", "summary"):
            table.add_column(name)
        for row in result["targets"]:
            table.add_row(row["id"], escape(row["name"]), escape(row["summary"]))
        console.print(table)
        return
    table = Table(title=f"{escape(result['name'])} ({result['id']})", title_justify="left")
    table.add_column("field")
    table.add_column("value", justify="right")
    for name in ("unit", "evidence", "source"):
        table.add_column(name)
    for path, quantity in _quantities(result):
        value = "unknown" if quantity["v"] is None else f"{quantity['v']:,g}"
        table.add_row(path, value, quantity["u"], quantity["ev"], escape(quantity["src"]))
    console.print(table)
    console.print(escape(result["summary"]))
    for key, source in result["sources"].items():
        console.print(f"  {key}: {source['ref']}", markup=False, highlight=False)
    for finding in findings:
        console.print(f"self-check: {finding}", style="yellow", markup=False, highlight=False)
    if not findings:
        console.print(Text("self-check: sound", style="green"))


def _quantities(record: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        inner = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping) and {"v", "ev"} <= set(value):
            yield inner, value
        elif isinstance(value, Mapping):
            yield from _quantities(value, inner)


def show_assumptions(console: Console, assumptions: Mapping[str, str]) -> None:
    """What the file leaves open and the frontend decided."""
    if assumptions:
        console.print(Text("what the file does not say", style="bold"))
        for name, value in assumptions.items():
            console.print(f"  {name}: {value}", markup=False, highlight=False)
