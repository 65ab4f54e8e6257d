"""Routes, deadlock, router tables and injection offsets: ``python benchmarks/routing.py``.

1. Published and random deadlocks: what the certificate says, how few classes of virtual channels
   make the routes safe, and what both networks-on-chip do without and with them.
2. The busiest link under XY, YX, short trees and balanced routes, beside a proven lower bound.
3. The shipped digits network on four toy chips: cycles per sample under every routing.
4. Router tables: entries before and after minimising.
5. A torus with six neighbours (SpiNNaker): what its joined sides are worth, what is given up where
   links have no virtual channels, and tables before and after minimising.
6. Injection offsets on a machine with fixed ticks: queues and waiting without and with them.

Times are CPU seconds of this process.
"""

from __future__ import annotations

import copy
import sys
import time
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.nets import mlp
from support.noc_traffic import clockwise, machine_with
from support.routed import around_the_border, cycling, machine, moved, random_flow, saturate

import snnc
from snnc.backends.targets import load
from snnc.compiler.options import CompileOptions
from snnc.compiler.route import lanes, route
from snnc.compiler.route.certificate import certify
from snnc.compiler.route.waits import waits
from snnc.compiler.traffic import Traffic
from snnc.ir.deployment import Deployment
from snnc.ir.errors import VerificationError
from snnc.ir.target import Target
from snnc.ir.topology import Mesh, mesh_of

TIGHT = {"buffer": 1, "injection": 1, "receive": 1}


def staircase(mesh: Mesh, start: int, end: int) -> list[int]:
    """A random shortest path, the same one whenever asked for again."""
    rng = np.random.default_rng((start, end))
    (x, y), (end_x, end_y) = mesh.xy(start), mesh.xy(end)
    path = [start]
    while (x, y) != (end_x, end_y):
        if x == end_x or (y != end_y and rng.random() < 0.5):
            y += 1 if end_y > y else -1
        else:
            x += 1 if end_x > x else -1
        path.append(mesh.router(x, y))
    return path


def deadlocks() -> None:
    """Section 1."""
    print("\n1. deadlock: one place per queue, every net sends 20 packets at once")
    print(f"{'routes':34} {'certificate':>12} {'classes':>8} {'fewest':>7}  without -> with")
    ring = [0, 1, 2, 5, 8, 7, 6, 3]
    rng = np.random.default_rng(0)
    cases = {
        "ring of 4 (Dally & Seitz 1987)": machine_with(
            machine(2, 2, lanes=2, multicast=False, **TIGHT),
            {core: [3 - core] for core in range(4)}, path=clockwise,
        ),
        "ring of 8, multicast": machine_with(
            machine(3, 3, lanes=2, **TIGHT),
            {c: [ring[(k + 2) % 8], ring[(k + 4) % 8]] for k, c in enumerate(ring)},
            path=around_the_border,
        ),
        "8 x 8, random shortest paths": machine_with(
            machine(8, 8, lanes=2, multicast=False, **TIGHT),
            {c: rng.choice(64, 4, replace=False).tolist() for c in range(64)}, path=staircase,
        ),
    }  # fmt: skip
    for name, deployment in cases.items():
        routes, routers = deployment.routes, deployment.mesh.routers
        found = lanes.assign(waits(routes, routers, False), routes.nets, 2)
        assert found is not None
        safe = cycling(deployment, found.lane)
        certify(safe.routes, deployment.mesh)
        print(
            f"{name:34} {verdict(deployment):>12} {found.classes:8d} {found.fewest!s:>7}  "
            + "; ".join(
                f"{fidelity}: {ends(deployment, fidelity)} -> {ends(safe, fidelity)}"
                for fidelity in ("transaction", "flit")
            )
        )
    target = machine(2, 1, lanes=2, consumption="after_sending", **TIGHT)
    both = machine_with(target, {0: [1], 1: [0]})
    try:
        route(moved([(0, [1]), (1, [0])], 2), np.arange(2), target, mesh_of(target, 1))
        text = "granted"
    except VerificationError:
        text = "refused"
    print(
        f"{'two cores that accept after sending':34} {text:>11} {'none do':>8} {'':>7}  "
        + "; ".join(f"{f}: {ends(both, f, 20)}" for f in ("flit",))
    )


def verdict(deployment: Deployment) -> str:
    """What the certificate says of the routes as they are."""
    try:
        certify(deployment.routes, deployment.mesh)
    except VerificationError:
        return "refused"
    return "granted"


def ends(deployment: Deployment, fidelity: Any, packets: int = 20) -> str:
    """What a network-on-chip does."""
    return "ends" if saturate(deployment, fidelity, packets) else "DEADLOCK"


