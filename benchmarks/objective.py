"""What every weight of ``--objective`` buys: its term with and without it, and what that costs.

Networks of ``chips_first.py`` on 4 chips of 16 cores.  Ratios to the placement with few weighted
hops: the term that weighs, and weighted hops.  CPU seconds of this process.

    python benchmarks/objective.py [--effort normal] [--chips 4]
"""

from __future__ import annotations

import argparse
import time

from chips_first import LIMIT_S, goal_of, machine, networks

from snnc.compiler.objective import PLACED
from snnc.compiler.place import Problem, place
from snnc.ir.topology import mesh_of


def main() -> None:
    """Print one row per network and term."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--effort", choices=("low", "normal", "high"), default="normal")
    parser.add_argument("--chips", type=int, default=4)
    parser.add_argument("--fill", type=float, default=0.75, help="share of the cores in use")
    chosen = parser.parse_args()
    target = machine(1)
    mesh = mesh_of(target, chosen.chips)
    cores = int(16 * chosen.chips * chosen.fill) // 4 * 4
    print(f"{'network':12}{'term':>16}{'before':>12}{'after':>12}{'ratio':>8}{'hops':>8}{'s':>7}")
    for name, flow in networks(cores, chosen.chips).items():
        problem = Problem.of(flow, goal_of(flow, target, mesh, None).nets.sites, 0)
        for term in PLACED:
            goal = goal_of(flow, target, mesh, f"{term}=1,energy=0.0001")
            start = time.process_time()
            found = place(problem, 0, chosen.effort, LIMIT_S, goal=goal)
            seconds = time.process_time() - start
            before, after = found.terms[term]
            hops = found.terms["energy"][1] / found.terms["energy"][0]
            print(
                f"{name:12}{term:>16}{before:12.2f}{after:12.2f}"
                f"{after / before if before else 1.0:8.3f}{hops:8.3f}{seconds:7.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
