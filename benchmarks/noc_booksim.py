"""Our flit-level network beside BookSim2's: ``python benchmarks/noc_booksim.py FOLDER``.

FOLDER is where BookSim2 (Stanford, BSD licence) is built, from a clone of ``--source``
(github.com/booksim/booksim2); that takes git, make, flex, bison and a C++ compiler.

8 x 8 mesh, dimension order, packets of one flit, Bernoulli arrivals; destinations uniform over all
64 nodes, the sender's own included, or transposed.  Both sides get the same numbers of virtual
channels and of places in their buffers.  A router of BookSim has a pipeline; a hop of ours takes
whole cycles that the target gives.  How many is measured in BookSim on idle meshes of two sizes
(latency = constant + cycles per hop x mean hops), and so is the constant for entering and leaving.
Nothing else is fitted: what is above the idle latency is a prediction.

Cases:

* ``speculative``: allocation of channel and switch in one cycle, so that a channel passes a flit
  per cycle as ours does.
* ``two-stage``: BookSim's default.  With one virtual channel and packets of one flit, the channel
  belongs to a packet from its allocation until its flit passes the switch a cycle later, so it
  passes one flit every second cycle; ours with ``packets_per_cycle`` 1/2.
* ``four-flit``: packets of four flits in BookSim; ours has no flits within a packet, but channels
  that are busy for four cycles per packet while its head goes on.

Latency is that of packets, from their creation on.  A curve is saturated at the first load (steps
of 0.025, or half of it) whose latency is above three times that of the idle mesh; errors
are told up to 90 % of that load.  CPU-seconds of both sides; hops are those of flits in BookSim.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from cycle_speed import mesh_nodes
from noc_fidelity import without_costs
from support.simple_mapping import Options, simple_mapping
from support.small_targets import quantity, round_costs, small_target

from snnc.ir.deployment import Deployment
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Linear
from snnc.ir.target import Cost
from snnc.ir.weights import Dense
from snnc.simulators.cycle import ends, flit, flit_tables, noc_tables

SIDE = 8
NODES = SIDE * SIDE
LOADS = (0.02, 0.10, 0.20, 0.30, 0.325, 0.35, 0.375, 0.40, 0.425, 0.45)
IDLE = 0.001
LIMIT = 3.0
CONFIG = """
topology = mesh; k = {side}; n = 2; routing_function = dor; num_vcs = {lanes};
vc_buf_size = {depth}; vc_allocator = islip; sw_allocator = islip; alloc_iters = 1;
credit_delay = 0; routing_delay = 0; vc_alloc_delay = 1; sw_alloc_delay = 1;
speculative = {speculative}; input_speedup = 1; output_speedup = 1; internal_speedup = 1.0;
wait_for_tail_credit = 0; traffic = {pattern}; packet_size = {flits}; injection_rate = {load};
injection_rate_uses_flits = 1; sim_type = latency; warmup_periods = 3; sample_period = {period};
max_samples = 6; latency_thres = 100000.0; seed = 1;
"""


@dataclass(frozen=True)
class Case:
    """One pair of configurations.

    Attributes:
        lanes, depth: virtual channels, and packets in each.
        pattern: who sends to whom.
        speculative: whether BookSim allocates channel and switch in one cycle.
        flits: per packet, in BookSim.
        spacing: cycles that a packet of ours occupies a channel.
        scale: of the loads, in flits per node and cycle.
    """

    name: str
    lanes: int
    depth: int
    pattern: Literal["uniform", "transpose"] = "uniform"
    speculative: bool = True
    flits: int = 1
    spacing: int = 1
    scale: float = 1.0


CASES = (
    Case("speculative, 1 x 8", 1, 8),
    Case("speculative, 1 x 16", 1, 16),
    Case("speculative, 4 x 4", 4, 4),
    Case("speculative, transpose, 1 x 8", 1, 8, "transpose", scale=0.5),
    Case("two-stage, 1 x 8", 1, 8, speculative=False, spacing=2, scale=0.5),
    Case("four-flit, 2 x 4 packets", 2, 4, flits=4, spacing=4),
)


class Peer(NamedTuple):
    """BookSim's mean packet latency in cycles, mean hops of a packet, CPU-seconds, flits moved."""

    latency: float
    hops: float
    seconds: float
    moved: float


