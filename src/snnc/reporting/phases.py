"""The report of a program of several phases in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from snnc.reporting.numbers import quantity
from snnc.results import Report

SCHEMA = "snnc-phased-report/1"


def is_phased(report: Mapping[str, Any]) -> bool:
    """Whether a report is of several phases."""
    return report.get("schema") == SCHEMA


def show_phases(console: Console, found: Report) -> None:
    """Print the summary, a row per phase, and what is assumed."""
    report = found.report
    table = Table(
        title=f"{escape(report['network']['name'])} on {escape(report['target']['name'])}, "
        f"{len(report['phases'])} phases",
        show_header=False, title_justify="left", min_width=60,
    )  # fmt: skip
    table.add_column(style="cyan")
    table.add_column()
    for label, value in _summary(report):
        table.add_row(label, escape(value))
    console.print(table)
    console.print(_phases(report))
    console.print(_batches(report["cost"]))
    for title, lines in (
        ("assumptions", [f"{k}: {v}" for k, v in report["assumptions"].items()]),
        ("approximations", report["approximations"]),
        ("unchecked: the target does not say", report["unchecked"]),
    ):
        if lines:
            console.print(Text(title, style="bold"))
            for line in lines:
                console.print(Padding(Text(line), (0, 0, 0, 2)))
    console.print("one phase with its cores, placement and traffic: --phase K", style="dim")


def _summary(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    net, target, plan, cost = (report[n] for n in ("network", "target", "plan", "cost"))
    yield "network", f"{net['populations']} populations, {net['neurons']:,} neurons"
    yield (
        "machine",
        f"{target['cores_available']} cores on {target['chips']} chip(s); the network needs at "
        f"least {plan['cores_lower_bound']} ({plan['bound_by']})",
    )
    proven = plan["fewest"] == "proven"
    yield (
        "phases",
        f"{plan['phases']}, at least {plan['phases_lower_bound']} are needed"
        + (": the fewest" if proven else ""),
    )
    yield "time", f"{report['timesteps']} steps = {cost['ticks_per_sample']} ticks in all phases"
    yield "loading", f"{_load(cost['reload'])} for all phases; {cost['reload_basis']}"
    buffer = cost["buffer_bytes_per_sample"]
    yield (
        "buffer",
        f"{_bytes(buffer['any_spikes'])} on the host per sample, whatever the spikes"
        + ("" if buffer["expected"] == buffer["any_spikes"]
           else f"; {_bytes(buffer['expected'])} expected"),
    )  # fmt: skip
    for loop in cost["loops"]:
        first, last = loop["phases"]
        yield (
            f"loop {first}-{last}",
            f"phases take turns, {loop['block_steps']} step(s) at a time, {loop['turns']} times: "
            f"{_bytes(loop['reload_bytes'])} loaded, {_bytes(loop['state_bytes_per_sample'])} of "
            "state saved and loaded per sample",
        )
    other = cost["step_by_step"]
    yield (
        "step by step",
        f"would load {_bytes(other['reload_bytes_per_sample'])} per sample, and save "
        f"{_bytes(other['state_bytes_per_sample'])} of state at every change of phase",
    )
    yield "plan", f"{plan['solver']} for the sizes measured; bytes by {plan['basis']}"


def _phases(report: Mapping[str, Any]) -> Table:
    table = Table(title="phases", title_justify="left", caption_justify="left")
    table.caption = "in, out: spikes played in by the host, and kept for later phases"
    table.add_column("", justify="right")
    table.add_column("populations")
    for name in ("cores", "ticks", "load", "in", "out"):
        table.add_column(name, justify="right")
    for number, row in enumerate(report["phases"]):
        table.add_row(
            str(number + 1), escape(", ".join(map(_member, row["members"]))), str(row["cores"]),
            str(row["ticks"]), _bytes(row["reload"]["bytes"]), _bytes(row["reads"]["bytes"]),
            _bytes(row["writes"]["bytes"]),
        )  # fmt: skip
    return table


def _member(member: Mapping[str, Any]) -> str:
    neurons = member["neurons"]
    part = "" if neurons is None else f"[{neurons[0]}:{neurons[1]}]"
    return f"{member['population']}{part}{' (again)' if member['again'] else ''}"


def _batches(cost: Mapping[str, Any]) -> Table:
    """What batches save: all samples of one go through a phase before the next is loaded."""
    table = Table(title="bytes moved per sample", title_justify="left")
    for name in ("samples in a batch", "loading, spikes, states"):
        table.add_column(name, justify="right")
    for row in cost["by_batch"]:
        table.add_row(str(row["batch"]), _bytes(row["moved_bytes_per_sample"]))
    return table


def _load(cost: Mapping[str, Any]) -> str:
    told = [_bytes(cost["bytes"])]
    told += [quantity(cost[name], unit) for name, unit in (("seconds", "s"), ("joules", "J"))
             if cost[name] is not None]  # fmt: skip
    unpriced = f" ({' and '.join(cost['unpriced'])} unpriced)" if cost["unpriced"] else ""
    return ", ".join(told) + unpriced


def _bytes(count: int) -> str:
    return quantity(count, "B")
