"""The report of an artifact in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from snnc.reporting.mesh import PALETTE, Mesh
from snnc.reporting.numbers import bar, count, quantity, share
from snnc.reporting.phases import is_phased, show_phases
from snnc.results import Report

_CORES_SHOWN = 40


def show_report(console: Console, found: Report) -> None:
    """Print all sections."""
    report = found.report
    if is_phased(report):
        show_phases(console, found)
        return
    console.print(_summary(found))
    console.print(_layers(report))
    console.print(_resources(report))
    _show_traffic(console, report["traffic"])
    _show_map(console, report)
    console.print(_cores(report))
    for title, lines in _texts(report):
        if lines:
            console.print(Text(title, style="bold"))
            for line in lines:
                console.print(Padding(Text(line), (0, 0, 0, 2)))


def _summary(found: Report) -> Table:
    report = found.report
    net, target, schedule = report["network"], report["target"], report["schedule"]
    table = Table(
        title=f"{escape(net['name'])} on {escape(target['name'])}",
        show_header=False, title_justify="left", min_width=60,
    )  # fmt: skip
    table.add_column(style="cyan")
    table.add_column()
    width, height = target["mesh"]
    latency = ", ".join(f"{name} {ticks}" for name, ticks in schedule["latency_ticks"].items())
    used, available = target["cores_used"], target["cores_available"]
    rows = {
        "network": f"{net['populations']} populations, {net['neurons']:,} neurons, "
        f"{net['synapses']:,} stored synapses",
        "inputs": ", ".join(f"{n['name']} {tuple(n['shape'])} {n['type']}" for n in net["inputs"]),
        "cores": f"{used} of {available} on {target['chips']} chip(s), {width} x {height} routers"
        + (" on a torus with six neighbours" if target.get("links") == "hex_torus" else ""),
        "time": f"{schedule['timesteps']} steps = {schedule['ticks']} ticks per sample, "
        f"{schedule['period']} tick(s) per step",
        "latency": f"{latency} ticks from input to output",
        **_wire_codes(schedule.get("wire_codes", {})),
        "energy": _energy(report["traffic"]["energy"]),
        "placement": placement_quality(report["map"]["placement"]),
        **mapping_choices(report["map"]),
        **_conversion(report["conversion"]),
        "deadlock": f"certified free over {report['certificate']['channels']} channels",
        "snnc": _versions(found.provenance),
    }
    for label, value in rows.items():
        table.add_row(label, escape(value))
    return table


def mapping_choices(found: Mapping[str, Any]) -> dict[str, str]:
    """Chips in a long row, and what an objective and a choice of routes changed; if any."""
    return {
        **_chips(found.get("chips", {})),
        **_objective(found.get("objective", {})),
        **_routing(found.get("routing", {})),
    }


def _chips(found: Mapping[str, Any]) -> dict[str, str]:
    """A number of chips that stand nearly square, where those asked for stand in a long row."""
    better = found.get("nearly_square")
    if better is None:
        return {}
    (columns, rows), (wide, high) = found["grid"], better
    text = f"{columns} x {rows} is long: ways are shorter on {wide * high} chips, {wide} x {high}"
    return {"chips": text}


def _objective(found: Mapping[str, Any]) -> dict[str, str]:
    """The weighted terms before and after; nothing where only weighted hops counted."""
    terms = {name: row for name, row in found.get("terms", {}).items() if row["weight"]}
    if not set(terms) - {"energy"}:
        return {}
    told = [f"{row['weight']:g} x {name} {row['after']:,.6g} (from {row['before']:,.6g})"
            for name, row in terms.items()]  # fmt: skip
    total = found["total"]
    return {"objective": f"{total['after']:,.6g} (from {total['before']:,.6g}): {', '.join(told)}"}


def _routing(found: Mapping[str, Any]) -> dict[str, str]:
    """The busiest link before and after a choice of routes; nothing where there was no choice."""
    if found.get("rule", "xy") == "xy":
        return {}
    text = (
        f"{found['rule']}: busiest link {found['max_link_cycles']:,.6g} cycles per sample, "
        f"{found['max_link_cycles_xy']:,.6g} along x, then y; proven bound "
        f"{found['max_link_cycles_bound']:,.6g}"
    )
    return {"routes": f"{text}; {found['virtual_channel_classes']} class(es) of virtual channels"}


def _conversion(found: Mapping[str, Any] | None) -> dict[str, str]:
    """What became of an ANN's accuracy, as a row of the summary; none for spiking networks."""
    if found is None:
        return {}
    samples, steps = found["compared_samples"], found["timesteps"]
    if found["ann_accuracy"] is None:
        text = f"same class as the ANN on {100 * found['same_class']:.2f} % of {samples} samples"
    else:
        parts = [f"ANN {100 * found['ann_accuracy']:.2f} %",
                 f"spiking {100 * found['converted_accuracy']:.2f} %"]  # fmt: skip
        if found["integer_accuracy"] is not None:
            parts.append(f"integers {100 * found['integer_accuracy']:.2f} %")
        text = f"{', '.join(parts)} of {samples} calibration samples"
    return {"accuracy": f"{text}, {steps} steps"}


