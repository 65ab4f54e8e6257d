"""The zoo from PyTorch to the cores: what is compared, what differs, what it costs.

Every network of ``tests/support/torch_zoo`` with its numbers rounded to powers of two: PyTorch
in float64 = real network = integers = functional simulator = emulated toy mesh (= Lava), logits
and every spike train::

    pip install '.[torch-test]' && pip install --no-deps spikingjelly==2.0.0
    python benchmarks/zoo_on_chip.py [--samples 5] [--lava] [NAME ...]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support import torch_zoo
from support.torch_gate import gate


def main() -> None:
    """Print one row per network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=sorted(torch_zoo.ZOO))
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--lava", action="store_true", help="also on Lava (SNNC_LAVA_PYTHON)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| net | exact | spikes compared | cores | ticks per sample |\n|---|---|---|---|---|")
    for name in arguments.names:
        found = gate(name, arguments.samples, lava=arguments.lava)
        verdict = "yes" if found.exact else f"no: {found}"
        print(
            f"| {name} | {verdict} | {found.spikes:,} | {found.cores} | {found.ticks} |", flush=True
        )


if __name__ == "__main__":
    main()