class Point(NamedTuple):
    """Our mean packet latency in cycles, CPU-seconds, packets moved over channels."""

    latency: float
    seconds: float
    moved: float


def build(folder: Path, source: str) -> Path:
    """BookSim's program, made on first use."""
    program = folder / "src" / "booksim"
    if not program.exists():
        if not folder.exists():
            subprocess.run(["git", "clone", "--quiet", source, str(folder)], check=True)
        subprocess.run(["make", "--quiet"], cwd=folder / "src", check=True, capture_output=True)
    return program


def booksim(program: Path, case: Case, load: float, side: int, period: int) -> Peer:
    """Run it once; without an end it is saturated."""
    config = program.parent / "snnc.config"
    config.write_text(
        CONFIG.format(
            side=side, lanes=case.lanes, depth=case.depth * case.flits, pattern=case.pattern,
            speculative=int(case.speculative), flits=case.flits, load=load, period=period,
        )
    )  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([str(program), str(config)], capture_output=True, text=True, check=False)
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    latency, hops = (last(f"{name} average", done.stdout) for name in ("Packet latency", "Hops"))
    if "unstable" in done.stdout or np.isnan(latency):
        return Peer(np.inf, hops, seconds, np.nan)
    cycles = last("Time taken is", done.stdout)
    # BookSim counts routers.
    return Peer(latency, hops - 1, seconds, (hops - 1) * load * side * side * cycles)


def last(name: str, text: str) -> float:
    """The last number that BookSim prints under a name."""
    found = re.findall(rf"{name} =? ?([0-9.]+)", text)
    return float(found[-1]) if found else float("nan")


