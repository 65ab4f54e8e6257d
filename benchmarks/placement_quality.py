"""Weighted hops of our placements against simple ones, on synthetic layered networks.

Networks of cores like those of Jin et al. (ASPLOS 2023): square layers of cores, all-to-all
(DNN), a local window (CNN), or local with skip connections over a layer (RES); random rates.
Numbers are ratios to our cost (bigger is worse) and our distance from the lower bound.

    python benchmarks/placement_quality.py [--side 8] [--effort normal]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from snnc.backends.targets import load
from snnc.compiler.place import Problem, cost_of, place, sites_of
from snnc.compiler.place.baselines import hilbert, random_sites, row_major
from snnc.compiler.traffic import Traffic
from snnc.ir.target import Target
from snnc.ir.topology import mesh_of

LAYERS = 4


def machine(side: int) -> Target:
    """A mesh of ``side`` x ``side`` cores."""
    data = load("toy-mesh").model_dump(by_alias=True)
    data["topology"] |= {"grid": (side, side), "usable_cores": side * side}
    return Target.model_validate(data)


def layered(kind: str, cores: int, seed: int = 0) -> Traffic:
    """Edges between consecutive layers of cores, and two layers on for RES."""
    rng = np.random.default_rng(seed)
    width = cores // LAYERS
    edges = []
    for core in range(cores):
        layer, place_in_layer = divmod(core, width)
        for step in (1, 2) if kind == "RES" else (1,):
            if layer + step >= LAYERS:
                continue
            reach = width if kind == "DNN" else 2
            low, high = max(0, place_in_layer - reach), min(width, place_in_layer + reach + 1)
            first = (layer + step) * width
            edges += [(core, first + k, rng.random()) for k in range(low, high)]
    edges += [(-1, k, rng.random()) for k in range(width)]
    sender, dest, rate = (np.array(column) for column in zip(*edges, strict=True))
    nothing = np.zeros(0, np.int64)
    return Traffic(cores, sender, rate, np.arange(len(edges) + 1), dest, nothing, nothing)


def main() -> None:
    """Print one row per network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--effort", choices=("low", "normal", "high"), default="normal")
    arguments = parser.parse_args()
    print("network    random  row-major  Hilbert  ours  cost/bound  seconds  engine")
    for side in arguments.side:
        for kind in ("DNN", "CNN", "RES"):
            target = machine(side)
            mesh = mesh_of(target, 1)
            problem = Problem.of(layered(kind, side * side), sites_of(target, mesh), 0)
            start = time.perf_counter()
            ours = place(problem, 0, arguments.effort, 60.0)
            seconds = time.perf_counter() - start
            others = [random_sites(problem, 0), row_major(problem), hilbert(problem)]
            ratio = [cost_of(problem, site) / ours.objective for site in others]
            above = ours.objective / max(ours.bound, 1e-9)
            print(
                f"{kind} {side:>2}x{side:<4}{ratio[0]:7.2f}{ratio[1]:11.2f}{ratio[2]:9.2f}"
                f"{1:6.2f}{above:12.2f}{seconds:9.1f}  {ours.engine}"
            )


if __name__ == "__main__":
    main()