def _wire_codes(codes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Senders whose counts take more than a tick or a second axon; absent without any."""
    told = []
    for name, code in codes.items():
        extra = ["by firing again"] * code["refire"] + ["with an axon per sign"] * code["pair"]
        if code["slots"] > 1 or code["pair"]:
            told.append(" ".join([name, code["kind"], f"in {code['slots']} tick(s)", *extra]))
    return {"counts": "; ".join(told)} if told else {}


def _energy(energy: Mapping[str, Any] | None) -> str:
    """The estimate in one line."""
    if energy is None:
        return "not estimated: spike rates need --calibration"
    if energy["scope"] == "unpriced":
        return "unpriced: the target publishes no cost per event"
    rest = f" and {len(energy['unpriced'])} unpriced events" if energy["unpriced"] else ""
    return f"{quantity(energy['total_j'], 'J')}{rest} per sample, dynamic, estimated"


def placement_quality(found: Mapping[str, Any]) -> str:
    """Objective, proven bound and gap; and whether the time limit cut the search."""
    cut = "" if found["complete"] else "; cut by --time-limit, so not reproducible"
    if found.get("interrupted"):
        cut = "; cut by Ctrl-C: --placement-start goes on from here"
    return (
        f"{found['objective']:,.0f} packet hops per sample, proven bound "
        f"{found['lower_bound']:,.0f} (gap {100 * found['gap']:.0f} %){cut}"
    )


def _versions(provenance: Mapping[str, Any]) -> str:
    version = provenance["versions"]["snnc"]
    return f"{version}, seed {provenance['options']['seed']}, model {provenance['model']['name']}"


def _layers(report: Mapping[str, Any]) -> Table:
    table = Table(title="layers", title_justify="left", caption_justify="left")
    table.caption = "tick: first tick of a sample; spikes: packets per sample"
    for name in ("population", "shape"):
        table.add_column(name)
    for name in ("neurons", "synapses", "cores", "tick", "spikes"):
        table.add_column(name, justify="right")
    for row in report["layers"]:
        table.add_row(
            escape(row["name"]), " x ".join(map(str, row["shape"])), count(row["neurons"]),
            count(row["synapses"]), str(len(row["cores"])), str(row["offset"]),
            "-" if row["spikes_per_sample"] is None else f"{row['spikes_per_sample']:,.1f}",
        )  # fmt: skip
    return table


def _cores(report: Mapping[str, Any]) -> Table:
    """One row per core: what it holds and how full its fullest resource is."""
    cores = report["placement"]
    table = Table(title="core occupancy", title_justify="left")
    table.add_column("core", justify="right")
    for name in ("x,y,slot", "holds", "fullest resource", "fill"):
        table.add_column(name)
    for core in cores[:_CORES_SHOWN]:
        held = ", ".join(f"{name} {n}" for name, n in core["populations"].items())
        fills = {n: used / capacity for n, (used, capacity) in core["use"].items() if capacity}
        fullest = max(fills, key=lambda name: fills[name], default="unknown")
        fill = fills.get(fullest)
        table.add_row(
            str(core["core"]), f"{core['x']},{core['y']},{core['slot']}", escape(held), fullest,
            "" if fill is None else f"{bar(fill)} {100 * fill:3.0f} %",
        )  # fmt: skip
    if len(cores) > _CORES_SHOWN:
        table.caption = f"and {len(cores) - _CORES_SHOWN} more; all are in --json and --html"
    return table


def _resources(report: Mapping[str, Any]) -> Table:
    """Fill of every counted resource over the used cores."""
    table = Table(title="resources of the used cores", title_justify="left")
    table.add_column("resource")
    for name in ("of each core", "mean", "largest"):
        table.add_column(name, justify="right")
    for name, (_, capacity) in report["placement"][0]["use"].items():
        if capacity:
            fills = [core["use"][name][0] / capacity for core in report["placement"]]
            mean = sum(fills) / len(fills)
            table.add_row(
                name,
                count(capacity),
                f"{100 * mean:.0f} %",
                f"{bar(max(fills))} {100 * max(fills):3.0f} %",
            )
    table.caption = _storage(report["map"].get("synapse_storage", {"memory": {}}))
    table.caption_justify = "left"
    return table


def _storage(found: Mapping[str, Any]) -> str | None:
    """What choosing an encoding row by row saves; None where nothing is known or saved."""
    told = []
    for name, memory in found["memory"].items():
        used, dense = memory["used"], memory["all_dense"]
        if dense and used < dense:
            rows = ", ".join(f"{n:,} {encoding}" for encoding, n in found["rows"].items() if n)
            told.append(f"{name}: {share(1 - used / dense)} less than dense rows ({rows} rows)")
    if found.get("kernels"):
        told.append(
            f"{found['kernels']:,} kernels with {found['kernel_weights']:,} weights stand for "
            f"{found['synapses']['kernel']:,} synapses"
        )
    return "; ".join(told) or None


def _show_map(console: Console, report: Mapping[str, Any]) -> None:
    """The mesh: one cell per router, one coloured digit per core, a dot for an idle one."""
    mesh = Mesh.of(report)
    console.print(Text("placement", style="bold"), Text("(one character per core)", style="dim"))
    for y in mesh.rows:
        line = Text("  ")
        for x in mesh.columns:
            line.append("[", style="dim")
            for core in mesh.at(x, y):
                colour = "dim" if core is None else PALETTE[mesh.colour(core) % len(PALETTE)]
                line.append("." if core is None else mesh.letter(core), style=colour)
            line.append("]", style="dim")
        console.print(line)
    legend = Text("  ")
    for index, name in enumerate(mesh.names):
        legend.append(f"{Mesh.symbol(index)} = {name}  ", style=PALETTE[index % len(PALETTE)])
    console.print(legend)


def _show_traffic(console: Console, traffic: Mapping[str, Any]) -> None:
    console.print(Text("traffic and energy", style="bold"), Text(traffic["basis"], style="dim"))
    energy = traffic["energy"]
    if energy is None:
        return
    console.print(
        f"  {traffic['packets']:,.0f} packets, {traffic['hops']:,.0f} hops, "
        f"{traffic['synaptic_events']:,.0f} synaptic events per sample; "
        f"busiest channel {traffic['busiest_channel']:,.0f} packets",
        highlight=False,
    )
    table = Table(title="dynamic energy per sample, estimated", title_justify="left")
    table.add_column("event")
    for name in ("count", "energy", "evidence"):
        table.add_column(name, justify="right")
    for term in energy["terms"]:
        table.add_row(
            term["event"], count(term["count"]), quantity(term["energy_j"], "J"),
            "-" if term["energy_j"] is None else term["evidence"],
        )  # fmt: skip
    table.add_section()
    rest = f" + {len(energy['unpriced'])} unpriced" if energy["unpriced"] else ""
    table.add_row("sum", "", quantity(energy["total_j"], "J") + rest, "")
    console.print(table)


def _texts(report: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    yield "assumptions about the model", [f"{k}: {v}" for k, v in report["assumptions"].items()]
    yield "the certificate assumes", list(report["certificate"]["assumptions"])
    yield "approximations", list(report["approximations"])
    yield "unchecked: the target does not say", list(report["unchecked"])
