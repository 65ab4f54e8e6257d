"""Several chips: cores to chips first by a cut, against one placement of all cores at once.

Networks of cores: layers as in ``placement_quality.py``, and groups of cores that mostly talk to
each other, numbered at random ("groups": multicast to three; "pairs": to one).  Columns: weighted
hops and packets per sample over links between chips, of all cores at once (flat), of cores kept on
the chips of the cut, of both together (what ``place`` returns), and with ``--objective
energy=1,chip_crossings=C``.  CPU seconds of this process.

    python benchmarks/chips_first.py [--effort normal] [--weight 3] [--chips 2 4 6 8]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from placement_quality import layered

from snnc.backends.targets import load
from snnc.compiler.objective import parse_objective
from snnc.compiler.place import Goal, Placement, Problem, place, sites_of, start_of
from snnc.compiler.place.chips import divided, held_to_chips
from snnc.compiler.place.watch import Watch
from snnc.compiler.place.weigh import terms_of
from snnc.compiler.route.links import link_cycles
from snnc.compiler.traffic import Traffic
from snnc.ir.arrays import IntArray
from snnc.ir.target import Target
from snnc.ir.topology import Mesh, mesh_of

LIMIT_S = 600.0


def machine(slots: int) -> Target:
    """toy-mesh with 4 x 4 routers a chip and some cores at each."""
    data = load("toy-mesh").model_dump(by_alias=True)
    data["topology"] |= {"cores_per_router": slots, "usable_cores": 16 * slots}
    return Target.model_validate(data)


def grouped(cores: int, groups: int, fan: int, seed: int = 0) -> Traffic:
    """Cores that send 85 % of their nets into their own group."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(cores) * groups // cores
    nets = []
    for core in range(cores):
        mine = np.flatnonzero(group == group[core])
        for _ in range(2):
            pool = mine if rng.random() < 0.85 else np.arange(cores)
            dest = np.sort(rng.choice(pool, min(fan, pool.size), replace=False))
            nets.append((core, dest, float(rng.integers(1, 20))))
    nets += [(-1, np.array([core]), 2.0) for core in rng.choice(cores, 4, replace=False)]
    nothing = np.zeros(0, np.int64)
    return Traffic(
        cores, np.array([n[0] for n in nets]), np.array([n[2] for n in nets]),
        np.cumsum([0, *(n[1].size for n in nets)]), np.concatenate([n[1] for n in nets]),
        nothing, nothing,
    )  # fmt: skip


def networks(cores: int, chips: int) -> dict[str, Traffic]:
    """By name."""
    found = {kind: layered(kind, cores) for kind in ("DNN", "CNN", "RES")}
    return found | {"groups": grouped(cores, chips, 3), "pairs": grouped(cores, 2 * chips, 1, 1)}


def goal_of(flow: Traffic, target: Target, mesh: Mesh, objective: str | None) -> Goal:
    """The goal of a traffic on a machine."""
    chip = np.array([mesh.chip(r) for r in range(mesh.routers)])
    problem = Problem.directed(flow, sites_of(target, mesh), 0)
    return Goal(problem, parse_objective(objective), link_cycles(target, mesh), chip)


def timed(function: Callable[[], Placement]) -> tuple[Placement, float]:
    """A placement and the CPU seconds it took."""
    start = time.process_time()
    return function(), time.process_time() - start


def main() -> None:
    """Print one row per network and machine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--effort", choices=("low", "normal", "high"), default="normal")
    parser.add_argument("--weight", type=float, default=3.0, help="of a crossing packet, in hops")
    parser.add_argument("--chips", type=int, nargs="+", default=[2, 4, 6, 8])
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 8], help="cores per router")
    chosen = parser.parse_args()
    weighted = f"energy=1,chip_crossings={chosen.weight}"
    head = "hops crossings    s"
    print(f"{'network':18}{'flat: ' + head:>32}{'on chips: ' + head:>38}{'place: ' + head:>36}"
          f"{'weighted: ' + head:>38}{'hops':>8}{'crossings':>11}")  # fmt: skip
    ratios = []
    for slots in chosen.slots:
        target = machine(slots)
        for chips in chosen.chips:
            mesh = mesh_of(target, chips)
            for name, flow in networks(16 * slots * chips // 4 * 4, chips).items():
                label = f"{name} {flow.cores} on {chips}"
                ratios.append(row(label, flow, target, mesh, chosen.effort, weighted))
    hops, crossings = np.exp(np.mean(np.log(np.array(ratios)), axis=0))
    print(f"geometric mean, weighted / flat: hops {hops:.3f}, crossings {crossings:.3f}")


def row(
    label: str, flow: Traffic, target: Target, mesh: Mesh, effort: str, weighted: str
) -> tuple[float, float]:
    """Print one row; returns (hops, crossings) of the weighted placement to those of the flat."""
    goal = goal_of(flow, target, mesh, None)
    problem = Problem.of(flow, goal.nets.sites, 0)

    def run(bound: Problem, aim: Goal | None, start: IntArray | None = None) -> Placement:
        return place(bound, 0, effort, LIMIT_S, start, goal=aim)  # type: ignore[arg-type]

    def on_chips() -> Placement:
        division = divided(goal.nets, goal.chip, 0, Watch(LIMIT_S))
        assert division is not None
        return run(held_to_chips(problem, division, goal.chip), None)

    heavy = goal_of(flow, target, mesh, weighted)
    results = [
        timed(lambda: run(problem, None)),
        timed(on_chips),
        timed(lambda: run(problem, goal)),
        timed(lambda: run(problem, heavy)),
    ]
    terms = [terms_of(goal, start_of(problem, found.location)) for found, _ in results]
    cells = [
        f"{t['energy']:16,.0f}{t['chip_crossings']:13,.0f}{s:7.1f}"
        for t, (_, s) in zip(terms, results, strict=True)
    ]
    ratio = tuple(terms[3][k] / max(terms[0][k], 1e-9) for k in ("energy", "chip_crossings"))
    print(f"{label:18}{''.join(cells)}{ratio[0]:10.3f}{ratio[1]:10.3f}", flush=True)
    return ratio[0], ratio[1]


if __name__ == "__main__":
    main()
