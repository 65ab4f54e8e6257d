"""A convolution whose neurons fit no core: split with shared weights, and written out.

512 channels of ``--side`` x ``--side`` pixels into ``--channels`` by 3 x 3 taps, on ``toy-mesh``
with 2,048 input axons a core, so that every neuron takes partial sums (docs/partition.md).  CPU
seconds and the largest resident memory, each way in a process of its own; the split networks'
populations and synapses.

    python benchmarks/fanin.py [--side 14] [--channels 16] [--shared-only]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support import nets

from snnc.backends.targets import load
from snnc.compiler.fanin import split_fan_in
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Input, Linear, Output
from snnc.ir.shared_expansion import expand_shared
from snnc.ir.target import Target
from snnc.ir.types import BIN


def machine() -> Target:
    """toy-mesh with fewer axons and much memory."""
    data = load("toy-mesh").model_dump(by_alias=True)
    data["core"]["resources"]["input_axons"]["capacity"]["v"] = 2048
    data["core"]["resources"]["synapse_mem"]["capacity"]["v"] = 1 << 24
    return Target.model_validate(data)


def measured(side: int, channels: int, way: str) -> dict[str, Any]:
    """One split, in this process."""
    shape = channels, side, side
    conv = nets.conv(np.random.default_rng(0), channels, 512, 3)
    nodes = (
        Input("in", (512, side, side), BIN), Linear("c", ("in",), conv),
        nets.fire("n", "c", shape, 20_000), Output("out", ("n",)),
    )  # fmt: skip
    network = IntegerNetwork("wide", nodes)
    begun = time.process_time()
    parts = expand_shared(network) if way == "shared" else expand(network)
    done = split_fan_in(network, parts, machine(), 4)
    assert not done.refused, done.refused
    return {
        "way": way,
        "synapses": sum(p.synapses for p in parts.projections),
        "populations": len(done.network.populations),
        "after": sum(p.synapses for p in done.expansion.projections),
        "CPU s": time.process_time() - begun,
        "GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def main() -> None:
    """Measure both ways and print them with their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=14)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--shared-only", action="store_true", help="leave out the way written out")
    parser.add_argument("--way", choices=["shared", "written"], help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.way:
        print(json.dumps(measured(chosen.side, chosen.channels, chosen.way)))
        return
    rows = []
    for way in ["shared"] if chosen.shared_only else ["shared", "written"]:
        words = [f"--side={chosen.side}", f"--channels={chosen.channels}", f"--way={way}"]
        done = subprocess.run(
            [sys.executable, __file__, *words], check=True, capture_output=True, text=True
        )
        rows.append(json.loads(done.stdout))
        print(" ".join(f"{key} {value:,.4g}" if isinstance(value, float) else f"{key} {value}"
                       for key, value in rows[-1].items()), flush=True)  # fmt: skip
    if len(rows) == 2:
        ratios = {key: rows[1][key] / rows[0][key] for key in ("CPU s", "GB")}
        print(f"written out takes {ratios['CPU s']:.1f} x CPU time, {ratios['GB']:.1f} x memory")


if __name__ == "__main__":
    main()
