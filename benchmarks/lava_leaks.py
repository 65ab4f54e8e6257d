"""Many runs on Lava in a row: memory, open files, processes and shared memory must not grow.

    python benchmarks/lava_leaks.py [--runs 200]

Prints every tenth run; exit code 1 when anything is left at the end.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from snnc.backends.lava import run_on_lava
from snnc.backends.lava.jobs import Job
from snnc.backends.lava.lower import lower

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.lava_networks import lif_network
from support.random_networks import random_inputs

ALLOWED_KIB = 16 << 10
"""Growth of this process's memory that counts as none."""


def state() -> dict[str, int]:
    """What could grow: resident KiB, open files, children, shared memory, temporary folders."""
    status = Path("/proc/self/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        "resident_kib": int(resident.split()[1]),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "children": len(children),
        "shared_memory": len(list(Path("/dev/shm").glob(f"snnclava{os.getpid()}x*"))),
        "folders": len(
            list(Path(os.environ.get("TMPDIR", "/tmp")).glob(f"snnc-lava-{os.getpid()}-*"))
        ),
    }


def main() -> int:
    """Run, and compare the state after a few runs with the last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    network = lif_network(0)
    job = Job(lower(network, 6), random_inputs(network, 1, 1, 6))
    first: dict[str, int] = {}
    for number in range(runs):
        run_on_lava([job])
        if number == min(4, runs - 1):
            first = state()
        if number % 10 == 9:
            print(number + 1, state(), flush=True)
    last = state()
    grown = {name: last[name] - first[name] for name in last}
    print(f"growth over {runs - 5} runs: {grown}")
    memory = grown.pop("resident_kib")
    return int(memory > ALLOWED_KIB or any(count > 0 for count in grown.values()))


if __name__ == "__main__":
    sys.exit(main())
