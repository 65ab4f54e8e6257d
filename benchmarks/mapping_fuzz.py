"""Random networks on random small machines: every mapping is checked and run.

Tiny capacities, defects, one to three chips, unicast and multicast, output axons, fan-in splits.
Each case ends in a mapping that the independent checker accepts and whose emulation fires exactly
the spikes of the reference, or in a ``CapacityError`` that names a resource.  Anything else is
printed with its seed and makes the exit code 1.

With ``--options`` the whole pipeline runs with every option that maps drawn at random too (pins,
objectives, routing rules, phases, offsets, broken borders, tori with routing tables, rates),
and bounds, files, repetition, starts and shared rows are compared; see ``support.any_mapping``.

    python benchmarks/mapping_fuzz.py [--cases 1000] [--first 0] [--kernels | --options]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.any_mapping import check_any_case, draw_case
from support.tight_mapping import check_case


def main() -> None:
    """Run the cases and print what they ended in."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first case")
    parser.add_argument("--kernels", action="store_true", help="cores that may store kernels")
    parser.add_argument("--options", action="store_true", help="every option of compile drawn")
    arguments = parser.parse_args()
    ends: Counter[str] = Counter()
    failed, started = 0, time.process_time()
    for seed in range(arguments.first, arguments.first + arguments.cases):
        try:
            if arguments.options:
                ends[check_any_case(seed)] += 1
            else:
                ends[check_case(seed, kernels=arguments.kernels)] += 1
        except Exception as error:
            failed += 1
            words = f" [{draw_case(seed).words}]" if arguments.options else ""
            print(f"seed {seed}: {type(error).__name__}: {error}{words}", flush=True)
    for end, count in sorted(ends.items()):
        print(f"{count:>7}  {end}")
    seconds = time.process_time() - started
    print(f"{failed:>7}  failed of {arguments.cases} cases in {seconds:.0f} s of CPU time")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