def idle(program: Path, case: Case) -> tuple[float, float]:
    """Constant part of BookSim's latency, and cycles per hop."""
    small, large = (booksim(program, case, IDLE, side, 20000) for side in (SIDE // 2, SIDE))
    hop = (large.latency - small.latency) / (large.hops - small.hops)
    return large.latency - large.hops * hop, hop


def mesh(case: Case, hop: int, cycles: int) -> Deployment:
    """One sender and receiver per router, everyone connected to everyone and to itself."""
    target = small_target(
        SIDE, SIDE, multicast=False, buffer=case.depth, injection=cycles, receive=case.depth,
        packets_per_cycle=1 / case.spacing,
    )  # fmt: skip
    events = {kind: Cost(latency=hop * 1e-9) for kind in ("hop_ew", "hop_ns")}
    costs = round_costs().model_copy(update={"events": events})
    target = without_costs(target).model_copy(
        update={
            "cost_sets": {target.default_cost: costs},
            "noc": target.noc.model_copy(
                update={"virtual_channels": type(target.noc.buffer_packets)(**quantity(case.lanes))}
            ),
        }
    )
    nodes = list(mesh_nodes(NODES))
    everyone = Dense(np.ones((NODES, NODES), np.int64))
    nodes = [replace(n, weights=everyone) if isinstance(n, Linear) and n.name == "wa" else n
             for n in nodes]  # fmt: skip
    options = Options(neurons_per_core=2, interleave=True)
    return simple_mapping(IntegerNetwork("mesh", tuple(nodes)), target, 1, options=options)


def traffic(
    deployment: Deployment, machine: noc_tables.Machine, case: Case, load: float, cycles: int,
    seed: int,
) -> ends.Releases:  # fmt: skip
    """Bernoulli arrivals at every core; nothing from the host."""
    rng = np.random.default_rng(seed)
    routes, location = deployment.routes, deployment.cores.location
    router = location[:, 1] * SIDE + location[:, 0]
    to = router[routes.delivery_core[routes.delivery_ptr[:-1]]][routes.send_net]
    sends, times, counts = [], [], []
    send_sender = machine.net_sender[routes.send_net]
    for sender in range(machine.senders):
        mine = np.flatnonzero(send_sender == sender)
        if sender < router.size and case.pattern == "transpose":
            y, x = divmod(int(router[sender]), SIDE)
            mine = mine[to[mine] == x * SIDE + y]
        chance = load / case.flits if sender < router.size else 0.0
        when = np.flatnonzero(rng.random(cycles) < chance)
        counts.append(when.size)
        times.append(when.astype(np.float64))
        sends.append(rng.choice(mine, when.size) if when.size else np.zeros(0, np.int64))
    ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return ends.Releases(ptr, np.concatenate(sends).astype(np.int32), np.concatenate(times))


def ours(deployment: Deployment, case: Case, load: float, cycles: int, seeds: int) -> Point:
    """Mean over seeds of the latency without entering and leaving."""
    machine = noc_tables.describe(deployment)
    tables, buffers = noc_tables.build(
        deployment, machine, np.zeros(deployment.routes.send_net.size)
    )
    latency, seconds, moved = [], 0.0, 0.0
    for seed in range(seeds):
        releases = traffic(deployment, machine, case, load, cycles, seed)
        wide, state = flit_tables.new_state(deployment, machine, tables, buffers)
        start = time.process_time()
        flit.drain(wide, state, releases)
        seconds += time.process_time() - start
        moved += float(state.total[ends.HOPS])
        waited = state.total[ends.ARRIVALS] - releases.time.sum()
        latency.append(waited / state.total[ends.DELIVERED])
    return Point(float(np.mean(latency)), seconds, moved)


def saturates(loads: list[float], latency: list[float]) -> float:
    """The first load whose latency is more than ``LIMIT`` times that of the first."""
    above = [load for load, each in zip(loads, latency, strict=True) if each > LIMIT * latency[0]]
    return above[0] if above else float("inf")


def compare(program: Path, case: Case, period: int, cycles: int, seeds: int) -> None:
    """One table."""
    constant, hop = idle(program, case)
    deployment = mesh(case, round(hop), cycles)
    ours(deployment, case, LOADS[0], 100, 1)  # compiles
    print(
        f"\n{case.name} ({case.pattern}): idle BookSim {constant:.2f} cycles and {hop:.3f} per "
        f"hop; ours {round(hop)} per hop, a packet every {case.spacing} cycles"
    )
    print("    load   BookSim      ours     error    M hops/CPU-s: BookSim   ours   ratio")
    loads = [case.scale * load for load in LOADS]
    peers: list[Peer] = []
    points: list[Point] = []
    for load in loads:
        peers.append(booksim(program, case, load, SIDE, period))
        mine = ours(deployment, case, load, cycles, seeds)
        points.append(mine._replace(latency=mine.latency + constant))
        a, b = peers[-1], points[-1]
        speeds = a.moved / a.seconds / 1e6, b.moved * case.flits / b.seconds / 1e6
        print(
            f"{load:8.4f} {a.latency:9.2f} {b.latency:9.2f} {b.latency / a.latency - 1:+9.2%}"
            f"{speeds[0]:24.3f} {speeds[1]:6.2f} {speeds[1] / speeds[0]:7.1f}",
            flush=True,
        )
        if min(a.latency / peers[0].latency, b.latency / points[0].latency) > LIMIT:
            break
    run = loads[: len(peers)]
    limits = [saturates(run, [row.latency for row in rows]) for rows in (peers, points)]
    errors = [abs(b.latency / a.latency - 1) for load, a, b in zip(run, peers, points, strict=True)
              if load <= 0.9 * limits[0]]  # fmt: skip
    print(
        f"  saturated at {limits[0]:.4f} in BookSim, {limits[1]:.4f} in ours; up to 90 % of that: "
        f"error {np.mean(errors):.2%} on average, {max(errors):.2%} at most"
    )


def main() -> None:
    """Print the curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", default="https://github.com/booksim/booksim2")
    parser.add_argument("--period", type=int, default=2000, help="BookSim's sample_period")
    parser.add_argument("--cycles", type=int, default=20000, help="of arrivals in ours")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", default="", help="cases whose names hold this")
    options = parser.parse_args()
    program = build(options.folder.resolve(), options.source)
    for case in CASES:
        if options.only in case.name:
            compare(program, case, options.period, options.cycles, options.seeds)


if __name__ == "__main__":
    main()
