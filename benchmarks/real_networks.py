"""Image networks of published shapes on several chips: our cores beside a manual mapping's.

The networks of ``real_network_shapes.py`` with random weights, for images of ``--size`` pixels and
``--width`` times the published channels, are mapped onto the fewest chips that hold our cores.
PilotNet with Intel's published weights follows, where the shared data hold it, beside the cores
that Intel's compiler gave it.  From 50 million synapses on rows share their shapes.  ImageNet
shapes at full width (``--size 224 --width 1 --classes 1000``) have billions of synapses and tens of
thousands of cores; ``--partition-only`` stops when the cores are known, without hops and links;
``--no-tables`` places and routes them, but does not fill the memories of the cores.

*Manual* is what papers compare with: every layer alone on its own cores, whole output channels per
core, equally many on each, on the fewest cores that fit; where one channel fits no core, every
channel is cut into equal bands of rows (then columns).  Layers are cut from the last to the first,
so that the output axons towards the next layers are known.  It is measured by the meter that
measures ours, slot orders and encodings chosen as for ours.  Where neurons need an output axon per
core they reach (Loihi 1), whole channels reach every core of the next layer, which asks for more
cores there, and so on backwards.  *Lenient* is the manual mapping that may break this one limit: no
mapping for the machine, but closer to what papers count.

- unshared: clusters of ours, that is its cores if no two layers shared one.
- saving: cores that ours does without, in % of manual; lenient saving: in % of lenient.
- memory: synapse memory used / its capacity on the used cores, in %; points: the difference.
- bound: no partition uses fewer cores; gap in % of ours; possible: the saving with so few cores.
- axons: input axons of all cores, a row each, in millions; of manual's cores likewise.
- hops, link: weighted hops and packets of the busiest link, one packet per neuron and sample.
- hop bound, hop gap: no placement of these cores has fewer weighted hops; gap in % of ours.
- CPU s: expansion to routes, without the manual mapping; GB: peak of the process, all included.
- chips: the fewest, or up to a fifth more where only they form a rectangle less than twice as long
  as wide: on a row of chips hops are many.

Of Loihi 2 no memory layout is public.  Our description counts the bits of the weights alone, 6
bytes of state per neuron and no axons: lower bounds.  But we expand convolutions, and
Intel's compiler stores kernels (81 synapses on a core of PilotNet's first convolution).  So the two
numbers for PilotNet are of different machines.  ``loihi2-conv`` stores kernels too, in a layout
that is assumed.  Loihi 1's limits are those of public tools.

    python benchmarks/real_networks.py [--targets loihi1,loihi2] [--size 32] [--width 0.125]
    python benchmarks/real_networks.py --targets loihi2 --size 224 --width 1 --classes 1000 \\
        --networks sew,sew34,sew50,ms,vgg,mobilenet,transformer --partition-only
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from real_network_shapes import NETWORKS, build

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.paths import shared_data

from snnc.backends.targets import load
from snnc.compiler.chip_count import chips_for
from snnc.compiler.frontends import netx
from snnc.compiler.legalize import legalize
from snnc.compiler.map import MapOptions, map_network, place_and_route
from snnc.compiler.mapping_report import traffic_report
from snnc.compiler.partition import Partition, partition
from snnc.compiler.partition.bounds import core_bound
from snnc.compiler.partition.kernels import counts_of_cores
from snnc.compiler.partition.limits import Limits
from snnc.compiler.partition.meter import Meter
from snnc.compiler.partition.select import neuron_reach, output_limit, pairs_sent
from snnc.compiler.partition.tally import cut
from snnc.compiler.partition.tiling import Tiling, block_label, measure
from snnc.compiler.partition.wiring import Wiring, wire
from snnc.compiler.place import sites_of
from snnc.compiler.reach import traffic_of
from snnc.compiler.retime import Retiming, retime
from snnc.compiler.wire import wire_codes
from snnc.ir.arrays import IntArray, Shape, size_of
from snnc.ir.deployment import SourceSpace
from snnc.ir.errors import SnncError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.shared_expansion import AnyExpansion, expand_large
from snnc.ir.target import Target
from snnc.ir.topology import mesh_of

PAPER = (
    "Yang et al., TETCI 2024, on their machine: saved 22.25 / 17.77 / 14.80 % of the cores, gained"
    " 9.44 / 7.96 / 5.16 points of memory"
)
TIMESTEPS = 4
PLACING_S = 600.0
PILOTNET = ("lava_dl", "pilotnet_lif", "network.net")
VENDOR = {"values": 74, "spikes": 61}
"""Cores Intel's compiler used for PilotNet, with and without its input layer's 13
(lava-dl, tutorials/lava/lib/dl/netx/pilotnet_snn/benchmark.ipynb @ 6b752b7f)."""
COLUMNS = (
    "network", "neurons", "synapses", "chips", "cores", "unshared", "manual", "saving %",
    "lenient", "lenient saving %", "memory %", "manual memory %", "points", "lenient points",
    "bound", "gap %", "possible %", "axons M", "manual axons M", "hops",
    "hop bound", "hop gap %", "link", "CPU s", "GB",
)  # fmt: skip


def equal_cuts(shape: Shape) -> list[Shape]:
    """Blocks per axis, few first: whole channels, then single channels cut into bands."""
    first = [(n, *(1 for _ in shape[1:])) for n in useful(shape[0])]
    if len(shape) < 2:
        return first
    rows = [(shape[0], n, *(1 for _ in shape[2:])) for n in useful(shape[1])[1:]]
    columns = [(*shape[:-1], n) for n in useful(shape[-1])[1:]] if len(shape) > 2 else []
    return first + rows + columns


def useful(extent: int) -> list[int]:
    """Numbers of blocks that give different largest blocks."""
    return sorted({-(-extent // most) for most in range(1, extent + 1)})


def manual(meter: Meter, lenient: bool) -> list[Tiling]:
    """The manual mapping, last layer first; a lenient one ignores output axons and targets.

    Raises:
        LookupError: no equal cut of a layer fits.
    """
    done: list[Tiling] = []
    for population in reversed(range(len(meter.wiring.populations))):
        done.append(layer_alone(meter, population, [] if lenient else done))
    return done


def layer_alone(meter: Meter, population: int, consumers: list[Tiling]) -> Tiling:
    """The first equal cut that fits, and that reaches no more cores than its neurons may."""
    node = meter.wiring.populations[population]
    shape = node.shape or (1,)
    least, _ = core_bound(meter, range(population, population + 1))
    targets = sum(neuron_reach(meter, population, c) for c in consumers)
    most = meter.limits.target.core.max_targets_per_neuron
    if most is not None and np.max(targets, initial=0) > most:
        raise LookupError(f"{node.name}: a neuron reaches more cores than it has targets")
    for blocks in equal_cuts(shape):
        label = block_label(shape, blocks)
        if size_of(blocks) < least or meter.hopeless(population, label, size_of(blocks)):
            continue
        tiling = measure(meter, population, blocks, label)
        room = output_limit(meter, tiling.counts)
        sent: IntArray = np.zeros(tiling.clusters, np.int64)
        sent = sum((pairs_sent(meter, tiling, c) for c in consumers), sent)
        if meter.limits.fits(tiling.counts).all() and (room is None or (sent <= room).all()):
            return tiling
    raise LookupError(f"{node.name}: no equal cut fits")


def memory_of(meter: Meter, tilings: list[Tiling]) -> float:
    """Share of the synapse memory of the used cores that is used."""
    (wall,) = (w for w in meter.limits.walls if w.name == "synapse_mem")
    used = sum(int(meter.limits.use(wall, t.counts).sum()) for t in tilings)
    return used / wall.capacity / sum(t.clusters for t in tilings)


def wiring_of(network: IntegerNetwork, parts: AnyExpansion, retiming: Retiming) -> Wiring:
    """As ``map_network`` makes it."""
    pairs = {name for name, code in retiming.schedule.codes.items() if code.pair}
    return wire(parts, SourceSpace.of(network), retiming.extra_delay, None, pairs)


def axons_of(meter: Meter, division: Partition) -> float:
    """Input axons of all cores in millions; of a source that two layers of a core hear, two."""
    total, first = 0, 0
    for fanin, node in zip(meter.wiring.fanin, meter.wiring.populations, strict=True):
        core = division.core[first : first + node.size]
        (pieces,) = cut(fanin, core, division.cores, np.arange(node.size)[None])
        total += int(pieces.per_cluster(division.cores).sum())
        first += node.size
    return total / 1e6


def memory_of_cores(meter: Meter, division: Partition) -> float:
    """Share of the synapse memory of the used cores, where no limit looks at single rows.

    Raises:
        LookupError: the memory depends on how rows are encoded.
    """
    (wall,) = (w for w in meter.limits.walls if w.name == "synapse_mem")
    if wall.per_axon:
        raise LookupError("rows must be encoded to know the memory: leave --partition-only out")
    neurons = np.bincount(division.core, minlength=division.cores)
    bits = np.zeros(division.cores, np.int64)
    sizes = [p.size for p in meter.wiring.populations]
    np.maximum.at(bits, division.core, np.repeat(meter.bits, sizes))
    counts = {
        "n_neurons": neurons,
        "n_synapses": np.bincount(division.core, weights=meter.fan_in).astype(np.int64),
        "weight_bits": bits,
    }
    if meter.limits.target.core.stores_kernels:
        counts |= counts_of_cores(meter, division.core, division.cores)
    return float(meter.limits.use(wall, counts).sum()) / wall.capacity / division.cores


def without_tables(
    wiring: Wiring, division: Partition, target: Target, options: MapOptions
) -> dict[str, Any]:
    """Cores placed and nets routed, as ``map_network`` does it; its report of them."""
    chips = chips_for(division.cores, target)
    mesh = mesh_of(target, chips)
    flow = traffic_of(wiring, division, target.noc.multicast)
    done = place_and_route(flow, sites_of(target, mesh), target, mesh, options)
    return {
        "partition": division.report,
        "cores_used": division.cores,
        "traffic": traffic_report(flow, done.routing, mesh),
        "placement": {
            "complete": done.placement.complete,
            "lower_bound": done.placement.bound,
            "gap": done.placement.gap,
        },
    }


def compared(network: IntegerNetwork, target: Target, as_read: bool, stop: str) -> dict[str, Any]:
    """One row, by ``COLUMNS``; what does not fit says so.

    Args:
        as_read: the network consists of populations and synapses already, and need not be one
            whose neurons the target is known to compute.
        stop: "partition": nothing is placed and routed; "tables": cores' memories are not filled;
            "": nothing is left out.
    """
    started = time.process_time()
    legal = network if as_read else legalize(network, target)
    parts = expand_large(legal, kernels=target.core.stores_kernels)
    codes = wire_codes(legal, target)
    retiming = retime(legal, target, TIMESTEPS, expansion=parts, codes=codes)
    seconds = time.process_time() - started
    meter = Meter(wiring_of(legal, parts, retiming), Limits.of(target))
    row: dict[str, Any] = {
        "network": network.name,
        "neurons": sum(p.size for p in parts.populations),
        "synapses": sum(f.synapses for f in meter.wiring.fanin),
    }
    for name, lenient in (("manual", False), ("lenient", True)):
        try:
            tilings = manual(meter, lenient)
        except LookupError as error:
            row["note"] = f"{name}: {error}"
            continue
        row[name] = sum(t.clusters for t in tilings)
        row[f"{name} memory %"] = 100 * memory_of(meter, tilings)
        row[f"{name} axons M"] = sum(int(t.counts["n_axons_in"].sum()) for t in tilings) / 1e6
        del tilings
    most = int(target.topology.max_chips.v or 1)
    begun = time.process_time()
    division = partition(meter, most)
    row["chips"] = chips_for(division.cores, target)
    partitioning = time.process_time() - begun
    seconds += partitioning
    row["axons M"] = axons_of(meter, division)
    begun = time.process_time()
    options = MapOptions(time_limit_s=PLACING_S)
    if stop:
        report: dict[str, Any] = {"partition": division.report, "cores_used": division.cores}
        if stop == "tables":
            report = without_tables(meter.wiring, division, target, options)
        row["CPU s"] = seconds + time.process_time() - begun
        row["memory %"] = 100 * memory_of_cores(meter, division)
    else:
        seconds -= partitioning  # the mapper does it again
        del meter, division
        begun = time.process_time()
        report = map_network(legal, retiming, target, row["chips"], None, options, parts).report
        row["CPU s"] = seconds + time.process_time() - begun
        used = np.array([core["use"]["synapse_mem"] for core in report["cores"]])
        row["memory %"] = 100 * used[:, 0].sum() / used[:, 1].sum()
    if "traffic" in report:
        row["hops"] = report["traffic"]["weighted_hops"]
        row["hop bound"] = report["placement"]["lower_bound"]
        row["hop gap %"] = 100 * report["placement"]["gap"]
        row["link"] = report["traffic"]["max_channel_load"]
        if not report["placement"]["complete"]:
            row["note"] = "placement cut by its time limit"
    cores = row["cores"] = report["cores_used"]
    row["unshared"] = report["partition"]["clusters"]
    row["bound"] = report["partition"]["cores_lower_bound"]
    row["gap %"] = 100 * (cores - row["bound"]) / cores
    if "manual" in row:
        row["possible %"] = 100 * (1 - row["bound"] / row["manual"])
    for name, prefix in (("manual", ""), ("lenient", "lenient ")):
        if name in row:
            row[f"{prefix}saving %"] = 100 * (row[name] - cores) / row[name]
            row[f"{prefix}points"] = row["memory %"] - row[f"{name} memory %"]
    return row


def child(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one network in this process."""
    given = name.startswith("pilotnet-")
    if given:
        layer: Any = name.removeprefix("pilotnet-")
        base = shared_data()
        assert base is not None, "the parent looked"
        network = netx.read(base.joinpath(*PILOTNET), netx.NetxOptions(layer))
    else:
        network = build(name, arguments.size, arguments.width, arguments.classes)
    try:
        stop = "partition" if arguments.partition_only else "tables" * arguments.no_tables
        row = compared(network, load(arguments.targets), given, stop)
    except (SnncError, LookupError) as error:
        return {"network": network.name, "note": str(error)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return row | {"GB": peak * 1024 / 1e9}


def measured(name: str, target: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The row of a network, from a process of its own."""
    command = [sys.executable, __file__, "--child", name, "--targets", target]
    for option in ("size", "width", "classes"):
        command += [f"--{option}", str(getattr(arguments, option))]
    command += ["--partition-only"] * arguments.partition_only
    command += ["--no-tables"] * arguments.no_tables
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=arguments.limit_s
        )
    except subprocess.TimeoutExpired:
        return {"network": name, "note": f"more than {arguments.limit_s:g} s"}
    if done.returncode:
        return {"network": name, "note": done.stderr.strip()[-300:]}
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def show(row: dict[str, Any]) -> None:
    """A line of the table, and what there is to say."""
    cells = [cell(row.get(name, "-")) for name in COLUMNS]
    print(f"| {' | '.join(cells)} |", flush=True)
    if "note" in row:
        print(f"<!-- {row['network']}: {row['note']} -->", flush=True)


def cell(value: Any) -> str:
    """A number of the table."""
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def heading(target: str) -> None:
    """The first lines of a table."""
    print(f"\n{target}\n\n| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")


def main() -> None:
    """Print one table per target, then PilotNet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", default="loihi1,loihi2")
    parser.add_argument("--networks", default=",".join((*NETWORKS, "pilotnet")))
    parser.add_argument("--size", type=int, default=32, help="pixels along an edge")
    parser.add_argument("--width", type=float, default=0.125, help="share of the channels")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--limit-s", type=float, default=1800, help="longest run of a network")
    parser.add_argument("--partition-only", action="store_true", help="count cores, no places")
    parser.add_argument("--no-tables", action="store_true", help="place and route, no tables")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(child(arguments.child, arguments)))
        return
    names = arguments.networks.split(",")
    print(PAPER)
    built = [name for name in names if name != "pilotnet"]
    for target in arguments.targets.split(",") if built else ():
        heading(f"{target}, {arguments.size} x {arguments.size} pixels, width {arguments.width:g}")
        for name in built:
            show(measured(name, target, arguments))
    if "pilotnet" in names:
        pilotnet(arguments)


def pilotnet(arguments: argparse.Namespace) -> None:
    """On Loihi 2 (with kernels, if asked for) beside Intel's compiler, with and without input."""
    base = shared_data()
    if base is None or not base.joinpath(*PILOTNET).exists():
        print(f"\nPilotNet left out: no {'/'.join(PILOTNET)} in the shared data (SNNC_SHARED_DATA)")
        return
    target = "loihi2-conv" if "loihi2-conv" in arguments.targets.split(",") else "loihi2"
    heading(f"{target}, PilotNet")
    for layer, cores in VENDOR.items():
        row = measured(f"pilotnet-{layer}", target, arguments)
        part = "with its input layer" if layer == "values" else "behind its input layer"
        show(row | {"network": f"PilotNet {part}"})
        print(f"<!-- Intel's compiler: {cores} cores -->", flush=True)


if __name__ == "__main__":
    main()
