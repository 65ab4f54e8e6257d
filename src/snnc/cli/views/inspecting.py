"""What ``snnc inspect`` shows: the nodes, then types, widths, operations and energy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from snnc.cli.views.verdicts import show_assumptions
from snnc.results import Inspection


def show_inspection(console: Console, result: Inspection) -> None:
    """One row per node, in execution order."""
    table = Table(title=escape(result.model), title_justify="left")
    for name in ("node", "operation", "from", "shape", "parameters"):
        table.add_column(name)
    for node in result.nodes:
        parameters = ", ".join(f"{k} {_short(v)}" for k, v in node["parameters"].items())
        table.add_row(
            escape(node["name"]), node["kind"], escape(", ".join(node["inputs"])),
            "" if node["output_shape"] is None else str(tuple(node["output_shape"])),
            Text(parameters),
        )  # fmt: skip
    console.print(table)
    show_assumptions(console, result.assumptions)
    if result.analysis is not None:
        _show_types(console, result.analysis)
        _show_widths(console, result.analysis)
        _show_operations(console, result.analysis)


def _show_types(console: Console, analysis: Mapping[str, Any]) -> None:
    table = Table(title=f"value types of the {analysis['form']} network", title_justify="left")
    for name in ("from", "to", "shape", "type"):
        table.add_column(name)
    for edge in analysis["edges"]:
        table.add_row(
            escape(edge["source"]), escape(edge["sink"]), str(tuple(edge["shape"])),
            Text(edge["type"], style="green" if edge["event"] else "yellow"),
        )  # fmt: skip
    console.print(table)
    for note in analysis["notes"]:
        console.print(f"  {note}", markup=False, highlight=False)
    if analysis["full_spike"]:
        console.print(Text("full spike: every packet and every operand is a spike or none",
                           style="bold green"))  # fmt: skip
    elif analysis["not_binary"]:
        first = analysis["not_binary"][0]
        console.print(
            f"not full spike: {len(analysis['not_binary'])} edges carry more than a spike, first "
            f"{first['source']} -> {first['sink']}: {first['type']}",
            markup=False, highlight=False,
        )  # fmt: skip


def _show_widths(console: Console, analysis: Mapping[str, Any]) -> None:
    if not analysis["widths"]:
        return
    table = Table(title="accumulator widths", title_justify="left")
    table.add_column("node")
    table.add_column("register")
    for name in ("lowest", "highest", "needs", "target has"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for width in analysis["widths"]:
        verdict = width["verdict"]
        style = {"proven": "green", "-": "dim"}.get(verdict, "yellow")
        table.add_row(
            escape(width["node"]), width["register"],
            *(_number(width[key]) for key in ("low", "high", "needs")),
            "" if width["has"] is None else str(width["has"]),
            Text(verdict, style=style),
        )  # fmt: skip
    console.print(table)


def _show_operations(console: Console, analysis: Mapping[str, Any]) -> None:
    per = "sample" if analysis["timesteps"] else "step"
    measured = analysis["basis"] == "measured"
    basis = f"mean of {analysis['samples']} samples" if measured else "at most, from the types"
    table = Table(title=f"operations per {per}, {basis}", title_justify="left")
    for name in ("node", "operation", "operands", "does"):
        table.add_column(name)
    table.add_column(f"per {per}", justify="right")
    for row in analysis["operators"]:
        multiplies = row["kind"] == "mac"
        table.add_row(
            escape(row["node"]), row["operator"], ", ".join(row["operands"]),
            Text("multiplies" if multiplies else "adds", style="yellow" if multiplies else "green"),
            _number(row["per_sample"]),
        )  # fmt: skip
    console.print(table)
    sites = analysis["mac_sites"]
    console.print(
        Text("spike-driven: no place multiplies", style="bold green") if analysis["spike_driven"]
        else Text(f"{len(sites)} place(s) multiply: {', '.join(sites)}", style="bold yellow")
    )  # fmt: skip
    joule = analysis["energy_45nm_j"]
    if joule is not None:
        additions, macs = analysis["ac_per_sample"], analysis["mac_per_sample"]
        console.print(
            f"45 nm estimate: 0.9 pJ x {additions:,.0f} AC + 4.6 pJ x {macs:,.0f} MAC = "
            f"{joule * 1e6:,.4g} µJ per {per}",
            highlight=False,
        )


def _number(value: float | None) -> str:
    return "no bound" if value is None else f"{value:,.0f}"


def _short(value: object) -> str:
    if isinstance(value, Mapping) and {"shape", "min", "max"} == set(value):
        extent = "x".join(map(str, value["shape"]))
        return f"[{extent}] {value['min']:.4g}..{value['max']:.4g}"
    if isinstance(value, Mapping):
        kept = {k: v for k, v in value.items() if k != "kind"}
        inner = ", ".join(f"{k} {_short(v)}" for k, v in kept.items())
        return f"{value.get('kind', '')}({inner})"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)