def flows() -> dict[str, tuple[Traffic, int, int, int]]:
    """Traffic, width, height, chips."""
    rng = np.random.default_rng(1)
    transpose = [(8 * y + x, [8 * x + y]) for y in range(8) for x in range(8) if x != y]
    near = rng.integers(-2, 3, (1024, 6)) + 16 * rng.integers(-2, 3, (1024, 6))
    local = [(k // 4, np.unique((k // 4 + row) % 256).tolist()) for k, row in enumerate(near)]
    return {
        "transpose, unicast": (moved(transpose, 64, 10.0), 8, 8, 1),
        "uniform, unicast": (random_flow(1, 64, 500, 1), 8, 8, 1),
        "uniform, up to 8 destinations": (random_flow(2, 64, 500, 8), 8, 8, 1),
        "local, up to 6 destinations": (moved(local, 256), 16, 16, 1),
        "uniform, up to 6 destinations": (random_flow(3, 1024, 20000, 6), 32, 32, 1),
        "4 chips, links 8 times slower": (random_flow(4, 256, 2000, 4), 8, 8, 4),
    }


def balance() -> None:
    """Section 2."""
    print("\n2. busiest link, cycles per sample (in brackets: hops against XY)")
    header = ("traffic", "mesh", "xy", "yx", "tree", "balanced 1", "balanced 2", "bound", "gap")
    print(("{:31}{:>8}" + "{:>9}" * 2 + "{:>16}" * 3 + "{:>9}{:>7}  CPU s").format(*header))
    for name, (flow, width, height, chips) in flows().items():
        cells, bound, hops = [], 0.0, 0.0
        for rule, classes in (("xy", 1), ("yx", 1), ("tree", 2), ("balanced", 1), ("balanced", 2)):
            target = machine(
                width, height, lanes=classes, multicast=int(np.diff(flow.dest_ptr).max()) > 1,
                chip_link_cycles=8 if chips > 1 else None,
            )  # fmt: skip
            mesh = mesh_of(target, chips)
            started = time.process_time()
            found = route(flow, np.arange(mesh.routers), target, mesh, rule)  # type: ignore[arg-type]
            seconds = time.process_time() - started
            length = float(flow.rate @ found.hops)
            hops = hops or length
            worst = found.report["max_link_cycles"]
            bound = max(bound, found.report["max_link_cycles_bound"])
            cells.append(f"{worst:,.0f}" + (f" ({length / hops:.2f})" if len(cells) > 1 else ""))
        print(
            f"{name:31}{width * chips if chips > 1 else width:>5}x{height:<2}"
            + "".join(f"{c:>9}" for c in cells[:2])
            + "".join(f"{c:>16}" for c in cells[2:])
            + f"{bound:9,.0f}{100 * (worst - bound) / worst:6.1f}%{seconds:7.1f}"
        )


def digits(options: CompileOptions, model: Path, images: Path) -> dict[str, Any]:
    """Compile, run 20 samples, compare them with the reference."""
    inputs = snnc.InputOptions(encode="direct", timesteps=10)
    compiled = snnc.compile(model, options, calibration=images, inputs=inputs)
    assert compiled.deployment is not None
    ran = snnc.run(compiled.deployment, images, samples=20, inputs=inputs, compare=20)
    assert ran.as_dict()["mismatches"] == 0
    report = compiled.deployment.report
    return {"report": report, "timing": ran.as_dict()["cycle"]["timing"]}


def on_chip(folder: Path, model: Path, images: Path) -> None:
    """Sections 3 and 5."""
    print("\n3. digits on 4 toy chips, 20 samples, 0 mismatches against the reference in each")
    for rule in ("xy", "yx", "tree", "balanced"):
        found = digits(CompileOptions(target="toy-mesh", chips=4, routing=rule), model, images)
        routing, timing = found["report"]["map"]["routing"], found["timing"]
        print(
            f"{rule:9} busiest link {routing['max_link_cycles']:8,.1f} (bound "
            f"{routing['max_link_cycles_bound']:,.1f}), {routing['virtual_channel_classes']} "
            f"class(es), {timing['cycles_per_sample']['mean']:10,.0f} cycles per sample"
        )
    print("\n6. injection offsets on the calibration data (2 samples), before -> after")
    toy = yaml.safe_load((files("snnc.backends.targets") / "toy-mesh.yaml").read_text())
    toy["execution"] = {
        **toy["execution"], "sync": "fixed_tick", "barrier_s": {},
        "tick_s": {"v": 1.0e-5, "u": "s", "ev": "assumed"},
    }  # fmt: skip
    fixed = folder / "fixed.yaml"
    fixed.write_text(yaml.safe_dump({**toy, "id": "fixed"}))
    dense = mlp((64, 256, 256, 10))
    events = folder / "events.npz"
    np.savez(events, x=(np.random.default_rng(0).random((8, 12, 64)) < 0.3).astype(np.int8))
    for name, target, chips, network in (
        ("dense, tick of 10,000 cycles", str(fixed), 4, dense),
        ("dense, barrier", "toy-mesh", 4, dense),
        ("digits, tick of 10,000 cycles", str(fixed), 4, None),
        ("digits, barrier", "toy-mesh", 4, None),
        ("digits on loihi1, barrier", "loihi1", 1, None),
    ):
        options = CompileOptions(target=target, chips=chips, offsets=True)
        if network is None:
            report = digits(options, model, images)["report"]
        else:
            compiled = snnc.compile(network, options, calibration=events)
            assert compiled.deployment is not None
            assert not snnc.run(compiled.deployment, events, compare=8).as_dict()["mismatches"]
            report = compiled.deployment.report
        effect = report["schedule"]["offsets"]["measured"]
        shown = ("peak_channel_queue", "peak_receive_queue", "stall_cycles", "cycles_per_sample")
        text = ", ".join(f"{k} {effect[k][0]:,.0f} -> {effect[k][1]:,.0f}" for k in shown)
        print(f"{name:30}{'kept' if effect['kept'] else 'dropped':8} {text}; {effect['why']}")


def tables() -> None:
    """Section 4."""
    print("\n4. router tables (1,024 entries, 32-bit keys): entries of the fullest router")
    print(f"{'nets':>7}{'mesh':>8}{'straight only':>15}{'minimised':>11}{'ratio':>7}  CPU s")
    for seed, nets, side in ((1, 200, 4), (2, 1000, 8), (3, 4000, 8), (4, 4000, 16)):
        flow = random_flow(seed, side * side, nets, 4)
        target = machine(side, side, entries=100_000)
        started = time.process_time()
        found = route(flow, np.arange(side * side), target, mesh_of(target, 1))
        seconds = time.process_time() - started
        size = found.report["tables"]
        ratio = size["largest"] / size["largest_without_minimising"]
        print(
            f"{nets:7,d}{side:>6}x{side:<2}{size['largest_without_minimising']:14,d}"
            f"{size['largest']:11,d}{ratio:7.2f}{seconds:7.1f}"
        )


def torus() -> None:
    """Section 5."""
    print(
        "\n5. spinnaker1, one core per chip and random local or uniform nets of up to 4 "
        "destinations: hops, nets\n   that do not cross the joined sides, busiest link, entries "
        "of the fullest router"
    )
    print(
        f"{'nets':>7}{'chips':>9}{'traffic':>9}{'rule':>9}{'mesh':>9}{'wanted':>9}{'safe':>9}"
        f"{'within':>8}{'cycles':>10}{'bound':>9}{'plain':>7}{'entries':>9}  CPU s"
    )
    data = load("spinnaker1").model_dump(by_alias=True)
    data["noc"]["table_entries"]["v"] = 100_000
    lanes_too = copy.deepcopy(data)
    lanes_too["noc"]["virtual_channels"]["v"] = 16
    target, wide = Target.model_validate(data), Target.model_validate(lanes_too)
    flat = load("toy-mesh")
    for seed, nets, side, local in ((1, 200, 6, False), (2, 1000, 12, False), (3, 4000, 12, True)):
        flow = random_flow(seed, side * side, nets, 4)
        if local:
            flow = near(flow, side, seed)
        router = np.arange(side * side)
        four = route(flow, router, flat_of(flat, side), mesh_of(flat_of(flat, side), 1))
        four_hops = float((four.hops * flow.rate).sum())
        for rule in ("xy", "tree", "balanced"):
            started = time.process_time()
            found = route(flow, router, target, mesh_of(target, side * side), rule)
            seconds = time.process_time() - started
            free = route(flow, router, wide, mesh_of(wide, side * side), rule)
            hops = [float((r.hops * flow.rate).sum()) for r in (free, found)]
            size = found.report["tables"]
            within = found.report["nets_by_shape"].get("unwrapped", 0)
            print(
                f"{nets:7,d}{side:>6}x{side:<2}{'local' if local else 'uniform':>9}{rule:>9}"
                f"{four_hops:9,.0f}{hops[0]:9,.0f}{hops[1]:9,.0f}{within:8,d}"
                f"{found.report['max_link_cycles']:10,.0f}"
                f"{found.report['max_link_cycles_bound']:9,.0f}"
                f"{size['largest_without_minimising']:7,d}{size['largest']:9,d}{seconds:7.1f}"
            )


def near(flow: Traffic, side: int, seed: int) -> Traffic:
    """The same nets with destinations within three rows and columns of their sender."""
    rng = np.random.default_rng(seed)
    first = np.repeat(np.maximum(flow.net_core, 0), np.diff(flow.dest_ptr))
    shift = rng.integers(-3, 4, (2, first.size))
    dest = (first % side + shift[0]) % side + (first // side + shift[1]) % side * side
    net = np.repeat(np.arange(flow.nets), np.diff(flow.dest_ptr))
    key = np.unique(net * side * side + dest)
    ptr = np.searchsorted(key // (side * side), np.arange(flow.nets + 1))
    return replace(flow, dest_ptr=ptr, dest=key % (side * side))


def flat_of(target: Target, side: int) -> Target:
    """The toy mesh at this size."""
    topology = target.topology.model_copy(
        update={"grid": (side, side), "usable_cores": side * side}
    )
    return target.model_copy(update={"topology": topology})


def main() -> None:
    """All sections."""
    import tempfile

    deadlocks()
    balance()
    tables()
    torus()
    data = files("snnc") / "demo_data"
    with (
        as_file(data / "digits_cnn.nir") as model, as_file(data / "digits_test.npz") as images,
        tempfile.TemporaryDirectory() as folder,
    ):  # fmt: skip
        on_chip(Path(folder), model, images)


if __name__ == "__main__":
    main()
