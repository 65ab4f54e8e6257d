"""Spike by spike equality of Lava, the functional and cycle simulators, and the reference.

    python benchmarks/lava_equality.py [--networks 500] [--first 0] [--batch 25]

In turn, random networks of Lava's own neurons and synapses at the ends of their ranges, of every
feature of the neuron normal form, which runs on snnc's own Lava processes, of sigma-delta neurons
and of lava-dl's adaptive LIF.  Prints what
was compared; at a disagreement network, layer, step, sample, neuron and both values, exit code 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from snnc.backends.lava import run_on_lava
from snnc.backends.lava.jobs import Job
from snnc.backends.lava.lower import lower
from snnc.ir.arrays import IntArray
from snnc.ir.integer_network import IntegerNetwork
from snnc.on_lava import as_result
from snnc.simulators import cycle, functional, reference
from snnc.simulators.compare import compare_runs
from snnc.simulators.result import RunResult

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.lava_dl_networks import alif_network, random_values, sigma_delta_network
from support.lava_networks import lif_network
from support.random_networks import random_inputs, random_network
from support.simple_mapping import simple_mapping
from support.small_targets import small_target

STEPS, SAMPLES = 10, 2


def case(seed: int) -> IntegerNetwork:
    """A network of one of four kinds."""
    kinds = (lif_network, random_network, lambda s: sigma_delta_network(s, None), alif_network)
    return kinds[seed % 4](seed)


def data(network: IntegerNetwork, seed: int) -> dict[str, IntArray]:
    """Random inputs; those of sigma-delta networks stay for a while."""
    graded = network.name.startswith(("sigma-delta", "alif"))
    return (random_values if graded else random_inputs)(network, seed, SAMPLES, STEPS)


def disagreements(name: str, backend: str, truth: RunResult, other: RunResult) -> int:
    """Differing entries; the first is printed."""
    found = compare_runs(truth, other)
    if found.first is not None:
        layer, at = found.first
        print(
            f"{name}, {backend}: {found.differing} entries differ; first in {layer.names[0]}, "
            f"step {at.step}, sample {at.sample}, neuron {at.index}: "
            f"reference {at.left:g}, {backend} {at.right:g}"
        )
    return found.differing


def compare_batch(seeds: range, counts: Counter[str]) -> None:
    """Run a batch of networks on everything; Lava in one worker."""
    networks = {seed: case(seed) for seed in seeds}
    inputs = {s: data(n, s) for s, n in networks.items()}
    plans = {seed: lower(network, STEPS) for seed, network in networks.items()}
    runs = run_on_lava([Job(plans[seed], inputs[seed]) for seed in seeds])
    for seed, run in zip(seeds, runs, strict=True):
        network, given, plan = networks[seed], inputs[seed], plans[seed]
        truth = reference.run(network, given)
        target = small_target(6, 6, 4, signed=True, payload_bits=40)
        deployment = simple_mapping(network, target, STEPS)
        others = {
            "lava": as_result(network, plan, run, SAMPLES),
            "functional": functional.run(network, given),
            "cycle": cycle.run(deployment, given, timing=False).result,
        }
        for backend, other in others.items():
            counts[f"differing, {backend}"] += disagreements(network.name, backend, truth, other)
        counts["networks"] += 1
        counts["spikes"] += sum(events.index.size for events in truth.spikes.values())
        counts["entries"] += SAMPLES * STEPS * sum(p.size for p in network.populations)
        counts["Lava time steps"] += run.time_steps
        counts.update(f"{p.kind} processes" for p in plan.processes)


def main() -> int:
    """Run the comparison; 1 when anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--batch", type=int, default=25, help="networks per Lava worker")
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    begin = time.perf_counter()
    last = arguments.first + arguments.networks
    for first in range(arguments.first, last, arguments.batch):
        compare_batch(range(first, min(last, first + arguments.batch)), counts)
        print(f"{counts['networks']} networks, {time.perf_counter() - begin:.0f} s", flush=True)
    for name, count in sorted(counts.items()):
        print(f"{name:28} {count:>12,}")
    return int(any(count for name, count in counts.items() if name.startswith("differing")))


if __name__ == "__main__":
    sys.exit(main())
