"""The placement engine on QAPLIB, the benchmark library of quadratic assignment.

An instance is a folder ``NAME/`` with ``NAME.txt`` (n and two n x n matrices) and, where an optimum
or best value is known, ``solution.txt`` ("n value").

An instance is searched by ``assign``, the engine that also serves placements, at effort ``high``
until the best known value is met (printed is when), or the limit; at effort ``normal`` where none
is known.  Two threads search; CPU seconds are of both.  ``--cpu`` limits these instead: on a quiet
machine 60 s of two threads are 120, on a busy one a wall clock says little.  ``--kernel`` times
steps of the tabu search instead, in CPU nanoseconds per pair of facilities.

    python benchmarks/qaplib.py FOLDER [NAME ...] [--seconds 60] [--cpu] [--largest 100] [--kernel]
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from snnc.compiler.place import Effort, Quadratic, assign
from snnc.compiler.place.tabu import Tabu
from snnc.compiler.place.watch import Watch

RUNS, STEPS = 60, 5_000  # of the kernel


class Until(Watch):
    """A limit that also ends the search when the best known value is met."""

    def __init__(self, seconds: float, cpu: bool, known: float) -> None:
        super().__init__(seconds if not cpu else np.inf)
        self.known = known
        self.cpu_deadline = time.process_time() + seconds if cpu else np.inf

    def due(self) -> bool:
        """True when the search should end."""
        if time.process_time() > self.cpu_deadline:
            self.deadline = 0.0
        return super().due()

    def tell(self, share: float, cost: float) -> None:
        """Look at the best cost so far."""
        if cost <= self.known + 1e-6:
            self.deadline = 0.0


def read(folder: Path) -> tuple[Quadratic, float | None]:
    """An instance and its best known value."""
    numbers = [int(word) for word in (folder / f"{folder.name}.txt").read_text().split()]
    n = numbers[0]
    first, second = np.array(numbers[1 : 1 + 2 * n * n], float).reshape(2, n, n)
    known = folder / "solution.txt"
    value = float(known.read_text().split()[1]) if known.exists() else None
    return Quadratic.of(second, first), value


def kernel(problem: Quadratic) -> None:
    """Print what a step of the tabu search costs: the least of several runs."""
    walk = Tabu(problem, 0)
    rng = np.random.default_rng(0)
    walk.run(rng.permutation(walk.size), 1, np.inf)
    least = np.inf
    for _ in range(RUNS):
        began = time.thread_time()
        walk.run(rng.permutation(walk.size), STEPS, np.inf)
        least = min(least, time.thread_time() - began)
    step, pairs = 1e9 * least / STEPS, walk.size * (walk.size - 1) / 2
    print(f"{step:>9.0f} ns per step{step / pairs:>8.3f} ns per pair", flush=True)


def main() -> None:
    """Print one row per instance."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=float, default=60.0, help="limit per instance, wall")
    parser.add_argument("--cpu", action="store_true", help="the limit is of CPU seconds")
    parser.add_argument("--largest", type=int, default=100)
    parser.add_argument("--smallest", type=int, default=1)
    parser.add_argument("--kernel", action="store_true", help="time steps of the search")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for value in 1.0, 1e7:  # compile for both sizes of numbers
        assign(Quadratic.of(value * np.eye(4), np.eye(4)), effort="low")
    if not arguments.kernel:
        print("instance   n   best known         ours   gap %  proven  CPU s   wall s")
    reached = total = 0
    largest, loads = 0.0, os.getloadavg()[0]
    for folder in sorted(p for p in arguments.folder.iterdir() if p.is_dir()):
        if arguments.names and folder.name not in arguments.names:
            continue
        problem, known = read(folder)
        n = problem.flow.shape[0]
        if not arguments.smallest <= n <= arguments.largest:
            continue
        if arguments.kernel:
            print(f"{folder.name:<9}{n:>3}", end="")
            kernel(problem)
            continue
        began, wall = time.process_time(), time.perf_counter()
        watch = Until(arguments.seconds, arguments.cpu, -np.inf if known is None else known)
        effort: Effort = "normal" if known is None else "high"
        found = assign(problem, seed=arguments.seed, effort=effort, watch=watch)
        seconds, wall = time.process_time() - began, time.perf_counter() - wall
        proven = "yes" if found.bound >= found.cost else ""
        gap = None if known is None else 100 * (found.cost - known) / max(known, 1)
        total += known is not None
        reached += known == found.cost
        largest = max(largest, gap or 0.0)
        print(
            f"{folder.name:<9}{n:>3}{'-' if known is None else f'{known:.0f}':>13}"
            f"{found.cost:>13.0f}{'' if gap is None else f'{gap:.3f}':>8}{proven:>8}"
            f"{seconds:>7.1f}{wall:>9.1f}",
            flush=True,
        )
    if not arguments.kernel:
        print(f"best known value reached: {reached} of {total}; largest gap {largest:.3f} %")
    print(f"load of the machine: {loads:.1f} at the beginning, {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
