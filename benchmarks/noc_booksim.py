"""Our flit-level network beside BookSim2: ``python benchmarks/noc_booksim.py FOLDER``.

FOLDER is where BookSim2 (Stanford, BSD) is built, from a clone of github.com/booksim/booksim2 or of
``--source``; that takes flex, bison, make and a C++ compiler.

8 x 8 mesh, uniform random, packets of one flit, one virtual channel, dimension order.  BookSim's
router has a pipeline; a hop of ours takes a number of cycles that the target gives.  What a hop
takes is measured in BookSim on two idle meshes of different size, where latency is a constant and a
hop times the mean number of hops; everything above idle load is then a prediction.  BookSim also
sends packets to their own node; ours does not, so one in 64 of its packets is taken out.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
from pathlib import Path
from typing import NamedTuple

from noc_fidelity import measure, mesh

from snnc.ir.deployment import Deployment
from snnc.ir.target import Cost

LOADS = (0.02, 0.10, 0.20, 0.25, 0.30, 0.325, 0.35, 0.375, 0.40)
DEPTHS = (8, 16)
IDLE = 0.002
NODES = 64
LIMIT = 3.0  # saturated: latency above so many times that of the idle mesh
CONFIG = """
topology = mesh; k = {side}; n = 2; routing_function = dor; num_vcs = 1; vc_buf_size = {depth};
vc_allocator = islip; sw_allocator = islip; alloc_iters = 1; credit_delay = 0; routing_delay = 0;
vc_alloc_delay = 1; sw_alloc_delay = 1; input_speedup = 1; output_speedup = 1;
internal_speedup = 1.0; wait_for_tail_credit = 0; traffic = uniform; packet_size = 1;
injection_rate = {load}; sim_type = latency; warmup_periods = 3; sample_period = {period};
max_samples = 10; latency_thres = 100000.0; seed = 1;
"""


class Peer(NamedTuple):
    """BookSim's mean packet latency in cycles; CPU-seconds it took."""

    latency: float
    seconds: float


def build(folder: Path, source: str) -> Path:
    """BookSim's program, made on first use."""
    program = folder / "src" / "booksim"
    if not program.exists():
        if not folder.exists():
            subprocess.run(["git", "clone", "--quiet", source, str(folder)], check=True)
        subprocess.run(["make", "--quiet"], cwd=folder / "src", check=True, capture_output=True)
    return program


def booksim(program: Path, load: float, depth: int, side: int = 8, period: int = 4000) -> Peer:
    """Run it once."""
    config = program.parent / "snnc.config"
    config.write_text(CONFIG.format(side=side, depth=depth, load=load, period=period))
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([str(program), str(config)], capture_output=True, text=True, check=False)
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    found = re.findall(r"Packet latency average = ([0-9.]+)", done.stdout)
    if "unstable" in done.stdout or not found:
        return Peer(float("inf"), seconds)
    return Peer(float(found[-1]), seconds)


def idle(program: Path) -> tuple[float, float]:
    """Constant part and cycles per hop; the mean number of hops is 2 (k - 1/k) / 3."""
    small, large = (booksim(program, IDLE, 16, side, 40000).latency for side in (4, 8))
    hop = (large - small) / (5.25 - 2.5)
    return large - 5.25 * hop, hop


def ours(depth: int, hop: int) -> Deployment:
    """The same mesh with hops of so many cycles."""
    deployment = mesh(depth)
    events = {kind: Cost(latency=hop * 1e-9) for kind in ("hop_ew", "hop_ns")}
    costs = deployment.target.costs.model_copy(update={"events": events})
    sets = {deployment.target.default_cost: costs}
    target = deployment.target.model_copy(update={"cost_sets": sets})
    return Deployment(
        deployment.network, target, 1, deployment.schedule, deployment.cores, deployment.routes,
        deployment.certificate, {}, {},
    )  # fmt: skip


def main() -> None:
    """Print the curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", default="https://github.com/booksim/booksim2")
    options = parser.parse_args()
    program = build(options.folder.resolve(), options.source)
    constant, hop = idle(program)
    print(f"BookSim, idle: {constant:.2f} cycles and {hop:.2f} per hop; ours takes {round(hop)}")
    for depth in DEPTHS:
        deployment = ours(depth, round(hop))
        rows = []
        for load in LOADS:
            peer = booksim(program, load, depth)
            others = (peer.latency - constant / NODES) * NODES / (NODES - 1) - constant
            rows.append(
                (load, others, peer, measure(deployment, load * (NODES - 1) / NODES, "flit"))
            )
        print(
            f"buffers of {depth}:  load  BookSim     flit              CPU-s of BookSim, hops/CPU-s"
        )
        for load, others, peer, point in rows:
            off = point.latency / others - 1
            speeds = f"{peer.seconds:8.1f}  {point.speed:12,.0f}"
            print(f"{load:18.3f} {others:9.2f} {point.latency:9.2f} ({off:+6.1%})  {speeds}")
        print(f"  saturates at {saturates([(r[0], r[1]) for r in rows]):.3f} in BookSim, "
              f"{saturates([(r[0], r[3].latency) for r in rows]):.3f} in ours")  # fmt: skip


def saturates(curve: list[tuple[float, float]]) -> float:
    """The first load whose latency is more than three times that of the first."""
    above = [load for load, latency in curve if latency > LIMIT * curve[0][1]]
    return above[0] if above else float("inf")


if __name__ == "__main__":
    main()
