"""The placement engine on QAPLIB, the benchmark library of quadratic assignment.

An instance is a folder ``NAME/`` with ``NAME.txt`` (n and two n x n matrices) and, where an optimum
or best value is known, ``solution.txt`` ("n value").

    python benchmarks/qaplib.py FOLDER [--seconds 10] [--largest 20] [NAME ...]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from snnc.compiler.place import EXACT_CORES, Quadratic
from snnc.compiler.place.branch import prove
from snnc.compiler.place.tabu import search
from snnc.compiler.place.watch import Watch

NODES = 200_000_000


def read(folder: Path) -> tuple[Quadratic, float | None]:
    """An instance and its best known value."""
    numbers = [int(word) for word in (folder / f"{folder.name}.txt").read_text().split()]
    n = numbers[0]
    first, second = np.array(numbers[1 : 1 + 2 * n * n], float).reshape(2, n, n)
    known = folder / "solution.txt"
    value = float(known.read_text().split()[1]) if known.exists() else None
    return Quadratic.of(second, first), value


def main() -> None:
    """Print one row per instance."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=float, default=10.0, help="of search per instance")
    parser.add_argument("--largest", type=int, default=20)
    parser.add_argument("--smallest", type=int, default=1)
    arguments = parser.parse_args()
    search(Quadratic.of(np.eye(4), np.eye(4)), np.arange(4), 0, 1, Watch(1.0))  # compile
    print("instance   n   best known         ours    gap %  proven  seconds (CPU)")
    reached = total = 0
    for folder in sorted(p for p in arguments.folder.iterdir() if p.is_dir()):
        if arguments.names and folder.name not in arguments.names:
            continue
        problem, known = read(folder)
        n = problem.flow.shape[0]
        if not arguments.smallest <= n <= arguments.largest:
            continue
        began = time.process_time()
        runs = max(1, int(3e10 / n**3)) if n > EXACT_CORES else 50
        found = search(problem, np.arange(n), 0, runs, Watch(arguments.seconds))
        cost, proven = found.cost, ""
        if n <= EXACT_CORES:
            proof = prove(problem, found.site, NODES)
            cost, proven = proof.cost, "yes" if proof.bound == proof.cost else "no"
        seconds = time.process_time() - began
        gap = "" if known is None else f"{100 * (cost - known) / max(known, 1):.3f}"
        total += known is not None
        reached += known == cost
        best = "-" if known is None else f"{known:.0f}"
        print(f"{folder.name:<9}{n:>3}{best:>13}{cost:>13.0f}{gap:>9}{proven:>8}{seconds:>9.1f}")
    print(f"best known value reached: {reached} of {total}")


if __name__ == "__main__":
    main()
