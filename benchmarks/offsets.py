"""``--offsets`` on many cores: CPU seconds to choose them, and what is expected of them.

A layered network on ``toy-mesh`` with a fixed tick of 10 us, mapped onto more and more chips of
16 cores; packets per sample drawn at random (seed 0).  Columns: cores, of them moved; CPU seconds
of this process for ``stagger.stagger`` (kernels compiled before); expected utilisation of the
busiest link or core in its busiest bin, before and after; and a hash of the starts.

    python benchmarks/offsets.py [--chips 4 16 64]
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support import nets
from support.mapping_check import deployment

from snnc.backends.targets import load
from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.stagger import stagger
from snnc.ir.deployment import Deployment
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.target import Target
from snnc.ir.types import BIN


def machine() -> Target:
    """toy-mesh with a fixed tick and small cores."""
    data = load("toy-mesh").model_dump(by_alias=True)
    data["execution"] |= {
        "sync": "fixed_tick", "barrier_s": {}, "tick_s": {"v": 1e-5, "u": "s", "ev": "assumed"},
    }  # fmt: skip
    data["core"]["resources"]["neurons"]["capacity"]["v"] = 16
    data["topology"]["max_chips"]["v"] = 1024
    return Target.model_validate(data)


def mapped(chips: int) -> Deployment:
    """Four convolutions of four channels that fill nine tenths of the cores."""
    target, rng = machine(), np.random.default_rng(0)
    shape = 4, *(math.isqrt(16 * chips * 9 // 10),) * 2
    nodes: list[Any] = [Input("n0", shape, BIN)]
    for k in range(1, 5):
        nodes += [
            Linear(f"c{k}", (f"n{k - 1}",), nets.conv(rng, 4, 4, 3)),
            nets.fire(f"n{k}", f"c{k}", shape),
        ]
    network = IntegerNetwork("layers", (*nodes, Output("out", ("n4",))))
    retiming = nets.longest_path_retiming(expand(network))
    options = MapOptions(effort="low", time_limit_s=20.0)
    mapping = map_network(network, retiming, target, chips, None, options)
    return deployment(network, retiming, target, chips, mapping)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chips", type=int, nargs="+", default=[16, 64, 128])
    chosen = parser.parse_args()
    print("cores  moved  CPU s   peak before -> after   starts")
    for chips in [1, *chosen.chips]:
        program = mapped(chips)
        rng = np.random.default_rng(0)
        rates = {n: rng.gamma(1.0, 2.0, size) for n, size in program.sources.size.items()}
        begun = time.process_time()
        start, found = stagger(program, rates)
        seconds = time.process_time() - begun
        if chips == 1:
            continue  # kernels were compiled
        before, after = found["expected_peak_utilisation"]
        digest = hashlib.sha256(np.array(start).tobytes()).hexdigest()[:12]
        print(
            f"{program.cores.count:5}  {found['cores_moved']:5}  {seconds:6.2f}   "
            f"{before:.4g} -> {after:.4g}   {digest}",
            flush=True,
        )


if __name__ == "__main__":
    main()
